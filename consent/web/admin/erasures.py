"""The desk for deleting whole spaces: what waits, the earliest due first; refuse it, or have it done."""

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from consent import erasures, interventions
from consent.interventions import ReasonMissing
from consent.web import grounds
from consent.web.admin import labels
from consent.web.context import registry
from consent.web.erasures import days_left
from dataspace import clock
from dataspace.db import db
from dataspace.web.passkeys import FRESH
from dataspace.web.signin import require_fresh, tell_ended, the_actor


def index() -> str:
    """What waits for a decision."""
    return _page()


def decide(erasure_id: str) -> Response | tuple[str, int]:
    """Have it done, or refuse it; for a stated reason."""
    form, actor, now = request.form, the_actor(), clock.now()
    require_fresh(actor, now, max_age=FRESH)
    try:
        reason = interventions.state(form.get("ground", ""), form.get("text", ""), allowed=interventions.ERASE)
    except ReasonMissing as error:
        return _page(wrong=erasure_id, error=_(error.sentence)), error.status
    if form.get("decision") == "erase":
        tell_ended(erasures.execute(erasure_id, actor, reason, now, registry=registry()), now)
        flash(_("The space is deleted."))
    else:
        erasures.refuse(erasure_id, actor, reason, now)
        flash(_("Refused. The holder reads your reason."))
    db.session.commit()
    return redirect(url_for("admin.erasures"), 303)


def _page(*, wrong: str = "", error: str = "") -> str:
    now, found = clock.now(), erasures.at_desk()
    known = labels.people(row.holder_id for row in found)
    return render_template(
        "admin/erasures.html",
        rows=[(row, known.get(row.holder_id), days_left(row.possible_at, now), row.due_at <= now) for row in found],
        grounds=grounds.options(interventions.ERASE),
        form=request.form,
        wrong=wrong,
        error=error,
    )
