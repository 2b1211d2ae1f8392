"""Access tokens as JWT (RFC 9068), for resource servers that are registered for them.

They verify it by our published keys, without asking us. It is stored by digest as every token is, so introspection and
revocation tell the truth of the moment to whoever does ask.
"""

import secrets
from dataclasses import replace
from typing import Any

from consent.history import Registry
from consent.keys import KeyUse
from consent.oauth import authorization_details, bindings, resources
from consent.oauth.id_tokens import subject
from consent.oauth.tokens import Issue
from dataspace import jose

TYP = "at+jwt"


def in_form(issue: Issue, *, registry: Registry) -> Issue:
    """The same issue with its access token as a JWT, when every resource that it is meant for takes one."""
    if not issue.resource:
        return issue
    uris = set(resources.audience(issue.resource, issuer=registry.issuer))
    known = resources.formats(uris - {registry.issuer})
    if any(known.get(uri) != "jwt" for uri in uris):
        return issue
    key = registry.keyring.signing_key(KeyUse.TOKENS, issue.now)
    return replace(issue, access_token=jose.sign(_claims(issue, registry), key, typ=TYP))


def _claims(issue: Issue, registry: Registry) -> dict[str, Any]:
    """RFC 9068 section 2.2, RFC 9396 section 9.1, RFC 9449 section 6.1, RFC 8705 section 3.1."""
    bound = issue.bound
    uris = resources.audience(issue.resource, issuer=registry.issuer)
    said: dict[str, Any] = {
        "iss": registry.issuer,
        "aud": uris[0] if len(uris) == 1 else uris,
        "sub": subject(bound, registry.index),
        "client_id": bound.client_id,
        "iat": int(issue.now.timestamp()),
        "exp": int(issue.access_expires_at.timestamp()),
        "jti": secrets.token_urlsafe(16),
        "auth_time": int(bound.auth_time.timestamp()),
        "acr": bound.acr,
        "amr": bound.amr.split(),
        "grant_id": bound.consent_id,
        "consent_version": bound.version,
    }
    if issue.scope:
        said["scope"] = issue.scope
    if cnf := bindings.confirmation(issue):
        said["cnf"] = cnf
    if details := authorization_details.granted(bound):
        said["authorization_details"] = details
    return said
