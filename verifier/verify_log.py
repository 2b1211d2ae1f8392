#!/usr/bin/env python3
"""Reads and checks a whole evidence log, from a server or from a directory of its files, trusting neither.

    python verify_log.py https://data.example.gov.cn/log --key KEY [--earlier CHECKPOINT] [--save CHECKPOINT]
    python verify_log.py /srv/log --key KEY
    python verify_log.py --proof FILE --entry HEX --key KEY

KEY is the log's verifier key, one line, from /log/key; get it once and keep it. Every tile and every entry is read:
entries lead to leaf hashes, tiles to the tiles above them, all of it to the root that is signed. With --earlier, the
log must continue the checkpoint of an earlier visit, which --save has written. With --proof, one proof is checked
without the log (C2SP tlog-proof).

Exit status: 0 all matches; 1 something does not; 2 it could not be read. Needs Python 3.11 and the package
"cryptography"; written from RFC 6962, RFC 9162 and C2SP tlog-tiles alone, and shares no code with the service.
"""

import argparse
import base64
import hashlib
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Fetch = Callable[[str], bytes]  # a path below the log's prefix -> what is there


class Refused(Exception):
    """What does not match; ``status`` 2: it could not be read."""

    def __init__(self, sentence: str, *, status: int = 1) -> None:
        super().__init__(sentence)
        self.status = status


class Head(NamedTuple):
    origin: str
    size: int
    root: bytes


def h(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def unbase64(text: str, what: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raise Refused(f"{what} is not base64.") from None
    if base64.b64encode(raw).decode() != text:
        raise Refused(f"{what} is written in another way than it must be.")
    return raw


# Checkpoints (C2SP signed-note, tlog-checkpoint)


def read_checkpoint(note: bytes, key: str) -> Head:
    """The head that is signed by this verifier key."""
    try:
        name, key_id, material = key.strip().split("+", 2)
        public = unbase64(material, "The key")
        text, _blank, below = note.decode().rpartition("\n\n")
    except ValueError:
        raise Refused("The key or the checkpoint is not what it should be.") from None
    if public[:1] != b"\x01" or len(public) != 33 or h(name.encode() + b"\n" + public)[:4].hex() != key_id:
        raise Refused("The key's number does not fit the key.")
    body = text + "\n"
    made = [blob[4:] for signer, blob in signatures(below) if (signer, blob[:4].hex()) == (name, key_id)]
    if not made:
        raise Refused("The checkpoint is not signed with the key of this log.")
    try:
        for signature in made:
            Ed25519PublicKey.from_public_bytes(public[1:]).verify(signature, body.encode())
    except InvalidSignature:
        raise Refused("The signature of the checkpoint does not match: it was altered.") from None
    lines = body.split("\n")[:-1]
    if len(lines) < 3 or not lines[1].isdecimal() or str(int(lines[1])) != lines[1]:
        raise Refused("What is signed is no checkpoint.")
    head = Head(lines[0], int(lines[1]), unbase64(lines[2], "The root"))
    if len(head.root) != 32 or head.origin != name:
        raise Refused("What is signed is no checkpoint of this log.")
    return head


def signatures(below: str) -> Iterator[tuple[str, bytes]]:
    """(name, key number and signature) of each line below a note."""
    if not below.endswith("\n"):
        raise Refused("The checkpoint is not whole.")
    for line in below.removesuffix("\n").split("\n"):
        dash, signer, blob = [*line.split(" "), "", ""][:3]
        if dash != "—":
            raise Refused("A line below the checkpoint is no signature.")
        yield signer, unbase64(blob, "A signature")


# Trees (RFC 9162 section 2.1)


class Growing:
    """The roots of the complete subtrees of a growing tree, the largest first: enough to know its root at any time."""

    def __init__(self) -> None:
        self.size = 0
        self.peaks: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        at, self.size = self.size, self.size + 1
        while at & 1:
            leaf, at = h(b"\x01" + self.peaks.pop() + leaf), at >> 1
        self.peaks.append(leaf)

    def root(self) -> bytes:
        if not self.peaks:
            return h(b"")
        found = self.peaks[-1]
        for peak in self.peaks[-2::-1]:
            found = h(b"\x01" + peak + found)
        return found


def check_inclusion(leaf: bytes, index: int, head: Head, path: list[bytes]) -> None:
    """RFC 9162 section 2.1.3.2, step by step."""
    if index >= head.size:
        raise Refused("The index lies beyond the log.")
    fn, sn, r = index, head.size - 1, leaf
    for p in path:
        if sn == 0:
            raise Refused("The proof is too long.")
        if fn & 1 or fn == sn:
            r = h(b"\x01" + p + r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = h(b"\x01" + r + p)
        fn, sn = fn >> 1, sn >> 1
    if sn or r != head.root:
        raise Refused("The proof does not lead from the entry to the checkpoint.")


def check_proof(text: bytes, entry: bytes, key: str) -> tuple[int, Head]:
    """C2SP tlog-proof: the index and the head under which the entry is."""
    above, _blank, note = text.partition(b"\n\n")
    try:
        first, *lines = above.decode("ascii").split("\n")
    except ValueError:
        raise Refused("The file is no proof.") from None
    lines = lines[1:] if lines and lines[0].startswith("extra ") else lines
    if first != "c2sp.org/tlog-proof@v1" or not lines or not lines[0].startswith("index "):
        raise Refused("The file is no proof.")
    number = lines[0].removeprefix("index ")
    if not number.isdecimal() or str(int(number)) != number:
        raise Refused("The file is no proof.")
    head = read_checkpoint(note, key)
    check_inclusion(
        h(b"\x00" + entry), int(number), head, [unbase64(line, "A hash of the proof") for line in lines[1:]]
    )
    return int(number), head


# The whole log (C2SP tlog-tiles)


def tile_path(level: str, number: int, width: int) -> str:
    parts = [f"{number % 1000:03}"]
    while number >= 1000:
        number //= 1000
        parts.insert(0, f"x{number % 1000:03}")
    return f"tile/{level}/{'/'.join(parts)}" + (f".p/{width}" if width < 256 else "")


def fetch_tile(fetch: Fetch, level: str, number: int, width: int) -> tuple[bytes, bool]:
    """A tile or bundle, and whether it is the full one in place of a partial one that is gone by now."""
    try:
        return fetch(tile_path(level, number, width)), False
    except Refused as refused:
        if width == 256 or refused.status != 2:
            raise
    return fetch(tile_path(level, number, 256)), True


def bundles(fetch: Fetch, size: int) -> Iterator[list[bytes]]:
    """All entries, as many at once as there are in a bundle."""
    for start in range(0, size, 256):
        width = min(256, size - start)
        path = tile_path("entries", start // 256, width)
        (raw, full), entries = fetch_tile(fetch, "entries", start // 256, width), []
        while raw and not (full and len(entries) == width):
            length = int.from_bytes(raw[:2], "big")
            if len(raw) < 2 + length:
                raise Refused(f"{path} ends in the middle of an entry.")
            entries.append(raw[2 : 2 + length])
            raw = raw[2 + length :]
        if len(entries) != width:
            raise Refused(f"{path} has {len(entries)} entries, not {width}.")
        yield entries


def check_log(fetch: Fetch, key: str, earlier: list[Head] | None = None) -> tuple[Head, list[bytes]]:
    """Read everything; the head and all entries. ``earlier``: heads that the log must continue."""
    head = read_checkpoint(fetch("checkpoint"), key)
    tree, row, entries = Growing(), [], []
    known: dict[int, bytes] = {}
    for before in earlier or []:
        if before.origin != head.origin:
            raise Refused("The earlier checkpoint is of another log.")
        if before.size > head.size:
            raise Refused("The log has become shorter.")
        if known.setdefault(before.size, before.root) != before.root:
            raise Refused("Two earlier checkpoints disagree.")
    _compare(tree, known)
    for bundle in bundles(fetch, head.size):
        entries += bundle
        for entry in bundle:
            row.append(h(b"\x00" + entry))
            tree.add(row[-1])
            _compare(tree, known)
    if tree.root() != head.root:
        raise Refused("The entries do not lead to the root that is signed.")
    check_tiles(fetch, row)
    return head, entries


def _compare(tree: Growing, known: dict[int, bytes]) -> None:
    if tree.size in known and tree.root() != known[tree.size]:
        raise Refused(f"The log does not continue the earlier checkpoint of {tree.size} entries.")


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
                raise Refused(f"{path} does not fit the entries.")
            if len(hashes) == 256:
                subtree = Growing()
                for one in hashes:
                    subtree.add(one)
                above.append(subtree.root())
        row, level = above, level + 1


def fetch_from(place: str) -> Fetch:
    """From a directory, or over HTTP."""

    def read(path: str) -> bytes:
        try:
            if not place.startswith(("http://", "https://")):
                return (Path(place) / path).read_bytes()
            with urllib.request.urlopen(f"{place.rstrip('/')}/{path}", timeout=30) as answer:  # noqa: S310 - checked
                return bytes(answer.read())
        except (OSError, urllib.error.URLError) as error:
            raise Refused(f"{path} cannot be read: {error}", status=2) from None

    return read


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Checks an evidence log, or one proof.")
    parser.add_argument("log", nargs="?", help="address or directory")
    parser.add_argument("--key", required=True, help="the log's verifier key, or a file with it")
    parser.add_argument("--earlier", type=Path, help="a checkpoint that the log must continue")
    parser.add_argument("--save", type=Path, help="where to write the checkpoint")
    parser.add_argument("--proof", type=Path, help="a proof to check instead of the log")
    parser.add_argument("--entry", help="the entry that it is about, in hex")
    given = parser.parse_args(arguments)
    try:
        key = Path(given.key).read_text() if Path(given.key).is_file() else given.key
        if given.proof:
            index, head = check_proof(given.proof.read_bytes(), bytes.fromhex(given.entry or ""), key)
            print(f"The entry is number {index} of the log {head.origin}, which had {head.size} entries by then.")
            return 0
        if not given.log:
            parser.error("name a log or a proof")
        earlier = [read_checkpoint(given.earlier.read_bytes(), key)] if given.earlier else []
        fetch = fetch_from(given.log)
        note = fetch("checkpoint")  # read once: the log may grow meanwhile
        head, _entries = check_log(lambda path: note if path == "checkpoint" else fetch(path), key, earlier)
        if given.save:
            given.save.write_bytes(note)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return refused.status
    except (OSError, ValueError) as error:
        print(f"It cannot be read: {error}", file=sys.stderr)
        return 2
    print(f"All {head.size} entries of {head.origin} match the checkpoint.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
