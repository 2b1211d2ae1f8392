"""Merkle trees as RFC 6962 section 2 has them, and the tiles of C2SP tlog-tiles: bytes in, bytes out, no storage.

A proof is a list of hashes of ranges of leaves. Every range is a row of complete subtrees, and every complete subtree
is read from one tile, so a proof costs a few tiles, however large the tree is.
"""

import hashlib
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import SystemRandom
from typing import NamedTuple

from dataspace.errors import DomainError

HEIGHT = 8
WIDTH = 1 << HEIGHT  # hashes in a full tile, entries in a full bundle
SIZE = 32  # bytes of a hash
ENTRIES = -1  # the level under which entry bundles are kept, beside the tiles of level 0
MAX_LEVEL = 63
MAX_NUMBER = 2**63 - 1
EMPTY = hashlib.sha256(b"").digest()  # RFC 6962 section 2.1: the hash of an empty list
# Decimal path elements of three digits, all but the last with an x; then how wide a partial tile is.
_PATH = re.compile(r"(?:x[0-9]{3}/)*[0-9]{3}(?:\.p/[1-9][0-9]{0,2})?", re.ASCII)


class InvalidProof(DomainError):
    """``detail`` says what does not match."""

    code = "invalid_proof"
    sentence = "The proof does not match."


class InvalidTile(DomainError):
    """A tile or bundle is shorter than it must be, or not whole."""

    code = "invalid_tile"
    sentence = "The log's files are damaged."
    status = 503


class Tile(NamedTuple):
    """Where a tile is, and how wide. ``level`` ENTRIES: an entry bundle."""

    level: int
    number: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Below the log's prefix (tlog-tiles, Merkle Tree)."""
        level = "entries" if self.level == ENTRIES else str(self.level)
        digits = f"{self.number:03}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        *high, last = (digits[at : at + 3] for at in range(0, len(digits), 3))
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/" + "".join(f"x{part}/" for part in high) + last + partial

    @classmethod
    def at(cls, level: str, path: str) -> "Tile | None":
        """The inverse of :attr:`path`, by its level and what follows; None for any other spelling."""
        if not _PATH.fullmatch(path) or not re.fullmatch(r"entries|0|[1-9][0-9]?", level, re.ASCII):
            return None
        digits, _p, width = path.partition(".p/")
        found = cls(
            ENTRIES if level == "entries" else int(level),
            int(digits.replace("x", "").replace("/", "")),
            int(width or WIDTH),
        )
        possible = found.level <= MAX_LEVEL and found.number <= MAX_NUMBER and (not width or found.width < WIDTH)
        return found if possible and found.path == f"tile/{level}/{path}" else None


class Node(NamedTuple):
    """A complete subtree: the leaves from ``number << level``, ``1 << level`` of them."""

    level: int
    number: int


ReadTile = Callable[[int, int], bytes]  # (level, number) -> the hashes of that tile, as many as there are
Range = tuple[int, int]  # leaves from (inclusive), until (exclusive)


def leaf_hash(entry: bytes) -> bytes:
    """RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def subtree_hash(hashes: bytes) -> bytes:
    """The root above 1, 2, 4, 8 ... hashes that stand one after the other."""
    sha256 = hashlib.sha256
    row = hashes
    while len(row) > SIZE:
        row = b"".join([sha256(b"\x01" + row[at : at + 2 * SIZE]).digest() for at in range(0, len(row), 2 * SIZE)])
    return row


def root(size: int, read: ReadTile) -> bytes:
    """The root of a tree of so many leaves. Raises InvalidTile."""
    return range_hash((0, size), read) if size else EMPTY


def inclusion_proof(index: int, size: int, read: ReadTile) -> list[bytes]:
    """RFC 6962 section 2.1.1: that leaf ``index`` is in the tree of ``size``. Raises InvalidTile."""
    return [range_hash(found, read) for found in inclusion_ranges(index, size)]


def consistency_proof(old: int, size: int, read: ReadTile) -> list[bytes]:
    """RFC 6962 section 2.1.2: that the tree of ``old`` leaves is the beginning of that of ``size``; empty from nothing.

    Raises InvalidTile.
    """
    return [range_hash(found, read) for found in consistency_ranges(old, size)]


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """What the hashes of an inclusion proof stand for, the lowest first. Raises ValueError."""
    if not 0 <= index < size:
        raise ValueError("no such leaf in a tree of this size")
    found, start, end = [], 0, size
    while end - start > 1:
        split = start + _split(end - start)
        if index < split:
            found.append((split, end))
            end = split
        else:
            found.append((start, split))
            start = split
    return found[::-1]


def consistency_ranges(old: int, size: int) -> list[Range]:
    """What the hashes of a consistency proof stand for, the lowest first. Raises ValueError."""
    if not 0 <= old <= size:
        raise ValueError("no such earlier tree")
    if old in (0, size):
        return []
    found, start, end = [], 0, size
    while end != old:
        split = start + _split(end - start)
        if old <= split:
            found.append((split, end))
            end = split
        else:
            found.append((start, split))
            start = split
    # The whole old tree is what the verifier has already: only a part of it has to be named.
    return [*([(start, end)] if start else []), *found[::-1]]


def root_of_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that an inclusion proof leads to; compare it with the one that was signed. Raises InvalidProof."""
    if not 0 <= index < size:
        raise InvalidProof("the index is beyond the size of the tree")
    ranges = inclusion_ranges(index, size)
    if len(ranges) != len(proof):
        raise InvalidProof("the proof has another length than this tree asks for")
    found = leaf
    for (start, _end), sibling in zip(ranges, _hashes(proof), strict=True):
        found = node_hash(found, sibling) if start > index else node_hash(sibling, found)
    return found


def verify_consistency(old: int, old_root: bytes, size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """RFC 9162 section 2.1.4.2. Raises InvalidProof: what was signed first is not the beginning of what came later."""
    if not 0 <= old <= size:
        raise InvalidProof("the later tree is smaller than the earlier one")
    ranges = consistency_ranges(old, size)
    if len(ranges) != len(proof):
        raise InvalidProof("the proof has another length than these trees ask for")
    if old == size and old_root != new_root:
        raise InvalidProof("two trees of one size differ")
    if old == 0 and old_root != EMPTY:
        raise InvalidProof("the earlier tree is not empty")
    if not ranges:
        return
    rest = list(zip(ranges, _hashes(proof), strict=True))
    # A proof that begins at leaf 0 says nothing about the old tree: its own root is the beginning.
    before = after = old_root if ranges[0][1] != old else rest.pop(0)[1]
    for (start, _end), sibling in rest:
        after = node_hash(after, sibling) if start >= old else node_hash(sibling, after)
        before = before if start >= old else node_hash(sibling, before)
    if before != old_root:
        raise InvalidProof("the proof does not lead to the earlier tree")
    if after != new_root:
        raise InvalidProof("the proof does not lead to the later tree")


def nodes(found: Range) -> Iterator[Node]:
    """The largest complete subtrees of a range, from left to right."""
    start, end = found
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        yield Node(level, start >> level)
        start += 1 << level


def range_hash(found: Range, read: ReadTile) -> bytes:
    """The hash of a range of leaves as it stands in a proof. Raises InvalidTile."""
    result = b""
    for node in reversed(list(nodes(found))):
        result = node_hash(_read(node, read), result) if result else _read(node, read)
    return result


def tiles_for(ranges: Sequence[Range]) -> set[tuple[int, int]]:
    """Which tiles, as (level, number), the hashes of these ranges are read from."""
    return {_place(node)[:2] for found in ranges for node in nodes(found)}


def changed_tiles(old: int, size: int) -> Iterator[Tile]:
    """The tiles and bundles of a tree that the earlier tree of ``old`` leaves did not have, or not as wide."""
    level = ENTRIES
    while size > old:
        for number in range(old // WIDTH, -(-size // WIDTH)):
            yield Tile(level, number, min(WIDTH, size - number * WIDTH))
        if level != ENTRIES:
            old, size = old // WIDTH, size // WIDTH
        level += 1


def some_whole_tiles(size: int, count: int) -> list[Tile]:
    """Up to ``count`` whole tiles and bundles of a tree, of all levels, by chance."""
    rows, level, width = [(ENTRIES, size // WIDTH)], 0, size // WIDTH
    while width:
        rows.append((level, width))
        level, width = level + 1, width // WIDTH
    total = sum(width for _level, width in rows)
    return [_whole_tile(place, rows) for place in SystemRandom().sample(range(total), min(count, total))]


def _whole_tile(place: int, rows: list[tuple[int, int]]) -> Tile:
    """The one at a place, counted through rows of (level, how many)."""
    for level, width in rows:
        if place < width:
            return Tile(level, place, WIDTH)
        place -= width
    raise IndexError(place)


def edge_of(size: int) -> list[Tile]:
    """The partial tiles at the right edge of a tree and its partial bundle: what grows next."""
    found = [Tile(ENTRIES, size // WIDTH, size % WIDTH)]
    level = 0
    while size:
        found.append(Tile(level, size // WIDTH, size % WIDTH))
        size, level = size // WIDTH, level + 1
    return [tile for tile in found if tile.width]


def grow(size: int, edge: Mapping[int, bytes], leaves: Sequence[bytes]) -> dict[tuple[int, int], bytes]:
    """The tiles that change when leaf hashes are added to a tree of ``size``: (level, number) -> all its hashes.

    ``edge``: the partial tile of each level, where there is one (:func:`edge_of`).
    """
    changed: dict[tuple[int, int], bytes] = {}
    level, count, added = 0, size, b"".join(leaves)
    while added:
        row = edge.get(level, b"") + added
        if len(edge.get(level, b"")) != count % WIDTH * SIZE:
            raise InvalidTile(f"the edge of level {level} is not as wide as it must be")
        full = [row[at : at + WIDTH * SIZE] for at in range(0, len(row), WIDTH * SIZE)]
        changed |= {(level, count // WIDTH + number): tile for number, tile in enumerate(full)}
        added = b"".join(subtree_hash(tile) for tile in full if len(tile) == WIDTH * SIZE)
        level, count = level + 1, count // WIDTH
    return changed


def bundle(entries: Sequence[bytes]) -> bytes:
    """Entries as tlog-tiles serves them: each after its length in two bytes, big-endian."""
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


def unbundle(raw: bytes) -> list[bytes]:
    """The inverse of :func:`bundle`. Raises InvalidTile."""
    found, at = [], 0
    while at < len(raw):
        if at + 2 > len(raw):
            raise InvalidTile("a bundle ends within a length")
        (length,) = struct.unpack_from(">H", raw, at)
        at += 2 + length
        if at > len(raw):
            raise InvalidTile("a bundle ends within an entry")
        found.append(raw[at - length : at])
    return found


def _split(count: int) -> int:
    """The largest power of two smaller than ``count`` (RFC 6962 section 2.1)."""
    return 1 << ((count - 1).bit_length() - 1)


def _place(node: Node) -> tuple[int, int, int, int]:
    """Where a subtree is read: level and number of the tile, the first of its hashes, and how many."""
    level, height = divmod(node.level, HEIGHT)
    first = node.number << height
    return level, first // WIDTH, first % WIDTH, 1 << height


def _read(node: Node, read: ReadTile) -> bytes:
    level, number, first, count = _place(node)
    found = read(level, number)[first * SIZE : (first + count) * SIZE]
    if len(found) != count * SIZE:
        raise InvalidTile(f"tile {level}/{number} is shorter than the tree asks for")
    return subtree_hash(found)


def _hashes(proof: Sequence[bytes]) -> Sequence[bytes]:
    if any(len(found) != SIZE for found in proof):
        raise InvalidProof("a hash of the proof has another length")
    return proof
