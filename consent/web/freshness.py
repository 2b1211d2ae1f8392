"""A recent sign-in before sensitive data is given: the idea of RFC 9470 on our own pages."""

import datetime as dt

from flask import abort, flash, redirect, url_for
from flask_babel import gettext as _

from dataspace import signins
from dataspace.mandates import Actor

FRESH = dt.timedelta(minutes=15)  # how old the sign-in may be with which sensitive data is given


def demand_fresh(actor: Actor, now: dt.datetime, *, back: str) -> None:
    """Send who signed in too long ago to the sign-in page, and from there to ``back``, a path of ours (aborts)."""
    if not signins.is_fresh(actor, now, max_age=FRESH):
        flash(_("You are about to give sensitive data. Sign in once more; your choices are kept."), "info")
        abort(redirect(url_for("signin.sign_in", next=back), 303))
