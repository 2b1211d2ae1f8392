"""A batch of checked records becomes versions of records: bulk statements, one key look-up, each record sealed alone.

Nothing is ever overwritten. What a space holds already changes nothing; the same values as of a later moment are
confirmed; other values make a new version when they are of later, or say that they correct.
"""

import datetime as dt
import enum
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import bindparam, func, select, text, update

from dataspace import corrections, spaces
from dataspace.db import among, connection, insert_many, table_of
from dataspace.holders import Holder
from dataspace.identifiers import BlindIndex
from dataspace.sealing import unseal
from dataspace.sources.checking import Checked
from dataspace.sources.incoming import Reason
from dataspace.spaces import Record, Row
from dataspace.vault import OF_RECORDS, DataKey, Vault

# By number, of those that are asked for: the space and item of each open case that demands a correction.
Demanded = Callable[[Collection[str]], Mapping[str, tuple[str, str]]]


class Outcome(enum.StrEnum):
    """What became of one record; durable words."""

    ADDED = "added"
    CORRECTED = "corrected"
    CONFIRMED = "confirmed"  # the same values, of later
    UNCHANGED = "unchanged"
    REJECTED = "rejected"  # with a Reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """``place`` as in Incoming; ``reason`` and ``field`` of one that was rejected."""

    place: int
    outcome: Outcome
    item_id: str = ""
    reason: Reason | None = None
    field: str = ""


@dataclass(frozen=True, slots=True)
class _Current:
    record_id: str
    version: int
    as_of: dt.datetime  # the latest
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class _Erased:
    version: int
    as_of: dt.datetime  # what is not of later was deleted with it


_NOTHING = _Erased(0, dt.datetime.min.replace(tzinfo=dt.UTC))


def store(
    records: Sequence[Checked], now: dt.datetime, *, source_id: str, vault: Vault, index: BlindIndex, demanded: Demanded
) -> list[Verdict]:
    """Store them in their order; a verdict for each. The caller holds the source (:func:`registry.touch`)."""
    # One of many records each: by index, whatever PostgreSQL knows of tables that a file has just filled.
    if connection().dialect.name == "postgresql":
        connection().execute(text("SET LOCAL enable_seqscan = off"))
    indexes = [index.of(record.identifier) for record in records]
    found = _spaces(set(indexes))
    verdicts: list[Verdict] = []
    known: list[tuple[Checked, str, bytes]] = []
    for record, blind in zip(records, indexes, strict=True):
        space = found.get(blind)
        if space is None:
            verdicts.append(_rejected(record, Reason.UNKNOWN_HOLDER))
        else:
            known.append((record, *space))
    keys: dict[str, bytes] = {}
    for space_id, wrapped in {(space_id, wrapped) for _record, space_id, wrapped in known}:
        keys[space_id] = vault.unwrap(wrapped, identity=space_id)
    named = {record.case for record, _space_id, _wrapped in known if record.case}
    cases = demanded(named) if named else {}
    for wave in _waves([(record, space_id) for record, space_id, _wrapped in known]):
        verdicts += _store_wave(wave, keys, cases, now, source_id)
    return verdicts


def _spaces(indexes: set[str]) -> dict[str, tuple[str, bytes]]:
    """By blind index: space and wrapped key of the holders that have a living space; locked against its erasure."""
    rows = connection().execute(
        select(Holder.identifier_index, DataKey.space_id, OF_RECORDS)
        .join(DataKey, DataKey.space_id == Holder.space_id)
        .where(
            among(table_of(Holder).c.identifier_index, indexes),
            Holder.closed_at.is_(None),
            DataKey.wrapped.is_not(None),
        )
        .order_by(DataKey.space_id)
        .with_for_update(of=DataKey)
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def _waves(records: list[tuple[Checked, str]]) -> Iterable[list[tuple[Checked, str]]]:
    """The same record twice in a batch: the second meets what the first has left."""
    while records:
        seen: set[tuple[str, str]] = set()
        later: list[tuple[Checked, str]] = []
        wave: list[tuple[Checked, str]] = []
        for record, space_id in records:
            pair = (space_id, record.item_id)
            (later if pair in seen else wave).append((record, space_id))
            seen.add(pair)
        yield wave
        records = later


def _store_wave(
    wave: list[tuple[Checked, str]], keys: dict[str, bytes], cases: Mapping[str, tuple[str, str]], now: dt.datetime,
    source_id: str,
) -> list[Verdict]:  # fmt: skip
    there = _current({space for _r, space in wave}, {r.item_id for r, _space in wave}, keys)
    gone = _erased({space_id for r, space_id in wave if (space_id, r.item_id) not in there})
    verdicts: list[Verdict] = []
    added: list[dict[str, Any]] = []
    superseded: list[str] = []
    confirmed: list[dict[str, Any]] = []
    corrected: list[dict[str, Any]] = []
    for record, space_id in wave:
        current = there.get((space_id, record.item_id))
        erased = gone.get((space_id, record.item_id)) if current is None else None
        judged = _judge(record, current, erased)
        if record.case and judged.outcome in (Outcome.ADDED, Outcome.CORRECTED):
            about = (space_id, record.item_id)
            if judged.outcome == Outcome.ADDED or cases.get(record.case) != about:
                judged = _rejected(record, Reason.UNKNOWN_CASE, "case")
        verdicts.append(judged)
        if judged.outcome == Outcome.CONFIRMED and current is not None:
            confirmed.append({"b_record_id": current.record_id, "confirmed_as_of": record.as_of})
        if judged.outcome not in (Outcome.ADDED, Outcome.CORRECTED):
            continue
        values = spaces.new_version(
            space_id, record.item_id, record.item_version, record.rows,
            version=(current or erased or _NOTHING).version + 1, as_of=record.as_of, now=now, key=keys[space_id],
            source_id=source_id, corrects=judged.outcome == Outcome.CORRECTED,
        )  # fmt: skip
        added.append(values)
        if current is not None:
            superseded.append(current.record_id)
            if judged.outcome == Outcome.CORRECTED:
                previous = {"previous_record_id": current.record_id, "case_number": record.case or None}
                corrected.append(values | previous)
    _write(added, superseded, confirmed, now)
    corrections.note(corrected, now)
    return verdicts


def _judge(record: Checked, current: _Current | None, erased: "_Erased | None") -> Verdict:
    if erased is not None and record.as_of <= erased.as_of:
        return _rejected(record, Reason.ERASED)
    if current is None:
        outcome = Outcome.ADDED
    elif record.as_of < current.as_of:
        return _rejected(record, Reason.OLDER)
    elif current.rows == record.rows:
        outcome = Outcome.CONFIRMED if record.as_of > current.as_of else Outcome.UNCHANGED
    elif record.corrects:
        outcome = Outcome.CORRECTED
    elif record.as_of == current.as_of:
        return _rejected(record, Reason.CONTRADICTS)
    else:
        outcome = Outcome.ADDED
    return Verdict(record.place, outcome, record.item_id)


def _rejected(record: Checked, reason: Reason, field: str = "") -> Verdict:
    return Verdict(record.place, Outcome.REJECTED, record.item_id, reason, field)


def _current(space_ids: set[str], item_ids: set[str], keys: dict[str, bytes]) -> dict[tuple[str, str], _Current]:
    table = table_of(Record).c
    rows = connection().execute(
        select(
            table.space_id, table.item_id, table.record_id, table.version, table.as_of, table.confirmed_as_of,
            table.sealed,
        ).where(among(table.space_id, space_ids), among(table.item_id, item_ids), table.superseded_at.is_(None))
    )  # fmt: skip
    return {
        (row.space_id, row.item_id): _Current(
            row.record_id,
            row.version,
            row.confirmed_as_of or row.as_of,
            orjson.loads(unseal(keys[row.space_id], row.sealed, identity=row.record_id))["rows"],
        )
        for row in rows
    }


def _erased(space_ids: set[str]) -> dict[tuple[str, str], _Erased]:
    """The last versions that were deleted here, of spaces that lack a record that is brought."""
    table = table_of(Record).c
    latest = func.max(func.coalesce(table.confirmed_as_of, table.as_of)).label("as_of")
    rows = connection().execute(
        select(table.space_id, table.item_id, func.max(table.version), latest)
        .where(among(table.space_id, space_ids), table.erased_at.is_not(None))
        .group_by(table.space_id, table.item_id)
    )
    return {(row[0], row[1]): _Erased(row[2], row.as_of) for row in rows} if space_ids else {}


def _write(
    added: list[dict[str, Any]], superseded: list[str], confirmed: list[dict[str, Any]], now: dt.datetime
) -> None:
    table = table_of(Record)
    # First: there is room for one current version of a record.
    if superseded:
        connection().execute(update(table).where(among(table.c.record_id, superseded)).values(superseded_at=now))
    if added:
        insert_many(Record, added)
    if confirmed:
        later = update(table).where(table.c.record_id == bindparam("b_record_id"))
        connection().execute(later.values(confirmed_as_of=bindparam("confirmed_as_of")), confirmed)
