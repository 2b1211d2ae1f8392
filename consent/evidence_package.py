"""Evidence packages: everything that proves one consent, for a court, as one archive that is checked without us.

The signed versions, the text as it was shown, every event, receipt and read with its statement, salt and proof from the
log, the keys, the log's own key and newest checkpoint, and the programs that check all of it. That one was made, by
whom and why, is itself written down, entered in the log of evidence and told to the holder.
"""

import datetime as dt
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ForeignKey, LargeBinary, String, Text, func, select
from sqlalchemy.orm import Mapped, mapped_column

from consent import documents, evidence, interventions, manifests, programs, receipts
from consent.evidence import LogBroken, NotYet
from consent.history import Registry
from consent.interventions import Stated
from consent.keys import KeyUse
from consent.receipts import Receipt
from consent.records import Consent, ConsentEvent, ConsentNotice, ConsentVersion
from dataspace import accesses, entries, jose, messages
from dataspace.accesses import Access
from dataspace.db import Model, db, new_id
from dataspace.entries import Entry
from dataspace.errors import DomainError
from dataspace.mandates import Actor, Capacity
from dataspace.messages import Group, Notice
from dataspace.sealing import Unreadable, unseal
from dataspace.vault import Vault

SCHEMA, TYP = "gd-dsa-evidence-package/1", "dsa-evidence-package+json"
READS = 1000  # at most: the newest; the list of files says how many there are
Guide = Callable[[dict[str, Any]], bytes]  # what the list says -> how to check, for people


class NothingDecided(DomainError):
    code = "nothing_decided"
    sentence = "Nothing was decided yet, so there is nothing to prove."
    status = 409


class EvidencePackage(Model):
    """That a package was made; ``digest``: SHA-256 of its list of files. ``reason_code``, ``text``: an administrator's.

    Appended, never edited.
    """

    __tablename__ = "evidence_packages"
    package_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    consent_id: Mapped[str] = mapped_column(ForeignKey("consents.consent_id"), index=True)
    made_at: Mapped[dt.datetime]
    person_id: Mapped[str] = mapped_column(String(40))
    capacity: Mapped[str] = mapped_column(String(24))
    reason_code: Mapped[str | None] = mapped_column(String(40))
    text: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(64))
    salt: Mapped[bytes] = mapped_column(LargeBinary(entries.SALT))  # of its entry in the log of evidence


@dataclass(frozen=True, kw_only=True)
class Made:
    """A package as it leaves."""

    package_id: str
    content: bytes


def make(
    consent: Consent, actor: Actor, now: dt.datetime, *, why: Stated | None, guide: Guide, registry: Registry
) -> Made:
    """Make the package of a consent. ``why``: of an administrator. The caller commits before it leaves.

    Raises NothingDecided, NoKey.
    """
    if consent.version == 0:
        raise NothingDecided
    package_id = new_id("evp")
    total = db.session.scalar(select(func.count()).where(Access.consent_id == consent.consent_id)) or 0
    said = {
        "schema": SCHEMA,
        "package_id": package_id,
        "issuer": registry.issuer,
        "consent_id": consent.consent_id,
        "made_at": documents.stamp(now),
        "made_by": {
            "capacity": actor.capacity.value,
            "reason_code": why.ground.value if why else None,
            "text": why.text if why else "",
        },
        "reads": {"total": total, "included": min(total, READS)},
    }
    contents = dict(_files(consent, now, registry))
    contents = {"HOW-TO-CHECK.txt": guide(said)} | contents
    lines = {name: manifests.line(content) for name, content in contents.items()}
    listed = dict(manifests.signed(said, lines, now, typ=TYP, registry=registry))
    _note(consent, actor, now, why, package_id, hashlib.sha256(listed["manifest.json"]).hexdigest())
    return Made(package_id=package_id, content=_zip(contents | listed, now))


def of_consent(consent_id: str) -> list[EvidencePackage]:
    """The packages that were made of a consent, newest first."""
    mine = select(EvidencePackage).filter_by(consent_id=consent_id)
    return list(db.session.scalars(mine.order_by(EvidencePackage.made_at.desc(), EvidencePackage.package_id)))


def entry_of(package: EvidencePackage) -> Entry:
    """Its entry in the log of evidence."""
    stated = ("package_id", "consent_id", "digest", "capacity", "reason_code")
    about = {name: getattr(package, name) for name in stated}
    return Entry.of("evidence_package", package.made_at, package.salt, **about)


def _note(consent: Consent, actor: Actor, now: dt.datetime, why: Stated | None, package_id: str, digest: str) -> None:
    """Write down that it was made, in the log too; tell the holder, whoever made it."""
    package = EvidencePackage(
        package_id=package_id, consent_id=consent.consent_id, made_at=now, person_id=actor.person_id,
        capacity=actor.capacity.value, reason_code=why.ground.value if why else None, text=why.text if why else "",
        digest=digest, salt=entries.new_salt(),
    )  # fmt: skip
    db.session.add(package)
    entries.append(entry_of(package))
    messages.send(consent.space_id, Notice.EVIDENCE_PACKED, Group.SECURITY, now, about=consent.consent_id)
    if actor.capacity == Capacity.ADMINISTRATOR and why is not None:
        interventions.note(
            "evidence:packed", now, actor_id=actor.person_id, subject=consent.holder_id, reason_code=why.ground,
            text=why.text,
        )  # fmt: skip
    db.session.flush()


def _files(consent: Consent, now: dt.datetime, registry: Registry) -> Iterator[tuple[str, bytes]]:
    consent_id, vault = consent.consent_id, registry.vault
    for version in _of(ConsentVersion, consent_id, ConsentVersion.version):
        yield (
            f"versions/{version.version}.json",
            _json({"document": json.loads(version.document), "signature": version.signature}),
        )
    yield from _shown(consent, vault)
    for event in _of(ConsentEvent, consent_id, ConsentEvent.seq):
        yield f"events/{event.seq:04}.json", _json({"event": _event(event), "evidence": _evidence(_entry(event))})
    for receipt in _of(Receipt, consent_id, Receipt.seq):
        try:
            signed = receipts.signed(receipt, vault=vault)
        except Unreadable:  # the space was erased: what is left is the log
            continue
        yield f"receipts/{receipt.receipt_id}.json", signed.file_with(receipts.evidence_of(receipt))
    newest = select(Access).where(Access.consent_id == consent_id).order_by(Access.access_id.desc()).limit(READS)
    for number, access in enumerate(reversed(list(db.session.scalars(newest))), 1):
        yield f"reads/{number:04}.json", _json(_read(access))
    log = evidence.head()
    yield "log/checkpoint", (evidence.cosigned() or log).note
    yield "log/key", f"{log.verifier}\n".encode()
    yield "keys.json", _json(registry.keyring.public_jwk_set(now, purpose=KeyUse.RECORDS))
    for name, content in programs.sources().items():
        yield f"programs/{name}", content


def _shown(consent: Consent, vault: Vault) -> Iterator[tuple[str, bytes]]:
    """The text as it was shown, word for word."""
    for notice in _of(ConsentNotice, consent.consent_id, ConsentNotice.version):
        try:
            key = vault.key(consent.space_id)
        except Unreadable:
            return
        text = unseal(key, notice.sealed, identity=f"{consent.consent_id}:{notice.version}")
        yield f"shown/{notice.version}.txt", text


def _of(model: Any, consent_id: str, order: Any) -> list[Any]:
    return list(db.session.scalars(select(model).where(model.consent_id == consent_id).order_by(order)))


def _event(event: ConsentEvent) -> dict[str, Any]:
    """The event as its digest covers it. Of an administrator it tells the office, not the person, as receipts do."""
    said = {name: getattr(event, name) for name in receipts.EVENT} | {"at": documents.stamp(event.at)}
    return said | {"actor_id": None} if event.capacity == Capacity.ADMINISTRATOR else said


def _entry(event: ConsentEvent) -> Entry | None:
    if event.salt is None:
        return None
    about = {"consent_id": event.consent_id, "seq": event.seq, "digest": event.digest}
    return Entry.of("consent_event", event.at, event.salt, **about)


def _read(access: Access) -> dict[str, Any]:
    """A line of the log of reads: all that is known of it is what was stated of it."""
    entry = accesses.entry_of(access)
    head = {"at": entries.stamp(access.at), "outcome": access.outcome, "delivery_id": access.delivery_id}
    return {"read": head, "evidence": _evidence(entry)}


def _evidence(entry: Entry | None) -> dict[str, Any] | None:
    """With its proof, or without when it is too young or the log stands still; None: it is not provable any more."""
    if entry is None:
        return None
    try:
        return evidence.shown(entry)
    except (NotYet, LogBroken):
        return {"entry": entry.digest.hex(), "statement": entry.statement, "salt": entry.salt.hex(), "proof": None}


def _json(value: Any) -> bytes:
    return jose.canonical(value) + b"\n"


def _zip(contents: dict[str, bytes], now: dt.datetime) -> bytes:
    spool = io.BytesIO()
    with zipfile.ZipFile(spool, "w") as file:
        for name, content in contents.items():
            file.writestr(manifests.entry(name, now), content)
    return spool.getvalue()
