"""Lineage: from a delivery to the versions of records in it, and from a version to everybody who received it.

Reads only, in a fixed number of queries, and never a value. A delivery is a line of the access log: it names the
version of the consent, the recipient and the digest of the answer; its records lead to source, authority and item.
"""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import String, cast, func, or_, select, tuple_

from dataspace import corrections
from dataspace.accesses import Access, Action, Outcome
from dataspace.catalogue import DataItem
from dataspace.db import db
from dataspace.errors import NotFound
from dataspace.sources.registry import Source
from dataspace.spaces import Record

PAGE = 50
Basis = tuple[str, int]  # what a read rests on: the version of a consent or of a power


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where one version of a record comes from. ``corrected``: a later version has said that this one was wrong.

    ``case_number``: of the case that this version answers, if it corrects for one.
    """

    record: Record
    item: DataItem
    source: Source | None
    corrected: bool
    case_number: str | None

    def source_name(self, locale: str) -> str:
        """The source's name, or the system that the catalogue names."""
        if self.source is None:
            return self.item.system
        return str(self.source.name.get(locale.lower()) or self.source.name["zh_hans"])


def delivery(delivery_id: str) -> Access:
    """The line of a delivery. Raises NotFound."""
    line = db.session.scalar(select(Access).filter_by(delivery_id=delivery_id))
    if line is None:
        raise NotFound("no such delivery")
    return line


def origins(record_ids: Collection[str]) -> list[Origin]:
    """What stands behind these versions, by item; in two queries."""
    wanted = list(record_ids)
    rows = db.session.execute(
        select(Record, DataItem, Source)
        .join(DataItem, (DataItem.item_id == Record.item_id) & (DataItem.version == Record.item_version))
        .outerjoin(Source, Source.source_id == Record.source_id)
        .where(Record.record_id.in_(wanted))
        .order_by(Record.item_id, Record.version)
    ).all()
    found = corrections.of_records(wanted)
    wrong = {correction.previous_record_id for correction in found}
    answered = {correction.record_id: correction.case_number for correction in found}
    return [
        Origin(
            record=r, item=i, source=s, corrected=r.record_id in wrong, case_number=answered.get(r.record_id)
        )
        for r, i, s in rows
    ]  # fmt: skip


def origin(record_id: str) -> Origin:
    """What stands behind one version. Raises NotFound."""
    found = origins([record_id])
    if not found:
        raise NotFound("no such version")
    return found[0]


@dataclass(frozen=True, kw_only=True)
class Recipients:
    """Reads that received a version, newest first; ``older``: the cursor of the next page or None."""

    lines: list[Access]
    older: int | None


def basis(line: Access) -> Basis:
    """What a line rests on."""
    if line.power_id is not None:
        return line.power_id, line.power_version or 0
    return line.consent_id, line.consent_version


def recipients(
    record: Record, *, resting_on: Collection[Basis] | None = None, before: int | None = None, size: int = PAGE
) -> Recipients:
    """Who received this version; with ``resting_on`` only by reads that rest on one of these.

    One query over the log of its space, by keyset.
    """
    query = select(Access).where(
        Access.space_id == record.space_id, Access.outcome == Outcome.ANSWERED, _has(record.record_id)
    )
    if resting_on is not None:
        consents, laws = (
            tuple_(Access.consent_id, Access.consent_version),
            tuple_(Access.power_id, Access.power_version),
        )
        query = query.where(or_(consents.in_(resting_on), laws.in_(resting_on)))
    if before is not None:
        query = query.where(Access.access_id < before)
    lines = list(db.session.scalars(query.order_by(Access.access_id.desc()).limit(size + 1)))
    return Recipients(lines=lines[:size], older=lines[size - 1].access_id if len(lines) > size else None)


def version_before(record: Record) -> str | None:
    """The number of the version before this one, None of the first."""
    mine = select(Record.record_id).filter_by(space_id=record.space_id, item_id=record.item_id)
    return db.session.scalar(mine.where(Record.version == record.version - 1))


def consents_that_received(space_id: str, record_id: str) -> dict[str, dt.datetime | None]:
    """The consents under which a version has left, and when it was last read.

    None where its holder has only shown it to somebody: when she did that is not the third party's business.
    """
    rows = db.session.execute(
        select(Access.consent_id, func.max(Access.at).filter(Access.action != Action.SHOW).label("read_at"))
        .where(Access.space_id == space_id, Access.outcome == Outcome.ANSWERED, _has(record_id))
        .group_by(Access.consent_id)
    )
    return {row.consent_id: row.read_at for row in rows}


def _has(record_id: str):  # type: ignore[no-untyped-def]
    """The list of a line names a version; within the lines of one space, which an index finds."""
    return cast(Access.record_ids, String).contains(f'"{record_id}"', autoescape=True)
