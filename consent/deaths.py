"""A holder has died: who knows it from a document writes it down, and the space closes; nothing of it is deleted.

Nobody signs in for the dead, every consent ends, and with it every read that rests on one. What others may read by law
goes on where they read it. The next of kin ask by a case (CaseKind.KIN), and an administrator answers it.
"""

import datetime as dt

from sqlalchemy import ForeignKey, Index, LargeBinary, String, select, text
from sqlalchemy.orm import Mapped, mapped_column

from consent import endings, interventions
from consent.history import Registry
from consent.interventions import Ground
from dataspace import holders, mandates, signins
from dataspace.db import Model, db, new_id
from dataspace.errors import Conflict, DomainError, NotAllowed, NotFound
from dataspace.holders import Holder, HolderKind
from dataspace.mandates import Actor, Capacity
from dataspace.sealing import seal, unseal
from dataspace.vault import Vault

MAX_DOCUMENT = 200
_STANDS = text("revoked_at IS NULL")


class DocumentMissing(DomainError):
    code = "document_missing"
    sentence = "Write which document says so, in at most 200 characters."


class Death(Model):
    """``sealed``: which document says so, under the key of the space; ``revoked_at``: it was a mistake."""

    __tablename__ = "deaths"
    __table_args__ = (
        Index(None, "holder_id", unique=True, sqlite_where=_STANDS, postgresql_where=_STANDS),
        Index(None, "recorded_at"),
    )
    death_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    holder_id: Mapped[str] = mapped_column(ForeignKey("holders.holder_id"))
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    recorded_at: Mapped[dt.datetime]
    recorded_by: Mapped[str] = mapped_column(String(40))
    revoked_at: Mapped[dt.datetime | None]


def record(
    holder: Holder, unverified_document: str, actor: Actor, now: dt.datetime, *, registry: Registry
) -> list[str]:
    """Write down that a person has died; returns the sign-ins that this has ended.

    Raises NotAllowed (no administrator, a body), Conflict (the space is closed already), DocumentMissing, Unreadable.
    """
    if actor.capacity != Capacity.ADMINISTRATOR or holder.kind != HolderKind.NATURAL_PERSON:
        raise NotAllowed("an administrator, of a person")
    document = " ".join(unverified_document.split())
    if not 0 < len(document) <= MAX_DOCUMENT or not document.isprintable():
        raise DocumentMissing("no document")
    if holder.closed_at is not None:
        raise Conflict("the space is closed already")
    death_id, key = new_id("dth"), registry.vault.key(holder.space_id)
    sealed = seal(key, document.encode(), identity=death_id)
    db.session.add(
        Death(
            death_id=death_id, holder_id=holder.holder_id, sealed=sealed, recorded_at=now, recorded_by=actor.person_id
        )
    )  # fmt: skip
    holder.closed_at = now
    db.session.flush()
    endings.terminate_all(holder.space_id, actor, now, ground=Ground.SUBJECT_DIED, registry=registry)
    mandates.end_all(holder.holder_id, now)
    interventions.note("holder:died", now, actor_id=actor.person_id, subject=holder.holder_id)
    return signins.end_all(holder.holder_id, now)


def revoke(death_id: str, actor: Actor, now: dt.datetime, *, vault: Vault) -> None:
    """It was a mistake: the space is open again. What has ended stays ended.

    Raises NotFound, NotAllowed, Conflict (corrected already), Unreadable (the space was deleted meanwhile).
    """
    if actor.capacity != Capacity.ADMINISTRATOR:
        raise NotAllowed("only an administrator")
    death = db.session.scalar(select(Death).filter_by(death_id=death_id).with_for_update())
    if death is None:
        raise NotFound("no such entry")
    if death.revoked_at is not None:
        raise Conflict("revoked already")
    holder = holders.get(death.holder_id)
    vault.key(holder.space_id)  # a deleted space does not open again
    death.revoked_at, holder.closed_at = now, None
    interventions.note("holder:alive", now, actor_id=actor.person_id, subject=death.holder_id)
    db.session.flush()


def latest(limit: int = 50) -> list[Death]:
    """What was written down lately, the newest first."""
    return list(db.session.scalars(select(Death).order_by(Death.recorded_at.desc()).limit(limit)))


def document(death: Death, *, vault: Vault) -> str:
    """Which document says so. Raises Unreadable when the space is deleted."""
    key = vault.key(holders.get(death.holder_id).space_id)
    return unseal(key, death.sealed, identity=death.death_id).decode()
