"""Answers that a client fetches by asking the token endpoint again and again: device codes (RFC 8628) and CIBA.

Both say the same with the same words (CIBA Core section 11 takes them from RFC 8628 section 3.5).
"""

import datetime as dt

from authlib.oauth2.rfc6749 import InvalidGrantError
from authlib.oauth2.rfc6749.errors import AccessDeniedError
from authlib.oauth2.rfc8628.errors import AuthorizationPendingError, ExpiredTokenError, SlowDownError

from consent.history import Registry
from consent.oauth import answers, bindings, codes, par, tokens
from consent.oauth.codes import BoundCode
from consent.oauth.forms import FormRequest
from consent.oauth.grants import demand_active
from consent.oauth.par import AuthorizationRequest
from consent.records import Consent, State
from dataspace.mandates import Actor

INTERVAL = 5  # seconds between two questions (RFC 8628 section 3.2), and what each hurry adds (section 3.5)


def find(unverified_secret: str, *, prefix: str) -> AuthorizationRequest | None:
    """The request that a client holds a secret of this kind for, whatever became of it."""
    return par.find(unverified_secret) if unverified_secret.startswith(prefix) else None


def answer(row: AuthorizationRequest, secret: str, request: FormRequest) -> BoundCode:
    """What the holder has agreed to. Raises the errors of RFC 8628 section 3.5."""
    now = request.now
    if row.finished_at is None:
        if now >= row.expires_at:
            raise ExpiredTokenError("nobody has answered in time")
        _pace(row, now)
        raise AuthorizationPendingError("the person has not decided yet")
    bound = codes.find(secret)
    if bound is None:
        raise AccessDeniedError("the holder did not agree")
    if bindings.ended_early(bound, bound.used_at):
        tokens.revoke_family(bound.digest, client_id=bound.client_id, now=now)
        raise InvalidGrantError("it was used before")
    if bound.used_at is not None or now >= bound.dies_at:
        raise ExpiredTokenError("the answer was not fetched in time")
    demand_active(bound, request)
    return bound


def after_approval(consent: Consent, actor: Actor, now: dt.datetime, *, registry: Registry) -> None:
    """The second person of a company has decided: a client that fetches its answer finds it, nobody has to go back."""
    row = par.waiting(consent.consent_id)
    if row is None or not row.is_fetched:
        return
    par.finish(row, now, consent_id=consent.consent_id)
    if consent.state == State.ACTIVE:
        answers.with_code(row, consent, actor, now, registry=registry)


def _pace(row: AuthorizationRequest, now: dt.datetime) -> None:
    """Note the question. Raises SlowDownError when it comes too soon, and makes the pause longer (section 3.5)."""
    pause, before = row.poll_interval or INTERVAL, row.polled_at
    row.polled_at = now
    if before is not None and now - before < dt.timedelta(seconds=pause):
        row.poll_interval = pause + INTERVAL
        raise SlowDownError(f"wait {row.poll_interval} seconds")
