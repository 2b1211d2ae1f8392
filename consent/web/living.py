"""A living authorization in its holder's hands: pause, resume, stop one item, end it earlier, keep it; stop many.

Each button is on the page of the authorization. Who comes too late is told what holds, and nothing is half done.
"""

import datetime as dt
from collections.abc import Callable
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import get_locale, ngettext
from flask_babel import gettext as _
from sqlalchemy import func, select
from werkzeug.wrappers import Response

from consent import amendments, clients, endings, pauses, reminders
from consent.records import TRANSITIONS, Consent, Event, State
from consent.web import words
from consent.web.cards import Detail
from consent.web.context import registry
from consent.web.steps import DAYS
from dataspace import clock
from dataspace.db import db
from dataspace.errors import Conflict
from dataspace.mandates import Actor
from dataspace.web.signin import the_actor
from dataspace.web.values import plain


def offered(detail: Detail, actor: Actor, now: dt.datetime) -> dict[str, Any]:
    """What the page of an authorization offers: pause, resume, keep; items that can be stopped alone; earlier ends."""
    if not detail.stoppable or detail.pending:
        return {"pause": False, "resume": False, "waits_for_other": False, "keep": False, "items": [], "days": []}
    resumable = _possible(detail.consent, Event.RESUMED)
    amendable = _possible(detail.consent, Event.ITEM_WITHDRAWN)
    left = detail.consent.expires_at - now
    return {
        "pause": _possible(detail.consent, Event.PAUSED),
        "resume": resumable and pauses.may_resume(actor),
        "waits_for_other": resumable and not pauses.may_resume(actor),
        "keep": _reminded(detail) and _possible(detail.consent, Event.RECONFIRMED),
        "items": [
            (item.item_id, item.label)
            for item in detail.asking.items
            if amendable and item.item_id in detail.chosen
            and amendments.ends_everything(detail.document, item.item_id) is None
        ],
        "days": [(d, words.days(d)) for d in DAYS if amendable and dt.timedelta(days=d) < left],
    }  # fmt: skip


def pause(consent_id: str) -> Response:
    """Stop it for a while."""
    now, actor = clock.now(), the_actor()
    done = _("Paused. Nothing can be read until it resumes.")
    return _change(consent_id, done, lambda: pauses.pause(consent_id, actor, now, registry=registry()))


def resume(consent_id: str) -> Response:
    """Let it be read again."""
    now, actor = clock.now(), the_actor()
    done = _("It can be read again, as before.")
    return _change(consent_id, done, lambda: pauses.resume(consent_id, actor, now, registry=registry()))


def keep(consent_id: str) -> Response:
    """After a reminder: it goes on as it is."""
    now, actor = clock.now(), the_actor()
    done = _("It goes on as it is. You are asked again in 90 days.")
    return _change(consent_id, done, lambda: reminders.keep(consent_id, actor, now, registry=registry()))


def stop_item(consent_id: str) -> Response:
    """Give one item no longer; the rest goes on."""
    now, actor, item_id = clock.now(), the_actor(), request.form.get("item", "")
    done = _("Saved. This data can no longer be read.")
    return _change(
        consent_id, done, lambda: amendments.withdraw_item(consent_id, item_id, actor, now, registry=registry())
    )


def shorten(consent_id: str) -> Response:
    """Let it end earlier: so many days from now."""
    now, actor, days = clock.now(), the_actor(), request.form.get("days", "")
    if days not in {str(d) for d in DAYS}:
        flash(_("Choose for how long it should still be possible."), "caution")
        return redirect(url_for("dashboard.consent", consent_id=consent_id), 303)
    end = now + dt.timedelta(days=int(days))
    done = _("It ends earlier now. See when.")
    return _change(consent_id, done, lambda: amendments.shorten(consent_id, end, actor, now, registry=registry()))


def ask_stop_many() -> str | Response:
    """Before everything, or everything of one third party, is stopped: how many, and what follows."""
    now, actor, client_id = clock.now(), the_actor(), plain(request.args.get("client", ""))[:80]
    many = endings.open_of(actor.space_id, now, client_id=client_id or None).subquery()
    count = db.session.scalar(select(func.count()).select_from(many)) or 0
    if not count:
        return redirect(url_for("dashboard.authorizations"), 303)
    party = plain(clients.get(client_id).name(str(get_locale()))) if client_id else ""
    return render_template("dashboard/stop_many.html", count=count, client_id=client_id, party=party)


def stop_many() -> Response:
    """Stop everything, or everything of one third party, at once."""
    now, actor, client_id = clock.now(), the_actor(), plain(request.form.get("client", ""))[:80]
    ask_deletion = request.form.get("deletion") == "yes"
    stopped = endings.withdraw_all(
        actor, now, client_id=client_id or None, ask_deletion=ask_deletion, registry=registry()
    )
    db.session.commit()
    flash(ngettext("%(num)s authorization is stopped.", "%(num)s authorizations are stopped.", stopped))
    return redirect(url_for("dashboard.authorizations"), 303)


def _change(consent_id: str, done: str, change: Callable[[], Consent]) -> Response:
    try:
        change()
        db.session.commit()
        flash(done)
    except Conflict:
        db.session.rollback()
        flash(_("It has changed meanwhile. See what holds now."), "info")
    return redirect(url_for("dashboard.consent", consent_id=consent_id), 303)


def _possible(consent: Consent, event: Event) -> bool:
    return (State(consent.state), event) in TRANSITIONS


def _reminded(detail: Detail) -> bool:
    """Whether the last thing that happened was that the holder was reminded."""
    return bool(detail.events) and detail.events[0].kind == Event.REMINDED
