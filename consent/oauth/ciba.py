"""Requests to somebody who is not in front of the client (OpenID Connect CIBA Core 1.0), fetched by polling.

The client names the person by a hint and sends no browser anywhere; the request waits on the page of the holder, who
decides on the same consent page. Whether anybody is behind a hint no answer tells: a request for nobody waits, and
expires, like any other. An ID token that we have issued is matched from the holder's side
(:mod:`consent.oauth.waiting`); a code that a holder has made is used up by the first request that brings it.
"""

import datetime as dt
from typing import Any

from authlib.consts import default_json_headers
from authlib.oauth2.rfc6749 import (
    BaseGrant,
    Endpoint,
    InvalidGrantError,
    InvalidRequestError,
    TokenEndpointMixin,
    UnauthorizedClientError,
)
from authlib.oauth2.rfc6749.errors import AccessDeniedError
from authlib.oauth2.rfc6749.hooks import hooked
from sqlalchemy import func, select

from consent import person_codes
from consent.client_options import CIBA
from consent.oauth import bindings, drafts, fetching, par, requests
from consent.oauth.forms import FormRequest
from consent.oauth.grants import HeldCode, first_tokens, use_up
from consent.oauth.par import AuthorizationRequest
from consent.oauth.registered_client import RegisteredClient
from dataspace.db import db
from dataspace.identifiers import BlindIndex

PREFIX = "dsa_cr_"  # of an auth_req_id
NOBODY = ""
AT_ONCE = 3  # open requests of one client to one person: more is pestering


class BackchannelAuthentication(Endpoint):  # type: ignore[misc]
    """The endpoint of CIBA Core section 7, in Authlib's form."""

    ENDPOINT_NAME = "backchannel_authentication"

    def create_endpoint_response(self, request: FormRequest) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """Authenticate the client, run the checks, store the request. Raises OAuth2Error."""
        draft = self.server.draft(request, drafts.Endpoint.CIBA)
        checked = requests.check(draft)
        addressee = _addressee(draft, index=self.server.registry.index)
        auth_req_id = begin(checked, addressee, draft.life, request.now)
        body = {
            "auth_req_id": auth_req_id,
            "expires_in": int(draft.life.total_seconds()),
            "interval": fetching.INTERVAL,
        }
        return 200, body, default_json_headers


def _addressee(draft: drafts.Draft, *, index: BlindIndex) -> str:
    """Whom the request waits for: the client's name for a holder, or the id of the holder behind a code."""
    if not draft.get("login_hint"):
        return draft.persons[0] if draft.persons else NOBODY
    return person_codes.use(draft.get("login_hint"), draft.now, index=index) or NOBODY


def begin(checked: requests.CheckedRequest, addressee: str, life: dt.timedelta, now: dt.datetime) -> str:
    """Store a checked request; returns its ``auth_req_id``, of which the digest is kept. Raises AccessDeniedError."""
    _demand_patience(checked.client_id, addressee, now)
    auth_req_id = bindings.new_secret(PREFIX)
    row = par.draft(auth_req_id, checked.client_id, checked.parameters, checked.ask, now, jkt=checked.jkt)
    row.addressee = addressee
    row.poll_interval = fetching.INTERVAL
    row.expires_at = now + life
    db.session.add(row)
    db.session.flush()
    return auth_req_id


def _demand_patience(client_id: str, addressee: str, now: dt.datetime) -> None:
    """Counted by what the client has said itself, so that the refusal tells it nothing. Raises AccessDeniedError."""
    if addressee == NOBODY:
        return
    waiting = (
        select(func.count())
        .select_from(AuthorizationRequest)
        .where(AuthorizationRequest.client_id == client_id, AuthorizationRequest.addressee == addressee)
        .where(AuthorizationRequest.finished_at.is_(None), AuthorizationRequest.expires_at > now)
    )
    if (db.session.scalar(waiting) or 0) >= AT_ONCE:
        raise AccessDeniedError(f"{AT_ONCE} requests to this person wait already", status_code=403)


class CibaGrant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]
    """An auth_req_id for tokens, once, as soon as the person has agreed (sections 10.1 and 11)."""

    GRANT_TYPE = CIBA
    request: FormRequest

    def validate_token_request(self) -> None:
        """Client and auth_req_id, what became of it, then the key; last, it is used up. Raises OAuth2Error."""
        auth_req_id = self.request.form.get("auth_req_id", "")
        if not auth_req_id:
            raise InvalidRequestError("auth_req_id is missing")
        client: RegisteredClient = self.authenticate_token_endpoint_client()
        if not client.check_grant_type(self.GRANT_TYPE):
            raise UnauthorizedClientError("this client is not registered for CIBA")
        row = fetching.find(auth_req_id, prefix=PREFIX)
        if row is None or row.client_id != client.client_id:
            raise InvalidGrantError("the auth_req_id is unknown")  # section 11; so is one that is long over
        self.request.client = client
        bound = fetching.answer(row, auth_req_id, self.request)
        self.request.user = bound
        self.request.authorization_code = HeldCode(bound)
        use_up(self.request, bound, issuer=self.server.issuer)

    @hooked  # type: ignore[untyped-decorator]
    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """Access and refresh token, and what was granted."""
        bound = self.request.user
        token = first_tokens(self.request, bound, bound.scope, registry=self.server.registry)
        self.save_token(token)
        return 200, token, self.TOKEN_RESPONSE_HEADER
