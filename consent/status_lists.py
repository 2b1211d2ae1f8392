"""Token Status List (draft-ietf-oauth-status-list): what became of each certificate, as a list that tells of no one.

Two bits for each: VALID, INVALID (for good), SUSPENDED (for the time being).
"""

import datetime as dt
import enum
import zlib
from collections.abc import Iterable
from typing import Any

from dataspace import jose
from dataspace.jwk import SigningKey, b64encode

BITS = 2
PER_BYTE = 8 // BITS
TYP = "statuslist+jwt"
TTL = dt.timedelta(minutes=5)  # how long a reader may keep it
LIFE = dt.timedelta(days=1)  # a list that is older is worth nothing


class Status(enum.IntEnum):
    """Section 7.1."""

    VALID = 0
    INVALID = 1
    SUSPENDED = 2


def pack(statuses: Iterable[tuple[int, Status]], size: int) -> bytes:
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
