"""One record as a source brings it: ``{identifier, item, as_of, rows, corrects?, case?}``, in whatever it came.

What is wrong with one is data as well: which one it was, and a durable word that says why. Never a value of it.
"""

import enum
import json
from dataclasses import dataclass
from typing import Any, NoReturn

from dataspace.sources.schema import MAX_ROWS

MEMBERS = frozenset({"identifier", "item", "as_of", "rows", "corrects", "case"})


class Reason(enum.StrEnum):
    """Why a record was not taken; durable words."""

    NOT_UTF8 = "not_utf8"
    TOO_LONG = "too_long"  # the line
    TRUNCATED = "truncated"  # the last line has no end
    NOT_JSON = "not_json"
    NOT_CSV = "not_csv"
    COLUMNS = "columns"  # more or fewer than the header has
    DUPLICATE_KEY = "duplicate_key"
    NOT_A_RECORD = "not_a_record"
    TOO_MANY_ROWS = "too_many_rows"
    UNKNOWN_ITEM = "unknown_item"
    FOREIGN_ITEM = "foreign_item"  # another authority answers for it, or the source is not registered for it
    INVALID_IDENTIFIER = "invalid_identifier"
    INVALID_AS_OF = "invalid_as_of"
    AS_OF_IN_FUTURE = "as_of_in_future"
    CONTROL_CHARACTER = "control_character"
    FORMULA = "formula"  # a value that a spreadsheet would run
    INVALID_VALUE = "invalid_value"  # against the JSON Schema of the item
    UNKNOWN_HOLDER = "unknown_holder"  # nobody with this identifier has a space here
    OLDER = "older"  # than what is there
    ERASED = "erased"  # the record was deleted here, and this one is not of later
    CONTRADICTS = "contradicts"  # another value for the same moment, and it does not say that it corrects
    UNKNOWN_CASE = "unknown_case"  # no open case of this number asks for a correction of this record


@dataclass(frozen=True, slots=True)
class Incoming:
    """Unchecked. ``place``: the line of the file, or the number in the page or request, from 1.

    ``case``: the number of the case that a correction answers, or nothing.
    """

    place: int
    identifier: str
    item_id: str
    as_of: str
    rows: list[Any]
    corrects: bool = False
    case: str = ""


@dataclass(frozen=True, slots=True)
class Flawed:
    """One that is not taken. ``field``: which member or field, if one is to blame."""

    place: int
    reason: Reason
    item_id: str = ""
    field: str = ""


class NotJson(ValueError):
    """``reason``: NOT_JSON or DUPLICATE_KEY."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


def parse_json(text: str | bytes) -> Any:
    """A JSON document in which no object says a name twice. Raises NotJson.

    The standard library, because the fast one takes the last of two equal names without a word (RFC 8259 section 4).
    """
    try:
        # As json.loads does it, but with one decoder for all lines of a file.
        said = text if isinstance(text, str) else text.decode(json.detect_encoding(text), "surrogatepass")
        return _DECODER.decode(said)
    except NotJson:
        raise
    except (ValueError, RecursionError):
        raise NotJson(Reason.NOT_JSON) from None


def from_document(place: int, document: object) -> Incoming | Flawed:
    """A record from what JSON says."""
    if not isinstance(document, dict):
        return Flawed(place, Reason.NOT_A_RECORD)
    if strange := document.keys() - MEMBERS:
        return Flawed(place, Reason.NOT_A_RECORD, field=_printable(min(strange)))
    for name in ("identifier", "item", "as_of"):
        if not isinstance(document.get(name), str):
            return Flawed(place, Reason.NOT_A_RECORD, field=name)
    rows, corrects, case = document.get("rows"), document.get("corrects", False), document.get("case", "")
    if not isinstance(rows, list):
        return Flawed(place, Reason.NOT_A_RECORD, field="rows")
    if not isinstance(corrects, bool):
        return Flawed(place, Reason.NOT_A_RECORD, field="corrects")
    if not isinstance(case, str) or (case and not corrects):
        return Flawed(place, Reason.NOT_A_RECORD, field="case")
    if len(rows) > MAX_ROWS:
        return Flawed(place, Reason.TOO_MANY_ROWS)
    return Incoming(place, document["identifier"], document["item"], document["as_of"], rows, corrects, case)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotJson(Reason.DUPLICATE_KEY)
    return found


def _refuse(_name: str) -> NoReturn:
    raise NotJson(Reason.NOT_JSON)  # NaN and Infinity


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse)


def _printable(name: str) -> str:
    return name[:40] if name.isascii() and name.isprintable() else ""
