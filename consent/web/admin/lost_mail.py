"""Mail to holders that was given up: look, and have it sent again. Neither addresses nor names are shown."""

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response as AnyResponse

from consent import interventions
from consent.web import inbox
from consent.web.admin import lists
from dataspace import clock, lost_mail
from dataspace.db import db
from dataspace.web.signin import the_actor


def index() -> str:
    """Those that were given up, newest first, and over what."""
    before = lists.before()
    found = lost_mail.given_up(before, lost_mail.PAGE + 1)
    shown = found[: lost_mail.PAGE]
    older = str(shown[-1][0].notice_id) if len(found) > len(shown) else ""
    titles = [inbox.title(message) if message else _("A code for a new address") for _mail, message in shown]
    return render_template(
        "admin/lost_mail.html",
        rows=[(row, title, row.message_id is not None) for (row, _m), title in zip(shown, titles, strict=True)],
        problems=lost_mail.problems(),
        waiting=lost_mail.waiting(),
        older=url_for("admin.lost_mail", before=older) if older else "",
        newest=url_for("admin.lost_mail") if before else "",
    )


def send_again() -> AnyResponse:
    """One, or all."""
    now = clock.now()
    count = lost_mail.send_again(now, notice_id=lists.number("notice"))
    interventions.note("mails:sent_again", now, actor_id=the_actor().person_id, text=str(count))
    db.session.commit()
    flash(ngettext("%(num)s mail is sent again.", "%(num)s mails are sent again.", count))
    return redirect(url_for("admin.lost_mail"), 303)
