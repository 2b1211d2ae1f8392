"""Reads that the holder is told of later: only where the law says so, never later than it says, counted meanwhile."""

import datetime as dt
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from consent import archive_parts, powers, worker
from dataspace import accesses, by_law, clock, disclosure, lineage
from dataspace.accesses import Access
from dataspace.by_law import DeferredAccess, LawCase, LawDay
from dataspace.db import db
from dataspace.entries import WaitingEntry
from dataspace.messages import Message, Notice
from dataspace.spaces import Record
from tests import factories
from tests.consent.authority import Bureau
from tests.consent.third_party import LEFT_OUT

DAYS = 10
SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def bureau(app: Flask, client: FlaskClient) -> Bureau:
    return Bureau.opened(client, clock.now())


def the_case() -> LawCase:
    return db.session.scalars(select(LawCase).execution_options(populate_existing=True)).one()


def deadline() -> dt.datetime:
    until = the_case().hidden_until
    assert until is not None
    return until


def seen_by(bureau: Bureau) -> dict[str, Any]:
    """Everything that leads a holder to a line of the log."""
    space_id = bureau.person.space_id
    record = db.session.scalars(select(Record).filter_by(space_id=space_id)).one()
    return {
        "log": [line.outcome for line in accesses.log_of(space_id).rows],
        "recipients": len(lineage.recipients(record).lines),
        "messages": list(db.session.scalars(select(Message.kind).filter_by(space_id=space_id))),
        "archive": len(list(archive_parts._reads(space_id))),
    }


NOTHING = {"log": [], "recipients": 0, "messages": [], "archive": 0}


def test_it_is_nowhere_until_its_time_and_everywhere_then(bureau: Bureau) -> None:
    answer = bureau.tax.demands(defer_days=DAYS)
    assert answer.json["authorization_details"][0]["notice_at"] == int(deadline().timestamp())
    entries = db.session.scalar(select(func.count()).select_from(WaitingEntry)) or 0
    assert bureau.tax.read(answer.json["access_token"]).status_code == 200
    assert seen_by(bureau) == NOTHING
    assert db.session.scalar(select(func.count()).select_from(WaitingEntry)) == entries + 1, (
        "its entry is there at once"
    )
    worker.run_once(deadline() - SECOND, registry=factories.registry())
    assert seen_by(bureau) == NOTHING
    worker.run_once(deadline(), registry=factories.registry())
    assert seen_by(bureau) == {
        "log": ["answered"], "recipients": 1, "messages": [Notice.LAW_DISCLOSED], "archive": 1,
    }  # fmt: skip
    worker.run_once(deadline() + SECOND, registry=factories.registry())
    assert len(seen_by(bureau)["messages"]) == 1


def test_the_line_is_the_one_that_was_written(bureau: Bureau) -> None:
    """With its own moment, and the salt by which its entry is proven."""
    before = clock.now()
    bureau.tax.read(bureau.tax.token_for_case(defer_days=DAYS))
    kept = set(db.session.scalars(select(WaitingEntry.key)))
    delivery_id = db.session.scalars(select(DeferredAccess.delivery_id)).one() or ""
    to_its_recipient = accesses.entry_of(disclosure.received(delivery_id, "tax"))
    disclosure.sweep(deadline(), 10)
    line = db.session.scalars(select(Access)).one()
    assert before <= line.at <= clock.now()
    entry = accesses.entry_of(line)
    assert entry is not None
    assert entry == to_its_recipient
    assert entry.key in kept
    assert line.record_ids
    assert line.response_digest
    assert db.session.scalar(select(DeferredAccess)) is None


def test_it_is_counted_meanwhile(bureau: Bureau) -> None:
    token = bureau.tax.token_for_case(defer_days=DAYS)
    bureau.tax.read(token)
    bureau.tax.read(bureau.tax.token_for_case(case_no="税稽〔2026〕18号"))
    (month,) = by_law.months(clock.now() - dt.timedelta(days=40))
    assert (month.client_id, month.reads, month.hidden, month.refused) == ("tax", 2, 1, 0)


def test_without_the_law_it_is_never_hidden(app: Flask, client: FlaskClient) -> None:
    bureau = Bureau.opened(client, clock.now(), deferral=LEFT_OUT)
    assert bureau.tax.demands(defer_days=1).status_code == 400
    assert seen_by(bureau)["log"] == ["refused"], "nor is the attempt"
    assert db.session.scalar(select(LawCase)) is None


def test_nothing_moves_the_moment_away(bureau: Bureau) -> None:
    bureau.tax.read(bureau.tax.token_for_case(defer_days=DAYS))
    first = deadline()
    bureau.tax.token_for_case(defer_days=30)
    bureau.tax.read(bureau.tax.token_for_case())
    assert deadline() == first, "asked again, for longer or for nothing"
    powers.end(bureau.decision(), clock.now())
    db.session.commit()
    assert deadline() == first
    assert bureau.tax.demands(defer_days=30).status_code == 400
    assert seen_by(bureau) == NOTHING, "a refused attempt does not give the case away"
    disclosure.sweep(first, 10)
    assert seen_by(bureau)["log"] == ["refused", "answered", "answered"]


def test_a_case_of_which_the_holder_knows_is_not_hidden_afterwards(bureau: Bureau) -> None:
    bureau.tax.read(bureau.tax.token_for_case())
    assert bureau.tax.demands(defer_days=DAYS).status_code == 400
    bureau.tax.read(bureau.tax.token_for_case())
    assert seen_by(bureau)["log"] == ["answered", "refused", "answered"]


def test_after_its_time_a_case_is_shown_at_once(bureau: Bureau) -> None:
    token = bureau.tax.token_for_case(defer_days=DAYS)
    bureau.tax.read(token)
    case = the_case()
    case.hidden_until = clock.now()
    db.session.commit()
    bureau.tax.read(token)
    assert seen_by(bureau)["log"] == ["answered"], "the other one waits for the sweep"
    case.hidden_until = clock.now() + dt.timedelta(days=1)  # as if the clock were set back
    db.session.commit()
    bureau.tax.read(token)
    assert len(seen_by(bureau)["log"]) == 2


def test_refused_attempts_of_a_hidden_case_are_as_hidden(bureau: Bureau) -> None:
    token = bureau.tax.token_for_case(defer_days=DAYS)
    assert bureau.tax.read(token, "/api/v1/data/p.tax.income").status_code == 403
    assert bureau.tax.read(token, proof=LEFT_OUT, scheme="Bearer").status_code == 401
    assert seen_by(bureau) == NOTHING
    assert db.session.scalars(select(LawDay)).one().refused == 2
    disclosure.sweep(deadline(), 10)
    assert seen_by(bureau)["log"] == ["refused", "refused"]


def test_a_space_that_was_closed_meanwhile_has_its_lines_and_no_message(bureau: Bureau) -> None:
    bureau.tax.read(bureau.tax.token_for_case(defer_days=DAYS))
    bureau.person.closed_at = clock.now()
    db.session.commit()
    disclosure.sweep(deadline(), 10)
    assert seen_by(bureau) | {"archive": 0} == NOTHING | {"log": ["answered"], "recipients": 1}


def test_many_are_shown_in_parts(bureau: Bureau) -> None:
    token = bureau.tax.token_for_case(defer_days=DAYS)
    for _ in range(3):
        bureau.tax.read(token)
    assert [disclosure.sweep(deadline(), 2) for _ in range(3)] == [2, 1, 0]
    assert seen_by(bureau)["log"] == ["answered"] * 3
