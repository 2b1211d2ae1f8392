"""Checking a proof that somebody brings: that a statement is in our log of evidence, or what of it does not match.

Nothing is looked up but the key of the log.
"""

import base64
import enum
import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from consent import evidence, merkle
from consent.merkle import InvalidProof
from consent.notes import Checkpoint, InvalidNote, Note, Verifier
from dataspace import entries, jose
from dataspace.errors import DomainError
from dataspace.jose import InvalidToken

MEMBERS = {"entry", "statement", "salt", "proof"}
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})", re.ASCII)


class Fault(enum.StrEnum):
    """What of a proof does not match."""

    UNREADABLE = "unreadable"
    STATEMENT = "statement"  # with its salt it does not lead to the entry
    OTHER_THING = "other_thing"  # it is about something else than it was brought for
    OTHER_LOG = "other_log"
    SIGNATURE = "signature"  # of the checkpoint
    PATH = "path"  # it does not lead from the entry to the checkpoint


class DoesNotHold(DomainError):
    code = "proof_does_not_hold"
    sentence = "The proof does not match."

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where something is: the ``index``-th entry of a log that had ``size`` of them by then."""

    index: int
    size: int


def check(unverified: Any, verifiers: Collection[Verifier], *, expected_about: dict[str, Any]) -> Place:
    """Check what :func:`consent.evidence.shown` hands out, brought back. ``expected_about``: what it has to state.

    ``verifiers``: the keys of our logs. Raises DoesNotHold.
    """
    try:
        if set(unverified) != MEMBERS:
            raise DoesNotHold(Fault.UNREADABLE)
        statement, salt = unverified["statement"], bytes.fromhex(unverified["salt"])
        entry, proof = bytes.fromhex(unverified["entry"]), unverified["proof"].encode()
        digest = hashlib.sha256(salt + jose.canonical(statement)).digest()
        said = {name: statement.get(name) for name in expected_about}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidToken):
        raise DoesNotHold(Fault.UNREADABLE) from None
    if digest != entry:
        raise DoesNotHold(Fault.STATEMENT)
    if said != expected_about or statement.get("schema") != entries.SCHEMA:
        raise DoesNotHold(Fault.OTHER_THING)
    return _place(proof, entry, verifiers)


def _place(proof: bytes, entry: bytes, verifiers: Collection[Verifier]) -> Place:
    """C2SP tlog-proof, without its ``extra`` line, which we do not write."""
    above, _blank, note = proof.partition(b"\n\n")
    head, *lines = above.decode("utf-8", "replace").split("\n")
    index = _INDEX.fullmatch(lines[0]) if lines else None
    if head != evidence.PROOF or index is None:
        raise DoesNotHold(Fault.UNREADABLE)
    try:
        hashes = [base64.b64decode(line, validate=True) for line in lines[1:]]
        signed = Note.parse(note)
        checkpoint = Checkpoint.parse(signed.text)
    except (InvalidNote, ValueError):
        raise DoesNotHold(Fault.UNREADABLE) from None
    known = [verifier for verifier in verifiers if verifier.name == checkpoint.origin]
    if not known:
        raise DoesNotHold(Fault.OTHER_LOG)
    try:
        signed.verified(known)
    except InvalidNote:
        raise DoesNotHold(Fault.SIGNATURE) from None
    at, size = int(index[1]), checkpoint.size
    try:
        root = merkle.root_of_inclusion(merkle.leaf_hash(entry), at, size, hashes)
    except InvalidProof:
        raise DoesNotHold(Fault.PATH) from None
    if root != checkpoint.root:
        raise DoesNotHold(Fault.PATH)
    return Place(index=at, size=size)
