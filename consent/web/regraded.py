"""The page on which a holder decides again about data that became sensitive after it was given."""

from dataclasses import replace

from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from consent import amendments, clients, history, lifecycle, regrading
from consent.records import Consent
from consent.web.asking import Asking, ask_of, look
from consent.web.context import registry
from dataspace import clock
from dataspace.db import db
from dataspace.errors import Conflict
from dataspace.mandates import Capacity
from dataspace.web.shell import services
from dataspace.web.signin import the_actor


def show(consent_id: str) -> str | Response:
    """The first item that waits, as sensitive items are shown: why, what it can mean, the very values."""
    actor = the_actor()
    consent = lifecycle.of_space(consent_id, actor.space_id)
    asking = _asking(consent)
    if asking is None:
        return redirect(url_for("dashboard.consent", consent_id=consent_id), 303)
    alone = actor.capacity is not Capacity.AGENT
    return render_template(
        "dashboard/decide_again.html", asking=asking, consent=consent, alone=alone, shown=_shown(asking)
    )


def decide(consent_id: str) -> Response:
    """Keep giving the item, or stop giving it."""
    now, actor, decision = clock.now(), the_actor(), request.form.get("decision", "")
    consent = lifecycle.of_space(consent_id, actor.space_id)
    if decision not in ("give", "keep"):
        abort(400)
    asking, give = _asking(consent), decision == "give"
    if asking is None or request.form.get("item") != _shown(asking):
        flash(_("This was decided already. See what it says now."), "info")
        return redirect(url_for("dashboard.decide_again", consent_id=consent_id), 303)
    notice = render_template("dashboard/decide_again.txt", asking=asking)
    try:
        item_id = asking.items[0].item_id
        if give:
            regrading.keep(consent_id, item_id, actor, now, notice=notice, registry=registry())
        else:
            amendments.withdraw_item(consent_id, item_id, actor, now, registry=registry())
        db.session.commit()
        flash(_("Saved. It can be read again.") if give else _("Saved. This data can no longer be read."))
    except Conflict:
        db.session.rollback()
        flash(_("This was decided already. See what it says now."), "info")
    return redirect(url_for("dashboard.decide_again", consent_id=consent_id), 303)


def _shown(asking: Asking) -> str:
    """The first item and the version of it that the page shows: a decision counts for that and no other."""
    item = asking.ask.items[0]
    return f"{item.item_id}:{item.item_version}"


def _asking(consent: Consent) -> Asking | None:
    """What the page shows: the items that wait, as they are today; None when there are none."""
    document, _digest = history.current_document(consent)
    today = regrading.of_document(document) if consent.state in regrading.DECIDABLE else {}
    if not today:
        return None
    ask = ask_of(document, kind=consent.kind)
    items = tuple(regrading.asked_again(i, today[i.item_id]) for i in ask.items if i.item_id in today)
    locale = str(get_locale() or "zh_Hans")
    client = clients.get(consent.client_id)
    return look(replace(ask, items=items), client, locale, space_id=consent.space_id, vault=services().vault)
