"""Reads by law: the client credentials grant (RFC 6749 section 4.4) with ``authorization_details`` (RFC 9396).

Nothing else is to be had by that grant: without an approved power it brings nothing, and a token is for one version of
one power, one case and one holder, for minutes, bound to the client's key or certificate. At the data API the token is
judged at every read, through the same gate as one that rests on a consent (:mod:`consent.oauth.validator`).
"""

from typing import Any

from authlib.oauth2.rfc6749 import (
    BaseGrant,
    InvalidRequestError,
    InvalidScopeError,
    TokenEndpointMixin,
    UnauthorizedClientError,
)
from authlib.oauth2.rfc6749.hooks import hooked

from consent import statutory_admission, statutory_terms
from consent.client_options import CLIENT_CREDENTIALS
from consent.clients import Standing
from consent.oauth import authorization_details, bindings, resources, statutory_tokens
from consent.oauth.errors import as_oauth
from consent.oauth.forms import FormRequest
from consent.oauth.grants import proved_key_of, shown_certificate
from consent.oauth.registered_client import RegisteredClient


class StatutoryGrant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]
    """A token for one case, for an authority whose power names what it asks."""

    GRANT_TYPE = CLIENT_CREDENTIALS
    request: FormRequest

    def validate_token_request(self) -> None:
        """Client, its key or certificate, then what it demands; last, its case is open. Raises OAuth2Error."""
        client: RegisteredClient = self.authenticate_token_endpoint_client()
        if not client.check_grant_type(self.GRANT_TYPE) or not client.is_data:
            raise UnauthorizedClientError("this client is not registered for reads by law")
        request = self.request
        request.client = client
        if "scope" in request.form:
            raise InvalidScopeError("a read by law has no scope")
        request.resource = resources.narrowed(request.form.get("resource", ""), "", issuer=self.server.issuer)
        request.x5t = shown_certificate(request, expected_x5t=None)
        request.jkt = proved_key_of(request, must=False, expected_jkt=None)
        if request.jkt is None and request.x5t is None:
            raise InvalidRequestError("a DPoP proof is missing")
        with as_oauth():
            request.user = statutory_admission.admit(
                statutory_terms.parse(request.form.get("authorization_details")),
                client_id=client.client_id,
                in_good_standing=client.standing == Standing.GOOD,
                now=request.now,
                index=self.server.registry.index,
            )

    @hooked  # type: ignore[untyped-decorator]
    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """An access token and what it is for; no refresh token (RFC 6749 section 4.4.3)."""
        request, admitted = self.request, self.request.user
        secret = bindings.new_secret(statutory_tokens.PREFIX)
        expires_at = min(request.now + statutory_tokens.LIFE, admitted.power.valid_until)
        statutory_tokens.store(
            secret, request.now, case_id=admitted.case.case_id, power_id=admitted.power.power_id,
            power_version=admitted.power.version, client_id=request.client.client_id, jkt=request.jkt, x5t=request.x5t,
            items=admitted.items, expires_at=expires_at,
        )  # fmt: skip
        bound = statutory_tokens.find(secret)
        body = {
            "access_token": secret,
            "token_type": "DPoP" if request.jkt else "Bearer",
            "expires_in": int((expires_at - request.now).total_seconds()),
            "authorization_details": [authorization_details.by_law(bound, request.now)] if bound else [],
        }
        return 200, body, self.TOKEN_RESPONSE_HEADER
