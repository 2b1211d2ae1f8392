"""After a refusal a third party lets the holder be (check C-20): 24 hours, after three refusals in a row 30 days.

Counted for a space, a client and a purpose, over what was decided last: agreeing in between begins anew. The rejection
by the second person of a company counts like a refusal. Signing in is left out: the holder starts it.
"""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import select

from consent.records import Consent, State
from dataspace.db import db

REST = dt.timedelta(hours=24)
LONG_REST = dt.timedelta(days=30)
MANY = 3
_REFUSALS = (State.REFUSED, State.REJECTED)
_UNDECIDED = (State.REQUESTED, State.PENDING_APPROVAL, State.LAPSED)


@dataclass(frozen=True)
class Resting:
    """When it was refused last, and from when on it may be asked again."""

    refused_at: dt.datetime
    until: dt.datetime


def resting(*, space_id: str, client_id: str, purpose_code: str, now: dt.datetime) -> Resting | None:
    """Whether this third party has to wait before it asks this holder for this again. One statement, three rows."""
    last = db.session.execute(
        select(Consent.state, Consent.state_since)
        .where(Consent.space_id == space_id, Consent.client_id == client_id, Consent.purpose_code == purpose_code)
        .where(Consent.kind == "data", Consent.state.not_in(_UNDECIDED))
        .order_by(Consent.created_at.desc())
        .limit(MANY)
    ).all()
    refused = [row.state_since for row in last if row.state in _REFUSALS]
    if not last or last[0].state not in _REFUSALS:
        return None
    rest = LONG_REST if len(refused) == MANY else REST
    until = max(refused) + rest
    return Resting(max(refused), until) if now < until else None
