"""Corrections: a version of a record that says that the one before was wrong; who had received that one is told.

Written in the transaction of the new version. Whoever knows the recipients takes them from here
(``consent.corrected``): this package knows no consent.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Index, String, insert, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from dataspace.db import Model, connection, db, read_once, table_of

_UNTOLD = text("told_at IS NULL")


class Correction(Model):
    """``told_at``: when whoever received the previous version was told, NULL until then."""

    __tablename__ = "corrections"
    __table_args__ = (
        Index("ix_corrections_untold", "at", sqlite_where=_UNTOLD, postgresql_where=_UNTOLD),
        Index(None, "space_id", "item_id"),
    )
    record_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    previous_record_id: Mapped[str] = mapped_column(String(40))
    space_id: Mapped[str] = mapped_column(String(40))
    item_id: Mapped[str] = mapped_column(String(60))
    at: Mapped[dt.datetime]
    told_at: Mapped[dt.datetime | None]


def note(corrected: Iterable[Mapping[str, Any]], now: dt.datetime) -> None:
    """Keep that these new versions correct their ``previous_record_id``."""
    names = ("record_id", "previous_record_id", "space_id", "item_id")
    rows = [{name: values[name] for name in names} | {"at": now} for values in corrected]
    if rows:
        connection().execute(insert(table_of(Correction)), rows)


def claim(now: dt.datetime, limit: int) -> list[Correction]:
    """Up to ``limit`` that nobody was told of, the oldest first; told from now on, in the caller's transaction."""
    untold = (
        select(Correction.record_id)
        .where(Correction.told_at.is_(None))
        .order_by(Correction.at, Correction.record_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    claimed = (
        update(Correction)
        .where(Correction.record_id.in_(read_once(untold)))
        .values(told_at=now)
        .returning(Correction)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return sorted(db.session.scalars(claimed), key=lambda found: (found.at, found.record_id))


def of_records(record_ids: Collection[str]) -> set[str]:
    """Which of these versions were corrected by a later one."""
    query = select(Correction.previous_record_id).where(Correction.previous_record_id.in_(list(record_ids)))
    return set(db.session.scalars(query))
