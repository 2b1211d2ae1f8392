"""How good a source is: counts per source, item and day, and the latest records that were not taken, with the reason.

Completeness is how many fields of what was brought had a value; errors are what was rejected of what was brought;
freshness is how old the newest record is, against how often the catalogue says that the item changes. No value and no
identifier is kept here.
"""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import Index, String, UniqueConstraint, case, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from dataspace.days import CHINA
from dataspace.db import Model, RowId, connection, db, delete_some, table_of
from dataspace.sources.checking import Checked
from dataspace.sources.storing import Outcome, Verdict

DAYS_KEPT = dt.timedelta(days=800)  # twice the longest of FRESH: what is not brought any more is late before it is gone
REJECTIONS_KEPT = dt.timedelta(days=30)
REJECTIONS_OF_A_BATCH = 50  # a file that is wrong from end to end must not fill the table: its command lists them all
WINDOW = dt.timedelta(days=30)
# How old the newest record may be, by how often the item changes. What changes on an event may be of any age.
FRESH = MappingProxyType(
    {
        "RT": dt.timedelta(days=1),
        "D": dt.timedelta(days=2),
        "M": dt.timedelta(days=40),
        "Q": dt.timedelta(days=100),
        "Y": dt.timedelta(days=400),
    }
)
COUNTED = ("received", "added", "corrected", "confirmed", "unchanged", "unknown", "rejected", "fields", "filled")


class SourceDay(Model):
    """``day``: when it began in China. ``item_id`` is empty for what could not be read as a record of an item."""

    __tablename__ = "source_days"
    __table_args__ = (UniqueConstraint("source_id", "item_id", "day"), Index(None, "day"))
    row_id: Mapped[int] = mapped_column(RowId, primary_key=True)
    source_id: Mapped[str] = mapped_column(String(40))
    item_id: Mapped[str] = mapped_column(String(60))
    day: Mapped[dt.datetime]
    received: Mapped[int] = mapped_column(default=0)
    added: Mapped[int] = mapped_column(default=0)
    corrected: Mapped[int] = mapped_column(default=0)
    confirmed: Mapped[int] = mapped_column(default=0)
    unchanged: Mapped[int] = mapped_column(default=0)
    unknown: Mapped[int] = mapped_column(default=0)
    rejected: Mapped[int] = mapped_column(default=0)
    fields: Mapped[int] = mapped_column(default=0)
    filled: Mapped[int] = mapped_column(default=0)
    newest_as_of: Mapped[dt.datetime | None]


class Rejection(Model):
    """One record that was not taken. ``place``: the line of the file, or the number in the page or request."""

    __tablename__ = "source_rejections"
    __table_args__ = (Index(None, "at"), Index(None, "source_id", "rejection_id"))
    rejection_id: Mapped[int] = mapped_column(RowId, primary_key=True)
    source_id: Mapped[str] = mapped_column(String(40))
    item_id: Mapped[str] = mapped_column(String(60))
    at: Mapped[dt.datetime]
    place: Mapped[int]
    reason: Mapped[str] = mapped_column(String(30))
    field: Mapped[str] = mapped_column(String(60))


def count(source_id: str, verdicts: Sequence[Verdict], checked: Sequence[Checked], now: dt.datetime) -> None:
    """Add a batch to the counts of today and keep its first rejections. The caller holds the source."""
    if not verdicts:
        return
    day = now.astimezone(CHINA).replace(hour=0, minute=0, second=0, microsecond=0)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    newest: dict[str, dt.datetime] = {}
    for (item_id, column), number in Counter((v.item_id, _column(v)) for v in verdicts).items():
        counts[item_id].update({"received": number, column: number})
    for record in checked:
        found = counts[record.item_id]
        for row in record.rows:
            found["fields"] += len(row)
            found["filled"] += len(row) - [*row.values()].count(None)
        newest[record.item_id] = max(record.as_of, newest.get(record.item_id, record.as_of))
    _add(
        [
            {"source_id": source_id, "item_id": item_id, "day": day, "newest_as_of": newest.get(item_id)}
            | {name: found[name] for name in COUNTED}
            for item_id, found in sorted(counts.items())
        ]
    )
    rows = [
        {
            "source_id": source_id, "item_id": v.item_id, "at": now, "place": v.place, "reason": v.reason,
            "field": v.field[:60],
        }
        for v in verdicts
        if v.outcome == Outcome.REJECTED
    ][:REJECTIONS_OF_A_BATCH]  # fmt: skip
    if rows:
        connection().execute(insert(table_of(Rejection)), rows)


def _column(verdict: Verdict) -> str:
    return "unknown" if verdict.reason == "unknown_holder" else verdict.outcome.value


def _add(rows: list[dict[str, Any]]) -> None:
    """Add to the counts of today, or begin them."""
    link, here = connection(), table_of(SourceDay).c
    make: Any = postgresql.insert if link.dialect.name == "postgresql" else sqlite.insert
    new = make(table_of(SourceDay))
    sums: dict[str, Any] = {name: here[name] + new.excluded[name] for name in COUNTED}
    is_newer = here.newest_as_of.is_(None) | (here.newest_as_of < new.excluded.newest_as_of)
    sums["newest_as_of"] = case((is_newer, new.excluded.newest_as_of), else_=here.newest_as_of)
    link.execute(new.on_conflict_do_update(index_elements=["source_id", "item_id", "day"], set_=sums), rows)


@dataclass(frozen=True, kw_only=True)
class Quality:
    """One item of one source: counts of the last 30 days; shares are None when nothing was brought in them.

    ``newest_as_of``: of the newest record ever, as far back as days are kept.
    """

    source_id: str
    item_id: str
    received: int
    changed: int
    unknown: int
    rejected: int
    completeness: float | None
    error_rate: float | None
    newest_as_of: dt.datetime | None

    def is_late(self, frequency: str, now: dt.datetime) -> bool:
        """Whether the newest record is older than one would expect of an item that changes so often."""
        limit = FRESH.get(frequency)
        return limit is not None and self.newest_as_of is not None and now - self.newest_as_of > limit


def overview(now: dt.datetime) -> list[Quality]:
    """Every item of every source that has ever brought it, as far back as days are kept, in one query."""
    day = SourceDay
    lately = day.day > now - WINDOW
    sums = [func.sum(case((lately, getattr(day, name)), else_=0)).label(name) for name in COUNTED]
    rows = db.session.execute(
        select(day.source_id, day.item_id, func.max(day.newest_as_of).label("newest"), *sums)
        .group_by(day.source_id, day.item_id)
        .order_by(day.source_id, day.item_id)
    )
    return [
        Quality(
            source_id=row.source_id,
            item_id=row.item_id,
            received=row.received,
            changed=row.added + row.corrected,
            unknown=row.unknown,
            rejected=row.rejected,
            completeness=row.filled / row.fields if row.fields else None,
            error_rate=row.rejected / row.received if row.received else None,
            newest_as_of=row.newest,
        )
        for row in rows
    ]


def rejections(source_id: str, limit: int = 50) -> list[Rejection]:
    """The latest records of a source that were not taken."""
    query = select(Rejection).filter_by(source_id=source_id).order_by(Rejection.rejection_id.desc()).limit(limit)
    return list(db.session.scalars(query))


def sweep_days(now: dt.datetime, limit: int) -> int:
    """Delete up to ``limit`` counts of long ago; returns how many."""
    return delete_some(SourceDay, SourceDay.day <= now - DAYS_KEPT, by=SourceDay.day, limit=limit)


def sweep_rejections(now: dt.datetime, limit: int) -> int:
    """Delete up to ``limit`` rejections of long ago; returns how many."""
    return delete_some(Rejection, Rejection.at <= now - REJECTIONS_KEPT, by=Rejection.at, limit=limit)
