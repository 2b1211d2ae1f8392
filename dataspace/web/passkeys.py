"""Enrolment by the registrar's code, and the page of one's own passkeys."""

import datetime as dt

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from dataspace import clock, holders, passkeys, signins
from dataspace.ceremonies import Begun, Purpose
from dataspace.db import db
from dataspace.mandates import Actor
from dataspace.passkeys import CodeRefused, InvalidName, Invitation
from dataspace.web import known_browsers
from dataspace.web.limits import limited
from dataspace.web.shell import services, wants_page
from dataspace.web.signin import (
    HOME,
    browser_secret,
    enter,
    local_path,
    party,
    posted_json,
    require_actor,
    require_fresh,
    taken_ceremony,
    tell_ended,
    the_actor,
)

FRESH = dt.timedelta(minutes=10)  # how long after sign-in passkeys may be added and removed
bp = Blueprint("passkeys", __name__)


@bp.get("/enrol")
def enrol() -> str:
    """Ask for the code; with a valid one, for the passkey."""
    next_path = local_path(request.args.get("next"))
    try:
        invited = _invitation(clock.now())
    except CodeRefused:
        return render_template("signin/code.html", next=next_path)
    browser_secret()
    name = _name(invited.person_id)
    return render_template("signin/enrol.html", name=name, recovery=invited.recovery, next=next_path)


@bp.post("/enrol")
@limited("10/minute")
def enter_code() -> AnyResponse | tuple[str, int]:
    """Check the code and remember it for the ceremony."""
    next_path = local_path(request.form.get("next"))
    digest = passkeys.code_digest(request.form.get("code", ""))
    try:
        passkeys.invitation(digest, clock.now())
    except CodeRefused as error:
        if not wants_page():
            raise
        return render_template("signin/code.html", next=next_path, error=_(error.sentence)), error.status
    session["invitation"] = digest
    return redirect(url_for("passkeys.enrol", next=next_path), 303)


@bp.post("/enrol/options")
@limited("20/minute")
def begin_enrolment() -> Response:
    """A challenge to make the passkey that the code allows."""
    now = clock.now()
    invited = _invitation(now)
    name = _name(invited.person_id)
    begun = passkeys.begin_enrolment(invited, now, party=party(), person_name=name, browser=browser_secret())
    return _committed(begun)


@bp.post("/enrol/verify")
@limited("10/minute")
def finish_enrolment() -> Response:
    """Keep the passkey, and sign the person in with it: making one has verified the person as well."""
    now = clock.now()
    body = posted_json()
    person_id = _invitation(now).person_id
    taken = taken_ceremony(body, now, expected_purpose=Purpose.ENROL, expected_person_id=person_id)
    verified = passkeys.finish_enrolment(taken, body.get("credential"), now, party=party())
    several = len(passkeys.passkeys_of(person_id)) > 1
    # Who kept earlier passkeys sees them now: one of them may be on the device that was lost.
    default = url_for("passkeys.index") if several else HOME
    go_to = enter(verified, now, local_path(request.args.get("next")) or default)
    known_browsers.remember(person_id)
    db.session.commit()
    return jsonify(next=go_to)


@bp.get("/passkeys")
@require_actor
def index() -> str:
    """One's passkeys."""
    return render_template("signin/passkeys.html", passkeys=passkeys.passkeys_of(the_actor().person_id))


@bp.get("/passkeys/add")
@require_actor
def add() -> str:
    """Make a further passkey."""
    _fresh_actor(clock.now())
    browser_secret()
    return render_template("signin/add.html")


@bp.post("/passkeys/options")
@require_actor
@limited("20/minute")
def begin_addition() -> Response:
    """A challenge to make a further passkey."""
    now = clock.now()
    person_id = _fresh_actor(now).person_id
    name = _name(person_id)
    return _committed(
        passkeys.begin_addition(person_id, now, party=party(), person_name=name, browser=browser_secret())
    )


@bp.post("/passkeys/verify")
@require_actor
@limited("10/minute")
def finish_addition() -> Response:
    """Keep the further passkey."""
    now = clock.now()
    body = posted_json()
    person_id = _fresh_actor(now).person_id
    taken = taken_ceremony(body, now, expected_purpose=Purpose.ADD, expected_person_id=person_id)
    passkeys.finish_enrolment(taken, body.get("credential"), now, party=party())
    db.session.commit()
    return jsonify(next=url_for("passkeys.index"))


@bp.post("/passkeys/<passkey_id>/name")
@require_actor
def rename(passkey_id: str) -> AnyResponse:
    """Call a passkey something."""
    try:
        passkeys.rename(passkey_id, request.form.get("name", ""), person_id=the_actor().person_id)
    except InvalidName as error:
        if not wants_page():
            raise
        flash(_(error.sentence), "danger")
    db.session.commit()
    return redirect(url_for("passkeys.index"), 303)


@bp.get("/passkeys/<passkey_id>/remove")
@require_actor
def confirm_removal(passkey_id: str) -> str:
    """Ask before a passkey is removed."""
    person_id = _fresh_actor(clock.now()).person_id
    passkey = passkeys.get(passkey_id, person_id=person_id)
    last = len(passkeys.passkeys_of(person_id)) == 1
    return render_template("signin/remove.html", passkey=passkey, last=last)


@bp.post("/passkeys/<passkey_id>/remove")
@require_actor
def remove(passkey_id: str) -> AnyResponse:
    """Remove a passkey, and end the other sign-ins that were made with it."""
    now = clock.now()
    actor = _fresh_actor(now)
    passkeys.remove(passkey_id, now, person_id=actor.person_id)
    tell_ended(signins.end_made_with(passkey_id, now, except_signin_id=actor.signin_id), now)
    db.session.commit()
    flash(_("The passkey was removed. Nobody can sign in with it any more."))
    return redirect(url_for("passkeys.index"), 303)


def _invitation(now: dt.datetime) -> Invitation:
    return passkeys.invitation(str(session.get("invitation", "")), now)


def _fresh_actor(now: dt.datetime) -> Actor:
    actor = the_actor()
    require_fresh(actor, now, max_age=FRESH)
    return actor


def _name(person_id: str) -> str:
    return holders.profiles({person_id}, vault=services().vault)[person_id].name


def _committed(begun: Begun) -> Response:
    db.session.commit()
    return jsonify(ceremony=begun.ceremony_id, publicKey=begun.options)
