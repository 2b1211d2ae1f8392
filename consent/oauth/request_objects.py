"""Request objects: authorization requests as a signed JWT (RFC 9101, OpenID Connect Core section 6).

What counts, one rule for each kind of client:

- A ``data`` client, and a ``login`` client that has registered require_signed_request_object: only what is inside
  (RFC 9101 section 6.3, RFC 9126 section 3, FAPI 2.0 Message Signing section 5.3.1).
- Any other ``login`` client: what is inside wins, the rest is taken from outside, and what both say of client_id and
  response_type must be the same (OpenID Connect Core section 6.1).

An unsigned object (alg none) is worth what plain parameters are: whoever may send those may send it, a ``login`` client
that has not registered to sign (OpenID Connect Dynamic Client Registration section 2, request_object_signing_alg).
"""

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any

import orjson
from authlib.oauth2.rfc6749 import InvalidRequestError, InvalidScopeError
from authlib.oidc.core.errors import (
    InvalidRequestObjectError,
    InvalidRequestURIError,
    RequestURINotSupportedError,
)

from consent.client_options import NO_SIGNATURE
from consent.oauth import client_auth, forms, replay
from consent.oauth.client_auth import SKEW, ClientKeys, InvalidClient
from consent.oauth.registered_client import RegisteredClient
from dataspace import jose
from dataspace.addresses import FetchRefused
from dataspace.fetching import fetch_text

MEDIA_TYPE = "oauth-authz-req+jwt"  # RFC 9101 section 10.8: no other signed message of the client passes for one
TYPES = frozenset({"", "jwt", MEDIA_TYPE})
ALGORITHMS = (*sorted(client_auth.LOGIN_ALGORITHMS), NO_SIGNATURE)
HOUR = dt.timedelta(hours=1)  # FAPI 2.0 Message Signing section 5.3.1: how old nbf, and how far from it exp may be
DATA_CLAIMS = ("iss", "aud", "exp", "nbf", "client_id")
MAX_URI = 512  # OpenID Connect Core section 6.2
# OpenID Connect names no type; a JWT is served as RFC 9101, 7519 or 7515 calls it, or as text.
CONTENT_TYPES = re.compile(r"application/(oauth-authz-req\+jwt|jwt|jose)|text/[a-z0-9.+-]+", re.IGNORECASE)
_CARRIERS = ("request", "request_uri")
_ABOUT_THE_JWT = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """``once``: a jti is used up. Not where a browser brings the object, which it does again when it reloads.

    ``needed``: the claims that an object of a ``data`` client must have.
    """

    issuer: str
    keys: ClientKeys
    now: dt.datetime
    once: bool
    needed: tuple[str, ...] = DATA_CLAIMS


def unwrap(parameters: dict[str, str], client: RegisteredClient, around: Surroundings) -> dict[str, str]:
    """The parameters that count. Raises OAuth2Error."""
    if not any(name in parameters for name in _CARRIERS):
        if client.options.require_signed_request_object:
            raise InvalidRequestError("this client must sign its requests")
        return parameters
    if all(name in parameters for name in _CARRIERS):
        raise InvalidRequestError("request and request_uri exclude each other")
    unverified = parameters.get("request", "")
    if "request_uri" in parameters:
        unverified = _fetch(parameters["request_uri"], client, around)
    return _counting(parameters, _verify(unverified, client, around), client)


def _fetch(unverified_uri: str, client: RegisteredClient, around: Surroundings) -> str:
    """The object behind a registered request_uri (OpenID Connect Core section 6.2).

    A fragment tells caches that the contents are new, and clients change it without registering anew. We keep no
    copies, so it has nothing to say to us.
    """
    if not client.options.request_uris:
        raise RequestURINotSupportedError("this client has registered no request_uris")
    address, _, _fragment = unverified_uri.partition("#")
    registered = {uri.partition("#")[0] for uri in client.options.request_uris}
    if len(unverified_uri) > MAX_URI or address not in registered:
        raise InvalidRequestURIError("request_uri is not registered for this client")
    try:
        return fetch_text(
            address,
            accept=f"application/{MEDIA_TYPE}",
            types=CONTENT_TYPES,
            allow_loopback=around.keys.allow_loopback,
            max_bytes=jose.MAX_TOKEN,
        ).strip()
    except FetchRefused as error:
        raise InvalidRequestURIError(f"request_uri could not be fetched: {error.detail}") from None


# Verifying


def _verify(unverified: str, client: RegisteredClient, around: Surroundings) -> dict[str, Any]:
    """The claims of an object by this client, for us, at this time. Raises InvalidRequestObjectError."""
    if unverified.count(".") == 4:
        raise InvalidRequestObjectError("encrypted request objects are not supported")
    try:
        token = jose.read(unverified)
        if jose.media_type(token.header.get("typ")) not in TYPES:
            raise InvalidRequestObjectError("a signed message of another kind")
        if token.header.get("alg") == NO_SIGNATURE:
            claims = _unsigned_claims(token, client)
        else:
            claims = _signed_claims(token, client, around)
        _check_names(claims, client, around)
        _check_life(claims, client, around)
        _check_jti(claims, client, around)
    except (jose.InvalidToken, InvalidClient) as error:
        raise InvalidRequestObjectError(error.detail) from None
    return claims


def _unsigned_claims(token: jose.UnverifiedToken, client: RegisteredClient) -> dict[str, Any]:
    registered = client.options.request_object_signing_alg
    if client.is_data or client.options.require_signed_request_object or registered not in ("", NO_SIGNATURE):
        raise InvalidRequestObjectError("this client must sign its request objects")
    if token.signature:
        raise InvalidRequestObjectError("alg none with a signature")
    return jose.unverified_claims(token)


def _signed_claims(token: jose.UnverifiedToken, client: RegisteredClient, around: Surroundings) -> dict[str, Any]:
    algorithms = client_auth.ALGORITHMS if client.is_data else client_auth.LOGIN_ALGORITHMS
    if registered := client.options.request_object_signing_alg:
        algorithms &= {registered}
    keys = around.keys.of(client, kid=token.header.get("kid"), now=around.now)
    jose.verify_bytes(token, keys, algorithms=algorithms, expected_typ=None)
    return jose.unverified_claims(token)  # verified by now


def _check_names(claims: dict[str, Any], client: RegisteredClient, around: Surroundings) -> None:
    """Who says it to whom (RFC 9101 section 4), always for ``data`` clients, for others where it is said."""
    missing = [name for name in around.needed if client.is_data and name not in claims]
    if missing:
        raise InvalidRequestObjectError(f"claims are missing: {', '.join(missing)}")
    if claims.get("iss", client.client_id) != client.client_id:
        raise InvalidRequestObjectError("iss is not the client")
    if claims.get("client_id", client.client_id) != client.client_id:
        raise InvalidRequestObjectError("client_id is not the client")
    audience = claims.get("aud", around.issuer)
    if audience != around.issuer and not (isinstance(audience, list) and around.issuer in audience):
        raise InvalidRequestObjectError("aud is not this server")
    if claims.get("sub") == client.client_id:  # RFC 9101 section 10.8: so that no client assertion passes for one
        raise InvalidRequestObjectError("sub is the client, as in a client assertion")
    if any(name in claims for name in _CARRIERS):
        raise InvalidRequestObjectError("a request object inside a request object")


def _check_life(claims: dict[str, Any], client: RegisteredClient, around: Surroundings) -> None:
    jose.check_times(claims, around.now, leeway=SKEW)
    if client.is_data:
        not_before, expires = jose.numeric_date(claims, "nbf"), jose.numeric_date(claims, "exp")
        if not_before < (around.now - HOUR).timestamp():
            raise InvalidRequestObjectError("nbf is more than 60 minutes in the past")
        if expires - not_before > HOUR.total_seconds():
            raise InvalidRequestObjectError("exp is more than 60 minutes after nbf")


def _check_jti(claims: dict[str, Any], client: RegisteredClient, around: Surroundings) -> None:
    jti = claims.get("jti", "-")
    if not isinstance(jti, str) or not 0 < len(jti) <= client_auth.MAX_JTI:
        raise InvalidRequestObjectError("jti is not a short string")
    if "jti" not in claims or not around.once:
        return
    expires = jose.numeric_date(claims, "exp") if "exp" in claims else (around.now + HOUR).timestamp()
    until = dt.datetime.fromtimestamp(expires, dt.UTC)
    if not replay.remember("request object", client.client_id, jti, until):
        raise InvalidRequestObjectError("jti was used before")


# What counts


def _counting(parameters: dict[str, str], claims: dict[str, Any], client: RegisteredClient) -> dict[str, str]:
    inside = {name: _text(name, value) for name, value in claims.items() if name not in _ABOUT_THE_JWT}
    inside = {name: value for name, value in inside.items() if value}
    if client.is_data or client.options.require_signed_request_object:
        return inside
    outside = {name: value for name, value in parameters.items() if name not in _CARRIERS}
    for name in ("client_id", "response_type"):
        if name in inside and name in outside and inside[name] != outside[name]:
            raise InvalidRequestObjectError(f"{name} is another one outside")
    if "openid" not in outside.get("scope", "openid").split():
        raise InvalidScopeError("openid is missing outside the request object")
    return outside | inside


def _text(name: str, value: Any) -> str:
    """A claim as a parameter would have it (RFC 9101 section 4): a number by its digits, a structure as JSON."""
    if name == forms.REPEATABLE and isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        value = " ".join(value)
    text = value if isinstance(value, str) else "" if value is None else orjson.dumps(value).decode()
    try:
        forms.check(name, text)
    except InvalidRequestError as error:
        raise InvalidRequestObjectError(error.get_error_description()) from None
    return text
