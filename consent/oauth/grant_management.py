"""Grant Management for OAuth 2.0 (FAPI): a client looks at what it was granted, and gives it back.

The draft leaves open how a client gets the access token for these calls. Here it asks for the scopes
``grant_management_query`` and ``grant_management_revoke`` in the very request that brings the grant: every library can
do that, the token is bound to the client's key like any other, and it opens the one grant that it came with and no
other. A grant_id is the id of a consent.
"""

import datetime as dt
from typing import Any

from authlib.oauth2.rfc6749 import OAuth2Error
from authlib.oauth2.rfc6750 import InsufficientScopeError, InvalidTokenError

from consent import lifecycle
from consent.oauth import authorization_details, resources, tokens
from consent.oauth.dpop import InvalidProof
from consent.oauth.errors import plain
from consent.oauth.possession import Presented, WrongScheme, check_possession
from consent.oauth.tokens import BoundToken, Kind
from consent.records import TRANSITIONS, Event, State
from dataspace.errors import Conflict

QUERY, REVOKE = "grant_management_query", "grant_management_revoke"
ACTIONS = ("query", "revoke", "create", "replace")


class NoSuchGrant(OAuth2Error):  # type: ignore[misc]
    """Section 6.4: unknown, ended, or not the one that the token came with."""

    error = "invalid_grant_id"
    status_code = 404


def query(unverified_grant_id: str, presented: Presented, now: dt.datetime, *, issuer: str) -> dict[str, Any]:
    """What is granted, as the holder left it (section 6.3).

    Raises InvalidTokenError, InsufficientScopeError, NoSuchGrant.
    """
    bound = _grant(unverified_grant_id, presented, now, scope=QUERY, issuer=issuer)
    document, _digest = lifecycle.current_document(lifecycle.get(bound.consent_id))
    said: dict[str, Any] = {}
    if document["scope"]:
        said["scopes"] = [{"scope": " ".join(document["scope"])}]
    if "openid" in document["scope"]:
        said["claims"] = ["sub"]
    if details := authorization_details.granted(bound):
        said["authorization_details"] = details
    return said


def give_back(unverified_grant_id: str, presented: Presented, now: dt.datetime, *, issuer: str) -> None:
    """The consent ends, and with it every token of it (section 6.4). Raises as :func:`query`."""
    bound = _grant(unverified_grant_id, presented, now, scope=REVOKE, issuer=issuer)
    try:
        lifecycle.give_back(bound.consent_id, bound.client_id, now)
    except Conflict:  # the holder was faster by a moment
        raise NoSuchGrant from None


def _grant(grant_id: str, presented: Presented, now: dt.datetime, *, scope: str, issuer: str) -> BoundToken:
    bound = tokens.find_token(presented.token)
    if bound is None or bound.kind != Kind.ACCESS or bound.revoked_at is not None or now >= bound.dies_at:
        raise InvalidTokenError("the access token is unknown, expired or revoked")
    if issuer not in resources.audience(bound.resource, issuer=issuer):
        raise InvalidTokenError("the access token is meant for another resource")
    try:
        check_possession(presented, expected_jkt=bound.jkt, now=now)
    except (WrongScheme, InvalidProof) as error:
        raise InvalidTokenError(plain(error.detail)) from None
    if scope not in bound.scope.split():
        raise InsufficientScopeError(f"{scope} is missing")
    # A paused or suspended consent is still there, to be looked at and given back; an ended one is not.
    open_still = (State(bound.state), Event.WITHDRAWN) in TRANSITIONS and now < bound.expires_at
    if bound.consent_id != grant_id or not open_still:
        raise NoSuchGrant
    return bound
