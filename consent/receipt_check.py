"""Checking a receipt that somebody brings: is it ours, unchanged, and in the log? If not, what does not fit.

Nothing is looked up before it has turned out to be genuine: whoever has only the number of a receipt learns nothing of
it here, whatever is tried. Of a genuine one nothing is told that does not stand in it but that the log has it.
"""

import datetime as dt
import enum
import hashlib
import json
import re
import zlib
from dataclasses import dataclass
from typing import Any

from consent import evidence, proof_check, receipts
from consent.keys import Keyring, KeyUse
from consent.proof_check import DoesNotHold, Fault, Place
from dataspace import jose
from dataspace.jose import InvalidToken, UnknownKey

MAX_BYTES = 240 * 1024  # fits into a form with everything around it; an honest PDF has 60 k or so
_CARRIED = re.compile(rb"/Type /EmbeddedFile[^<>]{0,200}>>\s{1,4}stream\r?\n")  # as our PDF carries its signed file


class Verdict(enum.StrEnum):
    GENUINE = "genuine"
    ALTERED = "altered"
    FOREIGN = "foreign"  # signed by a key that is none of ours
    RESAVED = "resaved"  # the file is not as it was downloaded; what it says cannot be compared with its signature
    UNREADABLE = "unreadable"


class InLog(enum.StrEnum):
    """What is known of a genuine receipt and the log of evidence."""

    PROVEN = "proven"  # by what was brought with it
    HAS = "has"  # by us: no proof was brought
    SOON = "soon"
    WRONG = "wrong"  # the proof that was brought does not match
    NO = "no"  # it is older than the log, or erased


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What came out. ``content``: of a genuine receipt only; ``on_paper``: it was brought as a PDF.

    ``wrong``: of an altered one the parts that do not fit, as {name: part}, with words that anybody may have put there.
    ``in_log``: of a genuine one, with its ``place``, or what of the proof does not match (``fault``).
    """

    verdict: Verdict
    content: dict[str, Any] | None = None
    wrong: dict[str, Any] | None = None
    on_paper: bool = False
    in_log: InLog = InLog.NO
    place: Place | None = None
    fault: Fault | None = None


@dataclass(frozen=True, kw_only=True)
class _Brought:
    """``resaved``: the file was saved anew in another form."""

    compact: str
    evidence: Any = None
    resaved: bool = False


def check(unverified: bytes, now: dt.datetime, *, keyring: Keyring) -> Finding:
    """Check a receipt in any of its forms. Never raises for what is brought."""
    try:
        brought = _open(unverified)
        token = jose.read(brought.compact, longest=2 * MAX_BYTES)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidToken):
        return Finding(verdict=Verdict.UNREADABLE)
    if brought.resaved:
        return Finding(verdict=Verdict.RESAVED)
    try:
        kid = str(token.header.get("kid"))
        key = keyring.verification_key(kid, purpose=KeyUse.RECORDS, now=now)
        verified = jose.verify_bytes(token, key, algorithms={"ES256"}, expected_typ=receipts.TYP)
    except UnknownKey:
        return Finding(verdict=Verdict.FOREIGN)
    except InvalidToken:
        return Finding(verdict=Verdict.ALTERED, wrong=_wrong(token.payload))
    state, place, fault = _in_log(verified.payload, brought.evidence)
    return Finding(
        verdict=Verdict.GENUINE,
        content=json.loads(verified.payload),
        on_paper=unverified.startswith(b"%PDF-"),
        in_log=state,
        place=place,
        fault=fault,
    )


def _in_log(payload: bytes, unverified_evidence: Any) -> tuple[InLog, Place | None, Fault | None]:
    """Of a genuine receipt."""
    receipt_id, digest = json.loads(payload)["receipt_id"], hashlib.sha256(payload).hexdigest()
    try:
        if unverified_evidence is not None:
            about = {"kind": "receipt", "receipt_id": receipt_id, "digest": digest}
            place = proof_check.check(unverified_evidence, evidence.verifiers(), expected_about=about)
            return InLog.PROVEN, place, None
    except DoesNotHold as error:
        return InLog.WRONG, None, error.fault
    row = receipts.issued(receipt_id, digest)
    if row is None or row.entry is None:
        return InLog.NO, None, None
    return InLog.HAS if receipts.in_log(row) else InLog.SOON, None, None


def _open(unverified: bytes) -> _Brought:
    if len(unverified) > MAX_BYTES:
        raise ValueError("too large")
    text = _carried(unverified) if unverified.startswith(b"%PDF-") else unverified.strip()
    if not text.startswith(b"{"):
        return _Brought(compact=text.decode("ascii"))
    whole = json.loads(text)
    header, nothing, signature = whole["signature"].split(".")
    if nothing or set(whole) != {"receipt", "signature", "evidence"}:
        raise ValueError("another file")
    payload = jose.canonical(whole["receipt"])
    # The canonical form of a receipt shows every change; in any other form a second member of a name could hide.
    return _Brought(
        compact=f"{header}.{jose.b64encode(payload)}.{signature}",
        evidence=whole["evidence"],
        resaved=jose.canonical(whole) != text,
    )


def _carried(pdf: bytes) -> bytes:
    """The signed file that a PDF of ours carries. Raises ValueError when there is none, or not one only."""
    places = [found.end() for found in _CARRIED.finditer(pdf)]
    if len(places) != 1:
        raise ValueError("not one file in it")
    try:
        return zlib.decompressobj().decompress(pdf[places[0] :], MAX_BYTES)  # no more of it, whatever it would become
    except zlib.error:
        raise ValueError("damaged") from None


def _wrong(payload: bytes) -> dict[str, Any]:
    """The parts that do not fit their digests; empty when that cannot be told."""
    try:
        content = json.loads(payload)
        parts, digests = receipts.parts(content), content["digests"]
        return {name: part for name, part in parts.items() if jose.digest(part) != digests.get(name)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidToken):
        return {}
