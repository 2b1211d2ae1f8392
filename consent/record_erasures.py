"""Deleting one record with whatever was made of it here: certificates over it, copies of its space."""

import datetime as dt

from sqlalchemy import delete

from consent import data_certificates, interventions
from consent.archives import Archive
from consent.interventions import Stated
from dataspace import record_erasure
from dataspace.db import connection
from dataspace.spaces import Record
from dataspace.vault import Vault


def erase(record_id: str, reason: Stated, now: dt.datetime, *, actor_id: str, vault: Vault) -> Record:
    """For good, in one transaction. Raises what :func:`dataspace.record_erasure.erase` does."""
    record = record_erasure.erase(record_id, now, vault=vault)
    data_certificates.forget(record, now, reason_code=reason.ground, vault=vault)
    connection().execute(delete(Archive).where(Archive.space_id == record.space_id))
    interventions.note(
        "record:erased", now, actor_id=actor_id, subject=record_id, reason_code=reason.ground, text=reason.text
    )
    return record
