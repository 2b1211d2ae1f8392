"""Evidence packages: asked for by the holder of a consent, or by an administrator for a stated reason; then fetched.

The worker makes them; the file is kept as archives are, and that one was made for ever.
"""

import datetime as dt
from collections.abc import Collection
from typing import Any

from flask import Blueprint, Response, current_app, flash, redirect, render_template, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from consent import archives, evidence_package, lifecycle
from consent.archives import Archive, ArchiveLimit
from consent.clients import Client
from consent.evidence_package import EvidencePackage, Package
from consent.interventions import Stated
from consent.records import Consent
from consent.web import archive_files, grounds, words
from consent.web.context import registry
from consent.web.freshness import FRESH
from dataspace import clock
from dataspace.db import db
from dataspace.mandates import Actor, Capacity
from dataspace.web.limits import limited
from dataspace.web.signin import require_fresh, require_holder, the_actor
from dataspace.web.values import plain

bp = Blueprint("packages", __name__, url_prefix="/authorizations/<consent_id>/evidence")


@bp.get("")
@require_holder
def page(consent_id: str) -> str:
    """What such a file holds, the files of the last days, and who has ever had one made."""
    return _page(lifecycle.of_space(consent_id, the_actor().space_id))


@bp.post("")
@limited("10/hour")
@require_holder
def make(consent_id: str) -> AnyResponse | tuple[str, int]:
    """Ask for the package of an authorization of one's own; a worker makes it."""
    actor, now = the_actor(), clock.now()
    consent = lifecycle.of_space(consent_id, actor.space_id)
    require_fresh(actor, now, max_age=FRESH)
    try:
        ask(consent, actor, why=None)
    except ArchiveLimit as error:
        return _page(consent, error=_(error.sentence)), error.status
    return redirect(url_for("packages.page", consent_id=consent_id), 303)


@bp.get("/<package_id>.zip")
@limited("30/hour")
@require_holder
def fetch(consent_id: str, package_id: str) -> Response:
    """The file."""
    return send(consent_id, package_id)


@bp.post("/<package_id>/discard")
@require_holder
def discard(consent_id: str, package_id: str) -> AnyResponse:
    """The file is not wanted any more."""
    remove(consent_id, package_id)
    return redirect(url_for("packages.page", consent_id=consent_id), 303)


# The same for whoever may: the holder, or an administrator


def ask(consent: Consent, actor: Actor, *, why: Stated | None) -> None:
    """Ask for one, and say that it comes. Raises NothingDecided, ArchiveLimit."""
    evidence_package.ask(consent, actor, str(get_locale()), clock.now(), why=why, registry=registry())
    db.session.commit()
    flash(_("The evidence package is being made. It takes seconds, or some minutes after very many reads."))


def send(consent_id: str, package_id: str) -> Response:
    """The file, after a recent sign-in. Raises NotFound."""
    actor, now = the_actor(), clock.now()
    archive = evidence_package.get(package_id, consent_id, actor)
    require_fresh(actor, now, max_age=FRESH)
    return archive_files.send(archive, f"{package_id}.zip", now)


def files_for(consent_id: str, actor: Actor, now: dt.datetime) -> list[dict[str, Any]]:
    """What an administrator has asked for and is still kept."""
    found = evidence_package.files_of(consent_id, by_office=True)
    return archive_files.views([one for one in found if one.person_id == actor.person_id], now)


def remove(consent_id: str, package_id: str) -> None:
    """Remove the file. Raises NotFound."""
    archives.discard(evidence_package.get(package_id, consent_id, the_actor()))
    db.session.commit()
    flash(_("The file was removed."))


def content(archive: Archive, now: dt.datetime) -> Package:
    """What the worker puts into one."""
    return Package(archive, _guide, now, registry=registry())


def told(consent_id: str, kept: Collection[str] | None = None) -> list[dict[str, Any]]:
    """The packages of a consent for a timeline: when, by whom, why; and that the holder's are not ``kept`` any more."""
    return [
        {
            "text": _("Evidence package made"),
            "at": package.made_at,
            "who": _by(package),
            "note": _why(package) or (_("The file is not kept any more.") if _is_gone(package, kept) else ""),
            "tone": "",
        }
        for package in evidence_package.of_consent(consent_id)
    ]


def _page(consent: Consent, *, error: str = "") -> str:
    party = db.session.get_one(Client, consent.client_id).name(str(get_locale() or "zh_Hans"))
    found = archive_files.views(evidence_package.files_of(consent.consent_id, by_office=False), clock.now())
    return render_template(
        "dashboard/evidence.html",
        consent_id=consent.consent_id,
        party=plain(party),
        files=found,
        making=archive_files.is_making(found),
        packed=told(consent.consent_id, {one["archive"].archive_id for one in found}),
        days=archives.KEPT.days,
        error=error,
    )


def _is_gone(package: EvidencePackage, kept: Collection[str] | None) -> bool:
    return kept is not None and package.package_id not in kept


def _by(package: EvidencePackage) -> str:
    """In which capacity somebody had it made; of an administrator the office, not the person."""
    own = package.capacity == Capacity.SELF
    return str(_("by the holder") if own else words.CAPACITIES[package.capacity])


def _why(package: EvidencePackage) -> str:
    return " · ".join(filter(None, (grounds.label(package.reason_code), package.text)))


def _guide(said: dict[str, Any]) -> bytes:
    text: str = current_app.jinja_env.get_template("evidence/how_to_check.txt").render(said=said)
    return text.encode()
