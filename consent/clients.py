"""Third parties: who they are, their standing, their keys and redirect URIs."""

import datetime as dt
import enum
import hashlib
import re
import secrets
from collections.abc import Iterator
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, select
from sqlalchemy.orm import Mapped, mapped_column

from consent import certificates, client_options, logos
from consent.client_options import ClientOptions, WrongKind, is_web_address
from consent.installation import Installation
from dataspace import jwk
from dataspace.addresses import FetchRefused, check_url
from dataspace.db import Model, RowId, db
from dataspace.errors import Conflict, DomainError, InvalidIdentifier, NotFound
from dataspace.identifiers import parse_body

SECRET_PREFIX = "dsc_"  # noqa: S105 - a mark by which found secrets are recognised, no secret
# Name and code say who a client is: a body with another name or code is another client.
CHANGEABLE = frozenset(
    {"address", "contact", "privacy_officer", "client_class", "redirect_uris", "jwks", "jwks_uri", "options"}
)
MAX_REDIRECT_URIS = 20


class Profile(enum.StrEnum):
    LOGIN = "login"  # plain OpenID Connect sign-in
    DATA = "data"  # reading data spaces under FAPI 2.0


class Standing(enum.StrEnum):
    GOOD = "good"
    SUSPENDED = "suspended"  # its consents stop, and resume when it is reinstated
    DELETED = "deleted"  # gone for ever: its consents have ended, the row stays for the history


class ClientClass(enum.StrEnum):
    """What kind of body a third party is, so that rules may count for a class; said by the registrar."""

    NONE = ""
    BANK = "bank"
    INSURER = "insurer"
    HOSPITAL = "hospital"
    SCHOOL = "school"
    AUTHORITY = "authority"
    LANDLORD = "landlord"
    EMPLOYMENT = "employment"
    PROCUREMENT = "procurement"
    PLATFORM = "platform"
    AGENT = "agent"  # a body's own software


class AuthMethod(enum.StrEnum):
    PRIVATE_KEY_JWT = "private_key_jwt"
    SECRET_BASIC = "client_secret_basic"  # noqa: S105 - the name of a method
    SECRET_POST = "client_secret_post"  # noqa: S105
    TLS = "tls_client_auth"  # RFC 8705 section 2.1
    SELF_SIGNED_TLS = "self_signed_tls_client_auth"  # RFC 8705 section 2.2


CERTIFICATE_METHODS = frozenset({AuthMethod.TLS, AuthMethod.SELF_SIGNED_TLS})
SECRET_METHODS = frozenset({AuthMethod.SECRET_BASIC, AuthMethod.SECRET_POST})
# What FAPI 2.0 section 5.4.1 lets us sign with for a data client; its first choice stands in for any other.
DATA_ALGORITHMS = ("ES256", "PS256")
OWN_KEY_METHODS = frozenset({AuthMethod.PRIVATE_KEY_JWT, AuthMethod.SELF_SIGNED_TLS})  # the keys are registered


def offered_methods(here: Installation) -> tuple[AuthMethod, ...]:
    """The methods that work in this installation: those with certificates need a proxy that is set up for them."""
    missing: frozenset[AuthMethod] = frozenset()
    if not here.certificates:
        missing = CERTIFICATE_METHODS
    elif not here.authorities:
        missing = frozenset({AuthMethod.TLS})
    return tuple(method for method in AuthMethod if method not in missing)


class InvalidClientData(DomainError):
    """``field`` names the column that is wrong; ``detail`` says how, without quoting it."""

    code = "invalid_client_metadata"
    oauth_code = "invalid_client_metadata"  # RFC 7591 section 3.2.2
    sentence = "The registration of this client is incomplete or wrong."
    field = ""

    def __init__(self, detail: str = "", *, field: str = "") -> None:
        super().__init__(detail)
        self.field = field or self.field


class InvalidText(InvalidClientData):
    sentence = "This is missing, too long, or not one line."


class InvalidClientId(InvalidClientData):
    sentence = "Only letters, digits, hyphens, dots and underscores, at most 80."
    field = "client_id"


class InvalidUscc(InvalidClientData):
    sentence = "This is not a valid unified social credit code. Check every character."
    field = "uscc"


class InvalidRedirectUri(InvalidClientData):
    sentence = "Each redirect address is a full https address without fragment, user name or wildcard."
    field = "redirect_uris"
    oauth_code = "invalid_redirect_uri"


class InvalidAuthMethod(InvalidClientData):
    sentence = "A client that reads data proves itself by a key of its own."
    field = "token_endpoint_auth_method"


class MethodNotOffered(InvalidClientData):
    sentence = "This service is not set up for client certificates of this kind."
    field = "token_endpoint_auth_method"


class InvalidCertificateName(InvalidClientData):
    sentence = "A client that proves itself by a certificate needs exactly one name of that certificate."
    field = "tls_client_auth_subject_dn"


class InvalidKeys(InvalidClientData):
    sentence = "Give a set of public signing keys (JWK set), or the https address of one, not both."
    field = "jwks"


class InvalidClass(InvalidClientData):
    sentence = "This is not one of the kinds of third parties."
    field = "client_class"


class InvalidOption(InvalidClientData):
    sentence = "This is not possible here."


class Client(Model):
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
    client_class: Mapped[str] = mapped_column(String(20), default=ClientClass.NONE)
    redirect_uris: Mapped[list[Any]]
    token_endpoint_auth_method: Mapped[str] = mapped_column(String(30))
    jwks: Mapped[dict[str, Any] | None]
    jwks_uri: Mapped[str | None] = mapped_column(String(400))
    secret_digest: Mapped[str | None] = mapped_column(String(64))
    id_token_signed_response_alg: Mapped[str] = mapped_column(String(10), default="RS256")
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)  # consent.client_options.ClientOptions, as JSON
    registration_digest: Mapped[str | None] = mapped_column(String(64))  # of its registration access token (RFC 7592)
    standing: Mapped[str] = mapped_column(String(12), default=Standing.GOOD)
    standing_since: Mapped[dt.datetime]
    created_at: Mapped[dt.datetime]
    known_since: Mapped[dt.datetime | None]  # somebody here has made sure who it is (consent.vouching)

    def name(self, locale: str) -> str:
        """The legal name in the reader's language."""
        return str(self.legal_name.get(locale.lower()) or self.legal_name["zh_hans"])


class ClientEvent(Model):
    """What administrators did to a client; appended, never edited."""

    __tablename__ = "client_events"
    __table_args__ = (Index(None, "client_id", "event_id"),)
    event_id: Mapped[int] = mapped_column(RowId, primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id"))
    kind: Mapped[str] = mapped_column(String(30))  # client:registered, :changed, :suspended, :reinstated, :deleted, ...
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


def register(
    values: dict[str, Any],
    now: dt.datetime,
    *,
    actor_id: str | None,
    here: Installation,
    reason_code: str | None = None,
    text: str = "",
    keys_follow: bool = False,
    itself: bool = False,
) -> Client:
    """Add a client to the session. Raises InvalidClientData naming the field, Conflict when the id is taken.

    ``keys_follow``: the client may come without the keys that it needs; until it has them it cannot authenticate.
    ``itself``: nobody here knows who it is.
    """
    client = Client(**values, standing=Standing.GOOD, standing_since=now, created_at=now)
    client.known_since = None if itself else now
    check(client, here=here, keys_follow=keys_follow)
    if db.session.get(Client, client.client_id) is not None:
        raise Conflict("client_id is taken")
    db.session.add(client)
    db.session.flush()
    follow_logo(client, now)
    note(client.client_id, "client:registered", now, actor_id=actor_id, reason_code=reason_code, text=text)
    return client


def change(
    client_id: str,
    values: dict[str, Any],
    now: dt.datetime,
    *,
    actor_id: str,
    reason_code: str,
    text: str,
    here: Installation,
) -> Client:
    """Set columns of :data:`CHANGEABLE`; the event names those that differ. Raises NotFound, InvalidClientData."""
    client = locked(client_id)
    changed = sorted(name for name, value in values.items() if getattr(client, name) != value)
    if not CHANGEABLE.issuperset(changed):
        raise InvalidClientData("a field that cannot be changed")
    for name in changed:
        setattr(client, name, values[name])
    check(client, here=here)
    follow_logo(client, now)
    if changed:
        text = f"{', '.join(changed)}: {text}"
        note(client_id, "client:changed", now, actor_id=actor_id, reason_code=reason_code, text=text)
    return client


def change_by_itself(client: Client, values: dict[str, Any], now: dt.datetime, *, here: Installation) -> None:
    """What a client registers anew about itself (RFC 7592). Raises InvalidClientData."""
    changed = sorted(name for name, value in values.items() if getattr(client, name) != value)
    for name in changed:
        setattr(client, name, values[name])
    check(client, here=here)
    follow_logo(client, now)
    if changed:
        note(client.client_id, "client:changed", now, actor_id=None, reason_code="self", text=", ".join(changed))


def follow_logo(client: Client, now: dt.datetime) -> None:
    """To be called when the options of a stored client may have changed."""
    logos.follow(client.client_id, (client.options or {}).get("logo_uri", ""), now)


def check(client: Client, *, here: Installation, keys_follow: bool = False) -> None:
    """Refuse a registration that the client's profile does not allow. Raises the first of :func:`flaws`."""
    for flaw in flaws(client, here=here, keys_follow=keys_follow):
        raise flaw


def flaws(client: Client, *, here: Installation, keys_follow: bool = False) -> Iterator[InvalidClientData]:
    """Everything that is wrong with a registration, in the order of its columns."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,80}", client.client_id or ""):
        yield InvalidClientId("letters, digits, hyphens, dots and underscores only, at most 80")
    yield from _text_flaws(client)
    if (client.client_class or "") not in list(ClientClass):
        yield InvalidClass("is no class of clients")
    if client.uscc and not _is_uscc(client.uscc):
        yield InvalidUscc("is not a valid unified social credit code")
    if not 1 <= len(client.redirect_uris or []) <= MAX_REDIRECT_URIS:
        yield InvalidRedirectUri(f"needs 1 to {MAX_REDIRECT_URIS}")
    native = (client.options or {}).get("application_type") == "native"  # RFC 8252 section 7.3
    for uri in client.redirect_uris or []:
        yield from _redirect_uri_flaws(uri, allow_loopback=here.loopback or native)
    method = client.token_endpoint_auth_method
    if method in CERTIFICATE_METHODS and method not in offered_methods(here):
        yield MethodNotOffered("client certificates of this kind are not offered here")
    if client.profile == Profile.DATA and method in SECRET_METHODS:
        yield InvalidAuthMethod("a data client authenticates with private_key_jwt or a certificate (FAPI 2.0)")
    if method in OWN_KEY_METHODS and not client.jwks and not client.jwks_uri and not keys_follow:
        yield InvalidKeys(f"{method} needs jwks or jwks_uri")
    yield from _key_flaws(client, here=here)
    yield from _option_flaws(client, here=here)


def _option_flaws(client: Client, *, here: Installation) -> Iterator[InvalidClientData]:
    try:
        options = client_options.parse(client.options or {})
    except WrongKind as error:
        name, what = error.flaw
        yield InvalidOption(what, field=name)
        return
    for name, what in client_options.flaws(options, here=here):
        yield InvalidOption(what, field=name)
    yield from _certificate_flaws(client, options)
    if client.profile != Profile.DATA and client_options.CLIENT_CREDENTIALS in options.grant_types:
        yield InvalidOption("client_credentials is for clients that read data by law", field="grant_types")
    if client.profile == Profile.DATA:
        for name in (name for name in client_options.CHOICES if name.endswith("_alg")):
            if getattr(options, name) in ("RS256", client_options.NO_SIGNATURE):
                yield InvalidOption("RS256 and none are not for clients that read data", field=name)


def _certificate_flaws(client: Client, options: ClientOptions) -> Iterator[InvalidClientData]:
    if client.token_endpoint_auth_method == AuthMethod.TLS:
        yield from (InvalidCertificateName(what, field=field) for field, what in certificates.name_flaws(options))
    elif options.tls_client_auth_subject_dn or options.tls_client_auth_san_dns or options.tls_client_auth_san_uri:
        yield InvalidCertificateName("names of a certificate go with tls_client_auth only")


def _text_flaws(client: Client) -> Iterator[InvalidClientData]:
    texts = {c.name: getattr(client, c.name) or "" for c in Client.__table__.columns if isinstance(c.type, String)}
    names = client.legal_name or {}
    texts |= {f"legal_name.{language}": names.get(language) or "" for language in ("zh_hans", "zh_hant", "en")}
    for name, value in texts.items():
        limit = getattr(getattr(Client.__table__.columns.get(name), "type", None), "length", None) or 200
        missing = not value and (name == "contact" or name.startswith("legal_name"))
        if missing or len(value) > limit or any(ord(c) < 0x20 or ord(c) == 0x7F for c in value):
            yield InvalidText(f"must be one line of at most {limit} characters", field=name)


def _is_uscc(text: str) -> bool:
    try:
        return parse_body(text).value == text
    except InvalidIdentifier:
        return False


def _redirect_uri_flaws(uri: object, *, allow_loopback: bool) -> Iterator[InvalidClientData]:
    if not isinstance(uri, str) or "#" in uri or "*" in uri:
        yield InvalidRedirectUri("absolute URLs without fragment or wildcard")
    elif not is_web_address(uri, allow_loopback=allow_loopback):
        yield InvalidRedirectUri("https only, without user name")


def _key_flaws(client: Client, *, here: Installation) -> Iterator[InvalidClientData]:
    if client.jwks and client.jwks_uri:
        yield InvalidKeys("jwks or jwks_uri, not both (RFC 7591 section 2)")
    try:
        if client.jwks is not None and not jwk.parse_jwk_set(client.jwks, skip_foreign=True):
            yield InvalidKeys("none of the keys is one that we verify with")
        if client.jwks_uri is not None:
            check_url(client.jwks_uri, allow_loopback=here.loopback)
    except (jwk.InvalidToken, FetchRefused) as error:
        yield InvalidKeys(error.detail, field="jwks" if client.jwks is not None else "jwks_uri")


def new_secret(client: Client) -> str:
    """Give the client a fresh secret and return it; only its digest is kept."""
    secret = SECRET_PREFIX + secrets.token_urlsafe(32)
    client.secret_digest = hashlib.sha256(secret.encode()).hexdigest()
    return secret


def delete(client_id: str, now: dt.datetime, *, actor_id: str | None, reason_code: str, text: str) -> Client:
    """End a client for ever: it is unknown to the protocol from now on. Raises NotFound, Conflict.

    Its consents are not active any more by the same row; writing that down is the lifecycle's.
    """
    client = locked(client_id)
    if client.standing == Standing.DELETED:
        raise Conflict("client is deleted")
    client.standing, client.standing_since = Standing.DELETED, now
    client.secret_digest = client.registration_digest = None
    logos.follow(client_id, "", now)
    note(client_id, "client:deleted", now, actor_id=actor_id, reason_code=reason_code, text=text)
    return client


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
    client = locked(client_id)
    if client.standing != before:
        raise Conflict(f"client is {client.standing}")
    client.standing, client.standing_since = after, now
    kind = "client:suspended" if after == Standing.SUSPENDED else "client:reinstated"
    note(client_id, kind, now, actor_id=actor_id, reason_code=reason_code, text=text)
    return client


def locked(client_id: str) -> Client:
    """The client, for a change that nobody else makes meanwhile. Raises NotFound."""
    client = db.session.scalar(select(Client).filter_by(client_id=client_id).with_for_update())
    if client is None:
        raise NotFound("no such client")
    return client


def note(
    client_id: str, kind: str, now: dt.datetime, *, actor_id: str | None, reason_code: str | None = None, text: str = ""
) -> None:
    """Append an event to the client's history."""
    db.session.add(
        ClientEvent(client_id=client_id, kind=kind, at=now, actor_id=actor_id, reason_code=reason_code, text=text)
    )
