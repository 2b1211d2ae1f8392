"""What a holder is told of a consent in good time: that it ends soon, and that it is still there (check C-41).

Each is written once, as an event; whoever tells holders takes it from there. The caller commits.
"""

import datetime as dt
from collections.abc import Callable

from sqlalchemy import Select, select

from consent import history, lifecycle
from consent.history import Registry
from consent.records import LIVE, REMIND_AFTER, Consent, Event, State
from dataspace.db import db
from dataspace.errors import Conflict
from dataspace.mandates import Actor


def keep(consent_id: str, actor: Actor, now: dt.datetime, *, registry: Registry) -> Consent:
    """The holder has looked at it and lets it go on as it is; nothing becomes more by that.

    Raises NotFound, Conflict (it has ended, or is suspended).
    """
    consent = lifecycle.of_space(consent_id, actor.space_id)
    history.append(consent_id, Event.RECONFIRMED, now, actor=actor, channel="dashboard", registry=registry)
    db.session.refresh(consent)
    return consent


def announce_ends(now: dt.datetime, limit: int = 500, *, registry: Registry) -> int:
    """Write down of whose end the holder has to hear now; returns how many."""
    due = (Consent.state.in_(LIVE), Consent.expiry_notice_at <= now, Consent.expires_at > now)

    def announce(consent: Consent) -> bool:
        if consent.expiry_notice_at is None or not consent.expiry_notice_at <= now < consent.expires_at:
            return False
        consent.expiry_notice_at = None
        history.append(consent.consent_id, Event.EXPIRY_ANNOUNCED, now, actor=None, channel="system", registry=registry)
        return True

    return _each(select(Consent.consent_id).where(*due).order_by(Consent.expiry_notice_at).limit(limit), announce)


def remind(now: dt.datetime, limit: int = 500, *, registry: Registry) -> int:
    """Write down of which consents the holder has to be reminded, 90 days after the last touch; returns how many."""
    due = (Consent.state.in_((State.ACTIVE, State.PAUSED)), Consent.reminder_at <= now, Consent.expires_at > now)

    def write(consent: Consent) -> bool:
        if consent.reminder_at is None or not consent.reminder_at <= now < consent.expires_at:
            return False
        consent.reminder_at = now + REMIND_AFTER
        history.append(consent.consent_id, Event.REMINDED, now, actor=None, channel="system", registry=registry)
        return True

    return _each(select(Consent.consent_id).where(*due).order_by(Consent.reminder_at).limit(limit), write)


def _each(due: Select[str], write: Callable[[Consent], bool]) -> int:
    """Do it for each that is due; of several workers one does it, the others find it locked or done."""
    done = 0
    for consent_id in db.session.scalars(due.with_for_update(skip_locked=True)).all():
        try:
            with db.session.begin_nested():
                done += write(history.hold(consent_id))
        except Conflict:
            continue
    return done
