"""Signed notes, checkpoints, cosignatures: what others have published verifies, nothing passes in a second spelling.

Vectors: the tests of golang.org/x/mod/sumdb/note, the texts of C2SP signed-note, tlog-checkpoint, tlog-cosignature.
"""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from consent import notes
from consent.notes import COSIGNATURE, Checkpoint, InvalidNote, Note, Signature, Signer, Verifier

PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_PRIVATE = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"  # of PRIVATE+KEY+PeterNeumann+c74f20a3+...
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETERS = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
ENOCHS = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
CHECKPOINT = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""  # noqa: E501 - as it is published


def signer(kind: int = notes.ED25519, name: str = "PeterNeumann") -> Signer:
    private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(PETER_PRIVATE)[1:])
    return Signer(name=name, private=private, kind=kind)


def test_we_sign_as_others_do() -> None:
    assert str(signer().verifier) == PETER
    assert str(signer().sign(TEXT)) == PETERS
    for key in (PETER, ENOCH):
        assert str(Verifier.parse(key)) == key


def test_what_others_have_signed_verifies() -> None:
    note = Note.parse((TEXT + "\n" + PETERS + ENOCHS).encode())
    peter, enoch = Verifier.parse(PETER), Verifier.parse(ENOCH)
    assert [s.name for s in note.verified([peter, enoch])] == ["PeterNeumann", "EnochRoot"]
    assert [s.name for s in note.verified([enoch])] == ["EnochRoot"], "unknown keys are ignored"
    assert bytes(note) == (TEXT + "\n" + PETERS + ENOCHS).encode()


def test_the_checkpoint_of_the_specification() -> None:
    note = Note.parse(CHECKPOINT.encode())
    checkpoint = Checkpoint.parse(note.text)
    assert (checkpoint.origin, checkpoint.size, checkpoint.extensions) == ("example.com/behind-the-sofa", 20852163, ())
    assert checkpoint.text == note.text
    assert bytes(note) == CHECKPOINT.encode()
    assert notes.timestamp_of(note.signatures[1].blob) == 1679315147  # its text says "time 1679315147"


def test_a_signature_that_does_not_match_condemns_the_note() -> None:
    peter, enoch = Verifier.parse(PETER), Verifier.parse(ENOCH)
    for raw in (
        TEXT.replace("your", "my", 1) + "\n" + PETERS,
        TEXT + "\n" + PETERS.replace("x08go/ZJ", "x08go/ZK"),
        TEXT + "\n" + ENOCHS + PETERS.replace("AM=", "QM="),
    ):
        with pytest.raises(InvalidNote):
            Note.parse(raw.encode()).verified([peter, enoch])
    with pytest.raises(InvalidNote, match="that we know"):
        Note.parse((TEXT + "\n" + PETERS).encode()).verified([enoch])


def test_a_cosignature_signs_the_time_and_the_text() -> None:
    """tlog-cosignature, Ed25519 signed message: put together here by hand."""
    witness = signer(COSIGNATURE, "witness.example/w")
    note = Note.parse(CHECKPOINT.encode())
    made = witness.sign(note.text, timestamp=1700000000)
    assert made.blob[:8] == (1700000000).to_bytes(8, "big")
    message = b"cosignature/v1\ntime 1700000000\n" + note.text.encode()
    witness.private.public_key().verify(made.blob[8:], message)
    public = witness.private.public_key().public_bytes_raw()
    assert made.key_id == hashlib.sha256(b"witness.example/w\n\x04" + public).digest()[:4]
    assert Note(note.text, (made,)).verified([Verifier.parse(str(witness.verifier))]) == (made,)
    later = Signature(name=made.name, key_id=made.key_id, blob=(1700000001).to_bytes(8, "big") + made.blob[8:])
    for wrong in (later, Signature(name=made.name, key_id=made.key_id, blob=made.blob[8:])):
        with pytest.raises(InvalidNote):
            Note(note.text, (wrong,)).verified([witness.verifier])
    with pytest.raises(ValueError, match="when it was made"):
        witness.sign(note.text)
    with pytest.raises(InvalidNote):
        notes.timestamp_of(b"\xff" * 8)


def test_a_key_in_another_spelling_is_none() -> None:
    """As golang.org/x/mod/sumdb/note tests itself: no part of a key is a key, nor one with a letter changed."""
    wrong = {PETER[a:b] for a in range(len(PETER)) for b in range(a + 1, len(PETER) + 1)} - {PETER}
    wrong |= {PETER[:n] + chr(ord(PETER[n]) + 1) + PETER[n + 1 :] for n in range(len(PETER))}
    wrong |= {
        "",
        PETER.replace("c74f20a3", "C74F20A3"),
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    }
    for text in wrong:
        with pytest.raises(InvalidNote):
            Verifier.parse(text)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        TEXT.encode(),
        (TEXT + PETERS).encode(),
        (TEXT + "\n").encode(),
        (TEXT + "\n" + PETERS).encode().removesuffix(b"\n"),
        (TEXT + "\n" + PETERS + "\n").encode(),
        (TEXT + "\n" + PETERS + "and more\n").encode(),
        (TEXT + "\n" + PETERS).replace("\n", "\r\n").encode(),
        (TEXT + "\n" + PETERS).replace("—", "-").encode(),
        (TEXT + "\n" + PETERS).replace("— Peter", "—  Peter").encode(),
        (TEXT + "\n" + PETERS).replace("Neumann", "\u00a0Neumann").encode(),
        (TEXT + "\n" + PETERS).replace("Neumann", "+Neumann").encode(),
        (TEXT + "\n" + PETERS).replace("AM=", "AN=").encode(),  # the same bytes to a careless decoder
        (TEXT + "\n" + PETERS).replace("AM=", "AM").encode(),
        (TEXT + "\n" + PETERS).replace("x08go", "x08 go").encode(),
        (TEXT + "\n— PeterNeumann x08gow==\n").encode(),
        (TEXT + "\n" + PETERS).replace("problem", "prob\tlem").encode(),
        (TEXT + "\n" + PETERS).replace("problem", "prob\0lem").encode(),
        (TEXT + "\n" + PETERS).encode("utf-16"),
        (TEXT + "\n" + PETERS).encode("latin-1", "replace") + b"\xff",
        (TEXT + "\n" + PETERS * 101).encode(),
        (TEXT * 20_000 + "\n" + PETERS).encode(),
    ],
)
def test_what_is_no_note_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidNote):
        Note.parse(raw)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\n1\n",
        "\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a\n-1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a\n+1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a\n1_0\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a\n٣\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a\n9223372036854775808\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n",
        "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxqw==\n",
        "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=",
        "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n",
        "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\nb\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(InvalidNote):
        Checkpoint.parse(text)


_line = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


@given(_line, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32), st.lists(_line, max_size=3))
def test_a_checkpoint_comes_back_as_it_was(origin: str, size: int, root: bytes, extensions: list[str]) -> None:
    checkpoint = Checkpoint(origin=origin, size=size, root=root, extensions=tuple(extensions))
    note = notes.sign(checkpoint, signer())
    assert Note.parse(bytes(note)) == note
    assert Checkpoint.parse(note.text) == checkpoint


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_garbage_raises_one_kind_of_error(raw: bytes) -> None:
    for parse in (Note.parse, lambda r: Checkpoint.parse(r.decode("latin-1")), lambda r: Verifier.parse(str(r))):
        with pytest.raises(InvalidNote):
            parse(raw)
