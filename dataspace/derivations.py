"""Answers that are computed here, at the moment of a read, from a record of the same space.

An item of the catalogue declares its ``derivation`` with itself, so that each is a version: ``{rule, from, ...}``. Its
row is ``{answer, as_of}``: true, false, or None where the record does not tell. No value of the record leaves with it.

continuous_months   the last ``months`` up to the newest month of the record are all there, each in a row that fits
                    ``where``; the newest one is that of the record's as-of time or the one before it
at_least, at_most   the number in ``field`` of the newest row, compared with ``value``
age_at_least        from the date in ``field`` so many ``years`` have passed today
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from dataspace.catalogue import DataItem, months
from dataspace.days import CHINA

Row = Mapping[str, Any]
FIELDS = ("answer", "as_of")  # of an item that declares a derivation


@dataclass(frozen=True, kw_only=True)
class Answer:
    """``period``: first and last month (``YYYY-MM``) that it is about; ``on``: the day, where it depends on that."""

    answer: bool | None
    as_of: str
    period: tuple[str, str] | None = None
    on: dt.date | None = None

    @property
    def row(self) -> dict[str, Any]:
        """As the item's fields have it."""
        return {"answer": self.answer, "as_of": self.as_of}


@dataclass(frozen=True, kw_only=True)
class Source:
    """What an answer is computed from."""

    rows: list[Any]
    period_field: str | None
    as_of: dt.datetime

    @property
    def newest(self) -> Row:
        """The row of the latest period; the first one where there are no periods."""
        field = self.period_field
        if not self.rows or field is None:
            return self.rows[0] if self.rows else {}
        found: Row = max(self.rows, key=lambda row: months(row.get(field)) or ("", ""))
        return found


def compute(item: DataItem, source: Source, now: dt.datetime) -> Answer:
    """The answer that an item with a derivation stands for."""
    said: dict[str, Any] = item.derivation or {}
    return RULES[said["rule"]](said, source, now.astimezone(CHINA).date())


def told(item: DataItem, answer: Answer) -> dict[str, Any]:
    """How an answer came about, as it is delivered with it."""
    return {**(item.derivation or {}), **({"on": answer.on.isoformat()} if answer.on else {})}


def _continuous_months(said: dict[str, Any], source: Source, _today: dt.date) -> Answer:
    fits = said.get("where", {})
    there = {month: row for row in source.rows if (month := _month(row.get(source.period_field or "")))}
    due = _number(f"{source.as_of.astimezone(CHINA):%Y-%m}") - 1
    last = max(map(_number, there), default=due)
    wanted = [_name(last - n) for n in range(said["months"])]
    paid = {month for month, row in there.items() if all(row.get(field) == value for field, value in fits.items())}
    answer = last >= due and paid.issuperset(wanted)
    return Answer(answer=answer, as_of=wanted[0], period=(wanted[-1], wanted[0]))


def _at_least(said: dict[str, Any], source: Source, _today: dt.date) -> Answer:
    return _compared(said, source, lambda value: value >= int(said["value"]))


def _at_most(said: dict[str, Any], source: Source, _today: dt.date) -> Answer:
    return _compared(said, source, lambda value: value <= int(said["value"]))


def _compared(said: dict[str, Any], source: Source, holds: Callable[[int], bool]) -> Answer:
    row = source.newest
    value = row.get(said["field"])
    answer = holds(value) if isinstance(value, int) and not isinstance(value, bool) else None
    return Answer(answer=answer, as_of=_day(source), period=months(row.get(source.period_field or "")))


def _age_at_least(said: dict[str, Any], source: Source, today: dt.date) -> Answer:
    try:
        since = dt.date.fromisoformat(str(source.newest.get(said["field"])))
    except ValueError:
        return Answer(answer=None, as_of=_day(source), on=today)
    years = today.year - since.year - ((today.month, today.day) < (since.month, since.day))
    return Answer(answer=years >= said["years"], as_of=_day(source), on=today)


RULES: Mapping[str, Callable[[dict[str, Any], Source, dt.date], Answer]] = MappingProxyType(
    {
        "continuous_months": _continuous_months,
        "at_least": _at_least,
        "at_most": _at_most,
        "age_at_least": _age_at_least,
    }
)


def _day(source: Source) -> str:
    return source.as_of.astimezone(CHINA).date().isoformat()


def _month(value: object) -> str | None:
    """The month that a value names; None for a longer period, which is no month."""
    span = months(value)
    return span[0] if span is not None and span[0] == span[1] else None


def _number(month: str) -> int:
    return int(month[:4]) * 12 + int(month[5:7]) - 1


def _name(number: int) -> str:
    return f"{number // 12:04}-{number % 12 + 1:02}"
