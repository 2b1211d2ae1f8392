"""Requests that are opened by a code on another screen: at a counter, on a kiosk (RFC 8628).

The client pushes what it asks, shows a QR code, and fetches the answer by polling the token endpoint; the person opens
the request on a device of her own and decides on the same consent page. For clients that read data, with the same
checks, keys and proofs as a pushed request: only the way to the page is another.
"""

import datetime as dt
from typing import Any
from urllib.parse import urlencode

from authlib.consts import default_json_headers
from authlib.oauth2.rfc6749 import Endpoint
from authlib.oauth2.rfc8628 import DeviceCodeGrant
from authlib.oauth2.rfc8628.errors import ExpiredTokenError
from sqlalchemy import select

from consent import short_codes
from consent.oauth import bindings, drafts, fetching, par, requests
from consent.oauth.codes import BoundCode
from consent.oauth.forms import FormRequest
from consent.oauth.grants import HeldCode, first_tokens, use_up
from consent.oauth.par import AuthorizationRequest
from dataspace.db import db
from dataspace.errors import Conflict, NotFound
from dataspace.identifiers import BlindIndex

PAGE = "/device"
PREFIX = "dsa_dc_"  # of a device_code
SCHEME = "user_code"


class DeviceAuthorization(Endpoint):  # type: ignore[misc]
    """The endpoint of section 3.1, in Authlib's form."""

    ENDPOINT_NAME = "device_authorization"

    def create_endpoint_response(self, request: FormRequest) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """Authenticate the client, run the checks, store the request. Raises OAuth2Error."""
        draft = self.server.draft(request, drafts.Endpoint.DEVICE)
        device_code, user_code = begin(requests.check(draft), request.now, index=self.server.registry.index)
        address = self.server.issuer + PAGE
        body = {
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": address,
            "verification_uri_complete": f"{address}?{urlencode({'user_code': user_code})}",
            "expires_in": int(par.AT_COUNTER.total_seconds()),
            "interval": fetching.INTERVAL,
        }
        return 200, body, default_json_headers


def begin(checked: requests.CheckedRequest, now: dt.datetime, *, index: BlindIndex) -> tuple[str, str]:
    """Store a checked request; returns its two codes, of which digests are kept."""
    device_code = bindings.new_secret(PREFIX)
    user_code = short_codes.new()
    row = par.draft(device_code, checked.client_id, checked.parameters, checked.ask, now, jkt=checked.jkt)
    row.user_code = short_codes.digest(user_code, scheme=SCHEME, index=index)
    row.poll_interval = fetching.INTERVAL
    row.expires_at = now + par.SHOWN
    db.session.add(row)
    db.session.flush()
    return device_code, user_code


def find(unverified_code: str, now: dt.datetime, *, index: BlindIndex) -> AuthorizationRequest:
    """The request that a code opens. Raises NotFound: unknown, too old, answered."""
    kept = short_codes.digest(unverified_code, scheme=SCHEME, index=index)
    row = db.session.scalar(select(AuthorizationRequest).filter_by(user_code=kept))
    if row is None or row.finished_at is not None or now >= row.expires_at:
        raise NotFound("no open request has this code")
    return row


def open_in_browser(row: AuthorizationRequest, *, browser: str, now: dt.datetime) -> None:
    """Bind the request to the browser of whoever was first. Raises Conflict for whoever comes second."""
    if not par.bind(row, browser, now):
        raise Conflict("this request was opened in another browser")


class _Credential:
    """A device code as Authlib's steps read it."""

    def __init__(self, row: AuthorizationRequest, device_code: str) -> None:
        self.row = row
        self.device_code = device_code

    def get_client_id(self) -> str:
        return self.row.client_id

    def get_scope(self) -> str:
        """As asked; what was agreed stands with the code."""
        return str(self.row.parameters["scope"])


class DeviceGrant(DeviceCodeGrant):  # type: ignore[misc]
    """A device code for tokens, once, as soon as the person has agreed (sections 3.4 and 3.5)."""

    request: FormRequest

    def query_device_credential(self, device_code: str) -> _Credential:
        """The request behind a device code, whatever became of it. Raises ExpiredTokenError: unknown is long over."""
        row = fetching.find(device_code, prefix=PREFIX)
        if row is None:
            raise ExpiredTokenError("the device code is unknown or too old")
        return _Credential(row, device_code)

    def validate_device_credential(self, credential: _Credential) -> BoundCode:
        """What the person has agreed to. Raises the errors of section 3.5."""
        return fetching.answer(credential.row, credential.device_code, self.request)

    def validate_token_request(self) -> None:
        """Client and device code (Authlib); then the key; last, the code is used up."""
        super().validate_token_request()
        bound: BoundCode = self.request.user
        self.request.authorization_code = HeldCode(bound)
        use_up(self.request, bound, issuer=self.server.issuer)

    def generate_token(self, user: BoundCode, **_kwargs: Any) -> dict[str, Any]:
        """Access and refresh token, and what was granted."""
        return first_tokens(self.request, user, user.scope, registry=self.server.registry)
