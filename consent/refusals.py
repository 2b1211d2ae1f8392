"""After a refusal a third party lets the holder be (check C-20): 24 hours, after three refusals in a row 30 days.

Counted for a space, a client and a purpose, over what was decided last: agreeing in between begins anew. The rejection
by the second person of a company counts like a refusal. Signing in is left out: the holder starts it.
"""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Select, select

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
        _decided(space_id)
        .where(Consent.client_id == client_id, Consent.purpose_code == purpose_code)
        .order_by(Consent.created_at.desc())
        .limit(MANY)
    ).all()
    return _rest([(row.state, row.state_since) for row in last], now)


def all_resting(*, space_id: str, client_ids: Collection[str], now: dt.datetime) -> set[tuple[str, str]]:
    """Which of these third parties have to wait with what: (client, purpose). One statement."""
    statement = _decided(space_id).where(Consent.client_id.in_(client_ids)).order_by(Consent.created_at.desc())
    last: dict[tuple[str, str], list[tuple[str, dt.datetime]]] = {}
    for row in db.session.execute(statement):
        last.setdefault((row.client_id, row.purpose_code), []).append((row.state, row.state_since))
    return {pair for pair, decided in last.items() if _rest(decided[:MANY], now) is not None}


def _decided(space_id: str) -> Select[str, dt.datetime, str, str]:
    return select(Consent.state, Consent.state_since, Consent.client_id, Consent.purpose_code).where(
        Consent.space_id == space_id, Consent.kind == "data", Consent.state.not_in(_UNDECIDED)
    )


def _rest(last: list[tuple[str, dt.datetime]], now: dt.datetime) -> Resting | None:
    """``last``: state and since when, newest first, at most MANY."""
    refused = [since for state, since in last if state in _REFUSALS]
    if not last or last[0][0] not in _REFUSALS:
        return None
    rest = LONG_REST if len(refused) == MANY else REST
    until = max(refused) + rest
    return Resting(max(refused), until) if now < until else None
