"""A living consent that rests: paused by its holder, suspended by a supervisor, or both. The caller commits.

The two are told apart in the state, so that what ends one leaves the other: a paused consent that was suspended and is
reinstated is paused as before.
"""

import datetime as dt

from consent import history, lifecycle
from consent.history import Registry
from consent.records import Consent, Event
from dataspace.db import db
from dataspace.errors import Conflict, NotAllowed
from dataspace.mandates import Actor, Capacity


def pause(consent_id: str, actor: Actor, now: dt.datetime, *, registry: Registry) -> Consent:
    """The holder stops it for a while; whoever may act for the holder may. Raises NotFound, Conflict."""
    consent = lifecycle.of_space(consent_id, actor.space_id)
    history.append(consent_id, Event.PAUSED, now, actor=actor, channel="dashboard", registry=registry)
    db.session.refresh(consent)
    return consent


def may_resume(actor: Actor) -> bool:
    """Whether this person may let it be read again: who gives alone. An agent of a company needs a second person."""
    return actor.capacity in (Capacity.SELF, Capacity.LEGAL_REPRESENTATIVE, Capacity.GUARDIAN)


def resume(consent_id: str, actor: Actor, now: dt.datetime, *, registry: Registry) -> Consent:
    """The holder lets it be read again, as before. Raises NotFound, NotAllowed (an agent), Conflict."""
    lifecycle.of_space(consent_id, actor.space_id)
    if not may_resume(actor):
        raise NotAllowed("an agent may pause, and not resume")
    consent = history.hold(consent_id)
    if now >= consent.expires_at:
        raise Conflict("its time is over")
    history.append(consent_id, Event.RESUMED, now, actor=actor, channel="dashboard", registry=registry)
    db.session.refresh(consent)
    return consent


def suspend(
    consent_id: str, actor: Actor, now: dt.datetime, *, reason_code: str, text: str, registry: Registry
) -> Consent:
    """A supervisor stops it for a while; the holder sees reason and text. Raises NotFound, NotAllowed, Conflict."""
    return _supervise(consent_id, Event.SUSPENDED, actor, now, reason_code, text, registry)


def reinstate(
    consent_id: str, actor: Actor, now: dt.datetime, *, reason_code: str, text: str, registry: Registry
) -> Consent:
    """A supervisor takes a suspension back. Raises NotFound, NotAllowed, Conflict."""
    return _supervise(consent_id, Event.REINSTATED, actor, now, reason_code, text, registry)


def _supervise(
    consent_id: str, event: Event, actor: Actor, now: dt.datetime, reason_code: str, text: str, registry: Registry
) -> Consent:
    if actor.capacity != Capacity.ADMINISTRATOR:
        raise NotAllowed("only an administrator suspends and reinstates")
    consent = lifecycle.get(consent_id)
    history.append(
        consent_id, event, now, actor=actor, channel="admin", reason_code=reason_code, text=text, registry=registry
    )
    db.session.refresh(consent)
    return consent
