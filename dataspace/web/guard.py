"""The guard of the data API: one Authlib resource protector per application, its challenges, and the line of a refusal.

A view begins an attempt (:func:`begin`). Whatever refuses it afterwards, its query, its body or the consent, is written
into the access log if its token is known.

``wsgi`` installs what turns a presented token into a :class:`dataspace.permission.Permission`; the guard knows no
consent. Challenges are ours: Authlib's are not what RFC 6750 section 3 and RFC 9449 section 7.1 ask for.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from authlib.integrations.flask_oauth2 import ResourceProtector
from authlib.oauth2.rfc6749 import MissingAuthorizationError, TokenValidator, UnsupportedTokenTypeError
from flask import Flask, Response, after_this_request, current_app, g, request

from dataspace import accesses, clock
from dataspace.accesses import Action
from dataspace.db import begin_without_session, db
from dataspace.errors import DomainError
from dataspace.permission import SENSITIVE_ACR, SENSITIVE_MAX_AGE, Permission, ReadRefused
from dataspace.tls import ClientCertificate, client_certificate
from dataspace.web.shell import domain_error, problem_response, services

PROOF_ALGORITHMS = "ES256 EdDSA PS256"
MAX_NAMED = 60  # items in a line of the log
STEP_UP = "insufficient_user_authentication"  # RFC 9470 section 3
USE_NONCE = "use_dpop_nonce"  # RFC 9449 section 9
# Reasons that lie in the token or its proof: the caller has to come back with another one (401).
TOKEN_REASONS = frozenset({"invalid_token", "invalid_dpop_proof", USE_NONCE, STEP_UP})


@dataclass
class Attempt:
    """What a request is about to do; ``permission``: once its token was found to be known, held and in force."""

    action: Action
    wanted: list[str] = field(default_factory=list)  # items, in a form that may stand in the log; empty: all
    permission: Permission | None = None


class PermissionFor(Protocol):
    """Turns what was presented into a Permission. Raises ReadRefused."""

    def __call__(
        self,
        *,
        scheme: str,
        token: str,
        proofs: list[str],
        method: str,
        urls: tuple[str, ...],
        certificate: ClientCertificate | None,
        now: dt.datetime,
        continuing: bool,
    ) -> Permission: ...


class _Scheme(TokenValidator):  # type: ignore[misc]
    """Tells Authlib's protector that a scheme is known, and what judges its tokens."""

    def __init__(self, token_type: str, permission_for: PermissionFor) -> None:
        super().__init__()
        self.TOKEN_TYPE = token_type
        self.permission_for = permission_for


def init_guard(app: Flask, validators: Mapping[str, PermissionFor], *, nonce: Callable[[dt.datetime], str]) -> None:
    """Install one validator per authorization scheme (lower case) in this application.

    ``nonce``: what a client should put into its next DPoP proof (RFC 9449 section 9).
    """
    protector = ResourceProtector()
    for token_type, permission_for in validators.items():
        protector.register_token_validator(_Scheme(token_type, permission_for))
    app.extensions["guard"] = protector
    app.extensions["guard.nonce"] = nonce
    app.register_error_handler(ReadRefused, refused)


def begin(action: Action, wanted: Iterable[str] | None = None) -> None:
    """An attempt at data begins; ``wanted``: the items as the caller named them, None for all.

    The blueprint of such a view has :func:`refused` for its DomainErrors.
    """
    named = [w[:60] if w.isascii() and w.isprintable() else "?" for w in wanted or ()]
    g.attempt = Attempt(action, named[:MAX_NAMED])
    begin_without_session()


def permission(now: dt.datetime, *, continuing: bool = False) -> Permission:
    """The permission of the current request; ``continuing``: a read that was counted before. Raises ReadRefused."""
    protector = current_app.extensions["guard"]
    try:
        scheme, token = protector.parse_request_authorization(request)
    except MissingAuthorizationError:
        raise ReadRefused("missing_token") from None
    except UnsupportedTokenTypeError:
        raise ReadRefused("invalid_token", detail="unknown authorization scheme") from None
    settings = services().settings
    _give_nonce(scheme.TOKEN_TYPE, now)
    found: Permission = scheme.permission_for(
        scheme=scheme.TOKEN_TYPE,
        token=token,
        proofs=request.headers.getlist("DPoP"),
        method=request.method,
        urls=settings.addresses(request.path),  # never from the Host header
        certificate=client_certificate(request.headers, settings),
        now=now,
        continuing=continuing,
    )
    if "attempt" in g:
        g.attempt.permission = found
    return found


def _give_nonce(scheme: str, now: dt.datetime) -> None:
    """With every answer, refusals too, to whoever sends proofs (RFC 9449 section 8.2)."""
    if scheme == "dpop":
        nonce = current_app.extensions["guard.nonce"](now)

        @after_this_request
        def give(response: Response) -> Response:
            response.headers["DPoP-Nonce"] = nonce
            return response


def refused(error: DomainError) -> Response:
    """Write the access row of a refused attempt, then answer with the reason.

    What the refused request has written so far is kept: the proof's jti stays used. An attempt that was refused before
    its token was looked at is nobody's until then: a stranger hears of the token.
    """
    attempt: Attempt | None = g.get("attempt")
    if attempt is not None and attempt.permission is None and not isinstance(error, ReadRefused):
        try:
            permission(clock.now(), continuing=True)  # refused it is in any case
        except ReadRefused as first:
            error = first
    found = attempt.permission if attempt is not None else None
    whose, reason, since = found, error.code, None
    if isinstance(error, ReadRefused):
        whose, reason, since = error.permission, error.reason, error.since
    if whose is not None:
        wanted = attempt.wanted if attempt is not None else []
        action = attempt.action if attempt is not None else Action.READ
        wanted = wanted or [item.item_id for item in whose.items]
        accesses.record_refused(whose, wanted, reason, clock.now(), since, action=action)
        db.session.commit()
    return _answer(error) if isinstance(error, ReadRefused) else domain_error(error)


def _answer(error: ReadRefused) -> Response:
    db.session.commit()  # nobody's token was refused: its proof stays used all the same
    if error.reason == "missing_token":
        response = problem_response("missing_token", "An access token is needed.", 401)
        response.headers["WWW-Authenticate"] = _challenge()
        return response
    status = 401 if error.reason in TOKEN_REASONS else 403
    known = {"since": error.since, "until": error.until}
    more: dict[str, Any] = {name: _stamp(at) for name, at in known.items() if at is not None}
    response = problem_response(error.reason, _sentence(error.reason), status, **more)
    response.headers["WWW-Authenticate"] = _challenge(error.reason)
    return response


def _challenge(reason: str = "") -> str:
    """RFC 9449 section 7.1, RFC 6750 section 3.1, RFC 9728 section 5.1, RFC 9470 section 3."""
    metadata = f"{services().settings.issuer}/.well-known/oauth-protected-resource"
    parts = [f'algs="{PROOF_ALGORITHMS}"', f'resource_metadata="{metadata}"']
    if reason:
        code = reason if reason in TOKEN_REASONS else "insufficient_scope" if reason == "item_not_granted" else ""
        parts = [f'error="{code or "invalid_token"}"', f'error_description="{reason}"', *parts]
    if reason == STEP_UP:
        max_age = int(SENSITIVE_MAX_AGE.total_seconds())
        parts += [f'acr_values="{" ".join(SENSITIVE_ACR)}"', f'max_age="{max_age}"']
    challenge = "DPoP " + ", ".join(parts)
    if services().settings.mtls_issuer:
        # Tokens that are bound to a certificate come as Bearer (RFC 8705 section 3).
        challenge += ", Bearer " + ", ".join(part for part in parts if not part.startswith("algs="))
    return challenge


def _stamp(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


SENTENCES = {
    "invalid_token": "The access token is unknown, expired, revoked or presented in the wrong way.",
    "invalid_dpop_proof": "The DPoP proof is missing or not valid for this request and token.",
    USE_NONCE: "The DPoP proof needs the nonce that comes with this answer.",
    STEP_UP: "A sensitive item needs a stronger or more recent sign-in of the person who agreed.",
    "insufficient_scope": "The access token is not one for reading data.",
    "item_not_granted": "The consent, or the power, does not cover an item that was asked for.",
    "item_regraded": "The item was given before it became sensitive; the holder has to decide on it again.",
    "item_verify_only": "The consent allows only to compare this item with values that you bring.",
    "view_only": "What may only be looked at is answered whole, and not signed.",
    "purpose_mismatch": "The consent is for another purpose than the one that was named.",
    "case_required": "The purpose asks that every read names its case.",
    "case_mismatch": "The consent is for another case than the one that was named.",
    "too_many_comparisons": "The consent has answered as many comparisons as it may in one day.",
    "data_erased": "The data of this space has been erased.",
    "consent_withdrawn": "The holder has withdrawn the consent.",
    "consent_expired": "The consent has expired.",
    "consent_paused": "The holder has paused the consent.",
    "consent_pending": "The consent waits for the approval of a second person.",
    "consent_suspended": "A supervisor has suspended the consent.",
    "consent_invalidated": "An administrator has revoked the consent.",
    "consent_terminated": "The consent has ended because one of its parties is gone.",
    "consent_not_yet_valid": "The consent is not valid yet.",
    "quota_exhausted": "The consent has been used as often as it allows.",
    "frequency_exceeded": "The consent has been used as often as it allows for the time being.",
    "client_suspended": "The client is suspended.",
    "mandate_ended": "The mandate under which the consent was given has ended.",
    "space_closed": "The data space is closed.",
    "power_ended": "The power to read by law is not in force.",
    "power_suspended": "An administrator has suspended the power to read by law.",
    "outside_power": "This goes beyond what the power to read by law names.",
    "case_limit_reached": "This case has had as many reads as the power allows.",
    "day_limit_reached": "The power has been used as often as it allows in one day.",
}


def _sentence(reason: str) -> str:
    return SENTENCES.get(reason, "The consent does not allow this read.")
