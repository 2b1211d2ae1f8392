"""Authorization codes, access tokens and refresh tokens: random secrets, kept as digests, each bound to one consent.

None of them means anything by itself: whoever looks one up gets the facts of its consent in the same row and asks
:func:`consent.records.why_inactive`. So they all die with their consent, whatever ended it.

Tables and statements are plain Core: the token endpoint, introspection and every read pass through here.
"""

import datetime as dt
import enum
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from sqlalchemy import (
    ForeignKey,
    Index,
    LargeBinary,
    Select,
    String,
    Table,
    bindparam,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from consent.clients import Client
from consent.records import Consent, ConsentVersion, Facts, facts_query
from dataspace.db import Model, connection, db, delete_some, table_of, update_some

# What a secret is can be told from its first letters, so that one found where it does not belong is recognised.
CODE_PREFIX = "dsa_ac_"
ACCESS_PREFIX = "dsa_at_"
REFRESH_PREFIX = "dsa_rt_"
DEVICE_PREFIX = "dsa_dc_"
CIBA_PREFIX = "dsa_cr_"  # auth_req_id
CODE_LIFE = dt.timedelta(seconds=60)  # FAPI 2.0 section 5.3.2.1: at most 60 s
ACCESS_LIFE = dt.timedelta(minutes=5)  # ours: at most 10 minutes
# How long the dead are kept, so that a late question is answered with the consent's reason and not with "unknown".
REMEMBERED = dt.timedelta(hours=1)


class Kind(enum.StrEnum):
    ACCESS = "access"
    REFRESH = "refresh"


class AuthorizationCode(Model):
    """``jkt``: thumbprint of the key that the code is bound to, if any; ``used_at`` is set once, by whoever wins."""

    __tablename__ = "authorization_codes"
    __table_args__ = (Index(None, "expires_at"), Index(None, "consent_id"))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    consent_id: Mapped[str] = mapped_column(ForeignKey("consents.consent_id"))
    client_id: Mapped[str] = mapped_column(String(80))
    redirect_uri: Mapped[str] = mapped_column(String(1000))
    scope: Mapped[str] = mapped_column(String(200))
    code_challenge: Mapped[str | None] = mapped_column(String(43))  # S256; None: sent without
    nonce: Mapped[str | None] = mapped_column(String(500))
    jkt: Mapped[str | None] = mapped_column(String(43))
    x5t: Mapped[str | None] = mapped_column(String(43))  # thumbprint of a certificate (RFC 8705)
    resource: Mapped[str] = mapped_column(String(1000), default="")  # RFC 8707; empty: the data API and userinfo
    claims: Mapped[dict[str, Any] | None]  # as asked (OpenID Connect Core section 5.5)
    sid: Mapped[str | None] = mapped_column(String(40))  # OpenID Connect Back-Channel Logout section 2.1
    auth_time: Mapped[dt.datetime]
    acr: Mapped[str] = mapped_column(String(60))
    amr: Mapped[str] = mapped_column(String(60))  # space-separated (RFC 8176)
    issued_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    used_at: Mapped[dt.datetime | None]


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


class Readable(Facts, Protocol):
    """What reading asks of a token or code: its consent as it is now, for whom, and by which key it is held."""

    consent_id: str
    consent_kind: str
    version: int
    space_id: str
    purpose_code: str
    purpose_text: dict[str, Any]
    reference_no: str | None
    frequency: dict[str, Any] | None
    case_required: bool
    granted: list[dict[str, Any]]
    legal_name: dict[str, Any]
    client_options: dict[str, Any]
    client_id: str
    jkt: str | None
    x5t: str | None
    resource: str
    auth_time: dt.datetime
    acr: str
    dies_at: dt.datetime


class Bound(Readable, Protocol):
    """What a code or token is bound to: its consent with all facts, as granted now, and the sign-in behind it."""

    holder_id: str
    client_profile: str
    client_redirect_uris: list[str]
    digest: bytes
    scope: str
    claims: dict[str, Any] | None
    sid: str | None
    amr: str
    issued_at: dt.datetime


class Held(Protocol):
    """By which keys a token is held: thumbprints of a DPoP key and of a certificate."""

    @property
    def jkt(self) -> str | None: ...
    @property
    def x5t(self) -> str | None: ...


def confirmation(held: Held) -> dict[str, str]:
    """The cnf member (RFC 7800, 9449 section 6.1, 8705 section 3.1); empty for a token that nothing holds."""
    said = {"jkt": held.jkt, "x5t#S256": held.x5t}
    return {name: thumbprint for name, thumbprint in said.items() if thumbprint is not None}


class Mortal(Protocol):
    """What time ends."""

    dies_at: dt.datetime


class BoundCode(Bound, Protocol):
    """One authorization code."""

    redirect_uri: str
    code_challenge: str | None
    nonce: str | None
    used_at: dt.datetime | None


class BoundToken(Bound, Protocol):
    """One access or refresh token."""

    kind: str
    family: bytes
    revoked_at: dt.datetime | None


_CODES = table_of(AuthorizationCode)
_TOKENS = table_of(Token)


def _bound(table: Table, *names: str) -> Select[Any]:
    """A SELECT of one row of ``table`` by digest, with its consent and everything that decides about it."""
    common = (
        "digest",
        "client_id",
        "scope",
        "jkt",
        "x5t",
        "resource",
        "claims",
        "sid",
        "auth_time",
        "acr",
        "amr",
        "issued_at",
    )
    statement: Select[Any] = (
        facts_query(
            Consent.kind.label("consent_kind"),
            Consent.version,
            Consent.holder_id,
            Consent.space_id,
            Consent.purpose_code,
            Consent.purpose_text,
            Consent.reference_no,
            Consent.frequency,
            Consent.case_required,
            ConsentVersion.granted,
            Client.legal_name,
            Client.profile.label("client_profile"),
            Client.redirect_uris.label("client_redirect_uris"),
            Client.options.label("client_options"),
            table.c.expires_at.label("dies_at"),
            *(table.c[name] for name in (*common, *names)),
        )
        .join(table, table.c.consent_id == Consent.consent_id)
        .join(
            ConsentVersion,
            (ConsentVersion.consent_id == Consent.consent_id) & (ConsentVersion.version == Consent.version),
        )
        .where(table.c.digest == bindparam("digest"))
    )
    return statement


# Built once: a statement that is built anew for every request costs more than the database takes to answer it.
_FIND_CODE = _bound(_CODES, "redirect_uri", "code_challenge", "nonce", "used_at")
_FIND_TOKEN = _bound(_TOKENS, "kind", "family", "revoked_at")
_USE_CODE = (
    update(_CODES)
    .where(_CODES.c.digest == bindparam("code"), _CODES.c.used_at.is_(None))
    .values(used_at=bindparam("now"))
)
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
_USED_CODE = (
    select(_CODES.c.digest).where(_CODES.c.consent_id == bindparam("consent"), _CODES.c.used_at.is_not(None)).limit(1)
)
_FORGET_CODES = delete(_CODES).where(_CODES.c.consent_id == bindparam("consent"), _CODES.c.used_at.is_(None))
_END_CODES = (
    update(_CODES)
    .where(_CODES.c.consent_id == bindparam("consent"), _CODES.c.used_at.is_(None))
    .values(used_at=bindparam("now"))
)
_END_TOKENS = (
    update(_TOKENS)
    .where(_TOKENS.c.consent_id == bindparam("consent"), _TOKENS.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)
_ADD_CODE = insert(_CODES)
_ADD_TOKEN = insert(_TOKENS)


def new_secret(prefix: str) -> str:
    """A bearer secret of 256 random bits."""
    return prefix + secrets.token_urlsafe(32)


def digest_of(secret: str) -> bytes:
    """What is kept of a secret. A plain digest will do: nobody finds 256 random bits by trying."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


# Codes


@dataclass(frozen=True, kw_only=True)
class SignInFacts:
    """When and how the person signed in: what ID tokens and introspection tell (OpenID Connect Core section 2)."""

    auth_time: dt.datetime
    acr: str
    amr: str


def issue_code(
    *, consent_id: str, client_id: str, redirect_uri: str, scope: str, code_challenge: str | None, nonce: str | None,
    jkt: str | None, x5t: str | None = None, signed_in: SignInFacts, now: dt.datetime, resource: str = "",
    claims: dict[str, Any] | None = None, sid: str | None = None, digest: bytes | None = None,
    life: dt.timedelta = CODE_LIFE,
) -> str:  # fmt: skip
    """Store a fresh code and return it; the caller commits it together with the consent.

    ``digest``: of what its client holds already, and fetches the tokens with; nobody has the new one.
    """
    code = new_secret(CODE_PREFIX)
    row = {
        "digest": digest or digest_of(code),
        "consent_id": consent_id,
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": scope,
        "code_challenge": code_challenge,
        "nonce": nonce,
        "jkt": jkt,
        "x5t": x5t,
        "resource": resource,
        "claims": claims,
        "sid": sid,
        "auth_time": signed_in.auth_time,
        "acr": signed_in.acr,
        "amr": signed_in.amr,
        "issued_at": now,
        "expires_at": now + life,
    }
    db.session.flush()  # the consent, which the row points to
    connection().execute(_ADD_CODE, row)
    return code


def find_code(unverified_code: str) -> BoundCode | None:
    """A code with its consent, in one query."""
    found: Any = connection().execute(_FIND_CODE, {"digest": digest_of(unverified_code)}).first()
    return cast("BoundCode | None", found)


def use_code(code: BoundCode, now: dt.datetime) -> bool:
    """Use a code up; of several who try, at once or later, exactly one hears True."""
    done = connection().execute(_USE_CODE, {"code": code.digest, "now": now})
    return done.rowcount == 1


def revoke_family(code_digest: bytes, *, client_id: str, now: dt.datetime) -> None:
    """Revoke what a code has brought its client: it was used a second time (RFC 6749 section 4.1.2)."""
    connection().execute(_REVOKE_FAMILY, {"code": code_digest, "client": client_id, "now": now})


# Tokens


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
    found: Any = connection().execute(_FIND_TOKEN, {"digest": digest_of(unverified_token)}).first()
    return cast("BoundToken | None", found)


def ended_early(bound: Mortal, ended_at: dt.datetime | None) -> bool:
    """Whether it was used up or revoked before its time; what time has ended is noted with its own last moment."""
    return ended_at is not None and ended_at < bound.dies_at


def revoke(token: BoundToken, now: dt.datetime) -> None:
    """Revoke an access token; with a refresh token all that it could bring or has brought (RFC 7009 section 2.1)."""
    if token.kind == Kind.REFRESH:
        revoke_family(token.family, client_id=token.client_id, now=now)
    else:
        connection().execute(_REVOKE, {"token": token.digest, "now": now})


def is_fetched(consent_id: str) -> bool:
    """Whether the client of a consent has used a code for it."""
    return connection().execute(_USED_CODE, {"consent": consent_id}).first() is not None


def forget_unused(consent_id: str) -> None:
    """Take back the codes of a consent that nobody has used. Of an exchange at the same time either wins."""
    connection().execute(_FORGET_CODES, {"consent": consent_id})


def end_of_consent(consent_id: str, now: dt.datetime) -> None:
    """End every code and token of a consent that goes on in another version: who wants to read asks for new ones.

    Codes first: an exchange under way either has brought its tokens by then, or brings none.
    """
    connection().execute(_END_CODES, {"consent": consent_id, "now": now})
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
    codes = (AuthorizationCode.expires_at <= now, AuthorizationCode.used_at.is_(None))
    issued = (Token.expires_at <= now, Token.revoked_at.is_(None))
    return update_some(
        AuthorizationCode, *codes, by=AuthorizationCode.expires_at, limit=limit, used_at=AuthorizationCode.expires_at
    ) + update_some(Token, *issued, by=Token.expires_at, limit=limit, revoked_at=Token.expires_at)
