"""How a consent ends: withdrawn by its holder, given back, revoked, or by time and use. The caller commits.

Whatever else is under way, an end that came first stays: every change looks at the state under the lock of the head.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from sqlalchemy import select

from consent import history, lifecycle
from consent.clients import Client, Standing
from consent.history import Registry
from consent.records import APPROVAL_LAPSES, OPEN, Consent, Event, State
from dataspace.accesses import Access
from dataspace.db import db
from dataspace.errors import Conflict, NotAllowed, NotFound
from dataspace.mandates import Actor, Capacity


def withdraw(
    consent_id: str, actor: Actor, now: dt.datetime, *, ask_deletion: bool = False, registry: Registry
) -> Consent:
    """The holder stops the authorization at once; what was lawful before stays lawful (PIPL article 15).

    Raises NotFound when it is not the actor's, Conflict when it has ended already.
    """
    consent = lifecycle.of_space(consent_id, actor.space_id)
    history.append(consent_id, Event.WITHDRAWN, now, actor=actor, channel="dashboard", registry=registry)
    if ask_deletion:
        history.append(consent_id, Event.DELETION_REQUESTED, now, actor=actor, channel="dashboard", registry=registry)
    db.session.refresh(consent)
    return consent


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

    Several workers may run it at once: each consent is locked by its own event, and who comes second skips it.
    """
    ended = 0
    for consent_id, event in _due(now, limit):
        try:
            with db.session.begin_nested():
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


def _due(now: dt.datetime, limit: int) -> Iterable[tuple[str, Event]]:
    live = (State.ACTIVE, State.PAUSED, State.SUSPENDED)
    expired = select(Consent.consent_id).where(Consent.state.in_(live), Consent.expires_at <= now).limit(limit)
    yield from ((c, Event.EXPIRED) for c in db.session.scalars(expired).all())
    lapsed = (
        select(Consent.consent_id)
        .where(Consent.state == State.PENDING_APPROVAL, Consent.state_since <= now - APPROVAL_LAPSES)
        .limit(limit)
    )
    yield from ((c, Event.LAPSED) for c in db.session.scalars(lapsed).all())
    yield from ((c, Event.TERMINATED) for c in db.session.scalars(_left_behind(limit)).all())
    used_up = (
        select(Consent.consent_id)
        .join(Access, (Access.consent_id == Consent.consent_id) & (Access.read_no >= Consent.max_reads))
        .where(Consent.state.in_(live))
        .distinct()
        .limit(limit)
    )
    yield from ((c, Event.EXHAUSTED) for c in db.session.scalars(used_up).all())


def _left_behind(limit: int) -> Any:
    """Open consents of clients that were deleted."""
    gone = select(Client.client_id).where(Client.standing == Standing.DELETED)
    return select(Consent.consent_id).where(Consent.client_id.in_(gone), Consent.state.in_(OPEN)).limit(limit)
