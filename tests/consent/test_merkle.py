"""Merkle trees and tiles: examples of RFC 6962, vectors of Certificate Transparency, laws by a naive reading."""

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent import merkle
from consent.merkle import ENTRIES, InvalidProof, InvalidTile, Tile

# The entries and roots that the published implementations of Certificate Transparency test themselves with
# (google/certificate-transparency, cpp/merkletree/merkle_tree_test.cc).
ENTRIES_OF_CT = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS_OF_CT = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


# RFC 6962 section 2.1, read as naively as it is written


def mth(entries: list[bytes]) -> bytes:
    if not entries:
        return hashlib.sha256().digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\0" + entries[0]).digest()
    k = split(len(entries))
    return hashlib.sha256(b"\1" + mth(entries[:k]) + mth(entries[k:])).digest()


def path(m: int, entries: list[bytes]) -> list[bytes]:
    if len(entries) == 1:
        return []
    k = split(len(entries))
    return [*path(m, entries[:k]), mth(entries[k:])] if m < k else [*path(m - k, entries[k:]), mth(entries[:k])]


def subproof(m: int, entries: list[bytes], whole: bool) -> list[bytes]:
    if m == len(entries):
        return [] if whole else [mth(entries)]
    k = split(len(entries))
    if m <= k:
        return [*subproof(m, entries[:k], whole), mth(entries[k:])]
    return [*subproof(m - k, entries[k:], False), mth(entries[:k])]


def split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


class Tree:
    """Tiles, grown step by step as a log grows."""

    def __init__(self, *steps: list[bytes]) -> None:
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.size = 0
        for entries in steps:
            edge = {t.level: self.tiles[t.level, t.number] for t in merkle.edge_of(self.size) if t.level != ENTRIES}
            self.tiles |= merkle.grow(self.size, edge, [merkle.leaf_hash(entry) for entry in entries])
            self.size += len(entries)

    def read(self, level: int, number: int) -> bytes:
        return self.tiles[level, number]


def numbered(count: int) -> list[bytes]:
    return [f"entry {n}".encode() for n in range(count)]


def test_the_roots_of_certificate_transparency() -> None:
    entries = [bytes.fromhex(entry) for entry in ENTRIES_OF_CT]
    assert merkle.root(0, Tree().read).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for count, expected in enumerate(ROOTS_OF_CT, 1):
        assert merkle.root(count, Tree(entries[:count]).read).hex() == expected
        assert mth(entries[:count]).hex() == expected


def test_the_examples_of_rfc_6962_section_2_1_3() -> None:
    seven = numbered(7)
    tree = Tree(seven)
    a, b, c, d, e, f, j = (merkle.leaf_hash(entry) for entry in seven)
    g, h, i = merkle.node_hash(a, b), merkle.node_hash(c, d), merkle.node_hash(e, f)
    k, l = merkle.node_hash(g, h), merkle.node_hash(i, j)  # noqa: E741 - the RFC's letters
    assert merkle.root(7, tree.read) == merkle.node_hash(k, l)
    inclusion = {0: [b, h, l], 3: [c, g, l], 4: [f, j, k], 6: [i, k]}
    assert {n: merkle.inclusion_proof(n, 7, tree.read) for n in inclusion} == inclusion
    consistency = {3: [c, d, g, l], 4: [l], 6: [i, j, k]}
    assert {n: merkle.consistency_proof(n, 7, tree.read) for n in consistency} == consistency


@given(st.data(), st.integers(1, 700))
def test_proofs_are_those_of_the_rfc_and_lead_to_the_root(data: st.DataObject, size: int) -> None:
    entries = numbered(size)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    cut = data.draw(st.integers(0, size))
    tree = Tree(entries[:cut], entries[cut:])
    root = merkle.root(size, tree.read)
    assert root == mth(entries)
    inclusion = merkle.inclusion_proof(index, size, tree.read)
    assert inclusion == path(index, entries)
    assert merkle.root_of_inclusion(merkle.leaf_hash(entries[index]), index, size, inclusion) == root
    consistency = merkle.consistency_proof(old, size, tree.read)
    assert consistency == (subproof(old, entries, True) if old else [])
    merkle.verify_consistency(old, mth(entries[:old]), size, root, consistency)


@given(st.data(), st.integers(2, 300))
def test_no_altered_proof_passes(data: st.DataObject, size: int) -> None:
    entries = numbered(size)
    tree = Tree(entries)
    root, old, index = merkle.root(size, tree.read), data.draw(st.integers(1, size - 1)), size // 2
    proof, leaf = merkle.inclusion_proof(index, size, tree.read), merkle.leaf_hash(entries[index])
    for wrong in altered(data, proof):
        assert not leads(leaf, index, size, wrong, root)
    assert not leads(merkle.leaf_hash(b"another"), index, size, proof, root)
    assert not leads(leaf, size, size, proof, root)
    proof, old_root = merkle.consistency_proof(old, size, tree.read), mth(entries[:old])
    for wrong in altered(data, proof):
        with pytest.raises(InvalidProof):
            merkle.verify_consistency(old, old_root, size, root, wrong)
    for first, second in ((mth(entries[: old - 1]), root), (old_root, old_root)):
        with pytest.raises(InvalidProof):
            merkle.verify_consistency(old, first, size, second, proof)
    with pytest.raises(InvalidProof):
        merkle.verify_consistency(size + 1, root, size, root, [])
    with pytest.raises(InvalidProof):
        merkle.verify_consistency(size, old_root, size, root, [])


def altered(data: st.DataObject, proof: list[bytes]) -> list[list[bytes]]:
    found = [[*proof, b"x" * 32], proof[:-1], [b"", *proof[1:]]]
    at = data.draw(st.integers(0, len(proof) - 1))
    return [*found, [*proof[:at], hashlib.sha256(proof[at]).digest(), *proof[at + 1 :]]]


def leads(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    try:
        return merkle.root_of_inclusion(leaf, index, size, proof) == root
    except InvalidProof:
        return False


@given(st.lists(st.integers(0, 600), max_size=5))
def test_a_tree_grown_in_steps_has_the_tiles_of_one_grown_at_once(steps: list[int]) -> None:
    entries = numbered(sum(steps))
    cuts = [sum(steps[:n]) for n in range(len(steps) + 1)]
    tree = Tree(*(entries[a:b] for a, b in itertools.pairwise(cuts)))
    assert tree.tiles == Tree(entries).tiles
    expected = {(t.level, t.number): t.width * 32 for t in merkle.changed_tiles(0, tree.size) if t.level != ENTRIES}
    assert {place: len(tile) for place, tile in tree.tiles.items()} == expected


def test_the_tiles_of_the_specifications_examples() -> None:
    tiles = list(merkle.changed_tiles(0, 70_000))
    assert [sum(t.level == level and t.width == 256 for t in tiles) for level in (ENTRIES, 0, 1, 2)] == [273, 273, 1, 0]
    assert [t.width for t in tiles if t.width < 256] == [112, 112, 17, 1]
    assert merkle.edge_of(70_000) == [t for t in tiles if t.width < 256]
    assert list(merkle.changed_tiles(0, 256)) == [Tile(ENTRIES, 0), Tile(0, 0), Tile(1, 0, 1)]
    assert list(merkle.changed_tiles(0, 0)) == merkle.edge_of(0) == []


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_what_changes_is_what_the_one_tree_has_and_the_other_has_not(one: int, other: int) -> None:
    old, size = sorted((one, other))
    before, after = (set(merkle.changed_tiles(0, n)) for n in (old, size))
    assert set(merkle.changed_tiles(old, size)) == after - before


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(0, 0), "tile/0/000"),
        (Tile(63, 999, 255), "tile/63/999.p/255"),
        (Tile(ENTRIES, 1000, 1), "tile/entries/x001/000.p/1"),
    ],
)
def test_paths(tile: Tile, path: str) -> None:
    assert tile.path == path
    _tile, level, rest = path.split("/", 2)
    assert Tile.at(level, rest) == tile


@pytest.mark.parametrize(
    ("level", "path"),
    [
        ("00", "000"), ("64", "000"), ("-1", "000"), ("a", "000"), ("entry", "000"), ("٣", "000"),
        ("0", "0"), ("0", "0000"), ("0", "x000/000"), ("0", "001/000"), ("0", "x001"), ("0", "000.p/0"),
        ("0", "000.p/256"), ("0", "000.p/01"), ("0", "000.p/"), ("0", "000.p"), ("0", "000/"), ("0", "../000"),
        ("0", "000.p/1/"), ("0", "x٣٣٣/000"), ("0", "x001/" * 40 + "000"), ("0", "000\n"), ("0\n", "000"),
    ],
)  # fmt: skip
def test_another_spelling_of_a_path_is_none(level: str, path: str) -> None:
    assert Tile.at(level, path) is None


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_bundles(entries: list[bytes]) -> None:
    raw = merkle.bundle(entries)
    assert merkle.unbundle(raw) == entries
    if entries:
        with pytest.raises(InvalidTile):
            merkle.unbundle(raw[:-1])


def test_a_damaged_tile_is_noticed() -> None:
    tree = Tree(numbered(300))
    short = {place: tile[:-1] for place, tile in tree.tiles.items()}
    with pytest.raises(InvalidTile):
        merkle.root(300, lambda level, number: short[level, number])
    with pytest.raises(InvalidTile):
        merkle.grow(300, {0: b"", 1: tree.tiles[1, 0]}, [b"x" * 32])
    with pytest.raises(ValueError, match="no such leaf"):
        merkle.inclusion_proof(300, 300, tree.read)
    with pytest.raises(ValueError, match="no such earlier"):
        merkle.consistency_proof(301, 300, tree.read)


@given(st.integers(1, 10**9), st.data())
def test_a_proof_in_a_large_tree_reads_few_tiles(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    assert len(merkle.tiles_for(merkle.inclusion_ranges(index, size))) <= 2 * 4
    assert len(merkle.tiles_for(merkle.consistency_ranges(data.draw(st.integers(0, size)), size))) <= 2 * 4
