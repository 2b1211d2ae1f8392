"""Where a code on another screen leads: who asks there, whether the codes are the same, and on to the consent page."""

from typing import NoReturn

from flask import Blueprint, abort, make_response, redirect, render_template, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from consent import clients, short_codes
from consent.clients import Client, Standing
from consent.oauth import device
from consent.oauth.par import AuthorizationRequest
from consent.web.context import registry
from dataspace import clock
from dataspace.db import db
from dataspace.errors import Conflict, NotFound
from dataspace.web.limits import limited
from dataspace.web.shell import ask_language
from dataspace.web.signin import browser_secret, require_actor

bp = Blueprint("device", __name__, url_prefix=device.PAGE)


@bp.get("")
@limited("20/minute")
@require_actor
def compare() -> str:
    """Type a code; or, with one in the address, compare it with the screen (RFC 8628 section 3.3.1)."""
    typed = request.args.get("user_code", "")
    if not typed:
        return render_template("consent/device.html", code="", error="")
    _row, client = _asked(typed)
    party = client.name(str(get_locale() or "zh_Hans"))
    return render_template("consent/compare.html", code=short_codes.in_groups(typed), party=party)


@bp.post("")
@limited("20/minute")
@require_actor
def go_on() -> Response:
    """The codes are the same: the request is this browser's from now on."""
    row, _client = _asked(request.form.get("user_code", ""))
    try:
        device.open_in_browser(row, browser=browser_secret(), now=clock.now())
    except Conflict:
        db.session.rollback()
        _no(409, _("Somebody else has opened this request already. Ask at the counter for a new code."))
    ask_language(row.parameters.get("ui_locales", ""))
    db.session.commit()
    return redirect(url_for("consent_page.start", handle=row.handle), 303)


def _asked(unverified_code: str) -> tuple[AuthorizationRequest, Client]:
    """The open request and its client, which may ask at present (aborts)."""
    try:
        row = device.find(unverified_code, clock.now(), index=registry().index)
    except NotFound:
        row = None
    client = clients.get(row.client_id) if row is not None else None
    if row is None or client is None or client.standing != Standing.GOOD:
        _no(404, _("This code is not known, or it is too old. Nothing was given. Ask at the counter for a new one."))
    return row, client


def _no(status: int, error: str) -> NoReturn:
    abort(make_response(render_template("consent/device.html", code="", error=error), status))
