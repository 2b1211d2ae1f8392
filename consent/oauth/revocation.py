"""Token revocation (RFC 7009): a client gives back its own token. The consent behind it stays."""

from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError
from authlib.oauth2.rfc7009 import RevocationEndpoint

from consent.oauth import tokens
from consent.oauth.forms import FormRequest
from consent.oauth.registered_client import RegisteredClient
from consent.oauth.tokens import BoundToken


class Revocation(RevocationEndpoint):  # type: ignore[misc]
    """Authlib's steps: authenticate the client, find the token, revoke it. An unknown token is no error."""

    def authenticate_token(self, request: FormRequest, client: RegisteredClient) -> BoundToken | None:
        """The token; the hint is not needed to find it (RFC 7009 section 2.1)."""
        if "token" not in request.form:
            raise InvalidRequestError("token is missing")
        bound = tokens.find_token(request.form["token"])
        if bound is not None and bound.client_id != client.client_id:
            raise InvalidGrantError("the token belongs to another client")
        return bound

    def revoke_token(self, token: BoundToken, request: FormRequest) -> None:
        tokens.revoke(token, request.now)
