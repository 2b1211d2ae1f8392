"""The programs that check one proof and two checkpoints, without us: what fits passes, what does not is said."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import verify_consistency
import verify_inclusion
import verify_log
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from signed import Refused
from tlog import Head, check_consistency, fetch_from

from consent import evidence, merkle, worker
from consent.log_files import LogFiles
from consent.notes import COSIGNATURE, Note, Signer
from dataspace import clock
from tests import factories
from tests.factories import entered

pytestmark = pytest.mark.wire  # the programs see files, whatever database they came from


def sequence(folder: Path | None = None) -> bytes:
    """Everything that waits is taken in; the checkpoint."""
    files = LogFiles(folder) if folder else None
    worker.sequence(clock.now(), registry=factories.registry(), files=files)
    return evidence.head().note


# Inclusion


def test_inclusion_with_and_without_a_statement(app: Flask, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry, other = entered(2)
    sequence()
    key, bundle, alone = tmp_path / "key", tmp_path / "proof.json", tmp_path / "proof.txt"
    key.write_text(evidence.head().verifier + "\n")
    bundle.write_text(json.dumps(evidence.shown(entry)))
    alone.write_text(evidence.proof_of(entry).text)

    def run(*arguments: object) -> tuple[int, str]:
        status = verify_inclusion.main([*map(str, arguments), "--key", str(key), "--language", "en"])
        said = capsys.readouterr()
        assert bool(said.err) == (status != 0)
        return status, said.err or said.out

    where = f"It is entry {evidence.proof_of(entry).index} of the public log localhost:8000/log"
    status, said = run(bundle)
    assert (status, where in said, '"number": 0' in said) == (0, True, True)
    status, said = run(alone, "--entry", entry.digest.hex())
    assert (status, where in said) == (0, True)
    assert run(alone, "--entry", other.digest.hex())[0] == 1
    assert run(alone, "--entry", "zz") == (2, "The entry is not in hex.\n")
    assert run(alone)[0] == 2
    assert run(tmp_path / "none")[0] == 2
    bundle.write_text(json.dumps(evidence.shown(entry) | {"salt": "00" * 16}))
    assert run(bundle)[0] == 1


class Cosigned:
    """A proof under a checkpoint that two witnesses have cosigned, and their verifier keys; a third has not."""

    def __init__(self) -> None:
        self.signers = [
            Signer(name=f"witness.example/{number}", private=Ed25519PrivateKey.generate(), kind=COSIGNATURE)
            for number in range(3)
        ]
        self.keys = [str(signer.verifier) for signer in self.signers]

    def below(self, proof: str, *, at: int = 1_790_000_000) -> str:
        text = Note.parse(proof.partition("\n\n")[2].encode()).text
        return proof + "".join(str(signer.sign(text, timestamp=at)) for signer in self.signers[:2])


def test_inclusion_under_a_checkpoint_that_witnesses_have_cosigned(
    app: Flask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (entry,) = entered(1)
    sequence()
    by, bundle, key = Cosigned(), evidence.shown(entry), evidence.head().verifier
    proof = by.below(evidence.proof_of(entry).text)
    forged = by.below(evidence.proof_of(entry).text, at=1).replace("— witness.example/1 ", "— witness.example/9 ")
    (tmp_path / "proof.json").write_text(json.dumps(bundle | {"proof": proof}))
    (tmp_path / "alone").write_text(proof)
    (tmp_path / "plain.json").write_text(json.dumps(bundle))
    (tmp_path / "forged.json").write_text(json.dumps(bundle | {"proof": forged}))
    (tmp_path / "w0").write_text(by.keys[0] + "\n")

    def run(name: str, *arguments: str) -> tuple[int, str]:
        status = verify_inclusion.main([str(tmp_path / name), "--key", key, "--language", "en", *arguments])
        said = capsys.readouterr()
        return status, said.err or said.out

    both = ("--witness", str(tmp_path / "w0"), "--witness", by.keys[1])
    named = "Cosigned by witness.example/0 (2026-09-21 14:13:20 UTC), witness.example/1 (2026-09-21 14:13:20 UTC)."
    for name, more in (("proof.json", ()), ("alone", ("--entry", entry.digest.hex()))):
        status, said = run(name, *more, *both)
        assert (status, named in said) == (0, True)
    third = (*both, "--witness", by.keys[2])
    assert run("proof.json", *third) == (1, "Of the witnesses 2 have cosigned the checkpoint, not 3.\n")
    assert run("proof.json", *third, "--quorum", "2")[0] == 0
    assert run("plain.json", *both) == (1, "Of the witnesses 0 have cosigned the checkpoint, not 2.\n")
    assert run("forged.json", *both)[0] == 1
    assert run("proof.json", "--witness", key) == (1, "The key is not the key of a witness.\n")
    assert run("proof.json", "--quorum", "1") == (2, "--quorum says how many of which --witness.\n")
    assert run("proof.json", *both, "--quorum", "0")[0] == 1
    assert run("proof.json")[0] == 0  # cosignatures that nobody asks for are not looked at


# Consistency


def test_any_two_checkpoints_of_a_log_are_found_to_fit(app: Flask, tmp_path: Path) -> None:
    folder, seen = tmp_path / "log", {0: sequence()}
    for more in (1, 1, 5, 249, 1, 300, 400):
        entered(more)
        note = sequence(folder)
        seen[evidence.head().size] = note
    key, fetch = evidence.head().verifier, fetch_from(str(folder))
    last = evidence.head().size
    for size, note in seen.items():
        path = verify_consistency.hashes_from(fetch, size, last)
        assert path == evidence.consistency(size, last)
        old, new = verify_consistency.check(note, seen[last], key, fetch=fetch, path=[])
        assert (old.size, new.size) == (size, last)
        verify_consistency.check(note, seen[last], key, fetch=None, path=path)
        if size < last and path:
            with pytest.raises(Refused, match="does not continue"):
                verify_consistency.check(note, seen[last], key, fetch=None, path=path[1:])


@given(st.integers(0, 600), st.integers(0, 600), st.data())
def test_no_other_proof_fits(first: int, second: int, data: st.DataObject) -> None:
    """Against trees that are computed from their leaves (RFC 6962 section 2.1)."""
    old, size = sorted((first, second))
    level = b"".join(merkle.leaf_hash(bytes([number % 251])) for number in range(size))
    tiles = merkle.grow(0, {}, [level[at : at + 32] for at in range(0, len(level), 32)])

    def read(tile_level: int, number: int) -> bytes:
        return tiles.get((tile_level, number), b"")

    heads = [Head("log", of, merkle.root(of, read)) for of in (old, size)]
    path = merkle.consistency_proof(old, size, read)
    check_consistency(*heads, path)
    if path:
        at = data.draw(st.integers(0, len(path) - 1))
        wrong = bytearray(path[at])
        wrong[data.draw(st.integers(0, 31))] ^= 1
        with pytest.raises(Refused):
            check_consistency(*heads, [*path[:at], bytes(wrong), *path[at + 1 :]])
    for other in ([*path, bytes(32)], path[:-1]) if path else ([bytes(32)],):
        with pytest.raises(Refused):
            check_consistency(*heads, other)
    forged = Head("log", old, bytes(32))
    with pytest.raises(Refused):
        check_consistency(forged, heads[1], path)


@pytest.fixture
def grown(app: Flask, tmp_path: Path) -> tuple[bytes, bytes, Path]:
    """An earlier checkpoint, a later one, and the files of the log."""
    entered(300)
    earlier = sequence(tmp_path / "log")
    entered(400)
    return earlier, sequence(tmp_path / "log"), tmp_path / "log"


def flipped(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[5] ^= 1
    path.write_bytes(bytes(raw))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


TILES: dict[str, tuple[Callable[[Path], Any], str, int]] = {
    "changed": (flipped, "does not continue", 1),
    "cut": (cut, "is not as long as it must be", 1),
    "empty": (lambda path: path.write_bytes(b""), "is not as long as it must be", 1),
    "gone": (Path.unlink, "cannot be read", 2),
}


@pytest.mark.parametrize("what", TILES)
def test_tampered_tiles_are_named(what: str, grown: tuple[bytes, bytes, Path]) -> None:
    earlier, later, folder = grown
    change, said, status = TILES[what]
    change(folder / "tile/0/001")
    with pytest.raises(Refused, match=said) as caught:
        verify_consistency.check(earlier, later, evidence.head().verifier, fetch=fetch_from(str(folder)), path=[])
    assert caught.value.status == status


@pytest.fixture
def whole(app: Flask, tmp_path: Path) -> Path:
    """The files of a log of 600 entries."""
    entered(600)
    sequence(tmp_path / "log")
    return tmp_path / "log"


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes([0, 32]) + bytes(32))


def swapped(path: Path) -> None:
    other = path.with_name("001")
    first, second = path.read_bytes(), other.read_bytes()
    path.write_bytes(second)
    other.write_bytes(first)


# What is done to which file of the log; what the program that reads all of it says.
FILES: dict[str, tuple[str, Callable[[Path], Any], str, int]] = {
    "an entry changed": ("tile/entries/000", flipped, "The entries do not lead to the root that is signed", 1),
    "an entry cut": ("tile/entries/001", cut, "tile/entries/001 ends in the middle of an entry", 1),
    "an entry more": ("tile/entries/001", longer, "tile/entries/001 has 257 entries, not 256", 1),
    "no entries": ("tile/entries/001", lambda path: path.write_bytes(b""), "has 0 entries, not 256", 1),
    "entries in another order": ("tile/entries/000", swapped, "do not lead to the root that is signed", 1),
    "entries gone": ("tile/entries/000", Path.unlink, "tile/entries/000 cannot be read", 2),
    "a tile changed": ("tile/0/001", flipped, "tile/0/001 does not fit the entries", 1),
    "a tile cut": ("tile/0/000", cut, "tile/0/000 does not fit the entries", 1),
    "tiles in another order": ("tile/0/000", swapped, "tile/0/000 does not fit the entries", 1),
    "a tile gone": ("tile/0/000", Path.unlink, "tile/0/000 cannot be read", 2),
    "a partial tile changed": ("tile/0/002.p/88", flipped, "tile/0/002.p/88 does not fit the entries", 1),
    "a tile above changed": ("tile/1/000.p/2", flipped, "tile/1/000.p/2 does not fit the entries", 1),
    "the checkpoint changed": ("checkpoint", flipped, "of another log|signature of the checkpoint", 1),
    "the checkpoint gone": ("checkpoint", Path.unlink, "checkpoint cannot be read", 2),
}


@pytest.mark.parametrize("what", FILES)
def test_whoever_reads_the_whole_log_is_told_which_file_does_not_match(what: str, whole: Path) -> None:
    name, change, said, status = FILES[what]
    key, fetch = evidence.head().verifier, fetch_from(str(whole))
    head, found = verify_log.check_log(fetch, key)
    assert (head.size, len(found)) == (600, 600)
    change(whole / name)
    with pytest.raises(Refused, match=said) as caught:
        verify_log.check_log(fetch, key)
    assert caught.value.status == status
    assert caught.value.sentence["zh"]


def with_byte(note: bytes, line: int) -> bytes:
    lines = note.split(b"\n")
    lines[line] = lines[line][:-1] + (b"A" if lines[line][-1:] != b"A" else b"B")
    return b"\n".join(lines)


CHECKPOINTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "another name": (lambda note: note.replace(b"localhost", b"elsewhere", 1), "signature of the checkpoint"),
    "another size": (lambda note: with_byte(note, 1), "signature of the checkpoint"),
    "another root": (lambda note: note.replace(b"\n", b"\nA", 2), "signature of the checkpoint"),
    "another log": (lambda note: note.replace(b"localhost", b"elsewhere"), "of another log: elsewhere:8000/log"),
    "no signature": (lambda note: note.partition(b"\n\n")[0] + b"\n\n", "not whole"),
    "a line that is none": (lambda note: note + b"signed by me\n", "is no signature"),
    "not text": (lambda note: b"\xff" + note, "is not what it should be"),
    "nothing": (lambda _: b"", "not whole"),
}


@pytest.mark.parametrize("what", CHECKPOINTS)
@pytest.mark.parametrize("which", [0, 1])
def test_tampered_checkpoints_are_refused(what: str, which: int, grown: tuple[bytes, bytes, Path]) -> None:
    change, said = CHECKPOINTS[what]
    pair = [grown[0], grown[1]]
    pair[which] = change(pair[which])
    with pytest.raises(Refused, match=said):
        verify_consistency.check(*pair, evidence.head().verifier, fetch=fetch_from(str(grown[2])), path=[])


def test_as_a_program(grown: tuple[bytes, bytes, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    earlier, later, folder = grown
    (tmp_path / "earlier").write_bytes(earlier)
    (tmp_path / "later").write_bytes(later)
    proof = [base64.b64encode(found).decode() for found in evidence.consistency(300, 700)]
    (tmp_path / "hashes").write_text("\n".join(proof))
    names = {"earlier", "later", "hashes", "log", "none"}

    def run(*arguments: str) -> tuple[int, str]:
        paths = [str(tmp_path / one) if one in names else one for one in arguments]
        status = verify_consistency.main([*paths, "--key", evidence.head().verifier, "--language", "en"])
        said = capsys.readouterr()
        return status, said.err or said.out

    good = (0, "The 700 entries of localhost:8000/log continue the 300 of before, unchanged.\n")
    assert run("earlier", "later", "--log", "log") == good
    assert run("earlier", "-", "--log", "log") == good
    assert run("earlier", "later", "--proof", "hashes") == good
    assert run("later", "earlier", "--log", "log") == (1, "The log has become shorter.\n")
    assert run("earlier", "later", "--proof", "earlier")[0] == 2
    assert run("earlier", "none", "--log", "log")[0] == 2
    assert run("earlier", "later", "--log", "none")[0] == 2
    with pytest.raises(SystemExit):
        run("earlier", "-", "--proof", "hashes")
    shutil.rmtree(folder)
    assert run("earlier", "-", "--log", "log")[0] == 2
