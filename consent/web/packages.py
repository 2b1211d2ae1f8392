"""Evidence packages: made for the holder of a consent, or by an administrator for a stated reason, and sent at once."""

from typing import Any

from flask import Blueprint, Response, render_template, url_for
from flask_babel import get_locale
from flask_babel import gettext as _

from consent import evidence_package, lifecycle
from consent.clients import Client
from consent.evidence_package import EvidencePackage, Made
from consent.interventions import Stated
from consent.records import Consent
from consent.web import grounds, words
from consent.web.context import registry
from consent.web.freshness import FRESH
from dataspace import clock
from dataspace.db import db
from dataspace.mandates import Actor, Capacity
from dataspace.web.limits import limited
from dataspace.web.signin import require_fresh, require_holder, the_actor
from dataspace.web.values import plain

bp = Blueprint("packages", __name__)


@bp.get("/authorizations/<consent_id>/evidence")
@require_holder
def page(consent_id: str) -> str:
    """What such a file holds, and who has had one made."""
    consent = lifecycle.of_space(consent_id, the_actor().space_id)
    party = db.session.get_one(Client, consent.client_id).name(str(get_locale() or "zh_Hans"))
    return render_template(
        "dashboard/evidence.html", consent_id=consent_id, party=plain(party), packed=told(consent_id)
    )


@bp.post("/authorizations/<consent_id>/evidence")
@limited("10/hour")
@require_holder
def make(consent_id: str) -> Response:
    """The package of an authorization of one's own. It is answered with the file: there is nothing to come back to."""
    actor, now = the_actor(), clock.now()
    consent = lifecycle.of_space(consent_id, actor.space_id)
    require_fresh(actor, now, max_age=FRESH)
    return send(consent, actor, why=None)


def send(consent: Consent, actor: Actor, *, why: Stated | None) -> Response:
    """Make a package and commit that it was made, before any of it leaves."""
    made: Made = evidence_package.make(consent, actor, clock.now(), why=why, guide=_guide, registry=registry())
    db.session.commit()
    response = Response(made.content, mimetype="application/zip")
    response.headers["Content-Disposition"] = f'attachment; filename="{made.package_id}.zip"'
    return response


def told(consent_id: str) -> list[dict[str, Any]]:
    """The packages of a consent for a timeline: when, by whom, why."""
    return [
        {
            "text": _("Evidence package made"),
            "at": package.made_at,
            "who": _by(package),
            "note": _why(package),
            "tone": "",
        }
        for package in evidence_package.of_consent(consent_id)
    ]


def _by(package: EvidencePackage) -> str:
    """In which capacity somebody had it made; of an administrator the office, not the person."""
    own = package.capacity == Capacity.SELF
    return str(_("by the holder") if own else words.CAPACITIES[package.capacity])


def _why(package: EvidencePackage) -> str:
    return " · ".join(filter(None, (grounds.label(package.reason_code), package.text)))


def _guide(said: dict[str, Any]) -> bytes:
    text: str = render_template("evidence/how_to_check.txt", said=said, keys=url_for("receipts.keys"))
    return text.encode()
