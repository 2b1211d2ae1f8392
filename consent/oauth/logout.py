"""Logout requests of clients, brought by the browser (OpenID Connect RP-Initiated Logout 1.0): the checks, in order.

Whatever is wrong is said on a page of ours: on a request that is wrong nobody is sent anywhere (section 2).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError, UnauthorizedClientError

from consent.clients import Standing
from consent.history import Registry
from consent.oauth import id_tokens, registered_client, sessions
from consent.oauth.registered_client import RegisteredClient
from consent.oauth.request_checks import MAX_STATE
from consent.oauth.response_modes import Answer
from dataspace.jose import InvalidToken
from dataspace.mandates import Actor

# Section 2. logout_hint is not among them: the browser's own sign-in says who is asked.
PARAMETERS = ("id_token_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales")
MAX_LOCALES = 200


@dataclass(frozen=True, kw_only=True)
class LogoutRequest:
    """A request that has passed. ``client_id``: empty when nobody is named; ``hint``: the claims of the ID token."""

    client_id: str
    post_logout_redirect_uri: str  # empty: none was asked for
    state: str
    hint: Mapping[str, object] | None

    @property
    def way_back(self) -> str:
        """Where the browser goes when it is done; empty when it stays here."""
        if not self.post_logout_redirect_uri or not self.state:
            return self.post_logout_redirect_uri
        return Answer(redirect_uri=self.post_logout_redirect_uri, fields={"state": self.state}, by_form=False).url

    def is_about(self, actor: Actor) -> bool:
        """Whether the ID token, if there is one, is of this person's present sign-in."""
        if self.hint is None:
            return True
        here = sessions.find(actor.signin_id, self.client_id)
        if here is None:
            return False
        return self.hint["sid"] == here.sid if "sid" in self.hint else self.hint["sub"] == here.subject


def check(parameters: Mapping[str, str], now: dt.datetime, *, registry: Registry) -> LogoutRequest:
    """Raises OAuth2Error, to be shown."""
    hint = _recognised(parameters.get("id_token_hint", ""), now, registry)
    client_id = _named(parameters.get("client_id", ""), hint)
    client = _registered(client_id) if client_id else None
    wanted = parameters.get("post_logout_redirect_uri", "")
    if wanted:
        _demand_registered(wanted, client)
    state = parameters.get("state", "")
    if len(state) > MAX_STATE:
        raise InvalidRequestError(f"state has more than {MAX_STATE} characters")
    if len(parameters.get("ui_locales", "")) > MAX_LOCALES:
        raise InvalidRequestError(f"ui_locales has more than {MAX_LOCALES} characters")
    return LogoutRequest(client_id=client_id, post_logout_redirect_uri=wanted, state=state, hint=hint)


def _recognised(unverified_hint: str, now: dt.datetime, registry: Registry) -> dict[str, object] | None:
    """An ID token of ours, of any age: what it is about may have begun long ago."""
    if not unverified_hint:
        return None
    try:
        return id_tokens.recognise(unverified_hint, registry=registry, now=now)
    except InvalidToken:
        raise InvalidRequestError("id_token_hint is not an ID token of ours") from None


def _named(client_id: str, hint: dict[str, object] | None) -> str:
    """Whoever sends the browser; when it is said twice, both must agree."""
    if hint is not None and client_id not in ("", hint["aud"]):
        raise InvalidRequestError("id_token_hint was issued to another client")
    return client_id or (str(hint["aud"]) if hint is not None else "")


def _registered(client_id: str) -> RegisteredClient:
    client = registered_client.find(client_id)
    if client is None:
        raise InvalidClientError(description="unknown client")
    return client


def _demand_registered(wanted: str, client: RegisteredClient | None) -> None:
    """Character by character, and only to a client that we know and that is in good standing (section 3)."""
    if client is None:
        raise InvalidRequestError("post_logout_redirect_uri needs client_id or id_token_hint beside it")
    if wanted not in client.options.post_logout_redirect_uris:
        raise InvalidRequestError("post_logout_redirect_uri is not registered for this client")
    if client.standing != Standing.GOOD:
        raise UnauthorizedClientError("client_suspended")
