"""The client registration endpoint and the address of each client that registered there (RFC 7591, RFC 7592).

Programs call them with a token of their own and without cookies, so they need no CSRF token.
"""

import contextlib
from typing import Any

import orjson
from authlib.oauth2.rfc6749 import OAuth2Error
from authlib.oauth2.rfc6750 import InvalidTokenError
from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState
from werkzeug.wrappers import Response as AnyResponse

from consent.installation import Installation
from consent.oauth import registration
from consent.oauth.errors import plain
from consent.oauth.registration import PATH, Registered, RegistrationError, Rules
from consent.web.context import registry
from consent.web.logos import fetch_logos
from consent.worker import SweepFailed
from dataspace import clock
from dataspace.db import db
from dataspace.web.limits import limited
from dataspace.web.shell import csrf, services

bp = Blueprint("registration", __name__)
JSON = "application/json"


@bp.record_once
def _without_csrf(_state: BlueprintSetupState) -> None:
    csrf.exempt(bp)


@bp.post(PATH)
@limited("30/minute")
def register() -> AnyResponse:
    """RFC 7591 section 3.1."""
    now, rules = clock.now(), _rules()
    permitted = registration.permit(_token(), now, rules=rules)
    return _registered(registration.register(_body(), permitted, now, rules=rules), status=201)


@bp.get(f"{PATH}/<client_id>")
@limited("120/minute")
def read(client_id: str) -> AnyResponse:
    """RFC 7592 section 2.1. Reading changes nothing: the token is the one that came."""
    token = _token()
    client = registration.authenticate(client_id, token)
    return _answered(Registered(client=client, access_token=token or ""))


@bp.put(f"{PATH}/<client_id>")
@limited("30/minute")
def replace(client_id: str) -> AnyResponse:
    """RFC 7592 section 2.2."""
    client = registration.authenticate(client_id, _token())
    return _registered(registration.replace(client, _body(), clock.now(), rules=_rules()))


@bp.delete(f"{PATH}/<client_id>")
@limited("30/minute")
def delete(client_id: str) -> AnyResponse:
    """RFC 7592 section 2.3."""
    registration.delete(registration.authenticate(client_id, _token()), clock.now(), registry=registry())
    db.session.commit()
    return Response(status=204)


@bp.errorhandler(OAuth2Error)
def refused(error: OAuth2Error) -> AnyResponse:
    """RFC 7591 section 3.2.2; a token that does not fit is answered as RFC 6750 section 3 says. Nothing is written."""
    db.session.rollback()
    description = plain(error.get_error_description() or "")
    body = {"error": error.error, "error_description": description}
    answer = Response(orjson.dumps(body), error.status_code, mimetype=JSON)
    if isinstance(error, InvalidTokenError):
        said = f' error="{error.error}", error_description="{description}"' if _token() else ""
        answer.headers["WWW-Authenticate"] = f"Bearer{said}"
    return answer


def _rules() -> Rules:
    settings = services().settings
    return Rules(
        issuer=settings.issuer,
        here=Installation.of(settings),
        fetch_loopback=settings.fetch_loopback,
        open_registration=settings.open_registration,
    )


def _token() -> str | None:
    """What the Authorization header bears; None when nothing was sent, and an empty one for any other scheme."""
    header = request.headers.get("Authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _body() -> Any:
    if request.mimetype != JSON:
        raise RegistrationError("invalid_client_metadata", f"the body must be {JSON}")
    try:
        return orjson.loads(request.get_data(cache=False))
    except orjson.JSONDecodeError:
        raise RegistrationError("invalid_client_metadata", "the body is not JSON") from None


def _registered(registered: Registered, *, status: int = 200) -> AnyResponse:
    """The answer about something new. The logo is fetched when all is stored; without it all is well too."""
    answer = _answered(registered, status=status)
    with contextlib.suppress(SweepFailed):
        fetch_logos(registered.client.client_id)
    return answer


def _answered(registered: Registered, *, status: int = 200) -> AnyResponse:
    body = registration.describe(registered, issuer=services().settings.issuer)
    db.session.commit()
    return Response(orjson.dumps(body), status, mimetype=JSON)
