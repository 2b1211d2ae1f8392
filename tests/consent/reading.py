"""Reading as the data API does it, one floor below HTTP: the token's validator, the space, the access log, a commit."""

import dataclasses
import datetime as dt
from collections.abc import Iterable

from flask import current_app

from consent.oauth import codes, tokens, validator
from consent.oauth.bindings import SignInFacts
from consent.oauth.nonces import of_resource_server
from consent.records import Consent
from dataspace import accesses, extracts
from dataspace.accesses import FrequencyExceeded, QuotaExhausted
from dataspace.db import db
from dataspace.delivery import Delivery
from dataspace.permission import SENSITIVE_ACR, ReadRefused
from dataspace.web.shell import services
from tests.conftest import ISSUER
from tests.factories import REDIRECT_URI

NEVER = dt.timedelta(days=3650)


def token_for(consent: Consent, now: dt.datetime) -> str:
    """An access token that nothing holds and that outlives everything, so that only the consent can end a read."""
    code = codes.issue(
        consent_id=consent.consent_id, client_id=consent.client_id, redirect_uri=REDIRECT_URI, scope="",
        code_challenge=None, nonce=None, jkt=None, now=now,
        signed_in=SignInFacts(auth_time=now, acr=SENSITIVE_ACR[0], amr=""),
    )  # fmt: skip
    bound = codes.find(code)
    assert bound is not None
    issue = tokens.prepare(
        bound, family=bound.digest, scope="", jkt=None, x5t=None, resource="", with_refresh=False, now=now
    )
    tokens.store(dataclasses.replace(issue, access_expires_at=now + NEVER))
    return issue.access_token


def read(token: str, wanted: Iterable[str] | None, now: dt.datetime) -> Delivery:
    """One read; committed, whatever comes of it. Raises ReadRefused."""
    try:
        delivery = attempt(token, wanted, now)
    except ReadRefused as refused:
        if refused.permission is not None:
            accesses.record_refused(refused.permission, list(wanted or ()), refused.reason, now)
        db.session.commit()
        raise
    db.session.commit()
    return delivery


def attempt(token: str, wanted: Iterable[str] | None, now: dt.datetime) -> Delivery:
    """A read that the caller commits, or takes back to have only looked. Raises ReadRefused."""
    permission = validator.permission_for(
        scheme="bearer", token=token, proofs=[], method="GET", urls=(), certificate=None, now=now, issuer=ISSUER,
        nonces=of_resource_server(services().settings),
    )  # fmt: skip
    try:
        return extracts.read(permission, wanted, now, vault=current_app.extensions["consent"].vault)
    except (QuotaExhausted, FrequencyExceeded) as error:
        raise ReadRefused(error.code, permission=permission) from None
