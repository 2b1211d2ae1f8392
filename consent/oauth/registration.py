"""Dynamic client registration and its management (RFC 7591, RFC 7592, OpenID Connect Dynamic Client Registration).

What a client sends is read into columns of :class:`consent.clients.Client`; the checks are those of every
registration (:func:`consent.clients.flaws`). Members that we do not know are neither stored nor answered.
"""

import datetime as dt
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749 import OAuth2Error
from authlib.oauth2.rfc6750 import InvalidTokenError

from consent import client_names, client_options, clients, endings, proposals, purposes, scenarios, vouching
from consent.client_options import ClientOptions, WrongKind
from consent.clients import DATA_ALGORITHMS, Client, InvalidClientData, InvalidRedirectUri, Profile, Standing
from consent.history import Registry
from consent.installation import Installation
from consent.keys import ALGORITHMS, KeyUse
from consent.oauth import initial_access, request_checks
from consent.oauth.errors import plain
from consent.oauth.registered_client import DEFAULT_ALGORITHM, RESPONSE_TYPES
from dataspace.addresses import FetchRefused
from dataspace.db import db
from dataspace.errors import NotFound
from dataspace.fetching import fetch_json

PATH = "/oauth/register"
TOKEN_PREFIX = "dsr_"  # noqa: S105 - a mark by which found secrets are recognised, no secret
SELF = "self"  # the reason of what a client did itself
# What is registered elsewhere than in the options, and read here.
OF_THE_CLIENT = ("redirect_uris", "token_endpoint_auth_method", "jwks", "jwks_uri", "id_token_signed_response_alg")
# RFC 7592 section 2.2: what the server says and the client may not.
NOT_FOR_CLIENTS = (
    "registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at",
)  # fmt: skip


class RegistrationError(OAuth2Error):  # type: ignore[misc]
    """RFC 7591 section 3.2.2; ``error`` is the code of the case."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(plain(description))
        self.error = error


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the settings allow. ``fetch_loopback``: fetching from this machine."""

    issuer: str
    here: Installation
    fetch_loopback: bool
    open_registration: bool


@dataclass(frozen=True, kw_only=True)
class Permit:
    """Leave to register one client of a profile; ``digest``: of the initial access token, if it took one."""

    profile: Profile
    digest: str | None


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A client with the secrets that its answer tells, each only when it is new."""

    client: Client
    access_token: str = field(repr=False)
    secret: str | None = field(default=None, repr=False)


# The operations


def permit(unverified_token: str | None, now: dt.datetime, *, rules: Rules) -> Permit:
    """Who may register. Raises InvalidTokenError; without a token too, unless registration is open to everybody."""
    if unverified_token is None and rules.open_registration:
        return Permit(profile=Profile.LOGIN, digest=None)
    found = initial_access.find(unverified_token or "", now)
    if found is None:
        raise InvalidTokenError("the initial access token is unknown, used or expired")
    return Permit(profile=Profile(found.profile), digest=found.digest)


def register(unverified: object, permitted: Permit, now: dt.datetime, *, rules: Rules) -> Registered:
    """RFC 7591 section 3.1. Raises RegistrationError, InvalidTokenError (the initial token was used meanwhile)."""
    document = _document(unverified)
    values = read(document, profile=permitted.profile)
    _check_sector(values, rules)
    client_id = f"client-{secrets.token_hex(10)}"
    try:
        client = clients.register(
            values | {"client_id": client_id, "profile": permitted.profile}, now,
            actor_id=None, here=rules.here, reason_code=SELF, itself=True,
        )  # fmt: skip
        _propose(client, document, now)
    except InvalidClientData as error:
        raise _refused(error) from None
    if permitted.digest is not None and not initial_access.use(permitted.digest, client_id, now):
        raise InvalidTokenError("the initial access token is unknown, used or expired")
    secret = clients.new_secret(client) if client.token_endpoint_auth_method in clients.SECRET_METHODS else None
    return Registered(client=client, access_token=_new_access_token(client), secret=secret)


def authenticate(unverified_client_id: str, unverified_token: str | None) -> Client:
    """The client whose registration access token this is (RFC 7592 section 2). Raises InvalidTokenError."""
    try:
        client = clients.get(unverified_client_id)
    except NotFound:
        client = None
    digest = initial_access.digest_of(unverified_token or "")
    expected = (client.registration_digest if client is not None else None) or "-"
    if not hmac.compare_digest(digest, expected) or client is None or client.standing == Standing.DELETED:
        raise InvalidTokenError("the registration access token is not that of this client")
    return client


def replace(client: Client, unverified: object, now: dt.datetime, *, rules: Rules) -> Registered:
    """RFC 7592 section 2.2: all metadata anew, a new registration access token. Raises RegistrationError."""
    document = _document(unverified)
    _check_identity(client, document)
    values = read(document, profile=Profile(client.profile))
    if values["legal_name"] != client.legal_name:
        raise RegistrationError("invalid_client_metadata", "client_name: under another name it is another client")
    _check_sector(values, rules)
    had_secret = client.token_endpoint_auth_method in clients.SECRET_METHODS
    try:
        before = vouching.seen(client)
        clients.change_by_itself(client, values, now, here=rules.here)
        vouching.lapse(client, before, now)
        _propose(client, document, now)
    except InvalidClientData as error:
        raise _refused(error) from None
    secret = None
    if client.token_endpoint_auth_method not in clients.SECRET_METHODS:
        client.secret_digest = None
    elif not had_secret:
        secret = clients.new_secret(client)
    return Registered(client=client, access_token=_new_access_token(client), secret=secret)


def delete(client: Client, now: dt.datetime, *, registry: Registry) -> None:
    """RFC 7592 section 2.3: the client is gone, and what it was given has ended."""
    clients.delete(client.client_id, now, actor_id=None, reason_code=SELF, text="")
    db.session.flush()
    endings.terminate(client.client_id, now, registry=registry)


def describe(registered: Registered, *, issuer: str) -> dict[str, Any]:
    """The client information response (RFC 7591 section 3.2.1, RFC 7592 section 3)."""
    client = registered.client
    options = ClientOptions.from_document(client.options)
    said = {name: getattr(options, name) for name in client_options.KINDS}
    answer = {name: value for name, value in said.items() if value is not None and value not in ("", (), False)}
    answer |= client_names.write(client.legal_name)
    answer |= {name: getattr(client, name) for name in OF_THE_CLIENT if getattr(client, name) is not None}
    answer |= {
        "client_id": client.client_id,
        "client_id_issued_at": int(client.created_at.timestamp()),
        "response_types": list(RESPONSE_TYPES),
        "registration_access_token": registered.access_token,
        "registration_client_uri": f"{issuer}{PATH}/{client.client_id}",
    }
    approved: list[str] = []
    if client.profile == Profile.DATA:
        proposed = purposes.of_client(client.client_id)
        approved = [p.code for p in proposed if p.approved_at is not None]
        answer[proposals.MEMBER] = [proposals.document(purpose) for purpose in proposed]
        answer["data_space_purposes_approved"] = approved
    # A scope of its name stands for an approved purpose.
    answer["scope"] = " ".join([*sorted(request_checks.SCOPES[Profile(client.profile)]), *approved])
    if registered.secret is not None:
        answer |= {"client_secret": registered.secret, "client_secret_expires_at": 0}
    return answer


# Reading


def read(document: Mapping[str, Any], *, profile: Profile) -> dict[str, Any]:
    """The columns of a client from what it sent, with the defaults of the specification. Raises RegistrationError."""
    for check in (_has_no_statement, _responds_by_code, _is_not_encrypted, _has_redirect_uris, _texts_are_texts):
        check(document)
    method = document.get("token_endpoint_auth_method") or scenarios.METHODS[profile].value
    default_alg = DATA_ALGORITHMS[0] if profile == Profile.DATA else DEFAULT_ALGORITHM
    alg = document.get("id_token_signed_response_alg") or default_alg
    if method not in tuple(clients.AuthMethod):
        raise _wrong("token_endpoint_auth_method", "is not supported")
    if alg not in (DATA_ALGORITHMS if profile == Profile.DATA else ALGORITHMS[KeyUse.ID_TOKEN]):
        raise _wrong("id_token_signed_response_alg", "is not supported")
    try:
        # OpenID Connect Dynamic Client Registration section 2: whoever wants to refresh says so.
        options = client_options.parse({"grant_types": ["authorization_code"]} | _present(document))
    except WrongKind as error:
        raise _wrong(*error.flaw) from None
    host = _host(document["redirect_uris"])
    return {
        "legal_name": client_names.read(document, fallback=host),
        "contact": (*options.contacts, host)[0],
        "redirect_uris": document["redirect_uris"],
        "token_endpoint_auth_method": method,
        "jwks": document.get("jwks"),
        "jwks_uri": document.get("jwks_uri"),
        "id_token_signed_response_alg": alg,
        "options": options.to_document(),
    }


def _document(unverified: object) -> dict[str, Any]:
    if not isinstance(unverified, dict):
        raise RegistrationError("invalid_client_metadata", "the body must be a JSON object")
    return unverified


def _present(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None}


def _has_no_statement(document: Mapping[str, Any]) -> None:
    """No issuer of software statements is trusted here, and to leave one out would register other values."""
    statement = document.get("software_statement")
    if statement is None:
        return
    if not isinstance(statement, str) or statement.count(".") != 2:
        raise RegistrationError("invalid_software_statement", "software_statement: not a signed JWT")
    raise RegistrationError("unapproved_software_statement", "software_statement: its issuer is not trusted here")


def _responds_by_code(document: Mapping[str, Any]) -> None:
    if document.get("response_types") not in (None, list(RESPONSE_TYPES)):
        raise _wrong("response_types", "only code")


def _is_not_encrypted(document: Mapping[str, Any]) -> None:
    """To register somebody who asks for encryption, and then not to encrypt, would be worse than to refuse."""
    for name in document:
        if name.endswith(("_encrypted_response_alg", "_encrypted_response_enc", "_encryption_alg", "_encryption_enc")):
            raise _wrong(name, "encryption is not supported")


def _has_redirect_uris(document: Mapping[str, Any]) -> None:
    uris = document.get("redirect_uris")
    if not isinstance(uris, list) or not uris or not all(isinstance(uri, str) for uri in uris):
        raise RegistrationError(InvalidRedirectUri.oauth_code, "redirect_uris: a list of at least one address")


def _texts_are_texts(document: Mapping[str, Any]) -> None:
    names = [name for name in document if name.partition("#")[0] == client_names.MEMBER]
    for name in ("jwks_uri", "token_endpoint_auth_method", "id_token_signed_response_alg", *names):
        if not isinstance(document.get(name), str | None):
            raise _wrong(name, "must be a string")
    if not isinstance(document.get("jwks"), dict | None):
        raise _wrong("jwks", "must be a JWK set")


def _propose(client: Client, document: Mapping[str, Any], now: dt.datetime) -> None:
    """What a client that reads data wants to ask for; an administrator decides. One for sign-in asks for none."""
    proposed = document.get(proposals.MEMBER)
    if client.profile != Profile.DATA:
        if proposed:
            raise _wrong(proposals.MEMBER, "this client is registered for sign-in only")
    elif proposed:
        proposals.propose(client, proposed, now)
    else:
        proposals.withdraw(client.client_id)


def _check_identity(client: Client, document: Mapping[str, Any]) -> None:
    """RFC 7592 section 2.2: who it is, and by what it proves it, is not for the client to choose."""
    if client.standing != Standing.GOOD:
        raise RegistrationError("invalid_client_metadata", "a suspended client cannot be changed")
    if document.get("client_id") != client.client_id:
        raise _wrong("client_id", "must be that of this client")
    for name in NOT_FOR_CLIENTS:
        if name in document:
            raise _wrong(name, "is not for a client to say")
    secret = document.get("client_secret")
    if secret is not None:
        digest = hashlib.sha256(str(secret).encode("utf-8", "replace")).hexdigest()
        if not hmac.compare_digest(digest, client.secret_digest or "-"):
            raise _wrong("client_secret", "must be the current one, or left out")


def _check_sector(values: Mapping[str, Any], rules: Rules) -> None:
    """OpenID Connect Dynamic Client Registration section 5: every redirect URI stands in the sector's own list."""
    uri = values["options"].get("sector_identifier_uri")
    if not uri:
        return
    try:
        listed = fetch_json(uri, allow_loopback=rules.fetch_loopback)
    except FetchRefused as error:
        raise _wrong("sector_identifier_uri", error.detail) from None
    if not isinstance(listed, list) or not all(uri in listed for uri in values["redirect_uris"]):
        raise _wrong("sector_identifier_uri", "its list does not name every redirect URI")


def _host(redirect_uris: list[str]) -> str:
    """Where the client is, for want of anything it says itself; never empty: a bad redirect URI is found later."""
    try:
        return urlsplit(redirect_uris[0]).netloc or "-"
    except ValueError:
        return "-"


def _new_access_token(client: Client) -> str:
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    client.registration_digest = initial_access.digest_of(token)
    return token


def _wrong(name: str, what: str) -> RegistrationError:
    return RegistrationError("invalid_client_metadata", f"{name}: {what}")


def _refused(error: InvalidClientData) -> RegistrationError:
    return RegistrationError(error.oauth_code, f"{MEMBERS.get(error.field, error.field)}: {error.detail}")


MEMBERS = {"contact": "contacts", "legal_name.zh_hans": "client_name", "legal_name.en": "client_name"}
