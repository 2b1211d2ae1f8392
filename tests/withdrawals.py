"""Withdrawing and reading at the same moment, thousands of times: what each process of that race does.

The processes agree by a board, a file that all of them map: who has read what, and when which withdrawal was confirmed.
The moments are of the monotonic clock, which is one for all processes of a machine.
"""

import datetime as dt
import mmap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flask import Flask

from consent import endings
from consent.asks import Ask
from dataspace import clock
from dataspace.db import db
from dataspace.mandates import Actor
from dataspace.permission import ReadRefused
from tests import factories
from tests.consent import reading

READERS = 2
BREATH = 0.002  # seconds between two looks or reads, so that the processes do not take the cores from each other
PATIENCE = dt.timedelta(seconds=200)  # a little less than that of the arena, which then tells what was raised
BEGUN, CONFIRMED, READ = 0, 1, 2  # rows of the board; from the last on there is one for each reader


@dataclass(frozen=True)
class Trial:
    """A consent that will be withdrawn, and a token for it."""

    consent_id: str
    token: str


@dataclass(frozen=True)
class Read:
    """One read: of which trial, when (nanoseconds), and why it was refused, empty if it was answered."""

    trial: int
    started: int
    ended: int
    refused: str


@dataclass(frozen=True)
class Board:
    """A table of moments, zero where nothing has happened yet: a row for each kind, a column for each trial."""

    path: Path
    trials: int

    def wipe(self) -> None:
        self.path.write_bytes(bytes(8 * self.trials * (READ + READERS)))

    @contextmanager
    def rows(self) -> Iterator[list[memoryview]]:
        with self.path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as shared, memoryview(shared) as raw:
            cells = raw.cast("q")
            rows = [cells[n * self.trials : (n + 1) * self.trials] for n in range(READ + READERS)]
            try:
                yield rows
            finally:
                for view in (*rows, cells):
                    view.release()


def prepare(_app: Flask, *, trials: int, ask: Ask, actor: Actor) -> list[Trial]:
    """Consents with a token each."""
    found = []
    for _ in range(trials):
        now = clock.now()
        consent = factories.consent(ask, actor, now)
        found.append(Trial(consent.consent_id, reading.token_for(consent, now)))
        db.session.commit()
    return found


def withdraw_each(app: Flask, *, trials: list[Trial], board: Board, actor: Actor) -> None:
    """Withdraw each one as soon as every reader has read it once and goes on reading."""
    with board.rows() as rows:
        for n, trial in enumerate(trials):
            late = time.monotonic() + PATIENCE.total_seconds()
            while not all(row[n] for row in rows[READ:]):
                assert time.monotonic() < late, "a reader has stopped"
                time.sleep(BREATH)
            rows[BEGUN][n] = time.monotonic_ns()
            with app.app_context():
                endings.withdraw(trial.consent_id, actor, clock.now(), registry=factories.registry())
                db.session.commit()
            rows[CONFIRMED][n] = time.monotonic_ns()


def read_each(app: Flask, *, trials: list[Trial], board: Board, reader: int) -> list[Read]:
    """Read each one again and again, the last time after the withdrawal is known to be confirmed."""
    reads = []
    with board.rows() as rows:
        for n, trial in enumerate(trials):
            late = time.monotonic() + PATIENCE.total_seconds()
            confirmed = False
            while not confirmed:
                assert time.monotonic() < late, "the withdrawal has stopped"
                confirmed = rows[CONFIRMED][n] != 0
                reads.append(read_once(app, n, trial))
                rows[READ + reader][n] = reads[-1].ended
                time.sleep(BREATH)
    return reads


def read_once(app: Flask, number: int, trial: Trial) -> Read:
    """As a worker of the server does: a context and a session of its own."""
    started, refused = time.monotonic_ns(), ""
    with app.app_context():
        try:
            reading.read(trial.token, None, clock.now())
        except ReadRefused as error:
            refused = error.reason
    return Read(number, started, time.monotonic_ns(), refused)
