"""Deleting one record for good: the others of its space get another key, and the old one is destroyed.

A key beside each record would lie in every backup together with what opens it. So what is left is sealed anew, under a
key that no backup has; the old one is in backups only, wrapped by the wrapping key of that day, and opens no more once
that is forgotten (``flask wrapping-keys forget``): the same promise as for a whole space. Reading costs nothing more.

What stays is that there was a record: of which item, from which source and as of when, with its salted digest.
"""

import datetime as dt

from sqlalchemy import bindparam, select, update

from dataspace import messages
from dataspace.db import connection, db, table_of
from dataspace.errors import Conflict, NotFound
from dataspace.messages import Group, Notice
from dataspace.sealing import seal, unseal
from dataspace.spaces import Record
from dataspace.vault import Vault

BATCH = 200  # records sealed anew with one statement


def erase(record_id: str, now: dt.datetime, *, vault: Vault) -> Record:
    """Make one version of a record unreadable; what was current is missing from then on. In one transaction.

    Raises NotFound, Conflict (it was deleted before), Unreadable (the space was deleted).
    """
    space_id = db.session.scalar(select(Record.space_id).filter_by(record_id=record_id))
    if space_id is None:
        raise NotFound("no such version")
    old = vault.hold_records_key(space_id)  # whoever else writes records of this space waits
    record = db.session.get_one(Record, record_id, populate_existing=True)
    if record.erased_at is not None:
        raise Conflict("deleted already")
    record.sealed, record.erased_at, record.superseded_at = b"", now, record.superseded_at or now
    db.session.flush()
    _seal_anew(space_id, old, vault.change_records_key(space_id))
    messages.send(space_id, Notice.RECORD_ERASED, Group.SECURITY, now, about=record_id)
    return record


def _seal_anew(space_id: str, old: bytes, new: bytes) -> None:
    table = table_of(Record)
    left = select(table.c.record_id, table.c.sealed).where(
        table.c.space_id == space_id, table.c.erased_at.is_(None), table.c.record_id > bindparam("after")
    )
    change = update(table).where(table.c.record_id == bindparam("which")).values(sealed=bindparam("anew"))
    some, after = left.order_by(table.c.record_id).limit(BATCH), ""
    while rows := connection().execute(some, {"after": after}).all():
        anew = [(i, seal(new, unseal(old, sealed, identity=i), identity=i)) for i, sealed in rows]
        connection().execute(change, [{"which": record_id, "anew": sealed} for record_id, sealed in anew])
        after = rows[-1][0]
    db.session.expire_all()
