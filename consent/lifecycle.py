"""How a consent comes about: give, replace, refuse, approve, reject. The caller commits.

Each change appends an event under a lock on the consent's head (:func:`consent.history.append`), so that concurrent
changes queue up and each sees what the one before it decided.
"""

import datetime as dt
from typing import Any

from sqlalchemy import select

from consent import approvals, differences, documents, history, purposes
from consent.asks import Ask, AskItem
from consent.clients import Client
from consent.documents import Choices, Shown, Subject
from consent.history import Registry
from consent.records import (
    Consent,
    Event,
    Reason,
    State,
    facts_of,
    facts_query,
    why_inactive,
)
from dataspace import catalogue
from dataspace.db import db, new_id
from dataspace.errors import Conflict, NotAllowed, NotFound
from dataspace.holders import Holder
from dataspace.mandates import Actor


def give(ask: Ask, choices: Choices, actor: Actor, shown: Shown, now: dt.datetime, *, registry: Registry) -> Consent:
    """Record that the holder agrees. What needs a second person of the company (:mod:`consent.approvals`) waits for it.

    Raises NotAllowed when the choices are not within the request or the holder is not of a kind that was asked.
    """
    _check_choices(ask, choices)
    waits = approvals.needs_second(ask, choices, actor)
    decisive = Event.CO_APPROVAL_PENDING if waits else Event.GIVEN
    return _record(ask, choices, actor, shown, now, decisive=decisive, registry=registry)


def replace(
    consent_id: str, ask: Ask, choices: Choices, actor: Actor, shown: Shown, now: dt.datetime, *, registry: Registry
) -> Consent:
    """Record that the holder agrees anew, in place of what was given: the same consent in its next version.

    Reads under earlier versions count on. Raises NotFound (another space's), NotAllowed (choices; another client or
    purpose; somebody who does not decide alone), Conflict (not active any more).
    """
    _check_choices(ask, choices)
    consent = of_space(consent_id, actor.space_id)
    if (consent.kind, consent.client_id, consent.purpose_code) != (ask.kind, ask.client_id, ask.purpose_code):
        raise NotAllowed("a consent is replaced for the same client and purpose")
    if approvals.needs_second(ask, choices, actor):
        raise NotAllowed("what needs a second person is not replaced")
    if choices.once:
        raise NotAllowed("earlier reads count on, so one more read would be none")
    subject = _subject(ask, actor)
    consent = history.hold(consent_id)
    if why_inactive(facts_of(consent_id), now) is not None:
        raise Conflict("the consent is not active any more")
    previous, digest = history.current_document(consent)
    consent.person_id, consent.mandate_id, consent.capacity = actor.person_id, actor.mandate_id, actor.capacity
    consent.purpose_text, consent.reference_no, consent.max_reads = ask.purpose_text, ask.reference_no, ask.max_reads
    consent.frequency, consent.case_required, consent.not_before = ask.frequency, ask.case_required, now
    consent.ends(now + dt.timedelta(days=choices.duration_days), since=now)
    document = _document(consent, subject, choices, actor, shown, now, registry) | {"version": previous["version"]}
    document = documents.next_version(document, digest, now)
    changes = differences.compare(previous, document)
    history.append(consent_id, Event.REPLACED, now, actor=actor, channel="page", changes=changes, registry=registry)
    db.session.refresh(consent)
    history.add_version(consent, document, now, registry, notice=shown.text)
    return consent


def refuse(ask: Ask, actor: Actor, shown: Shown, now: dt.datetime, *, registry: Registry) -> Consent:
    """Record that the holder refuses. Nothing is given; the refusal stays on record."""
    nothing = Choices(items=(), duration_days=ask.duration_days)
    return _record(ask, nothing, actor, shown, now, decisive=Event.REFUSED, registry=registry)


def approve(consent_id: str, actor: Actor, now: dt.datetime, *, registry: Registry) -> Consent:
    """The second person of a company agrees: the consent becomes active, its time counts from now.

    Raises NotFound, NotAllowed (the preparer cannot approve), Conflict (decided or lapsed meanwhile; who prepared it
    may not act for the body any more; an item is not shared any more).
    """
    consent = _second_person(consent_id, actor, now)
    document, digest = history.current_document(consent)
    if purposes.outdated_since(document, kind=consent.kind):
        raise Conflict("what was prepared can no longer be given")
    days = dt.timedelta(days=document["request"]["given_days"])
    use = document["use"] | {"not_before": documents.stamp(now), "expires_at": documents.stamp(now + days)}
    steps = [*document["approvals"]["steps"], documents.approval("approve", actor, "approved", now)]
    agreed = document["approvals"] | {"steps": steps}
    history.append(consent_id, Event.CO_APPROVED, now, actor=actor, channel="dashboard", registry=registry)
    db.session.refresh(consent)
    consent.not_before = now
    consent.ends(now + days, since=now)
    history.add_version(
        consent, documents.next_version(document, digest, now, use=use, approvals=agreed), now, registry
    )
    return consent


def reject(consent_id: str, actor: Actor, now: dt.datetime, *, registry: Registry) -> Consent:
    """The second person of a company refuses. Raises NotFound, NotAllowed, Conflict."""
    consent = _second_person(consent_id, actor, now)
    history.append(consent_id, Event.CO_REJECTED, now, actor=actor, channel="dashboard", registry=registry)
    db.session.refresh(consent)
    return consent


def get(consent_id: str) -> Consent:
    """Raises NotFound."""
    consent = db.session.get(Consent, consent_id)
    if consent is None:
        raise NotFound("no such consent")
    return consent


def find_facts(unverified_id: str, *, client_id: str) -> Any:
    """A consent of this client with all that decides about it (Facts, kind, purpose_code, space_id); None if none."""
    more = (Consent.kind, Consent.purpose_code, Consent.space_id)
    query = facts_query(*more).where(Consent.consent_id == unverified_id, Consent.client_id == client_id)
    return db.session.execute(query).one_or_none()


def of_space(consent_id: str, space_id: str) -> Consent:
    """A consent of one space. Raises NotFound when there is none or it is somebody else's."""
    consent = get(consent_id)
    if not space_id or consent.space_id != space_id:
        raise NotFound("not a consent of this space")
    return consent


def active_sign_in(space_id: str, client_id: str, now: dt.datetime) -> Consent | None:
    """The live sign-in consent between a person and a ``login`` client, if any."""
    found = db.session.scalar(
        select(Consent)
        .where(Consent.space_id == space_id, Consent.client_id == client_id, Consent.kind == "login")
        .where(Consent.state == State.ACTIVE, Consent.expires_at > now)
        .order_by(Consent.created_at.desc())
        .limit(1)
    )
    if found is None or why_inactive(facts_of(found.consent_id), now) is not None:
        return None
    return found


def _check_choices(ask: Ask, choices: Choices) -> None:
    asked = {i.item_id for i in ask.items}
    required = {i.item_id for i in ask.items if i.necessity == "required"}
    if not required <= set(choices.items) <= asked:
        raise NotAllowed("the choice leaves out a required item or names one that was not asked")
    for item in ask.items:
        _check_narrowing(item, choices)
    if not 1 <= choices.duration_days <= ask.duration_days:
        raise NotAllowed("the duration can be shortened, not extended")
    if choices.once and not ask.may_be_once:
        raise NotAllowed("it is for one read anyway")


def _check_narrowing(item: AskItem, choices: Choices) -> None:
    if not set(choices.fields.get(item.item_id, ())) <= set(item.optional_fields):
        raise NotAllowed("the choice names a field that is not optional")
    if choices.months.get(item.item_id) not in (None, *item.shorter):
        raise NotAllowed("the period can be shortened in the steps that are on offer")


def _record(
    ask: Ask, choices: Choices, actor: Actor, shown: Shown, now: dt.datetime, *, decisive: Event, registry: Registry
) -> Consent:
    subject = _subject(ask, actor)
    consent = Consent(
        consent_id=new_id("cns"), kind=ask.kind, space_id=subject.holder.space_id, holder_id=subject.holder.holder_id,
        person_id=actor.person_id, mandate_id=actor.mandate_id, capacity=actor.capacity, client_id=ask.client_id,
        purpose_code=ask.purpose_code, purpose_text=ask.purpose_text, reference_no=ask.reference_no,
        state=State.NEW, state_since=now, version=0, last_seq=0, created_at=now, not_before=now,
        max_reads=choices.max_reads(ask), frequency=ask.frequency, case_required=ask.case_required,
    )  # fmt: skip
    consent.ends(now + dt.timedelta(days=choices.duration_days), since=now)
    db.session.add(consent)
    db.session.flush()
    document = _document(consent, subject, choices, actor, shown, now, registry, refused=decisive == Event.REFUSED)
    asked = (Event.REQUESTED, shown.requested_at)
    history.append(consent.consent_id, *asked, actor=None, channel="client", registry=registry)
    opened = (Event.PAGE_OPENED, shown.opened_at)
    history.append(consent.consent_id, *opened, actor=actor, channel="page", registry=registry)
    history.append(consent.consent_id, decisive, now, actor=actor, channel="page", registry=registry)
    db.session.refresh(consent)
    history.add_version(consent, document, now, registry, notice=shown.text)
    return consent


def _subject(ask: Ask, actor: Actor) -> Subject:
    holder = db.session.get_one(Holder, actor.holder_id)
    if holder.kind not in ask.holder_kinds:
        raise NotAllowed("this purpose is not for a holder of this kind")
    return Subject(
        ask=ask,
        client=db.session.get_one(Client, ask.client_id),
        holder=holder,
        catalogue=catalogue.versions([(i.item_id, i.item_version) for i in ask.items]),
    )


def _document(
    consent: Consent, subject: Subject, choices: Choices, actor: Actor, shown: Shown, now: dt.datetime,
    registry: Registry, *, refused: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """What was asked and decided, as a document of version 1."""
    document = documents.build(
        subject, choices, actor, shown,
        consent_id=consent.consent_id, kind=_kind(subject.ask, choices),
        approvals=approvals.block(subject.ask, choices, actor), notice_digest=history.digest_of(shown.text),
        not_before=consent.not_before, expires_at=consent.expires_at, now=now, index=registry.index,
        issuer=registry.issuer,
    )  # fmt: skip
    if actor.mandate_id is not None:
        decision = "refused" if refused else "agreed"
        document["approvals"]["steps"] = [documents.approval("prepare", actor, decision, now)]
    return document


def _kind(ask: Ask, choices: Choices) -> str:
    """PIPL articles 14 and 29: sensitive personal information needs separate consent."""
    sensitive = any(i.sensitive and i.item_id in choices.items for i in ask.items)
    return "separate_consent" if sensitive or ask.cross_border else "consent"


def _second_person(consent_id: str, actor: Actor, now: dt.datetime) -> Consent:
    consent = of_space(consent_id, actor.space_id)
    if consent.person_id == actor.person_id:
        raise NotAllowed("who prepared a consent cannot approve it")
    inactive = why_inactive(facts_of(consent_id), now)
    if inactive is None or inactive.reason != Reason.PENDING:
        raise Conflict("decided already, lapsed, or prepared by somebody who may not act for the body any more")
    return consent
