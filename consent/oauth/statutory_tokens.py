"""Tokens for reads by law: random secrets kept as digests, each bound to one case under one version of one power.

As with consents a token means nothing by itself: whoever looks one up gets the facts of its power in the same row and
asks :func:`consent.powers.why_void`.
"""

import datetime as dt
from typing import Any, Protocol, cast

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, LargeBinary, String, bindparam, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from consent.clients import Client
from consent.oauth import bindings, tokens
from consent.powers import Facts, Power
from dataspace.by_law import LawCase
from dataspace.db import Model, connection, delete_some, table_of
from dataspace.holders import Holder

PREFIX = "dsa_st_"
LIFE = tokens.ACCESS_LIFE


class StatutoryToken(Model):
    """An access token for one case: only its digest, and what it may read as it was admitted."""

    __tablename__ = "statutory_tokens"
    __table_args__ = (
        ForeignKeyConstraint(["power_id", "power_version"], ["powers.power_id", "powers.version"]),
        Index(None, "expires_at"),
    )
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("law_cases.case_id"))
    power_id: Mapped[str] = mapped_column(String(40))
    power_version: Mapped[int]
    client_id: Mapped[str] = mapped_column(String(80))
    jkt: Mapped[str | None] = mapped_column(String(43))
    x5t: Mapped[str | None] = mapped_column(String(43))
    items: Mapped[list[Any]]
    issued_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    revoked_at: Mapped[dt.datetime | None]


class Bound(Facts, Protocol):
    """A token with everything that decides about it, in one row."""

    digest: bytes
    case_id: str
    power_id: str
    power_version: int
    client_id: str
    jkt: str | None
    x5t: str | None
    items: list[dict[str, Any]]
    issued_at: dt.datetime
    expires_at: dt.datetime
    revoked_at: dt.datetime | None
    law: dict[str, Any]
    article: dict[str, Any]
    purpose: dict[str, Any]
    case_limit: int
    day_limit: int
    space_id: str
    case_no: str
    hidden_until: dt.datetime | None
    disclosed_at: dt.datetime | None
    legal_name: dict[str, Any]
    options: dict[str, Any]


_TOKENS = table_of(StatutoryToken)
_FIND = (
    select(
        *_TOKENS.c,
        *(table_of(Power).c[name] for name in ("approved", "valid_from", "valid_until", "suspended_at",
                                               "superseded_at", "ended_at", "law", "article", "purpose",
                                               "case_limit", "day_limit")),
        LawCase.space_id, LawCase.case_no, LawCase.hidden_until, LawCase.disclosed_at,
        Client.legal_name, Client.options, Client.standing.label("client_standing"),
        Holder.closed_at.label("space_closed_at"),
    )
    .join(Power, (Power.power_id == _TOKENS.c.power_id) & (Power.version == _TOKENS.c.power_version))
    .join(LawCase, LawCase.case_id == _TOKENS.c.case_id)
    .join(Client, Client.client_id == _TOKENS.c.client_id)
    .join(Holder, Holder.space_id == LawCase.space_id)
    .where(_TOKENS.c.digest == bindparam("digest"))
)  # fmt: skip
_REVOKE = update(_TOKENS).where(_TOKENS.c.digest == bindparam("token")).values(revoked_at=bindparam("now"))


def store(secret: str, now: dt.datetime, **columns: Any) -> None:
    """Keep the digest of a token that is issued."""
    row = {"digest": bindings.digest_of(secret), "issued_at": now, **columns}
    connection().execute(insert(_TOKENS), row)


def find(unverified_token: str) -> Bound | None:
    """A token by its secret, in one query."""
    if not unverified_token.startswith(PREFIX):
        return None
    found: Any = connection().execute(_FIND, {"digest": bindings.digest_of(unverified_token)}).first()
    return cast("Bound | None", found)


def revoke(token: Bound, now: dt.datetime) -> None:
    """Its authority gives it back (RFC 7009)."""
    connection().execute(_REVOKE, {"token": token.digest, "now": now})


def sweep(now: dt.datetime, limit: int = 1000) -> int:
    """Remove up to ``limit`` tokens that died long enough ago; returns how many."""
    old = StatutoryToken.expires_at <= now - tokens.REMEMBERED
    return delete_some(StatutoryToken, old, by=StatutoryToken.expires_at, limit=limit)
