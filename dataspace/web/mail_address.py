"""The page on which a holder says where mail about her messages goes, and confirms it by a code."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from dataspace import clock, mail, messages
from dataspace.db import db
from dataspace.errors import Conflict, NotAllowed
from dataspace.mail import InvalidAddress, WrongCode
from dataspace.mandates import Actor, Capacity
from dataspace.messages import Group, Notice
from dataspace.web.limits import limited
from dataspace.web.passkeys import FRESH
from dataspace.web.shell import services
from dataspace.web.signin import require_fresh, require_holder, the_actor

bp = Blueprint("mail_address", __name__)


@bp.get("/messages/address")
@require_holder
def index() -> str:
    """Where mail goes."""
    return _page()


@bp.post("/messages/address")
@require_holder
@limited("5/minute")
def propose() -> Response | tuple[str, int]:
    """Send a code to a new address. Only after a recent sign-in: mail tells what happens here."""
    now, actor = clock.now(), _decides()
    require_fresh(actor, now, max_age=FRESH)
    typed, receipts = request.form.get("address", ""), request.form.get("receipts") == "yes"
    language, vault = str(get_locale()), services().vault
    try:
        mail.propose(actor.space_id, typed, now, language=language, with_receipts=receipts, vault=vault)
    except InvalidAddress as error:
        db.session.rollback()
        return _page(typed=typed, error=_(error.sentence)), error.status
    except Conflict:
        db.session.rollback()
        return _page(typed=typed, error=_("A code was sent a moment ago. Wait a minute before the next.")), 409
    db.session.commit()
    flash(_("A code is on its way to this address."))
    return redirect(url_for("mail_address.index"), 303)


@bp.post("/messages/address/confirm")
@require_holder
@limited("10/minute")
def confirm() -> Response | tuple[str, int]:
    """The code has come back."""
    now, actor = clock.now(), _decides()
    try:
        mail.confirm(actor.space_id, request.form.get("code", ""), now, vault=services().vault)
    except WrongCode as error:
        db.session.commit()  # the try counts
        return _page(code_error=_(error.sentence)), error.status
    messages.send(actor.space_id, Notice.ADDRESS_CHANGED, Group.SECURITY, now)
    db.session.commit()
    flash(_("The address is confirmed. Mail goes there from now on."))
    return redirect(url_for("mail_address.index"), 303)


@bp.post("/messages/address/remove")
@require_holder
def remove() -> Response:
    """No more mail."""
    now, actor = clock.now(), _decides()
    require_fresh(actor, now, max_age=FRESH)
    mail.forget(actor.space_id)
    db.session.commit()
    flash(_("The address was removed. No more mail is sent."))
    return redirect(url_for("mail_address.index"), 303)


def _decides() -> Actor:
    """Who prepares for a body decides nothing for it alone."""
    actor = the_actor()
    if actor.capacity is Capacity.AGENT:
        raise NotAllowed("an agent does not change the address of a body")
    return actor


def _page(*, typed: str = "", error: str = "", code_error: str = "") -> str:
    return render_template(
        "home/mail_address.html",
        offered=bool(services().settings.smtp_host),
        standing=mail.standing(the_actor().space_id, vault=services().vault),
        typed=typed,
        error=error,
        code_error=code_error,
    )
