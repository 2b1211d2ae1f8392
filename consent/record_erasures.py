"""Deleting one record with whatever was made of it here: certificates over it, copies of its space."""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import delete, func, select

from consent import data_certificates, interventions
from consent.archives import Archive, copies_of
from consent.interventions import OperatorEvent, Stated
from dataspace import record_erasure
from dataspace.db import connection, db
from dataspace.holders import Holder
from dataspace.spaces import Record
from dataspace.vault import Vault

KIND = "record:erased"


@dataclass(frozen=True, kw_only=True)
class Around:
    """Whose a version of a record is, and how many copies of the space are prepared."""

    holder_id: str
    copies: int


def erase(record_id: str, reason: Stated, now: dt.datetime, *, actor_id: str, vault: Vault) -> Record:
    """For good, in one transaction. Raises what :func:`dataspace.record_erasure.erase` does."""
    record = record_erasure.erase(record_id, now, vault=vault)
    data_certificates.forget(record, now, reason_code=reason.ground, vault=vault)
    connection().execute(delete(Archive).where(copies_of(record.space_id)))
    interventions.note(KIND, now, actor_id=actor_id, subject=record_id, reason_code=reason.ground, text=reason.text)
    return record


def around(record: Record) -> Around:
    """What stands around a version; in one statement."""
    copies = select(func.count()).where(copies_of(record.space_id)).scalar_subquery()
    row = db.session.execute(select(Holder.holder_id, copies).where(Holder.space_id == record.space_id)).one()
    return Around(holder_id=row[0], copies=row[1])


def noted(record: Record) -> OperatorEvent | None:
    """Who has deleted it, and why; None while nobody has."""
    query = select(OperatorEvent).filter_by(kind=KIND, subject=record.record_id)
    return db.session.scalars(query.order_by(OperatorEvent.event_id)).first()
