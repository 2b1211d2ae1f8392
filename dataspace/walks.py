"""Walks through an item with many rows: page after page of one version of its record, counted as one read.

The first page is an ordinary read and takes its place among those that a consent allows. It answers with a cursor, by
which the next page is fetched for a quarter of an hour, also when the consent is used up by then: what it leads to is
what the first page already stood for, the same rows of the same version, and nothing newer. Everything else that ends
a consent ends a walk at once. Each page is a line of the access log that names the first one.

Nothing is stored: a cursor is sealed, so that nobody can make one, see into it or stretch it.
"""

import datetime as dt
import functools
import hashlib
import hmac
from dataclasses import asdict, dataclass, replace

import orjson

from dataspace import jwk
from dataspace.errors import DomainError
from dataspace.jwk import InvalidToken
from dataspace.permission import Permission
from dataspace.sealing import Unreadable, seal, unseal

LIFE = dt.timedelta(minutes=15)  # of a walk, from its first page
MAX_LIMIT = 1000  # rows of a page
MAX_CURSOR = 1000  # characters
_IDENTITY = "cursor"


class InvalidCursor(DomainError):
    code = "invalid_cursor"
    sentence = "This cursor is not one of ours for this read, or too old; begin again without one."
    status = 400


@dataclass(frozen=True, kw_only=True)
class Walk:
    """Where a walk is. ``basis``: under what it was begun: the consent and its version, or the power and the case.

    ``first``: the delivery id of its first page; ``start``: how many rows were delivered before; ``until``: Unix time.
    """

    first: str
    client_id: str
    basis: list[str]
    item_id: str
    record_id: str
    start: int
    limit: int
    until: int

    def check(self, permission: Permission, item_id: str) -> None:
        """It goes on under what it was begun under. Raises InvalidCursor."""
        if (self.client_id, self.basis, self.item_id) != (permission.client_id, basis(permission), item_id):
            raise InvalidCursor("of another read")

    def after(self, rows: int) -> "Walk":
        """The same so many rows further."""
        return replace(self, start=self.start + rows)


def basis(permission: Permission) -> list[str]:
    """What a walk is bound to; after every change of the consent one begins again."""
    law = permission.law
    if law is not None:
        return ["law", law.power_id, str(law.power_version), law.case_id or ""]
    return ["consent", permission.consent_id, str(permission.consent_version)]


class Cursors:
    """Makes and reads cursors. Every process that has the settings reads those of the others."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    @functools.cached_property
    def _key(self) -> bytes:
        return hmac.digest(self._secret.encode(), b"cursors of the data API", hashlib.sha256)

    def of(self, walk: Walk) -> str:
        """A cursor for the next page."""
        return jwk.b64encode(seal(self._key, orjson.dumps(asdict(walk)), identity=_IDENTITY))

    def read(self, unverified: str, now: dt.datetime) -> Walk:
        """Where a cursor leads. Raises InvalidCursor."""
        if len(unverified) > MAX_CURSOR:
            raise InvalidCursor("too long")
        try:
            walk = Walk(**orjson.loads(unseal(self._key, jwk.b64decode(unverified), identity=_IDENTITY)))
        except (InvalidToken, Unreadable):
            raise InvalidCursor("not ours") from None
        if now.timestamp() >= walk.until:
            raise InvalidCursor("too old")
        return walk
