"""Signing out at the wish of a client (OpenID Connect RP-Initiated Logout 1.0), and telling all clients of its end.

The person is always asked: a link on any page could have brought the browser here. What was asked stands in the
address and in the form, and is checked each time anew, so that several tabs do not get into each other's way.
"""

from typing import Any

from authlib.oauth2.rfc6749 import OAuth2Error
from flask import (
    Blueprint,
    Response,
    flash,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.blueprints import BlueprintSetupState
from flask_babel import force_locale, get_locale
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from consent import clients
from consent.oauth import forms, logout, sessions
from consent.oauth.errors import plain
from consent.oauth.logout import PARAMETERS, LogoutRequest
from consent.oauth.response_modes import origin_of
from consent.web.context import registry
from dataspace import clock
from dataspace.db import db
from dataspace.web.limits import limited
from dataspace.web.shell import allow_form_action, csrf, language_of
from dataspace.web.signin import HOME, current_actor, leave

bp = Blueprint("logout", __name__)


@bp.record_once
def _hear_of_ended_signins(state: BlueprintSetupState) -> None:
    """The sign-in of the data space tells us without knowing us."""
    state.app.extensions["signins_ended"] = sessions.end


@bp.record_once
def _take_foreign_forms(_state: BlueprintSetupState) -> None:
    csrf.exempt(ask_by_form)


@bp.get("/oauth/logout")
@limited("120/minute")
def ask() -> AnyResponse:
    """Ask the person; who is not signed in has nothing to be asked, and goes on."""
    try:
        parameters = forms.parse(request.query_string)
        wish = logout.check(parameters, clock.now(), registry=registry())
    except OAuth2Error as error:
        return _refused(error)
    actor = current_actor()
    if actor is None:
        return _done(wish)
    if wish.post_logout_redirect_uri:
        allow_form_action(origin_of(wish.post_logout_redirect_uri))  # the answer to our form leads there
    with force_locale(_locale(parameters.get("ui_locales", ""))):
        party = clients.get(wish.client_id).name(str(get_locale())) if wish.client_id else ""
        page = render_template("consent/logout.html", wish=wish, party=party, elsewhere=not wish.is_about(actor))
    return Response(page, mimetype="text/html")


@bp.post("/oauth/logout")
@limited("120/minute")
def ask_by_form() -> AnyResponse:
    """The same by POST (section 2).

    A form of another site comes without our cookie (SameSite=Lax) and without our token; the GET brings the cookie.
    """
    try:
        parameters = forms.parse(request.get_data(cache=False) if request.mimetype == forms.FORM else b"")
        logout.check(parameters, clock.now(), registry=registry())
    except OAuth2Error as error:
        return _refused(error)
    # Short enough for an address: an ID token of ours, a registered address, a state of limited length.
    known: dict[str, Any] = {name: parameters[name] for name in PARAMETERS if name in parameters}
    return redirect(url_for("logout.ask", **known), 303)


@bp.post("/oauth/logout/confirm")
@limited("60/minute")
def decide() -> AnyResponse:
    """Sign out, or stay."""
    now = clock.now()
    if request.form.get("decision") != "sign_out":
        flash(_("You are still signed in."))
        return redirect(HOME, 303)
    try:
        wish = logout.check(request.form, now, registry=registry())
    except OAuth2Error as error:
        return _refused(error)
    leave(now)
    db.session.commit()
    return _done(wish)


@bp.get("/signed-out")
def signed_out() -> str:
    """It is done."""
    return render_template("consent/signed_out.html")


def _done(wish: LogoutRequest) -> AnyResponse:
    return redirect(wish.way_back or url_for("logout.signed_out"), 303)


def _refused(error: OAuth2Error) -> AnyResponse:
    """Nobody is signed out, and nobody is sent away."""
    db.session.rollback()
    description = plain(error.get_error_description() or "")
    page = render_template("consent/logout_error.html", error=error.error, description=description)
    return Response(page, 400, mimetype="text/html")


def _locale(ui_locales: str) -> str:
    """What the person chose here, else what the client knows of her, else what her browser says."""
    wanted = None if session.get("language") else language_of(ui_locales.split())
    return wanted or str(get_locale())
