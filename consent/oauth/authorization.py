"""The authorization endpoint (RFC 6749 section 3.1): from what a browser brings to a request that it has opened."""

import datetime as dt

from authlib.oauth2.rfc6749 import InvalidClientError, UnauthorizedClientError
from authlib.oidc.core.errors import ConsentRequiredError, InvalidRequestURIError, LoginRequiredError

from consent import clients, history, lifecycle, subjects
from consent.clients import Standing
from consent.history import Registry
from consent.oauth import answers, par, registered_client, requests
from consent.oauth.client_auth import ClientKeys
from consent.oauth.drafts import Draft, Endpoint
from consent.oauth.par import AuthorizationRequest
from consent.oauth.response_modes import Answer
from consent.records import Consent
from dataspace.errors import NotFound
from dataspace.identifiers import BlindIndex
from dataspace.mandates import Actor


def take(parameters: dict[str, str], *, keys: ClientKeys, now: dt.datetime, registry: Registry) -> str:
    """The request_uri of a pushed request, or of one that is stored here after the same checks. Raises OAuth2Error.

    Beside a request_uri of ours every parameter but client_id is ignored (RFC 9126 section 4, RFC 9101 section 6.3).
    """
    request_uri = parameters.get("request_uri", "")
    if request_uri.startswith(par.PREFIX):
        return request_uri
    draft = Draft(
        endpoint=Endpoint.AUTHORIZE,
        client=registered_client.find(parameters.get("client_id", "")),
        parameters=parameters,
        sender=None,
        registry=registry,
        keys=keys,
        now=now,
    )
    checked = requests.check(draft)
    request_uri, _row = par.push(checked.client_id, checked.parameters, checked.ask, now, jkt=checked.jkt)
    return request_uri


class RequestOver(InvalidRequestURIError):  # type: ignore[misc]
    """A stored request that nobody can open here any more: no mistake of the client's."""


def open_taken(request_uri: str, *, client_id: str, browser: str, now: dt.datetime) -> AuthorizationRequest:
    """Bind the request to the browser. Raises OAuth2Error, to be shown: nobody vouches for where to send it.

    Raises Conflict when this browser has had its answer already.
    """
    client = registered_client.find(client_id)
    if client is None:
        raise InvalidClientError(description="unknown client")
    if client.standing != Standing.GOOD:
        raise UnauthorizedClientError("client_suspended")
    try:
        return par.open_in_browser(request_uri, client_id=client_id, browser=browser, now=now)
    except NotFound as error:
        raise RequestOver(error.detail) from None


def handle_of(request_uri: str) -> str:
    """The handle of a stored request, empty when there is none."""
    found = par.find(request_uri)
    return found.handle if found else ""


def is_silent(request: AuthorizationRequest) -> bool:
    """Whether the client wants an answer without any page (OpenID Connect Core section 3.1.2.1)."""
    return request.parameters.get("prompt") == "none"


def answer_silently(
    request: AuthorizationRequest, actor: Actor | None, now: dt.datetime, *, registry: Registry
) -> Answer:
    """The answer at once: a code when person and earlier consent are there, else an error."""
    if actor is None or must_sign_in(request, actor) or not is_expected(request, actor, index=registry.index):
        return refuse(request, LoginRequiredError(), now, registry=registry)
    known = earlier_consent(request, actor, now)
    if known is None:
        return refuse(request, ConsentRequiredError(), now, registry=registry)
    par.finish(request, now, consent_id=known.consent_id)
    return answers.with_code(request, known, actor, now, registry=registry)


def must_sign_in(request: AuthorizationRequest, actor: Actor) -> bool:
    """OpenID Connect Core section 3.1.2.1: whether the client asks for a more recent sign-in than this one.

    Who may have several accounts chooses one by the passkey: select_account is a sign-in as well.
    """
    opened, asked = opened_at(request), request.parameters
    if {"login", "select_account"} & set(asked.get("prompt", "").split()) and actor.auth_time < opened:
        return True
    max_age = asked.get("max_age")
    return max_age is not None and actor.auth_time < opened - dt.timedelta(seconds=int(max_age))


def is_expected(request: AuthorizationRequest, actor: Actor, *, index: BlindIndex) -> bool:
    """Whether the person is the one whom the client has named, if it has named one (id_token_hint, claim ``sub``)."""
    persons = request.parameters.get("persons")
    if persons is None:
        return True
    # Only oneself signs in; who acts for a body at the moment is told so by the page.
    holder_id = actor.person_id if request.asked.kind == "login" else actor.holder_id
    return subjects.of(holder_id, clients.get(request.client_id), index) in persons


def opened_at(request: AuthorizationRequest) -> dt.datetime:
    """When the browser came with it."""
    return request.opened_at or request.created_at


def refuse(
    request: AuthorizationRequest,
    error: LoginRequiredError | ConsentRequiredError,
    now: dt.datetime,
    *,
    registry: Registry,
) -> Answer:
    """End the request without an answer of the person."""
    par.finish(request, now, consent_id=None)
    return answers.with_error(request, error.error, "no answer without a page", now, registry=registry)


def earlier_consent(request: AuthorizationRequest, actor: Actor, now: dt.datetime) -> Consent | None:
    """A live consent to everything that is asked; only a plain sign-in can have one."""
    if request.asked.kind != "login":
        return None
    known = lifecycle.active_sign_in(actor.space_id, request.client_id, now)
    if known is None:
        return None
    agreed, _digest = history.current_document(known)
    asked = request.asked
    return known if set(asked.scope) <= set(agreed["scope"]) and set(asked.claims) <= set(agreed["claims"]) else None
