"""Server processes on one database, two if nothing else is said, that are let go at the same moment.

Each has an application of its own, as the workers of a real server have. A job is something picklable that takes the
application: a :class:`Request`, or a function of a test module. Nothing here waits for a time to pass.
"""

import multiprocessing
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from typing import Any

import sqlalchemy as sa
from flask import Flask

from dataspace.db import db
from tests.conftest import make_settings
from wsgi import create_app

RACERS = 2
PATIENCE = 240.0  # seconds until a racer that does not answer is called dead
Job = Callable[[Flask], Any]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back over HTTP."""

    status: int
    body: Any
    location: str | None


@dataclass(frozen=True, kw_only=True)
class Request:
    """One HTTP request, prepared."""

    method: str
    path: str
    data: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, app: Flask) -> Answer:
        client = app.test_client(use_cookies=False)
        found = client.open(self.path, method=self.method, data=dict(self.data), headers=dict(self.headers))
        return Answer(status=found.status_code, body=found.get_json(silent=True), location=found.location)


@dataclass(frozen=True)
class Failure:
    """A job that raised."""

    text: str


@dataclass
class Arena:
    """``race`` gives one job to each process and tells what each has answered, in the order of the jobs."""

    pipes: list[Connection]

    def race(self, *jobs: Job) -> list[Any]:
        self._start(jobs)
        return self._finish(jobs)

    def race_past_a_lock(self, lock: sa.Executable, *jobs: Job) -> list[Any]:
        """Hold a row until every job waits for it, then let go: each has looked before any of them has written."""
        with db.engine.connect() as holder:
            holder.execute(lock)
            self._start(jobs)
            with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watcher:
                while watcher.scalar(_WAITING) < len(jobs):
                    assert not any(pipe.poll() for pipe in self.pipes), "a job does not pass by this lock"
            holder.rollback()
        return self._finish(jobs)

    def _start(self, jobs: tuple[Job, ...]) -> None:
        assert len(jobs) == len(self.pipes)
        db.session.rollback()  # no lock of ours stands in the way
        for pipe, job in zip(self.pipes, jobs, strict=True):
            pipe.send(job)

    def _finish(self, jobs: tuple[Job, ...]) -> list[Any]:
        answers = []
        for pipe, job in zip(self.pipes, jobs, strict=True):
            assert pipe.poll(PATIENCE), f"no answer to {job}"
            answers.append(pipe.recv())
        broken = [answer.text for answer in answers if isinstance(answer, Failure)]
        assert not broken, "\n".join(broken)
        return answers


_WAITING = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@contextmanager
def arena(database_url: str, racers: int = RACERS) -> Iterator[Arena]:
    """The processes, started and warm."""
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(racers, timeout=PATIENCE)
    pipes: list[Connection] = []
    processes: list[BaseProcess] = []
    for _ in range(racers):
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=_run, args=(database_url, theirs, barrier), daemon=True)
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    try:
        for pipe in pipes:
            assert pipe.poll(PATIENCE), "a process did not start"
            pipe.recv()
        yield Arena(pipes)
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join(5)
            process.kill()


def _run(database_url: str, pipe: Connection, barrier: Barrier) -> None:
    """A racer: every job it receives starts when the others have received theirs."""
    app = create_app(make_settings(database_url))
    # Everything that is built at the first request is built now, so that a race is not about who imports faster.
    app.test_client().get("/oauth/jwks")
    pipe.send("ready")
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        barrier.wait()
        try:
            with app.app_context():
                answer = job(app)
        except Exception:  # noqa: BLE001 - told to the test, which fails
            answer = Failure(traceback.format_exc())
        pipe.send(answer)
