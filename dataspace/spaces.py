"""Records of a space, and what one permission may read of them.

A record is a version of a catalogue item: never overwritten, sealed under the space's key with its own identity as
associated data, with the authority it came from, its as-of time and a salted digest.
"""

import datetime as dt
import functools
import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import orjson
from sqlalchemy import ForeignKeyConstraint, Index, String, bindparam, func, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from dataspace import accesses, catalogue, derivations, walks
from dataspace.catalogue import DataItem, in_period, needs_own_step, of_groups
from dataspace.db import Model, connection, db, new_id, table_of
from dataspace.delivery import Delivered, Delivery, Page
from dataspace.holders import Holder
from dataspace.identifiers import mask
from dataspace.permission import GrantedItem, Permission, ReadRefused
from dataspace.sealing import Unreadable, seal, unseal
from dataspace.sources.registry import Source
from dataspace.vault import OF_RECORDS, DataKey, Vault
from dataspace.walks import InvalidCursor, Walk

Row = dict[str, Any]  # field id -> string, integer, boolean or None


class Record(Model):
    """``sealed``: JSON {salt, rows} under the space's key; ``digest``: SHA-256 over the same canonical JSON (RFC 8785).

    ``as_of``: the moment for which the source has first vouched for these values, ``confirmed_as_of`` the last one;
    ``corrects``: the version before was wrong, not only older. Once it is ``erased_at``, nothing is ``sealed`` here.
    """

    __tablename__ = "records"
    __table_args__ = (
        ForeignKeyConstraint(["item_id", "item_version"], ["data_items.item_id", "data_items.version"]),
        Index("uq_records_current", "space_id", "item_id", unique=True, sqlite_where=text("superseded_at IS NULL"),
              postgresql_where=text("superseded_at IS NULL")),
        Index("uq_records_version", "space_id", "item_id", "version", unique=True),
    )  # fmt: skip
    record_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    space_id: Mapped[str] = mapped_column(String(40))
    item_id: Mapped[str] = mapped_column(String(60))
    item_version: Mapped[int]
    version: Mapped[int]
    as_of: Mapped[dt.datetime]
    digest: Mapped[str] = mapped_column(String(64))
    sealed: Mapped[bytes]
    received_at: Mapped[dt.datetime]
    superseded_at: Mapped[dt.datetime | None]
    source_id: Mapped[str | None] = mapped_column(String(40))
    confirmed_as_of: Mapped[dt.datetime | None]
    corrects: Mapped[bool] = mapped_column(default=False)
    erased_at: Mapped[dt.datetime | None]

    @property
    def latest_as_of(self) -> dt.datetime:
        """The last moment for which the source has vouched for these values."""
        return self.confirmed_as_of or self.as_of


def deposit(
    holder: Holder, item: DataItem, rows: list[Row], *, as_of: dt.datetime, now: dt.datetime, vault: Vault
) -> Record:
    """Add a version of an item to a holder's space; the current record itself when nothing has changed."""
    key = vault.hold_records_key(holder.space_id)
    mine = select(Record).filter_by(space_id=holder.space_id, item_id=item.item_id)
    newest = db.session.scalar(mine.order_by(Record.version.desc()).limit(1))
    current = newest if newest is not None and newest.superseded_at is None else None
    if current is not None:
        if current.as_of == as_of and open_rows(current, key) == rows:
            return current
        db.session.execute(update(Record).filter_by(record_id=current.record_id).values(superseded_at=now))
    number = 1 if newest is None else newest.version + 1
    record = Record(
        **new_version(
            holder.space_id, item.item_id, item.version, rows, version=number, as_of=as_of, now=now, key=key
        )
    )  # fmt: skip
    db.session.add(record)
    db.session.flush()
    return record


def new_version(
    space_id: str,
    item_id: str,
    item_version: int,
    rows: list[Row],
    *,
    version: int,
    as_of: dt.datetime,
    now: dt.datetime,
    key: bytes,
    source_id: str | None = None,
    corrects: bool = False,
) -> dict[str, Any]:
    """The columns of a record's next version, sealed under the key of its space."""
    record_id = new_id("rec")
    content = canonical({"salt": secrets.token_hex(16), "rows": rows})
    return {
        "record_id": record_id,
        "space_id": space_id,
        "item_id": item_id,
        "item_version": item_version,
        "version": version,
        "as_of": as_of,
        "digest": hashlib.sha256(content).hexdigest(),
        "sealed": seal(key, content, identity=record_id),
        "received_at": now,
        "source_id": source_id,
        "corrects": corrects,
    }


def canonical(content: dict[str, Any]) -> bytes:
    """RFC 8785 for texts, whole numbers that fit in a double, booleans and None under ASCII names.

    For these, sorting the names is all there is to it, and a fast library does that.
    """
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def open_rows(record: Record, key: bytes) -> list[Row]:
    """The rows of a record in clear. Raises Unreadable."""
    rows: list[Row] = orjson.loads(unseal(key, record.sealed, identity=record.record_id))["rows"]
    return rows


@dataclass(frozen=True, kw_only=True)
class Held:
    """A current record of a space with its catalogue item, in clear: for the holder's own eyes."""

    record: Record
    item: DataItem
    rows: list[Row]


def holdings(space_id: str, *, vault: Vault, item_ids: Iterable[str] | None = None) -> list[Held]:
    """The current records of a space for its holder (all, or the named items), in one query and one key look-up."""
    query = (
        select(Record, DataItem)
        .join(DataItem, (DataItem.item_id == Record.item_id) & (DataItem.version == Record.item_version))
        .where(Record.space_id == space_id, Record.superseded_at.is_(None))
        .order_by(Record.item_id)
    )
    if item_ids is not None:
        query = query.where(Record.item_id.in_(list(item_ids)))
    key = vault.records_key(space_id)
    return [Held(record=r, item=i, rows=open_rows(r, key)) for r, i in db.session.execute(query)]


def computed(held: Held, item: DataItem, now: dt.datetime) -> Held:
    """The answer of an item that is computed from this record, for the holder's own eyes."""
    rows = of_groups(held.rows, held.item.fields)
    source = derivations.Source(rows=rows, period_field=held.item.period_field, as_of=held.record.latest_as_of)
    return Held(record=held.record, item=item, rows=[derivations.compute(item, source, now).row])


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
def _current(count: int) -> Any:
    """The current records of so many items: a statement for each count, for IN lists that expand are built anew."""
    return _records(
        _record.superseded_at.is_(None), _record.item_id.in_([bindparam(f"item_{n}") for n in range(count)])
    )


_VERSION = _records(
    _record.record_id == bindparam("record_id"), _record.item_id == bindparam("item_0"), _record.erased_at.is_(None)
)


def _select(space_id: str, item_ids: list[str], record_id: str | None) -> list[Any]:
    values = {f"item_{n}": item_id for n, item_id in enumerate(item_ids)} | {"space_id": space_id}
    if record_id is not None:
        return list(connection().execute(_VERSION, values | {"record_id": record_id}))
    return list(connection().execute(_current(len(item_ids)), values))


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
