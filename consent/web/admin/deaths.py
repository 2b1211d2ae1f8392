"""Writing down that a holder has died, from a document; and that it was a mistake."""

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from consent import deaths
from consent.deaths import DocumentMissing
from consent.web.admin import labels
from consent.web.context import registry
from dataspace import clock, holders, identifiers
from dataspace.days import CHINA
from dataspace.db import db
from dataspace.errors import Conflict, InvalidIdentifier, NotFound
from dataspace.holders import HolderKind
from dataspace.web.passkeys import FRESH
from dataspace.web.shell import services
from dataspace.web.signin import require_fresh, tell_ended, the_actor


def index() -> str:
    """The form, and what was written down lately."""
    return _page()


def record() -> Response | tuple[str, int]:
    """Write it down. The identifier comes by POST and enters no address."""
    form, actor, now = request.form, the_actor(), clock.now()
    require_fresh(actor, now, max_age=FRESH)
    try:
        today = now.astimezone(CHINA).date()
        identifier = identifiers.parse(HolderKind.NATURAL_PERSON, form.get("identifier", "").strip(), today=today)
        holder = holders.by_identifier(identifier, index=services().index)
        tell_ended(deaths.record(holder, form.get("document", ""), actor, now, registry=registry()), now)
    except (InvalidIdentifier, NotFound) as error:
        return _page(errors={"identifier": _(InvalidIdentifier.sentence)}), error.status
    except Conflict as error:
        return _page(errors={"identifier": _("The space of this person is closed already.")}), error.status
    except DocumentMissing as error:
        return _page(errors={"document": _(error.sentence)}), error.status
    db.session.commit()
    flash(_("Written down. The space is closed, every authorization has ended."))
    return redirect(url_for("admin.deaths"), 303)


def revoke(death_id: str) -> Response:
    """It was a mistake."""
    actor, now = the_actor(), clock.now()
    require_fresh(actor, now, max_age=FRESH)
    deaths.revoke(death_id, actor, now, vault=services().vault)
    db.session.commit()
    flash(_("Corrected. The space is open again; what has ended stays ended."))
    return redirect(url_for("admin.deaths"), 303)


def _page(*, errors: dict[str, str] | None = None) -> str:
    found = deaths.latest()
    return render_template(
        "admin/deaths.html", rows=found, known=labels.people(row.holder_id for row in found), form=request.form,
        errors=errors or {},
    )  # fmt: skip
