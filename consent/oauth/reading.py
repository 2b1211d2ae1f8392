"""What a read of data asks first: the token with its consent and all that decides about it, and its proof remembered.

On the path of every read, so one statement, which each of the databases needs to be told in its own way.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from sqlalchemy import ColumnElement, LargeBinary, String, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from consent.oauth import bindings, replay
from consent.oauth.bindings import Readable, digest_of
from consent.oauth.dpop import VerifiedProof
from consent.oauth.replay import SeenJti
from consent.oauth.tokens import Token
from dataspace.db import UTCDateTime, connection, table_of
from dataspace.prepared import Prepared


class ReadableToken(Readable, Protocol):
    """An access token for the data API; no more columns than a read needs."""

    kind: str
    revoked_at: dt.datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """``is_first``: the proof is bound to the key of the token and was not seen before; it is used up now."""

    token: ReadableToken
    is_first: bool


class _Whole(ColumnElement[str]):
    """A subquery among what an INSERT returns, in which SQLAlchemy would write columns without their tables."""

    inherit_cache = False

    def __init__(self, query: ColumnElement[str]) -> None:
        self.query, self.type = query, String()


@compiles(_Whole)
def _as_it_is(element: _Whole, compiler: SQLCompiler, **_options: object) -> str:
    return compiler.process(element.query)


_seen = table_of(SeenJti)
_FIND = bindings.readable(table_of(Token), "kind", "revoked_at")
_KNOWN = Prepared(_FIND)
# Only the proofs of keys that tokens are bound to are kept: nobody else can fill the table.
_proved = table_of(Token).alias("proved")
_proof = select(bindparam("seen", type_=LargeBinary()), bindparam("until", type_=UTCDateTime())).where(
    select(_proved.c.digest)
    .where(_proved.c.digest == bindparam("digest"), _proved.c.jkt == bindparam("jkt", type_=String()))
    .exists()
)
_INTO = ["digest", "expires_at"]
_remembered = (
    postgresql.insert(_seen)
    .from_select(_INTO, _proof)
    .on_conflict_do_nothing()
    .returning(_seen.c.digest)
    .cte("remembered")
)
_firsts = select(func.count()).select_from(_remembered).scalar_subquery().label("firsts")
_KNOWN_AND_REMEMBERED = Prepared(_FIND.add_columns(_firsts).add_cte(_remembered))
# SQLite writes nothing within a query, but answers a new row with what a query finds, as one value.
_packed = _FIND.with_only_columns(func.json_array(*_FIND.selected_columns)).scalar_subquery()
_REMEMBERED = Prepared(
    sqlite.insert(_seen).from_select(_INTO, _proof).on_conflict_do_nothing().returning(_Whole(_packed).label("packed"))
)


def find(unverified_token: str, proof: VerifiedProof | None) -> Found | None:
    """The token behind what was presented; a ``proof`` that is of its key is remembered in the same statement."""
    asked = {"digest": digest_of(unverified_token)}
    if proof is None:
        return _found(_KNOWN.first(asked), is_first=False)
    seen = {"seen": replay.digest_of("dpop", proof.jkt, proof.jti), "until": proof.expires_at, "jkt": proof.jkt}
    if connection().dialect.name == "postgresql":
        row = _KNOWN_AND_REMEMBERED.first(asked | seen)
        return _found(row, is_first=row is not None and row.firsts == 1)
    new = _REMEMBERED.first(asked | seen)
    if new is None:
        return _found(_KNOWN.first(asked), is_first=False)  # no token, another key, or seen before
    return _found(_KNOWN.row(orjson.loads(new.packed)), is_first=True)


def _found(row: Any, *, is_first: bool) -> Found | None:
    return None if row is None else Found(token=row, is_first=is_first)
