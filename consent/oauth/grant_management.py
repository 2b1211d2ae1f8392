"""Grant Management for OAuth 2.0 (FAPI): a client looks at what it was granted, and gives it back.

The draft leaves open how a client gets the access token for these calls. Here it asks for the scopes
``grant_management_query`` and ``grant_management_revoke`` in the very request that brings the grant: every library can
do that, the token is bound to the client's key like any other, and it opens the one grant that it came with and no
other. A grant_id is the id of a consent.
"""

import datetime as dt
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from authlib.oauth2.rfc6749 import OAuth2Error
from authlib.oauth2.rfc6750 import InsufficientScopeError, InvalidTokenError

from consent import endings, history, lifecycle
from consent.history import Registry
from consent.oauth import authorization_details, resources, tokens
from consent.oauth.bindings import Bound
from consent.oauth.errors import as_refused_token
from consent.oauth.possession import Presented, check_possession
from consent.oauth.tokens import BoundToken, Kind
from consent.records import Reason, why_inactive
from dataspace.errors import Conflict

# Section 6.1: the scope that each call needs.
QUERY, REVOKE = "grant_management_query", "grant_management_revoke"
SCOPES: Mapping[str, str] = MappingProxyType({QUERY: "to look at the grant", REVOKE: "to give it back"})
ACTIONS = ("query", "revoke", "create", "replace")  # section 7.1; "merge" is not offered
# A grant that rests for one of these is still there, to be looked at and given back; any other reason has ended it.
RESTING = frozenset({Reason.PAUSED, Reason.SUSPENDED, Reason.CLIENT_SUSPENDED})


class NoSuchGrant(OAuth2Error):  # type: ignore[misc]
    """Section 6.6: unknown, ended, or not the one that the token came with."""

    error = "invalid_grant_id"
    status_code = 404


def query(unverified_grant_id: str, presented: Presented, now: dt.datetime, *, issuer: str) -> dict[str, Any]:
    """What is granted, as the holder left it (section 6.4).

    Raises InvalidTokenError, InsufficientScopeError, NoSuchGrant.
    """
    bound = _grant(unverified_grant_id, presented, now, scope=QUERY, issuer=issuer)
    consent = lifecycle.get(bound.consent_id)
    document, _digest = history.current_document(consent)
    said: dict[str, Any] = {
        "created_at": int(consent.created_at.timestamp()),
        "last_updated_at": int(dt.datetime.fromisoformat(document["created_at"]).timestamp()),
        "expires_at": int(bound.expires_at.timestamp()),
    }
    if document["scope"]:
        said["scopes"] = [{"scope": " ".join(document["scope"])}]
    if "openid" in document["scope"]:
        said["claims"] = ["sub", *document["claims"]]
    if details := authorization_details.granted(bound):
        said["authorization_details"] = details
    return said


def give_back(unverified_grant_id: str, presented: Presented, now: dt.datetime, *, registry: Registry) -> None:
    """The consent ends, and with it every token of it (section 6.5). Raises as :func:`query`."""
    bound = _grant(unverified_grant_id, presented, now, scope=REVOKE, issuer=registry.issuer)
    try:
        endings.give_back(bound.consent_id, bound.client_id, now, registry=registry)
    except Conflict:  # the holder was faster by a moment
        raise NoSuchGrant from None


def may_manage(bound: Bound, scope: str, now: dt.datetime) -> bool:
    """Whether a grant rests, and whoever asks for a token of this scope wants nothing but these calls.

    Nothing can be read with such a token: every read looks at the consent itself.
    """
    inactive = why_inactive(bound, now)
    wanted = set(scope.split())
    return inactive is not None and inactive.reason in RESTING and bool(wanted) and wanted <= SCOPES.keys()


def _grant(grant_id: str, presented: Presented, now: dt.datetime, *, scope: str, issuer: str) -> BoundToken:
    bound = tokens.find_token(presented.token)
    if bound is None or bound.kind != Kind.ACCESS or bound.revoked_at is not None or now >= bound.dies_at:
        raise InvalidTokenError("the access token is unknown, expired or revoked")
    if issuer not in resources.audience(bound.resource, issuer=issuer):
        raise InvalidTokenError("the access token is meant for another resource")
    with as_refused_token():
        check_possession(presented, expected_jkt=bound.jkt, expected_x5t=bound.x5t, now=now)
    if scope not in bound.scope.split():
        raise InsufficientScopeError(f"{scope} is missing")
    inactive = why_inactive(bound, now)
    if bound.consent_id != grant_id or (inactive is not None and inactive.reason not in RESTING):
        raise NoSuchGrant
    return bound
