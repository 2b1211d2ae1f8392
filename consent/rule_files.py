"""Rule files: one rule set each, checked as a whole, compared with the set in force, stored under its version.

Whatever is wrong in one entry refuses the whole set, with the entry named: rules that are half there would admit what
was meant to be refused. What is stored is never edited.
"""

import datetime as dt
import hashlib
import itertools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rfc8785
from sqlalchemy import delete, select

from consent import interventions
from consent.clients import Client
from consent.purposes import Purpose
from consent.rules import ANY, CAPS, GROUP, Rule, RuleBook, Rules, Template
from dataspace import catalogue, datafiles
from dataspace.catalogue import DataItem
from dataspace.datafiles import Entry
from dataspace.days import CHINA
from dataspace.db import db
from dataspace.errors import Conflict, InvalidFile, NotFound

SCHEMA = Path(__file__).parent / "schemas" / "rules.schema.json"
NAMES = {"templates": "code", "rules": "id"}
MAX_BYTES = 1024 * 1024
# The key in a file -> the column of a rule.
SELECTORS = {
    "client": "client_id",
    "client_class": "client_class",
    "purpose": "purpose_code",
    "template": "template",
    "mode": "mode",
    "item": "item",
}


class AlreadyInForce(Conflict):
    """What has judged a request stays on record."""

    code = "rules_in_force"
    sentence = "These rules are in force already. Load a new set in their place."


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A checked rule set that is not stored. ``known``: exactly this set is loaded already."""

    version: str
    title: dict[str, str]
    valid_from: dt.datetime
    digest: str
    templates: tuple[Template, ...]
    rules: tuple[Rule, ...]
    known: bool

    def as_rules(self) -> Rules:
        """The set as it will judge."""
        return Rules(version=self.version, rules=self.rules, templates={t.code: t for t in self.templates})


@dataclass(frozen=True)
class Change:
    """One difference between two sets. ``what``: added, removed, changed; ``kind``: rule, template."""

    what: str
    kind: str
    name: str


def check(file: str, data: bytes, now: dt.datetime, *, valid_from: str = "") -> Draft:
    """The rule set in ``data``. ``valid_from`` goes before that of the file. Raises InvalidFile, a line per problem."""
    content, entries = datafiles.checked(
        file, data, datafiles.schema(SCHEMA), NAMES, means=_check_entries, max_bytes=MAX_BYTES
    )
    head = dict(content["rule_set"])
    if valid_from:
        head["valid_from"] = valid_from
    moment = _moment(head.get("valid_from"), now)
    digest = hashlib.sha256(rfc8785.dumps(content)).hexdigest()
    known = db.session.get(RuleBook, head["version"])
    problems = _check_head(file, moment, digest, known, now)
    if problems or moment is None:
        raise InvalidFile(problems)
    return Draft(
        version=head["version"],
        title=head["title"],
        valid_from=moment if known is None else known.valid_from,
        digest=digest,
        templates=tuple(_template(e, head["version"]) for e in entries if e.table == "templates"),
        rules=tuple(_rule(e, head["version"]) for e in entries if e.table == "rules"),
        known=known is not None,
    )


def store(draft: Draft, now: dt.datetime, *, actor_id: str, reason_code: str | None, text: str) -> bool:
    """Add a checked set to the session, and note who did it; False when it is there already."""
    if draft.known:
        return False
    db.session.add(
        RuleBook(
            version=draft.version, title=draft.title, digest=draft.digest, valid_from=draft.valid_from, loaded_at=now,
            actor_id=actor_id, reason_code=reason_code, text=text,
        )
    )  # fmt: skip
    db.session.flush()  # the set before what refers to it
    db.session.add_all([*draft.templates, *draft.rules])
    said = f"{draft.version}: {text}"
    interventions.note("rules:loaded", now, actor_id=actor_id, reason_code=reason_code, text=said)
    db.session.flush()
    return True


def cancel(version: str, now: dt.datetime, *, actor_id: str, reason_code: str | None, text: str) -> None:
    """Take back a set that was never in force, and note who did it; nothing names it, so its version is free again.

    Raises NotFound; AlreadyInForce.
    """
    book = db.session.get(RuleBook, version, populate_existing=True)
    if book is None:
        raise NotFound("no such rule set")
    if book.valid_from <= now:
        raise AlreadyInForce(version)
    for table in (Rule, Template):
        db.session.execute(delete(table).where(table.version == version))
    gone = delete(RuleBook).where(RuleBook.version == version).returning(RuleBook.version)
    if db.session.scalar(gone) is None:
        raise NotFound("somebody else has taken it back")
    interventions.note("rules:cancelled", now, actor_id=actor_id, reason_code=reason_code, text=f"{version}: {text}")
    db.session.flush()


def changes(old: Rules, new: Rules) -> list[Change]:
    """What is different in ``new``, by kind and name."""
    found = []
    for kind, before, after in (
        ("template", _templates(old), _templates(new)),
        ("rule", _rules(old), _rules(new)),
    ):
        for name in sorted({*before, *after}):
            if before.get(name) != after.get(name):
                what = "added" if name not in before else "removed" if name not in after else "changed"
                found.append(Change(what, kind, name))
    return found


def without_template(draft: Draft) -> list[str]:
    """``client/purpose`` of the registered purposes to which no template of the set belongs."""
    codes = {t.code for t in draft.templates}
    found = db.session.execute(
        select(Purpose.client_id, Purpose.code)
        .where(Purpose.scenario.not_in(codes))
        .order_by(Purpose.client_id, Purpose.code)
    )
    return [f"{client_id}/{code}" for client_id, code in found]


def _templates(of: Rules) -> dict[str, Any]:
    return {code: (t.title, t.items, t.usual) for code, t in of.templates.items()}


def _rules(of: Rules) -> dict[str, Any]:
    return {rule.rule_id: (rule.selectors, rule.caps) for rule in of.rules}


def _template(entry: Entry, version: str) -> Template:
    content = entry.content
    usual = content.get("usual", {})
    return Template(
        version=version, code=content["code"], title=content["title"], items=content["items"], usual=usual
    )  # fmt: skip


def _rule(entry: Entry, version: str) -> Rule:
    selectors = {column: entry.content.get(key, ANY) for key, column in SELECTORS.items()}
    return Rule(version=version, rule_id=entry.content["id"], caps=_caps(entry), **selectors)


def _caps(entry: Entry) -> dict[str, Any]:
    return {cap: entry.content[cap] for cap in CAPS if cap in entry.content}


def _moment(text: str | None, now: dt.datetime) -> dt.datetime | None:
    """From when it counts, never in the past; None when the text is no moment."""
    if text is None:
        return now
    try:
        moment = dt.datetime.fromisoformat(text)
        return max(now, (moment if moment.tzinfo else moment.replace(tzinfo=CHINA)).astimezone(dt.UTC))
    except (ValueError, OverflowError):
        return None


def _check_head(
    file: str, moment: dt.datetime | None, digest: str, known: RuleBook | None, now: dt.datetime
) -> list[str]:
    if moment is None:
        return [f"{file}: rule_set.valid_from: is no moment"]
    if known is not None:
        same = known.digest == digest
        what = "is in use for other rules; give the new ones a new version"
        return [] if same else [f"{file}: rule_set.version: {what}"]
    last = db.session.scalar(select(RuleBook).order_by(RuleBook.valid_from.desc()).limit(1))
    if last is None and moment > now:
        return [f"{file}: rule_set.valid_from: is in the future, but no rule set is in force until then"]
    if last is not None and moment <= last.valid_from:
        what = f"is not later than that of {last.version}, so both would count"
        return [f"{file}: rule_set.valid_from: {what}"]
    return []


def _check_entries(entries: list[Entry]) -> list[str]:
    """What a schema cannot say: names used twice, references that lead nowhere, contradictions."""
    sound = [e for e in entries if e.sound]
    templates = {e.name for e in entries if e.table == "templates"}
    problems = list(_twice(entries))
    items = {item.item_id: item for item in catalogue.all_current()}
    client_ids = set(db.session.scalars(select(Client.client_id)))
    purposes = set(db.session.scalars(select(Purpose.code).distinct()))
    for entry in sound:
        if entry.table == "templates":
            problems += _check_template(entry, items)
        else:
            problems += _check_rule(entry, items, {"client": client_ids, "purpose": purposes, "template": templates})
    return problems + list(_contradictions([e for e in sound if e.table == "rules"]))


def _twice(entries: Iterable[Entry]) -> Iterator[str]:
    seen = set()
    for entry in entries:
        if (entry.table, entry.name) in seen:
            yield entry.problem(NAMES[entry.table], "is used twice")
        seen.add((entry.table, entry.name))


def _check_template(entry: Entry, items: dict[str, DataItem]) -> Iterator[str]:
    named = [asked["item"] for asked in entry.content["items"]]
    for place, asked in enumerate(entry.content["items"]):
        where = f"items[{place + 1}]"
        item = items.get(asked["item"])
        if item is None:
            yield entry.problem(f"{where}.item", "is not in the catalogue")
            continue
        if asked["item"] in named[:place]:
            yield entry.problem(f"{where}.item", "is named twice")
        for number, field in enumerate(asked.get("fields", ())):
            if field not in item.field_ids():
                yield entry.problem(f"{where}.fields[{number + 1}]", "is no field of this item")


def _check_rule(entry: Entry, items: Collection[str], known: dict[str, set[str]]) -> Iterator[str]:
    content = entry.content
    if not _caps(entry):
        yield entry.problem("id", "caps and forbids nothing")
    for one, other in (("client", "client_class"), ("purpose", "template")):
        if one in content and other in content:
            yield entry.problem(one, f"and {other} are both there; choose one")
    if content.get("mode", "periodic") != "periodic" and "frequency" in content:
        yield entry.problem("frequency", "makes sense only for periodic use")
    for key, names in known.items():
        if key in content and content[key] not in names:
            where = "in this file" if key == "template" else "in the registry"
            yield entry.problem(key, f"is not {where}")
    selector = content.get("item", ANY)
    group = selector.removesuffix("*")
    found = any(i.startswith(group) for i in items) if selector.endswith(GROUP) else selector in items
    if selector != ANY and not found:
        yield entry.problem("item", "means no item of the catalogue")


def _contradictions(entries: list[Entry]) -> Iterator[str]:
    """Two rules for the very same case that say different things: neither is the more specific."""
    by_case: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        case = tuple(entry.content.get(key, ANY) for key in SELECTORS)
        by_case.setdefault(case, []).append(entry)
    for same in by_case.values():
        for one, other in itertools.combinations(same, 2):
            for cap, value in _caps(one).items():
                if cap in other.content and other.content[cap] != value:
                    what = f"contradicts {one.name}, which counts for the same and says otherwise"
                    yield other.problem(cap, what)
