"""The bank's pages: choose an offer, go and decide, come back, let the bank read.

Settings from the environment: BANK_ISSUER (the authorization service), BANK_URL (where the bank itself is reached),
BANK_CLIENT_ID, BANK_KEYS and BANK_DATABASE (files). Serve it with
``granian --interface wsgi --factory examples.bank.app:create_bank``.
"""

import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from flask import Blueprint, Flask, Response, abort, current_app, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException

from examples.bank import keys, ledger
from examples.bank.fapi import DataSpaceClient, OAuthRefused
from examples.bank.ledger import Application, Ledger
from examples.bank.offers import FIELDS, ITEMS, OFFERS, REASONS

COOKIE = "bank_browser"  # cookies do not tell ports apart: not the service's name
bp = Blueprint("bank", __name__)


def create_bank(environ: Mapping[str, str] = os.environ) -> Flask:
    """Build the bank. Raises KeyError when BANK_ISSUER or BANK_URL is missing."""
    app = Flask(__name__)
    # Answers are shown as they came.
    app.json.sort_keys = app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.jinja_env.policies["json.dumps_kwargs"] = {}
    signing, proof = keys.load(Path(environ.get("BANK_KEYS", "var/bank-keys.json")))
    app.extensions["spaces"] = DataSpaceClient(
        environ["BANK_ISSUER"],
        environ.get("BANK_CLIENT_ID", "lingnan-bank"),
        f"{environ['BANK_URL']}/callback",
        signing_key=signing,
        proof_key=proof,
    )
    app.extensions["ledger"] = Ledger(Path(environ.get("BANK_DATABASE", "var/bank.sqlite")))
    app.register_blueprint(bp)
    app.register_error_handler(OAuthRefused, _refused)
    app.register_error_handler(httpx.HTTPError, _unreachable)
    app.register_error_handler(HTTPException, _http_error)
    return app


@bp.get("/")
def home() -> str:
    return render_template("home.html", offers=OFFERS, applications=_ledger().of_browser(_browser()))


@bp.post("/start/<code>")
def start(code: str) -> Response:
    """Push what we ask, then send the customer away to decide."""
    offer = OFFERS.get(code) or abort(404)
    reference = ledger.new_reference()
    started = _spaces().start(offer.authorization_details(reference))
    browser = _browser() or secrets.token_urlsafe(32)
    _ledger().add(reference, browser, code, started)
    response = _see_other(started.url)
    response.set_cookie(COOKIE, browser, httponly=True, samesite="Lax", secure=request.is_secure, max_age=30 * 86400)
    return response


@bp.get("/callback")
def callback() -> Response:
    """The customer is back: with a code, or with a refusal."""
    application = _ledger().by_state(request.args.get("state", ""), _browser()) or abort(404)
    if application.status == "asked":
        try:
            token = _spaces().finish(request.url, state=application.state, code_verifier=application.code_verifier)
        except OAuthRefused as error:
            _ledger().refused(application.application_id, error.error)
        else:
            _ledger().granted(application.application_id, token)
    return _see_other(url_for("bank.application", application_id=application.application_id))


@bp.get("/applications/<application_id>")
def application(application_id: str) -> str:
    found = _own(application_id)
    details = (found.token or {}).get("authorization_details") or [{}]
    return render_template(
        "application.html",
        application=found,
        offer=OFFERS[found.offer],
        granted=[item.get("item", "") for item in details[0].get("items", [])],
        answer=found.answer,
    )


@bp.post("/applications/<application_id>/read")
def read(application_id: str) -> Response:
    """Read the data now; the answer, or why there is none, is on the application's page."""
    found = _own(application_id)
    if found.token is None:
        abort(409)
    _ledger().answered(application_id, {"at": time.strftime("%Y-%m-%d %H:%M:%S"), **_read(found, found.token)})
    return _see_other(url_for("bank.application", application_id=application_id) + "#answer")


@bp.get("/healthz")
def health() -> dict[str, str]:
    return {"status": "ok"}


@bp.before_app_request
def _same_origin() -> None:
    """A form of another site must not act in our customer's name."""
    if request.method == "POST" and request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        abort(403)


@bp.after_app_request
def _headers(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' {_spaces().issuer}; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    return response


@bp.app_context_processor
def _words() -> dict[str, object]:
    return {"item_names": ITEMS, "field_names": FIELDS, "reasons": REASONS, "service": _spaces().issuer}


def _read(found: Application, token: dict[str, Any]) -> dict[str, Any]:
    if found.token_until is not None and found.token_until < time.time() + 5 and "refresh_token" in token:
        try:
            token = token | _spaces().refresh(token["refresh_token"])
        except OAuthRefused as error:
            return {"status": error.status or 400, "body": {"code": error.error, "title": error.description}}
        _ledger().granted(found.application_id, token)
    response = _spaces().get(_spaces().data_url, token["access_token"])
    try:
        return {"status": response.status_code, "body": response.json()}
    except ValueError:
        return {"status": response.status_code, "body": {"code": "unexpected_answer"}}


def _own(application_id: str) -> Application:
    return _ledger().get(application_id, _browser()) or abort(404)


def _spaces() -> DataSpaceClient:
    found: DataSpaceClient = current_app.extensions["spaces"]
    return found


def _ledger() -> Ledger:
    found: Ledger = current_app.extensions["ledger"]
    return found


def _browser() -> str:
    return request.cookies.get(COOKIE, "")


def _see_other(url: str) -> Response:
    response: Response = redirect(url, 303)  # type: ignore[assignment]
    return response


def _refused(error: OAuthRefused) -> tuple[str, int]:
    return render_template(
        "error.html", said=REASONS.get(error.error, "授权服务没有接受本行的请求。"), detail=error
    ), 502


def _unreachable(_error: httpx.HTTPError) -> tuple[str, int]:
    return render_template("error.html", said="暂时无法连接授权服务，请稍后再试。", detail="service unreachable"), 502


def _http_error(error: HTTPException) -> tuple[str, int]:
    return render_template("error.html", said="这里没有可以显示的内容。", detail=error.name), error.code or 500
