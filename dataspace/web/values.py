"""Values of records as their holder reads them: masked where the catalogue says so, safe to show, in one's language."""

import datetime as dt
import unicodedata
from collections.abc import Collection

from babel.dates import format_skeleton
from flask_babel import get_locale, ngettext
from flask_babel import gettext as _

from dataspace.catalogue import DataItem, months
from dataspace.identifiers import mask
from dataspace.spaces import Row

MAX_ROWS = 24
MAX_TEXT = 200
# Marks that turn the direction of text; joiners, which some scripts need, are no danger.
TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
Pairs = tuple[tuple[str, str], ...]


def plain(text: object) -> str:
    """Text that somebody else wrote, without control characters and marks that turn its direction."""
    return "".join(c for c in str(text) if c == "\n" or (unicodedata.category(c) != "Cc" and c not in TURNS))


def one(raw: object, *, masked: bool = False) -> str:
    """One value; at most ``MAX_TEXT`` characters of it."""
    if raw is None or raw == "":
        return str(_("empty"))
    if isinstance(raw, bool):
        return str(_("yes") if raw else _("no"))
    text = plain(mask(raw) if masked and isinstance(raw, str) else raw)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def pairs(item: DataItem, rows: list[Row], fields: Collection[str], locale: str) -> Pairs:
    """(label, value) of some fields: a line per field, or per row of a record with many rows (``MAX_ROWS`` of them)."""
    shown = [f for f in item.field_ids() if f in fields]
    if item.cardinality == "one":
        row = rows[0] if rows else {}
        return tuple((item.field_label(f, locale), one(row.get(f), masked=item.is_masked(f))) for f in shown)
    return tuple(_line(n, row, item, shown, locale) for n, row in enumerate(rows[:MAX_ROWS], 1))


def left_out(item: DataItem, rows: list[Row]) -> int:
    """How many rows :func:`pairs` does not show."""
    return max(len(rows) - MAX_ROWS, 0) if item.cardinality == "many" else 0


def covers(item: DataItem, rows: list[Row]) -> str:
    """The months from the first to the last of a record's rows; empty when it has no period."""
    spans = [span for row in rows if item.period_field and (span := months(row.get(item.period_field)))]
    return between(min(s[0] for s in spans), max(s[1] for s in spans)) if spans else ""


def month(value: str) -> str:
    """A month ``YYYY-MM`` in the reader's language."""
    return str(format_skeleton("yMMM", dt.date(int(value[:4]), int(value[5:7]), 1), locale=get_locale()))


def between(first: str | None, last: str | None) -> str:
    """An inclusive period of months ``YYYY-MM``; empty when there is none."""
    if not first or not last:
        return ""
    return month(first) if first == last else f"{month(first)} – {month(last)}"


def how_many(first: str | None, last: str | None) -> str:
    """How many months an inclusive period has; empty when there is none."""
    if not first or not last:
        return ""
    count = 12 * (int(last[:4]) - int(first[:4])) + int(last[5:7]) - int(first[5:7]) + 1
    return months_in_words(count)


def months_in_words(count: int) -> str:
    """A number of months."""
    return str(ngettext("%(num)s month", "%(num)s months", count))


def period(first: str | None, last: str | None) -> str:
    """How many months, and which; empty when there is no period."""
    return ", ".join(filter(None, (how_many(first, last), between(first, last) if first != last else "")))


def _line(number: int, row: Row, item: DataItem, fields: list[str], locale: str) -> tuple[str, str]:
    title = plain(row.get(item.period_field)) if item.period_field else str(number)
    rest = [f for f in fields if f != item.period_field]
    return title, " · ".join(f"{item.field_label(f, locale)} {one(row.get(f), masked=item.is_masked(f))}" for f in rest)
