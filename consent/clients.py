"""Third parties: who they are, their standing, their keys and redirect URIs."""

import datetime as dt
import enum
import hashlib
import secrets
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import ForeignKey, Index, String, Text, select
from sqlalchemy.orm import Mapped, mapped_column

from dataspace.db import RowId, db
from dataspace.errors import Conflict, DomainError, NotFound

SECRET_PREFIX = "dsc_"


class Profile(enum.StrEnum):
    LOGIN = "login"  # plain OpenID Connect sign-in
    DATA = "data"  # reading data spaces under FAPI 2.0


class Standing(enum.StrEnum):
    GOOD = "good"
    SUSPENDED = "suspended"  # its consents stop, and resume when it is reinstated


class AuthMethod(enum.StrEnum):
    PRIVATE_KEY_JWT = "private_key_jwt"
    SECRET_BASIC = "client_secret_basic"
    SECRET_POST = "client_secret_post"


class InvalidClientData(DomainError):
    code = "invalid_client_metadata"
    sentence = "The registration of this client is incomplete or wrong."


class Client(db.Model):
    """A third party. ``legal_name``: {zh_hans, zh_hant, en}; ``jwks``: a JWK set with public keys only."""

    __tablename__ = "clients"
    client_id: Mapped[str] = mapped_column(String(80), primary_key=True)
    legal_name: Mapped[dict[str, Any]]
    uscc: Mapped[str] = mapped_column(String(18), default="")
    foreign_registration: Mapped[str] = mapped_column(String(80), default="")
    address: Mapped[str] = mapped_column(String(200), default="")
    contact: Mapped[str] = mapped_column(String(200))
    privacy_officer: Mapped[str] = mapped_column(String(200), default="")
    accreditation: Mapped[dict[str, Any]] = mapped_column(default=dict)
    profile: Mapped[str] = mapped_column(String(10))
    redirect_uris: Mapped[list[Any]]
    token_endpoint_auth_method: Mapped[str] = mapped_column(String(30))
    jwks: Mapped[dict[str, Any] | None]
    jwks_uri: Mapped[str | None] = mapped_column(String(400))
    secret_digest: Mapped[str | None] = mapped_column(String(64))
    id_token_signed_response_alg: Mapped[str] = mapped_column(String(10), default="RS256")
    standing: Mapped[str] = mapped_column(String(12), default=Standing.GOOD)
    standing_since: Mapped[dt.datetime]
    created_at: Mapped[dt.datetime]

    def name(self, locale: str) -> str:
        """The legal name in the reader's language."""
        return str(self.legal_name.get(locale.lower()) or self.legal_name["zh_hans"])


class ClientEvent(db.Model):
    """What administrators did to a client; appended, never edited."""

    __tablename__ = "client_events"
    __table_args__ = (Index(None, "client_id", "event_id"),)
    event_id: Mapped[int] = mapped_column(RowId, primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id"))
    kind: Mapped[str] = mapped_column(String(30))  # client:registered, client:changed, client:suspended, :reinstated
    at: Mapped[dt.datetime]
    actor_id: Mapped[str | None] = mapped_column(String(40))
    reason_code: Mapped[str | None] = mapped_column(String(40))
    text: Mapped[str] = mapped_column(Text, default="")


def get(client_id: str) -> Client:
    """Raises NotFound."""
    client = db.session.get(Client, client_id)
    if client is None:
        raise NotFound("no such client")
    return client


def register(values: dict[str, Any], now: dt.datetime, *, actor_id: str | None, allow_loopback: bool) -> Client:
    """Add a client to the session. Raises InvalidClientData naming the field, Conflict when the id is taken."""
    if db.session.get(Client, values["client_id"]) is not None:
        raise Conflict("client_id is taken")
    client = Client(**values, standing=Standing.GOOD, standing_since=now, created_at=now)
    check(client, allow_loopback=allow_loopback)
    db.session.add(client)
    db.session.flush()
    note(client.client_id, "client:registered", now, actor_id=actor_id)
    return client


def check(client: Client, *, allow_loopback: bool) -> None:
    """Refuse a registration that the client's profile does not allow. Raises InvalidClientData."""
    for uri in client.redirect_uris or [""]:
        _check_redirect_uri(str(uri), allow_loopback=allow_loopback)
    method = client.token_endpoint_auth_method
    if client.profile == Profile.DATA and method != AuthMethod.PRIVATE_KEY_JWT:
        raise InvalidClientData("a data client authenticates with private_key_jwt (FAPI 2.0)")
    if method == AuthMethod.PRIVATE_KEY_JWT and not client.jwks and not client.jwks_uri:
        raise InvalidClientData("private_key_jwt needs jwks or jwks_uri")


def _check_redirect_uri(uri: str, *, allow_loopback: bool) -> None:
    parts = urlsplit(uri)
    loopback = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not parts.hostname or parts.fragment or parts.username or "*" in uri:
        raise InvalidClientData("redirect_uris: absolute URLs without fragment, user or wildcard")
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback and allow_loopback):
        raise InvalidClientData("redirect_uris: https only")


def new_secret(client: Client) -> str:
    """Give the client a fresh secret and return it; only its digest is kept."""
    secret = SECRET_PREFIX + secrets.token_urlsafe(32)
    client.secret_digest = hashlib.sha256(secret.encode()).hexdigest()
    return secret


def suspend(client_id: str, now: dt.datetime, *, actor_id: str, reason_code: str, text: str) -> Client:
    """Stop a client: none of its consents is active until it is reinstated. Raises NotFound, Conflict."""
    return _change_standing(
        client_id, Standing.GOOD, Standing.SUSPENDED, now, actor_id=actor_id, reason_code=reason_code, text=text
    )


def reinstate(client_id: str, now: dt.datetime, *, actor_id: str, reason_code: str, text: str) -> Client:
    """Let a suspended client go on; its consents that have not ended meanwhile resume. Raises NotFound, Conflict."""
    return _change_standing(
        client_id, Standing.SUSPENDED, Standing.GOOD, now, actor_id=actor_id, reason_code=reason_code, text=text
    )


def _change_standing(
    client_id: str, before: Standing, after: Standing, now: dt.datetime, *, actor_id: str, reason_code: str, text: str
) -> Client:
    client = db.session.scalar(select(Client).filter_by(client_id=client_id).with_for_update())
    if client is None:
        raise NotFound("no such client")
    if client.standing != before:
        raise Conflict(f"client is {client.standing}")
    client.standing, client.standing_since = after, now
    kind = "client:suspended" if after == Standing.SUSPENDED else "client:reinstated"
    note(client_id, kind, now, actor_id=actor_id, reason_code=reason_code, text=text)
    return client


def note(
    client_id: str, kind: str, now: dt.datetime, *, actor_id: str | None, reason_code: str | None = None, text: str = ""
) -> None:
    """Append an event to the client's history."""
    db.session.add(
        ClientEvent(client_id=client_id, kind=kind, at=now, actor_id=actor_id, reason_code=reason_code, text=text)
    )
