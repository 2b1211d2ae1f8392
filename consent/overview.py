"""What a holder has given, waits to decide, and has ended: the lists and counts of the dashboard. Reads only.

The number of queries does not grow with the number of consents.
"""

import datetime as dt
import enum
import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_, select

from consent.clients import Client
from consent.records import (
    APPROVAL_LAPSES,
    CURRENT_VERSION,
    LIVE,
    Consent,
    ConsentEvent,
    ConsentVersion,
    Event,
    Inactive,
    State,
    facts_query,
    why_inactive,
)
from dataspace import accesses
from dataspace.accesses import Access, Outcome, Usage
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.mandates import Mandate

PAGE = 25
LANGUAGES = ("zh_hans", "zh_hant", "en")
NEVER = Usage(None, 0)


class Tab(enum.StrEnum):
    """The three lists of a holder's consents; each consent is on exactly one."""

    ACTIVE = "active"  # can be read, or can be again when a pause or suspension ends
    WAITING = "waiting"  # a second person of the company has to decide
    ENDED = "ended"


@dataclass(frozen=True, kw_only=True)
class Card:
    """One consent in a list. ``items``: labels as they were shown, of what was chosen (refused: of what was asked)."""

    consent_id: str
    client: Client
    purpose_text: dict[str, str]
    reference_no: str | None
    items: tuple[dict[str, str], ...]
    given_at: dt.datetime
    expires_at: dt.datetime
    retention: dict[str, Any]
    person_id: str
    inactive: Inactive | None
    usage: Usage


@dataclass(frozen=True, kw_only=True)
class Cards:
    """One page of a list, newest first; ``total`` counts all pages."""

    cards: list[Card]
    total: int


@dataclass(frozen=True, kw_only=True)
class Search:
    """What a holder looks for; empty finds everything."""

    words: str = ""
    client_id: str = ""

    def __bool__(self) -> bool:
        return bool(self.words or self.client_id)


def counts(space_id: str, now: dt.datetime) -> dict[Tab, int]:
    """How many consents each list has."""
    columns = [func.count().filter(_on(tab, now)).label(tab.value) for tab in Tab]
    row = db.session.execute(_joined(select(*columns)).where(Consent.space_id == space_id)).one()
    return {tab: int(getattr(row, tab.value)) for tab in Tab}


def waiting_for(space_id: str, person_id: str, now: dt.datetime) -> int:
    """How many consents this person may approve: those that another person of the body prepared."""
    found = (Consent.space_id == space_id, _on(Tab.WAITING, now), Consent.person_id != person_id)
    return db.session.scalar(_joined(select(func.count())).where(*found)) or 0


def cards(space_id: str, tab: Tab, now: dt.datetime, *, search: Search, page: int = 1) -> Cards:
    """One page of a list."""
    found = [Consent.space_id == space_id, _on(tab, now), *_matching(search)]
    total = db.session.scalar(_joined(select(func.count())).where(*found)) or 0
    rows = db.session.execute(
        facts_query(Consent, Client, ConsentVersion.document)
        .join(ConsentVersion, CURRENT_VERSION)
        .where(*found)
        .order_by(Consent.created_at.desc(), Consent.consent_id)
        .limit(PAGE)
        .offset((page - 1) * PAGE)
    ).all()
    usage = accesses.usage([row.consent_id for row in rows], now)
    return Cards(cards=[_card(row, usage, now) for row in rows], total=total)


def newest(space_id: str, now: dt.datetime, limit: int) -> list[tuple[str, Client, dict[str, str]]]:
    """The newest active ones, in one query: id, third party, purpose in the three languages."""
    found = (Consent.space_id == space_id, _on(Tab.ACTIVE, now))
    rows = db.session.execute(
        _joined(select(Consent, Client))
        .where(*found)
        .order_by(Consent.created_at.desc(), Consent.consent_id)
        .limit(limit)
    )
    return [(consent.consent_id, client, consent.purpose_text) for consent, client in rows]


def asked_by(space_id: str) -> list[Client]:
    """The clients that have ever asked this space, or read it by law as far as it is shown, for a filter."""
    theirs = select(Consent.client_id).where(Consent.space_id == space_id)
    by_law = select(Access.client_id).where(Access.space_id == space_id, Access.power_id.is_not(None))
    both = theirs.union(by_law)
    return list(db.session.scalars(select(Client).where(Client.client_id.in_(both)).order_by(Client.client_id)))


def parties_of(consent_ids: set[str]) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """For many consents the client's legal name and the purpose, each in all languages."""
    if not consent_ids:
        return {}
    rows = db.session.execute(
        select(Consent.consent_id, Client.legal_name, Consent.purpose_text)
        .join(Client, Client.client_id == Consent.client_id)
        .where(Consent.consent_id.in_(consent_ids))
    )
    return {consent_id: (name, purpose) for consent_id, name, purpose in rows}


def reads_since(space_id: str, since: dt.datetime) -> int:
    """How many reads of a space were answered since then."""
    answered = (Access.space_id == space_id, Access.at > since, Access.outcome == Outcome.ANSWERED)
    return db.session.scalar(select(func.count()).where(*answered)) or 0


def events_of(consent_id: str) -> list[ConsentEvent]:
    """The history of a consent, newest first."""
    query = select(ConsentEvent).where(ConsentEvent.consent_id == consent_id).order_by(ConsentEvent.seq.desc())
    return list(db.session.scalars(query))


def last(events: list[ConsentEvent], kind: Event) -> ConsentEvent | None:
    """The latest event of a kind among ``events``, which are newest first."""
    return next((e for e in events if e.kind == kind), None)


def approvers(consent: Consent, now: dt.datetime) -> set[str]:
    """The persons who may approve what ``consent.person_id`` prepared: all others who may act for the body now."""
    rows = db.session.scalars(select(Mandate).where(Mandate.principal_id == consent.holder_id))
    return {m.agent_id for m in rows if m.in_force(now) and m.agent_id != consent.person_id}


def approval_lapses(consent: Consent) -> dt.datetime:
    """When a pending consent lapses."""
    return consent.state_since + APPROVAL_LAPSES


def gives_sensitive(consent: Consent) -> bool:
    """Whether anything sensitive is given with it."""
    version = db.session.get_one(ConsentVersion, (consent.consent_id, consent.version))
    return any(item.get("sensitive") for item in version.granted)


def _joined(query: Any) -> Any:
    return (
        query.select_from(Consent)
        .join(Client, Client.client_id == Consent.client_id)
        .join(Holder, Holder.holder_id == Consent.holder_id)
        .outerjoin(Mandate, Mandate.mandate_id == Consent.mandate_id)
    )


def _on(tab: Tab, now: dt.datetime) -> ColumnElement[bool]:
    """The condition of a list. It says in SQL what :func:`consent.records.why_inactive` says of one consent."""
    used_up = exists().where(Access.consent_id == Consent.consent_id, Access.read_no >= Consent.max_reads)
    mandate = and_(Mandate.ended_at.is_(None), or_(Mandate.valid_until.is_(None), Mandate.valid_until > now))
    live = and_(
        Consent.state.in_(LIVE),
        Consent.expires_at > now,
        ~used_up,
        Holder.closed_at.is_(None),
        mandate,
    )
    waiting = and_(Consent.state == State.PENDING_APPROVAL, Consent.state_since > now - APPROVAL_LAPSES, mandate)
    return {Tab.ACTIVE: live, Tab.WAITING: waiting, Tab.ENDED: ~or_(live, waiting)}[tab]


def _matching(search: Search) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if search.client_id:
        found.append(Consent.client_id == search.client_id)
    if search.words:
        texts = [t[key].as_string() for t in (Client.legal_name, Consent.purpose_text) for key in LANGUAGES]
        found.append(or_(*(t.icontains(search.words, autoescape=True) for t in (*texts, Consent.reference_no))))
    return found


def _card(row: Any, usage: dict[str, Usage], now: dt.datetime) -> Card:
    consent: Consent = row.Consent
    document = json.loads(row.document)
    return Card(
        consent_id=consent.consent_id,
        client=row.Client,
        purpose_text=consent.purpose_text,
        reference_no=consent.reference_no,
        items=tuple(i["label"] for i in document["items"] if i["chosen"] or consent.state == State.REFUSED),
        given_at=consent.created_at,
        expires_at=consent.expires_at,
        retention=document["retention"],
        person_id=consent.person_id,
        inactive=why_inactive(row, now),
        usage=usage.get(consent.consent_id, NEVER),
    )
