"""Withdrawal at the same moment as every other change of the same consent: in the end it is withdrawn.

On PostgreSQL each pair also runs past a lock of the consent's head that is held until both wait for it.
"""

import datetime as dt
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from consent import amendments, endings, lifecycle, pauses, reminders
from consent.asks import Ask
from consent.documents import Choices
from consent.records import Consent, ConsentEvent, ConsentVersion, Event, fold
from dataspace import clock
from dataspace.db import db
from dataspace.errors import Conflict
from dataspace.holders import HolderKind
from dataspace.mandates import Actor, Capacity
from tests import factories
from tests.arena import Arena, arena
from tests.conftest import fresh_database, make_settings
from wsgi import create_app

TRIALS = 6
NEEDED, WANTED = "e.needed", "e.wanted"
# What else happens to the consent; "approve" happens to one that waits for its second person.
CHANGES = ("pause", "resume", "shorten", "withdraw_item", "replace", "keep", "suspend", "expire", "approve", "withdraw")


@dataclass(frozen=True, kw_only=True)
class Body:
    """A company: who prepares for it, who decides for it; a request to it; and who supervises."""

    agent: Actor
    head: Actor
    supervisor: Actor
    ask: Ask


@pytest.fixture(scope="module")
def field(
    server_url: str | None, empty_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Arena, Body]]:
    with fresh_database(server_url, empty_template, tmp_path_factory.mktemp("wins")) as url:
        app = create_app(make_settings(url))
        with app.app_context():
            body = make_body(clock.now())
            with arena(url) as both:
                yield both, body
            db.session.remove()
            db.engine.dispose()


def make_body(now: dt.datetime) -> Body:
    company, agent, head = factories.company(now), factories.holder(now, factories.AGENT), factories.holder(now)
    items = [factories.item(now, item_id, ("value",)) for item_id in (NEEDED, WANTED)]
    factories.party(now)
    kinds = [HolderKind.LEGAL_ENTITY.value]
    row = factories.purpose(now, required=items[:1], optional=items[1:], kinds=kinds)
    mandates = [
        factories.mandate(company, agent, Capacity.AGENT, now),
        factories.mandate(company, head, Capacity.LEGAL_REPRESENTATIVE, now),
    ]
    first, second = (factories.actor(p, now, on_behalf_of=m) for p, m in zip((agent, head), mandates, strict=True))
    supervisor = factories.supervisor(factories.administrator(now), now)
    ask = factories.ask(row, now)
    db.session.commit()
    return Body(agent=first, head=second, supervisor=supervisor, ask=ask)


def change(_app: Flask, *, name: str, consent_id: str, body: Body) -> str:
    """Do it; the word says whether it was done or came too late."""
    try:
        _change(name, consent_id, body, clock.now())
        db.session.commit()
    except Conflict:
        db.session.rollback()
        return "too late"
    return "done"


def _change(name: str, consent_id: str, body: Body, now: dt.datetime) -> None:
    registry, head = factories.registry(), body.head
    if name == "shorten":
        amendments.shorten(consent_id, now + dt.timedelta(days=1), head, now, registry=registry)
    elif name == "withdraw_item":
        amendments.withdraw_item(consent_id, WANTED, head, now, registry=registry)
    elif name == "replace":
        choices = Choices(items=(NEEDED,), duration_days=7)
        lifecycle.replace(consent_id, body.ask, choices, head, factories.shown(now), now, registry=registry)
    elif name == "suspend":
        pauses.suspend(consent_id, body.supervisor, now, reason_code="fraud", text="x", registry=registry)
    elif name == "expire":
        endings.sweep(now + dt.timedelta(days=91), registry=registry)
    else:
        plain: dict[str, Any] = {
            "pause": pauses.pause, "resume": pauses.resume, "keep": reminders.keep, "approve": lifecycle.approve,
            "withdraw": endings.withdraw,
        }  # fmt: skip
        plain[name](consent_id, head, now, registry=registry)


def prepared(name: str, body: Body) -> str:
    """A consent in the state that the change is for."""
    now, registry = clock.now(), factories.registry()
    consent = factories.consent(body.ask, body.agent if name == "approve" else body.head, now)
    if name == "resume":
        pauses.pause(consent.consent_id, body.head, now, registry=registry)
    consent_id = consent.consent_id
    db.session.commit()
    return consent_id


def check_withdrawn(consent_id: str, outcomes: list[str], name: str) -> None:
    """It has ended for good, the history is whole, and what came too late has left nothing."""
    consent = db.session.get_one(Consent, consent_id, populate_existing=True)
    own = sa.select(ConsentEvent).filter_by(consent_id=consent_id).order_by(ConsentEvent.seq)
    events = list(db.session.scalars(own))
    assert [e.seq for e in events] == list(range(1, consent.last_seq + 1))
    assert all(after.previous_digest == before.digest for before, after in itertools.pairwise(events))
    assert fold([Event(e.kind) for e in events]) == consent.state
    assert consent.version == db.session.scalar(sa.select(sa.func.count()).select_from(ConsentVersion).filter_by(
        consent_id=consent_id))  # fmt: skip
    ended_by_time = name == "expire" and outcomes[0] == "too late"
    assert consent.state == ("expired" if ended_by_time else "withdrawn")
    assert events[-1].kind == (Event.EXPIRED if ended_by_time else Event.WITHDRAWN)
    db.session.rollback()


# A sweep passes by what is locked, so it never waits.
ORDERS = [(name, order) for order in ("as it comes", "both wait") for name in CHANGES]
ORDERS.remove(("expire", "both wait"))


@pytest.mark.parametrize(("name", "order"), ORDERS)
def test_withdrawal_wins(name: str, order: str, field: tuple[Arena, Body], server_url: str | None) -> None:
    both, body = field
    if order == "both wait" and server_url is None:
        pytest.skip("needs PostgreSQL: SQLite locks the database, not a row")
    for _trial in range(TRIALS if order == "as it comes" else 2):
        consent_id = prepared(name, body)
        jobs = [partial(change, name=n, consent_id=consent_id, body=body) for n in ("withdraw", name)]
        row = sa.select(Consent.consent_id).filter_by(consent_id=consent_id).with_for_update()
        outcomes = both.race(*jobs) if order == "as it comes" else both.race_past_a_lock(row, *jobs)
        if name == "withdraw":
            assert sorted(outcomes) == ["done", "too late"]
        elif name != "expire":
            assert outcomes[0] == "done"
        check_withdrawn(consent_id, outcomes, name)
