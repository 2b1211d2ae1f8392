"""Deleting the whole space: what goes, what stays, the cooling-off; ask for it, take it back."""

import datetime as dt

from flask import Blueprint, flash, redirect, render_template, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from consent import archives, erasures
from consent.web import grounds
from consent.web.freshness import FRESH
from dataspace import clock
from dataspace.db import db
from dataspace.errors import NotAllowed
from dataspace.web.limits import limited
from dataspace.web.signin import require_fresh, require_holder, the_actor

bp = Blueprint("erasures", __name__, url_prefix="/erasure")


@bp.get("")
@require_holder
def index() -> str:
    """What deleting means, and how far it is."""
    actor, now = the_actor(), clock.now()
    if not archives.may_ask(actor):
        raise NotAllowed("only who decides alone gives up a space")
    erasure, refused = erasures.waiting(actor.space_id), erasures.last_refused(actor.holder_id)
    return render_template(
        "erasure/index.html",
        erasure=erasure,
        days_left=days_left(erasure.possible_at, now) if erasure else 0,
        refused=refused,
        ground=grounds.label(refused.ground) if refused and refused.ground else "",
        cooling_off=erasures.COOLING_OFF.days,
    )


@bp.post("")
@limited("10/hour")
@require_holder
def ask() -> Response:
    """Ask for it."""
    actor, now = the_actor(), clock.now()
    require_fresh(actor, now, max_age=FRESH)
    erasures.ask(actor, now)
    db.session.commit()
    flash(_("Asked for. Nothing is deleted yet; you can take it back."))
    return redirect(url_for("erasures.index"), 303)


@bp.post("/take-back")
@require_holder
def take_back() -> Response:
    """Keep it after all."""
    erasures.take_back(the_actor(), clock.now())
    db.session.commit()
    flash(_("Taken back. The space stays as it is."))
    return redirect(url_for("erasures.index"), 303)


def days_left(until: dt.datetime, now: dt.datetime) -> int:
    """Begun days until then; none when it is over."""
    return max(-(-int((until - now).total_seconds()) // 86400), 0)
