"""CSV and NDJSON: numbered lines into records, each with the place in the file where the next one begins.

NDJSON: one JSON object a line. CSV: a header ``identifier,as_of[,item][,corrects][,case],field,...``; one line is one
row, lines that follow each other with the same identifier, item and as_of are the rows of one record. A value has no
line break; one without its end is a file that was cut.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dataspace.catalogue import DataItem
from dataspace.errors import InvalidFile
from dataspace.sources.incoming import Flawed, Incoming, NotJson, Reason, from_document, parse_json
from dataspace.sources.lines import Line
from dataspace.sources.schema import MAX_ROWS

MAX_COLUMNS = 100
HEAD = ("identifier", "as_of", "item", "corrects", "case")
ENCODINGS = ("utf-8", "gb18030")


@dataclass(frozen=True, slots=True)
class Parsed:
    """One entry, and where the one after it begins."""

    entry: Incoming | Flawed
    next_start: int
    next_number: int


class Format(Protocol):
    """How a file is read: from the beginning, or from where an earlier run has stopped."""

    def parse(self, lines: Iterable[Line]) -> Iterator[Parsed]:
        """The entries of these lines."""
        ...


class Ndjson:
    """One JSON object a line."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self._encoding = encoding

    def parse(self, lines: Iterable[Line]) -> Iterator[Parsed]:
        """Empty lines are left out."""
        for line in lines:
            text = _text(line, self._encoding)
            if isinstance(text, Flawed):
                yield Parsed(text, line.end, line.number + 1)
            elif text.strip():
                yield Parsed(_from_json(text, line), line.end, line.number + 1)


class Csv:
    """``header``: the first line of the file; ``item_id``: what every line is about, if no column says it."""

    def __init__(self, header: Line, items: dict[str, DataItem], item_id: str = "", encoding: str = "utf-8") -> None:
        self._item_id, self._encoding = item_id, encoding
        self._types = {
            item.item_id: {field["id"]: field.get("value", {}).get("type", "string") for field in item.fields}
            for item in items.values()
        }
        self._columns = _header(header, encoding)
        missing = {"identifier", "as_of"} - set(self._columns)
        if not item_id and "item" not in self._columns:
            missing.add("item")
        if missing:
            raise InvalidFile([f"line 1: no column {name}" for name in sorted(missing)])
        known = {field for types in self._types.values() for field in types} | set(HEAD)
        strange = [n for n, column in enumerate(self._columns, start=1) if column not in known]
        if strange:
            raise InvalidFile([f"line 1: column {n} is no field of an item of this source" for n in strange[:20]])

    def parse(self, lines: Iterable[Line]) -> Iterator[Parsed]:
        """Lines after the header."""
        held: Incoming | None = None
        end = (0, 0)  # of what is held
        for line in lines:
            if line.number == 1:
                continue
            entry = self._entry(line)
            if entry is None:
                continue
            if held is not None and isinstance(entry, Incoming) and _same(held, entry):
                held.rows.extend(entry.rows[: MAX_ROWS + 1 - len(held.rows)])
                end = (line.end, line.number + 1)
                continue
            if held is not None:
                yield Parsed(_whole(held), line.start, line.number)
                held = None
            if isinstance(entry, Incoming):
                held, end = entry, (line.end, line.number + 1)
            else:
                yield Parsed(entry, line.end, line.number + 1)
        if held is not None:
            yield Parsed(_whole(held), *end)

    def _entry(self, line: Line) -> Incoming | Flawed | None:
        text = _text(line, self._encoding)
        if isinstance(text, Flawed):
            return text
        if not text.strip():
            return None
        if not line.ended:
            return Flawed(line.number, Reason.TRUNCATED)
        try:
            (cells,) = csv.reader([text], strict=True)
        except (csv.Error, ValueError):
            return Flawed(line.number, Reason.NOT_CSV)
        if len(cells) != len(self._columns):
            return Flawed(line.number, Reason.COLUMNS)
        return self._incoming(line.number, dict(zip(self._columns, cells, strict=True)))

    def _incoming(self, place: int, cells: dict[str, str]) -> Incoming | Flawed:
        item_id = cells.pop("item", self._item_id)
        corrects, case = cells.pop("corrects", ""), cells.pop("case", "")
        if corrects not in ("", "true", "false"):
            return Flawed(place, Reason.NOT_A_RECORD, field="corrects")
        if case and corrects != "true":
            return Flawed(place, Reason.NOT_A_RECORD, field="case")
        identifier, as_of = cells.pop("identifier"), cells.pop("as_of")
        # A column of another item of the file has to be empty; with a value it is no field of this one.
        types = self._types.get(item_id, {})
        row = {name: _value(cell, types.get(name, "string")) for name, cell in cells.items() if cell or name in types}
        return Incoming(place, identifier, item_id, as_of, [row], corrects == "true", case)


def header_of(lines: Iterator[Line]) -> Line:
    """The first line of a file. Raises InvalidFile when it is empty."""
    line = next(lines, None)
    if line is None or not line.content:
        raise InvalidFile(["line 1: no header" if line is None or line.content is not None else "line 1: too long"])
    return line


def _header(line: Line, encoding: str) -> Sequence[str]:
    text = _text(line, encoding)
    if isinstance(text, Flawed):
        raise InvalidFile([f"line 1: not {encoding}"])
    if text.count(",") >= MAX_COLUMNS:
        raise InvalidFile([f"line 1: more than {MAX_COLUMNS} columns"])
    try:
        columns = [column.strip() for column in next(csv.reader([text], strict=True))]
    except (csv.Error, StopIteration):
        raise InvalidFile(["line 1: not CSV"]) from None
    if len(set(columns)) != len(columns):
        raise InvalidFile(["line 1: names a column twice"])
    return columns


def _text(line: Line, encoding: str) -> str | Flawed:
    if line.content is None:
        return Flawed(line.number, Reason.TOO_LONG)
    try:
        return line.content.decode(encoding)
    except UnicodeDecodeError:
        return Flawed(line.number, Reason.NOT_UTF8)


def _from_json(text: str, line: Line) -> Incoming | Flawed:
    try:
        return from_document(line.number, parse_json(text))
    except NotJson as error:
        cut = not line.ended and error.reason == Reason.NOT_JSON
        return Flawed(line.number, Reason.TRUNCATED if cut else error.reason)


def _value(cell: str, kind: str) -> Any:
    """A cell as the catalogue types it; one that does not fit stays a text, which the schema refuses."""
    if not cell:
        return None
    if kind == "integer" and cell.removeprefix("-").isdecimal() and cell.isascii() and len(cell) < 20:
        return int(cell)
    if kind == "boolean" and cell in ("true", "false"):
        return cell == "true"
    return cell


def _same(first: Incoming, second: Incoming) -> bool:
    return (first.identifier, first.item_id, first.as_of, first.corrects, first.case) == (
        second.identifier, second.item_id, second.as_of, second.corrects, second.case,
    )  # fmt: skip


def _whole(entry: Incoming) -> Incoming | Flawed:
    return entry if len(entry.rows) <= MAX_ROWS else Flawed(entry.place, Reason.TOO_MANY_ROWS, entry.item_id)
