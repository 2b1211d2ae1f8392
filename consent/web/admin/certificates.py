"""The register of all certificates, one certificate with its life, and stepping in; never what a certificate says."""

from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import get_locale, lazy_gettext
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from consent import certificate_register, data_certificates, interventions
from consent.certificate_register import FROZEN, Life, Line, Search
from consent.data_certificates import LIVING, By, CertificateStep, NotPossible, Stage, Step
from consent.interventions import ReasonMissing
from consent.supervision import Masked
from consent.web import asking, certificate_view, grounds
from consent.web.admin import labels, lists
from consent.web.certificate_view import Card
from consent.web.days import between
from consent.web.words import Label
from dataspace import clock
from dataspace.db import db
from dataspace.errors import NotFound
from dataspace.web.passkeys import FRESH
from dataspace.web.shell import services
from dataspace.web.signin import require_fresh, the_actor
from dataspace.web.values import plain

FILTERS = ("number", "client", "state", "holder", "since", "until")
STAGES: dict[str, Label] = {
    Stage.GENERATED: lazy_gettext("Made and signed"),
    Stage.STORED: lazy_gettext("Stored in the space"),
    Stage.PRESENTED: lazy_gettext("Shown to somebody"),
    Stage.USED: lazy_gettext("Used"),
    Stage.REVOKED: lazy_gettext("Revoked for good"),
    Stage.EXPIRED: lazy_gettext("Expired"),
    Stage.SUPERSEDED: lazy_gettext("Corrected since"),
}
STATES: dict[str, Label] = {s: label for s, label in STAGES.items() if s != Stage.GENERATED} | {
    FROZEN: lazy_gettext("Frozen")
}
# What an administrator decides, with the step that it is and what is said when it is done.
DECISIONS: dict[str, tuple[Step, Label]] = {
    "freeze": (Step.FROZEN, lazy_gettext("Frozen. Whoever checks it is told not to rely on it; the holder reads why.")),
    "thaw": (Step.THAWED, lazy_gettext("It can be used again, unless its holder or the authorization has frozen it.")),
    "revoke": (Step.REVOKED, lazy_gettext("Revoked for good. Whoever checks it is told so; the holder reads why.")),
}


def index() -> str:
    """The register: search, and what it found."""
    now = clock.now()
    filters = {name: lists.argument(name) for name in FILTERS} | {"state": lists.argument("state", one_of=STATES)}
    since, until = between(filters["since"], filters["until"])
    wanted = Search(
        number=filters["number"], client=filters["client"], state=filters["state"], holder_id=filters["holder"],
        since=since, until=until,
    )  # fmt: skip
    page = certificate_register.search(wanted, lists.page_number(), now)
    known = labels.people([line.holder_id for line in page.rows] + [filters["holder"]])
    return render_template(
        "admin/certificates.html",
        rows=[(line, card, _holder(line, known)) for line, card in zip(page.rows, cards(page.rows), strict=True)],
        page=page,
        links=lists.links("admin.certificates", page, filters),
        filters=filters,
        holder=labels.described(known.get(filters["holder"])),
        states=[(state, str(label)) for state, label in STATES.items()],
        stages={stage: STAGES[stage] for stage in LIVING},
    )


def show(certificate_id: str) -> str:
    """One certificate: whose, for whom, what it is worth, its life and the entries in the log of evidence."""
    return _page(certificate_id)


def decide(certificate_id: str) -> Response | tuple[str, int]:
    """Freeze it, thaw it, or revoke it for good; for a stated reason."""
    form, actor, now = request.form, the_actor(), clock.now()
    require_fresh(actor, now, max_age=FRESH)
    if form.get("decision", "") not in DECISIONS:
        raise NotFound("no such decision")
    step, done = DECISIONS[form["decision"]]
    try:
        reason = interventions.state(form.get("ground", ""), form.get("text", ""), allowed=interventions.CERTIFICATES)
        data_certificates.step_in(certificate_id, step, reason, now, actor_id=actor.person_id, vault=services().vault)
    except (ReasonMissing, NotPossible) as error:
        db.session.rollback()
        return _page(certificate_id, error=_(error.sentence)), error.status
    db.session.commit()
    flash(str(done))
    return redirect(url_for("admin.certificate", certificate_id=certificate_id), 303)


def cards(lines: list[Line]) -> list[Card]:
    """Certificates in words; one statement for the names of all their items."""
    locale = str(get_locale())
    names = asking.labels({line.certificate.item_id for line in lines}, locale)
    return [certificate_view.card(line, names, locale) for line in lines]


def _holder(line: Line, known: dict[str, Masked]) -> str:
    return labels.described(known.get(line.holder_id)) or line.holder_id


def _page(certificate_id: str, *, error: str = "") -> str:
    now = clock.now()
    line = certificate_register.line(certificate_id, now)
    certificate = line.certificate
    life = certificate_register.life(certificate, lists.before())
    known = labels.people([line.holder_id, *(step.actor_id for step, _place in life.steps)])
    readable = line.holder_id in known  # else the space was deleted
    living = readable and certificate.stage in LIVING and now < certificate.expires_at
    older = lists.address("admin.certificate", {"certificate_id": certificate_id}, before=str(life.older or ""))
    return render_template(
        "admin/certificate.html",
        line=line,
        card=cards([line])[0],
        holder=_holder(line, known),
        readable=readable,
        stage=STAGES[certificate.stage],
        steps=_steps(life, line, known),
        older=older if life.older else "",
        newest=url_for("admin.certificate", certificate_id=certificate_id) if lists.before() else "",
        decisions=("thaw" if certificate.office_froze_at else "freeze", "revoke") if living else (),
        grounds=grounds.options(interventions.CERTIFICATES),
        form=request.form,
        error=error,
    )


def _steps(life: Life, line: Line, known: dict[str, Masked]) -> list[dict[str, Any]]:
    """Its life in words. What was kept with a step is the holder's, but for the words of an administrator."""
    key = services().vault.key(line.certificate.space_id) if line.holder_id in known else None
    return [
        {
            "at": step.at,
            "label": str(certificate_view.STEPS[Step(step.kind)][0]),
            "tone": certificate_view.STEPS[Step(step.kind)][1] or "quiet",
            "who": _who(step, known),
            "why": " · ".join(filter(None, (grounds.label(step.reason_code), _words(step, key)))),
            "place": place,
        }
        for step, place in life.steps
    ]


def _who(step: CertificateStep, known: dict[str, Masked]) -> str:
    name = labels.actor(step.actor_id, None, known)
    return " · ".join(filter(None, (str(certificate_view.BY[By(step.by)]), name)))


def _words(step: CertificateStep, key: bytes | None) -> str:
    if key is None or step.by != By.OFFICE:
        return ""
    return plain(data_certificates.note_of(step, key).get("text", ""))
