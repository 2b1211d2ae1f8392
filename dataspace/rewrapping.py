"""Changing the wrapping key under a running service: every wrapped secret, a batch at a time."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, func, select, update

from dataspace.db import Base, connection, db, table_of
from dataspace.vault import DataKey, PartKey
from dataspace.wrapping import KeyProvider

BATCH = 1000  # wrapped secrets looked at in one transaction


@dataclass(frozen=True)
class Wrapped:
    """Where wrapped secrets are kept: a model, the name of its key, which is their identity, and of their column."""

    model: type[Base]
    identity: str
    secret: str

    def count(self) -> int:
        """How many there are that were not destroyed."""
        table = table_of(self.model)
        there = select(func.count()).select_from(table).where(table.c[self.secret].is_not(None))
        return db.session.scalar(there) or 0


DATA_KEYS = Wrapped(DataKey, "space_id", "wrapped")
RECORD_KEYS = Wrapped(DataKey, "space_id", "records_wrapped")
PART_KEYS = Wrapped(PartKey, "part_id", "wrapped")


def look(place: Wrapped, keys: KeyProvider) -> Iterator[Counter[str]]:
    """How many secrets at a place each key has wrapped, a batch at a time."""
    for rows in _batches(place):
        yield Counter(keys.name_of(secret) for _identity, secret in rows)


def rewrap(place: Wrapped, keys: KeyProvider) -> Iterator[Counter[str]]:
    """Wrap under the current key whatever another has wrapped; after each batch the caller commits.

    Yields how many each key had wrapped. What is destroyed or changed meanwhile is left as it is; done twice, or by two
    at once, it does no harm, and after an interruption it is begun anew. Raises Unreadable at the first secret that
    does not open.
    """
    table = table_of(place.model)
    same = (table.c[place.identity] == bindparam("identity"), table.c[place.secret] == bindparam("before"))
    change = update(table).where(*same).values({place.secret: bindparam("after")})
    for rows in _batches(place):
        current = keys.current()
        changed = [_rewrapped(identity, secret, keys) for identity, secret in rows if keys.name_of(secret) != current]
        if changed:
            connection().execute(change, changed)
        yield Counter(keys.name_of(secret) for _identity, secret in rows)


def _batches(place: Wrapped) -> Iterator[Sequence[Any]]:
    table, after = table_of(place.model), ""
    identity, secret = table.c[place.identity], table.c[place.secret]
    there = select(identity, secret).where(secret.is_not(None)).order_by(identity).limit(BATCH)
    while rows := connection().execute(there.where(identity > after)).all():
        yield rows
        after = rows[-1][0]


def _rewrapped(identity: str, secret: bytes, keys: KeyProvider) -> dict[str, object]:
    clear = keys.unwrap(secret, identity=identity)
    return {"identity": identity, "before": secret, "after": keys.wrap(clear, identity=identity)}
