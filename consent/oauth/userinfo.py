"""UserInfo (OpenID Connect Core section 5.3): who signed in, for whoever holds an access token with ``openid``."""

import datetime as dt
from typing import Any

from authlib.oauth2.rfc6749 import InvalidRequestError, MissingAuthorizationError, OAuth2Error
from authlib.oauth2.rfc6750 import InsufficientScopeError, InvalidTokenError

from consent.claims import AskedClaims, told
from consent.history import Registry
from consent.keys import KeyUse
from consent.oauth import bindings, identity, resources, tokens
from consent.oauth.dpop import ALGORITHMS
from consent.oauth.errors import InvalidProofError, as_refused_token, plain
from consent.oauth.id_tokens import TYP, subject
from consent.oauth.possession import BEARER, DPOP, Presented, check_possession
from consent.oauth.tokens import BoundToken, Kind
from consent.records import why_inactive
from dataspace import jose

_PROOF = f'DPoP algs="{" ".join(sorted(ALGORITHMS))}"'


def credentials(authorization: str | None, form: dict[str, str]) -> tuple[str, str]:
    """Scheme (lower case) and token, from the header or the body (RFC 6750 sections 2.1 and 2.2), not from both.

    Raises MissingAuthorizationError, InvalidRequestError, InvalidTokenError.
    """
    in_body = form.get("access_token")
    if authorization and in_body:
        raise InvalidRequestError("more than one access token")
    if in_body:
        return BEARER, in_body
    if not authorization:
        raise MissingAuthorizationError
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() not in (BEARER, DPOP) or not token.strip():
        raise InvalidTokenError("unknown authorization scheme")
    return scheme.lower(), token.strip()


def answer(presented: Presented, now: dt.datetime, *, registry: Registry) -> dict[str, Any] | str:
    """What the token tells, as JSON, or as a signed JWT for a client that registered so.

    Raises InvalidTokenError, InsufficientScopeError.
    """
    bound = tokens.find_token(presented.token)
    if bound is None or bound.kind != Kind.ACCESS or bindings.ended_early(bound, bound.revoked_at):
        raise InvalidTokenError("the access token is unknown or revoked")
    if registry.issuer not in resources.audience(bound.resource, issuer=registry.issuer):
        raise InvalidTokenError("the access token is meant for another resource")
    with as_refused_token():
        check_possession(presented, expected_jkt=bound.jkt, expected_x5t=bound.x5t, now=now)
    if inactive := why_inactive(bound, now):
        raise InvalidTokenError(inactive.reason.value)
    if bound.revoked_at is not None or now >= bound.dies_at:
        raise InvalidTokenError("the access token has expired")
    said = _claims(bound, now, registry)
    alg = bound.client_options.get("userinfo_signed_response_alg")
    return _signed(said, bound, alg, now, registry) if alg else said


def challenge(error: OAuth2Error) -> str:
    """The WWW-Authenticate header (RFC 6750 section 3, RFC 9449 section 7.1); no error code when no token came."""
    if isinstance(error, MissingAuthorizationError):
        return f"Bearer, {_PROOF}"
    said = f'error="{error.error}", error_description="{plain(error.get_error_description())}"'
    if isinstance(error, InvalidProofError):
        return f"{_PROOF}, {said}"  # who sends proofs has understood already that a token alone is not enough
    return f"Bearer {said}, {_PROOF}, {said}"


def _claims(bound: BoundToken, now: dt.datetime, registry: Registry) -> dict[str, Any]:
    """By scope and by the claims parameter (OpenID Connect Core sections 5.4 and 5.5), as far as the consent goes."""
    scope = bound.scope.split()
    if "openid" not in scope:
        raise InsufficientScopeError("openid is missing")
    kept = bound.claims or {}
    wanted = told(scope, AskedClaims(userinfo=tuple(kept.get("userinfo", ()))))
    names = [name for name in wanted if name in kept.get("agreed", ())]
    return {"sub": subject(bound, registry.index)} | identity.values(names, bound, now, registry=registry)


def _signed(said: dict[str, Any], bound: BoundToken, alg: str, now: dt.datetime, registry: Registry) -> str:
    """Section 5.3.2. Without exp and iat, so that nobody takes it for an ID token."""
    key = registry.keyring.signing_key(KeyUse.ID_TOKEN, now, alg)
    return jose.sign(said | {"iss": registry.issuer, "aud": bound.client_id}, key, typ=TYP)
