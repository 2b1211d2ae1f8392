"""The consent record: immutable signed versions, append-only events, and the one function that says why it is inactive.

Words follow ISO/IEC TS 27560 and PIPL. ``Consent.state`` is the fold of the consent's events, kept beside them so that
a read needs one query; ``tests/consent/test_records.py`` proves that it is nothing else. Whether a consent may be used
*now* depends on more than its events: :func:`why_inactive` looks at everything.
"""

import datetime as dt
import enum
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, func, select
from sqlalchemy.orm import Mapped, mapped_column

from consent.clients import Client, Standing
from dataspace.accesses import Access
from dataspace.db import Model, RowId, db
from dataspace.entries import SALT
from dataspace.holders import Holder
from dataspace.mandates import Mandate
from dataspace.permission import GrantedItem

SCHEMA = "gd-dsa-consent/1"
COUNTER = "counter"  # the channel of what a holder has asked for at a counter or by phone (check C-39)
APPROVAL_LAPSES = dt.timedelta(hours=72)  # check C-23
REMIND_AFTER = dt.timedelta(days=90)  # without the holder touching it (check C-41)
LONG = dt.timedelta(days=30)  # what lasts longer has its end announced,
ANNOUNCED_AHEAD = dt.timedelta(days=7)  # this long ahead


class State(enum.StrEnum):
    """What the events of a consent fold to."""

    NEW = "new"  # before the first event; never stored
    REQUESTED = "requested"
    REFUSED = "refused"
    PENDING_APPROVAL = "pending_approval"
    ACTIVE = "active"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    PAUSED_SUSPENDED = "paused_suspended"  # both at once: what ends one leaves the other
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    EXHAUSTED = "exhausted"
    TERMINATED = "terminated"
    INVALIDATED = "invalidated"
    REJECTED = "rejected"
    LAPSED = "lapsed"


class Event(enum.StrEnum):
    """The durable words of a consent's history; never renamed, never reused."""

    REQUESTED = "consent:requested"
    PAGE_OPENED = "consent:page_opened"
    REFUSED = "consent:refused"
    GIVEN = "consent:given"
    REPLACED = "consent:replaced"
    ITEM_RECONFIRMED = "consent:item_reconfirmed"  # given again, after its item became sensitive
    CO_APPROVAL_PENDING = "consent:co_approval_pending"
    CO_APPROVED = "consent:co_approved"
    CO_REJECTED = "consent:co_rejected"
    PAUSED = "consent:paused"
    RESUMED = "consent:resumed"
    WITHDRAWN = "consent:withdrawn"
    SUSPENDED = "consent:suspended"
    REINSTATED = "consent:reinstated"
    INVALIDATED = "consent:invalidated"
    EXPIRED = "consent:expired"
    EXHAUSTED = "consent:exhausted"
    TERMINATED = "consent:terminated"
    LAPSED = "consent:lapsed"
    ITEM_WITHDRAWN = "consent:item_withdrawn"
    SHORTENED = "consent:shortened"
    EXPIRY_ANNOUNCED = "consent:expiry_announced"
    REMINDED = "consent:reminded"
    RECONFIRMED = "consent:reconfirmed"
    DELETION_REQUESTED = "consent:deletion_requested"
    DELETION_CONFIRMED = "consent:deletion_confirmed"
    DELETION_OVERDUE = "consent:deletion_overdue"


LIVE = (State.ACTIVE, State.PAUSED, State.SUSPENDED, State.PAUSED_SUSPENDED)
OPEN = (*LIVE, State.PENDING_APPROVAL)
# Ends of what could be read: somebody may have received something, and may have to delete it.
LEFT_SOMETHING = (State.WITHDRAWN, State.EXPIRED, State.EXHAUSTED, State.TERMINATED, State.INVALIDATED)

# The state machine: which event is possible in which state, and where it leads.
TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.NEW, Event.REQUESTED): State.REQUESTED,
    (State.REQUESTED, Event.PAGE_OPENED): State.REQUESTED,
    (State.REQUESTED, Event.REFUSED): State.REFUSED,
    (State.REQUESTED, Event.GIVEN): State.ACTIVE,
    (State.REQUESTED, Event.CO_APPROVAL_PENDING): State.PENDING_APPROVAL,
    (State.PENDING_APPROVAL, Event.CO_APPROVED): State.ACTIVE,
    (State.PENDING_APPROVAL, Event.CO_REJECTED): State.REJECTED,
    (State.PENDING_APPROVAL, Event.LAPSED): State.LAPSED,
    (State.ACTIVE, Event.REPLACED): State.ACTIVE,
    (State.ACTIVE, Event.ITEM_RECONFIRMED): State.ACTIVE,
    (State.PAUSED, Event.ITEM_RECONFIRMED): State.PAUSED,
    (State.ACTIVE, Event.PAUSED): State.PAUSED,
    (State.SUSPENDED, Event.PAUSED): State.PAUSED_SUSPENDED,
    (State.PAUSED, Event.RESUMED): State.ACTIVE,
    (State.PAUSED_SUSPENDED, Event.RESUMED): State.SUSPENDED,
    (State.ACTIVE, Event.SUSPENDED): State.SUSPENDED,
    (State.PAUSED, Event.SUSPENDED): State.PAUSED_SUSPENDED,
    (State.SUSPENDED, Event.REINSTATED): State.ACTIVE,
    (State.PAUSED_SUSPENDED, Event.REINSTATED): State.PAUSED,
    **{(s, e): s for e in (Event.ITEM_WITHDRAWN, Event.SHORTENED, Event.EXPIRY_ANNOUNCED) for s in LIVE},
    **{(s, e): s for e in (Event.REMINDED, Event.RECONFIRMED) for s in (State.ACTIVE, State.PAUSED)},
    (State.WITHDRAWN, Event.DELETION_REQUESTED): State.WITHDRAWN,
    (State.WITHDRAWN, Event.DELETION_OVERDUE): State.WITHDRAWN,
    **{(s, Event.DELETION_CONFIRMED): s for s in LEFT_SOMETHING},
    **{(s, Event.WITHDRAWN): State.WITHDRAWN for s in OPEN},
    **{(s, Event.INVALIDATED): State.INVALIDATED for s in OPEN},
    **{(s, Event.TERMINATED): State.TERMINATED for s in OPEN},
    **{(s, Event.EXPIRED): State.EXPIRED for s in LIVE},
    **{(s, Event.EXHAUSTED): State.EXHAUSTED for s in LIVE},
}


def fold(events: list[Event]) -> State:
    """The state that a history leads to. Raises KeyError on an impossible history."""
    state = State.NEW
    for event in events:
        state = TRANSITIONS[state, event]
    return state


class Consent(Model):
    """The head of one consent. Whose, whom to and what for is fixed when it is made; the rest is of its version."""

    __tablename__ = "consents"
    __table_args__ = (
        Index(None, "space_id", "state"),
        Index(None, "space_id", "client_id", "purpose_code", "created_at"),
        Index(None, "client_id", "state"),
        Index(None, "state", "expires_at"),
        Index(None, "state", "expiry_notice_at"),
        Index(None, "state", "reminder_at"),
        Index(None, "mandate_id"),
        Index(None, "created_at"),
        Index(None, "reference_no"),
    )
    consent_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))  # data, login
    space_id: Mapped[str] = mapped_column(String(40))
    holder_id: Mapped[str] = mapped_column(ForeignKey("holders.holder_id"))
    person_id: Mapped[str] = mapped_column(ForeignKey("holders.holder_id"))  # who decided first
    mandate_id: Mapped[str | None] = mapped_column(ForeignKey("mandates.mandate_id"))
    capacity: Mapped[str] = mapped_column(String(24))
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id"))
    purpose_code: Mapped[str] = mapped_column(String(60))
    purpose_text: Mapped[dict[str, Any]]
    reference_no: Mapped[str | None] = mapped_column(String(80))
    state: Mapped[str] = mapped_column(String(20))
    state_since: Mapped[dt.datetime]
    version: Mapped[int]
    last_seq: Mapped[int]
    created_at: Mapped[dt.datetime]
    not_before: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    expiry_notice_at: Mapped[dt.datetime | None]  # when the end has to be announced; None: not, or done
    reminder_at: Mapped[dt.datetime | None]  # when the holder has to be reminded of it; None: not touched yet
    max_reads: Mapped[int | None]
    frequency: Mapped[dict[str, Any] | None]  # {n, unit}
    case_required: Mapped[bool] = mapped_column(default=False)

    def ends(self, until: dt.datetime, *, since: dt.datetime) -> None:
        """Set the end, as decided at ``since``; it is announced ahead when there is long enough between."""
        self.expires_at = until
        self.expiry_notice_at = until - ANNOUNCED_AHEAD if until - since > LONG else None


class ConsentVersion(Model):
    """One immutable version. ``document``: canonical JSON (RFC 8785) as text; ``signature``: JWS over exactly it.

    ``granted``: [{item, version, fields, from, to, sensitive, delivery}], the part that a read needs.
    """

    __tablename__ = "consent_versions"
    consent_id: Mapped[str] = mapped_column(ForeignKey("consents.consent_id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    document: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(64))
    signature: Mapped[str] = mapped_column(Text)
    granted: Mapped[list[Any]]
    created_at: Mapped[dt.datetime]


# Which version goes with a consent as it is now.
CURRENT_VERSION = (ConsentVersion.consent_id == Consent.consent_id) & (ConsentVersion.version == Consent.version)


def granted_items(granted: list[Any]) -> tuple[GrantedItem, ...]:
    """What :attr:`ConsentVersion.granted` says, as a read takes it."""
    return tuple(
        GrantedItem(
            item_id=i["item"],
            item_version=i["version"],
            fields=tuple(i["fields"]),
            period_from=i["from"],
            period_to=i["to"],
            sensitive=i.get("sensitive", False),
            delivery=i.get("delivery", "raw"),
        )
        for i in granted
    )


class ConsentEvent(Model):
    """One event; ``digest`` covers the event and ``previous_digest``, so the history of a consent is a chain.

    ``changes``: what is another in the version that it made ([{attribute, kind, before, after}]); None: no such event.
    """

    __tablename__ = "consent_events"
    __table_args__ = (UniqueConstraint("consent_id", "seq"), Index(None, "at"))
    event_id: Mapped[int] = mapped_column(RowId, primary_key=True)
    consent_id: Mapped[str] = mapped_column(ForeignKey("consents.consent_id"))
    seq: Mapped[int]
    kind: Mapped[str] = mapped_column(String(40))
    at: Mapped[dt.datetime]
    actor_id: Mapped[str | None] = mapped_column(String(40))
    capacity: Mapped[str | None] = mapped_column(String(24))
    channel: Mapped[str] = mapped_column(String(20))  # page, dashboard, counter, admin, client, system
    reason_code: Mapped[str | None] = mapped_column(String(40))
    text: Mapped[str] = mapped_column(Text, default="")
    changes: Mapped[list[Any] | None]
    previous_digest: Mapped[str | None] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))
    salt: Mapped[bytes | None] = mapped_column(LargeBinary(SALT))  # of its entry in the log of evidence


class ConsentNotice(Model):
    """The text as it was shown when a version was decided, sealed under the space's key (check C-26)."""

    __tablename__ = "consent_notices"
    consent_id: Mapped[str] = mapped_column(ForeignKey("consents.consent_id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    digest: Mapped[str] = mapped_column(String(64))


class Reason(enum.StrEnum):
    """Why a consent does not allow anything now; shown to the holder, told to the client, asserted in tests."""

    REFUSED = "consent_refused"
    PENDING = "consent_pending"
    REJECTED = "consent_rejected"
    LAPSED = "consent_lapsed"
    NOT_YET_VALID = "consent_not_yet_valid"
    WITHDRAWN = "consent_withdrawn"
    EXPIRED = "consent_expired"
    PAUSED = "consent_paused"
    SUSPENDED = "consent_suspended"
    TERMINATED = "consent_terminated"
    INVALIDATED = "consent_invalidated"
    QUOTA_EXHAUSTED = "quota_exhausted"
    CLIENT_SUSPENDED = "client_suspended"
    MANDATE_ENDED = "mandate_ended"
    SPACE_CLOSED = "space_closed"


_STATE_REASONS = {
    State.REQUESTED: Reason.PENDING,
    State.REFUSED: Reason.REFUSED,
    State.PENDING_APPROVAL: Reason.PENDING,
    State.REJECTED: Reason.REJECTED,
    State.LAPSED: Reason.LAPSED,
    State.PAUSED: Reason.PAUSED,
    State.SUSPENDED: Reason.SUSPENDED,
    State.PAUSED_SUSPENDED: Reason.SUSPENDED,
    State.WITHDRAWN: Reason.WITHDRAWN,
    State.EXPIRED: Reason.EXPIRED,
    State.EXHAUSTED: Reason.QUOTA_EXHAUSTED,
    State.TERMINATED: Reason.TERMINATED,
    State.INVALIDATED: Reason.INVALIDATED,
}


def reason_of(state: State) -> Reason | None:
    """Why a consent in this state allows nothing, whatever else; None for the others."""
    return _STATE_REASONS.get(state)


@dataclass(frozen=True)
class Inactive:
    """Why a consent is inactive, and since when."""

    reason: Reason
    since: dt.datetime


class Facts(Protocol):
    """Everything that decides whether a consent is active: the columns of :func:`facts_query`, one row."""

    state: str
    state_since: dt.datetime
    not_before: dt.datetime
    expires_at: dt.datetime
    max_reads: int | None
    reads: int
    client_standing: str
    client_standing_since: dt.datetime
    space_closed_at: dt.datetime | None
    mandate_id: str | None
    mandate_valid_until: dt.datetime | None
    mandate_ended_at: dt.datetime | None


def facts_query(*more: Any) -> Any:
    """A SELECT of :class:`Facts` over consents and all they depend on; ``more`` columns may be added.

    Token issue, introspection and every read start from this one query.
    """
    # The numbers of a limited consent's reads have no gaps: the last is their count, and one step in the index.
    counted = (
        select(func.coalesce(func.max(Access.read_no), 0))
        .where(Access.consent_id == Consent.consent_id, Access.read_no.is_not(None))
        .correlate(Consent)
        .scalar_subquery()
    )
    return (
        select(
            Consent.consent_id,
            Consent.state,
            Consent.state_since,
            Consent.not_before,
            Consent.expires_at,
            Consent.max_reads,
            counted.label("reads"),
            Client.standing.label("client_standing"),
            Client.standing_since.label("client_standing_since"),
            Holder.closed_at.label("space_closed_at"),
            Consent.mandate_id,
            Mandate.valid_until.label("mandate_valid_until"),
            Mandate.ended_at.label("mandate_ended_at"),
            *more,
        )
        .select_from(Consent)
        .join(Client, Client.client_id == Consent.client_id)
        .join(Holder, Holder.holder_id == Consent.holder_id)
        .outerjoin(Mandate, Mandate.mandate_id == Consent.mandate_id)
    )


def facts_of(consent_id: str) -> Facts:
    """The facts of one consent; it must exist."""
    row: Facts = db.session.execute(facts_query().where(Consent.consent_id == consent_id)).one()
    return row


def why_inactive(facts: Facts, now: dt.datetime, *, continuing: bool = False) -> Inactive | None:
    """Why the consent allows nothing at ``now``; None when it is active.

    ``continuing``: for a read that has begun and was counted, that there is no other one left is no reason.
    The first reason in this order is told: what the holder or a supervisor decided, then time, use, and standing.
    """
    state = State(facts.state)
    if continuing and state == State.EXHAUSTED:
        state = State.ACTIVE
    if state == State.PENDING_APPROVAL and now >= facts.state_since + APPROVAL_LAPSES:
        return Inactive(Reason.LAPSED, facts.state_since + APPROVAL_LAPSES)
    if state == State.PENDING_APPROVAL and (ended := _why_mandate(facts, now)) is not None:
        return ended  # who prepared it may not act for the body any more: there is nothing to approve
    if state in LIVE and state != State.ACTIVE and now >= facts.expires_at:
        return Inactive(Reason.EXPIRED, facts.expires_at)
    if state != State.ACTIVE:
        return Inactive(_STATE_REASONS[state], facts.state_since)
    if now < facts.not_before:
        return Inactive(Reason.NOT_YET_VALID, facts.state_since)
    if now >= facts.expires_at:
        return Inactive(Reason.EXPIRED, facts.expires_at)
    if facts.max_reads is not None and facts.reads >= facts.max_reads and not continuing:
        return Inactive(Reason.QUOTA_EXHAUSTED, facts.state_since)
    return _why_standing(facts, now)


def _why_standing(facts: Facts, now: dt.datetime) -> Inactive | None:
    if facts.client_standing == Standing.DELETED:
        return Inactive(Reason.TERMINATED, facts.client_standing_since)
    if facts.client_standing != Standing.GOOD:
        return Inactive(Reason.CLIENT_SUSPENDED, facts.client_standing_since)
    if facts.space_closed_at is not None:
        return Inactive(Reason.SPACE_CLOSED, facts.space_closed_at)
    return _why_mandate(facts, now)


def _why_mandate(facts: Facts, now: dt.datetime) -> Inactive | None:
    if facts.mandate_ended_at is not None:  # for good, also when the clock was set back
        return Inactive(Reason.MANDATE_ENDED, facts.mandate_ended_at)
    if facts.mandate_valid_until is not None and facts.mandate_valid_until <= now:
        return Inactive(Reason.MANDATE_ENDED, facts.mandate_valid_until)
    return None
