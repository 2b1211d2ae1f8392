"""Announcements: what a client is told of a change of a consent, and whether it has taken it.

Written in the transaction of the change itself, for clients that have registered to hear, so that none is lost. How
they are signed and sent is the matter of :mod:`consent.oauth.security_events`.
"""

import datetime as dt
import secrets
from collections.abc import Collection
from typing import Any

from sqlalchemy import ForeignKey, Index, String, func, select, update
from sqlalchemy.orm import Mapped, mapped_column

from consent.clients import Client, Standing
from consent.records import Consent, ConsentEvent, ConsentVersion, State, reason_of
from dataspace import outbox
from dataspace.db import Model, db, delete_some
from dataspace.errors import Conflict, NotFound
from dataspace.outbox import Posted

OUTBOX = "events"
VERIFICATION = "verification"  # sent on demand, to see whether a client hears
DATA_CORRECTED = "data:corrected"  # no event of the consent: what was read under it was wrong at its source
# When to try again: 72 hours in all.
WAITS = tuple(dt.timedelta(minutes=m) for m in (0.5, 2, 10, 60, 240, 480, 960, 1200, 1367.5))
KEPT = dt.timedelta(days=30)
PAGE = 50


class Announcement(Posted, Model):
    """One Security Event Token (RFC 8417) on its way. ``body``: what it says about the event; ``jti``: its own id.

    ``kind``: of the consent's event, DATA_CORRECTED, or VERIFICATION, which is about no consent.
    """

    __tablename__ = "announcements"
    __table_args__ = (
        Index(None, "due_at"),
        Index(None, "created_at"),
        Index(None, "delivered_at", "due_at"),
        Index(None, "client_id", "delivered_at", "notice_id"),
    )
    jti: Mapped[str] = mapped_column(String(40), unique=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id"))
    kind: Mapped[str] = mapped_column(String(40))
    consent_id: Mapped[str | None] = mapped_column(ForeignKey("consents.consent_id"))
    body: Mapped[dict[str, Any]]


def announce(consent_id: str, now: dt.datetime, *, new_version: bool) -> None:
    """Note that the client of a consent is to be told of its last event, if it has registered to hear.

    ``new_version``: the event has made the current version, so the items that have changed are named.
    """
    found = db.session.execute(_last_event(consent_id)).one()
    if not found.options.get("consent_events_delivery"):
        return
    items = {"items": _changed_items(consent_id, found.version)} if new_version else {}
    _add(found.client_id, found.options, found.kind, now, consent_id=consent_id, body=_body(found) | items)


def verify(client_id: str, now: dt.datetime) -> None:
    """Have a client told of nothing, to see whether it hears. Raises NotFound, Conflict when it has not registered."""
    client = db.session.get(Client, client_id)
    if client is None or client.standing == Standing.DELETED:
        raise NotFound("no such client")
    if not client.options.get("consent_events_delivery"):
        raise Conflict("the client has not registered to hear")
    _add(client_id, client.options, VERIFICATION, now, consent_id=None, body={})


def announce_correction(consent: Consent, options: dict[str, Any], now: dt.datetime, *, body: dict[str, Any]) -> None:
    """Note that a client is to be told of a correction of what it has read, if it has registered to hear."""
    if options.get("consent_events_delivery"):
        _add(consent.client_id, options, DATA_CORRECTED, now, consent_id=consent.consent_id, body=body)


def to_fetch(client_id: str, limit: int) -> list[Announcement]:
    """The oldest that a client has not taken yet, for it to fetch; one more than ``limit`` when there are more."""
    query = select(Announcement).where(*_untaken(client_id)).order_by(Announcement.notice_id).limit(limit + 1)
    return list(db.session.scalars(query))


def take(client_id: str, jtis: Collection[str], now: dt.datetime) -> None:
    """A client has taken these; what is not its own is left out."""
    own = (*_untaken(client_id), Announcement.jti.in_(jtis))
    db.session.execute(update(Announcement).where(*own).values(delivered_at=now, due_at=None, problem=""))


def turn_down(client_id: str, problems: dict[str, str]) -> None:
    """A client cannot take these, by jti, and says why; they are not tried again by themselves."""
    for jti, problem in problems.items():
        own = (*_untaken(client_id), Announcement.jti == jti)
        db.session.execute(update(Announcement).where(*own).values(due_at=None, problem=problem[:200]))


def given_up(client_id: str = "", before: int | None = None, limit: int = PAGE) -> list[Announcement]:
    """Those that are not tried any more although they were not taken, newest first; ``before``: a notice_id."""
    query = select(Announcement).where(*_dead())
    if client_id:
        query = query.where(Announcement.client_id == client_id)
    if before is not None:
        query = query.where(Announcement.notice_id < before)
    return list(db.session.scalars(query.order_by(Announcement.notice_id.desc()).limit(limit)))


def waiting() -> int:
    """How many are still on their way."""
    query = select(func.count()).where(Announcement.delivered_at.is_(None), Announcement.due_at.is_not(None))
    return db.session.scalar(query) or 0


def send_again(now: dt.datetime, *, notice_id: int | None = None, client_id: str = "") -> int:
    """Try again what was given up, one or all of a client, for another 72 hours; returns how many."""
    which = Announcement.notice_id == notice_id if notice_id is not None else Announcement.client_id == client_id
    values = {"due_at": now, "created_at": now, "attempts": 0, "problem": ""}
    again = update(Announcement).where(*_dead(), which).values(values).returning(Announcement.notice_id)
    count = len(db.session.scalars(again.execution_options(synchronize_session=False)).all())
    if count:
        outbox.mark(OUTBOX)
    return count


def undelivered(client_id: str, limit: int = 10) -> list[Announcement]:
    """The latest that this client has not taken, for administrators."""
    return outbox.undelivered(Announcement, Announcement.client_id == client_id, limit=limit)


def sweep(now: dt.datetime, limit: int = 1000) -> int:
    """Delete up to ``limit`` announcements of long ago, taken or given up; returns how many."""
    return delete_some(Announcement, Announcement.created_at <= now - KEPT, by=Announcement.created_at, limit=limit)


def _add(
    client_id: str,
    options: dict[str, Any],
    kind: str,
    now: dt.datetime,
    *,
    consent_id: str | None,
    body: dict[str, Any],
) -> None:
    by_push = options["consent_events_delivery"] == "push"
    db.session.add(
        Announcement(
            jti=f"evt_{secrets.token_hex(16)}",
            client_id=client_id,
            kind=kind,
            consent_id=consent_id,
            body=body,
            created_at=now,
            # Who fetches has as long as who is tried; after that an administrator sees it.
            due_at=now if by_push else now + sum(WAITS, dt.timedelta(0)),
        )
    )
    db.session.flush()
    if by_push:
        outbox.mark(OUTBOX)


def _untaken(client_id: str) -> tuple[Any, ...]:
    return Announcement.client_id == client_id, Announcement.delivered_at.is_(None)


def _dead() -> tuple[Any, ...]:
    return Announcement.delivered_at.is_(None), Announcement.due_at.is_(None)


def _last_event(consent_id: str) -> Any:
    return (
        select(
            Consent.client_id,
            Consent.consent_id,
            Consent.version,
            Consent.state,
            Consent.state_since,
            Client.options,
            ConsentEvent.kind,
            ConsentEvent.seq,
            ConsentEvent.at,
        )
        .join(Client, Client.client_id == Consent.client_id)
        .join(ConsentEvent, (ConsentEvent.consent_id == Consent.consent_id) & (ConsentEvent.seq == Consent.last_seq))
        .where(Consent.consent_id == consent_id)
    )


def _body(found: Any) -> dict[str, Any]:
    """What a client needs to go on, and nothing about the person: who it is stands in sub_id, as a pairwise name."""
    reason = reason_of(State(found.state))
    return {
        "grant_id": found.consent_id,
        "consent_version": found.version,
        "event_number": found.seq,
        "state": found.state,
        "reason": reason.value if reason else None,
        "since": int(found.state_since.timestamp()),
        "at": int(found.at.timestamp()),
    }


def _changed_items(consent_id: str, version: int) -> dict[str, list[str]]:
    """Ids of the items that a version has added, removed or changed."""
    rows = db.session.execute(
        select(ConsentVersion.version, ConsentVersion.granted).where(
            ConsentVersion.consent_id == consent_id, ConsentVersion.version.in_((version, version - 1))
        )
    )
    granted = {row.version: {entry["item"]: entry for entry in row.granted} for row in rows}
    before, after = granted.get(version - 1, {}), granted[version]
    return {
        "added": sorted(after.keys() - before.keys()),
        "removed": sorted(before.keys() - after.keys()),
        "changed": sorted(name for name in after.keys() & before.keys() if after[name] != before[name]),
    }
