"""What enters the log of evidence: of each thing to be proven a salted digest, in the transaction of the thing.

Nothing else of it enters, and nothing personal: without the salt, which is kept beside the thing and nowhere else, the
digest says nothing of what it covers and cannot be guessed. Whoever deletes both has erased what the log could prove.
The entries wait here until :mod:`consent.evidence` takes them into the log.
"""

import datetime as dt
import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import orjson
from sqlalchemy import LargeBinary, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from dataspace.db import Model, connection, table_of
from dataspace.prepared import Prepared

SCHEMA = "gd-dsa-evidence/1"
SALT, ENTRY, KEY = 16, 32, 16  # bytes
MOMENT = 6  # bytes of the time, in milliseconds since 1970, with which a key begins


class WaitingEntry(Model):
    """``key``: by which the entry is found once it is in the log; it begins with the time, so that rows are appended.

    One narrow row and one index: a read of data has to write it.
    """

    __tablename__ = "evidence_waiting"
    key: Mapped[bytes] = mapped_column(LargeBinary(KEY), primary_key=True)
    entry: Mapped[bytes] = mapped_column(LargeBinary(ENTRY))


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry as it is appended. ``salt`` is to be kept with the thing that ``statement`` is about."""

    statement: dict[str, Any]
    salt: bytes
    key: bytes
    digest: bytes

    @property
    def row(self) -> dict[str, bytes]:
        """For the table."""
        return {"key": self.key, "entry": self.digest}

    @classmethod
    def of(cls, kind: str, at: dt.datetime, salt: bytes, **what: Any) -> "Entry":
        """The entry about something that happened at ``at``: the same again for the same values and salt."""
        statement = {"schema": SCHEMA, "kind": kind, "at": stamp(at), **what}
        digest = hashlib.sha256(salt + canonical(statement)).digest()
        moment = int(at.timestamp() * 1000).to_bytes(MOMENT, "big")
        return cls(statement=statement, salt=salt, key=moment + digest[: KEY - MOMENT], digest=digest)

    @classmethod
    def new(cls, kind: str, at: dt.datetime, **what: Any) -> "Entry":
        """An entry with a fresh salt."""
        return cls.of(kind, at, new_salt(), **what)


def new_salt() -> bytes:
    """A salt, to be kept with one thing."""
    return secrets.token_bytes(SALT)


def blinded(name: str, salt: bytes) -> str:
    """What a statement says of an id that would lead from one statement to another: SHA-256 of salt and id, in hex."""
    return hashlib.sha256(salt + name.encode()).hexdigest()


_APPEND = Prepared(insert(table_of(WaitingEntry)), filled=["key", "entry"])


def append(entry: Entry) -> None:
    """Let an entry wait for the log, in the session's transaction: it is there exactly when the thing is."""
    _APPEND.run(entry.row)


def first_waiting() -> bytes | None:
    """The key of what has waited longest; None when nothing waits. By the index: the table begins with what is gone."""
    table = table_of(WaitingEntry).c
    return cast("bytes | None", connection().scalar(select(table.key).order_by(table.key).limit(1)))


def seconds_since(keys: Iterable[bytes], now: dt.datetime) -> list[float]:
    """How long ago it was, by their keys, that entries came about; below zero when the clock was set back."""
    at, number = now.timestamp(), int.from_bytes
    return [at - number(key[:MOMENT], "big") / 1000 for key in keys]


def stamp(at: dt.datetime) -> str:
    """A moment as statements write it, to the microsecond, which is what the databases keep."""
    return at.astimezone(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def canonical(statement: dict[str, Any]) -> bytes:
    """RFC 8785, for what statements consist of: names in ASCII, text, whole numbers, lists of them.

    For these orjson writes the same bytes as rfc8785, twenty times as fast; a test compares them.
    """
    return orjson.dumps(statement, option=orjson.OPT_SORT_KEYS)
