"""Receipts: what happened to a consent, signed, with its whole content in plain words; the holder's own proof.

Every event that a holder has to know of has one, written in the transaction of the event itself. A receipt stands for
itself: it carries the consent as it was signed and the text as it was shown, so that it is checked without us, by
``verifier/verify_receipt.py``, and says what it says also when we are gone. It is kept sealed under the key of the
holder's space, because it names the holder; only its digest is in clear.
"""

import datetime as dt
import hashlib
import json
import re
import zlib
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ForeignKey, LargeBinary, String, UniqueConstraint, select
from sqlalchemy.orm import Mapped, mapped_column

from consent import documents, evidence, receipt_words
from consent.keys import Keyring, KeyUse
from consent.records import CURRENT_VERSION, OPEN, Consent, ConsentEvent, ConsentNotice, ConsentVersion, Event
from dataspace import entries, jose
from dataspace.db import Model, db, new_id
from dataspace.entries import Entry
from dataspace.errors import NotFound
from dataspace.mandates import Capacity
from dataspace.sealing import seal, unseal
from dataspace.vault import DataKey, Vault

SCHEMA = "gd-dsa-receipt/1"
TYP = "dsa-receipt+json"
# Nothing has been decided by these. Whatever is not named here has a receipt.
WITHOUT = frozenset({Event.REQUESTED, Event.PAGE_OPENED, Event.EXPIRY_ANNOUNCED, Event.REMINDED})
STOPPABLE = frozenset(OPEN)
_NUMBER, _FINGERPRINT = re.compile(r"rcp_[0-9a-f]{24}"), re.compile(r"[0-9a-f]{64}")


class Receipt(Model):
    """One receipt. ``sealed``: a :class:`Signed`, compressed; ``digest``: SHA-256 of what is signed."""

    __tablename__ = "receipts"
    __table_args__ = (UniqueConstraint("consent_id", "seq"),)
    receipt_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    consent_id: Mapped[str] = mapped_column(ForeignKey("consents.consent_id"))
    seq: Mapped[int]  # of the event
    version: Mapped[int]
    kind: Mapped[str] = mapped_column(String(40))  # of the event
    issued_at: Mapped[dt.datetime]
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    digest: Mapped[str] = mapped_column(String(64))
    salt: Mapped[bytes | None] = mapped_column(LargeBinary(entries.SALT))  # of its entry in the log of evidence

    @property
    def entry(self) -> Entry | None:
        """Its entry in the log of evidence; None when its salt is gone, or it is older than the log."""
        return entry_of(self)


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A receipt as it was signed. ``payload``: canonical JSON; ``signature``: the JWS over it, without it."""

    payload: bytes
    signature: str

    @property
    def content(self) -> dict[str, Any]:
        """What it says."""
        found: dict[str, Any] = json.loads(self.payload)
        return found

    @property
    def compact(self) -> str:
        """As a compact JWS (RFC 7515 section 7.1)."""
        header, _nothing, signature = self.signature.split(".")
        return f"{header}.{jose.b64encode(self.payload)}.{signature}"

    @property
    def file(self) -> bytes:
        """As a JSON file that people can read: {evidence, receipt, signature}, canonical."""
        return self.file_with(None)

    def file_with(self, evidence: dict[str, Any] | None) -> bytes:
        """The same with the proof that the log of evidence has it: it is signed before there can be one."""
        return jose.canonical({"receipt": self.content, "signature": self.signature, "evidence": evidence})

    @classmethod
    def sign(cls, content: dict[str, Any], key: jose.SigningKey) -> "Signed":
        """Sign what a receipt says."""
        payload = jose.canonical(content)
        header, _payload, signature = jose.sign_bytes(payload, key, typ=TYP).split(".")
        return cls(payload=payload, signature=f"{header}..{signature}")

    def pack(self) -> bytes:
        """For the table."""
        return zlib.compress(self.signature.encode() + b"\n" + self.payload)

    @classmethod
    def unpack(cls, packed: bytes) -> "Signed":
        """The inverse of :meth:`pack`."""
        signature, _newline, payload = zlib.decompress(packed).partition(b"\n")
        return cls(payload=payload, signature=signature.decode())


def issue(consent_id: str, now: dt.datetime, *, vault: Vault, keyring: Keyring, issuer: str) -> None:
    """Add the receipt of the last event of a consent to the session.

    There is none once the space's key is destroyed: there is nobody left to hand it to. Raises NoKey.
    """
    found = db.session.execute(_all_about(consent_id)).one()
    if found.wrapped is None:
        return
    key = vault.unwrap(found.wrapped, identity=found.space_id)
    notice = unseal(key, found.notice, identity=f"{consent_id}:{found.notice_version}").decode() if found.notice else ""
    receipt_id = new_id("rcp")
    content = _content(found, notice, receipt_id=receipt_id, now=now, issuer=issuer)
    made = Signed.sign(content, keyring.signing_key(KeyUse.RECORDS, now))
    digest = hashlib.sha256(made.payload).hexdigest()
    entry = Entry.new("receipt", now, receipt_id=receipt_id, digest=digest)
    entries.append(entry)
    db.session.add(
        Receipt(
            receipt_id=receipt_id,
            consent_id=consent_id,
            seq=found.seq,
            version=found.version,
            kind=found.kind,
            issued_at=now,
            sealed=seal(key, made.pack(), identity=receipt_id),
            digest=digest,
            salt=entry.salt,
        )
    )
    db.session.flush()


def of_consent(consent_id: str) -> list[Receipt]:
    """The receipts of a consent, newest first."""
    return list(db.session.scalars(select(Receipt).filter_by(consent_id=consent_id).order_by(Receipt.seq.desc())))


def latest(consent_id: str) -> Receipt | None:
    """The newest receipt of a consent."""
    query = select(Receipt).filter_by(consent_id=consent_id).order_by(Receipt.seq.desc()).limit(1)
    return db.session.scalar(query)


def of_space(receipt_id: str, space_id: str) -> Receipt:
    """A receipt of one space. Raises NotFound when there is none or it is somebody else's."""
    own = select(Receipt).join(Consent, Consent.consent_id == Receipt.consent_id)
    found = db.session.scalar(own.where(Receipt.receipt_id == receipt_id, Consent.space_id == space_id))
    if not space_id or found is None:
        raise NotFound("not a receipt of this space")
    return found


def issued(unverified_id: str, unverified_digest: str) -> Receipt | None:
    """The receipt of this number with this fingerprint (SHA-256, hex), if there is one."""
    if not _NUMBER.fullmatch(unverified_id) or not _FINGERPRINT.fullmatch(unverified_digest):
        return None
    query = select(Receipt).where(Receipt.receipt_id == unverified_id, Receipt.digest == unverified_digest)
    return db.session.scalar(query)


def signed(receipt: Receipt, *, vault: Vault) -> Signed:
    """The receipt as it was signed. Raises Unreadable once the space's key is destroyed."""
    space_id = db.session.get_one(Consent, receipt.consent_id).space_id
    return Signed.unpack(unseal(vault.key(space_id), receipt.sealed, identity=receipt.receipt_id))


def in_log(receipt: Receipt) -> bool:
    """Whether there is a proof of a receipt by now; one that is older than the log never has one."""
    return receipt.entry is not None and evidence.has(receipt.entry)


def proof_of(receipt: Receipt) -> dict[str, Any]:
    """That a receipt is in the log of evidence, for whoever has it: {entry, statement, salt, proof}. Raises NotYet."""
    if receipt.entry is None:
        raise evidence.NotYet("older than the log, or its salt is gone")
    return evidence.shown(receipt.entry)


def evidence_of(receipt: Any) -> dict[str, Any] | None:
    """The same of a row of receipts; None when there is no proof yet, or never will be."""
    entry = entry_of(receipt)
    try:
        return evidence.shown(entry) if entry is not None else None
    except (evidence.NotYet, evidence.LogBroken):  # a receipt is worth having also while the log stands still
        return None


def entry_of(receipt: Any) -> Entry | None:
    """The entry of a row of receipts; None when its salt is gone, or it is older than the log."""
    if receipt.salt is None:
        return None
    about = {"receipt_id": receipt.receipt_id, "digest": receipt.digest}
    return Entry.of("receipt", receipt.issued_at, receipt.salt, **about)


def _all_about(consent_id: str) -> Any:
    """One row: the head, its version, the last event, the latest text that was shown, the key of the space."""
    last_notice = (
        select(ConsentNotice.version)
        .where(ConsentNotice.consent_id == consent_id)
        .order_by(ConsentNotice.version.desc())
        .limit(1)
        .scalar_subquery()
    )
    last = (ConsentEvent.consent_id == Consent.consent_id) & (ConsentEvent.seq == Consent.last_seq)
    notice = (ConsentNotice.consent_id == Consent.consent_id) & (ConsentNotice.version == last_notice)
    return (
        select(
            Consent.consent_id,
            Consent.space_id,
            Consent.state,
            Consent.version,
            ConsentVersion.document,
            ConsentVersion.digest.label("document_digest"),
            *(getattr(ConsentEvent, name) for name in EVENT),
            ConsentNotice.sealed.label("notice"),
            ConsentNotice.version.label("notice_version"),
            DataKey.wrapped,
        )
        .select_from(Consent)
        .join(ConsentEvent, last)
        .outerjoin(ConsentVersion, CURRENT_VERSION)
        .outerjoin(ConsentNotice, notice)
        .outerjoin(DataKey, DataKey.space_id == Consent.space_id)
        .where(Consent.consent_id == consent_id)
    )


EVENT = (
    "seq", "kind", "at", "actor_id", "capacity", "channel", "reason_code", "text", "changes", "previous_digest",
    "digest",
)  # fmt: skip


def _content(found: Any, notice: str, *, receipt_id: str, now: dt.datetime, issuer: str) -> dict[str, Any]:
    """What is signed. ``digests`` name its parts, so that an altered receipt shows which part was altered."""
    document = json.loads(found.document)
    said: dict[str, Any] = {
        "schema": SCHEMA,
        "receipt_id": receipt_id,
        "issuer": issuer,
        "issued_at": documents.stamp(now),
        "kind": found.kind.partition(":")[2],
        "status": found.state,
        "language": document["language"],
        "words": {
            "what": receipt_words.what(found.kind, channel=found.channel),
            "withdraw": receipt_words.withdraw() if found.state in STOPPABLE else None,
        },
        "event": _event(found),
        "consent": document,
        "consent_digest": f"sha-256:{found.document_digest}",
        "notice": {"text": notice, "digest": document["notice"]["digest"]},
    }
    return said | {"digests": {name: jose.digest(part) for name, part in parts(said).items()}}


def _event(found: Any) -> dict[str, Any]:
    """The event as its digest covers it. Of an administrator it tells the office, not the person."""
    event = {name: getattr(found, name) for name in EVENT} | {"at": documents.stamp(found.at)}
    if found.capacity == Capacity.ADMINISTRATOR:
        event["actor_id"] = None
    return event


def parts(said: dict[str, Any]) -> dict[str, Any]:
    """Everything in a receipt that has a digest of its own, by name: ``head``, ``words``, ``consent/use`` …"""
    own = {name: part for name, part in said.items() if name not in ("consent", "digests")}
    found = _head_and_blocks("", own)
    for name, part in _head_and_blocks("consent/", said["consent"]).items():
        if name == "consent/items":
            found |= {f"{name}/{number}": item for number, item in enumerate(part)}
        else:
            found[name] = part
    return found


def _head_and_blocks(prefix: str, members: dict[str, Any]) -> dict[str, Any]:
    blocks = {name: part for name, part in members.items() if isinstance(part, dict | list)}
    head = {name: part for name, part in members.items() if name not in blocks}
    return {f"{prefix}head": head} | {f"{prefix}{name}": part for name, part in blocks.items()}
