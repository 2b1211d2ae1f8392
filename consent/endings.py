"""How a consent ends: withdrawn by its holder, given back, revoked, or by time and use. The caller commits.

Whatever else is under way, an end that came first stays: every change looks at the state under the lock of the head.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from sqlalchemy import exists, select

from consent import deletions, history, lifecycle
from consent.clients import Client, Standing
from consent.history import Registry
from consent.interventions import Ground
from consent.records import APPROVAL_LAPSES, COUNTER, LIVE, OPEN, TRANSITIONS, Consent, Event, State
from dataspace.accesses import Access, answered
from dataspace.db import db
from dataspace.errors import Conflict, NotAllowed, NotFound
from dataspace.mandates import Actor, Capacity


def withdraw(
    consent_id: str,
    actor: Actor,
    now: dt.datetime,
    *,
    ask_deletion: bool = False,
    reason_code: str | None = None,
    registry: Registry,
) -> Consent:
    """The holder stops the authorization at once; what was lawful before stays lawful (PIPL article 15).

    Whoever may act for the holder may. Raises NotFound when it is not the actor's, Conflict when it has ended already.
    """
    consent = lifecycle.of_space(consent_id, actor.space_id)
    history.append(
        consent_id, Event.WITHDRAWN, now, actor=actor, channel="dashboard", reason_code=reason_code, registry=registry
    )
    if ask_deletion:
        deletions.request(consent_id, actor, now, registry=registry)
    db.session.refresh(consent)
    return consent


def withdraw_at_counter(consent_id: str, actor: Actor, now: dt.datetime, *, text: str, registry: Registry) -> Consent:
    """What a holder has asked for at a counter or by phone, entered by an administrator: the second channel (C-39).

    ``text``: how the holder was known; she reads it. Raises NotFound, NotAllowed, Conflict when it has ended already.
    """
    if actor.capacity != Capacity.ADMINISTRATOR:
        raise NotAllowed("only an administrator enters what was asked for at a counter")
    consent = lifecycle.get(consent_id)
    history.append(
        consent_id, Event.WITHDRAWN, now, actor=actor, channel=COUNTER, reason_code=Ground.HOLDER_REQUEST, text=text,
        registry=registry,
    )  # fmt: skip
    db.session.refresh(consent)
    return consent


def withdraw_all(
    actor: Actor, now: dt.datetime, *, client_id: str | None = None, ask_deletion: bool = False, registry: Registry
) -> int:
    """The holder stops everything, or everything of one third party; returns how many consents that were.

    What somebody else ends meanwhile is ended as well, and not counted.
    """
    # In one order, so that two who stop everything wait for each other and do not block each other.
    query = open_of(actor.space_id, now, client_id=client_id).order_by(Consent.consent_id)
    stopped = 0
    for consent_id in db.session.scalars(query).all():
        try:
            with db.session.begin_nested():
                withdraw(consent_id, actor, now, ask_deletion=ask_deletion, registry=registry)
        except Conflict:
            continue
        stopped += 1
    return stopped


def open_of(space_id: str, now: dt.datetime, *, client_id: str | None = None) -> Any:
    """A SELECT of the ids of the consents of a space that can be stopped, all or those of one client."""
    query = select(Consent.consent_id).where(Consent.space_id == space_id, Consent.state.in_(OPEN))
    query = query.where(Consent.expires_at > now)
    return query if client_id is None else query.where(Consent.client_id == client_id)


def give_back(consent_id: str, client_id: str, now: dt.datetime, *, registry: Registry) -> None:
    """The client wants no more of what it was given. Raises NotFound when it is not its own, Conflict when ended."""
    if lifecycle.get(consent_id).client_id != client_id:
        raise NotFound("not a consent of this client")
    history.append(consent_id, Event.WITHDRAWN, now, actor=None, channel="client", registry=registry)


def revoke(
    consent_id: str, actor: Actor, now: dt.datetime, *, reason_code: str, text: str, registry: Registry
) -> Consent:
    """An administrator ends a consent; the holder sees reason and text. Raises NotFound, NotAllowed, Conflict."""
    if actor.capacity != Capacity.ADMINISTRATOR:
        raise NotAllowed("only an administrator revokes")
    consent = lifecycle.get(consent_id)
    history.append(
        consent_id, Event.INVALIDATED, now, actor=actor, channel="admin", reason_code=reason_code, text=text,
        registry=registry,
    )  # fmt: skip
    db.session.refresh(consent)
    return consent


def sweep(now: dt.datetime, limit: int = 500, *, registry: Registry) -> int:
    """Write down what time and use have ended; returns how many. Correctness never waits for it.

    Several workers may run it at once, and people change consents beside it: what another has locked is left for the
    next pass, so that nobody waits for somebody who waits.
    """
    ended = 0
    for consent_id, event in _due(now, limit):
        try:
            with db.session.begin_nested():
                if not _still_due(event, history.hold(consent_id), now):
                    continue
                history.append(consent_id, event, now, actor=None, channel="system", registry=registry)
        except Conflict:
            continue
        ended += 1
    return ended


def terminate(client_id: str, now: dt.datetime, limit: int = 500, *, registry: Registry) -> int:
    """Write down that the consents of a deleted client have ended; returns how many. :func:`sweep` does the rest."""
    left = db.session.scalars(_left_behind(limit).where(Consent.client_id == client_id)).all()
    for consent_id in left:
        history.append(consent_id, Event.TERMINATED, now, actor=None, channel="client", registry=registry)
    return len(left)


def terminate_all(space_id: str, actor: Actor, now: dt.datetime, *, ground: Ground, registry: Registry) -> None:
    """An administrator ends every consent of a space that closes, also those that wait for approval."""
    query = select(Consent.consent_id).where(Consent.space_id == space_id, Consent.state.in_(OPEN))
    for consent_id in db.session.scalars(query.order_by(Consent.consent_id)).all():
        if history.hold(consent_id).state in OPEN:
            history.append(
                consent_id, Event.TERMINATED, now, actor=actor, channel="admin", reason_code=ground, registry=registry
            )


def _due(now: dt.datetime, limit: int) -> Iterable[tuple[str, Event]]:
    expired = select(Consent.consent_id).where(Consent.state.in_(LIVE), Consent.expires_at <= now).limit(limit)
    yield from ((c, Event.EXPIRED) for c in _locked(expired))
    lapsed = (
        select(Consent.consent_id)
        .where(Consent.state == State.PENDING_APPROVAL, Consent.state_since <= now - APPROVAL_LAPSES)
        .limit(limit)
    )
    yield from ((c, Event.LAPSED) for c in _locked(lapsed))
    yield from ((c, Event.TERMINATED) for c in _locked(_left_behind(limit)))
    last_read = exists().where(Access.consent_id == Consent.consent_id, Access.read_no >= Consent.max_reads)
    used_up = select(Consent.consent_id).where(Consent.state.in_(LIVE), last_read).limit(limit)
    yield from ((c, Event.EXHAUSTED) for c in _locked(used_up))


def _locked(query: Any) -> list[str]:
    return list(db.session.scalars(query.with_for_update(skip_locked=True, of=Consent)))


def _still_due(event: Event, consent: Consent, now: dt.datetime) -> bool:
    """Whether nobody has ended it, moved the end, or agreed to more reads since it was found (SQLite locks late)."""
    if (State(consent.state), event) not in TRANSITIONS:
        return False  # not left to the Conflict: on SQLite what is rolled back to a savepoint keeps the lock
    if event == Event.EXPIRED:
        return consent.expires_at <= now
    if event == Event.EXHAUSTED:
        return consent.max_reads is not None and answered(consent.consent_id) >= consent.max_reads
    return True


def _left_behind(limit: int) -> Any:
    """Open consents of clients that were deleted."""
    gone = select(Client.client_id).where(Client.standing == Standing.DELETED)
    return select(Consent.consent_id).where(Consent.client_id.in_(gone), Consent.state.in_(OPEN)).limit(limit)
