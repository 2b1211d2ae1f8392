"""Certificates in their holder's hands: the register, one certificate and its life, showing, freezing, revoking it."""

from collections.abc import Callable

import segno
from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from consent import (
    certificate_issue,
    certificate_register,
    certificate_standing,
    clients,
    data_certificates,
    lifecycle,
    pauses,
    presentations,
)
from consent.certificate_register import PAGE
from consent.data_certificates import By, DataCertificate, Step
from consent.records import facts_of, why_inactive
from consent.status_lists import Status
from consent.web import asking, certificate_view, proofs
from consent.web.context import registry
from consent.web.freshness import demand_fresh
from dataspace import catalogue, clock
from dataspace.catalogue import DataItem
from dataspace.db import db
from dataspace.errors import NotAllowed, NotFound
from dataspace.sealing import Unreadable
from dataspace.web.limits import limited
from dataspace.web.shell import services
from dataspace.web.signin import require_holder, the_actor
from dataspace.web.values import plain

bp = Blueprint("certificates", __name__)
SEARCH_FROM = 10
MAX_PAGE = 10_000


@bp.get("/certificates")
@require_holder
def index() -> str:
    """The register."""
    now, locale = clock.now(), str(get_locale())
    words = plain(request.args.get("q", "")).strip()[:100]
    page = min(max(request.args.get("page", 1, type=int), 1), MAX_PAGE)
    found = certificate_register.find(the_actor().space_id, now, words=words, page=page)
    labels = asking.labels({line.certificate.item_id for line in found.lines}, locale)
    return render_template(
        "certificates/index.html",
        cards=[certificate_view.card(line, labels, locale) for line in found.lines],
        total=found.total,
        page=page,
        pages=max(-(-found.total // PAGE), 1),
        q=words,
        searchable=found.all >= SEARCH_FROM or bool(words),
    )


@bp.get("/authorizations/<consent_id>/certificates")
@require_holder
def new(consent_id: str) -> str:
    """Over which data of an authorization a certificate can be made."""
    return _choose(consent_id)


@bp.post("/authorizations/<consent_id>/certificates")
@limited("30/minute")
@require_holder
def make(consent_id: str) -> AnyResponse | tuple[str, int]:
    """Make one."""
    now, actor = clock.now(), the_actor()
    item_id = plain(request.form.get("item", ""))[:60]
    try:
        made = certificate_issue.for_holder(consent_id, item_id, actor, now, registry=registry())
    except (certificate_issue.NotCertifiable, certificate_issue.TooManyCertificates) as error:
        db.session.rollback()
        return _choose(consent_id, error=_(error.sentence)), error.status
    certificate_id = made.certificate.certificate_id
    db.session.commit()
    flash(_("The certificate is made. Nobody has it yet: choose below whom to show what."))
    return redirect(url_for("certificates.show", certificate_id=certificate_id), 303)


@bp.get("/certificates/<certificate_id>")
@require_holder
def show(certificate_id: str) -> str:
    """One certificate: what it is worth, whom to show it, its whole life."""
    return _page(_own(certificate_id))


@bp.post("/certificates/<certificate_id>/links")
@limited("30/minute")
@require_holder
def present(certificate_id: str) -> AnyResponse | tuple[str, int]:
    """Make a link for one receiver."""
    now, actor, certificate = clock.now(), the_actor(), _own(certificate_id)
    if _item(certificate).is_sensitive_for(certificate.field_ids):
        demand_fresh(actor, now, back=url_for("certificates.show", certificate_id=certificate_id))
    life = presentations.LIVES.get(request.form.get("life", ""))
    if life is None:
        return _page(certificate, error=_("Choose for how long the link can be opened.")), 400
    try:
        secret = presentations.present(
            certificate_id, request.form.get("receiver", ""), _chosen(), life, actor, now,
            purpose=request.form.get("purpose", ""), vault=services().vault,
        )  # fmt: skip
    except (presentations.NothingChosen, presentations.TooManyLinks, data_certificates.NotPossible) as error:
        db.session.rollback()
        return _page(_own(certificate_id), error=_(error.sentence)), error.status
    db.session.commit()
    return redirect(url_for("certificates.link", certificate_id=certificate_id, secret=secret), 303)


@bp.get("/certificates/<certificate_id>/links/<secret>")
@require_holder
def link(certificate_id: str, secret: str) -> str:
    """The link as a QR code and as text. Raises NotFound."""
    now, certificate, row = clock.now(), _own(certificate_id), presentations.find(secret)
    if row.certificate_id != certificate.certificate_id:
        raise NotFound("a link of another certificate")
    address = f"{registry().issuer}{url_for('presented.show', secret=secret)}"
    return render_template(
        "certificates/link.html",
        certificate=certificate,
        item=_item(certificate).label(str(get_locale())),
        receiver=plain(presentations.receiver_of(row, vault=services().vault)),
        row=row,
        waits=row.waits(now),
        address=address,
        qr=segno.make(address, micro=False, error="m").svg_data_uri(scale=4, border=4, light="#fff"),
    )


@bp.post("/certificates/links/<presentation_id>/take-back")
@require_holder
def take_back(presentation_id: str) -> AnyResponse:
    """The link cannot be opened any more."""
    certificate = presentations.take_back(presentation_id, the_actor(), clock.now(), vault=services().vault)
    certificate_id = certificate.certificate_id
    db.session.commit()
    flash(_("The link is taken back. Nobody has opened it."))
    return redirect(url_for("certificates.show", certificate_id=certificate_id), 303)


@bp.post("/certificates/<certificate_id>/freeze")
@require_holder
def freeze(certificate_id: str) -> AnyResponse:
    """Nobody can rely on it for the time being."""
    return _step(certificate_id, Step.FROZEN, lambda: _("Frozen. Whoever checks it is told not to rely on it."))


@bp.post("/certificates/<certificate_id>/thaw")
@require_holder
def thaw(certificate_id: str) -> AnyResponse:
    """Take one's own freezing back."""
    return _step(certificate_id, Step.THAWED, lambda: _("It can be used again."))


@bp.post("/certificates/<certificate_id>/revoke")
@require_holder
def revoke(certificate_id: str) -> AnyResponse:
    """For good."""
    return _step(certificate_id, Step.REVOKED, lambda: _("Revoked for good. Whoever checks it is told so."))


@bp.get("/certificates/<certificate_id>/certificate.sd-jwt")
@require_holder
def download(certificate_id: str) -> Response:
    """The file, with everything that it can show."""
    certificate = _own(certificate_id)
    content = data_certificates.content(certificate, vault=services().vault).show()
    response = Response(content, mimetype="application/dc+sd-jwt")
    response.headers["Content-Disposition"] = f'attachment; filename="{certificate_id}.sd-jwt"'
    return response


@bp.get("/certificates/<certificate_id>/steps/<int(max=2147483647):seq>/proof.json")
@require_holder
def proof(certificate_id: str, seq: int) -> Response:
    """That a step of its life stands in the log of evidence. Raises NotFound, NotYet."""
    certificate = _own(certificate_id)
    step = next((one for one in data_certificates.steps(certificate_id) if one.seq == seq), None)
    entry = data_certificates.entry_of(step, certificate) if step is not None else None
    return proofs.download(entry, f"{certificate_id}-{seq}")


def cards(consent_id: str) -> list[certificate_view.Card]:
    """The certificates of one authorization, for its page."""
    locale = str(get_locale())
    found = certificate_register.of_consent(consent_id, clock.now())
    labels = asking.labels({line.certificate.item_id for line in found}, locale)
    return [certificate_view.card(line, labels, locale) for line in found]


def _own(certificate_id: str) -> DataCertificate:
    return data_certificates.of_space(certificate_id, the_actor().space_id)


def _item(certificate: DataCertificate) -> DataItem:
    version = (certificate.item_id, certificate.item_version)
    return catalogue.versions([version])[version]


def _chosen() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for field in request.form.getlist("show")[:200]:
        place, _dot, name = field.partition(".")
        found.setdefault(place, []).append(name)
    return found


def _step(certificate_id: str, step: Step, done: Callable[[], str]) -> AnyResponse:
    actor, certificate = the_actor(), _own(certificate_id)
    if step == Step.THAWED and not pauses.may_resume(actor):
        raise NotAllowed("what lets data leave needs somebody who decides alone")
    try:
        data_certificates.append(
            certificate.certificate_id, step, clock.now(), by=By.HOLDER, actor_id=actor.person_id,
            vault=services().vault,
        )  # fmt: skip
        db.session.commit()
        flash(done())
    except data_certificates.NotPossible as error:
        db.session.rollback()
        flash(_(error.sentence), "caution")
    return redirect(url_for("certificates.show", certificate_id=certificate_id), 303)


def _choose(consent_id: str, *, error: str = "") -> str:
    now, actor, locale = clock.now(), the_actor(), str(get_locale())
    consent = lifecycle.of_space(consent_id, actor.space_id)
    granted = {item.item_id for item in certificate_issue.certifiable(consent_id)}
    items = catalogue.current(granted)
    return render_template(
        "certificates/new.html",
        consent=consent,
        error=error,
        active=why_inactive(facts_of(consent_id), now) is None,
        alone=pauses.may_resume(actor),
        items=[(i.item_id, i.label(locale), i.authority_name(locale), "folder") for i in items.values()],
    )


def _page(certificate: DataCertificate, *, error: str = "") -> str:
    now, actor, locale = clock.now(), the_actor(), str(get_locale())
    item = _item(certificate)
    standing = certificate_standing.standing(certificate.certificate_id, now)
    label, tone = certificate_view.said(standing)
    return render_template(
        "certificates/certificate.html",
        certificate=certificate,
        item=item.label(locale),
        authority=item.authority_name(locale),
        label=label,
        tone=tone,
        why=standing.why,
        living=certificate.stage in data_certificates.LIVING and standing.status is not Status.INVALID,
        usable=standing.status is Status.VALID,
        alone=pauses.may_resume(actor),
        choices=_choices(certificate, item, locale),
        waiting=presentations.waiting(certificate.certificate_id, now),
        events=certificate_view.timeline(
            data_certificates.steps(certificate.certificate_id),
            item,
            services().vault.key(certificate.space_id),
            locale,
        ),
        party=plain(_party(certificate, locale)),
        form=request.form,
        error=error,
    )


def _choices(certificate: DataCertificate, item: DataItem, locale: str) -> list[dict[str, str]]:
    """What it can show; nothing once its content is destroyed."""
    try:
        issued = data_certificates.content(certificate, vault=services().vault)
    except Unreadable:
        return []
    return certificate_view.choices(issued, item, locale)


def _party(certificate: DataCertificate, locale: str) -> str:
    return clients.get(certificate.client_id).name(locale)
