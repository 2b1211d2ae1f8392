"""Answers to the client through the browser: the redirect with a code or an error (RFC 6749 section 4.1.2).

Every answer carries ``state`` as it came and ``iss`` (RFC 9207 section 2).
"""

import datetime as dt
from urllib.parse import urlencode

from consent import lifecycle
from consent.oauth import tokens
from consent.oauth.errors import plain
from consent.oauth.par import AuthorizationRequest
from consent.records import Consent, State
from dataspace.errors import Conflict, NotAllowed
from dataspace.mandates import Actor

# RFC 8176: possession of a key was proved, the person was there, and so there were two factors.
AMR = "pop user mfa"


def code_redirect(
    request: AuthorizationRequest, consent: Consent, actor: Actor, now: dt.datetime, *, issuer: str
) -> str:
    """Issue a code for a consent in this transaction and return where to send the browser.

    Raises Conflict when the consent is not active (any more), NotAllowed when it is another client's.
    """
    if consent.client_id != request.client_id:
        raise NotAllowed("the consent belongs to another client")
    if consent.state != State.ACTIVE:
        raise Conflict(f"the consent is {consent.state}")
    asked = request.parameters
    code = tokens.issue_code(
        consent_id=consent.consent_id,
        client_id=request.client_id,
        redirect_uri=asked["redirect_uri"],
        scope=_agreed_scope(asked["scope"], consent),
        code_challenge=asked["code_challenge"],
        nonce=asked.get("nonce"),
        jkt=request.jkt,
        signed_in=tokens.SignInFacts(auth_time=actor.auth_time, acr=actor.acr, amr=AMR),
        now=now,
        resource=asked.get("resource", ""),
    )
    return redirect_to(asked["redirect_uri"], {"code": code, "state": asked.get("state"), "iss": issuer})


def error_redirect(request: AuthorizationRequest, error: str, description: str = "", *, issuer: str) -> str:
    """Where to send the browser when there is no code, for instance with ``access_denied``."""
    asked = request.parameters
    return error_url(asked["redirect_uri"], error, description, state=asked.get("state"), issuer=issuer)


def error_url(redirect_uri: str, error: str, description: str, *, state: str | None, issuer: str) -> str:
    """The same for a request that was never stored; ``redirect_uri`` is one that the client registered."""
    said = {"error": error, "error_description": plain(description), "state": state, "iss": issuer}
    return redirect_to(redirect_uri, said)


def redirect_to(redirect_uri: str, parameters: dict[str, str | None]) -> str:
    """A registered redirect URI, its own query untouched (RFC 6749 section 3.1.2), with parameters added."""
    query = urlencode({name: value for name, value in parameters.items() if value})
    return f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{query}"


def _agreed_scope(asked: str, consent: Consent) -> str:
    """A code carries no scope that the holder's consent does not name: an older sign-in may have been for less."""
    document, _digest = lifecycle.current_document(consent)
    return " ".join(name for name in asked.split() if name in document["scope"])
