#!/usr/bin/env python3
"""Reads and checks a whole evidence log, from a server or from a directory of its files, trusting neither.

    python verify_log.py https://data.example.gov.cn/log --key KEY [--earlier CHECKPOINT] [--save CHECKPOINT]
    python verify_log.py /srv/log --key KEY
    python verify_log.py ... --witness W1 --witness W2 --quorum 2

KEY is the log's verifier key, one line, from /log/key; get it once and keep it. Every tile and every entry is read:
entries lead to leaf hashes, tiles to the tiles above them, all of it to the root that is signed. With --earlier, the
log must continue the checkpoint of an earlier visit, which --save has written. With --witness, so many of the named
witnesses must have cosigned the checkpoint (W1, W2: their verifier keys); a moment after the log has grown it may
not have their cosignatures yet, and "cosigned" has the newest one that has.

Exit status: 0 all matches; 1 something does not; 2 it could not be read. Needs Python 3.11, the package
"cryptography", and cosignatures.py, signed.py and tlog.py beside it; written from RFC 6962, RFC 9162 and C2SP
tlog-tiles alone, and shares no code with the service.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import cosignatures
from signed import LANGUAGES, Refused
from tlog import (
    Fetch,
    Growing,
    Head,
    check_cosignatures,
    fetch_from,
    fetch_tile,
    h,
    load_key,
    read_checkpoint,
    tile_path,
)


def bundles(fetch: Fetch, size: int) -> Iterator[list[bytes]]:
    """All entries, as many at once as there are in a bundle."""
    for start in range(0, size, 256):
        width = min(256, size - start)
        path = tile_path("entries", start // 256, width)
        (raw, full), entries = fetch_tile(fetch, "entries", start // 256, width), []
        while raw and not (full and len(entries) == width):
            length = int.from_bytes(raw[:2], "big")
            if len(raw) < 2 + length:
                raise Refused(f"{path} ends in the middle of an entry.", f"{path} 在条目中间断开。")
            entries.append(raw[2 : 2 + length])
            raw = raw[2 + length :]
        if len(entries) != width:
            raise Refused(
                f"{path} has {len(entries)} entries, not {width}.",
                f"{path} 有 {len(entries)} 个条目，应为 {width} 个。",
            )
        yield entries


def check_log(fetch: Fetch, key: str, earlier: list[Head] | None = None) -> tuple[Head, list[bytes]]:
    """Read everything; the head and all entries. ``earlier``: heads that the log must continue."""
    head = read_checkpoint(fetch("checkpoint"), key)
    tree, row, entries = Growing(), [], []
    known: dict[int, bytes] = {}
    for before in earlier or []:
        if before.origin != head.origin:
            raise Refused("The earlier checkpoint is of another log.", "较早的检查点属于另一条存证链。")
        if before.size > head.size:
            raise Refused("The log has become shorter.", "存证链变短了。")
        if known.setdefault(before.size, before.root) != before.root:
            raise Refused("Two earlier checkpoints disagree.", "两个较早的检查点互相矛盾。")
    _compare(tree, known)
    for bundle in bundles(fetch, head.size):
        entries += bundle
        for entry in bundle:
            row.append(h(b"\x00" + entry))
            tree.add(row[-1])
            _compare(tree, known)
    if tree.root() != head.root:
        raise Refused("The entries do not lead to the root that is signed.", "从条目推算不出已签名的根哈希。")
    check_tiles(fetch, row)
    return head, entries


def _compare(tree: Growing, known: dict[int, bytes]) -> None:
    if tree.size in known and tree.root() != known[tree.size]:
        raise Refused(
            f"The log does not continue the earlier checkpoint of {tree.size} entries.",
            f"存证链没有延续较早的检查点（当时 {tree.size} 个条目）。",
        )


def check_tiles(fetch: Fetch, row: list[bytes]) -> None:
    """Every tile of every level against the hashes that belong into it."""
    level = 0
    while row:
        above = []
        for start in range(0, len(row), 256):
            hashes = row[start : start + 256]
            path = tile_path(str(level), start // 256, len(hashes))
            found, full = fetch_tile(fetch, str(level), start // 256, len(hashes))
            if (found[: 32 * len(hashes)] if full else found) != b"".join(hashes):
                raise Refused(f"{path} does not fit the entries.", f"{path} 与条目不符。")
            if len(hashes) == 256:
                subtree = Growing()
                for one in hashes:
                    subtree.add(one)
                above.append(subtree.root())
        row, level = above, level + 1


def with_cosignatures(fetch: Fetch, note: bytes, witnesses: list[str], quorum: int) -> bytes:
    """The checkpoint, or else the newest that has cosignatures, once enough are found below it. Raises Refused."""
    try:
        check_cosignatures(note, witnesses, quorum)
    except Refused as refused:
        try:
            note = fetch("cosigned")
        except Refused:
            raise refused from None
        check_cosignatures(note, witnesses, quorum)
    return note


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", help="address or directory")
    parser.add_argument("--key", required=True, help="the log's verifier key, or a file with it")
    parser.add_argument("--earlier", type=Path, help="a checkpoint that the log must continue")
    parser.add_argument("--save", type=Path, help="where to write the checkpoint")
    cosignatures.add_arguments(parser)
    parser.add_argument("--language", choices=LANGUAGES, default="zh", help="of what is said (default: zh)")
    given = parser.parse_args(arguments)
    try:
        key = load_key(given.key)
        earlier = [read_checkpoint(given.earlier.read_bytes(), key)] if given.earlier else []
        fetch = fetch_from(given.log)
        witnesses = cosignatures.load(given)
        note = fetch("checkpoint")  # read once: the log may grow meanwhile
        if witnesses.keys:
            note = with_cosignatures(fetch, note, *witnesses)
        head, _entries = check_log(lambda path: note if path == "checkpoint" else fetch(path), key, earlier)
        if given.save:
            given.save.write_bytes(note)
    except Refused as refused:
        print(refused.sentence[given.language], file=sys.stderr)
        return refused.status
    except OSError as error:
        print(f"无法读取：{error}" if given.language == "zh" else f"It cannot be read: {error}", file=sys.stderr)
        return 2
    english = f"All {head.size} entries of {head.origin} match the checkpoint."
    print(f"{head.origin} 的 {head.size} 个条目全部与检查点相符。" if given.language == "zh" else english)
    return 0


if __name__ == "__main__":
    sys.exit(main())
