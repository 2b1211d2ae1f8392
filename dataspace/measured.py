"""How long things have taken, as they happened: counts by duration, for administrators and monitoring.

Kept in the database, so that all processes together tell one figure. A duration adds to one row of its kind, whose lock
is held until the commit: note it last in a transaction. Another kind is a member of :class:`Measured` and, where it
ends, one line: ``measured.note(Measured.SOMETHING, now, seconds)``.
"""

import datetime as dt
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from types import MappingProxyType

from sqlalchemy import BigInteger, SmallInteger, String, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from dataspace.db import Model, connection, table_of

# Upper bounds of the buckets, in seconds; what takes longer than the last is in one bucket more.
BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0)


class Measured(StrEnum):
    """What is measured: the name of its metric is ``dataspace_<word>_seconds``. Never renamed."""

    ENTRY_TO_PROOF = "entry_to_proof"
    READ_AFTER_WITHDRAWAL = "read_after_withdrawal"
    IMPORT = "import"
    ROTATION = "rotation"


# For monitoring, which reads English.
HELP: Mapping[Measured, str] = MappingProxyType(
    {
        Measured.ENTRY_TO_PROOF: "From an entry of the log of evidence to a checkpoint that covers it.",
        Measured.READ_AFTER_WITHDRAWAL: (
            "From the withdrawal of a consent to the last read that was still answered; 0 when there was none."
        ),
        Measured.IMPORT: "Bringing in a file of records, from the start of the command to its end.",
        Measured.ROTATION: "Wrapping every secret anew after the wrapping key was changed.",
    }
)


class MeasuredTime(Model):
    """So many of one kind took at most the bound of ``bucket`` and longer than the one before."""

    __tablename__ = "measured_times"
    kind: Mapped[str] = mapped_column(String(40), primary_key=True)
    bucket: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    count: Mapped[int] = mapped_column(BigInteger)
    seconds: Mapped[float]  # of all of them together
    latest: Mapped[float]  # of the last one
    at: Mapped[dt.datetime]  # when that was


@dataclass(frozen=True, kw_only=True)
class Times:
    """All durations of one kind. ``counts``: by bucket; ``latest``: seconds; ``at``: when that was noted."""

    kind: Measured
    counts: tuple[int, ...]
    seconds: float
    latest: float
    at: dt.datetime

    @property
    def count(self) -> int:
        """How many."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """In seconds."""
        return self.seconds / self.count

    def within(self, share: float) -> float:
        """The bound, in seconds, below which at least this share lies; infinite when it is beyond the last."""
        reached = bisect_left(list(accumulate(self.counts)), share * self.count)
        return (*BOUNDS, float("inf"))[reached]


def note(kind: Measured, now: dt.datetime, *seconds: float) -> None:
    """Add durations that have ended at ``now``, in the session's transaction.

    One below zero, which a clock that was set back makes, counts as none.
    """
    found: dict[int, list[float]] = defaultdict(list)
    for duration in seconds:
        found[bisect_left(BOUNDS, duration)].append(duration if duration > 0 else 0.0)
    if not found:
        return
    link = connection()
    new = (postgresql.insert if link.dialect.name == "postgresql" else sqlite.insert)(table_of(MeasuredTime))
    there, added = table_of(MeasuredTime).c, new.excluded
    sums = {"count": there.count + added.count, "seconds": there.seconds + added.seconds}
    values = sums | {"latest": added.latest, "at": added.at}
    rows = [
        {"kind": kind, "bucket": bucket, "count": len(some), "seconds": sum(some), "latest": some[-1], "at": now}
        for bucket, some in sorted(found.items())  # in one order, so that two at once do not wait for each other
    ]
    link.execute(new.on_conflict_do_update(index_elements=["kind", "bucket"], set_=values), rows)


def times() -> dict[Measured, Times]:
    """What has been measured so far, by kind, in the order of :class:`Measured`. One statement."""
    table = table_of(MeasuredTime).c
    rows = connection().execute(select(table.kind, table.bucket, table.count, table.seconds, table.latest, table.at))
    by_kind: dict[str, list[tuple[int, int, float, float, dt.datetime]]] = defaultdict(list)
    for kind, *row in rows:
        by_kind[kind].append(tuple(row))
    return {kind: _times(kind, by_kind[kind]) for kind in Measured if kind in by_kind}


def _times(kind: Measured, rows: list[tuple[int, int, float, float, dt.datetime]]) -> Times:
    counts = [0] * (len(BOUNDS) + 1)
    for bucket, count, *_rest in rows:
        counts[bucket] = count
    *_bucket, latest, at = max(rows, key=lambda row: (row[-1], row[0]))
    seconds = sum(row[2] for row in rows)
    return Times(kind=kind, counts=tuple(counts), seconds=seconds, latest=latest, at=at)
