"""The client registry: list, register, look, change, suspend, reinstate. Every change asks for a reason."""

import json
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from consent import announcements, clients, interventions, logos, proposals, purposes, supervision, vouching
from consent.clients import (
    CERTIFICATE_METHODS,
    SECRET_METHODS,
    AuthMethod,
    Client,
    ClientEvent,
    InvalidClientData,
    Profile,
    Standing,
)
from consent.installation import Installation
from consent.interventions import Ground, ReasonMissing
from consent.keys import ALGORITHMS, KeyUse
from consent.oauth import sessions
from consent.purposes import Purpose
from consent.supervision import Masked
from consent.web import grounds, words
from consent.web.admin import labels, lists, undelivered
from consent.web.admin.forms import ClientForm
from consent.web.party import Party
from dataspace import catalogue, clock
from dataspace.catalogue import in_language
from dataspace.db import db
from dataspace.errors import Conflict
from dataspace.web.shell import services
from dataspace.web.signin import the_actor
from dataspace.web.values import plain

REGISTER = (Ground.REGISTRATION,)
# Certificates come with names and options that the registrar's command and file take.
OFFERED_METHODS = [method for method in AuthMethod if method not in CERTIFICATE_METHODS]


def index() -> str:
    """All clients."""
    filters = {"q": lists.argument("q"), "standing": lists.argument("standing", one_of=[*Standing])}
    page = supervision.client_list(filters["q"], filters["standing"], lists.page_number())
    return render_template(
        "admin/clients.html",
        rows=page.rows,
        page=page,
        links=lists.links("admin.clients", page, filters),
        filters=filters,
        standings=labels.STANDINGS,
        profiles=labels.PROFILES,
        unchecked=labels.UNCHECKED,
        name=_name,
    )


def new() -> str:
    """The form for a new client."""
    return _registration_page(ClientForm({"profile": Profile.DATA, "token_endpoint_auth_method": "private_key_jwt"}))


def register() -> AnyResponse | tuple[str, int]:
    """Register a client."""
    form, now = ClientForm.of(request.form), clock.now()
    try:
        reason = form.reason(REGISTER)
        client = clients.register(
            _known_words(form.registration()), now,
            actor_id=the_actor().person_id, here=_here(), reason_code=reason.ground, text=reason.text,
        )  # fmt: skip
    except (InvalidClientData, ReasonMissing) as error:
        db.session.rollback()
        return _registration_page(form.refused(error)), error.status
    except Conflict as error:
        return _registration_page(ClientForm(form.typed, {"client_id": _("This id is taken.")})), error.status
    _give_secret(client)
    db.session.commit()
    flash(_("Registered."))
    return redirect(url_for("admin.client", client_id=client.client_id), 303)


def show(client_id: str) -> str:
    """One client."""
    return _page(client_id)


def edit(client_id: str) -> str:
    """The form for what may change."""
    client = clients.get(client_id)
    return _edit_page(client, ClientForm.showing(client))


def change(client_id: str) -> AnyResponse | tuple[str, int]:
    """Change contact, redirect addresses or keys."""
    form = ClientForm.of(request.form)
    try:
        reason = form.reason(interventions.CHANGE)
        clients.change(
            client_id, form.changes(), clock.now(),
            actor_id=the_actor().person_id, reason_code=reason.ground, text=reason.text, here=_here(),
        )  # fmt: skip
    except (InvalidClientData, ReasonMissing) as error:
        db.session.rollback()
        return _edit_page(clients.get(client_id), form.refused(error)), error.status
    db.session.commit()
    flash(_("Saved."))
    return redirect(url_for("admin.client", client_id=client_id), 303)


def change_standing(client_id: str) -> AnyResponse | tuple[str, int]:
    """Suspend or reinstate: its consents stop at once, or resume."""
    suspends = request.form.get("standing") == Standing.SUSPENDED
    allowed = interventions.SUSPEND if suspends else interventions.REINSTATE
    decide = clients.suspend if suspends else clients.reinstate
    form = ClientForm.of(request.form)
    try:
        reason = form.reason(allowed)
    except ReasonMissing as error:
        return _page(client_id, form.refused(error)), error.status
    decide(client_id, clock.now(), actor_id=the_actor().person_id, reason_code=reason.ground, text=reason.text)
    db.session.commit()
    flash(_("Suspended. Nothing can be read through its authorizations.") if suspends else _("Reinstated."))
    return redirect(url_for("admin.client", client_id=client_id), 303)


def confirm(client_id: str) -> AnyResponse | tuple[str, int]:
    """Note that somebody has made sure who it is, and how."""
    form = ClientForm.of(request.form)
    try:
        reason = form.reason(interventions.APPROVE)
    except ReasonMissing as error:
        return _page(client_id, form.refused(error)), error.status
    vouching.confirm(
        client_id, clock.now(), actor_id=the_actor().person_id, reason_code=reason.ground, text=reason.text
    )
    db.session.commit()
    flash(_("Noted. Pages do not say any more that it is not verified."))
    return redirect(url_for("admin.client", client_id=client_id), 303)


def replace_secret(client_id: str) -> AnyResponse | tuple[str, int]:
    """Give the client a new secret, shown once; the old one stops working."""
    form = ClientForm.of(request.form)
    try:
        reason = form.reason(interventions.CHANGE)
    except ReasonMissing as error:
        return _page(client_id, form.refused(error)), error.status
    client, actor_id = clients.get(client_id), the_actor().person_id
    clients.note(
        client_id, "client:secret_replaced", clock.now(),
        actor_id=actor_id, reason_code=reason.ground, text=reason.text,
    )  # fmt: skip
    _give_secret(client)
    db.session.commit()
    return redirect(url_for("admin.client", client_id=client_id), 303)


def decide_purpose(client_id: str, code: str) -> AnyResponse | tuple[str, int]:
    """Approve or refuse what the client proposes, as it was shown on the page."""
    form = ClientForm.of(request.form)
    try:
        reason = form.reason(interventions.APPROVE)
    except ReasonMissing as error:
        return _page(client_id, form.refused(error)), error.status
    decide = proposals.approve if form.typed.get("decision") == "approve" else proposals.refuse
    decide(
        client_id, code, clock.now(), expected_digest=form.typed.get("digest", ""),
        actor_id=the_actor().person_id, reason_code=reason.ground, text=reason.text,
    )  # fmt: skip
    db.session.commit()
    flash(_("Approved.") if decide is proposals.approve else _("Refused."))
    return redirect(url_for("admin.client", client_id=client_id), 303)


def _here() -> Installation:
    return Installation.of(services().settings)


def _known_words(values: dict[str, Any]) -> dict[str, Any]:
    """Refuse words that the form does not offer. Raises InvalidClientData."""
    offered: dict[str, tuple[str, ...]] = {
        "profile": tuple(Profile),
        "token_endpoint_auth_method": tuple(OFFERED_METHODS),
        "id_token_signed_response_alg": ALGORITHMS[KeyUse.ID_TOKEN],
    }
    for name, words_offered in offered.items():
        if values[name] not in words_offered:
            raise InvalidClientData("not one of the choices", field=name)
    return values


def _give_secret(client: Client) -> None:
    if client.token_endpoint_auth_method not in SECRET_METHODS:
        return
    secret = clients.new_secret(client)
    flash(_("The secret of this third party, shown only now: %(secret)s", secret=secret), "caution")


def _name(client: Client) -> str:
    return plain(client.name(str(get_locale())))


def _registration_page(form: ClientForm) -> str:
    return render_template(
        "admin/register_client.html",
        form=form,
        profiles=list(labels.PROFILES.items()),
        classes=list(labels.CLASSES.items()),
        methods=[(method, labels.METHODS[method]) for method in OFFERED_METHODS],
        algorithms=[(alg, alg) for alg in ALGORITHMS[KeyUse.ID_TOKEN]],
    )


def _edit_page(client: Client, form: ClientForm) -> str:
    options = grounds.options(interventions.CHANGE)
    return render_template(
        "admin/edit_client.html",
        client=client,
        name=_name(client),
        form=form,
        grounds=options,
        classes=list(labels.CLASSES.items()),
    )


def _page(client_id: str, form: ClientForm | None = None) -> str:
    client = clients.get(client_id)
    events = supervision.client_events(client_id)
    known = labels.people(e.actor_id for e in events)
    suspended = client.standing == Standing.SUSPENDED
    counts = supervision.consents_by_state(client_id)
    party = Party.of(client, str(get_locale()))
    return render_template(
        "admin/client.html",
        client=client,
        name=_name(client),
        suspended=suspended,
        standing=labels.STANDINGS[client.standing],
        profile=labels.PROFILES[client.profile],
        client_class=labels.CLASSES[client.client_class],
        method=labels.METHODS[client.token_endpoint_auth_method],
        has_secret=client.token_endpoint_auth_method in SECRET_METHODS,
        keys=supervision.keys_of(client),
        purposes=_purposes(purposes.of_client(client_id)),
        counts=[(label, counts[state]) for state, label in words.STATES.items() if state in counts],
        missed=sessions.undelivered(client_id),
        hears=bool(client.options.get("consent_events_delivery")),
        untold=[(row, undelivered.event(row.kind)) for row in announcements.undelivered(client_id)],
        events=[_event(e, known) for e in events],
        proposed=[_proposal(purpose) for purpose in proposals.pending(client_id)],
        approve_grounds=grounds.options(interventions.APPROVE),
        options=_options(client),
        unchecked=labels.UNCHECKED if client.known_since is None else None,
        party=party,
        logo_problem="" if party.logo else _logo_problem(client),
        deleted=client.standing == Standing.DELETED,
        grounds=grounds.options(interventions.REINSTATE if suspended else interventions.SUSPEND),
        change_grounds=grounds.options(interventions.CHANGE),
        form=form or ClientForm({}),
    )


def _purposes(rows: list[Purpose]) -> list[dict[str, Any]]:
    """What a client may ask, in words; one statement for the items of all purposes."""
    locale = str(get_locale())
    known = catalogue.current([i["item"] for row in rows for i in row.items])
    return [
        {
            "code": row.code,
            "text": plain(in_language(row.text, locale)),
            "use": words.how_often(row.mode, row.max_reads, row.frequency, case_required=row.case_required),
            "days": words.days(row.max_duration_days),
            "kinds": words.kinds(tuple(row.holder_kinds)),
            "data": [known[i["item"]].label(locale) if i["item"] in known else i["item"] for i in row.items],
            "approved_at": row.approved_at,
        }
        for row in rows
    ]


def _proposal(purpose: Purpose) -> dict[str, Any]:
    """Everything that the client proposes, in its own words, for whoever decides."""
    text = json.dumps(proposals.document(purpose), ensure_ascii=False, indent=2)
    name = plain(in_language(purpose.text, str(get_locale())))
    return {"code": purpose.code, "name": name, "text": plain(text), "digest": proposals.digest(purpose)}


def _options(client: Client) -> list[tuple[str, str]]:
    """What is registered beyond the defaults, under the names of the specifications."""
    said = client.options.items()
    return [(name, plain(" ".join(map(str, value)) if isinstance(value, list) else str(value))) for name, value in said]


def _logo_problem(client: Client) -> str:
    """Why a registered logo is not shown; empty when there is none."""
    if not client.options.get("logo_uri"):
        return ""
    found = logos.state_of(client.client_id)
    return plain(found.problem if found else "") or str(_("It has not been fetched yet."))


def _event(event: ClientEvent, known: dict[str, Masked]) -> dict[str, Any]:
    text, tone = labels.event(event.kind)
    reason = [grounds.label(event.reason_code), plain(event.text)]
    who = labels.actor(event.actor_id, None, known)
    return {"at": event.at, "text": text, "tone": tone, "who": who, "note": " · ".join(filter(None, reason))}
