"""What is checked of an authorization request: each check looks at one thing and raises an OAuth error.

In which order, and for which endpoint, is said by the table in :mod:`consent.oauth.requests`.
"""

import datetime as dt
import re
from dataclasses import replace

from authlib.oauth2.rfc6749 import (
    InvalidRequestError,
    InvalidScopeError,
    UnauthorizedClientError,
    UnsupportedResponseTypeError,
)
from authlib.oidc.core.errors import RegistrationNotSupportedError

from consent import admission, asks, claims, lifecycle, purposes, terms
from consent.asks import Ask
from consent.client_options import CIBA, DEVICE_CODE
from consent.clients import Profile, Standing
from consent.oauth import ciba_request, grant_management, id_tokens, request_objects, resources
from consent.oauth.drafts import Draft, Endpoint
from consent.oauth.errors import (
    InvalidAuthorizationDetailsError,
    InvalidGrantIdError,
    InvalidProofError,
    UnmetAuthenticationRequirementsError,
    as_oauth,
)
from consent.oauth.possession import proved_key
from consent.records import why_inactive
from dataspace.jose import InvalidToken
from dataspace.signins import ACR_PASSKEY

# What belongs to a way through the browser, and means nothing to a client that fetches its answer.
FOR_A_BROWSER = (
    "response_type",
    "redirect_uri",
    "response_mode",
    "state",
    "code_challenge",
    "code_challenge_method",
    "prompt",
)
SCOPES = {
    Profile.LOGIN: ("openid", *claims.SCOPES, "offline_access"),
    Profile.DATA: ("openid", "offline_access", *grant_management.SCOPES),
}
PROMPTS = ("none", "login", "consent", "select_account")
MAX_STATE = 1024
MAX_LOCALES = 200
MAX_NONCE = 500  # the column of the code
MAX_AGE = 10 * 365 * 24 * 3600  # seconds; more than that is a mistake
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # RFC 7636 section 4.2: base64url of a SHA-256
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")  # RFC 7638


def client_exists(draft: Draft) -> None:
    """An unknown client is told on a page of ours: nobody vouches for the redirect URI."""
    if draft.party.client_id != draft.parameters.get("client_id", draft.party.client_id):
        raise InvalidRequestError("client_id is not the authenticated client")


def client_is_in_good_standing(draft: Draft) -> None:
    """A suspended client asks nothing, and no browser is sent to it."""
    if draft.party.standing != Standing.GOOD:
        raise UnauthorizedClientError("client_suspended")


def redirect_uri_is_registered(draft: Draft) -> None:
    """Character by character (RFC 9700 section 2.1)."""
    if not draft.get("redirect_uri"):
        raise InvalidRequestError("redirect_uri is missing")
    if not draft.party.check_redirect_uri(draft.get("redirect_uri")):
        raise InvalidRequestError("redirect_uri is not registered for this client")


def request_uri_is_not_pushed(draft: Draft) -> None:
    """RFC 9126 section 2.1, step 2."""
    if "request_uri" in draft.parameters:
        raise InvalidRequestError("request_uri has no place in a pushed request")


def fetching_is_registered(draft: Draft) -> None:
    """RFC 8628 and CIBA, for clients that read data only.

    For a sign-in a code on a screen is too good a bait (RFC 8628 section 5.4), and so is a request out of the blue.
    """
    grant = DEVICE_CODE if draft.endpoint is Endpoint.DEVICE else CIBA
    if not draft.party.is_data or not draft.party.check_grant_type(grant):
        raise UnauthorizedClientError("this client is not registered for this grant")


def nothing_is_for_a_browser(draft: Draft) -> None:
    """The answer is fetched at the token endpoint; a client that means another way is told."""
    for name in FOR_A_BROWSER:
        if name in draft.parameters:
            raise InvalidRequestError(f"{name} has no place where the answer is fetched")


def an_id_token_is_asked(draft: Draft) -> None:
    """CIBA Core section 7.1: it is OpenID Connect."""
    if "openid" not in draft.scope:
        raise InvalidScopeError("openid is missing")


def one_hint_says_who(draft: Draft) -> None:
    """CIBA Core section 7.1. Whether there is such a person is asked of nobody here."""
    ciba_request.demand_one_hint(draft.parameters)


def message_can_be_shown(draft: Draft) -> None:
    """CIBA Core section 7.1: what the person compares with what the client has said to her."""
    ciba_request.demand_showable(draft.get("binding_message"))


def expiry_is_possible(draft: Draft) -> None:
    """CIBA Core section 7.1; the answer says what was made of it."""
    draft.life = ciba_request.life(draft.get("requested_expiry"))


def request_is_pushed_where_it_must(draft: Draft) -> None:
    """FAPI 2.0 section 5.3.2.2: no data request through the browser. For others: RFC 9126 section 6."""
    if draft.party.is_data or draft.party.options.require_pushed_authorization_requests:
        raise InvalidRequestError("this client must push its requests")


def request_object_is_opened(draft: Draft) -> None:
    """From here on the parameters are those that count, whether they came plain or as a request object."""
    around = request_objects.Surroundings(
        issuer=draft.registry.issuer, keys=draft.keys, now=draft.now, once=draft.endpoint is not Endpoint.AUTHORIZE
    )
    if draft.endpoint is Endpoint.CIBA:
        around = replace(around, needed=ciba_request.SIGNED_CLAIMS)
        draft.client = draft.party.signing_backchannel_requests()
    draft.parameters = request_objects.unwrap(draft.parameters, draft.party, around)


def no_client_registers_itself(draft: Draft) -> None:
    """The parameter of self-issued providers (OpenID Connect Core section 7.2.1)."""
    if "registration" in draft.parameters:
        raise RegistrationNotSupportedError


def response_type_is_code(draft: Draft) -> None:
    """RFC 6749 section 4.1.1."""
    if not draft.get("response_type"):
        raise InvalidRequestError("response_type is missing")
    if not draft.party.check_response_type(draft.get("response_type")):
        raise UnsupportedResponseTypeError("other than code")


def response_mode_is_offered(draft: Draft) -> None:
    """OAuth 2.0 Multiple Response Type Encoding Practices section 2.1, Form Post Response Mode, JARM section 2.3."""
    if draft.response_mode is None:
        raise InvalidRequestError("response_mode is not supported, or not registered for this client")


def challenge_is_s256(draft: Draft) -> None:
    """RFC 7636, S256 only (RFC 9700 section 2.1.1): data clients must, others may.

    Every client here is confidential, so that one which signs people in may protect itself by the nonce instead. What
    is begun with a challenge ends with its verifier, and without one there is none: the token endpoint sees to that.
    """
    named = draft.get("code_challenge") or draft.get("code_challenge_method")
    if not named and not draft.party.is_data:
        return
    if not draft.get("code_challenge"):
        raise InvalidRequestError("code_challenge is missing")
    if draft.get("code_challenge_method") != "S256":
        raise InvalidRequestError("code_challenge_method must be S256")
    if not _CHALLENGE.fullmatch(draft.get("code_challenge")):
        raise InvalidRequestError("code_challenge is not a base64url encoded SHA-256 digest")


def state_and_nonce_are_short(draft: Draft) -> None:
    """They come back in a URL and in an ID token."""
    if len(draft.get("state")) > MAX_STATE:
        raise InvalidRequestError(f"state has more than {MAX_STATE} characters")
    if len(draft.get("ui_locales")) > MAX_LOCALES:
        raise InvalidRequestError(f"ui_locales has more than {MAX_LOCALES} characters")
    if len(draft.get("nonce")) > MAX_NONCE:
        raise InvalidRequestError(f"nonce has more than {MAX_NONCE} characters")


def scope_is_allowed(draft: Draft) -> None:
    """A sign-in needs openid, and what it does not know is left out (OpenID Connect Core section 3.1.2.1).

    What a data client asks is in authorization_details, or all that is registered for a purpose by the scope of its
    name. Any other scope is refused, not guessed at.
    """
    asked = tuple(dict.fromkeys(draft.get("scope").split()))
    known = SCOPES[Profile(draft.party.profile)]
    draft.scope = tuple(name for name in asked if name in known or draft.party.is_data)
    if draft.party.is_data:
        draft.purpose = _purpose_of([name for name in asked if name not in known], draft.party.client_id)
    elif "openid" not in draft.scope:
        raise InvalidScopeError("openid is missing")


def _purpose_of(scopes: list[str], client_id: str) -> str:
    """The code of the purpose that a scope stands for, "" for none. One request has exactly one purpose."""
    if not scopes:
        return ""
    if len(scopes) > 1 or not purposes.is_approved(client_id, scopes[0]):
        raise InvalidScopeError("a scope is not known here")
    return scopes[0]


def prompt_and_max_age_make_sense(draft: Draft) -> None:
    """OpenID Connect Core section 3.1.2.1."""
    prompts = draft.get("prompt").split()
    if not set(prompts) <= set(PROMPTS) or ("none" in prompts and len(prompts) > 1):
        raise InvalidRequestError("prompt has a value that is not known, or none beside another")
    max_age = draft.get("max_age")
    if max_age and not (re.fullmatch(r"[0-9]{1,9}", max_age) and int(max_age) <= MAX_AGE):
        raise InvalidRequestError("max_age is not a number of seconds")
    draft.max_age = int(max_age) if max_age else draft.party.options.default_max_age


def claims_are_well_formed(draft: Draft) -> None:
    """OpenID Connect Core section 5.5; what we do not offer is ignored, essential or not."""
    with as_oauth():
        draft.claims = claims.parse(draft.get("claims"))
    draft.persons = None if draft.claims.persons is None else list(draft.claims.persons)


def essential_acr_can_be_met(draft: Draft) -> None:
    """OpenID Connect Core section 5.5.1.1. What is not essential is a wish, as acr_values: everybody has a passkey."""
    if draft.claims.acrs is not None and ACR_PASSKEY not in draft.claims.acrs:
        raise UnmetAuthenticationRequirementsError("no sign-in here has an acr that is asked for")


def hint_is_ours(draft: Draft) -> None:
    """OpenID Connect Core section 3.1.2.1: an ID token of this client names whom it expects; it may have expired."""
    if not draft.get("id_token_hint"):
        return
    try:
        hint = id_tokens.recognise(draft.get("id_token_hint"), registry=draft.registry, now=draft.now)
    except InvalidToken:
        raise InvalidRequestError("id_token_hint is not an ID token of ours") from None
    if hint["aud"] != draft.party.client_id:
        raise InvalidRequestError("id_token_hint was issued to another client")
    # Beside a value of the claim sub both must hold.
    draft.persons = [hint["sub"]] if draft.persons is None or hint["sub"] in draft.persons else []


def announced_key_is_a_thumbprint(draft: Draft) -> None:
    """RFC 9449 section 10: dpop_jkt names the key that the code will be bound to."""
    if draft.get("dpop_jkt") and not _THUMBPRINT.fullmatch(draft.get("dpop_jkt")):
        raise InvalidRequestError("dpop_jkt is not a thumbprint")
    draft.jkt = draft.get("dpop_jkt") or None


def key_is_proved(draft: Draft) -> None:
    """RFC 9449 section 10.1: a proof at PAR binds the code to its key, as dpop_jkt does; both must agree."""
    if draft.sender is None or not draft.sender.proofs:
        return
    with as_oauth():
        proof = proved_key(draft.sender, now=draft.now)
    if draft.jkt not in (None, proof.jkt):
        raise InvalidProofError("dpop_jkt is not the key of the proof")
    draft.jkt = proof.jkt


def certificate_is_noted(draft: Draft) -> None:
    """As a proof does, the certificate at PAR binds the code of a client whose tokens will be bound to it."""
    sender = draft.sender
    if sender and sender.certificate and draft.party.options.tls_client_certificate_bound_access_tokens:
        draft.x5t = sender.certificate.x5t


def resource_is_known(draft: Draft) -> None:
    """RFC 8707 section 2.1."""
    named = resources.named(draft.get("resource"), issuer=draft.issuer)
    draft.resource = resources.kept(named, issuer=draft.issuer)


def asks_what_is_registered(draft: Draft) -> None:
    """Over-asking is refused here, by machine, with a sentence that names the offending part."""
    details = draft.parameters.get("authorization_details")
    client_id = draft.party.client_id
    if draft.party.is_data:
        with as_oauth():
            asked = terms.parse(details) if details or not draft.purpose else terms.whole(draft.purpose)
            if draft.purpose not in ("", asked.purpose_code):
                raise InvalidScopeError("scope and authorization_details name different purposes")
            draft.ask = admission.admit(asked, client_id=client_id, scope=draft.scope, now=draft.now)
        _locations_are_ours(asked.locations, draft.issuer)
    elif details:
        raise InvalidAuthorizationDetailsError("this client may only ask to sign somebody in")
    else:
        draft.ask = asks.sign_in(client_id, draft.scope, draft.claims)


def _locations_are_ours(locations: tuple[str, ...], issuer: str) -> None:
    """RFC 9396 section 2.2: the data is here and nowhere else; a client that means another place is told."""
    if not {issuer, f"{issuer}/"}.issuperset(locations):
        raise InvalidAuthorizationDetailsError("locations: the only one is the issuer")


def grant_can_be_replaced(draft: Draft) -> None:
    """Grant Management for OAuth 2.0 sections 5.2 and 5.4: "replace" names a live consent of this client and purpose.

    "create" is what happens anyway; "merge" is not offered.
    """
    action, grant_id = draft.get("grant_management_action"), draft.get("grant_id")
    if (action or grant_id) and not draft.party.is_data:
        raise InvalidRequestError("grants are managed by clients that read data")
    if action not in ("", "create", "replace"):
        raise InvalidRequestError("grant_management_action is not supported")
    if bool(grant_id) != (action == "replace"):
        raise InvalidRequestError("grant_id goes with grant_management_action replace, and with it only")
    if grant_id and draft.ask is not None:
        _demand_replaceable(grant_id, draft.ask, draft.now)


def _demand_replaceable(grant_id: str, ask: Ask, now: dt.datetime) -> None:
    facts = lifecycle.find_facts(grant_id, client_id=ask.client_id)
    fits = facts is not None and (facts.kind, facts.purpose_code) == ("data", ask.purpose_code)
    if not fits or why_inactive(facts, now) is not None:
        raise InvalidGrantIdError("grant_id is not a live grant of this client for this purpose")
    if ask.max_reads is not None and facts.reads >= ask.max_reads:
        # Reads count on in the next version: the holder would agree to something that is used up already.
        raise InvalidAuthorizationDetailsError(f"use.max_reads: {facts.reads} reads are used already")
