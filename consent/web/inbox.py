"""Messages to the holder: what happened, what waits; and what she wants to hear of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import get_locale, lazy_gettext
from flask_babel import gettext as _
from sqlalchemy import or_, select
from werkzeug.wrappers import Response

from consent.clients import Client
from consent.powers import Power
from consent.records import Consent, Event
from consent.telling import ToGuardian
from consent.web import reads, statutes, words
from consent.web.words import Label
from dataspace import clock, holders, messages
from dataspace.by_law import LawCase
from dataspace.catalogue import in_language
from dataspace.db import db
from dataspace.errors import NotFound
from dataspace.holders import Profile
from dataspace.mandates import Actor, Capacity, Mandate
from dataspace.messages import ADJUSTABLE, ALWAYS, Group, Message, Notice
from dataspace.web.shell import services
from dataspace.web.signin import require_holder, the_actor
from dataspace.web.values import plain

bp = Blueprint("inbox", __name__)
bp.record_once(
    lambda state: state.app.extensions.setdefault("place_numbers", {}).update(
        messages=lambda actor, _now: messages.unread(actor.space_id)
    )
)
MAX_ID = 2**63 - 1  # what a database can count to

TITLES: dict[str, Label] = {
    Event.GIVEN: lazy_gettext("A new authorization was given"),
    Event.REPLACED: lazy_gettext("An authorization was replaced by a new one"),
    Event.CO_APPROVAL_PENDING: lazy_gettext("An authorization waits for approval by a second person"),
    Event.CO_APPROVED: lazy_gettext("An authorization was approved by a second person"),
    Event.CO_REJECTED: lazy_gettext("An authorization was not approved; nothing was given"),
    Event.LAPSED: lazy_gettext("Nobody approved an authorization in time; nothing was given"),
    Event.PAUSED: lazy_gettext("An authorization is paused"),
    Event.RESUMED: lazy_gettext("An authorization goes on"),
    Event.WITHDRAWN: lazy_gettext("An authorization was stopped"),
    Event.EXPIRED: lazy_gettext("The time of an authorization is over"),
    Event.EXHAUSTED: lazy_gettext("An authorization was used as often as you allowed"),
    Event.ITEM_RECONFIRMED: lazy_gettext("Data that is sensitive now is given again"),
    Event.ITEM_WITHDRAWN: lazy_gettext("One kind of data was taken out of an authorization"),
    Event.SHORTENED: lazy_gettext("An authorization ends earlier than agreed before"),
    Event.EXPIRY_ANNOUNCED: lazy_gettext("An authorization ends soon"),
    Event.REMINDED: lazy_gettext("You have not looked at an authorization for 90 days. Do you still want it?"),
    Event.DELETION_CONFIRMED: lazy_gettext("A third party confirmed that it has deleted what it received"),
    Event.DELETION_OVERDUE: lazy_gettext("A third party has not confirmed in time that it deleted what it received"),
    Event.SUSPENDED: lazy_gettext("A supervisor suspended an authorization"),
    Event.REINSTATED: lazy_gettext("A supervisor reinstated an authorization"),
    Event.INVALIDATED: lazy_gettext("An administrator revoked an authorization"),
    Event.TERMINATED: lazy_gettext("An authorization ended because one of its parties is gone"),
    ToGuardian.GIVEN: lazy_gettext("An authorization was given about a child whose guardian you are"),
    ToGuardian.CHANGED: lazy_gettext("An authorization about a child whose guardian you are was changed"),
    ToGuardian.STOPPED: lazy_gettext("An authorization about a child whose guardian you are was stopped"),
    Notice.DATA_CORRECTED: lazy_gettext("A value in your space was corrected at its source"),
    Notice.RECORD_ERASED: lazy_gettext("A record in your space was deleted for good"),
    Notice.READ_REFUSED: lazy_gettext("A third party tried to read what it may not; it got nothing"),
    Notice.LAW_READ: lazy_gettext("An authority has read data of yours by law"),
    Notice.LAW_DISCLOSED: lazy_gettext("An authority has read data of yours by law; you are told only now"),
    Notice.ARCHIVE_ASKED: lazy_gettext("A copy of everything was asked for. If it was not you, remove it at once."),
    Notice.ARCHIVE_READY: lazy_gettext("The copy of everything is ready"),
    Notice.EVIDENCE_PACKED: lazy_gettext("A package of evidence about an authorization was made"),
    Notice.ERASURE_ASKED: lazy_gettext(
        "Deleting the whole space was asked for. If it was not you, take it back at once."
    ),
    Notice.ERASURE_REFUSED: lazy_gettext("The space was not deleted; the reason is there"),
    Notice.CASE_ANSWERED: lazy_gettext("Your request was answered"),
    Notice.CASE_CORRECTED: lazy_gettext("Your request was answered: the record was corrected"),
    Notice.CERTIFICATE_MADE: lazy_gettext("A third party has had a certificate made of your data"),
    Notice.CERTIFICATE_USED: lazy_gettext("A certificate was used"),
    Notice.CERTIFICATE_FROZEN: lazy_gettext("An administrator froze a certificate; the reason is there"),
    Notice.CERTIFICATE_THAWED: lazy_gettext("An administrator let a certificate be used again"),
    Notice.CERTIFICATE_REVOKED: lazy_gettext("An administrator revoked a certificate; the reason is there"),
    Notice.CERTIFICATE_SUPERSEDED: lazy_gettext(
        "A certificate counts no more: its data was corrected. Make a new one."
    ),
    Notice.PASSKEY_ADDED: lazy_gettext("A passkey was added. If it was not you, remove it at once."),
    Notice.PASSKEY_REMOVED: lazy_gettext("A passkey was removed. If it was not you, look at your passkeys."),
    Notice.NEW_BROWSER: lazy_gettext("You signed in with a new browser. If it was not you, look at your passkeys."),
    Notice.ADDRESS_CHANGED: lazy_gettext("Mail goes to another address now. If it was not you, remove it at once."),
    Notice.RECOVERED: lazy_gettext("A recovery code was used. All earlier passkeys and sign-ins have ended."),
}
GROUPS: dict[Group, tuple[Label, Label]] = {
    Group.AUTHORIZATIONS: (lazy_gettext("Authorizations"), lazy_gettext("Given, changed, stopped, expired")),
    Group.APPROVALS: (lazy_gettext("Approvals"), lazy_gettext("What waits for a second person, and what became of it")),
    Group.REMINDERS: (
        lazy_gettext("Reminders"),
        lazy_gettext("What expires soon, what you have not looked at for long"),
    ),
    Group.READS: (lazy_gettext("Refused reads"), lazy_gettext("A third party tried to read what it may not")),
    Group.BY_LAW: (
        lazy_gettext("Read by law"),
        lazy_gettext("An authority has read your data by law, without being asked; these always come"),
    ),
    Group.CHILDREN: (
        lazy_gettext("Children"),
        lazy_gettext("Authorizations about children whose guardian you are; these always come"),
    ),
    Group.SECURITY: (
        lazy_gettext("Security"),
        lazy_gettext("Passkeys, recovery, what supervisors have done; these always come"),
    ),
}
ICONS: dict[str, str] = {
    Group.AUTHORIZATIONS: "consent",
    Group.APPROVALS: "clock",
    Group.REMINDERS: "bell",
    Group.READS: "eye",
    Group.BY_LAW: "shield",
    Group.CHILDREN: "person",
    Group.SECURITY: "shield",
}


# What has a page of its own, by the beginning of its id.
PAGES: dict[str, Callable[[str], str]] = {
    "crt_": lambda about: url_for("certificates.show", certificate_id=about),
    "law_": lambda about: url_for("statutes.case", case_id=about),
}


@dataclass(frozen=True, kw_only=True)
class MessageView:
    """One message in words. ``about``: whom and what it concerns; ``leads_on``: whether there is more to see."""

    message: Message
    title: str
    about: str
    icon: str
    leads_on: bool


@bp.get("/messages")
@require_holder
def index() -> str:
    """The messages of the space, newest first."""
    actor = the_actor()
    group = request.args.get("group", "")
    group = group if group in list(Group) else ""
    text = request.args.get("before", "")
    before = int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
    page = messages.page(actor.space_id, group=group, before=before)
    filters: dict[str, Any] = {"group": group} if group else {}
    return render_template(
        "dashboard/messages.html",
        lines=look(page.rows, actor, str(get_locale())),
        unread=messages.unread(actor.space_id),
        group=group,
        groups=_groups(actor),
        older=url_for("inbox.index", **filters, before=page.older) if page.older else "",
        newest=url_for("inbox.index", **filters) if before else "",
    )


@bp.post("/messages/read")
@require_holder
def read_all() -> Response:
    """Everything was read."""
    messages.mark_read(the_actor().space_id, clock.now())
    db.session.commit()
    return redirect(url_for("inbox.index"), 303)


@bp.post(f"/messages/<int(max={MAX_ID}):message_id>/open")
@require_holder
def open_one(message_id: int) -> Response:
    """It was read; on to what it is about."""
    actor = the_actor()
    message = messages.mark_read(actor.space_id, clock.now(), message_id=message_id)
    if message is None:
        raise NotFound("no such message of this space")
    db.session.commit()
    return redirect(_address(message, _consents([message], actor)) or url_for("inbox.index"), 303)


@bp.get("/messages/choices")
@require_holder
def choices() -> str:
    """What she wants to hear of."""
    actor = the_actor()
    quiet = messages.quiet(actor.space_id)
    rows = [(group, *GROUPS[group], group not in quiet) for group in ADJUSTABLE]
    always = [words for group, words in _groups(actor).items() if group in ALWAYS]
    return render_template("dashboard/message_choices.html", rows=rows, always=always)


@bp.post("/messages/choices")
@require_holder
def choose() -> Response:
    """Keep what was chosen."""
    messages.choose(the_actor().space_id, request.form.getlist("group"))
    db.session.commit()
    flash(_("Saved."))
    return redirect(url_for("inbox.index"), 303)


def look(rows: list[Message], actor: Actor, locale: str) -> list[MessageView]:
    """Messages in the reader's language; one statement for all that they are about, one for the names of children."""
    known = _consents(rows, actor)
    by_law = statutes.known([row.about for row in rows if row.about.startswith("law_")], actor.space_id, clock.now())
    children = {known[r.about][0].holder_id for r in rows if r.group == Group.CHILDREN and r.about in known}
    names = holders.profiles(children, vault=services().vault) if children else {}
    return [
        MessageView(
            message=row,
            title=title(row),
            about=_about_law(*by_law[row.about], locale)
            if row.about in by_law
            else _about(row, known.get(row.about), locale, names),
            icon=ICONS[row.group],
            leads_on=bool(_address(row, known)),
        )
        for row in rows
    ]


def title(message: Message) -> str:
    """What has happened, in the language of the moment."""
    return str(TITLES.get(message.kind, GROUPS[Group(message.group)][0]))


def _groups(actor: Actor) -> dict[Group, tuple[Label, Label]]:
    """The groups of messages that a space can have: children have people as guardians, not companies."""
    alone = actor.capacity is Capacity.SELF
    return {group: words for group, words in GROUPS.items() if alone or group is not Group.CHILDREN}


def _consents(rows: list[Message], actor: Actor) -> dict[str, tuple[Consent, Client]]:
    """What the messages are about: this space's, prepared by this person, or a child's whose guardian she still is."""
    ids = {row.about for row in rows if row.about.startswith("cns_")}
    wards = select(Mandate.principal_id).where(
        Mandate.agent_id == actor.person_id, Mandate.capacity == Capacity.GUARDIAN, Mandate.ended_at.is_(None)
    )
    mine = or_(Consent.space_id == actor.space_id, Consent.person_id == actor.person_id, Consent.holder_id.in_(wards))
    found = db.session.execute(
        select(Consent, Client)
        .join(Client, Client.client_id == Consent.client_id)
        .where(Consent.consent_id.in_(ids), mine)
    )
    return {consent.consent_id: (consent, client) for consent, client in found}


def _about(row: Message, found: tuple[Consent, Client] | None, locale: str, names: dict[str, Profile]) -> str:
    """To whom and what for; in a reminder until when, too (check C-41), to a guardian about which child."""
    if found is None:
        return ""
    consent, client = found
    parts = [plain(client.name(locale)), plain(in_language(consent.purpose_text, locale))]
    if consent.holder_id in names and row.group == Group.CHILDREN:
        parts.insert(0, names[consent.holder_id].name)
    if row.group == Group.REMINDERS:
        parts.append(_("until %(day)s", day=words.date(consent.expires_at)))
    return " · ".join(parts)


def _about_law(case: LawCase, power: Power, client: Client, locale: str) -> str:
    """Who, by which law, in which case."""
    return " · ".join([plain(client.name(locale)), reads.article(power, locale), plain(case.case_no)])


def _address(message: Message, known: dict[str, tuple[Consent, Client]]) -> str:
    """Where there is more to see; a consent of a company is looked at in the company's space."""
    if message.kind in (Notice.ARCHIVE_ASKED, Notice.ARCHIVE_READY):
        return url_for("archives.index")
    if message.kind in (Notice.ERASURE_ASKED, Notice.ERASURE_REFUSED):
        return url_for("erasures.index")
    if message.kind in (Notice.CASE_ANSWERED, Notice.CASE_CORRECTED):
        return url_for("cases.show", case_id=message.about)
    if message.kind in (Notice.DATA_CORRECTED, Notice.RECORD_ERASED):
        return url_for("origins.version", record_id=message.about)
    if message.kind == Notice.ADDRESS_CHANGED:
        return url_for("mail_address.index")
    if message.kind in (Notice.PASSKEY_ADDED, Notice.PASSKEY_REMOVED, Notice.RECOVERED, Notice.NEW_BROWSER):
        return url_for("passkeys.index")
    if page := PAGES.get(message.about[:4]):
        return page(message.about)
    if message.kind == Notice.READ_REFUSED and not message.about:
        return url_for("dashboard.reads")
    found = known.get(message.about)
    if found is None or found[0].space_id != message.space_id:
        return ""
    packed = message.kind == Notice.EVIDENCE_PACKED
    return url_for("packages.page" if packed else "dashboard.consent", consent_id=message.about)
