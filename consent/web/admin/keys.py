"""The keys with which this service signs: list, and rotation for a stated reason."""

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from consent import interventions, keys, supervision
from consent.interventions import ReasonMissing
from consent.web import grounds
from consent.web.admin import labels
from dataspace import clock
from dataspace.db import db
from dataspace.web.passkeys import FRESH
from dataspace.web.shell import services
from dataspace.web.signin import require_fresh, the_actor


def index() -> str:
    """All keys that are still published."""
    return _page()


def rotate() -> AnyResponse | tuple[str, int]:
    """Publish the next keys; they take over when every cache has seen them."""
    form, now = request.form, clock.now()
    require_fresh(the_actor(), now, max_age=FRESH)
    try:
        reason = interventions.state(form.get("ground", ""), form.get("text", ""), allowed=interventions.ROTATE)
    except ReasonMissing as error:
        return _page(error=_(error.sentence)), error.status
    keys.rotate(now, services().vault)
    interventions.note("keys:rotated", now, actor_id=the_actor().person_id, reason_code=reason.ground, text=reason.text)
    db.session.commit()
    flash(_("The next keys are published. They sign in ten minutes."))
    return redirect(url_for("admin.keys"), 303)


def _page(*, error: str = "") -> str:
    now = clock.now()
    rows = [(key, supervision.key_state(key, now)) for key in supervision.server_keys()]
    return render_template(
        "admin/keys.html",
        rows=[(key, state) for key, state in rows if state != "removed"],
        rotating=any(state == "next" for _key, state in rows),
        uses=labels.KEY_USES,
        states=labels.KEY_STATES,
        grounds=grounds.options(interventions.ROTATE),
        form=request.form,
        error=error,
    )
