"""Certificates over delivered data (公共数据资产凭证): what there is of each, and its life, only ever appended.

A certificate is made from a living consent (:mod:`consent.certificate_issue`), kept in the holder's space under a key
of its own, which goes with its record and its space, shown to receivers (:mod:`consent.presentations`), used, frozen
and thawed, revoked; it expires. Its stage is the fold of its steps. Beside that it may be frozen: by its holder, by an
administrator, by its consent, each for itself, so that what ends one leaves the others. A consent that ends or rests
freezes what was not used yet, in its own transaction.
"""

import datetime as dt
import enum
import hashlib
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson
from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint, exists, func, select, update
from sqlalchemy.orm import Mapped, mapped_column

from consent import interventions
from consent.interventions import Stated
from consent.records import CURRENT_VERSION, Consent, ConsentVersion, State
from consent.sd_jwt import SdJwt
from dataspace import entries, messages
from dataspace.corrections import Correction
from dataspace.db import Model, RowId, connection, db, read_once
from dataspace.entries import Entry
from dataspace.errors import Conflict, NotFound
from dataspace.messages import Group, Notice
from dataspace.sealing import seal, unseal
from dataspace.spaces import Record
from dataspace.vault import Vault, destroy_part_keys

CONTENT_KEPT = dt.timedelta(days=365)  # after its end; what has happened to it stays
PAGE = 20


class Stage(enum.StrEnum):
    """How far a certificate has come."""

    NEW = "new"  # before the first step; never stored
    GENERATED = "generated"
    STORED = "stored"
    PRESENTED = "presented"
    USED = "used"
    REVOKED = "revoked"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"  # what it says was corrected at its source


class Step(enum.StrEnum):
    """The durable words of a certificate's life; never renamed, never reused."""

    GENERATED = "certificate:generated"
    STORED = "certificate:stored"
    PRESENTED = "certificate:presented"
    TAKEN_BACK = "certificate:taken_back"  # a presentation that nobody had opened
    USED = "certificate:used"
    FROZEN = "certificate:frozen"
    THAWED = "certificate:thawed"
    REVOKED = "certificate:revoked"
    EXPIRED = "certificate:expired"
    SUPERSEDED = "certificate:superseded"


class By(enum.StrEnum):
    """Who or what has made a step; durable words."""

    HOLDER = "holder"
    CLIENT = "client"
    RECEIVER = "receiver"
    OFFICE = "office"
    CONSENT = "consent"
    TIME = "time"
    SOURCE = "source"


LIVING = (Stage.GENERATED, Stage.STORED, Stage.PRESENTED, Stage.USED)
UNUSED = (Stage.GENERATED, Stage.STORED, Stage.PRESENTED)
# The state machine: which step is possible at which stage, and where it leads.
TRANSITIONS: Mapping[tuple[Stage, Step], Stage] = MappingProxyType(
    {
        (Stage.NEW, Step.GENERATED): Stage.GENERATED,
        (Stage.GENERATED, Step.STORED): Stage.STORED,
        (Stage.STORED, Step.PRESENTED): Stage.PRESENTED,
        (Stage.PRESENTED, Step.PRESENTED): Stage.PRESENTED,
        (Stage.USED, Step.PRESENTED): Stage.USED,
        (Stage.PRESENTED, Step.TAKEN_BACK): Stage.PRESENTED,
        (Stage.USED, Step.TAKEN_BACK): Stage.USED,
        **{(s, Step.USED): Stage.USED for s in (Stage.STORED, Stage.PRESENTED, Stage.USED)},
        **{(s, step): s for step in (Step.FROZEN, Step.THAWED) for s in LIVING},
        **{(s, Step.REVOKED): Stage.REVOKED for s in LIVING},
        **{(s, Step.EXPIRED): Stage.EXPIRED for s in LIVING},
        **{(s, Step.SUPERSEDED): Stage.SUPERSEDED for s in LIVING},
    }
)
# Who can freeze, each in a column of its own; and what is not possible while anybody has.
FREEZERS: Mapping[By, str] = MappingProxyType(
    {By.HOLDER: "holder_froze_at", By.OFFICE: "office_froze_at", By.CONSENT: "consent_froze_at"}
)
RELYING = frozenset({Step.PRESENTED, Step.USED})  # not while it is frozen, nor once what it says was corrected
# What the holder hears of by a message: whatever somebody else has done.
TOLD: Mapping[tuple[Step, By], tuple[Notice, Group]] = MappingProxyType(
    {
        (Step.GENERATED, By.CLIENT): (Notice.CERTIFICATE_MADE, Group.AUTHORIZATIONS),
        (Step.USED, By.CLIENT): (Notice.CERTIFICATE_USED, Group.AUTHORIZATIONS),
        (Step.USED, By.RECEIVER): (Notice.CERTIFICATE_USED, Group.AUTHORIZATIONS),
        (Step.FROZEN, By.OFFICE): (Notice.CERTIFICATE_FROZEN, Group.SECURITY),
        (Step.THAWED, By.OFFICE): (Notice.CERTIFICATE_THAWED, Group.SECURITY),
        (Step.REVOKED, By.OFFICE): (Notice.CERTIFICATE_REVOKED, Group.SECURITY),
        (Step.SUPERSEDED, By.SOURCE): (Notice.CERTIFICATE_SUPERSEDED, Group.AUTHORIZATIONS),
    }
)


class DataCertificate(Model):
    """One certificate. ``sealed``: the SD-JWT with all it can show, compressed, under a key that only this one has.

    It is None, and its key is gone, once that was destroyed.

    ``digest``: SHA-256 of the signed part; ``uses``: how often it was opened or reported as used.
    """

    __tablename__ = "data_certificates"
    __table_args__ = (
        UniqueConstraint("list_id", "status_index"),
        Index(None, "space_id", "issued_at"),
        Index(None, "issued_at"),
        Index(None, "consent_id", "stage"),
        Index(None, "stage", "expires_at"),
        Index(None, "emptied_after"),
    )
    certificate_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    space_id: Mapped[str] = mapped_column(String(40))
    consent_id: Mapped[str] = mapped_column(ForeignKey("consents.consent_id"))
    consent_version: Mapped[int]
    client_id: Mapped[str] = mapped_column(String(80))
    made_by: Mapped[str] = mapped_column(String(10))  # holder, client
    item_id: Mapped[str] = mapped_column(String(60))
    item_version: Mapped[int]
    field_ids: Mapped[list[Any]]
    record_id: Mapped[str | None] = mapped_column(String(40))
    delivery_id: Mapped[str | None] = mapped_column(String(40))
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    digest: Mapped[str] = mapped_column(String(64))
    list_id: Mapped[str] = mapped_column(ForeignKey("status_lists.list_id"))
    status_index: Mapped[int]
    stage: Mapped[str] = mapped_column(String(10))
    last_seq: Mapped[int]
    uses: Mapped[int]
    issued_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    emptied_after: Mapped[dt.datetime | None]  # when its content has to be destroyed; None: it was
    holder_froze_at: Mapped[dt.datetime | None]
    office_froze_at: Mapped[dt.datetime | None]
    consent_froze_at: Mapped[dt.datetime | None]


# Whether the version that a certificate was made of was corrected: so at once, before the worker writes it down.
CORRECTED = exists().where(Correction.previous_record_id == DataCertificate.record_id).correlate(DataCertificate)


class CertificateStep(Model):
    """One step. ``sealed``: what only the holder may know of it (to whom, which fields, why), as JSON, or None."""

    __tablename__ = "certificate_steps"
    __table_args__ = (UniqueConstraint("certificate_id", "seq"),)
    step_id: Mapped[int] = mapped_column(RowId, primary_key=True)
    certificate_id: Mapped[str] = mapped_column(ForeignKey("data_certificates.certificate_id"))
    seq: Mapped[int]
    kind: Mapped[str] = mapped_column(String(40))
    at: Mapped[dt.datetime]
    by: Mapped[str] = mapped_column(String(10))
    actor_id: Mapped[str | None] = mapped_column(String(40))
    reason_code: Mapped[str | None] = mapped_column(String(40))
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    salt: Mapped[bytes | None] = mapped_column(LargeBinary(entries.SALT))  # of its entry in the log of evidence


class NotPossible(Conflict):
    code = "certificate_not_usable"
    sentence = "This certificate is frozen, revoked or expired, or was used meanwhile. Look at it again."


def add(certificate: DataCertificate, issued: SdJwt, now: dt.datetime, *, actor_id: str | None, vault: Vault) -> None:
    """Generate and store: both are one, for a certificate that lay nowhere would be nobody's."""
    key = vault.create_part_key(certificate.certificate_id, certificate.space_id)
    content = zlib.compress(issued.show().encode())
    certificate.sealed = seal(key, content, identity=certificate.certificate_id)
    certificate.digest = hashlib.sha256(issued.signed.encode()).hexdigest()
    certificate.stage, certificate.last_seq, certificate.uses = Stage.NEW, 0, 0
    certificate.emptied_after = certificate.expires_at + CONTENT_KEPT
    db.session.add(certificate)
    db.session.flush()
    for step in (Step.GENERATED, Step.STORED):
        append(certificate.certificate_id, step, now, by=By(certificate.made_by), actor_id=actor_id, vault=vault)


def append(
    certificate_id: str,
    step: Step,
    at: dt.datetime,
    *,
    by: By,
    actor_id: str | None = None,
    reason_code: str | None = None,
    note: dict[str, Any] | None = None,
    vault: Vault,
) -> int:
    """Lock the certificate, move its stage, append the step and its entry in the log of evidence; returns its number.

    Raises NotPossible: at this stage, while it is frozen, or after its time.
    """
    row = _lock(certificate_id)
    after = TRANSITIONS.get((Stage(row.stage), step))
    _demand_possible(row, step, at, by, after)
    moved: dict[str, Any] = {"stage": after} if after != row.stage else {}
    if step in (Step.FROZEN, Step.THAWED):
        moved[FREEZERS[by]] = at if step == Step.FROZEN else None
    if step == Step.USED:
        moved["uses"] = row.uses + 1
    if moved:
        db.session.execute(update(DataCertificate).filter_by(certificate_id=certificate_id).values(moved))
    sealed = None
    if note is not None:
        sealed = seal(vault.key(row.space_id), orjson.dumps(note), identity=f"{certificate_id}:{row.last_seq}")
    entry = Entry.new("certificate_step", at, **_stated(certificate_id, row.last_seq, step, by, row.digest))
    db.session.add(
        CertificateStep(
            certificate_id=certificate_id, seq=row.last_seq, kind=step.value, at=at, by=by.value, actor_id=actor_id,
            reason_code=reason_code, sealed=sealed, salt=entry.salt,
        )
    )  # fmt: skip
    entries.append(entry)
    db.session.flush()
    if (step, by) in TOLD:
        notice, group = TOLD[step, by]
        messages.send(row.space_id, notice, group, at, about=certificate_id)
    return int(row.last_seq)


def step_in(certificate_id: str, step: Step, reason: Stated, now: dt.datetime, *, actor_id: str, vault: Vault) -> None:
    """An administrator freezes, thaws or revokes; the holder gets a message and reads why.

    Raises NotFound, NotPossible, Unreadable (the space was deleted).
    """
    certificate = get(certificate_id)
    append(
        certificate.certificate_id, step, now, by=By.OFFICE, actor_id=actor_id, reason_code=reason.ground,
        note={"text": reason.text}, vault=vault,
    )  # fmt: skip
    interventions.note(step.value, now, actor_id=actor_id, subject=certificate_id, reason_code=reason.ground)


def entry_of(step: CertificateStep, certificate: DataCertificate) -> Entry | None:
    """The entry of a step in the log of evidence; None when its salt is gone."""
    if step.salt is None:
        return None
    said = _stated(step.certificate_id, step.seq, Step(step.kind), By(step.by), certificate.digest)
    return Entry.of("certificate_step", step.at, step.salt, **said)


def _stated(certificate_id: str, seq: int, step: Step, by: By, digest: str) -> dict[str, Any]:
    return {"certificate_id": certificate_id, "seq": seq, "step": step.value, "by": by.value, "digest": digest}


_LOCKED = (
    "space_id", "stage", "last_seq", "uses", "expires_at", "digest",
    "holder_froze_at", "office_froze_at", "consent_froze_at",
)  # fmt: skip


def _lock(certificate_id: str) -> Any:
    """The certificate as it is, until the transaction ends, with the number of the next step."""
    statement = (
        update(DataCertificate)
        .filter_by(certificate_id=certificate_id)
        .values(last_seq=DataCertificate.last_seq + 1)
        .returning(*(getattr(DataCertificate, name) for name in _LOCKED), CORRECTED.label("corrected"))
        .execution_options(synchronize_session=False)
    )
    return db.session.execute(statement).one()


def _demand_possible(row: Any, step: Step, at: dt.datetime, by: By, after: Stage | None) -> None:
    if after is None:
        raise NotPossible(f"{step} at stage {row.stage}")
    if at >= row.expires_at and step != Step.EXPIRED:
        raise NotPossible("its time is over")
    if step in RELYING and (row.corrected or any(getattr(row, column) for column in FREEZERS.values())):
        raise NotPossible("frozen or superseded")
    if step in (Step.FROZEN, Step.THAWED) and (getattr(row, FREEZERS[by]) is not None) == (step == Step.FROZEN):
        raise NotPossible(f"{step} by {by}: it is so already")


# What its consent does to it


def follow(consent_id: str, now: dt.datetime, *, vault: Vault) -> None:
    """Freeze what is not used and not carried by its consent any more, and thaw what is again; in its transaction.

    A consent whose reads are used up carries on what was made before: making a certificate is one of these reads.
    """
    unused = select(DataCertificate).where(
        DataCertificate.consent_id == consent_id, DataCertificate.stage.in_(UNUSED), DataCertificate.expires_at > now
    )
    rows = db.session.scalars(
        unused.order_by(DataCertificate.certificate_id).with_for_update().execution_options(populate_existing=True)
    ).all()
    if not rows:
        return
    state, expires_at, granted = db.session.execute(
        select(Consent.state, Consent.expires_at, ConsentVersion.granted)
        .join(ConsentVersion, CURRENT_VERSION)
        .where(Consent.consent_id == consent_id)
    ).one()
    if state == State.EXHAUSTED:
        return
    fields = {i["item"]: set(i["fields"]) for i in granted} if state == State.ACTIVE else {}
    for row in rows:
        carried = set(row.field_ids) <= fields.get(row.item_id, set())
        if carried == (row.consent_froze_at is not None):
            step = Step.THAWED if carried else Step.FROZEN
            append(row.certificate_id, step, now, by=By.CONSENT, vault=vault)
        if expires_at < row.expires_at:
            capped = update(DataCertificate).filter_by(certificate_id=row.certificate_id)
            db.session.execute(capped.values(expires_at=expires_at))


# Reads


def of_space(certificate_id: str, space_id: str) -> DataCertificate:
    """Raises NotFound when there is none or it is somebody else's."""
    found = db.session.get(DataCertificate, certificate_id)
    if found is None or not space_id or found.space_id != space_id:
        raise NotFound("not a certificate of this space")
    return found


def get(unverified_id: str) -> DataCertificate:
    """Raises NotFound."""
    found = db.session.get(DataCertificate, unverified_id)
    if found is None:
        raise NotFound("no such certificate")
    return found


def content(certificate: DataCertificate, *, vault: Vault) -> SdJwt:
    """The certificate as it was issued. Raises Unreadable once that was destroyed."""
    key = vault.part_key(certificate.certificate_id)
    packed = unseal(key, certificate.sealed or b"", identity=certificate.certificate_id)
    return SdJwt.read(zlib.decompress(packed).decode())


def steps(certificate_id: str) -> list[CertificateStep]:
    """Its whole life, from the first step on."""
    query = select(CertificateStep).filter_by(certificate_id=certificate_id).order_by(CertificateStep.seq)
    return list(db.session.scalars(query))


def note_of(step: CertificateStep, key: bytes) -> dict[str, Any]:
    """What was kept with a step, with the key of the space. Raises Unreadable."""
    if step.sealed is None:
        return {}
    said: dict[str, Any] = orjson.loads(unseal(key, step.sealed, identity=f"{step.certificate_id}:{step.seq}"))
    return said


def living(consent_id: str) -> int:
    """How many certificates of a consent have not ended."""
    mine = (DataCertificate.consent_id == consent_id, DataCertificate.stage.in_(LIVING))
    return db.session.scalar(select(func.count()).where(*mine)) or 0


def of_consent(consent_id: str, *, made_by: By) -> list[DataCertificate]:
    """The newest certificates of a consent, newest first."""
    query = select(DataCertificate).filter_by(consent_id=consent_id, made_by=made_by.value)
    newest = query.order_by(DataCertificate.issued_at.desc(), DataCertificate.certificate_id)
    return list(db.session.scalars(newest.limit(PAGE)))


# Sweeps


def note_ends(now: dt.datetime, limit: int, *, vault: Vault) -> int:
    """Write down which certificates time has ended; returns how many. Correctness never waits for it."""
    over = select(DataCertificate.certificate_id).where(
        DataCertificate.stage.in_(LIVING), DataCertificate.expires_at <= now
    )
    found = db.session.scalars(over.limit(limit).with_for_update(skip_locked=True)).all()
    ended = 0
    for certificate_id in found:
        try:
            with db.session.begin_nested():
                append(certificate_id, Step.EXPIRED, now, by=By.TIME, vault=vault)
        except Conflict:  # SQLite locks late: somebody was faster
            continue
        ended += 1
    return ended


def forget(record: Record, now: dt.datetime, *, reason_code: str, vault: Vault) -> int:
    """A version of a record was deleted for good: certificates over it are revoked, and what they say is destroyed.

    Returns how many.
    """
    query = select(DataCertificate).where(
        DataCertificate.space_id == record.space_id, DataCertificate.record_id == record.record_id
    )
    held = query.order_by(DataCertificate.certificate_id).with_for_update().execution_options(populate_existing=True)
    rows = db.session.scalars(held).all()
    destroy_part_keys(row.certificate_id for row in rows)
    for row in rows:
        row.sealed = row.emptied_after = None
        if row.stage in LIVING and now < row.expires_at:
            append(row.certificate_id, Step.REVOKED, now, by=By.OFFICE, reason_code=reason_code, vault=vault)
    return len(rows)


def supersede(correction: Correction, now: dt.datetime, *, vault: Vault) -> int:
    """A source has taken back what certificates say: nobody is to rely on them, used ones included; returns how many.

    For good, unlike freezing: the version stays wrong, and a new certificate says what is right.
    """
    query = select(DataCertificate.certificate_id).where(
        DataCertificate.space_id == correction.space_id, DataCertificate.record_id == correction.previous_record_id,
        DataCertificate.stage.in_(LIVING), DataCertificate.expires_at > now,
    )  # fmt: skip
    found = db.session.scalars(query.order_by(DataCertificate.certificate_id).with_for_update()).all()
    for certificate_id in found:
        append(certificate_id, Step.SUPERSEDED, now, by=By.SOURCE, vault=vault)
    return len(found)


def empty(now: dt.datetime, limit: int) -> int:
    """Destroy the content of certificates that have ended long ago; what has happened to them stays."""
    over = select(DataCertificate.certificate_id).where(DataCertificate.emptied_after <= now)
    some = read_once(over.order_by(DataCertificate.emptied_after).limit(limit).with_for_update(skip_locked=True))
    statement = update(DataCertificate).where(DataCertificate.certificate_id.in_(some))
    emptied = statement.values(sealed=None, emptied_after=None).returning(DataCertificate.certificate_id)
    gone = connection().scalars(emptied).all()
    destroy_part_keys(gone)
    return len(gone)
