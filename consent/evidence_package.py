"""Evidence packages: everything that proves one consent, for a court, as one archive that is checked without us.

The signed versions, the text as it was shown, every event, receipt and read with its statement, salt and proof from the
log, the keys, the log's own key and newest checkpoint, and the programs that check all of it. The worker makes it as it
makes archives, with all reads, however many. That one was made, by whom and why, is itself written down, entered in the
log of evidence and told to the holder.
"""

import datetime as dt
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import ForeignKey, LargeBinary, String, Text, func, not_, select
from sqlalchemy.orm import Mapped, mapped_column

from consent import archives, documents, evidence, interventions, programs, receipts
from consent.archive_parts import Part, columns, pages
from consent.archives import Archive
from consent.history import Registry
from consent.interventions import Stated
from consent.keys import KeyUse
from consent.receipts import Receipt
from consent.records import Consent, ConsentEvent, ConsentNotice, ConsentVersion
from dataspace import accesses, entries, jose, messages
from dataspace.accesses import Access
from dataspace.db import Model, db, new_id
from dataspace.entries import Entry
from dataspace.errors import DomainError, NotFound
from dataspace.mandates import Actor, Capacity
from dataspace.messages import Group, Notice
from dataspace.sealing import Unreadable, unseal
from dataspace.vault import Vault

SCHEMA, TYP = "gd-dsa-evidence-package/2", "dsa-evidence-package+json"
READS = 500  # in a file, and proven at once
Guide = Callable[[dict[str, Any]], bytes]  # which package of what, made when -> how to check, for people


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


def ask(
    consent: Consent, actor: Actor, language: str, now: dt.datetime, *, why: Stated | None, registry: Registry
) -> Archive:
    """Ask for the package of a consent. ``why``: of an administrator, who has to have a reason.

    Raises NothingDecided, NotYet (there is no log), ArchiveLimit.
    """
    if consent.version == 0:
        raise NothingDecided
    evidence.head()
    archives.hold(consent.space_id)
    by_office = actor.capacity == Capacity.ADMINISTRATOR
    archives.demand_room(files_of(consent.consent_id, by_office=by_office), now)
    package_id = new_id("evp")
    archive = archives.new(
        consent.space_id, actor.person_id, language, now, archive_id=package_id, consent_id=consent.consent_id,
        capacity=actor.capacity.value, reason_code=why.ground.value if why else None, text=why.text if why else "",
    )  # fmt: skip
    registry.vault.create_part_key(package_id, consent.space_id)
    if by_office and why is not None:
        interventions.note(
            "evidence:packed", now, actor_id=actor.person_id, subject=consent.holder_id, reason_code=why.ground,
            text=why.text,
        )  # fmt: skip
    db.session.flush()
    return archive


def files_of(consent_id: str, *, by_office: bool) -> list[Archive]:
    """What is being made or kept of the packages of a consent, newest first: the holder's, or administration's."""
    office = Archive.capacity == Capacity.ADMINISTRATOR
    return archives.find(Archive.consent_id == consent_id, office if by_office else not_(office))


def get(package_id: str, consent_id: str, actor: Actor) -> Archive:
    """A package of a consent of the actor's own space, or, of an administrator, that he has asked for himself.

    Raises NotFound.
    """
    archive = db.session.get(Archive, package_id)
    if archive is None or archive.consent_id != consent_id:
        raise NotFound("no package of this consent")
    if archive.capacity == Capacity.ADMINISTRATOR:
        mine = actor.capacity == Capacity.ADMINISTRATOR and archive.person_id == actor.person_id
    else:
        mine = actor.capacity != Capacity.ADMINISTRATOR and archive.space_id == actor.space_id
    if not mine:
        raise NotFound("somebody else's")
    return archive


def of_consent(consent_id: str) -> list[EvidencePackage]:
    """The packages that were made of a consent, newest first."""
    mine = select(EvidencePackage).filter_by(consent_id=consent_id)
    return list(db.session.scalars(mine.order_by(EvidencePackage.made_at.desc(), EvidencePackage.package_id)))


def entry_of(package: EvidencePackage) -> Entry:
    """Its entry in the log of evidence."""
    stated = ("package_id", "consent_id", "digest", "capacity", "reason_code")
    about = {name: getattr(package, name) for name in stated}
    return Entry.of("evidence_package", package.made_at, package.salt, **about)


class Package:
    """The content of a package, for :func:`consent.archives.write`."""

    typ = TYP

    def __init__(self, archive: Archive, guide: Guide, now: dt.datetime, *, registry: Registry) -> None:
        self._consent = db.session.get_one(Consent, archive.consent_id)
        self._by = {"capacity": archive.capacity, "reason_code": archive.reason_code, "text": archive.text}
        self._person_id, self._guide, self._registry, self._now = archive.person_id, guide, registry, now
        self._named = {
            "package_id": archive.archive_id, "consent_id": archive.consent_id, "issuer": registry.issuer,
            "made_at": documents.stamp(now),
        }  # fmt: skip
        self._reads = 0

    def count(self) -> int:
        mine = select(func.count()).where(*self._of(Access))
        return db.session.scalar(mine) or 0

    def parts(self) -> Iterator[Part]:
        yield Part("HOW-TO-CHECK.txt", [self._guide(self._named)])
        for name, content in _decided(self._consent, self._registry.vault):
            yield Part(name, [content])
        rows = pages(select(*columns(Access)).where(*self._of(Access)), Access.access_id)
        for number, some in enumerate(iter(lambda: list(islice(rows, READS)), []), 1):
            yield Part(f"reads/{number:05}.jsonl", _reads(some), 1)
            self._reads += len(some)
        log = evidence.head()
        yield Part("log/checkpoint", [(evidence.cosigned() or log).note])
        yield Part("log/key", [f"{key}\n".encode() for key in evidence.verifiers()])
        yield Part("keys.json", [_json(self._registry.keyring.public_jwk_set(self._now, purpose=KeyUse.RECORDS))])
        for name, content in programs.sources().items():
            yield Part(f"programs/{name}", [content])

    def said(self, now: dt.datetime) -> dict[str, Any]:  # noqa: ARG002 - it says when it was begun, as the guide does
        return self._named | {"schema": SCHEMA, "made_by": self._by, "reads": self._reads}

    def made(self, digest: str, now: dt.datetime) -> None:
        """Write down that it was made, in the log too; tell the holder, whoever made it."""
        consent = self._consent
        package = EvidencePackage(
            package_id=self._named["package_id"], consent_id=consent.consent_id, made_at=now,
            person_id=self._person_id, **self._by, digest=digest, salt=entries.new_salt(),
        )  # fmt: skip
        db.session.add(package)
        entries.append(entry_of(package))
        messages.send(consent.space_id, Notice.EVIDENCE_PACKED, Group.SECURITY, now, about=consent.consent_id)
        db.session.flush()

    def _of(self, model: type[Access]) -> tuple[Any, Any]:
        # By its space as well, for an index that has the lines of a space in their order.
        return model.space_id == self._consent.space_id, model.consent_id == self._consent.consent_id


def _decided(consent: Consent, vault: Vault) -> Iterator[tuple[str, bytes]]:
    """What was decided and what it led to: few files, whatever was read."""
    consent_id = consent.consent_id
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


def _reads(rows: Sequence[Any]) -> Iterator[bytes]:
    """Lines of the log of reads, a line each: all that is known of a read is what was stated of it."""
    stated = [accesses.entry_of(row) for row in rows]
    proven = evidence.shown_by_now([entry for entry in stated if entry is not None])
    for row, entry in zip(rows, stated, strict=True):
        head = {"at": entries.stamp(row.at), "outcome": row.outcome, "delivery_id": row.delivery_id}
        yield _json({"read": head, "evidence": proven[entry.key] if entry is not None else None})


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


def _evidence(entry: Entry | None) -> dict[str, Any] | None:
    """With its proof, or without when it is too young or the log stands still; None: it is not provable any more."""
    return None if entry is None else evidence.shown_by_now([entry])[entry.key]


def _json(value: Any) -> bytes:
    return jose.canonical(value) + b"\n"
