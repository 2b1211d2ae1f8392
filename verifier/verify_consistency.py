#!/usr/bin/env python3
"""Checks that a later checkpoint of the evidence log continues an earlier one: nothing was changed or taken out.

    python verify_consistency.py earlier later --log https://data.example.gov.cn/log --key KEY
    python verify_consistency.py earlier later --log /srv/log --key KEY
    python verify_consistency.py earlier later --proof hashes.txt --key KEY

earlier and later are checkpoints: files that /log/checkpoint gave, or verify_log.py --save wrote; "-" for the later one
takes the newest of the log. KEY is the log's verifier key, one line, from /log/key, or a file that holds it.
With --log the few tiles that lead from one to the other are fetched from the server, or read from a directory of its
files; however large the log is, they are some dozens. With --proof the hashes of a consistency proof (RFC 9162 section
2.1.4) are read from a file: base64, one a line, and nothing is fetched.

Two checkpoints that both bear the log's signature and do not fit are proof that its operator has shown different
people different logs: keep both files.

Exit status: 0 the later one continues the earlier one; 1 it does not, or a signature is wrong; 2 something could not be
read. Needs Python 3.11, the package "cryptography", and signed.py and tlog.py beside it; shares no code with the
service.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import tlog
from signed import LANGUAGES, Refused, read_file
from tlog import Fetch, Head, h

MAX_NOTE = 1_000_000


def hashes_from(fetch: Fetch, old: int, size: int) -> list[bytes]:
    """The consistency proof, made from tiles (RFC 9162 section 2.1.4.1). Raises Refused."""
    kept: dict[tuple[int, int], bytes] = {}

    def node(level: int, number: int) -> bytes:
        """The hash of the complete subtree of 2**level leaves, from the lowest tile that has it or what is below."""
        tile_level, height = divmod(level, 8)
        place = (tile_level, (number << height) // 256)
        if place not in kept:
            width = min(256, (size >> (8 * tile_level)) - place[1] * 256)
            tile, full = tlog.fetch_tile(fetch, str(tile_level), place[1], width)
            if len(tile) < 32 * width or (not full and len(tile) != 32 * width):
                path = tlog.tile_path(str(tile_level), place[1], width)
                raise Refused(f"{path} is not as long as it must be.", f"{path} 的长度不对。")
            kept[place] = tile
        first = (number << height) % 256
        row = [kept[place][32 * at : 32 * at + 32] for at in range(first, first + (1 << height))]
        while len(row) > 1:
            row = [h(b"\x01" + left + right) for left, right in zip(row[::2], row[1::2], strict=True)]
        return row[0]

    def root(start: int, end: int) -> bytes:
        parts = [node(level, number) for level, number in subtrees(start, end)]
        found = parts.pop()
        while parts:
            found = h(b"\x01" + parts.pop() + found)
        return found

    return [root(start, end) for start, end in ranges(old, size)]


def ranges(old: int, size: int) -> list[tuple[int, int]]:
    """The leaves that each hash of the proof stands for: SUBPROOF of RFC 9162 section 2.1.4.1."""

    def subproof(m: int, start: int, end: int, *, whole: bool) -> list[tuple[int, int]]:
        if m == end - start:
            return [] if whole else [(start, end)]
        k = 1 << (end - start - 1).bit_length() - 1
        if m <= k:
            return [*subproof(m, start, start + k, whole=whole), (start + k, end)]
        return [*subproof(m - k, start + k, end, whole=False), (start, start + k)]

    return subproof(old, 0, size, whole=True) if 0 < old < size else []


def subtrees(start: int, end: int) -> Iterator[tuple[int, int]]:
    """(level, number) of the largest complete subtrees of a range of leaves, from left to right."""
    while start < end:
        level = (end - start).bit_length() - 1
        while start % (1 << level):
            level -= 1
        yield level, start >> level
        start += 1 << level


def read_hashes(path: Path) -> list[bytes]:
    raw = read_file(path, tlog.MAX_PROOF)
    try:
        lines = raw.decode("ascii").splitlines()
    except ValueError:
        raise Refused(f"{path} is no proof.", f"{path} 不是证明。", status=2) from None
    return [tlog.unbase64(line, "A hash of the proof", "证明中的哈希") for line in lines if line]


def check(earlier: bytes, later: bytes, key: str, *, fetch: Fetch | None, path: list[bytes]) -> tuple[Head, Head]:
    """Both heads, once they fit. ``path``: the proof, when there is no log to make it from. Raises Refused."""
    old, new = tlog.read_checkpoint(earlier, key), tlog.read_checkpoint(later, key)
    if fetch is not None and old.size < new.size:
        path = hashes_from(fetch, old.size, new.size)
    tlog.check_consistency(old, new, path)
    return old, new


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("earlier", type=Path, help="a checkpoint of an earlier visit")
    parser.add_argument("later", help='a later checkpoint; "-": the newest of --log')
    parser.add_argument("--key", required=True, help="the log's verifier key, or a file with it")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--log", help="address or directory of the log")
    source.add_argument("--proof", type=Path, help="a file with the hashes of the proof")
    parser.add_argument("--language", choices=LANGUAGES, default="zh", help="of what is said (default: zh)")
    given = parser.parse_args(arguments)
    if given.later == "-" and not given.log:
        parser.error("the newest checkpoint is fetched from --log")
    try:
        fetch = tlog.fetch_from(given.log) if given.log else None
        later = fetch("checkpoint") if fetch and given.later == "-" else read_file(Path(given.later), MAX_NOTE)
        path = read_hashes(given.proof) if given.proof else []
        key, earlier = tlog.load_key(given.key), read_file(given.earlier, MAX_NOTE)
        old, new = check(earlier, later, key, fetch=fetch, path=path)
    except Refused as refused:
        print(refused.sentence[given.language], file=sys.stderr)
        return refused.status
    print(
        f"{new.origin} 的 {new.size} 个条目延续了原先的 {old.size} 个，没有改动。"
        if given.language == "zh"
        else f"The {new.size} entries of {new.origin} continue the {old.size} of before, unchanged."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
