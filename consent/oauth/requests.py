"""The checks of an authorization request, in order. PAR and /authorize run the same list.

The table :data:`CHECKS` says which endpoint runs which; :mod:`consent.oauth.request_checks` what each one looks at.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from authlib.oauth2.rfc6749 import OAuth2Error

from consent.asks import Ask
from consent.oauth import request_checks as rule
from consent.oauth.drafts import Draft, Endpoint

# What is kept of a checked request; everything else in it is forgotten.
KEPT = (
    "redirect_uri",
    "response_mode",
    "state",
    "nonce",
    "code_challenge",
    "prompt",
    "ui_locales",
    "grant_id",
    "binding_message",
)
# Which endpoints a check is for.
BY_BROWSER = (Endpoint.PAR, Endpoint.AUTHORIZE)
ALL = tuple(Endpoint)
FETCHED = (Endpoint.DEVICE, Endpoint.CIBA)
PUSHED = (Endpoint.PAR, *FETCHED)
AUTHORIZE, BACKCHANNEL = (Endpoint.AUTHORIZE,), (Endpoint.CIBA,)
CHECKS: tuple[tuple[Callable[[Draft], None], tuple[Endpoint, ...]], ...] = (
    (rule.client_exists, ALL),
    (rule.client_is_in_good_standing, ALL),
    (rule.request_uri_is_not_pushed, PUSHED),
    (rule.fetching_is_registered, FETCHED),
    (rule.request_is_pushed_where_it_must, AUTHORIZE),
    (rule.request_object_is_opened, ALL),
    (rule.nothing_is_for_a_browser, FETCHED),
    (rule.one_hint_says_who, BACKCHANNEL),
    (rule.message_can_be_shown, BACKCHANNEL),
    (rule.expiry_is_possible, BACKCHANNEL),
    (rule.redirect_uri_is_registered, BY_BROWSER),
    (rule.no_client_registers_itself, ALL),
    (rule.response_type_is_code, BY_BROWSER),
    (rule.response_mode_is_offered, BY_BROWSER),
    (rule.challenge_is_s256, BY_BROWSER),
    (rule.state_and_nonce_are_short, ALL),
    (rule.scope_is_allowed, ALL),
    (rule.an_id_token_is_asked, BACKCHANNEL),
    (rule.prompt_and_max_age_make_sense, ALL),
    (rule.claims_are_well_formed, ALL),
    (rule.essential_acr_can_be_met, ALL),
    (rule.hint_is_ours, ALL),
    (rule.announced_key_is_a_thumbprint, ALL),
    (rule.key_is_proved, PUSHED),
    (rule.certificate_is_noted, PUSHED),
    (rule.resource_is_known, ALL),
    (rule.asks_what_is_registered, ALL),
    (rule.grant_can_be_replaced, ALL),
)


@dataclass(frozen=True, kw_only=True)
class CheckedRequest:
    """A request that has passed: what :func:`consent.oauth.par.push` stores."""

    client_id: str
    parameters: dict[str, Any]
    ask: Ask
    jkt: str | None


def check(draft: Draft) -> CheckedRequest:
    """Run the list. Raises OAuth2Error; at /authorize its ``way_back`` says where it goes, None that it is shown."""
    try:
        for passes, endpoints in CHECKS:
            if draft.endpoint in endpoints:
                passes(draft)
    except OAuth2Error as error:
        if draft.endpoint is Endpoint.AUTHORIZE:
            error.way_back = draft.way_back
        raise
    kept: dict[str, Any] = {name: draft.parameters[name] for name in KEPT if name in draft.parameters}
    max_age = None if draft.max_age is None else str(draft.max_age)
    found = {"scope": " ".join(draft.scope), "max_age": max_age, "persons": draft.persons}
    kept |= {name: value for name, value in found.items() if value is not None}
    if draft.claims.named or (draft.ask is not None and draft.ask.claims):
        kept["claims"] = {"userinfo": draft.claims.userinfo, "id_token": draft.claims.id_token}
    if draft.resource:
        kept["resource"] = draft.resource
    if draft.response_mode is not None and draft.response_mode.signed:
        kept["authorization_signed_response_alg"] = draft.party.response_alg
    if draft.x5t:
        kept["x5t"] = draft.x5t
    if draft.ask is None:
        raise TypeError("no check has found out what is asked")
    return CheckedRequest(client_id=draft.party.client_id, parameters=kept, ask=draft.ask, jkt=draft.jkt)
