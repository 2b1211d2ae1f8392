"""The catalogue: which data items exist, their fields, where they come from and how they are classified.

Entries come from data files and are immutable: a changed entry becomes a new version, so that a consent keeps naming
what its holder saw. The rule set under which an item was classified is data as well (GB/T 43697, GB/T 45574).
"""

import datetime as dt
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rfc8785
from sqlalchemy import CheckConstraint, String, func, select, tuple_
from sqlalchemy.orm import Mapped, mapped_column

from dataspace import datafiles
from dataspace.datafiles import Entry
from dataspace.db import Model, db
from dataspace.errors import InvalidFile, NotFound

SCHEMA = Path(__file__).parent / "schemas" / "catalogue.schema.json"
NAMES = {"items": "item_id", "rule_sets": "name"}
OPTIONAL = {"period_field": None, "impact": None, "important": False, "derived": False}
HIGHEST = 4  # level
PREFIXES = {"natural_person": "p.", "body": "e."}


class RuleSet(Model):
    """Definitions of classes and levels with a validity. A name is never reused for other definitions."""

    __tablename__ = "rule_sets"
    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    definition: Mapped[dict[str, Any]]
    digest: Mapped[str] = mapped_column(String(64))
    loaded_at: Mapped[dt.datetime]


class DataItem(Model):
    """One version of one item.

    Texts are ``{zh_hans, zh_hant, en}``; ``fields`` is ``[{id, label, sensitive?, masked?}]`` in the order of display;
    ``period_field`` names the field by which the rows of an item with cardinality ``many`` are cut to a period;
    ``derived``: the item is an answer that was computed from other data, at the source or, where it has a
    ``derivation``, here when it is read (:mod:`dataspace.derivations`); ``min_group`` of a field: a row leaves only if
    this number is at least so much; ``digest`` is the SHA-256 of the canonical
    entry (RFC 8785).
    """

    __tablename__ = "data_items"
    __table_args__ = (
        CheckConstraint("version > 0", name="version"),
        CheckConstraint("level between 1 and 4", name="level"),
    )
    item_id: Mapped[str] = mapped_column(String(60), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(String(20))  # natural_person | body
    labels: Mapped[dict[str, Any]]
    authority: Mapped[dict[str, Any]]
    system: Mapped[str] = mapped_column(String(120))
    fields: Mapped[list[Any]]
    cardinality: Mapped[str] = mapped_column(String(4))  # one | many
    period_field: Mapped[str | None] = mapped_column(String(40))
    pi_class: Mapped[str] = mapped_column(String(8))
    level: Mapped[int]
    sensitive: Mapped[bool]
    impact: Mapped[dict[str, Any] | None]
    share: Mapped[str] = mapped_column(String(1))  # U unconditional | C conditional | N not shared
    important: Mapped[bool]
    derived: Mapped[bool] = mapped_column(default=False)
    derivation: Mapped[dict[str, Any] | None]
    frequency: Mapped[str] = mapped_column(String(2))  # RT | D | M | Q | Y | E
    rule_set: Mapped[str] = mapped_column(String(40))
    digest: Mapped[str] = mapped_column(String(64))
    loaded_at: Mapped[dt.datetime]

    def label(self, locale: str) -> str:
        """What the item is called in ``zh_Hans``, ``zh_Hant`` or ``en``."""
        return in_language(self.labels, locale)

    def authority_name(self, locale: str) -> str:
        """Who is responsible for the data at the source."""
        return in_language(self.authority, locale)

    def impact_text(self, locale: str) -> str:
        """What a leak could mean for the holder; empty for an item that is not sensitive."""
        return in_language(self.impact, locale) if self.impact else ""

    def field_ids(self) -> tuple[str, ...]:
        """All fields in the order of display."""
        return tuple(field["id"] for field in self.fields)

    def field(self, field_id: str) -> dict[str, Any]:
        """The definition of one field. Raises NotFound."""
        for field in self.fields:
            if field["id"] == field_id:
                found: dict[str, Any] = field
                return found
        raise NotFound(f"{self.item_id} has no such field")

    def field_label(self, field_id: str, locale: str) -> str:
        """What a field is called. Raises NotFound."""
        return in_language(self.field(field_id)["label"], locale)

    def is_masked(self, field_id: str) -> bool:
        """Whether pages show this field masked until the holder uncovers it. Raises NotFound."""
        return bool(self.field(field_id).get("masked", False))

    def is_sensitive_for(self, field_ids: Iterable[str]) -> bool:
        """Whether asking for these fields needs a step of its own (PIPL 29) and a fresh sign-in.

        The item is sensitive, one of the fields is, or the item is of the highest level.
        """
        return needs_own_step([self.field(f) for f in field_ids], sensitive=self.sensitive, level=self.level)


def needs_own_step(fields: Iterable[Mapping[str, Any]], *, sensitive: bool, level: int) -> bool:
    """See :meth:`DataItem.is_sensitive_for`; for where only columns are at hand."""
    return sensitive or level >= HIGHEST or any(field.get("sensitive", False) for field in fields)


@dataclass(frozen=True)
class LoadResult:
    """What a load changed: versions that were added, and how many entries are as they were."""

    added: tuple[tuple[str, int], ...]
    unchanged: int


def in_language(texts: Mapping[str, str], locale: str) -> str:
    """The text for a locale such as ``zh_Hant``; Simplified Chinese for one that we do not speak."""
    return texts.get(locale.lower()) or texts["zh_hans"]


def of_groups(rows: list[Any], fields: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Without the rows of an aggregate over fewer than may be told of; ``fields``: as the catalogue defines them."""
    least = {field["id"]: field["min_group"] for field in fields if "min_group" in field}
    if not least:
        return rows
    return [row for row in rows if all(_is_group(row.get(name), number) for name, number in least.items())]


def _is_group(value: object, least: int) -> bool:
    return isinstance(value, int) and value >= least


def months(value: object) -> tuple[str, str] | None:
    """First and last month (``YYYY-MM``) of a period value: a month, a day, a quarter ``YYYY-Qn`` or a year."""
    if not isinstance(value, str) or len(value) < 4 or not value[:4].isdecimal():
        return None
    year, rest = value[:4], value[5:7]
    if value[4:] == "":
        return f"{year}-01", f"{year}-12"
    if rest[:1] == "Q" and rest[1:] in ("1", "2", "3", "4"):
        last = 3 * int(rest[1:])
        return f"{year}-{last - 2:02}", f"{year}-{last:02}"
    return (value[:7], value[:7]) if rest.isdecimal() and "01" <= rest <= "12" else None


def months_between(first: str | None, last: str | None) -> int | None:
    """How many months ``first`` to ``last`` (``YYYY-MM``, inclusive) are; None without a period."""
    if not first or not last:
        return None
    return (int(last[:4]) - int(first[:4])) * 12 + int(last[5:7]) - int(first[5:7]) + 1


def in_period(value: object, first: str | None, last: str | None) -> bool:
    """Whether a period value lies wholly in the months ``first`` to ``last`` (inclusive; None: open end).

    A year of which only some months were granted stays: its total would tell of the others. A value that is no period
    lies in none.
    """
    span = months(value)
    return span is not None and (first is None or span[0] >= first) and (last is None or span[1] <= last)


def current(item_ids: Collection[str]) -> dict[str, DataItem]:
    """The latest version of each of these items, in one query; unknown items are left out."""
    return _latest(set(item_ids))


def all_current() -> list[DataItem]:
    """The latest version of every item, ordered by id."""
    return sorted(_latest(None).values(), key=lambda item: item.item_id)


def versions(pairs: Collection[tuple[str, int]]) -> dict[tuple[str, int], DataItem]:
    """Exactly these versions, in one query; unknown ones are left out."""
    if not pairs:
        return {}
    rows = db.session.scalars(select(DataItem).where(tuple_(DataItem.item_id, DataItem.version).in_(list(pairs))))
    return {(item.item_id, item.version): item for item in rows}


def every_version(item_ids: Collection[str]) -> dict[str, dict[int, DataItem]]:
    """All versions of these items by their numbers, the newest last, in one query; unknown items are left out."""
    found: dict[str, dict[int, DataItem]] = {}
    query = select(DataItem).where(DataItem.item_id.in_(item_ids)).order_by(DataItem.version)
    for item in db.session.scalars(query):
        found.setdefault(item.item_id, {})[item.version] = item
    return found


def _latest(item_ids: set[str] | None) -> dict[str, DataItem]:
    newest = select(DataItem.item_id, func.max(DataItem.version).label("version")).group_by(DataItem.item_id)
    if item_ids is not None:
        newest = newest.where(DataItem.item_id.in_(item_ids))
    latest = newest.subquery()
    rows = db.session.scalars(
        select(DataItem).join(latest, (DataItem.item_id == latest.c.item_id) & (DataItem.version == latest.c.version))
    )
    return {item.item_id: item for item in rows}


def load(paths: Iterable[Path], now: dt.datetime) -> LoadResult:
    """Add what is new in catalogue files (or directories of them) to the session.

    Everything is checked first. Raises InvalidFile with one line per problem; nothing is loaded then.
    """
    entries, problems = datafiles.read(datafiles.expand(paths), datafiles.schema(SCHEMA), NAMES)
    stored = {rule_set.name: rule_set for rule_set in db.session.scalars(select(RuleSet))}
    problems += _check(entries, stored, now.date())
    problems += _check_derivations([e for e in entries if e.table == "items" and e.sound])
    if problems:
        raise InvalidFile(problems)
    added, unchanged = [], 0
    items = [e.content for e in entries if e.table == "items"]
    known = current([item["item_id"] for item in items])
    for rule_set in (e.content for e in entries if e.table == "rule_sets"):
        unchanged += 0 if _add_rule_set(rule_set, stored, now) else 1
    for item in items:
        version = _add_item(item, known.get(item["item_id"]), now)
        if version is None:
            unchanged += 1
        else:
            added.append((item["item_id"], version))
    db.session.flush()
    return LoadResult(tuple(added), unchanged)


def _add_rule_set(content: dict[str, Any], stored: dict[str, RuleSet], now: dt.datetime) -> bool:
    if content["name"] in stored:
        return False
    db.session.add(RuleSet(name=content["name"], definition=content, digest=_digest(content), loaded_at=now))
    return True


def _add_item(content: dict[str, Any], known: DataItem | None, now: dt.datetime) -> int | None:
    """Add a new version unless the latest one says the same; returns its number."""
    entry = OPTIONAL | content
    digest = _digest(entry)
    if known is not None and known.digest == digest:
        return None
    version = known.version + 1 if known is not None else 1
    db.session.add(DataItem(**entry, version=version, digest=digest, loaded_at=now))
    return version


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(rfc8785.dumps(content)).hexdigest()


def _check(entries: list[Entry], stored: dict[str, RuleSet], today: dt.date) -> list[str]:
    """What a schema cannot say: names used twice, references that lead nowhere, contradictions."""
    problems = _twice(entries)
    rule_sets = {name: rule_set.definition for name, rule_set in stored.items()}
    for entry in entries:
        if entry.sound and entry.table == "rule_sets":
            problems += _check_rule_set(entry, stored)
            rule_sets.setdefault(entry.name, entry.content)
    broken = {e.name for e in entries if e.table == "rule_sets" and not e.sound}
    for entry in entries:
        if entry.sound and entry.table == "items":
            problems += _check_item(entry)
            if entry.content["rule_set"] not in broken:
                problems += _check_class(entry, rule_sets.get(entry.content["rule_set"]), today)
    return problems


def _twice(entries: list[Entry]) -> list[str]:
    seen: dict[tuple[str, str], str] = {}
    problems = []
    for entry in entries:
        key = (entry.table, entry.name)
        if key in seen:
            problems.append(entry.problem(NAMES[entry.table], f"is used already in {seen[key]}"))
        seen.setdefault(key, entry.file)
    return problems


def _check_rule_set(entry: Entry, stored: dict[str, RuleSet]) -> list[str]:
    content = entry.content
    dates = [key for key in ("valid_from", "valid_until") if key in content]
    problems = [entry.problem(key, "is no date") for key in dates if _date(content[key]) is None]
    if not problems and content.get("valid_until", "9999-12-31") < content["valid_from"]:
        problems.append(entry.problem("valid_until", "is before valid_from"))
    if entry.name in stored and stored[entry.name].digest != _digest(content):
        problems.append(entry.problem("name", "is in use for other definitions; give the new ones a new name"))
    return problems


def _check_item(entry: Entry) -> list[str]:
    """Contradictions inside one entry."""
    content, problems = entry.content, []
    ids = [field["id"] for field in content["fields"]]
    problems += [entry.problem(f"fields[{i + 1}].id", "is used twice") for i, name in enumerate(ids) if name in ids[:i]]
    if not entry.name.startswith(PREFIXES[content["subject"]]):
        problems.append(entry.problem("subject", "does not fit the first letter of item_id"))
    period = content.get("period_field")
    if period is not None and period not in ids:
        problems.append(entry.problem("period_field", "is none of the fields"))
    if period is not None and content["cardinality"] == "one":
        problems.append(entry.problem("period_field", "makes sense only for cardinality many"))
    sensitive = content["sensitive"] or any(field.get("sensitive") for field in content["fields"])
    if sensitive and "impact" not in content:
        problems.append(entry.problem("impact", "is missing, but the item or one of its fields is sensitive"))
    return problems


def _check_derivations(entries: list[Entry]) -> list[str]:
    """Whether what an item is computed from is there, and says what its rule asks."""
    derived = [entry for entry in entries if "derivation" in entry.content]
    known = current([entry.content["derivation"]["from"] for entry in derived]) if derived else {}
    sources = {item.item_id: {"subject": item.subject, "fields": item.fields, "period_field": item.period_field,
                              "derivation": item.derivation} for item in known.values()}  # fmt: skip
    sources |= {entry.name: entry.content for entry in entries}
    return [
        entry.problem("derivation", what)
        for entry in derived
        for what in _derivation_flaws(entry.content, sources.get(entry.content["derivation"]["from"]))
    ]


def _derivation_flaws(content: dict[str, Any], source: Mapping[str, Any] | None) -> Iterator[str]:
    said, ids = content["derivation"], [field["id"] for field in content["fields"]]
    if not content.get("derived"):
        yield "makes sense only for an item that is derived"
    if ids not in (["answer"], ["answer", "as_of"]) or content["cardinality"] != "one":
        yield "needs an item of one row with the fields answer and, perhaps, as_of"
    if source is None or source.get("derivation") or source["subject"] != content["subject"]:
        yield "from is no item of the same kind of holder that a source brings"
        return
    fields = {field["id"] for field in source["fields"]}
    named = {said["field"]} if "field" in said else set(said.get("where", ()))
    if not named <= fields:
        yield "names a field that the other item does not have"
    if said["rule"] == "continuous_months" and not source.get("period_field"):
        yield "counts months, and the other item has no period"


def _check_class(entry: Entry, rule_set: dict[str, Any] | None, today: dt.date) -> list[str]:
    """Whether the rule set knows the classification of this entry and is valid."""
    if rule_set is None:
        return [entry.problem("rule_set", "is not known")]
    content, problems = entry.content, []
    if not rule_set["valid_from"] <= today.isoformat() <= rule_set.get("valid_until", "9999-12-31"):
        problems.append(entry.problem("rule_set", "is not valid today"))
    classes = {c["id"]: c for c in rule_set["classes"]}
    if content["pi_class"] not in classes:
        problems.append(entry.problem("pi_class", "is not defined by the rule set"))
    elif classes[content["pi_class"]].get("sensitive") and not content["sensitive"]:
        problems.append(entry.problem("sensitive", "must be true for this pi_class"))
    if content["level"] not in {level["level"] for level in rule_set["levels"]}:
        problems.append(entry.problem("level", "is not defined by the rule set"))
    return problems


def _date(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None
