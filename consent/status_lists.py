"""Token Status List (draft-ietf-oauth-status-list): what became of each certificate, as a list that tells of no one.

Two bits for each: VALID, INVALID (for good), SUSPENDED (for the time being). Places are given away in an order that was
shuffled when the list was made, so that a place does not tell when its certificate was issued.
"""

import datetime as dt
import enum
import secrets
import zlib
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Index, LargeBinary, String, func, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from dataspace import jose
from dataspace.db import Model, db, insert_new, new_id
from dataspace.errors import NotFound
from dataspace.jwk import SigningKey, b64encode

BITS = 2
PER_BYTE = 8 // BITS
SIZE = 4096  # places: who fetches a list does not say which of them he asks about
PLACE = 2  # bytes of a place in the order
TYP = "statuslist+jwt"
TTL = dt.timedelta(minutes=5)  # how long a reader may keep it
LIFE = dt.timedelta(days=1)  # a list that is older is worth nothing


class Status(enum.IntEnum):
    """Section 7.1."""

    VALID = 0
    INVALID = 1
    SUSPENDED = 2


class StatusList(Model):
    """``sequence``: the places in the order in which they are given away, two bytes each; ``given``: how many are."""

    __tablename__ = "status_lists"
    __table_args__ = (
        # At most one list has places left; of two that make a new one at once, one finds the other's.
        Index(
            "uq_status_lists_open",
            "is_open",
            unique=True,
            sqlite_where=text("is_open"),
            postgresql_where=text("is_open"),
        ),
    )
    list_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    sequence: Mapped[bytes] = mapped_column(LargeBinary)
    given: Mapped[int]
    is_open: Mapped[bool]
    created_at: Mapped[dt.datetime]


def take_place(now: dt.datetime) -> tuple[str, int]:
    """A place that nobody has had: the list and the index. Whoever comes next waits for this transaction to end."""
    taken = _next()
    while taken is None:
        made = {"list_id": new_id("stl"), "sequence": _shuffled(), "given": 0, "is_open": True, "created_at": now}
        db.session.execute(insert_new(StatusList).values(made))
        taken = _next()
    list_id, number = taken
    found = db.session.scalar(
        select(func.substr(StatusList.sequence, number * PLACE + 1, PLACE)).where(StatusList.list_id == list_id)
    )
    return list_id, int.from_bytes(found or b"")


def _next() -> tuple[str, int] | None:
    """The open list, and how many of its places were given away before; None when there is no such list."""
    given = StatusList.given + 1
    statement = (
        update(StatusList)
        .where(StatusList.is_open)
        .values(given=given, is_open=given < SIZE)
        .returning(StatusList.list_id, StatusList.given)
        .execution_options(synchronize_session=False)
    )
    row = db.session.execute(statement).first()
    return None if row is None else (row.list_id, row.given - 1)


def _shuffled() -> bytes:
    places = list(range(SIZE))
    secrets.SystemRandom().shuffle(places)
    return b"".join(place.to_bytes(PLACE) for place in places)


def demand(unverified_id: str) -> str:
    """The id of a list that there is. Raises NotFound."""
    found = db.session.scalar(select(StatusList.list_id).where(StatusList.list_id == unverified_id))
    if found is None:
        raise NotFound("no such status list")
    return found


def pack(statuses: Iterable[tuple[int, Status]], size: int = SIZE) -> bytes:
    """``size`` statuses, all VALID but those that are named by their index, from the lowest bits of each byte up."""
    packed = bytearray(-(-size // PER_BYTE))
    for index, status in statuses:
        byte, place = divmod(index, PER_BYTE)
        packed[byte] |= status << (place * BITS)
    return bytes(packed)


def claim(uri: str, index: int) -> dict[str, Any]:
    """How a certificate says where its status stands (section 6.2)."""
    return {"status_list": {"idx": index, "uri": uri}}


def token(packed: bytes, *, uri: str, now: dt.datetime, key: SigningKey) -> str:
    """The signed list (section 5.1)."""
    claims = {
        "sub": uri,
        "iat": int(now.timestamp()),
        "exp": int((now + LIFE).timestamp()),
        "ttl": int(TTL.total_seconds()),
        "status_list": {"bits": BITS, "lst": b64encode(zlib.compress(packed, level=9))},
    }
    return jose.sign(claims, key, typ=TYP)
