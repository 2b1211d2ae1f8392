"""Checking a certificate that somebody brings (SD-JWT VC): is it ours and unchanged, and what is it worth now?

Only its number is looked up, and not before it has turned out to be genuine. Of what became of it no more is told than
the public list of statuses says, whether its data was corrected, and whether it was ever used; whose doing the rest was
is for its holder.
"""

import datetime as dt
import enum
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import select

from consent import certificate_standing, data_certificates, evidence
from consent.certificate_issue import TYP, VCT
from consent.certificate_standing import Why
from consent.data_certificates import CertificateStep, DataCertificate
from consent.history import Registry
from consent.keys import KeyUse
from consent.sd_jwt import ALGORITHM, Disclosure
from consent.status_lists import Status
from dataspace import jose
from dataspace.db import db
from dataspace.jose import InvalidToken, UnknownKey
from dataspace.jwk import b64encode

MAX_BYTES = 240 * 1024  # fits into a form with everything around it
BINDING_TYP = "kb+jwt"


class Wrong(enum.StrEnum):
    """Why it is not to be believed."""

    UNREADABLE = "unreadable"
    FOREIGN = "foreign"  # signed by a key that is none of ours
    SIGNATURE = "signature"
    KIND = "kind"  # signed by us, and something else
    ISSUER = "issuer"  # signed by us, in the name of somebody else
    DISCLOSURE = "disclosure"  # what is shown does not stand in what was signed
    BINDING = "binding"  # of whoever showed it


class Worth(enum.StrEnum):
    VALID = "valid"
    EXPIRED = "expired"
    FROZEN = "frozen"
    ENDED = "ended"  # before its time: revoked, or over with its authorization; the list of statuses does not say which
    SUPERSEDED = "superseded"  # its data was corrected at the source
    UNKNOWN = "unknown"


class Bound(enum.StrEnum):
    """What is known of the one who showed it."""

    TO_NOBODY = "to_nobody"
    UNPROVEN = "unproven"
    PROVEN = "proven"


@dataclass(frozen=True)
class Refusal:
    """What does not match. ``named``: the field or issuer; anybody may have written it. ``label``: ours, of a field."""

    wrong: Wrong
    named: str = ""
    label: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Genuine:
    """One that is ours. ``content``: what was signed; ``shown``: {place: {name: value}}; ``hidden``: how many are not.

    ``index``: of its first entry in the log of evidence, or None; ``audience``: for whom it was shown, or "".
    """

    content: dict[str, Any]
    shown: dict[str, dict[str, Any]]
    hidden: int
    worth: Worth
    used: bool
    index: int | None
    bound: Bound
    audience: str


class _DoesNotHold(Exception):
    def __init__(self, wrong: Wrong, named: str = "", label: Mapping[str, str] | None = None) -> None:
        super().__init__(wrong)
        self.refusal = Refusal(wrong, named, label)


def is_one(unverified: bytes) -> bool:
    """Whether what was brought is a certificate rather than anything else, by its first look."""
    first = unverified.strip().partition(b"~")[0]
    try:
        return jose.media_type(jose.read(_joined(first), longest=MAX_BYTES).header.get("typ")) == TYP
    except (InvalidToken, UnicodeDecodeError):
        return b"~" in unverified and unverified.lstrip().startswith(b"eyJ")


def check(unverified: bytes, now: dt.datetime, *, registry: Registry) -> Genuine | Refusal:
    """Check one, with or without key binding. Never raises for what is brought."""
    try:
        text = _joined(unverified)
        signed, *disclosures, binding = text.split("~")
        if len(text) > MAX_BYTES or text == signed:
            return Refusal(Wrong.UNREADABLE)
        content = _content(signed, now, registry)
        shown, hidden = _shown(content, disclosures)
        bound, audience = _bound(content, text.removesuffix(binding), binding)
        row = _row(content, signed)
        worth = _worth(content, row, now)
    except _DoesNotHold as error:
        return error.refusal
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Refusal(Wrong.UNREADABLE)
    used = row is not None and row.uses > 0
    return Genuine(
        content=content, shown=shown, hidden=hidden, worth=worth, used=used, index=_index(row), bound=bound,
        audience=audience,
    )  # fmt: skip


def _joined(unverified: bytes) -> str:
    """Without the breaks that mail puts into long lines. Raises UnicodeDecodeError."""
    return "".join(unverified.decode("ascii").split())


def _content(signed: str, now: dt.datetime, registry: Registry) -> dict[str, Any]:
    """What we have signed. Raises _DoesNotHold."""
    try:
        token = jose.read(signed, longest=MAX_BYTES)
    except InvalidToken:
        raise _DoesNotHold(Wrong.UNREADABLE) from None
    try:
        kid = str(token.header.get("kid"))
        key = registry.keyring.verification_key(kid, purpose=KeyUse.CERTIFICATES, now=now)
        verified = jose.verify_bytes(token, key, algorithms={"ES256"}, expected_typ=TYP)
    except UnknownKey:
        raise _DoesNotHold(Wrong.FOREIGN) from None
    except InvalidToken:
        raise _DoesNotHold(Wrong.SIGNATURE) from None
    content: dict[str, Any] = orjson.loads(verified.payload)
    if content.get("vct") != VCT or content.get("_sd_alg") != ALGORITHM:
        raise _DoesNotHold(Wrong.KIND)
    if content["iss"] != registry.issuer:
        raise _DoesNotHold(Wrong.ISSUER, str(content["iss"]))
    return content


def _shown(content: Mapping[str, Any], disclosures: Sequence[str]) -> tuple[dict[str, dict[str, Any]], int]:
    """What is shown, by place and name (RFC 9901 section 7.1), and how much is not. Raises _DoesNotHold."""
    places = {
        digest: place
        for place, members in content.items()
        if isinstance(members, dict)
        for digest in members.get("_sd", ())
    }
    shown: dict[str, dict[str, Any]] = {place: {} for place in sorted(set(places.values()))}
    for encoded in disclosures:
        try:
            found = Disclosure.read(encoded)
        except InvalidToken:
            raise _DoesNotHold(Wrong.DISCLOSURE) from None
        place = places.pop(found.digest, None)  # twice the same is no better than another
        if place is None:
            raise _DoesNotHold(Wrong.DISCLOSURE, found.name, content["labels"].get(found.name))
        shown[place][found.name] = found.value
    return shown, len(places)


def _bound(content: Mapping[str, Any], covered: str, binding: str) -> tuple[Bound, str]:
    """Whether whoever showed it has signed that it is their own, and for whom (RFC 9901 section 7.3).

    For whom and when is not ours to judge. Raises _DoesNotHold.
    """
    key = content.get("cnf", {}).get("jwk")
    if not binding:
        return (Bound.TO_NOBODY if key is None else Bound.UNPROVEN), ""
    try:
        verified = jose.verify_bytes(
            binding, jose.public_key(key), algorithms=jose.ASYMMETRIC, expected_typ=BINDING_TYP
        )
        claims = orjson.loads(verified.payload)
        fits = claims["sd_hash"] == b64encode(hashlib.sha256(covered.encode()).digest())
        audience = str(claims["aud"])
    except (InvalidToken, ValueError, KeyError, TypeError):
        raise _DoesNotHold(Wrong.BINDING) from None
    if not fits:
        raise _DoesNotHold(Wrong.BINDING)
    return Bound.PROVEN, audience


def _row(content: Mapping[str, Any], signed: str) -> DataCertificate | None:
    row = db.session.get(DataCertificate, content["certificate_no"])
    return row if row is not None and row.digest == hashlib.sha256(signed.encode()).hexdigest() else None


def _worth(content: Mapping[str, Any], row: DataCertificate | None, now: dt.datetime) -> Worth:
    if content["exp"] <= now.timestamp():
        return Worth.EXPIRED
    if row is None:
        return Worth.UNKNOWN
    standing = certificate_standing.standing(row.certificate_id, now)
    if standing.why is Why.SUPERSEDED:
        return Worth.SUPERSEDED
    of = {Status.VALID: Worth.VALID, Status.SUSPENDED: Worth.FROZEN, Status.INVALID: Worth.ENDED}
    return of[standing.status]


def _index(row: DataCertificate | None) -> int | None:
    """Where the log of evidence says that it was made."""
    if row is None:
        return None
    first = select(CertificateStep).filter_by(certificate_id=row.certificate_id).order_by(CertificateStep.seq).limit(1)
    entry = data_certificates.entry_of(db.session.scalars(first).one(), row)
    return evidence.positions([entry]).get(entry.key) if entry is not None else None
