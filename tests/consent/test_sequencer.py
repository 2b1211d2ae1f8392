"""The sequencer and proofs when there is much: how the databases go about it, and that the queue stays small."""

import datetime as dt
import os
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from consent import evidence, sequencer, worker
from dataspace import clock
from dataspace.db import db, table_of
from dataspace.entries import ENTRY, KEY, WaitingEntry
from tests import factories


def wait(count: int) -> None:
    rows = [{"key": os.urandom(KEY), "entry": os.urandom(ENTRY)} for _ in range(count)]
    db.session.execute(sa.insert(table_of(WaitingEntry)), rows)
    db.session.commit()


def sequence(now: dt.datetime | None = None) -> int:
    return worker.sequence(now or clock.now(), registry=factories.registry())


@pytest.fixture
def postgresql(app: Flask) -> None:
    if db.engine.dialect.name != "postgresql":
        pytest.skip("SQLite makes no plans from statistics")


def test_a_backlog_is_taken_whole(app: Flask) -> None:
    wait(2 * sequencer.BATCH + 1)
    assert sequence() == 2 * sequencer.BATCH + 1
    assert evidence.head().size == 2 * sequencer.BATCH + 1
    assert sequence() == 0


def test_a_backlog_after_a_quiet_night_is_taken_by_the_index(postgresql: None) -> None:
    """What PostgreSQL knows of the queue is that it is empty: no plan that is good for nothing else may follow."""
    wait(10)
    sequence()
    sequencer.tidy()
    wait(500)
    plans = []

    def explain(_link: Any, cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if "DELETE FROM evidence_waiting" in statement:
            cursor.execute(f"EXPLAIN {statement}", parameters)
            plans.extend(line for (line,) in cursor.fetchall())

    sa.event.listen(db.engine, "before_cursor_execute", explain)
    assert sequence() == 500
    sa.event.remove(db.engine, "before_cursor_execute", explain)
    assert any("Index" in line for line in plans), plans
    assert not any("Join" in line or "Nested" in line for line in plans), plans


def test_room_that_was_taken_is_used_again(postgresql: None) -> None:
    sizes = []
    for _ in range(4):
        wait(sequencer.BATCH + 1)
        assert sequence() == sequencer.BATCH + 1
        sizes.append(db.session.scalar(sa.text("SELECT pg_relation_size('evidence_waiting')")))
        db.session.rollback()
    assert sizes[-1] == sizes[1], sizes


def test_tiles_are_read_by_the_index(app: Flask) -> None:
    """However large the log is, a proof reads a few of them. PostgreSQL reads a small table as it likes."""
    wait(600)
    sequence()
    plans = []

    def explain(_link: Any, cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if "FROM evidence_tiles" in statement and db.engine.dialect.name == "sqlite":
            plans.extend(str(row) for row in cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

    sa.event.listen(db.engine, "before_cursor_execute", explain)
    proof = evidence.proof_at(300, evidence.head())
    sa.event.remove(db.engine, "before_cursor_execute", explain)
    assert len(proof.hashes) == 10
    looked = [plan for plan in plans if "evidence_tiles" in plan]
    assert all("SEARCH" in plan and "number=?" in plan for plan in looked), plans  # not only by the log, or the level
    assert looked or db.engine.dialect.name == "postgresql"
