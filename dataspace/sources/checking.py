"""Whether a record is one that this source may bring; which rule it breaks if not.

No answer here repeats a value: it names the field.
"""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dataspace import catalogue, identifiers
from dataspace.catalogue import DataItem
from dataspace.days import CHINA
from dataspace.errors import InvalidIdentifier
from dataspace.identifiers import Identifier
from dataspace.sources import registry, schema
from dataspace.sources.incoming import Flawed, Incoming, Reason
from dataspace.sources.registry import Source
from dataspace.spaces import Row

AHEAD = dt.timedelta(minutes=5)  # of our clock
# Control characters but tab and newlines, and those that turn the direction of a text around (Unicode TR 36).
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# What a spreadsheet would take for a formula; signs before plain numbers and alone are no formula.
_FORMULA = re.compile(r"[=@\t\r]|[+-](?![0-9 ().,:/-]*$)")


@dataclass(frozen=True, slots=True)
class Checked:
    """A record that its source may bring. ``rows``: every field of the item in its order, None where it is empty."""

    place: int
    identifier: Identifier
    item_id: str
    item_version: int
    as_of: dt.datetime
    rows: list[Row]
    corrects: bool
    case: str = ""


class _Rules(NamedTuple):
    """Of one item. The row itself would be read anew after every commit."""

    version: int
    subject: str
    fields: tuple[str, ...]
    validator: Any

    @classmethod
    def of(cls, item: DataItem) -> "_Rules":
        return cls(item.version, item.subject, item.field_ids(), schema.validator(item))


class Checker:
    """The rules for one source, ready for many records: the items are looked up once."""

    def __init__(self, source: Source, now: dt.datetime) -> None:
        self._now = now
        self._today = now.astimezone(CHINA).date()
        self.items: Mapping[str, DataItem] = registry.own_items(source)
        self._known = {item.item_id for item in catalogue.all_current()}
        self._rules = {item_id: _Rules.of(item) for item_id, item in self.items.items()}

    def check(self, incoming: Incoming) -> Checked | Flawed:
        """All rules in order; the first that is broken is told."""
        rules = self._rules.get(incoming.item_id)
        if rules is None:
            known = incoming.item_id in self._known
            return (
                Flawed(incoming.place, Reason.FOREIGN_ITEM, incoming.item_id)
                if known
                else Flawed(incoming.place, Reason.UNKNOWN_ITEM)
            )
        flaw = self._values(incoming, rules.validator)
        if flaw is not None:
            return flaw
        try:
            identifier = identifiers.parse(rules.subject, incoming.identifier, today=self._today)
        except InvalidIdentifier:
            return Flawed(incoming.place, Reason.INVALID_IDENTIFIER, incoming.item_id)
        as_of = _moment(incoming.as_of)
        if as_of is None:
            return Flawed(incoming.place, Reason.INVALID_AS_OF, incoming.item_id)
        if as_of > self._now + AHEAD:
            return Flawed(incoming.place, Reason.AS_OF_IN_FUTURE, incoming.item_id)
        rows = [{field: row.get(field) for field in rules.fields} for row in incoming.rows]
        return Checked(
            incoming.place, identifier, incoming.item_id, rules.version, as_of, rows, incoming.corrects, incoming.case
        )  # fmt: skip

    def _values(self, incoming: Incoming, validator: Any) -> Flawed | None:
        if not validator.is_valid(incoming.rows):
            path = next(iter(validator.iter_errors(incoming.rows))).instance_path
            field = path[1] if len(path) > 1 else ""
            return Flawed(incoming.place, Reason.INVALID_VALUE, incoming.item_id, str(field))
        for row in incoming.rows:
            for field, value in row.items():
                if isinstance(value, str) and (reason := unsafe(value)):
                    return Flawed(incoming.place, reason, incoming.item_id, field)
        return None


def unsafe(value: str) -> Reason | None:
    """Why a text may not enter a space: somebody will open it in a terminal, a page or a spreadsheet."""
    if _CONTROL.search(value):
        return Reason.CONTROL_CHARACTER
    return Reason.FORMULA if _FORMULA.match(value) else None


def _moment(text: str) -> dt.datetime | None:
    """A moment with its offset from UTC (RFC 3339); None when it is none."""
    try:
        found = dt.datetime.fromisoformat(text)
        return found.astimezone(dt.UTC) if found.tzinfo is not None and len(text) >= len("2026-01-01T00:00Z") else None
    except (ValueError, OverflowError):
        return None
