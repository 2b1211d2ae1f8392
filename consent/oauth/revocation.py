"""Token revocation (RFC 7009): a client gives back its own token. The consent behind it stays."""

from typing import Any, Protocol

from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError
from authlib.oauth2.rfc7009 import RevocationEndpoint

from consent.oauth import statutory_tokens, tokens
from consent.oauth.forms import FormRequest
from consent.oauth.registered_client import RegisteredClient


class Held(Protocol):
    """A token of a client, whatever it rests on."""

    client_id: str


class Revocation(RevocationEndpoint):  # type: ignore[misc]
    """Authlib's steps: authenticate the client, find the token, revoke it. An unknown token is no error."""

    def authenticate_token(self, request: FormRequest, client: RegisteredClient) -> Held | None:
        """The token; the hint is not needed to find it (RFC 7009 section 2.1)."""
        if "token" not in request.form:
            raise InvalidRequestError("token is missing")
        unverified = request.form["token"]
        bound: Held | None = statutory_tokens.find(unverified) or tokens.find_token(unverified)
        if bound is not None and bound.client_id != client.client_id:
            raise InvalidGrantError("the token belongs to another client")
        return bound

    def revoke_token(self, token: Any, request: FormRequest) -> None:
        by_law = request.form["token"].startswith(statutory_tokens.PREFIX)
        (statutory_tokens if by_law else tokens).revoke(token, request.now)
