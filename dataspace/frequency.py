"""How often something may happen: so many times in a day, a week, a month, a quarter, a year of the calendar."""

import datetime as dt
from dataclasses import dataclass
from typing import Any, Self

from dataspace.days import CHINA, midnight

UNITS = ("day", "week", "month", "quarter", "year")


@dataclass(frozen=True, kw_only=True)
class Window:
    """One day, week, ...: from ``start`` (inclusive) until ``end``."""

    start: dt.datetime
    end: dt.datetime


@dataclass(frozen=True, kw_only=True)
class Frequency:
    """At most ``n`` times in one ``unit``."""

    n: int
    unit: str

    @classmethod
    def of(cls, document: dict[str, Any] | None) -> Self | None:
        """From its JSON form {n, unit}; None for no limit."""
        return None if document is None else cls(n=int(document["n"]), unit=str(document["unit"]))

    def window(self, at: dt.datetime) -> Window:
        """The one that a moment is in. Raises ValueError for a unit that is none."""
        day = at.astimezone(CHINA).date()
        start, end = _bounds(self.unit, day)
        return Window(start=midnight(start), end=midnight(end))


def _bounds(unit: str, day: dt.date) -> tuple[dt.date, dt.date]:
    if unit == "day":
        return day, day + dt.timedelta(days=1)
    if unit == "week":
        monday = day - dt.timedelta(days=day.weekday())
        return monday, monday + dt.timedelta(days=7)
    months = {"month": 1, "quarter": 3, "year": 12}.get(unit)
    if months is None:
        raise ValueError(unit)
    first = day.year * 12 + (day.month - 1) // months * months
    return _first_day(first), _first_day(first + months)


def _first_day(months: int) -> dt.date:
    return dt.date(months // 12, months % 12 + 1, 1)
