"""TOML data files with a JSON Schema: read them all, check them all, name every problem.

A problem is one line ``file: entry: field: what is wrong``. It never quotes a value: data files of holders hold
identifiers, and problems are printed and logged.
"""

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from dataspace.errors import InvalidFile

WORDS = {
    "object": "a table",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "empty",
}


@dataclass(frozen=True)
class Entry:
    """One element of a table array of a file. ``sound``: it follows the schema, so its keys may be relied on."""

    file: str
    table: str
    name: str
    content: dict[str, Any]
    sound: bool

    def problem(self, field: str, what: str) -> str:
        """The line that says what is wrong with a field of this entry."""
        return f"{self.file}: {self.name}: {field}: {what}"


def schema(path: Path) -> Draft202012Validator:
    """The validator of a JSON Schema file (draft 2020-12)."""
    return Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))


def expand(paths: Iterable[Path]) -> list[Path]:
    """The paths with each directory replaced by the ``*.toml`` files in it."""
    return [file for path in paths for file in (sorted(path.glob("*.toml")) if path.is_dir() else [path])]


def read(
    paths: Iterable[Path], validator: Draft202012Validator, names: Mapping[str, str]
) -> tuple[list[Entry], list[str]]:
    """All entries of all files, and all problems.

    ``names``: table -> the key by which its entries are called in problems, such as ``{"items": "item_id"}``.
    """
    entries: list[Entry] = []
    problems: list[str] = []
    for path in paths:
        content = _parse(path, problems)
        if content is not None:
            found, wrong = judge(path.name, content, validator, names)
            entries += found
            problems += wrong
    return entries, problems


def judge(
    file: str, content: dict[str, Any], validator: Draft202012Validator, names: Mapping[str, str]
) -> tuple[list[Entry], list[str]]:
    """The entries of one document that is called ``file``, and its problems."""
    problems: list[str] = []
    broken: set[tuple[str, int]] = set()
    for error in sorted(
        validator.iter_errors(content), key=lambda e: [(isinstance(p, int), p) for p in e.absolute_path]
    ):
        problems.append(_line(file, content, error, names))
        if len(error.absolute_path) > 1 and isinstance(error.absolute_path[1], int):
            broken.add((str(error.absolute_path[0]), error.absolute_path[1]))
    return _entries(file, content, names, broken), problems


def checked(
    file: str, data: bytes, schema: Draft202012Validator, names: Mapping[str, str], *,
    means: Callable[[list[Entry]], list[str]], max_bytes: int,
) -> tuple[dict[str, Any], list[Entry]]:  # fmt: skip
    """One file that counts as a whole: its content and entries. Raises InvalidFile, a line per problem.

    ``means``: what is wrong with the entries beyond their form.
    """
    if len(data) > max_bytes:
        raise InvalidFile([f"{file}: is larger than {max_bytes // 1024} KiB"])
    problems: list[str] = []
    content = parse(file, data, problems)
    if content is None:
        raise InvalidFile(problems)
    entries, problems = judge(file, content, schema, names)
    problems += means(entries)
    if problems:
        raise InvalidFile(problems)
    return content, entries


def parse(file: str, data: bytes, problems: list[str]) -> dict[str, Any] | None:
    """The content of a document that is called ``file``; None, and why in ``problems``, when it is no TOML."""
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        problems.append(f"{file}: line {data.count(10, 0, error.start) + 1}: is not UTF-8")
    except tomllib.TOMLDecodeError as error:
        # tomllib says "... (at line 3, column 7)"; keep what and where, in our order.
        what, _, where = str(error).rstrip(")").partition(" (at ")
        problems.append(f"{file}: {where or 'end of file'}: {what}")
    except RecursionError:
        problems.append(f"{file}: is nested too deeply")
    return None


def _parse(path: Path, problems: list[str]) -> dict[str, Any] | None:
    try:
        return parse(path.name, path.read_bytes(), problems)
    except OSError as error:
        problems.append(f"{path.name}: cannot be read: {error.strerror}")
    return None


def _entries(file: str, content: dict[str, Any], names: Mapping[str, str], broken: set[tuple[str, int]]) -> list[Entry]:
    return [
        Entry(file, table, _name(content, table, i, key), entry, (table, i) not in broken)
        for table, key in names.items()
        if isinstance(content.get(table), list)
        for i, entry in enumerate(content[table])
        if isinstance(entry, dict)
    ]


def _name(content: dict[str, Any], table: str, i: int, key: str) -> str:
    """What an entry is called: its name key when it has one, else its place in the file, counted from 1."""
    entry = content[table][i]
    name = entry.get(key) if isinstance(entry, dict) else None
    return name if isinstance(name, str) and name else f"{table} {i + 1}"


def _line(file: str, content: dict[str, Any], error: ValidationError, names: Mapping[str, str]) -> str:
    path = list(error.absolute_path)
    parts = [file]
    if len(path) > 1 and path[0] in names:
        table, i = str(path[0]), int(path[1])
        parts.append(_name(content, table, i, names[table]))
        path = path[2:]
    where, what = _dotted(path), _what(error)
    if error.validator in ("required", "additionalProperties"):
        where = ".".join(p for p in (where, _property(error)) if p)
    return ": ".join([*parts, *([where] if where else []), what])


def _dotted(path: list[str | int]) -> str:
    """``fields[2].label.en``: places in lists count from 1, as people do."""
    dotted = "".join(f"[{p + 1}]" if isinstance(p, int) else f".{p}" for p in path)
    return dotted.removeprefix(".")


def _property(error: ValidationError) -> str:
    if error.validator == "required":
        return error.message.split("'")[1]
    known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
    instance: Any = error.instance
    return ", ".join(sorted(str(k) for k in instance if k not in known))


def _what(error: ValidationError) -> str:
    """What is wrong, in words that hold no value from the file."""
    limit: Any = error.validator_value
    kinds = limit if isinstance(limit, list) else [limit]
    sentences = {
        "required": "is missing",
        "additionalProperties": "is not known here",
        "type": "must be " + " or ".join(WORDS.get(str(k), str(k)) for k in kinds),
        "enum": "must be one of " + ", ".join(str(k) for k in kinds),
        "const": f"must be {limit}",
        "pattern": "does not have the required form",
        "minLength": "is empty" if limit == 1 else f"is shorter than {limit} characters",
        "maxLength": f"is longer than {limit} characters",
        "minimum": f"must be at least {limit}",
        "maximum": f"must be at most {limit}",
        "minItems": f"needs at least {limit}",
        "maxItems": f"has more than {limit}",
        "uniqueItems": "names something twice",
        "dependentRequired": "is incomplete",
    }
    return sentences.get(str(error.validator), f"breaks the rule {error.validator}")
