"""Find a consent, look at everything about it but the data, revoke it."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from sqlalchemy import Row
from werkzeug.wrappers import Response as AnyResponse

from consent import data_certificates, endings, history, interventions, lifecycle, pauses, supervision
from consent.archives import ArchiveLimit
from consent.interventions import Ground, ReasonMissing
from consent.records import TRANSITIONS, Consent, ConsentEvent, Event, State, why_inactive
from consent.supervision import Masked, Search
from consent.web import grounds, packages, words
from consent.web.admin import labels, lists
from consent.web.context import registry
from consent.web.days import between
from consent.web.freshness import FRESH
from dataspace import accesses, catalogue, clock, holders, identifiers, lineage
from dataspace.accesses import Wanted
from dataspace.catalogue import in_language
from dataspace.db import db
from dataspace.errors import InvalidIdentifier, NotFound
from dataspace.identifiers import Identifier
from dataspace.mandates import Capacity
from dataspace.web.shell import services
from dataspace.web.signin import require_fresh, the_actor
from dataspace.web.values import period, plain

FILTERS = ("client", "reference", "state", "holder", "since", "until")
MAX_TEXT = 200
SHOWN_STATES = [state for state in State if state not in (State.NEW, State.REQUESTED)]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One consent in a list, in words."""

    consent_id: str
    client_id: str
    client: str
    purpose: str
    holder: str
    label: str
    tone: str
    created_at: dt.datetime
    expires_at: dt.datetime
    reference_no: str


def index() -> str:
    """The search, and what it found."""
    now, filters = clock.now(), _filters()
    page = supervision.find(_search(filters), lists.page_number())
    known = labels.people([row.holder_id for row in page.rows] + [filters["holder"]])
    return render_template(
        "admin/consents.html",
        lines=[_line(row, known, now) for row in page.rows],
        page=page,
        links=lists.links("admin.index", page, filters),
        export=lists.address("admin.export", filters),
        filters=filters,
        holder=labels.described(known.get(filters["holder"])),
        states=[(state.value, str(words.STATES[state])) for state in SHOWN_STATES],
    )


def find() -> AnyResponse:
    """Go to what was typed. It comes by POST and only what it leads to enters an address: it may be an identifier."""
    now, text = clock.now(), request.form.get("q", "").strip()
    text = text if text.isprintable() and len(text) <= MAX_TEXT else ""
    identifier = _identifier(text, now.date())
    if identifier is not None:
        return _find_holder(identifier, now)
    if text and supervision.overview(text) is not None:
        return redirect(url_for("admin.consent", consent_id=text), 303)
    page = _by_number(text)
    if page:
        return redirect(page, 303)
    if text and supervision.has_reference(text):
        return redirect(url_for("admin.index", reference=text), 303)
    return _find_client(text)


def export() -> Response:
    """The list as a file: no names, no identifiers."""
    now, locale = clock.now(), str(get_locale())
    head = ("consent_id", "client_id", "client", "purpose", "holder_id", "state", "reason", "created_at", "expires_at",
            "reference_no")  # fmt: skip
    rows = (
        (
            row.consent_id, row.client_id, in_language(row.legal_name, locale), row.purpose_code, row.holder_id,
            row.state, inactive.reason.value if inactive else "", row.created_at, row.expires_at, row.reference_no,
        )
        for row in supervision.export(_search(_filters()))
        for inactive in [why_inactive(row, now)]
    )  # fmt: skip
    return lists.as_file("consents", head, rows)


def show(consent_id: str) -> str:
    """Everything about one consent, but no value of any record."""
    return _page(consent_id)


def revoke(consent_id: str) -> AnyResponse | tuple[str, int]:
    """End a consent for a stated reason."""
    form = request.form
    try:
        reason = interventions.state(form.get("ground", ""), form.get("text", ""), allowed=interventions.REVOKE)
    except ReasonMissing as error:
        return _page(consent_id, error=_(error.sentence)), error.status
    by, now = the_actor(), clock.now()
    endings.revoke(consent_id, by, now, reason_code=reason.ground, text=reason.text, registry=registry())
    db.session.commit()
    flash(_("Revoked. Nothing can be read any more; the holder sees your reason."))
    return redirect(url_for("admin.consent", consent_id=consent_id), 303)


def suspend(consent_id: str) -> AnyResponse | tuple[str, int]:
    """Stop a consent for a while, for a stated reason."""
    done = _("Suspended. Nothing can be read until you reinstate it; the holder sees your reason.")
    return _supervise(consent_id, pauses.suspend, interventions.REVOKE, done)


def reinstate(consent_id: str) -> AnyResponse | tuple[str, int]:
    """Take a suspension back, for a stated reason."""
    done = _("Reinstated. It is as its holder left it.")
    return _supervise(consent_id, pauses.reinstate, interventions.REINSTATE, done)


def _supervise(
    consent_id: str, step: Callable[..., Consent], allowed: Sequence[Ground], done: str
) -> AnyResponse | tuple[str, int]:
    form = request.form
    try:
        reason = interventions.state(form.get("ground", ""), form.get("text", ""), allowed=allowed)
    except ReasonMissing as error:
        return _page(consent_id, error=_(error.sentence)), error.status
    step(consent_id, the_actor(), clock.now(), reason_code=reason.ground, text=reason.text, registry=registry())
    db.session.commit()
    flash(done)
    return redirect(url_for("admin.consent", consent_id=consent_id), 303)


def withdraw(consent_id: str) -> AnyResponse | tuple[str, int]:
    """Enter what the holder has asked for at a counter or by phone; it takes effect at once (check C-39)."""
    try:
        reason = interventions.state(
            Ground.HOLDER_REQUEST, request.form.get("known_by", ""), allowed=(Ground.HOLDER_REQUEST,)
        )
    except ReasonMissing:
        return _page(consent_id, counter_error=_("Write how you made sure who the holder is.")), ReasonMissing.status
    endings.withdraw_at_counter(consent_id, the_actor(), clock.now(), text=reason.text, registry=registry())
    db.session.commit()
    flash(_("Stopped. Nothing can be read any more; the holder gets a message."))
    return redirect(url_for("admin.consent", consent_id=consent_id), 303)


def evidence_package(consent_id: str) -> AnyResponse | tuple[str, int]:
    """Everything that proves a consent, for a court or whoever else has to have it; the holder reads the reason.

    The only thing of administration that holds what the holder was shown: so it asks for a recent sign-in as well.
    """
    form = request.form
    try:
        reason = interventions.state(form.get("ground", ""), form.get("text", ""), allowed=interventions.PACK)
    except ReasonMissing as error:
        return _page(consent_id, pack_error=_(error.sentence)), error.status
    actor, now = the_actor(), clock.now()
    consent = db.session.get(Consent, consent_id)
    if consent is None:
        raise NotFound("no such consent")
    require_fresh(actor, now, max_age=FRESH)
    try:
        packages.ask(consent, actor, why=reason)
    except ArchiveLimit as error:
        return _page(consent_id, pack_error=_(error.sentence)), error.status
    return redirect(url_for("admin.consent", consent_id=consent_id), 303)


def fetch_package(consent_id: str, package_id: str) -> Response:
    """The file, for the administrator who has asked for it."""
    return packages.send(consent_id, package_id)


def discard_package(consent_id: str, package_id: str) -> AnyResponse:
    """The file is not wanted any more; that it was made stays on record."""
    packages.remove(consent_id, package_id)
    return redirect(url_for("admin.consent", consent_id=consent_id), 303)


def _filters() -> dict[str, str]:
    found = {name: lists.argument(name) for name in FILTERS}
    return found | {"state": lists.argument("state", one_of=SHOWN_STATES)}


def _search(filters: dict[str, str]) -> Search:
    since, until = between(filters["since"], filters["until"])
    return Search(
        client=filters["client"],
        reference=filters["reference"],
        state=filters["state"],
        holder_id=filters["holder"],
        since=since,
        until=until,
    )


def _identifier(text: str, today: dt.date) -> Identifier | None:
    for kind in holders.HolderKind:
        try:
            return identifiers.parse(kind, text, today=today)
        except InvalidIdentifier:
            continue
    return None


def _find_holder(identifier: Identifier, now: dt.datetime) -> AnyResponse:
    try:
        holder = holders.by_identifier(identifier, index=services().index)
    except NotFound:
        return _find_client(identifier.value)  # the code of a body may be that of a third party
    # Whoever looks for a person leaves a trace.
    actor_id = the_actor().person_id
    interventions.note("holder:searched", now, actor_id=actor_id, subject=holder.holder_id)
    db.session.commit()
    return redirect(url_for("admin.index", holder=holder.holder_id), 303)


def _by_number(text: str) -> str:
    """The page of a certificate, of a version of a record, of a delivery; empty when there is none of this number."""
    try:
        if text.startswith("crt_"):
            return url_for("admin.certificate", certificate_id=data_certificates.get(text).certificate_id)
        if text.startswith("rec_"):
            return url_for("admin.record", record_id=lineage.origin(text).record.record_id)
        if text.startswith("dlv_"):
            return url_for("admin.delivery", number=lineage.delivery(text).delivery_id)
    except NotFound:
        pass
    return ""


def _find_client(text: str) -> AnyResponse:
    found = supervision.client_list(text, "", 1) if text else None
    if found is None or not found.rows:
        flash(_("Nothing was found. Check every character."), "caution")
        return redirect(url_for("admin.index"), 303)
    client = found.rows[0].Client
    if found.total == 1:
        return redirect(url_for("admin.index", client=client.client_id), 303)
    shared = client.legal_name["zh_hans"] if text.upper() == client.uscc else text
    return redirect(url_for("admin.clients", q=shared), 303)


def _line(row: Row[Any], known: dict[str, Masked], now: dt.datetime) -> Line:
    locale = str(get_locale())
    label, tone = words.standing(why_inactive(row, now))
    return Line(
        consent_id=row.consent_id,
        client_id=row.client_id,
        client=plain(in_language(row.legal_name, locale)),
        purpose=plain(in_language(row.purpose_text, locale)),
        holder=labels.described(known.get(row.holder_id)),
        label=label,
        tone=tone,
        created_at=row.created_at,
        expires_at=row.expires_at,
        reference_no=plain(row.reference_no or ""),
    )


def _page(consent_id: str, *, error: str = "", counter_error: str = "", pack_error: str = "") -> str:
    now = clock.now()
    row = supervision.overview(consent_id)
    if row is None:
        raise NotFound("no such consent")
    document, digest = history.current_document(lifecycle.get(consent_id))
    events = supervision.history(consent_id)
    steps = document["approvals"]["steps"]
    log = accesses.log_of(row.space_id, Wanted(consent_id=consent_id), before=lists.before())
    known = labels.people([row.holder_id, *(e.actor_id for e in events), *(s["actor_ref"] for s in steps)])
    inactive = why_inactive(row, now)
    return render_template(
        "admin/consent.html",
        line=_line(row, known, now),
        since=inactive.since if inactive else None,
        row=row,
        document=document,
        digest=digest,
        capacity=words.CAPACITIES[row.capacity],
        use=words.use(document["use"]),
        items=_items(document["items"]),
        names=_item_names(document["items"]),
        events=[_event(e, known) for e in events],
        approvals=[_approval(s, known) for s in steps],
        log=log,
        outcomes=labels.OUTCOMES,
        refused_because=labels.refusal,
        revocable=(State(row.state), Event.INVALIDATED) in TRANSITIONS,
        stoppable=(State(row.state), Event.WITHDRAWN) in TRANSITIONS,
        counter_error=counter_error,
        suspendable=(State(row.state), Event.SUSPENDED) in TRANSITIONS,
        reinstatable=(State(row.state), Event.REINSTATED) in TRANSITIONS,
        grounds=grounds.options(interventions.REVOKE),
        grounds_to_reinstate=grounds.options(g for g in interventions.REINSTATE if g not in interventions.REVOKE),
        grounds_to_pack=grounds.options(interventions.PACK),
        pack_error=pack_error,
        packed=packages.told(consent_id),
        package_files=packages.files_for(consent_id, the_actor(), now),
        form=request.form,
        error=error,
    )


def _items(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items of a document as the item row takes them; one statement for the names of their fields."""
    locale = str(get_locale())
    known = catalogue.versions([(i["item_id"], i["item_version"]) for i in items])
    return [
        {
            "label": in_language(i["label"], locale),
            "source": in_language(i["source_authority"], locale),
            "reason": plain(in_language(i["reason"], locale)),
            "period": period(i["range"]["from"], i["range"]["to"]) if i["range"]["from"] else "",
            "fields": [known[i["item_id"], i["item_version"]].field_label(f, locale) for f in i["fields"]],
            "sensitive": i["separate_step"],
            "necessity": i["necessity"],
            "note": "" if i["chosen"] else _("Not given"),
        }
        for i in items
    ]


def _item_names(items: Sequence[dict[str, Any]]) -> dict[str, str]:
    return {i["item_id"]: in_language(i["label"], str(get_locale())) for i in items}


def _event(event: ConsentEvent, known: dict[str, Masked]) -> dict[str, Any]:
    text, tone = labels.event(event.kind)
    who = labels.actor(event.actor_id, event.capacity, known)
    return {"at": event.at, "text": text, "tone": tone, "who": who, "note": grounds.said(event)}


def _approval(step: dict[str, Any], known: dict[str, Masked]) -> dict[str, Any]:
    prepared = step["role"] == Capacity.AGENT
    decisions = {
        "agreed": _("Prepared") if prepared else _("Agreed"),
        "approved": _("Approved"),
        "refused": _("Refused"),
    }
    who = labels.actor(step["actor_ref"], step["role"], known)
    at = dt.datetime.fromisoformat(step["at"])
    return {"at": at, "text": decisions.get(step["decision"], step["decision"]), "who": who}
