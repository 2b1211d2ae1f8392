"""Deleting a whole space: asked for by its holder, put off by a cooling-off, decided by an administrator (PIPL 47).

What is done is done by destroying the key of the space: records, names, texts as shown and receipts open no more, in
backups neither once those are over. What the law has kept stays without them: that authorizations were given, to whom
and when, and who read what kind of data. No administrator erases what its holder has not asked for.
"""

import datetime as dt
import enum

from sqlalchemy import ForeignKey, Index, String, Text, delete, select, text
from sqlalchemy.orm import Mapped, mapped_column

from consent import archives, cases, endings, interventions
from consent.archive_parts import hold_space
from consent.archives import Archive
from consent.due_dates import due
from consent.history import Registry
from consent.interventions import Ground, Stated
from dataspace import holders, mail, mandates, messages, passkeys, signins
from dataspace.db import Model, connection, db, new_id
from dataspace.errors import Conflict, NotAllowed, NotFound
from dataspace.mandates import Actor, Capacity
from dataspace.messages import Group, Notice

COOLING_OFF = dt.timedelta(days=14)
_ASKED = text("state = 'asked'")


class ErasureState(enum.StrEnum):
    """Durable words."""

    ASKED = "asked"
    TAKEN_BACK = "taken_back"
    REFUSED = "refused"
    DONE = "done"


class Erasure(Model):
    """``possible_at``: the end of the cooling-off; ``ground`` and ``text``: why it was refused or done."""

    __tablename__ = "erasures"
    __table_args__ = (
        Index(None, "space_id", unique=True, sqlite_where=_ASKED, postgresql_where=_ASKED),
        Index(None, "state", "due_at"),
        Index(None, "holder_id", "asked_at"),
    )
    erasure_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    space_id: Mapped[str] = mapped_column(ForeignKey("data_keys.space_id"))
    holder_id: Mapped[str] = mapped_column(ForeignKey("holders.holder_id"))
    person_id: Mapped[str] = mapped_column(ForeignKey("holders.holder_id"))  # who asked
    state: Mapped[str] = mapped_column(String(12))
    asked_at: Mapped[dt.datetime]
    possible_at: Mapped[dt.datetime]
    due_at: Mapped[dt.datetime]
    decided_at: Mapped[dt.datetime | None]
    decided_by: Mapped[str | None] = mapped_column(String(40))
    ground: Mapped[str | None] = mapped_column(String(40))
    text: Mapped[str] = mapped_column(Text, default="")


def ask(actor: Actor, now: dt.datetime) -> Erasure:
    """Ask for the deletion of the actor's whole space. Raises NotAllowed, Conflict (it is asked for already)."""
    if not archives.may_ask(actor):
        raise NotAllowed("only who decides alone gives up a space")
    connection().execute(hold_space(actor.space_id))  # of two who ask at once the second sees the first one's wish
    if waiting(actor.space_id) is not None:
        raise Conflict("asked for already")
    erasure = Erasure(
        erasure_id=new_id("ers"), space_id=actor.space_id, holder_id=actor.holder_id, person_id=actor.person_id,
        state=ErasureState.ASKED, asked_at=now, possible_at=now + COOLING_OFF, due_at=due(now),
    )  # fmt: skip
    db.session.add(erasure)
    messages.send(actor.space_id, Notice.ERASURE_ASKED, Group.SECURITY, now)
    db.session.flush()
    return erasure


def waiting(space_id: str) -> Erasure | None:
    """The wish for a space that waits, if any."""
    return db.session.scalar(select(Erasure).filter_by(space_id=space_id, state=ErasureState.ASKED))


def last_refused(holder_id: str) -> Erasure | None:
    """The last wish of a holder, if it was refused."""
    last = select(Erasure).filter_by(holder_id=holder_id).order_by(Erasure.asked_at.desc()).limit(1)
    found = db.session.scalar(last)
    return found if found is not None and found.state == ErasureState.REFUSED else None


def take_back(actor: Actor, now: dt.datetime) -> None:
    """The holder keeps the space after all, also when the cooling-off is over. Raises NotAllowed, Conflict."""
    if not archives.may_ask(actor):
        raise NotAllowed("only who decides alone")
    erasure = waiting(actor.space_id)
    if erasure is None:
        raise Conflict("nothing waits")
    _decide(_locked(erasure.erasure_id), ErasureState.TAKEN_BACK, actor, now)


def at_desk(limit: int = 100) -> list[Erasure]:
    """What waits for a decision, the earliest due first."""
    asked = select(Erasure).filter_by(state=ErasureState.ASKED).order_by(Erasure.due_at, Erasure.erasure_id)
    return list(db.session.scalars(asked.limit(limit)))


def refuse(erasure_id: str, actor: Actor, reason: Stated, now: dt.datetime) -> None:
    """An administrator refuses; the holder reads why. Raises NotFound, NotAllowed, Conflict."""
    erasure = _at_desk(erasure_id, actor)
    _decide(erasure, ErasureState.REFUSED, actor, now, reason)
    messages.send(erasure.space_id, Notice.ERASURE_REFUSED, Group.SECURITY, now)
    _note("space:kept", erasure, actor, reason, now)


def execute(erasure_id: str, actor: Actor, reason: Stated, now: dt.datetime, *, registry: Registry) -> list[str]:
    """An administrator has the space deleted, for good; returns the sign-ins that this has ended.

    Raises NotFound, NotAllowed, Conflict (taken back, decided, or the cooling-off is not over).
    """
    erasure = _at_desk(erasure_id, actor)
    if now < erasure.possible_at:
        raise Conflict("the cooling-off is not over")
    _decide(erasure, ErasureState.DONE, actor, now, reason)
    # While the key is there still: each end has a receipt, and is told to whom it concerns.
    endings.terminate_all(erasure.space_id, actor, now, ground=Ground.HOLDER_REQUEST, registry=registry)
    cases.close_all(erasure.space_id, actor, now, vault=registry.vault)
    connection().execute(delete(Archive).where(Archive.space_id == erasure.space_id))
    messages.forget(erasure.space_id)
    mail.forget(erasure.space_id)
    mandates.end_all(erasure.holder_id, now)
    passkeys.forget(erasure.holder_id)
    ended = signins.end_all(erasure.holder_id, now)
    holders.close(erasure.holder_id, now)
    registry.vault.destroy_key(erasure.space_id, now)
    _note("space:erased", erasure, actor, reason, now)
    db.session.flush()
    return ended


def _at_desk(erasure_id: str, actor: Actor) -> Erasure:
    if actor.capacity != Capacity.ADMINISTRATOR:
        raise NotAllowed("only an administrator decides")
    return _locked(erasure_id)


def _locked(erasure_id: str) -> Erasure:
    found = select(Erasure).filter_by(erasure_id=erasure_id).with_for_update()
    erasure = db.session.scalar(found.execution_options(populate_existing=True))
    if erasure is None:
        raise NotFound("no such wish")
    return erasure


def _decide(
    erasure: Erasure, state: ErasureState, actor: Actor, now: dt.datetime, reason: Stated | None = None
) -> None:
    if erasure.state != ErasureState.ASKED:
        raise Conflict(f"{erasure.state} already")
    erasure.state, erasure.decided_at, erasure.decided_by = state, now, actor.person_id
    if reason is not None:
        erasure.ground, erasure.text = reason.ground, reason.text
    db.session.flush()


def _note(kind: str, erasure: Erasure, actor: Actor, reason: Stated, now: dt.datetime) -> None:
    interventions.note(
        kind, now, actor_id=actor.person_id, subject=erasure.holder_id, reason_code=reason.ground, text=reason.text
    )
