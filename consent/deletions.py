"""The duty to delete: asked for by the holder, confirmed by the recipient in a signed statement, or overdue.

One row for each consent whose recipient was asked to delete, or has said that it has. The caller commits.
"""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import ForeignKey, Index, Text, select, text
from sqlalchemy.orm import Mapped, mapped_column

from consent import history
from consent.due_dates import due
from consent.history import Registry
from consent.records import Consent, Event
from dataspace.db import Model, db
from dataspace.errors import Conflict, NotFound
from dataspace.mandates import Actor

_UNCONFIRMED = text("confirmed_at IS NULL")


class Deletion(Model):
    """``statement``: what the recipient has signed, as it came (a compact JWS); ``deleted_at``: when, as it says."""

    __tablename__ = "deletions"
    __table_args__ = (Index(None, "overdue_at", "due_at", sqlite_where=_UNCONFIRMED, postgresql_where=_UNCONFIRMED),)
    consent_id: Mapped[str] = mapped_column(ForeignKey("consents.consent_id"), primary_key=True)
    requested_at: Mapped[dt.datetime | None]  # None: confirmed without having been asked
    due_at: Mapped[dt.datetime | None]
    overdue_at: Mapped[dt.datetime | None]  # when that was written down
    confirmed_at: Mapped[dt.datetime | None]
    deleted_at: Mapped[dt.datetime | None]
    statement: Mapped[str] = mapped_column(Text, default="")

    @property
    def last_day(self) -> dt.datetime | None:
        """A moment of the last day on which it is in time."""
        return self.due_at - dt.timedelta(hours=12) if self.due_at is not None else None

    def is_overdue(self, now: dt.datetime) -> bool:
        """Whether it should have been confirmed by now."""
        return self.confirmed_at is None and self.due_at is not None and self.due_at <= now


@dataclass(frozen=True, kw_only=True)
class SignedStatement:
    """What a recipient has signed, verified: of which consent it has deleted everything, and when."""

    client_id: str
    consent_id: str
    deleted_at: dt.datetime
    signed: str


def request(consent_id: str, actor: Actor, now: dt.datetime, *, registry: Registry) -> None:
    """The holder asks the recipient of a withdrawn consent to delete what it has received. Raises Conflict."""
    history.append(consent_id, Event.DELETION_REQUESTED, now, actor=actor, channel="dashboard", registry=registry)
    db.session.add(Deletion(consent_id=consent_id, requested_at=now, due_at=due(now)))
    db.session.flush()


def confirm(stated: SignedStatement, now: dt.datetime, *, registry: Registry) -> Deletion:
    """The recipient says that it has deleted; the first statement stays, whatever is sent later.

    Raises NotFound (not a consent of this client), Conflict (it has not ended).
    """
    consent = db.session.get(Consent, stated.consent_id)
    if consent is None or consent.client_id != stated.client_id:
        raise NotFound("not a consent of this client")
    history.hold(stated.consent_id)
    deletion = db.session.get(Deletion, stated.consent_id, populate_existing=True)
    if deletion is None:
        deletion = Deletion(consent_id=stated.consent_id)
        db.session.add(deletion)
    if deletion.confirmed_at is not None:
        return deletion
    history.append(stated.consent_id, Event.DELETION_CONFIRMED, now, actor=None, channel="client", registry=registry)
    deletion.confirmed_at, deletion.deleted_at, deletion.statement = now, stated.deleted_at, stated.signed
    db.session.flush()
    return deletion


def of_consent(consent_id: str) -> Deletion | None:
    """The duty of one consent, if any."""
    return db.session.get(Deletion, consent_id)


def overdue(now: dt.datetime, limit: int) -> list[tuple[Deletion, Consent]]:
    """Who should have confirmed by now, the longest overdue first."""
    late = select(Deletion, Consent).join(Consent, Consent.consent_id == Deletion.consent_id)
    late = late.where(Deletion.confirmed_at.is_(None), Deletion.due_at <= now)
    return [(d, c) for d, c in db.session.execute(late.order_by(Deletion.due_at).limit(limit))]


def sweep(now: dt.datetime, limit: int = 500, *, registry: Registry) -> int:
    """Write down which are overdue, once each; returns how many."""
    late = (Deletion.confirmed_at.is_(None), Deletion.overdue_at.is_(None), Deletion.due_at <= now)
    found = select(Deletion.consent_id).where(*late).order_by(Deletion.due_at).limit(limit)
    done = 0
    for consent_id in db.session.scalars(found).all():
        try:
            with db.session.begin_nested():
                history.hold(consent_id)
                deletion = db.session.get_one(Deletion, consent_id, populate_existing=True)
                if deletion.confirmed_at is not None or deletion.overdue_at is not None:
                    continue
                history.append(consent_id, Event.DELETION_OVERDUE, now, actor=None, channel="system", registry=registry)
                deletion.overdue_at = now
                db.session.flush()
        except Conflict:
            continue
        done += 1
    return done
