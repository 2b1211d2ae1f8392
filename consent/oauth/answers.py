"""What the client is answered through the browser: a code or an error (RFC 6749 section 4.1.2).

How the answer travels, and that it carries ``state`` and ``iss``, is :mod:`consent.oauth.response_modes`.
"""

import datetime as dt
from typing import Any

from consent import clients, history, subjects
from consent.claims import AskedClaims
from consent.history import Registry
from consent.oauth import bindings, codes, par, response_modes, sessions
from consent.oauth.errors import plain
from consent.oauth.par import AuthorizationRequest
from consent.oauth.response_modes import NOWHERE, Answer, ResponseMode, WayBack
from consent.records import Consent, State
from dataspace.errors import Conflict, NotAllowed
from dataspace.mandates import Actor
from dataspace.signins import AMR_PASSKEY


def with_code(
    request: AuthorizationRequest, consent: Consent, actor: Actor, now: dt.datetime, *, registry: Registry
) -> Answer:
    """Issue a code for a consent in this transaction, and the answer that brings it.

    Raises Conflict when the consent is not active (any more), NotAllowed when it is another client's.
    """
    if consent.client_id != request.client_id:
        raise NotAllowed("the consent belongs to another client")
    if consent.state != State.ACTIVE:
        raise Conflict(f"the consent is {consent.state}")
    asked = request.parameters
    # A code carries nothing that the holder's consent does not name: an older sign-in may have been for less.
    agreed, _digest = history.current_document(consent)
    scope = " ".join(name for name in asked["scope"].split() if name in agreed["scope"])
    code = codes.issue(
        consent_id=consent.consent_id,
        client_id=request.client_id,
        redirect_uri=asked.get("redirect_uri", ""),
        scope=scope,
        code_challenge=asked.get("code_challenge"),
        nonce=asked.get("nonce"),
        jkt=request.jkt,
        x5t=asked.get("x5t"),
        signed_in=bindings.SignInFacts(auth_time=actor.auth_time, acr=actor.acr, amr=" ".join(AMR_PASSKEY)),
        now=now,
        resource=asked.get("resource", ""),
        claims=_agreed_claims(asked.get("claims", {}), agreed["claims"], consent.kind),
        sid=_sid(consent, actor, now, registry) if "openid" in scope.split() else None,
        digest=bytes.fromhex(request.uri_digest) if request.is_fetched else None,
        life=par.COLLECTED if request.is_fetched else codes.LIFE,
    )
    way = way_back(request)
    return NOWHERE if way is None else response_modes.answer(way, {"code": code}, now, registry=registry)


def once_more(
    request: AuthorizationRequest, consent: Consent, actor: Actor, now: dt.datetime, *, registry: Registry
) -> Answer | None:
    """The answer with another code in place of the first, which got lost on the way; None if the client has used it.

    Raises what :func:`with_code` raises.
    """
    codes.forget_unused(consent.consent_id)
    if codes.is_fetched(consent.consent_id):
        return None
    return with_code(request, consent, actor, now, registry=registry)


def with_error(
    request: AuthorizationRequest, error: str, description: str, now: dt.datetime, *, registry: Registry
) -> Answer:
    """The answer when there is no code, for instance with ``access_denied``."""
    way = way_back(request)
    return NOWHERE if way is None else refusal(way, error, description, now, registry=registry)


def refusal(way: WayBack, error: str, description: str, now: dt.datetime, *, registry: Registry) -> Answer:
    """The same for a request that was never stored."""
    said = {"error": error, "error_description": plain(description)}
    return response_modes.answer(way, said, now, registry=registry)


def way_back(request: AuthorizationRequest) -> WayBack | None:
    """Where and how the client of a stored request wants to be answered, as it was checked then.

    None when it waits and fetches the answer itself.
    """
    asked = request.parameters
    if request.is_fetched:
        return None
    return WayBack(
        client_id=request.client_id,
        redirect_uri=asked["redirect_uri"],
        mode=ResponseMode(asked.get("response_mode", ResponseMode.QUERY)),
        signing_alg=asked.get("authorization_signed_response_alg", ""),
        state=asked.get("state"),
    )


def _sid(consent: Consent, actor: Actor, now: dt.datetime, registry: Registry) -> str | None:
    """The client has signed somebody in during this sign-in, and hears when it is over."""
    subject = subjects.of(consent.holder_id, clients.get(consent.client_id), registry.index)
    return sessions.join(actor.signin_id, consent.client_id, subject, now)


def _agreed_claims(asked: dict[str, list[str]], agreed: list[str], kind: str) -> dict[str, Any] | None:
    """What of the person the holder's consent names (``agreed``), and which of it was asked for where by name.

    A consent to data names items: whatever is asked for here tells of them only (:mod:`consent.oauth.identity`).
    """
    if kind == "data":
        agreed = AskedClaims(userinfo=tuple(asked.get("userinfo", ())), id_token=tuple(asked.get("id_token", ()))).named
    if not agreed:
        return None
    return {"agreed": agreed} | {place: [n for n in names if n in agreed] for place, names in asked.items()}
