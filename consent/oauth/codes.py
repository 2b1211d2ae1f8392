"""Authorization codes: each used once, for the tokens of one consent (RFC 6749 section 4.1.2)."""

import datetime as dt
from typing import Any, Protocol, cast

from sqlalchemy import ForeignKey, Index, LargeBinary, String, bindparam, delete, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from consent.oauth import bindings
from consent.oauth.bindings import Bound, SignInFacts, digest_of, new_secret
from dataspace.db import Model, connection, db, table_of
from dataspace.prepared import Prepared

PREFIX = "dsa_ac_"
LIFE = dt.timedelta(seconds=60)  # FAPI 2.0 section 5.3.2.1: at most 60 s


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


class BoundCode(Bound, Protocol):
    """One authorization code."""

    redirect_uri: str
    code_challenge: str | None
    nonce: str | None
    used_at: dt.datetime | None


_CODES = table_of(AuthorizationCode)
# Built once: a statement that is built anew for every request costs more than the database takes to answer it.
_ADD = insert(_CODES)
_FIND = Prepared(bindings.query(_CODES, "redirect_uri", "code_challenge", "nonce", "used_at"))
_USE = Prepared(
    update(_CODES)
    .where(_CODES.c.digest == bindparam("code"), _CODES.c.used_at.is_(None))
    .values(used_at=bindparam("now"))
)
_USED = (
    select(_CODES.c.digest).where(_CODES.c.consent_id == bindparam("consent"), _CODES.c.used_at.is_not(None)).limit(1)
)
_FORGET = delete(_CODES).where(_CODES.c.consent_id == bindparam("consent"), _CODES.c.used_at.is_(None))
_END = (
    update(_CODES)
    .where(_CODES.c.consent_id == bindparam("consent"), _CODES.c.used_at.is_(None))
    .values(used_at=bindparam("now"))
)


def issue(
    *, consent_id: str, client_id: str, redirect_uri: str, scope: str, code_challenge: str | None, nonce: str | None,
    jkt: str | None, x5t: str | None = None, signed_in: SignInFacts, now: dt.datetime, resource: str = "",
    claims: dict[str, Any] | None = None, sid: str | None = None, digest: bytes | None = None,
    life: dt.timedelta = LIFE,
) -> str:  # fmt: skip
    """Store a fresh code and return it; the caller commits it together with the consent.

    ``digest``: of what its client holds already, and fetches the tokens with; nobody has the new one.
    """
    code = new_secret(PREFIX)
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
    connection().execute(_ADD, row)
    return code


def find(unverified_code: str) -> BoundCode | None:
    """A code with its consent, in one query."""
    return cast("BoundCode | None", _FIND.first({"digest": digest_of(unverified_code)}))


def use(code: BoundCode, now: dt.datetime) -> bool:
    """Use a code up; of several who try, at once or later, exactly one hears True."""
    return _USE.run({"code": code.digest, "now": now}) == 1


def is_fetched(consent_id: str) -> bool:
    """Whether the client of a consent has used a code for it."""
    return connection().execute(_USED, {"consent": consent_id}).first() is not None


def forget_unused(consent_id: str) -> None:
    """Take back the codes of a consent that nobody has used. Of an exchange at the same time either wins."""
    connection().execute(_FORGET, {"consent": consent_id})


def end(consent_id: str, now: dt.datetime) -> None:
    """Use up the codes of a consent that nobody has used."""
    connection().execute(_END, {"consent": consent_id, "now": now})
