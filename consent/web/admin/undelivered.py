"""What clients were to be told and have not taken: dead letters. Look, have them sent again, try whether one hears."""

from flask import flash, redirect, render_template, request, url_for
from flask_babel import get_locale, ngettext
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from consent import announcements, interventions, supervision
from consent.announcements import DATA_CORRECTED, VERIFICATION
from consent.web.admin import labels, lists
from dataspace import clock
from dataspace.catalogue import in_language
from dataspace.db import db
from dataspace.web.signin import the_actor
from dataspace.web.values import plain


def index() -> str:
    """Those that were given up, newest first."""
    filters = {"client": lists.argument("client")}
    before = lists.before()
    rows = announcements.given_up(filters["client"], before, announcements.PAGE + 1)
    shown = rows[: announcements.PAGE]
    names = supervision.client_names({row.client_id for row in shown})
    older = str(shown[-1].notice_id) if len(rows) > len(shown) else ""
    return render_template(
        "admin/undelivered.html",
        rows=[(row, event(row.kind), plain(in_language(names[row.client_id], str(get_locale())))) for row in shown],
        waiting=announcements.waiting(),
        older=lists.address("admin.undelivered", filters, before=older) if older else "",
        newest=lists.address("admin.undelivered", filters) if before else "",
        filters=filters,
    )


def send_again() -> AnyResponse:
    """One, or all of a client."""
    now, client_id = clock.now(), request.form.get("client", "")
    notice_id = lists.number("notice")
    count = announcements.send_again(now, notice_id=notice_id, client_id=client_id)
    what = client_id or str(notice_id or "")
    interventions.note("events:sent_again", now, actor_id=the_actor().person_id, text=f"{what}: {count}"[:500])
    db.session.commit()
    flash(ngettext("%(num)s notice is sent again.", "%(num)s notices are sent again.", count))
    return redirect(url_for("admin.undelivered"), 303)


def verify(client_id: str) -> AnyResponse:
    """Send a client a notice about nothing."""
    announcements.verify(client_id, clock.now())
    db.session.commit()
    flash(_("A test notice is on its way. If the third party does not take it, it appears below."))
    return redirect(url_for("admin.client", client_id=client_id), 303)


def event(kind: str) -> str:
    """What an announcement is about."""
    if kind == DATA_CORRECTED:
        return str(_("Data was corrected at its source"))
    return _("Test") if kind == VERIFICATION else labels.event(kind)[0]
