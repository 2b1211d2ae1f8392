"""Token introspection (RFC 7662), plain and signed (RFC 9701): what holds at this moment.

A client asks about its own tokens; a client that is registered for a resource asks about the access tokens meant for
it. Whoever else asks hears that the token is not active, as of one that does not exist.
"""

import datetime as dt
from typing import Any

from authlib.consts import default_json_headers
from authlib.oauth2.rfc6749 import InvalidRequestError, TokenMixin
from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from consent import powers
from consent.keys import KeyUse
from consent.oauth import authorization_details, bindings, resources, statutory_tokens, tokens
from consent.oauth.forms import FormRequest
from consent.oauth.id_tokens import subject
from consent.oauth.registered_client import RegisteredClient
from consent.oauth.tokens import BoundToken, Kind
from consent.records import why_inactive
from dataspace import jose

TYP = "token-introspection+jwt"
MEDIA_TYPE = f"application/{TYP}"


class AskedToken(TokenMixin):  # type: ignore[misc]
    """A token at the moment it is asked about. It is dead when its consent is, whatever the reason.

    ``asked_for``: the resources that the asking client stands for; None when the token is its own.
    """

    def __init__(self, bound: BoundToken, now: dt.datetime, asked_for: set[str] | None) -> None:
        self.bound = bound
        self.now = now
        self.asked_for = asked_for

    def is_expired(self) -> bool:
        return self.now >= self.bound.dies_at or why_inactive(self.bound, self.now) is not None

    def is_revoked(self) -> bool:
        return self.bound.revoked_at is not None


class AskedByLaw(TokenMixin):  # type: ignore[misc]
    """The same of a token for a read by law: dead when its power allows nothing. Only its own client hears of it."""

    def __init__(self, bound: statutory_tokens.Bound, now: dt.datetime) -> None:
        self.bound = bound
        self.now = now

    def is_expired(self) -> bool:
        return self.now >= self.bound.expires_at or powers.why_void(self.bound, self.now) is not None

    def is_revoked(self) -> bool:
        return self.bound.revoked_at is not None

    def said(self, issuer: str) -> dict[str, Any]:
        """RFC 7662 section 2.2: nobody has signed in for it, so it has no ``sub``."""
        bound = self.bound
        said: dict[str, Any] = {
            "active": True,
            "iss": issuer,
            "aud": issuer,
            "client_id": bound.client_id,
            "token_type": "DPoP" if bound.jkt else "Bearer",
            "iat": int(bound.issued_at.timestamp()),
            "exp": int(bound.expires_at.timestamp()),
            "authorization_details": [authorization_details.by_law(bound, self.now)],
        }
        return said | ({"cnf": cnf} if (cnf := bindings.confirmation(bound)) else {})


class Introspection(IntrospectionEndpoint):  # type: ignore[misc]
    """Authlib's steps: authenticate the client, find the token, see whether the client may know, tell."""

    def create_endpoint_response(self, request: FormRequest) -> tuple[int, Any, list[tuple[str, str]]]:
        """As Authlib does, with a signed answer for who registered or accepts one (RFC 9701 sections 4 and 6)."""
        client = self.authenticate_endpoint_client(request)
        body = self.create_introspection_payload(self.authenticate_token(request, client))
        if not _wants_jwt(request, client):
            return 200, body, default_json_headers
        headers = [(name, value) for name, value in default_json_headers if name != "Content-Type"]
        return 200, self._signed(body, client, request.now), [("Content-Type", MEDIA_TYPE), *headers]

    def authenticate_token(self, request: FormRequest, client: RegisteredClient) -> AskedToken | AskedByLaw | None:
        """The token, when the client may know of it; the hint is not needed to find it (RFC 7662 section 2.1)."""
        if "token" not in request.form:
            raise InvalidRequestError("token is missing")
        by_law = statutory_tokens.find(request.form["token"])
        if by_law is not None:
            return AskedByLaw(by_law, request.now) if by_law.client_id == client.client_id else None
        bound = tokens.find_token(request.form["token"])
        if bound is None:
            return None
        if bound.client_id == client.client_id:
            return AskedToken(bound, request.now, None)
        # RFC 9701 section 5: a resource server hears of access tokens that are meant for it, and of no others.
        meant = set(resources.audience(bound.resource, issuer=self.server.issuer)) & resources.read_by(client.client_id)
        return AskedToken(bound, request.now, meant) if meant and bound.kind == Kind.ACCESS else None

    def introspect_token(self, token: AskedToken | AskedByLaw) -> dict[str, Any]:
        """RFC 7662 section 2.2, RFC 8705 section 3.2, RFC 9396 9.2, RFC 9449 section 6.2, RFC 9470 section 6.2."""
        if isinstance(token, AskedByLaw):
            return token.said(self.server.issuer)
        bound = token.bound
        audience = resources.audience(bound.resource, issuer=self.server.issuer)
        if token.asked_for is not None:
            audience = [uri for uri in audience if uri in token.asked_for]
        said: dict[str, Any] = {
            "active": True,
            "iss": self.server.issuer,
            "aud": audience[0] if len(audience) == 1 else audience,
            "client_id": bound.client_id,
            "sub": subject(bound, self.server.registry.index),
            "token_type": "DPoP" if bound.jkt else "Bearer",
            "iat": int(bound.issued_at.timestamp()),
            "exp": int(bound.dies_at.timestamp()),
            "auth_time": int(bound.auth_time.timestamp()),
            "acr": bound.acr,
            "grant_id": bound.consent_id,
            "consent_version": bound.version,
        }
        if bound.scope:
            said["scope"] = bound.scope
        if cnf := bindings.confirmation(bound):
            said["cnf"] = cnf
        if details := authorization_details.granted(bound):
            said["authorization_details"] = details
        return said

    def _signed(self, body: dict[str, Any], client: RegisteredClient, now: dt.datetime) -> str:
        """RFC 9701 section 5: no sub and no exp of its own, so that it is no access token and no ID token."""
        key = self.server.registry.keyring.signing_key(KeyUse.TOKENS, now, client.introspection_alg)
        claims = {
            "iss": self.server.issuer,
            "aud": client.client_id,
            "iat": int(now.timestamp()),
            "token_introspection": body,
        }
        return jose.sign(claims, key, typ=TYP)


def _wants_jwt(request: FormRequest, client: RegisteredClient) -> bool:
    """By registration, or by an Accept header that names the media type."""
    accepted = (request.headers.get("Accept") or "").lower().split(",")
    return bool(client.options.introspection_signed_response_alg) or MEDIA_TYPE in {
        one.split(";")[0].strip() for one in accepted
    }
