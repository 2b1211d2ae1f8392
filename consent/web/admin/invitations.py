"""Initial access tokens: with one of them a program registers one client. Issue, see who used which, revoke."""

import datetime as dt

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from consent.clients import Profile
from consent.oauth import initial_access
from consent.oauth.initial_access import InitialAccessToken
from consent.web import words
from consent.web.admin import labels
from dataspace import clock
from dataspace.db import db
from dataspace.web.passkeys import FRESH
from dataspace.web.signin import require_fresh, the_actor
from dataspace.web.values import plain

DAYS = (1, 7, 30, 90)


def index() -> str:
    """The latest tokens, without their secrets."""
    now = clock.now()
    rows = initial_access.latest()
    return render_template(
        "admin/invitations.html",
        rows=[(row, _state(row, now), plain(row.note), labels.PROFILES[row.profile]) for row in rows],
        issuers=labels.people(row.created_by for row in rows),
        issued_by=labels.actor,
        profiles=list(labels.PROFILES.items()),
        days=[(days, words.days(days)) for days in DAYS],
    )


def issue() -> AnyResponse:
    """Issue a token and show it once. Only after a recent sign-in: it lets somebody in."""
    now, actor = clock.now(), the_actor()
    require_fresh(actor, now, max_age=FRESH)
    profile = Profile.DATA if request.form.get("profile") == Profile.DATA else Profile.LOGIN
    days = request.form.get("days", type=int)
    life = dt.timedelta(days=days) if days in DAYS else initial_access.LIFE
    note = plain(request.form.get("note", ""))
    token = initial_access.issue(profile, now, actor_id=actor.person_id, note=note, life=life)
    db.session.commit()
    flash(_("The initial access token, shown only now: %(token)s", token=token), "caution")
    return redirect(url_for("admin.invitations"), 303)


def revoke(digest: str) -> AnyResponse:
    """End a token that nobody has used."""
    initial_access.revoke(digest, clock.now(), actor_id=the_actor().person_id)
    db.session.commit()
    flash(_("Revoked."))
    return redirect(url_for("admin.invitations"), 303)


def _state(row: InitialAccessToken, now: dt.datetime) -> str:
    if row.used_at is not None:
        return "used"
    return "open" if now < row.expires_at else "over"
