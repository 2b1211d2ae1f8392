"""Access tokens and refresh tokens: random secrets, kept as digests, each bound to one consent.

None of them means anything by itself: whoever looks one up gets the facts of its consent in the same row and asks
:func:`consent.records.why_inactive`. So they all die with their consent, whatever ended it.

Tables and statements are plain Core: the token endpoint, introspection and every read pass through here.
"""

import datetime as dt
import enum
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from sqlalchemy import ForeignKey, Index, LargeBinary, String, bindparam, insert, update
from sqlalchemy.orm import Mapped, mapped_column

from consent.oauth import bindings, codes
from consent.oauth.bindings import Bound, digest_of, new_secret
from consent.oauth.codes import AuthorizationCode
from dataspace.db import Model, connection, delete_some, table_of, update_some
from dataspace.prepared import Prepared

# What a secret is can be told from its first letters, so that one found where it does not belong is recognised.
ACCESS_PREFIX = "dsa_at_"
REFRESH_PREFIX = "dsa_rt_"
ACCESS_LIFE = dt.timedelta(minutes=5)  # ours: at most 10 minutes
# How long the dead are kept, so that a late question is answered with the consent's reason and not with "unknown".
REMEMBERED = dt.timedelta(hours=1)


class Kind(enum.StrEnum):
    ACCESS = "access"
    REFRESH = "refresh"


class Token(Model):
    """``family``: digest of the code that it came from, directly or by refreshing."""

    __tablename__ = "tokens"
    __table_args__ = (Index(None, "expires_at"), Index(None, "consent_id"), Index(None, "family"))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(7))
    consent_id: Mapped[str] = mapped_column(ForeignKey("consents.consent_id"))
    client_id: Mapped[str] = mapped_column(String(80))
    scope: Mapped[str] = mapped_column(String(200))
    jkt: Mapped[str | None] = mapped_column(String(43))
    x5t: Mapped[str | None] = mapped_column(String(43))
    resource: Mapped[str] = mapped_column(String(1000), default="")
    claims: Mapped[dict[str, Any] | None]
    sid: Mapped[str | None] = mapped_column(String(40))
    auth_time: Mapped[dt.datetime]
    acr: Mapped[str] = mapped_column(String(60))
    amr: Mapped[str] = mapped_column(String(60))
    family: Mapped[bytes] = mapped_column(LargeBinary(32))
    issued_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    revoked_at: Mapped[dt.datetime | None]


class BoundToken(Bound, Protocol):
    """One access or refresh token."""

    kind: str
    family: bytes
    revoked_at: dt.datetime | None


_TOKENS = table_of(Token)
# Built once: a statement that is built anew for every request costs more than the database takes to answer it.
_FIND_TOKEN = Prepared(bindings.query(_TOKENS, "kind", "family", "revoked_at"))
_REVOKE_FAMILY = (
    update(_TOKENS)
    .where(
        _TOKENS.c.family == bindparam("code"),
        _TOKENS.c.client_id == bindparam("client"),
        _TOKENS.c.revoked_at.is_(None),
    )
    .values(revoked_at=bindparam("now"))
)
_REVOKE = update(_TOKENS).where(_TOKENS.c.digest == bindparam("token")).values(revoked_at=bindparam("now"))
_END_TOKENS = (
    update(_TOKENS)
    .where(_TOKENS.c.consent_id == bindparam("consent"), _TOKENS.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)
_ADD_TOKEN = insert(_TOKENS)


def revoke_family(code_digest: bytes, *, client_id: str, now: dt.datetime) -> None:
    """Revoke what a code has brought its client: it was used a second time (RFC 6749 section 4.1.2)."""
    connection().execute(_REVOKE_FAMILY, {"code": code_digest, "client": client_id, "now": now})


@dataclass(frozen=True, kw_only=True)
class Issue:
    """Tokens about to be issued. The secrets leave in the response and nowhere else."""

    bound: Bound
    family: bytes
    scope: str
    jkt: str | None
    x5t: str | None
    resource: str  # of the access token; the refresh token stands for all that was granted
    now: dt.datetime
    access_expires_at: dt.datetime
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)

    @property
    def expires_in(self) -> int:
        """Whole seconds that the access token lives."""
        return int((self.access_expires_at - self.now).total_seconds())


def prepare(
    bound: Bound, *, family: bytes, scope: str, jkt: str | None, x5t: str | None, resource: str, with_refresh: bool,
    now: dt.datetime,
) -> Issue:  # fmt: skip
    """Make the secrets. An access token never outlives the consent; a refresh token lives exactly as long."""
    return Issue(
        bound=bound,
        family=family,
        scope=scope,
        jkt=jkt,
        x5t=x5t,
        resource=resource,
        now=now,
        access_expires_at=min(now + ACCESS_LIFE, bound.expires_at),
        access_token=new_secret(ACCESS_PREFIX),
        refresh_token=new_secret(REFRESH_PREFIX) if with_refresh else None,
    )


def store(issue: Issue) -> None:
    """Store what is issued, in one statement."""
    bound = issue.bound
    common = {
        "consent_id": bound.consent_id,
        "client_id": bound.client_id,
        "scope": issue.scope,
        "jkt": issue.jkt,
        "x5t": issue.x5t,
        "claims": bound.claims,
        "sid": bound.sid,
        "auth_time": bound.auth_time,
        "acr": bound.acr,
        "amr": bound.amr,
        "family": issue.family,
        "issued_at": issue.now,
    }
    access = {
        "digest": digest_of(issue.access_token),
        "kind": "access",
        "resource": issue.resource,
        "expires_at": issue.access_expires_at,
    }
    rows = [common | access]
    if issue.refresh_token is not None:
        refresh = {
            "digest": digest_of(issue.refresh_token),
            "kind": "refresh",
            "resource": bound.resource,
            "expires_at": bound.expires_at,
        }
        rows.append(common | refresh)
    connection().execute(_ADD_TOKEN, rows)


def find_token(unverified_token: str) -> BoundToken | None:
    """An access or refresh token with its consent, in one query."""
    return cast("BoundToken | None", _FIND_TOKEN.first({"digest": digest_of(unverified_token)}))


def revoke(token: BoundToken, now: dt.datetime) -> None:
    """Revoke an access token; with a refresh token all that it could bring or has brought (RFC 7009 section 2.1)."""
    if token.kind == Kind.REFRESH:
        revoke_family(token.family, client_id=token.client_id, now=now)
    else:
        connection().execute(_REVOKE, {"token": token.digest, "now": now})


def end_of_consent(consent_id: str, now: dt.datetime) -> None:
    """End every code and token of a consent that goes on in another version: who wants to read asks for new ones.

    Codes first: an exchange under way either has brought its tokens by then, or brings none.
    """
    codes.end(consent_id, now)
    connection().execute(_END_TOKENS, {"consent": consent_id, "now": now})


def sweep(now: dt.datetime, limit: int = 1000) -> int:
    """Remove up to ``limit`` codes and tokens each that died long enough ago; returns how many."""
    return sum(
        delete_some(table, table.expires_at <= now - REMEMBERED, by=table.expires_at, limit=limit)
        for table in (AuthorizationCode, Token)
    )


def note_ends(now: dt.datetime, limit: int = 1000) -> int:
    """Write down that up to ``limit`` codes and tokens each have ended by time; returns how many.

    Nothing waits for it: it only keeps what has ended from living again when the clock is set back.
    """
    unused = (AuthorizationCode.expires_at <= now, AuthorizationCode.used_at.is_(None))
    issued = (Token.expires_at <= now, Token.revoked_at.is_(None))
    return update_some(
        AuthorizationCode, *unused, by=AuthorizationCode.expires_at, limit=limit, used_at=AuthorizationCode.expires_at
    ) + update_some(Token, *issued, by=Token.expires_at, limit=limit, revoked_at=Token.expires_at)
