"""The two grants of the token endpoint: authorization code (RFC 6749 section 4.1, 7636) and refresh token (section 6).

Authlib runs the steps; here is what each step looks at. Everything that can be refused is refused before the code is
used up, so that an error never leaves half an exchange behind.
"""

from typing import Any

from authlib.oauth2.rfc6749 import (
    AuthorizationCodeGrant,
    AuthorizationCodeMixin,
    InvalidGrantError,
    InvalidRequestError,
    RefreshTokenGrant,
    TokenMixin,
)
from authlib.oauth2.rfc7636 import CodeChallenge

from consent.history import Registry
from consent.oauth import access_tokens, authorization_details, bindings, codes, grant_management, resources, tokens
from consent.oauth.bindings import Bound
from consent.oauth.codes import BoundCode
from consent.oauth.errors import InvalidAuthorizationDetailsError, as_oauth
from consent.oauth.forms import FormRequest
from consent.oauth.possession import proved_key
from consent.oauth.registered_client import RegisteredClient
from consent.oauth.tokens import BoundToken, Kind
from consent.records import why_inactive


class HeldCode(AuthorizationCodeMixin):  # type: ignore[misc]
    """An authorization code as Authlib's steps read it."""

    code_challenge_method = "S256"

    def __init__(self, bound: BoundCode) -> None:
        self.bound = bound
        self.code_challenge = bound.code_challenge

    def get_redirect_uri(self) -> str:
        return self.bound.redirect_uri

    def get_scope(self) -> str:
        return self.bound.scope


class HeldToken(TokenMixin):  # type: ignore[misc]
    """A refresh token as Authlib's steps read it."""

    def __init__(self, bound: BoundToken) -> None:
        self.bound = bound

    def check_client(self, client: RegisteredClient) -> bool:
        return self.bound.client_id == client.client_id

    def get_scope(self) -> str:
        return self.bound.scope


class S256Challenge(CodeChallenge):  # type: ignore[misc]
    """PKCE with S256 and nothing else (RFC 9700 section 2.1.1). The challenge was checked with the request.

    Authlib refuses a challenge without its verifier, and a verifier where no challenge was (section 4.8.2).
    """

    DEFAULT_CODE_CHALLENGE_METHOD = "S256"
    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)
    CODE_CHALLENGE_METHODS = {"S256": CodeChallenge.CODE_CHALLENGE_METHODS["S256"]}  # noqa: RUF012 - Authlib's


class CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]
    """A code for tokens, once."""

    request: FormRequest

    def query_authorization_code(self, code: str, client: RegisteredClient) -> HeldCode:
        """The code, if it is this client's, fresh, unused, and its consent is active. Raises InvalidGrantError."""
        now = self.request.now
        bound = codes.find(code) if code.startswith(codes.PREFIX) else None  # no device code
        early = bound is not None and bindings.ended_early(bound, bound.used_at)
        if bound is None or early:
            self._used_before(bindings.digest_of(code), client)
        if bound is None or bound.client_id != client.client_id:
            raise InvalidGrantError("the code is unknown")
        if early:
            raise InvalidGrantError("the code was used before")
        if bound.used_at is not None or now >= bound.dies_at:
            raise InvalidGrantError("the code has expired")
        demand_active(bound, self.request)
        return HeldCode(bound)

    def validate_token_request(self) -> None:
        """Client, code and redirect URI, then the verifier (Authlib); then the key; last, the code is used up."""
        super().validate_token_request()
        use_up(self.request, self.request.authorization_code.bound, issuer=self.server.issuer)

    def authenticate_user(self, authorization_code: HeldCode) -> Bound:
        """Whom the tokens speak for: the holder of the consent."""
        return authorization_code.bound

    def generate_token(self, user: BoundCode, scope: str, **_kwargs: Any) -> dict[str, Any]:
        """Access and refresh token, and what was granted."""
        return first_tokens(self.request, user, scope, registry=self.server.registry)

    def delete_authorization_code(self, authorization_code: HeldCode) -> None:
        """It was used up before anything was issued; the row stays a while, to know it again."""

    def _used_before(self, code_digest: bytes, client: RegisteredClient) -> None:
        """RFC 6749 section 4.1.2: what the first use has brought dies, even when the code itself is swept away."""
        tokens.revoke_family(code_digest, client_id=client.client_id, now=self.request.now)


class RefreshGrant(RefreshTokenGrant):  # type: ignore[misc]
    """A fresh access token. The refresh token stays as it is (FAPI 2.0): it is bound to the client.

    A confidential client proves itself by its own credentials, so it may have taken another key or certificate
    meanwhile (RFC 9449 section 5, RFC 8705 section 7.1); the access token is bound to the one it shows now.
    """

    request: FormRequest

    def authenticate_refresh_token(self, refresh_token: str) -> HeldToken | None:
        bound = tokens.find_token(refresh_token)
        if bound is None or bound.kind != Kind.REFRESH or bindings.ended_early(bound, bound.revoked_at):
            return None
        return HeldToken(bound)

    def validate_token_request(self) -> None:
        """Client, token and scope (Authlib); then the consent, and the key."""
        super().validate_token_request()
        bound: BoundToken = self.request.refresh_token.bound
        if not self._only_manages(bound):
            demand_active(bound, self.request)
        if bound.revoked_at is not None or self.request.now >= bound.dies_at:
            raise InvalidGrantError("the refresh token has expired")
        self.request.x5t = shown_certificate(self.request, expected_x5t=None)
        self.request.jkt = proved_key_of(self.request, must=bound.jkt is not None, expected_jkt=None)
        self.request.resource = _narrowed(self.request, bound, self.server.issuer)

    def _only_manages(self, bound: BoundToken) -> bool:
        """Whether it is only to look at a grant that rests, or to give it back, with a token that is looked up live."""
        if not grant_management.may_manage(bound, self.request.form.get("scope", ""), self.request.now):
            return False
        issuer = self.server.issuer
        return issuer in resources.audience(_narrowed(self.request, bound, issuer), issuer=issuer)

    def authenticate_user(self, refresh_token: HeldToken) -> Bound:
        """Whom the token speaks for."""
        return refresh_token.bound

    def generate_token(self, user: BoundToken, scope: str, **_kwargs: Any) -> dict[str, Any]:
        """An access token of the same family."""
        issue = tokens.prepare(
            user, family=user.family, scope=scope, jkt=self.request.jkt, x5t=self.request.x5t,
            resource=self.request.resource, with_refresh=False, now=self.request.now,
        )  # fmt: skip
        self.request.issue = access_tokens.in_form(issue, registry=self.server.registry)
        return token_response(self.request.issue)

    def revoke_old_credential(self, refresh_token: HeldToken) -> None:
        """Not rotated."""


def use_up(request: FormRequest, bound: BoundCode, *, issuer: str) -> None:
    """Look at certificate, key and resource; last, use the code up. Raises OAuth2Error."""
    request.x5t = shown_certificate(request, expected_x5t=bound.x5t)
    request.jkt = proved_key_of(request, must=bound.jkt is not None, expected_jkt=bound.jkt)
    request.resource = _narrowed(request, bound, issuer)
    if not codes.use(bound, request.now):
        # Another request with the same code was faster by a moment.
        tokens.revoke_family(bound.digest, client_id=bound.client_id, now=request.now)
        raise InvalidGrantError("the code was used before")


def first_tokens(request: FormRequest, bound: BoundCode, scope: str, *, registry: Registry) -> dict[str, Any]:
    """What a code brings: access and refresh token, and what was granted."""
    wants_refresh = request.client.is_data or "offline_access" in scope.split()
    wants_refresh = wants_refresh and request.client.check_grant_type(RefreshGrant.GRANT_TYPE)
    issue = tokens.prepare(
        bound, family=bound.digest, scope=scope, jkt=request.jkt, x5t=request.x5t,
        resource=request.resource, with_refresh=wants_refresh, now=request.now,
    )  # fmt: skip
    request.issue = access_tokens.in_form(issue, registry=registry)
    return token_response(request.issue)


def token_response(issue: tokens.Issue) -> dict[str, Any]:
    """RFC 6749 section 5.1, RFC 9449 section 5, RFC 9396 section 7, and which consent in which version it is."""
    body: dict[str, Any] = {
        "access_token": issue.access_token,
        "token_type": "DPoP" if issue.jkt else "Bearer",
        "expires_in": issue.expires_in,
    }
    if issue.refresh_token:
        body["refresh_token"] = issue.refresh_token
    if issue.scope:
        body["scope"] = issue.scope
    if details := authorization_details.granted(issue.bound):
        body["authorization_details"] = details
    return body | {"grant_id": issue.bound.consent_id, "consent_version": issue.bound.version}


def demand_active(bound: Bound, request: FormRequest) -> None:
    """Refuse with the reason why the consent cannot be used now. Raises InvalidGrantError."""
    inactive = why_inactive(bound, request.now)
    if inactive is not None:
        raise InvalidGrantError(inactive.reason.value)


def _narrowed(request: FormRequest, bound: Bound, issuer: str) -> str:
    """Whom the access token will be for (RFC 8707 section 2.2): some of what was asked, or all of it.

    Details are not narrowed here: a client that wants less says so where the holder sees it (RFC 9396 section 6).
    """
    if "authorization_details" in request.form:
        raise InvalidAuthorizationDetailsError("authorization_details belongs into the authorization request")
    return resources.narrowed(request.form.get("resource", ""), bound.resource, issuer=issuer)


def proved_key_of(request: FormRequest, *, must: bool, expected_jkt: str | None) -> str | None:
    """The key that the tokens will be bound to: required of data clients (FAPI 2.0), and where it ``must`` be.

    Others may prove one, and get bound tokens then (RFC 9449 section 5). A certificate stands in for it.
    """
    client: RegisteredClient = request.client
    must = must or client.options.dpop_bound_access_tokens or (client.is_data and request.x5t is None)
    if not request.sender.proofs:
        if must:
            raise InvalidRequestError("a DPoP proof is missing")
        return None
    with as_oauth():
        return proved_key(request.sender, now=request.now, expected_jkt=expected_jkt).jkt


def shown_certificate(request: FormRequest, *, expected_x5t: str | None) -> str | None:
    """The certificate that the tokens will be bound to, of a client that is registered so (RFC 8705 section 3.4)."""
    if expected_x5t is None and not request.client.options.tls_client_certificate_bound_access_tokens:
        return None
    certificate = request.sender.certificate
    if certificate is None:
        raise InvalidRequestError("a client certificate is missing: use the address in mtls_endpoint_aliases")
    if expected_x5t not in (None, certificate.x5t):
        raise InvalidGrantError("the code is bound to another certificate")
    return certificate.x5t
