"""Records of a space; what one permission may read of them is in :mod:`dataspace.extracts`.

A record is a version of a catalogue item: never overwritten, sealed under the space's key with its own identity as
associated data, with the authority it came from, its as-of time and a salted digest.
"""

import datetime as dt
import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import ForeignKeyConstraint, Index, String, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from dataspace import derivations
from dataspace.catalogue import DataItem, of_groups
from dataspace.db import Model, db, new_id
from dataspace.holders import Holder
from dataspace.sealing import seal, unseal
from dataspace.vault import Vault

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
