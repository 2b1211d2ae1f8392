"""One version of a record as administrators see it: what hangs on it, never what it says; and deleting it for good."""

from flask import flash, redirect, render_template, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from consent import certificate_register, interventions, record_erasures
from consent.certificate_register import Search
from consent.interventions import ReasonMissing
from consent.web import grounds, origins
from consent.web.admin import certificates, labels
from dataspace import clock, lineage
from dataspace.db import db
from dataspace.errors import Conflict
from dataspace.web.passkeys import FRESH
from dataspace.web.shell import services
from dataspace.web.signin import require_fresh, the_actor
from dataspace.web.values import plain


def show(record_id: str) -> str:
    """What would go with it and what would stay; what was done, once it is deleted."""
    return _page(record_id)


def erase(record_id: str) -> Response | tuple[str, int]:
    """Delete it for good: for a stated reason, by somebody who has written its number."""
    form, actor, now = request.form, the_actor(), clock.now()
    require_fresh(actor, now, max_age=FRESH)
    try:
        reason = interventions.state(form.get("ground", ""), form.get("text", ""), allowed=interventions.ERASE)
        if form.get("number", "").strip() != record_id:
            return _page(record_id, errors={"number": _("This is not the number of this version.")}), 400
        record_erasures.erase(record_id, reason, now, actor_id=actor.person_id, vault=services().vault)
    except ReasonMissing as error:
        return _page(record_id, errors={"text": _(error.sentence)}), error.status
    except Conflict as error:
        db.session.rollback()
        return _page(record_id, errors={"done": _("It was deleted before. Nothing was changed.")}), error.status
    db.session.commit()
    flash(_("Deleted for good; the holder gets a message."))
    return redirect(url_for("admin.record", record_id=record_id), 303)


def _page(record_id: str, *, errors: dict[str, str] | None = None) -> str:
    now, locale = clock.now(), str(get_locale())
    origin = lineage.origin(record_id)
    around, noted = record_erasures.around(origin.record), record_erasures.noted(origin.record)
    made = certificate_register.search(Search(number=record_id), 1, now)
    known = labels.people([around.holder_id, noted.actor_id if noted else None])
    return render_template(
        "admin/record.html",
        origin=origins.view(origin, locale),
        holder=labels.described(known.get(around.holder_id)) or around.holder_id,
        copies=around.copies,
        readable=around.holder_id in known,
        certificates=list(zip(made.rows, certificates.cards(made.rows), strict=True)),
        total=made.total,
        by=labels.actor(noted.actor_id, None, known) if noted else "",
        why=" · ".join((grounds.label(noted.reason_code), plain(noted.text))) if noted else "",
        grounds=grounds.options(interventions.ERASE),
        form=request.form,
        errors=errors or {},
    )
