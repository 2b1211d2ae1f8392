"""Token introspection (RFC 7662): a client asks about its own tokens, and hears what holds at this moment."""

import datetime as dt
from typing import Any

from authlib.oauth2.rfc6749 import InvalidRequestError, TokenMixin
from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from consent.oauth import authorization_details, tokens
from consent.oauth.forms import FormRequest
from consent.oauth.id_tokens import subject
from consent.oauth.registered_client import RegisteredClient
from consent.oauth.tokens import BoundToken
from consent.records import why_inactive


class AskedToken(TokenMixin):  # type: ignore[misc]
    """A token at the moment it is asked about. It is dead when its consent is, whatever the reason."""

    def __init__(self, bound: BoundToken, now: dt.datetime) -> None:
        self.bound = bound
        self.now = now

    def check_client(self, client: RegisteredClient) -> bool:
        return self.bound.client_id == client.client_id

    def is_expired(self) -> bool:
        return self.now >= self.bound.dies_at or why_inactive(self.bound, self.now) is not None

    def is_revoked(self) -> bool:
        return self.bound.revoked_at is not None


class Introspection(IntrospectionEndpoint):  # type: ignore[misc]
    """Authlib's steps: authenticate the client, find the token, see whether the client may know, tell."""

    def authenticate_token(self, request: FormRequest, client: RegisteredClient) -> AskedToken | None:
        """The token, when it is the client's own; the hint is not needed to find it (RFC 7662 section 2.1)."""
        if "token" not in request.form:
            raise InvalidRequestError("token is missing")
        bound = tokens.find_token(request.form["token"])
        found = None if bound is None else AskedToken(bound, request.now)
        return found if found is not None and found.check_client(client) else None

    def introspect_token(self, token: AskedToken) -> dict[str, Any]:
        """RFC 7662 section 2.2, RFC 9449 section 6.2, RFC 9396 section 9.2, RFC 9470 section 6.2."""
        bound = token.bound
        said: dict[str, Any] = {
            "active": True,
            "iss": self.server.issuer,
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
        if bound.jkt:
            said["cnf"] = {"jkt": bound.jkt}
        if details := authorization_details.granted(bound):
            said["authorization_details"] = details
        return said
