"""What the dashboard shows of a consent: a card in a list, and everything about one."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import select

from consent import clients, history, overview, subjects
from consent.clients import Client
from consent.overview import Card
from consent.records import (
    APPROVAL_LAPSES,
    COUNTER,
    TRANSITIONS,
    Consent,
    ConsentEvent,
    ConsentNotice,
    Event,
    Inactive,
    Reason,
    State,
    facts_of,
    why_inactive,
)
from consent.web import grounds, words
from consent.web.asking import Asking, ask_of, look
from dataspace import holders
from dataspace.catalogue import in_language
from dataspace.db import db
from dataspace.mandates import Actor, Capacity
from dataspace.sealing import unseal
from dataspace.vault import Vault
from dataspace.web.values import plain

Pairs = list[tuple[str, Any]]


@dataclass(frozen=True, kw_only=True)
class CardView:
    """One consent in a list, in words (check C-32)."""

    consent_id: str
    party: str
    purpose: str
    items: list[str]
    label: str
    tone: str
    pairs: Pairs
    waiting: bool

    @classmethod
    def of(cls, card: Card, locale: str, now: dt.datetime) -> "CardView":
        """A card in the reader's language."""
        label, tone = words.standing(card.inactive)
        waiting = card.inactive is not None and card.inactive.reason == Reason.PENDING
        return cls(
            consent_id=card.consent_id,
            party=plain(card.client.name(locale)),
            purpose=plain(in_language(card.purpose_text, locale)),
            items=[in_language(i, locale) for i in card.items],
            label=label,
            tone=tone,
            pairs=_prepared(card) if waiting else _facts(card, locale, now),
            waiting=waiting,
        )


@dataclass(frozen=True, kw_only=True)
class Detail:
    """Everything about one consent. ``chosen``: the ids of the items that were given."""

    consent: Consent
    client: Client
    document: dict[str, Any]
    asking: Asking
    chosen: frozenset[str]
    inactive: Inactive | None
    events: list[ConsentEvent]
    label: str
    tone: str
    why: str

    @classmethod
    def of(cls, consent: Consent, locale: str, now: dt.datetime, *, vault: Vault | None = None) -> "Detail":
        """With ``vault`` also what the records say at present."""
        client = clients.get(consent.client_id)
        document, _digest = history.current_document(consent)
        inactive = why_inactive(facts_of(consent.consent_id), now)
        label, tone = words.standing(inactive)
        ask = ask_of(document, kind=consent.kind)
        events = overview.events_of(consent.consent_id)
        return cls(
            consent=consent,
            client=client,
            document=document,
            asking=look(ask, client, locale, space_id=consent.space_id if vault else "", vault=vault),
            chosen=frozenset(i["item_id"] for i in document["items"] if i["chosen"]),
            inactive=inactive,
            events=events,
            label=label,
            tone=tone,
            why=_why(inactive, events) if inactive else "",
        )

    @property
    def pending(self) -> bool:
        """Whether a second person still has to decide."""
        return self.inactive is not None and self.inactive.reason == Reason.PENDING

    @property
    def learned(self) -> list[str]:
        """What a sign-in tells; empty for everything else."""
        if self.consent.kind != "login":
            return []
        return words.learned(self.asking.ask.claims, public=subjects.is_public(self.client))

    @property
    def stoppable(self) -> bool:
        """Whether there is anything left to stop: it can be read, or could be again."""
        possible = (State(self.consent.state), Event.WITHDRAWN) in TRANSITIONS
        over = (Reason.EXPIRED, Reason.QUOTA_EXHAUSTED, Reason.LAPSED, Reason.MANDATE_ENDED, Reason.SPACE_CLOSED)
        return possible and (self.inactive is None or self.inactive.reason not in over)

    @property
    def given_at(self) -> dt.datetime | None:
        """When it was agreed to for good; None when it never was."""
        decided = (Event.REPLACED, Event.GIVEN, Event.CO_APPROVED)
        found = next((event for event in self.events if event.kind in decided), None)
        return found.at if found else None

    @property
    def revocation(self) -> tuple[str, str] | None:
        """Why an administrator revoked it: the ground, and the administrator's own words."""
        found = overview.last(self.events, Event.INVALIDATED)
        return (grounds.label(found.reason_code), plain(found.text)) if found else None

    @property
    def suspension(self) -> bool:
        """Whether the third party is suspended, whatever else is the matter with the consent."""
        return self.asking.party.suspended

    def may_approve(self, actor: Actor) -> bool:
        """Whether this person is the second one."""
        return self.pending and actor.person_id != self.consent.person_id

    def kept_until(self) -> dt.datetime | None:
        """The day on which the third party has to delete, when it is a number of days after the end."""
        days = self.document["retention"].get("days")
        return self.consent.expires_at + dt.timedelta(days=days) if days else None


def timeline(detail: Detail, actor: Actor, *, vault: Vault) -> list[dict[str, Any]]:
    """The history in words, newest first. People of one's own body have names; administrators have not."""
    own = {e.actor_id for e in detail.events if e.actor_id and e.capacity != Capacity.ADMINISTRATOR}
    names = holders.profiles(own, vault=vault)
    return [_line(event, detail, {k: p.name for k, p in names.items()}, actor) for event in detail.events]


def shown_text(consent: Consent, *, vault: Vault) -> str:
    """The text as it was shown, opened again. Empty when there is none; raises Unreadable."""
    # Not every version has one: what a second person approves was shown before.
    shown = select(ConsentNotice).filter_by(consent_id=consent.consent_id).order_by(ConsentNotice.version.desc())
    notice = db.session.scalar(shown.limit(1))
    if notice is None:
        return ""
    key = vault.key(consent.space_id)
    return unseal(key, notice.sealed, identity=f"{notice.consent_id}:{notice.version}").decode()


def _why(inactive: Inactive, events: list[ConsentEvent]) -> str:
    """The sentence that explains why; it tells who stopped it."""
    stopped = overview.last(events, Event.WITHDRAWN)
    if inactive.reason == Reason.WITHDRAWN and stopped is not None and stopped.channel == "client":
        return str(_("The third party gave it back. Nothing has been readable since."))
    if inactive.reason == Reason.WITHDRAWN and stopped is not None and stopped.channel == COUNTER:
        return str(_("It was stopped as you asked at a counter or by phone. Nothing has been readable since."))
    return words.why(inactive.reason)


def _line(event: ConsentEvent, detail: Detail, names: dict[str, str], actor: Actor) -> dict[str, Any]:
    text, tone = words.EVENTS[event.kind]
    who = ""
    if event.actor_id and event.capacity == Capacity.ADMINISTRATOR:
        who = str(_("Administrator"))
    elif event.actor_id == actor.person_id:
        who = str(_("You"))
    elif event.actor_id:
        who = names.get(event.actor_id, "")
    elif event.channel == "client":
        who = detail.asking.party.name
    return {"at": event.at, "text": text, "who": who, "note": grounds.said(event), "tone": tone}


def _prepared(card: Card) -> Pairs:
    return [
        (_("Prepared"), words.date(card.given_at)),
        (_("Decide until"), words.date(card.given_at + APPROVAL_LAPSES)),
    ]


def _facts(card: Card, locale: str, now: dt.datetime) -> Pairs:
    usage = card.usage
    if card.inactive is None:
        until = (_("Expires in"), words.remaining(card.expires_at, now))
    else:
        until = (_("Since"), words.date(card.inactive.since))
    return [
        (_("Given"), words.date(card.given_at)),
        (_("Expires"), words.date(card.expires_at)),
        until,
        (_("Last read"), words.date(usage.last_read_at) if usage.last_read_at else _("never")),
        (_("Reads in 30 days"), str(usage.reads_30_days)),
        (_("They keep it"), plain(in_language(card.retention["text"], locale))),
    ]
