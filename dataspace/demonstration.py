"""Loads the demonstration's holders, mandates and records from data files; a second load changes nothing.

``people.toml`` names holders by short keys, ``records/`` says what lies in their spaces. Everything is checked against
the schema, the identifier rules and the catalogue before anything is added.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from dataspace import catalogue, datafiles, holders, identifiers, mandates, spaces
from dataspace.catalogue import DataItem
from dataspace.datafiles import Entry
from dataspace.db import db
from dataspace.errors import InvalidFile, InvalidIdentifier, NotFound
from dataspace.holders import Holder, HolderKind, Role
from dataspace.identifiers import BlindIndex
from dataspace.mandates import Capacity, Mandate
from dataspace.vault import Vault

SCHEMA = Path(__file__).parent / "schemas" / "demonstration.schema.json"
NAMES = {"holders": "key", "mandates": "principal", "records": "item"}


@dataclass(frozen=True)
class DepositOrder:
    """One record to deposit: the holder's key, the item, and every field of every row (None where it is empty)."""

    holder: str
    item: DataItem
    as_of: dt.datetime
    rows: list[spaces.Row]


@dataclass(frozen=True)
class Contents:
    """The checked contents of the files."""

    people: list[dict[str, Any]]
    mandates: list[dict[str, Any]]
    records: list[DepositOrder]


def read(folder: Path, today: dt.date) -> Contents:
    """Read and check ``people.toml`` and ``records/*.toml``. Raises InvalidFile with one line per problem.

    The catalogue must be loaded: records are checked against its current items.
    """
    paths = datafiles.expand([folder / "people.toml", folder / "records"])
    entries, problems = datafiles.read(paths, datafiles.schema(SCHEMA), NAMES)
    people = _of("holders", entries)
    kinds = {e.name: str(e.content["kind"]) for e in people if e.sound}
    # A key whose entry is unsound is known all the same: one mistake should not be reported many times.
    keys = {e.name for e in people}
    problems += _check_people(people, today) + _check_mandates(_of("mandates", entries), keys)
    records = [e for e in _of("records", entries) if e.sound]
    items = catalogue.current({str(e.content["item"]) for e in records})
    problems += [line for e in records for line in _check_record(e, keys, kinds, items.get(e.content["item"]))]
    if problems:
        raise InvalidFile(problems)
    return Contents(
        [e.content for e in people],
        [e.content for e in _of("mandates", entries)],
        [_order(e.content, items[e.content["item"]]) for e in records],
    )


def add_holders(
    contents: Contents, now: dt.datetime, *, vault: Vault, index: BlindIndex
) -> tuple[dict[str, Holder], int]:
    """Register the holders that are not there yet and give them their roles: all by key, and how many are new."""
    found, added = {}, 0
    for entry in contents.people:
        identifier = identifiers.parse(entry["kind"], entry["identifier"], today=now.date())
        try:
            holder = holders.by_identifier(identifier, index=index)
        except NotFound:
            holder = holders.register(
                HolderKind(entry["kind"]), identifier, entry["name"], now, vault=vault, index=index
            )
            added += 1
            # Only with the registration: a role that was taken away since must not come back.
            if "role" in entry:
                holders.grant_role(holder, Role(entry["role"]), now)
        found[entry["key"]] = holder
    return found, added


def add_mandates(contents: Contents, people: dict[str, Holder]) -> int:
    """Add the mandates that never existed (an ended one stays ended); returns how many are new."""
    added = 0
    for entry in contents.mandates:
        principal, agent = people[entry["principal"]], people[entry["agent"]]
        capacity = Capacity(entry["capacity"])
        known = select(Mandate.mandate_id).filter_by(
            principal_id=principal.holder_id, agent_id=agent.holder_id, capacity=capacity
        )
        if db.session.scalar(known.limit(1)) is None:
            until = _moment(entry["valid_until"]) if "valid_until" in entry else None
            mandates.appoint(principal, agent, capacity, _moment(entry["valid_from"]), until)
            added += 1
    return added


def add_records(orders: Iterable[DepositOrder], people: dict[str, Holder], now: dt.datetime, *, vault: Vault) -> int:
    """Deposit what the spaces do not hold yet; returns how many records are new."""
    records = (
        spaces.deposit(people[order.holder], order.item, order.rows, as_of=order.as_of, now=now, vault=vault)
        for order in orders
    )
    return sum(record.received_at == now for record in records)


def _of(table: str, entries: list[Entry]) -> list[Entry]:
    return [e for e in entries if e.table == table]


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _order(content: dict[str, Any], item: DataItem) -> DepositOrder:
    rows = [{field: row.get(field) for field in item.field_ids()} for row in content["rows"]]
    return DepositOrder(content["holder"], item, _moment(content["as_of"]), rows)


def _check_people(people: list[Entry], today: dt.date) -> list[str]:
    problems, keys, values = [], set(), set()
    for entry in people:
        if entry.name in keys:
            problems.append(entry.problem("key", "is used twice"))
        keys.add(entry.name)
        if not entry.sound:
            continue
        try:
            identifier = identifiers.parse(entry.content["kind"], entry.content["identifier"], today=today)
        except InvalidIdentifier as error:
            problems.append(entry.problem("identifier", error.detail))
            continue
        if identifier in values:
            problems.append(entry.problem("identifier", "is used twice"))
        values.add(identifier)
        if "role" in entry.content and entry.content["kind"] != HolderKind.NATURAL_PERSON:
            problems.append(entry.problem("role", "is only for natural persons"))
    return problems


def _check_mandates(entries: list[Entry], keys: set[str]) -> list[str]:
    strangers = [
        entry.problem(field, "is no holder of these files")
        for entry in entries
        for field in ("principal", "agent")
        if entry.sound and entry.content[field] not in keys
    ]
    return strangers + [
        entry.problem(field, "is no date and time")
        for entry in entries
        for field in ("valid_from", "valid_until")
        if entry.sound and field in entry.content and not _is_moment(entry.content[field])
    ]


def _check_record(entry: Entry, keys: set[str], kinds: dict[str, str], item: DataItem | None) -> list[str]:
    content = entry.content
    problems = [] if _is_moment(content["as_of"]) else [entry.problem("as_of", "is no date and time")]
    if content["holder"] not in keys:
        problems.append(entry.problem("holder", "is no holder of these files"))
    if item is None:
        return [*problems, entry.problem("item", "is not in the catalogue (load the catalogue first)")]
    if item.derivation:
        return [*problems, entry.problem("item", "is computed from another one; nobody brings it")]
    person = kinds.get(content["holder"]) == HolderKind.NATURAL_PERSON
    if content["holder"] in kinds and person != (item.subject == "natural_person"):
        problems.append(entry.problem("item", "is not for this kind of holder"))
    if item.cardinality == "one" and len(content["rows"]) > 1:
        problems.append(entry.problem("rows", "are many, but the item has one"))
    known = set(item.field_ids())
    for i, row in enumerate(content["rows"], start=1):
        problems += [
            entry.problem(f"rows[{i}].{field}", "is no field of the item") for field in row if field not in known
        ]
    return problems


def _is_moment(text: str) -> bool:
    try:
        return _moment(text).tzinfo is not None
    except ValueError:
        return False
