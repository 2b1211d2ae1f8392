"""Messages to the holder of a space: what happened, and what waits. Written in the transaction of what happened.

A message keeps only what kind it is and what it is about, by id; its words are made when it is read, in the reader's
language. What somebody does not want to be bothered with arrives as read already; nothing is kept from the space.
"""

import datetime as dt
import enum
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Index, String, delete, func, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from dataspace import mail
from dataspace.db import Model, RowId, db, delete_some, insert_new
from dataspace.holders import Holder

KEPT = dt.timedelta(days=730)
PAGE = 25


class Group(enum.StrEnum):
    """Durable words: what somebody can choose about, and those of ALWAYS, about which nobody can."""

    AUTHORIZATIONS = "authorizations"
    APPROVALS = "approvals"
    REMINDERS = "reminders"
    READS = "reads"
    BY_LAW = "by_law"
    CHILDREN = "children"
    SECURITY = "security"


ALWAYS = frozenset({Group.CHILDREN, Group.SECURITY, Group.BY_LAW})
ADJUSTABLE = tuple(group for group in Group if group not in ALWAYS)


class Notice(enum.StrEnum):
    """The kinds of messages of the data space itself; durable words. Those of consents are their events."""

    PASSKEY_ADDED = "security:passkey_added"
    PASSKEY_REMOVED = "security:passkey_removed"
    RECOVERED = "security:recovered"
    NEW_BROWSER = "security:new_browser"
    ADDRESS_CHANGED = "security:address_changed"
    DATA_CORRECTED = "data:corrected"
    RECORD_ERASED = "data:erased"
    READ_REFUSED = "read:refused"
    LAW_READ = "law:read"  # read by law: the notice that stands in place of consent
    LAW_DISCLOSED = "law:disclosed"  # the same of what was held back
    ARCHIVE_ASKED = "archive:asked"
    ARCHIVE_READY = "archive:ready"
    EVIDENCE_PACKED = "evidence:packed"
    ERASURE_ASKED = "erasure:asked"
    ERASURE_REFUSED = "erasure:refused"
    CERTIFICATE_MADE = "certificate:made"  # by a third party
    CERTIFICATE_USED = "certificate:used"
    CERTIFICATE_FROZEN = "certificate:frozen"  # by an administrator, as the next two
    CERTIFICATE_THAWED = "certificate:thawed"
    CERTIFICATE_REVOKED = "certificate:revoked"
    CERTIFICATE_SUPERSEDED = "certificate:superseded"  # its data was corrected at the source
    CASE_ANSWERED = "case:answered"
    CASE_CORRECTED = "case:corrected"  # answered, and the authority has corrected the record


class Message(Model):
    """``about``: the id of what it is about. ``once``: no second message says the same."""

    __tablename__ = "messages"
    __table_args__ = (Index(None, "space_id", "message_id"), Index(None, "space_id", "read_at"), Index(None, "at"))
    message_id: Mapped[int] = mapped_column(RowId, primary_key=True)
    space_id: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(40))
    group: Mapped[str] = mapped_column(String(20))
    about: Mapped[str] = mapped_column(String(40), default="")
    once: Mapped[str | None] = mapped_column(String(100), unique=True)
    at: Mapped[dt.datetime]
    read_at: Mapped[dt.datetime | None]


class QuietGroup(Model):
    """A group of messages that a space does not want to be bothered with."""

    __tablename__ = "quiet_groups"
    space_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    group: Mapped[str] = mapped_column(String(20), primary_key=True)


@dataclass(frozen=True)
class Page:
    """One page, newest first; ``older`` is the cursor of the next page or None."""

    rows: list[Message]
    older: int | None


def send(space_id: str, kind: str, group: Group, now: dt.datetime, *, about: str = "", once: str | None = None) -> None:
    """Put a message into a space, and on its way by mail; with ``once`` nothing if it is there already."""
    is_quiet = group not in ALWAYS and group in quiet(space_id)
    values = {"space_id": space_id, "kind": kind, "group": group, "about": about, "once": once, "at": now}
    added = insert_new(Message).values(values | {"read_at": now if is_quiet else None}).returning(Message.message_id)
    message_id = db.session.scalar(added)
    if message_id is not None and not is_quiet:
        mail.about(space_id, message_id, now)


def send_to_person(person_id: str, kind: str, group: Group, now: dt.datetime, *, about: str = "") -> None:
    """The same to the space of a person; nothing happens when there is no such person."""
    space_id = db.session.scalar(select(Holder.space_id).where(Holder.holder_id == person_id))
    if space_id is not None:
        send(space_id, kind, group, now, about=about)


def page(space_id: str, *, group: str = "", before: int | None = None, size: int = PAGE) -> Page:
    """The messages of a space, by keyset; of one group, if it is named."""
    query = select(Message).where(Message.space_id == space_id)
    if group:
        query = query.where(Message.group == group)
    if before is not None:
        query = query.where(Message.message_id < before)
    rows = list(db.session.scalars(query.order_by(Message.message_id.desc()).limit(size + 1)))
    return Page(rows[:size], rows[size - 1].message_id if len(rows) > size else None)


def unread(space_id: str) -> int:
    """How many messages of a space nobody has read yet."""
    mine = Message.space_id == space_id, Message.read_at.is_(None)
    return db.session.scalar(select(func.count()).where(*mine)) or 0


def mark_read(space_id: str, now: dt.datetime, *, message_id: int | None = None) -> Message | None:
    """Note that one message, or all of a space, were read. Returns the one; None when it is not of this space."""
    mine: list[Any] = [Message.space_id == space_id]
    if message_id is not None:
        mine.append(Message.message_id == message_id)
    unread_ones = update(Message).where(*mine, Message.read_at.is_(None)).values(read_at=now)
    db.session.execute(unread_ones.execution_options(synchronize_session=False))
    return db.session.scalar(select(Message).where(*mine)) if message_id is not None else None


def quiet(space_id: str) -> set[str]:
    """The groups that a space does not want to be bothered with."""
    return set(db.session.scalars(select(QuietGroup.group).where(QuietGroup.space_id == space_id)))


def choose(space_id: str, wanted: Collection[str]) -> None:
    """From now on only the ``wanted`` groups; those of ALWAYS cannot be chosen against."""
    db.session.execute(delete(QuietGroup).where(QuietGroup.space_id == space_id))
    rows = [{"space_id": space_id, "group": group.value} for group in ADJUSTABLE if group not in wanted]
    if rows:
        db.session.execute(insert(QuietGroup), rows)


def forget(space_id: str) -> None:
    """Remove every message of a space, and what it has chosen."""
    for table in (Message, QuietGroup):
        db.session.execute(delete(table).where(table.space_id == space_id))


def sweep(now: dt.datetime, limit: int = 1000) -> int:
    """Delete up to ``limit`` messages of long ago; returns how many."""
    return delete_some(Message, Message.at <= now - KEPT, by=Message.at, limit=limit)
