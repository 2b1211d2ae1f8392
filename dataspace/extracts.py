"""What one permission may read of the records of a space: found, opened, cut to what was granted, or computed of it.

:func:`read` is the only way out for a third party that reads, and writes its row of the access log.
"""

import datetime as dt
import functools
import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import bindparam, func, select

from dataspace import accesses, catalogue, derivations, walks
from dataspace.catalogue import DataItem, in_period, needs_own_step, of_groups
from dataspace.db import new_id, table_of
from dataspace.delivery import Delivered, Delivery, Page
from dataspace.identifiers import mask
from dataspace.permission import GrantedItem, Permission, ReadRefused
from dataspace.prepared import Prepared
from dataspace.sealing import Unreadable, unseal
from dataspace.sources.registry import Source
from dataspace.spaces import Record, Row, canonical
from dataspace.vault import OF_RECORDS, DataKey, Vault
from dataspace.walks import InvalidCursor, Walk


def read(
    permission: Permission, wanted: Iterable[str] | None, now: dt.datetime, *, vault: Vault,
    limit: int | None = None, walk: Walk | None = None,
) -> Delivery:  # fmt: skip
    """Read granted items (all, or the ``wanted`` ones) and write the access row in the same transaction.

    ``limit``: only so many rows of the one item that is wanted; ``walk``: the ones after those that it has delivered.
    Raises ReadRefused (``item_not_granted``, ``case_required``, ``item_verify_only``, ``item_regraded``,
    ``data_erased``), QuotaExhausted.
    The caller commits before it answers.
    """
    granted = _readable(granted_items(permission, wanted), permission, named=wanted is not None)
    delivery_id = new_id("dlv")
    pinned = walk.record_id if walk is not None else None
    items = deliver(permission, granted, now, vault=vault, named=wanted is not None, record_id=pinned)
    if walk is None and limit is not None:
        walk = _begin(permission, items[0], delivery_id, limit, now)
    if walk is not None:
        items = [_page(items[0], walk)]
    following = walk.after(len(items[0].rows)) if walk is not None else None
    delivered = Delivery(delivery_id=delivery_id, permission=permission, items=items, at=now, following=following)
    accesses.record_answered(
        permission,
        [item.item_id for item in items if not item.regraded],
        now,
        delivery_id=delivery_id,
        continues=walk.first if walk is not None and walk.first != delivery_id else None,
        record_ids=[item.record_id for item in items],
        response_digest=hashlib.sha256(canonical(delivered.body)).hexdigest(),
    )
    return delivered


def _begin(permission: Permission, item: Delivered, delivery_id: str, limit: int, now: dt.datetime) -> Walk | None:
    """The walk that begins with this read; none when there are no rows."""
    if item.record_id is None:
        return None
    return Walk(
        first=delivery_id, client_id=permission.client_id, basis=walks.basis(permission), item_id=item.item_id,
        record_id=item.record_id, start=0, limit=limit, until=int((now + walks.LIFE).timestamp()),
    )  # fmt: skip


def _page(item: Delivered, walk: Walk) -> Delivered:
    """The rows of this page. Raises InvalidCursor when the version that is walked through is there no more."""
    if item.record_id is None:
        raise InvalidCursor("deleted meanwhile")
    rows = item.rows[walk.start : walk.start + walk.limit]
    return replace(item, rows=rows, page=Page(before=walk.start, of=len(item.rows), first=walk.first))


def deliver(
    permission: Permission, granted: list[GrantedItem], now: dt.datetime, *, vault: Vault, named: bool = True,
    record_id: str | None = None,
) -> list[Delivered]:  # fmt: skip
    """What these items hold for a permission, in one query.

    One more for those of which there is nothing, and one for what others are computed from. It writes no access row:
    the caller does. ``record_id``: this version of the one item, not the current one.
    Raises ReadRefused (``item_regraded``: an item that was ``named``, or all of them; ``data_erased``).
    """
    rows = {row.item_id: row for row in _select(permission.space_id, [g.item_id for g in granted], record_id)}
    regraded = {g.item_id for g in granted if g.item_id in rows and _is_regraded(g, rows[g.item_id])}
    # What has no record here, or is computed from another one: the catalogue says what it is.
    without = {g.item_id for g in granted if g.item_id not in rows or rows[g.item_id].now_derivation} | regraded
    known = catalogue.every_version(without) if without else {}
    computed = {g.item_id: i for g in granted if (i := known.get(g.item_id, {}).get(g.item_version)) and i.derivation}
    regraded |= {g.item_id for g in granted if g.item_id in computed and _is_sensitive_today(g, known[g.item_id])}
    if regraded and (named or len(regraded) == len(granted)):
        raise ReadRefused("item_regraded", permission=permission, detail=",".join(sorted(regraded))[:200])
    sources = [str(item.derivation["from"]) for item in computed.values() if item.derivation]
    behind = {row.item_id: row for row in _select(permission.space_id, sources, None)} if sources else {}
    wrapped = next((row.wrapped for row in (*rows.values(), *behind.values())), None)
    try:
        key = vault.unwrap(wrapped, identity=permission.space_id) if rows or behind else b""
        found = []
        for grant in granted:
            item, row = computed.get(grant.item_id), rows.get(grant.item_id)
            if item is not None and item.derivation:
                row = behind.get(item.derivation["from"])
            if row is None or grant.item_id in regraded:
                versions = known.get(grant.item_id, {})
                found.append(_without_record(grant, versions, regraded=grant.item_id in regraded))
            else:
                found.append(_deliver(grant, row, key) if item is None else _compute(grant, item, row, key, now))
    except Unreadable as error:
        raise ReadRefused("data_erased", permission=permission, detail=error.detail) from error
    return found


def _readable(granted: list[GrantedItem], permission: Permission, *, named: bool) -> list[GrantedItem]:
    """Without those that may only be compared: left out when all were asked for, refused when they were named."""
    readable = [g for g in granted if g.delivery != "verify_only"]
    if not readable or (named and len(readable) < len(granted)):
        raise ReadRefused("item_verify_only", permission=permission)
    return readable


def granted_items(permission: Permission, wanted: Iterable[str] | None) -> list[GrantedItem]:
    """The granted items, all or the named ones. Raises ReadRefused (``item_not_granted``, ``case_required``)."""
    permission.demand_case()
    if wanted is None:
        return list(permission.items)
    by_id = {g.item_id: g for g in permission.items}
    missing = [item_id for item_id in wanted if item_id not in by_id]
    if missing:
        raise ReadRefused("item_not_granted", permission=permission, detail=",".join(missing)[:200])
    return [by_id[item_id] for item_id in dict.fromkeys(wanted)]


_item, _record, _key = table_of(DataItem).c, table_of(Record).c, table_of(DataKey).c
_source = table_of(Source).c
_latest, _versions = table_of(DataItem).alias("latest"), table_of(DataItem).alias("versions")
# How the item is classified today, whatever version the record and the consent are of.
_newest = (
    select(func.max(_versions.c.version))
    .where(_versions.c.item_id == _record.item_id)
    .correlate(table_of(Record))
    .scalar_subquery()
)


def _records(*which: Any) -> Any:
    return (
        select(
            _item.item_id, _item.version, _item.authority, _item.system, _item.fields, _item.cardinality,
            _item.period_field, _item.rule_set, _item.pi_class, _item.level,
            _record.record_id, _record.digest,
            func.coalesce(_record.confirmed_as_of, _record.as_of).label("as_of"), _record.sealed,
            OF_RECORDS.label("wrapped"),
            _latest.c.sensitive.label("now_sensitive"), _latest.c.level.label("now_level"),
            _latest.c.fields.label("now_fields"), _latest.c.derivation.label("now_derivation"),
            _source.failing_since.label("silent_since"),
        )
        .join_from(
            table_of(Record),
            table_of(DataItem),
            (_item.item_id == _record.item_id) & (_item.version == _record.item_version),
        )
        .join(_latest, (_latest.c.item_id == _record.item_id) & (_latest.c.version == _newest))
        .join(table_of(DataKey), _key.space_id == _record.space_id)
        .outerjoin(table_of(Source), _source.source_id == _record.source_id)
        .where(_record.space_id == bindparam("space_id"), *which)
    )  # fmt: skip


@functools.cache
def _current(count: int) -> Prepared:
    """The current records of so many items: a statement for each count, for IN lists that expand are built anew."""
    wanted: list[Any] = [bindparam(f"item_{n}") for n in range(count)]
    return Prepared(_records(_record.superseded_at.is_(None), _record.item_id.in_(wanted)))


_VERSION = Prepared(
    _records(
        _record.record_id == bindparam("record_id"), _record.item_id == bindparam("item_0"), _record.erased_at.is_(None)
    )
)


def _select(space_id: str, item_ids: list[str], record_id: str | None) -> list[Any]:
    values = {f"item_{n}": item_id for n, item_id in enumerate(item_ids)} | {"space_id": space_id}
    if record_id is not None:
        return _VERSION.all(values | {"record_id": record_id})
    return _current(len(item_ids)).all(values)


def _is_regraded(grant: GrantedItem, row: Any) -> bool:
    """It would have a step of its own today, and was given without one."""
    fields = (f for f in row.now_fields if f["id"] in grant.fields)
    return not grant.sensitive and needs_own_step(fields, sensitive=row.now_sensitive, level=row.now_level)


def _is_sensitive_today(grant: GrantedItem, versions: dict[int, DataItem]) -> bool:
    """The same of an item that has no record of its own."""
    newest = versions[max(versions)]
    fields = (f for f in newest.fields if f["id"] in grant.fields)
    return not grant.sensitive and needs_own_step(fields, sensitive=newest.sensitive, level=newest.level)


def _without_record(grant: GrantedItem, versions: dict[int, DataItem], *, regraded: bool) -> Delivered:
    """An item of which nothing leaves: the space holds no record, or it is held back until it is decided on again.

    What a sign-in tells may be of an item that no catalogue here has; nothing is known of it then.
    """
    item = versions[max(versions)] if regraded else versions.get(grant.item_version)
    nothing = Delivered(
        item_id=grant.item_id, item_version=grant.item_version, authority={}, system="", classification={}, many=False,
        as_of=None, record_digest=None, period=_period(grant), rows=[], withheld=list(grant.fields) if regraded else [],
        empty=[] if regraded else list(grant.fields), delivery=grant.delivery, regraded=regraded,
    )  # fmt: skip
    if item is None:
        return nothing
    return replace(
        nothing, item_version=item.version, authority=item.authority, system=item.system,
        classification=_classification(item), many=item.cardinality == "many",
        withheld=nothing.withheld or [f for f in item.field_ids() if f not in grant.fields],
    )  # fmt: skip


def _classification(item: Any) -> dict[str, Any]:
    """``item``: one version of one, or a row with its columns."""
    return {"rule_set": item.rule_set, "class": item.pi_class, "level": item.level}


def _period(grant: GrantedItem) -> tuple[str, str] | None:
    return (grant.period_from, grant.period_to) if grant.period_from and grant.period_to else None


def _opened(row: Any, key: bytes) -> list[Row]:
    rows: list[Row] = orjson.loads(unseal(key, row.sealed, identity=row.record_id))["rows"]
    return rows


def _compute(grant: GrantedItem, item: DataItem, row: Any, key: bytes, now: dt.datetime) -> Delivered:
    """The answer of an item that is computed here from the record of another one, which is named."""
    rows = of_groups(_opened(row, key), row.now_fields)
    source = derivations.Source(rows=rows, period_field=row.period_field, as_of=row.as_of)
    answer = derivations.compute(item, source, now)
    said = {field: answer.row[field] for field in item.field_ids() if field in grant.fields}
    return Delivered(
        item_id=item.item_id, item_version=item.version, authority=row.authority, system=row.system,
        classification=_classification(item), many=False, as_of=row.as_of, record_digest=row.digest,
        record_id=row.record_id, silent_since=row.silent_since, period=answer.period, rows=[said],
        withheld=[f for f in item.field_ids() if f not in grant.fields],
        empty=[f for f, value in said.items() if value is None], delivery=grant.delivery,
        derivation=derivations.told(item, answer) | {"from_version": row.version},
    )  # fmt: skip


def _deliver(grant: GrantedItem, row: Any, key: bytes) -> Delivered:
    rows = _opened(row, key)
    if row.period_field and grant.period_from and grant.period_to:
        rows = [r for r in rows if in_period(r.get(row.period_field), grant.period_from, grant.period_to)]
    told = of_groups(rows, row.now_fields)
    suppressed, rows = len(rows) - len(told), told
    # What is only compared is compared with the full value: nothing of it leaves.
    masked = {f["id"] for f in row.fields if f.get("masked") and grant.delivery != "verify_only"}
    known = [f["id"] for f in row.fields]
    allowed = [f for f in known if f in grant.fields]
    kept = [{f: _value(r.get(f), masked=f in masked) for f in allowed} for r in rows]
    return Delivered(
        item_id=row.item_id,
        item_version=row.version,
        authority=row.authority,
        system=row.system,
        classification=_classification(row),
        many=row.cardinality == "many",
        as_of=row.as_of,
        record_digest=row.digest,
        record_id=row.record_id,
        silent_since=row.silent_since,
        period=_period(grant),
        rows=kept,
        withheld=[f for f in known if f not in grant.fields],
        empty=[f for f in allowed if all(r[f] is None for r in kept)],
        delivery=grant.delivery,
        suppressed=suppressed,
    )


def _value(value: Any, *, masked: bool) -> Any:
    return mask(value) if masked and isinstance(value, str) else value
