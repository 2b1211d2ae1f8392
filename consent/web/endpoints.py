"""The OAuth and OpenID Connect endpoints: one screen of routes, each handed to what knows the specification.

Programs call them with credentials of their own and without cookies, so they need no CSRF token; only GET /authorize
looks at the browser's session.
"""

import datetime as dt
from typing import Any

import orjson
from authlib.oauth2.rfc6749 import MissingAuthorizationError, OAuth2Error
from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.blueprints import BlueprintSetupState
from werkzeug.wrappers import Response as AnyResponse

from consent.evidence import NotYet
from consent.keys import JWKS_MAX_AGE
from consent.oauth import (
    answers,
    authorization,
    deletion_statements,
    dpop,
    forms,
    grant_management,
    metadata,
    security_events,
    userinfo,
)
from consent.oauth.errors import plain
from consent.oauth.nonces import HEADER, Nonces
from consent.oauth.possession import Presented
from consent.oauth.response_modes import WayBack
from consent.oauth.server import the_server
from consent.web import openapi, proofs, way_back
from consent.web.context import registry
from consent.web.openapi_certificates import with_certificates
from consent.web.visits import decided_page
from dataspace import accesses, clock, disclosure
from dataspace.db import db
from dataspace.errors import Conflict, NotFound
from dataspace.web.limits import limited
from dataspace.web.shell import ask_language, csrf, problem_response, services
from dataspace.web.signin import browser_secret, current_actor

bp = Blueprint("oauth", __name__)


@bp.record_once
def _without_csrf(_state: BlueprintSetupState) -> None:
    csrf.exempt(bp)


# Programs


@bp.post("/oauth/par")
@limited("600/minute")
def par() -> AnyResponse:
    """RFC 9126."""
    return _answered(the_server().create_endpoint_response("pushed_authorization_request"), the_server().nonces)


@bp.post("/oauth/device_authorization")
@limited("600/minute")
def device_authorization() -> AnyResponse:
    """RFC 8628 section 3.1."""
    return _answered(the_server().create_endpoint_response("device_authorization"), the_server().nonces)


@bp.post("/oauth/backchannel")
@limited("120/minute")
def backchannel_authentication() -> AnyResponse:
    """CIBA Core section 7. Fewer than elsewhere: each may be a guess at a code that somebody has made."""
    return _answered(the_server().create_endpoint_response("backchannel_authentication"), the_server().nonces)


@bp.post("/oauth/token")
@limited("3000/minute")
def token() -> AnyResponse:
    """RFC 6749 section 3.2."""
    return _answered(the_server().create_token_response(), the_server().nonces)


@bp.post("/oauth/introspect")
def introspect() -> AnyResponse:
    """RFC 7662."""
    return _answered(the_server().create_endpoint_response("introspection"))


@bp.post("/oauth/revoke")
def revoke() -> AnyResponse:
    """RFC 7009."""
    return _answered(the_server().create_endpoint_response("revocation"))


@bp.post(deletion_statements.PATH)
@limited("600/minute")
def confirm_deletion() -> AnyResponse:
    """A client's signed statement that it has deleted."""
    server = the_server()
    try:
        body = request.get_data(cache=False)
        said = deletion_statements.accept(body, clock.now(), keys=server.keys, registry=registry())
        answer = _json(said)
    except OAuth2Error as error:
        db.session.rollback()
        answer = server.handle_error_response(None, error)
    return _answered(answer)


@bp.post(security_events.PATH)
@limited("600/minute")
def fetch_events() -> AnyResponse:
    """RFC 8936."""
    client = the_server().authenticate_program("events")
    told = security_events.fetch(request.get_data(cache=False), client, clock.now(), registry=registry())
    return _answered(_json(told))


@bp.get("/api/v1/deliveries/<delivery_id>/proof")
@limited("600/minute")
def delivery_proof(delivery_id: str) -> AnyResponse:
    """What a client can prove of a delivery to it, also when its consent has ended: no data, and no read of any."""
    client = the_server().authenticate_program("proof")
    db.session.commit()  # the assertion stays used
    try:
        return proofs.answer(accesses.entry_of(disclosure.received(delivery_id, client.client_id)))
    except NotYet as error:
        answer = problem_response(error.code, error.sentence, 503)
        answer.headers["Retry-After"] = "2"
        return answer


@bp.route("/userinfo", methods=["GET", "POST"])
def user_info() -> AnyResponse:
    """OpenID Connect Core section 5.3."""
    try:
        body = forms.parse(request.get_data(cache=False)) if request.mimetype == forms.FORM else {}
        said = userinfo.answer(_presented(body), clock.now(), registry=registry())
        answer = _json(said) if isinstance(said, dict) else Response(said, mimetype="application/jwt")
    except OAuth2Error as error:
        answer = _challenged(error)
    return _answered(answer, the_server().resource_nonces)


@bp.route("/oauth/grants", defaults={"grant_id": ""})
@bp.route("/oauth/grants/<grant_id>")
def query_grant(grant_id: str) -> AnyResponse:
    """Grant Management for OAuth 2.0 section 6.4."""
    try:
        issuer = services().settings.issuer
        answer = _json(grant_management.query(grant_id, _presented({}), clock.now(), issuer=issuer))
    except OAuth2Error as error:
        answer = _challenged(error)
    return _answered(answer, the_server().resource_nonces)


@bp.delete("/oauth/grants/<grant_id>")
def give_grant_back(grant_id: str) -> AnyResponse:
    """Grant Management for OAuth 2.0 section 6.5."""
    try:
        grant_management.give_back(grant_id, _presented({}), clock.now(), registry=registry())
        answer = Response(status=204)
    except OAuth2Error as error:
        answer = _challenged(error)
    return _answered(answer, the_server().resource_nonces)


@bp.get("/oauth/jwks")
def jwks() -> AnyResponse:
    """RFC 7517."""
    return _published(registry().keyring.public_jwk_set(clock.now()))


@bp.get("/.well-known/oauth-authorization-server")
def authorization_server() -> AnyResponse:
    """RFC 8414."""
    settings = services().settings
    return _published(metadata.with_certificates(metadata.authorization_server(settings.issuer), settings))


@bp.get("/.well-known/openid-configuration")
def openid_configuration() -> AnyResponse:
    """OpenID Connect Discovery."""
    settings = services().settings
    return _published(metadata.with_certificates(metadata.openid_provider(settings.issuer), settings))


@bp.get("/.well-known/oauth-protected-resource")
def protected_resource() -> AnyResponse:
    """RFC 9728."""
    return _published(metadata.protected_resource(services().settings))


@bp.get(metadata.EVENTS_PATH)
def consent_events() -> AnyResponse:
    """How clients hear what became of a consent."""
    return _published(metadata.consent_events(services().settings.issuer))


@bp.get("/.well-known/authorization-details/<kind>")
def authorization_details_schema(kind: str) -> AnyResponse:
    """What a client may write into ``authorization_details`` of a type (RFC 9396), as a JSON Schema."""
    schema = metadata.authorization_details_schema(kind, services().settings.issuer)
    if schema is None:
        raise NotFound("no such type")
    response = _published(schema)
    response.mimetype = "application/schema+json"
    return response


@bp.get("/openapi.json")
def openapi_description() -> AnyResponse:
    """OpenAPI 3.1: what the data API and the APIs beside it take and answer."""
    settings = services().settings
    return _published(with_certificates(openapi.document(settings.issuer), settings))


@bp.errorhandler(OAuth2Error)
def refused(error: OAuth2Error) -> AnyResponse:
    """What is wrong with a request before Authlib's steps begin; nothing was written."""
    return the_server().handle_error_response(None, error)


# Browsers


@bp.get("/authorize")
@limited("120/minute")
def authorize() -> AnyResponse:
    """RFC 6749 section 3.1: from the third party to the consent page."""
    now = clock.now()
    try:
        parameters = forms.parse(request.query_string)
        request_uri = authorization.take(parameters, keys=the_server().keys, now=now, registry=registry())
        client_id = parameters.get("client_id", "")
        opened = authorization.open_taken(request_uri, client_id=client_id, browser=browser_secret(), now=now)
    except OAuth2Error as error:
        return _turned_away(error, now)
    except Conflict:  # the back button, after the decision
        db.session.rollback()
        decided_page(authorization.handle_of(request_uri))
    if not authorization.is_silent(opened):
        ask_language(opened.parameters.get("ui_locales", ""))
        db.session.commit()
        return redirect(url_for("consent_page.start", handle=opened.handle), 303)
    answer = authorization.answer_silently(opened, current_actor(), now, registry=registry())
    db.session.commit()
    return way_back.go(answer)


@bp.post("/authorize")
@limited("120/minute")
def authorize_by_form() -> AnyResponse:
    """The same by POST (OpenID Connect Core section 3.1.2.1).

    A form of another site comes without our cookie (SameSite=Lax); what it asks is stored, and the GET that follows
    brings the cookie.
    """
    now = clock.now()
    try:
        parameters = forms.parse(request.get_data(cache=False) if request.mimetype == forms.FORM else b"")
        request_uri = authorization.take(parameters, keys=the_server().keys, now=now, registry=registry())
    except OAuth2Error as error:
        return _turned_away(error, now)
    db.session.commit()
    client_id = parameters.get("client_id", "")
    return redirect(url_for("oauth.authorize", client_id=client_id, request_uri=request_uri), 303)


def _turned_away(error: OAuth2Error, now: dt.datetime) -> AnyResponse:
    """To the client, if the redirect URI is known to be its own; else a page that says so (RFC 6749 4.1.2.1)."""
    db.session.rollback()
    description = plain(error.get_error_description() or "")
    way: WayBack | None = getattr(error, "way_back", None)
    if way is not None:
        return way_back.go(answers.refusal(way, error.error, description, now, registry=registry()))
    over = isinstance(error, authorization.RequestOver)
    page = render_template("consent/request_error.html", error=error.error, description=description, over=over)
    return Response(page, 400, mimetype="text/html")


# Responses


def _answered(response: AnyResponse, nonces: Nonces | None = None) -> AnyResponse:
    """Commit and answer. Refusals too: a proof that was seen stays seen, a family that was revoked stays revoked.

    Whoever sends proofs gets the nonce for the next one (RFC 9449 section 8.2).
    """
    db.session.commit()
    if nonces is not None and dpop.HEADER in request.headers:
        response.headers[HEADER] = nonces.current(clock.now())
    return response


def _presented(body: dict[str, str]) -> Presented:
    """The access token of this request. Raises MissingAuthorizationError, InvalidRequestError, InvalidTokenError."""
    scheme, access_token = userinfo.credentials(request.headers.get("Authorization"), body)
    server = the_server()
    return Presented(scheme=scheme, token=access_token, sender=server.sender(server.resource_nonces))


def _challenged(error: OAuth2Error) -> Response:
    """A refusal at an address that is opened by an access token, with its challenge."""
    answer: Response = the_server().handle_error_response(None, error)
    if isinstance(error, MissingAuthorizationError):
        answer.set_data(b"{}")  # RFC 6750 section 3.1: no error code where no token was sent
    if answer.status_code in (400, 401, 403):
        answer.headers["WWW-Authenticate"] = userinfo.challenge(error)
    return answer


def _json(body: Any) -> Response:
    return Response(orjson.dumps(body), mimetype="application/json", headers={"Pragma": "no-cache"})


def _published(body: Any) -> Response:
    """A public document: cached for a while, and open to scripts of every origin, as it holds no secret."""
    response = _json(body)
    del response.headers["Pragma"]
    response.headers["Cache-Control"] = f"public, max-age={int(JWKS_MAX_AGE.total_seconds())}"
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response
