"""Scenario files: the registered third parties, what each may ask, and why; loaded by command.

Everything is checked before anything is stored: the shape by a JSON Schema, and here what a schema cannot say. The
keys of a client are not in these files; until they are registered the client cannot authenticate.
"""

import dataclasses
import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from consent import client_options, clients, purposes, rules
from consent.client_options import ClientOptions, WrongKind
from consent.clients import AuthMethod, Client, Profile
from consent.installation import EVERYTHING, Installation
from consent.purposes import Purpose
from consent.rules import Rules
from dataspace import catalogue, datafiles
from dataspace.catalogue import DataItem
from dataspace.datafiles import Entry
from dataspace.db import db
from dataspace.errors import InvalidFile
from dataspace.holders import HolderKind

SCHEMA = Path(__file__).parent / "schemas" / "scenarios.schema.json"
NAMES = {"clients": "client_id", "purposes": "code"}
REASON_CODE = "scenario_file"
METHODS = {Profile.DATA: AuthMethod.PRIVATE_KEY_JWT, Profile.LOGIN: AuthMethod.SECRET_BASIC}
CLIENT_DEFAULTS = {"foreign_registration": "", "client_class": ""}
OPTIONS = frozenset(field.name for field in dataclasses.fields(ClientOptions))
PURPOSE_DEFAULTS = {
    "max_reads": None, "frequency": None, "case_required": False, "methods": None, "cross_border": None,
}  # fmt: skip
NOT_STORED = {"clients": {"note"}, "purposes": {"note", "contact"}}
SUBJECTS = {HolderKind.NATURAL_PERSON: "natural_person"}  # every other kind of holder is a body
OUTCOMES = ADDED, CHANGED, UNCHANGED = "added", "changed", "unchanged"


@dataclass(frozen=True)
class Stored:
    """What became of one entry: ``outcome`` is added, changed or unchanged."""

    table: str
    name: str
    outcome: str


def load(paths: Iterable[Path], now: dt.datetime, *, actor_id: str, here: Installation) -> list[Stored]:
    """Check and store; loading the same files again changes nothing. Raises InvalidFile; nothing is loaded then."""
    return list(store(check(paths, now, here=here), now, actor_id=actor_id))


def check(paths: Iterable[Path], now: dt.datetime, *, here: Installation) -> list[Entry]:
    """The entries of files (or directories of them). Raises InvalidFile with one line per problem."""
    entries, problems = datafiles.read(datafiles.expand(paths), datafiles.schema(SCHEMA), NAMES)
    problems += check_meaning(entries, now, here=here)
    if problems:
        raise InvalidFile(problems)
    return entries


def check_meaning(entries: list[Entry], now: dt.datetime, *, here: Installation) -> list[str]:
    """The problems that a schema cannot find."""
    problems = _twice(entries)
    named = {e.name for e in entries if e.table == "clients"} | set(db.session.scalars(select(Client.client_id)))
    items = {item.item_id: item for item in catalogue.all_current()}
    in_force = rules.in_force(now)
    classes = {e.name: e.content.get("client_class", "") for e in entries if e.table == "clients" and e.sound}
    for entry in (e for e in entries if e.sound):
        if entry.table == "clients":
            problems += _check_client(entry, here=here)
        else:
            problems += _check_purpose(entry, named, now.date())
            problems += _check_items(entry, items)
            problems += _check_rules(entry, in_force, classes.get(entry.content["client_id"]))
    return problems


def store(entries: Iterable[Entry], now: dt.datetime, *, actor_id: str) -> Iterator[Stored]:
    """Add checked entries to the session, clients before purposes; yields after each, so that callers can count."""
    ordered = sorted(entries, key=lambda entry: entry.table)
    for entry in ordered:
        if entry.table == "clients":
            outcome = _store_client(client_values(entry), now, actor_id)
        else:
            outcome = _store_purpose(purpose_values(entry), now, actor_id)
        yield Stored(entry.table, entry.name, outcome)
    db.session.flush()


def client_values(entry: Entry) -> dict[str, Any]:
    """The columns of a client as its entry gives them; how it authenticates follows from its profile if not said."""
    values = {k: v for k, v in entry.content.items() if k not in NOT_STORED["clients"]}
    options = values.pop("options", {}) | {name: values.pop(name) for name in OPTIONS if name in values}
    method = METHODS[Profile(values["profile"])]
    values = CLIENT_DEFAULTS | {"token_endpoint_auth_method": method.value} | values
    return values | ({"options": ClientOptions.from_document(options).to_document()} if options else {})


def purpose_values(entry: Entry) -> dict[str, Any]:
    """The columns of a purpose as its entry gives them."""
    return PURPOSE_DEFAULTS | {k: v for k, v in entry.content.items() if k not in NOT_STORED["purposes"]}


def _store_client(values: dict[str, Any], now: dt.datetime, actor_id: str) -> str:
    client = db.session.get(Client, values["client_id"])
    if client is None:
        # What the settings allow was looked at in check().
        clients.register(values, now, actor_id=actor_id, here=EVERYTHING, reason_code=REASON_CODE, keys_follow=True)
        return ADDED
    changed = _update(client, values)
    if not changed:
        return UNCHANGED
    clients.follow_logo(client, now)
    note = {"actor_id": actor_id, "reason_code": REASON_CODE, "text": ", ".join(changed)}
    clients.note(client.client_id, "client:changed", now, **note)
    return CHANGED


def _store_purpose(values: dict[str, Any], now: dt.datetime, actor_id: str) -> str:
    client_id, code = values["client_id"], values["code"]
    purpose = db.session.get(Purpose, (client_id, code))
    if purpose is None:
        db.session.add(Purpose(**values, approved_at=now))
    elif _update(purpose, values):
        purpose.approved_at = now
    elif purpose.approved_at is not None:
        return UNCHANGED
    else:
        purpose.approved_at = now
    clients.note(client_id, "client:purpose_approved", now, actor_id=actor_id, reason_code=REASON_CODE, text=code)
    return ADDED if purpose is None else CHANGED


def _update(row: Client | Purpose, values: Mapping[str, Any]) -> list[str]:
    """Set what differs; returns the names."""
    changed = sorted(name for name, value in values.items() if getattr(row, name) != value)
    for name in changed:
        setattr(row, name, values[name])
    return changed


def _twice(entries: list[Entry]) -> list[str]:
    seen: dict[tuple[str, str, str], str] = {}
    problems = []
    for entry in entries:
        key = (entry.table, str(entry.content.get("client_id")), entry.name)
        if key in seen:
            problems.append(entry.problem(NAMES[entry.table], f"is used already in {seen[key]}"))
        seen.setdefault(key, entry.file)
    return problems


def _check_client(entry: Entry, *, here: Installation) -> list[str]:
    options = entry.content.get("options", {})
    if unknown := sorted(set(options) - set(client_options.KINDS)):
        return [entry.problem(f"options.{unknown[0]}", "is not known here")]
    try:
        client_options.parse(options)
    except WrongKind as error:
        return [entry.problem(f"options.{error.flaw[0]}", error.flaw[1])]
    client = Client(**client_values(entry))
    flaws = clients.flaws(client, here=here, keys_follow=True)
    return [entry.problem(flaw.field, flaw.detail) for flaw in flaws]


def _check_purpose(entry: Entry, client_ids: set[str], today: dt.date) -> list[str]:
    """What holds between the fields of a purpose."""
    content, problems = entry.content, []
    if content["client_id"] not in client_ids:
        problems.append(entry.problem("client_id", "is no client in these files or in the registry"))
    if content["default_duration_days"] > content["max_duration_days"]:
        problems.append(entry.problem("default_duration_days", "is more than max_duration_days"))
    if content["mode"] != "periodic" and "max_reads" not in content:
        problems.append(entry.problem("max_reads", "is missing, but the use is not periodic"))
    if content["mode"] == "view_once" and content.get("max_reads", 1) != 1:
        problems.append(entry.problem("max_reads", "must be 1: what may only be looked at is looked at once"))
    if content["mode"] != "periodic" and "frequency" in content:
        problems.append(entry.problem("frequency", "makes sense only for periodic use"))
    valid_until = content.get("cross_border", {}).get("valid_until")
    if valid_until is not None and not _is_future(valid_until, today):
        problems.append(entry.problem("cross_border.valid_until", "is no date, or in the past"))
    return problems


def _check_rules(entry: Entry, in_force: Rules, client_class: str | None) -> list[str]:
    """What could never be asked under the rules in force is not registered."""
    purpose = Purpose(**purpose_values(entry))
    return [entry.problem(o.cap, o.what) for o in purposes.never_admitted(purpose, in_force, client_class)]


def _check_items(entry: Entry, known: Mapping[str, DataItem]) -> list[str]:
    problems = []
    named = [asked["item"] for asked in entry.content["items"]]
    subjects = {SUBJECTS.get(HolderKind(kind), "body") for kind in entry.content["holder_kinds"]}
    for place, asked in enumerate(entry.content["items"]):
        where = f"items[{place + 1}]"
        if asked["item"] in named[:place]:
            problems.append(entry.problem(f"{where}.item", "is named twice"))
        item = known.get(asked["item"])
        if item is None:
            problems.append(entry.problem(f"{where}.item", "is not in the catalogue"))
            continue
        problems += [entry.problem(f"{where}.{field}", what) for field, what in _item_flaws(asked, item, subjects)]
    return problems


def _item_flaws(asked: dict[str, Any], item: DataItem, subjects: set[str]) -> Iterator[tuple[str, str]]:
    foreign = [i + 1 for i, field in enumerate(asked["fields"]) if field not in item.field_ids()]
    yield from ((f"fields[{place}]", "is no field of this item") for place in foreign)
    if subjects != {item.subject}:
        yield "item", "does not fit holder_kinds"
    if item.share == "N":
        yield "item", "is not shared with anybody"
    optional = asked.get("optional_fields", [])
    if not set(optional) < set(asked["fields"]):
        yield "optional_fields", "must be some of the fields, and not all"
    if item.period_field in optional:
        yield "optional_fields", "must not name the field of the period"
    if asked.get("min_months", 0) > asked.get("max_months", 0):
        yield "min_months", "is more than max_months"
    if asked.get("delivery") == "derived" and not item.derived:
        yield "delivery", "makes no sense: the item is no answer computed from other data"
    if asked.get("delivery") == "raw" and item.derived:
        yield "delivery", "makes no sense: the item is an answer computed from other data"
    if "max_months" in asked and item.period_field is None:
        yield "max_months", "makes no sense: the item has no period"


def _is_future(text: str, today: dt.date) -> bool:
    try:
        return dt.date.fromisoformat(text) >= today
    except ValueError:
        return False
