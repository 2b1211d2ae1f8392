"""Corrections: a version of a record that says that the one before was wrong; who had received that one is told.

Written in the transaction of the new version. Whoever knows the recipients takes them from here
(``consent.corrected``): this package knows no consent.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Index, String, case, insert, or_, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from dataspace.db import Model, connection, db, read_once, table_of

_UNTOLD = text("told_at IS NULL")


class Correction(Model):
    """``told_at``: when whoever received the previous version was told, NULL until then.

    ``case_number``: of the case that it answers, if the authority has named one.
    """

    __tablename__ = "corrections"
    __table_args__ = (
        Index("ix_corrections_untold", "at", sqlite_where=_UNTOLD, postgresql_where=_UNTOLD),
        Index(None, "space_id", "item_id"),
        Index(None, "previous_record_id"),
    )
    record_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    previous_record_id: Mapped[str] = mapped_column(String(40))
    space_id: Mapped[str] = mapped_column(String(40))
    item_id: Mapped[str] = mapped_column(String(60))
    case_number: Mapped[str | None] = mapped_column(String(20))
    at: Mapped[dt.datetime]
    told_at: Mapped[dt.datetime | None]


def note(corrected: Iterable[Mapping[str, Any]], now: dt.datetime) -> None:
    """Keep that these new versions correct their ``previous_record_id``."""
    names = ("record_id", "previous_record_id", "space_id", "item_id", "case_number")
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


def answer_to(case_number: str, space_id: str, item_id: str, since: dt.datetime) -> Correction | None:
    """The last correction that names this case; if none does, the last one of the item after ``since``, or None."""
    named = Correction.case_number == case_number
    of_item = (Correction.space_id == space_id, Correction.item_id == item_id, or_(named, Correction.at > since))
    query = select(Correction).where(*of_item)
    return db.session.scalar(query.order_by(case((named, 0), else_=1), Correction.at.desc()).limit(1))


def of_records(record_ids: Collection[str]) -> list[Correction]:
    """Those by which one of these versions was corrected, or that one of them has brought."""
    wanted = list(record_ids)
    query = select(Correction).where(
        or_(Correction.previous_record_id.in_(wanted), Correction.record_id.in_(wanted))
    )  # fmt: skip
    return list(db.session.scalars(query.order_by(Correction.at, Correction.record_id)))
