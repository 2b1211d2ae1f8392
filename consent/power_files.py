"""Power files: what authorities may read by law, checked as a whole and entered; somebody else approves it.

An entry that says the same as the latest version of its power changes nothing; any other becomes the next version,
which allows nothing until a second administrator has approved it.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import rfc8785

from consent import interventions, powers
from consent.clients import Client, ClientClass, Profile
from consent.interventions import Ground
from consent.powers import MAX_LIFE, Power
from dataspace import catalogue, datafiles
from dataspace.catalogue import DataItem
from dataspace.datafiles import Entry
from dataspace.days import CHINA
from dataspace.db import db
from dataspace.holders import HolderKind

SCHEMA = Path(__file__).parent / "schemas" / "powers.schema.json"
NAMES = {"powers": "id"}
MAX_BYTES = 256 * 1024
COPIED = ("law", "article", "sentence", "purpose", "objection", "holder_kinds", "items", "case_number", "case_limit",
          "day_limit")  # fmt: skip


@dataclass(frozen=True)
class Entered:
    """What becomes of one entry. ``new``: it is a version that waits for approval."""

    power_id: str
    version: int
    new: bool


def check(file: str, data: bytes) -> list[Entry]:
    """The powers in ``data``. Raises InvalidFile, a line per problem."""
    _content, entries = datafiles.checked(
        file, data, datafiles.schema(SCHEMA), NAMES, means=_check_meaning, max_bytes=MAX_BYTES
    )
    return entries


def enter(entries: Iterable[Entry], now: dt.datetime, *, actor_id: str, text: str) -> list[Entered]:
    """Add what is new to the session, and note who did it."""
    return [_enter(entry, now, actor_id=actor_id, text=text) for entry in entries]


def _enter(entry: Entry, now: dt.datetime, *, actor_id: str, text: str) -> Entered:
    known = powers.versions(entry.name)
    digest = hashlib.sha256(rfc8785.dumps(entry.content)).hexdigest()
    if known and known[0].digest == digest and (known[0].approved or known[0].decided_at is None):
        return Entered(entry.name, known[0].version, new=False)
    content, version = entry.content, known[0].version + 1 if known else 1
    db.session.add(
        Power(
            power_id=entry.name,
            version=version,
            client_id=content["client"],
            deferral=content.get("deferral"),
            valid_from=_moment(content["valid_from"]),
            valid_until=_moment(content["valid_until"]),
            digest=digest,
            entered_at=now,
            entered_by=actor_id,
            approved=False,
            **{name: content[name] for name in COPIED},
        )
    )
    said = f"{version}: {text}"
    interventions.note(
        "power:entered", now, actor_id=actor_id, subject=entry.name, reason_code=Ground.REGISTRATION, text=said
    )
    db.session.flush()
    return Entered(entry.name, version, new=True)


def _check_meaning(entries: list[Entry]) -> list[str]:
    """What a schema cannot say: who is no authority, items that are not there, times that make no sense."""
    problems = []
    sound = [entry for entry in entries if entry.sound]
    items = {item.item_id: item for item in catalogue.all_current()}
    seen: set[str] = set()
    for entry in sound:
        if entry.name in seen:
            problems.append(entry.problem("id", "is used twice"))
        seen.add(entry.name)
        problems += _check_client(entry)
        problems += _check_items(entry, items)
        problems += _check_times(entry)
    return problems


def _check_client(entry: Entry) -> Iterator[str]:
    client = db.session.get(Client, entry.content["client"])
    if client is None:
        yield entry.problem("client", "is not in the registry")
    elif client.client_class != ClientClass.AUTHORITY or client.profile != Profile.DATA:
        yield entry.problem("client", "is no authority that reads data")
    elif any(power.client_id != client.client_id for power in powers.versions(entry.name)):
        yield entry.problem("id", "is a power of another authority")


def _check_items(entry: Entry, items: dict[str, DataItem]) -> Iterator[str]:
    subjects = {"natural_person" if kind == HolderKind.NATURAL_PERSON else "body" for kind in _kinds(entry)}
    named = [asked["item"] for asked in entry.content["items"]]
    for place, asked in enumerate(entry.content["items"]):
        where, item = f"items[{place + 1}]", items.get(asked["item"])
        if item is None:
            yield entry.problem(f"{where}.item", "is not in the catalogue")
            continue
        if asked["item"] in named[:place]:
            yield entry.problem(f"{where}.item", "is named twice")
        if item.subject not in subjects:
            yield entry.problem(f"{where}.item", "is not about these kinds of holders")
        if "max_months" in asked and item.period_field is None:
            yield entry.problem(f"{where}.max_months", "makes no sense for this item")
        for number, field in enumerate(asked["fields"]):
            if field not in item.field_ids():
                yield entry.problem(f"{where}.fields[{number + 1}]", "is no field of this item")


def _kinds(entry: Entry) -> list[str]:
    return list(entry.content["holder_kinds"])


def _check_times(entry: Entry) -> Iterator[str]:
    times: dict[str, dt.datetime] = {}
    for name in ("valid_from", "valid_until"):
        try:
            times[name] = _moment(entry.content[name])
        except (ValueError, OverflowError):
            yield entry.problem(name, "is no moment")
    if len(times) == 2 and not times["valid_from"] < times["valid_until"] <= times["valid_from"] + MAX_LIFE:
        yield entry.problem("valid_until", "must be later than valid_from, by five years at most")


def _moment(text: str) -> dt.datetime:
    """Raises ValueError, OverflowError."""
    moment = dt.datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=CHINA)).astimezone(dt.UTC)
