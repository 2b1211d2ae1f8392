"""Outboxes: tables of what is still to be sent, tried again until it is taken or given up, by several senders at once.

A row is *claimed*, which puts its next try off for a while; then posted, outside of any transaction; then what came of
it is *recorded*. Whoever dies in between leaves a row that is tried again, and no two claim the same one.

What goes to one addressee goes one after the other, and an addressee that cannot be reached is left alone for a while,
so that nobody waits because somebody else is down.
"""

import datetime as dt
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import String, case, literal, null, select, update
from sqlalchemy.orm import InstrumentedAttribute, Mapped, mapped_column

from dataspace.db import RowId, db, read_once

AT_ONCE = 32  # addressees at the same time
PATIENCE = 3.0  # seconds for one addressee; what is left for it then waits for the next round
REST = dt.timedelta(seconds=30)  # how long an addressee that cannot be reached is left alone
MARKS = "outboxes"  # in the session: which outboxes this transaction has put something into


class Posted:
    """The columns of an outbox. ``due_at``: the next try; NULL: no more, it was taken or given up."""

    notice_id: Mapped[int] = mapped_column(RowId, primary_key=True)
    created_at: Mapped[dt.datetime]
    due_at: Mapped[dt.datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    delivered_at: Mapped[dt.datetime | None]
    problem: Mapped[str] = mapped_column(String(200), default="")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one row; ``problem`` is empty when it was taken.

    ``final``: no use trying again. ``unreachable``: nothing else would have been taken either. ``left``: not tried, and
    due again at once, or after a rest if the addressee is unreachable.
    """

    notice_id: int
    problem: str = ""
    final: bool = False
    unreachable: bool = False
    left: bool = False


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One row, ready to send. ``post`` touches no database and raises nothing."""

    notice_id: int
    to: str
    post: Callable[[], Outcome] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One outbox and how its rows are sent.

    ``waits``: when to try again after the first, second, ... attempt; the one after the last is not made. ``write``:
    a letter for each row, or why there is none to be sent. ``addressee``: the column that says who shares a fate.
    """

    name: str
    rows: type[Any]  # a model with the columns of Posted
    addressee: InstrumentedAttribute[Any]
    waits: Sequence[dt.timedelta]
    write: Callable[[Collection[Any], dt.datetime], list[Letter | Outcome]]

    @property
    def patience(self) -> dt.timedelta:
        """After that long no more is tried."""
        return sum(self.waits, dt.timedelta(0))


def mark(name: str) -> None:
    """This transaction has put something into an outbox: whoever commits it may have it sent at once."""
    db.session.info.setdefault(MARKS, set()).add(name)


def marked() -> set[str]:
    """The outboxes into which something was put since the last time that this was asked in this session."""
    found: set[str] = db.session.info.pop(MARKS, set())
    return found


def claim(channel: Channel, now: dt.datetime, limit: int) -> list[Any]:
    """Up to ``limit`` rows that are due, the oldest first, nobody else's from now on. To be committed at once."""
    rows = channel.rows
    due = (
        select(rows.notice_id)
        .where(rows.due_at <= now)
        .order_by(rows.due_at, rows.notice_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    waits = [(rows.attempts == n, literal(now + wait, rows.due_at.type)) for n, wait in enumerate(channel.waits)]
    later = case((rows.created_at <= now - channel.patience, null()), *waits)  # NULL after the last, too
    claimed = (
        update(rows)
        .where(rows.notice_id.in_(read_once(due)))
        .values(due_at=later, attempts=rows.attempts + 1)
        .returning(rows)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return sorted(db.session.scalars(claimed), key=lambda row: row.notice_id)


def post(letters: Collection[Letter]) -> list[Outcome]:
    """Post them; takes at most PATIENCE and one answer, however slow the addressees are. Touches no database."""
    if not letters:
        return []
    by_addressee: dict[str, list[Letter]] = defaultdict(list)
    for letter in letters:
        by_addressee[letter.to].append(letter)
    with ThreadPoolExecutor(min(AT_ONCE, len(by_addressee)), thread_name_prefix="outbox") as several:
        return [outcome for outcomes in several.map(_post_in_order, by_addressee.values()) for outcome in outcomes]


def _post_in_order(letters: list[Letter]) -> list[Outcome]:
    """To one addressee, until it cannot be reached or has taken too long."""
    until = time.monotonic() + PATIENCE
    outcomes: list[Outcome] = []
    for letter in letters:
        if outcomes and (outcomes[-1].unreachable or time.monotonic() >= until):
            break
        outcomes.append(letter.post())
    down = outcomes[-1].unreachable
    rest = letters[len(outcomes) :]
    return [*outcomes, *(Outcome(notice_id=letter.notice_id, left=True, unreachable=down) for letter in rest)]


def record(channel: Channel, outcomes: Collection[Outcome], now: dt.datetime) -> int:
    """Write down what came of it; returns how many were taken."""
    rows = channel.rows
    for outcome in outcomes:
        if outcome.left:
            values = {"attempts": rows.attempts - 1, "due_at": literal(now, rows.due_at.type)}
        elif outcome.problem:
            values = {"problem": outcome.problem[:200]} | ({"due_at": None} if outcome.final else {})
        else:
            values = {"problem": "", "delivered_at": now, "due_at": None}
        # Whoever fetches as well may have taken it meanwhile.
        row = update(rows).where(rows.notice_id == outcome.notice_id, rows.delivered_at.is_(None))
        db.session.execute(row.values(values))
    _leave_alone(channel, {o.notice_id for o in outcomes if o.unreachable}, now)
    return sum(not outcome.problem and not outcome.left for outcome in outcomes)


def _leave_alone(channel: Channel, unreachable: set[int], now: dt.datetime) -> None:
    """What else is due for who cannot be reached waits a while; it does not count as tried."""
    if not unreachable:
        return
    rows = channel.rows
    who = select(channel.addressee).where(rows.notice_id.in_(unreachable))
    later = case((rows.created_at <= now - channel.patience, null()), else_=literal(now + REST, rows.due_at.type))
    problem = case((rows.problem == "", "could not be reached"), else_=rows.problem)
    waiting = update(rows).where(channel.addressee.in_(who), rows.due_at <= now)
    values = {"due_at": later, "problem": problem}
    db.session.execute(waiting.values(values).execution_options(synchronize_session=False))


def undelivered(channel_rows: type[Any], *which: Any, limit: int) -> list[Any]:
    """The latest rows that were not taken so far, for administrators."""
    missed = channel_rows.delivered_at.is_(None), channel_rows.problem != ""
    query = select(channel_rows).where(*which, *missed).order_by(channel_rows.created_at.desc()).limit(limit)
    return list(db.session.scalars(query))
