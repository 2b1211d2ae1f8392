"""A sequencer that is killed at one step after the other, as many times as asked; what is left is read after each kill.

    python -m tests.killing DATABASE_URL FOLDER KILLS

A program of its own, because only a process without threads may be forked. The child ends without any farewell in the
middle of its work: before or after any statement, before a commit, at any step of writing a file. What it leaves is
read by ``verifier/verify_log.py``, which shares no code with it. Prints what it has seen; fails with the first loss.
"""

import datetime as dt
import os
import random
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import verify_log
from flask import Flask

from consent import evidence, worker
from consent.log_files import LogFiles
from consent.merkle import Tile
from dataspace import clock, entries
from dataspace.db import db
from dataspace.entries import Entry, WaitingEntry
from dataspace.errors import NotFound
from tests import factories
from tests.conftest import make_settings
from wsgi import create_app

KILLED = 9


@dataclass
class Watch:
    """What strangers have seen of the log, and what has been promised to be in it."""

    folder: Path
    appended: set[bytes] = field(default_factory=set)
    heads: list[verify_log.Head] = field(default_factory=list)
    published: list[verify_log.Head] = field(default_factory=list)  # those of the files, which come after the database
    known: list[bytes] = field(default_factory=list)  # entries, in their order

    def append(self, count: int) -> None:
        """Something happens, and is acknowledged by the commit. The clock goes wrong now and then."""
        now = clock.now() + dt.timedelta(days=random.choice([0, 0, 0, -400, 30]))
        for _ in range(count):
            entry = Entry.new("access", now, delivery_id=secrets.token_hex(8))
            entries.append(entry)
            self.appended.add(entry.digest)
        db.session.commit()

    def look(self) -> None:
        """Read everything that can be read, as a stranger does. Raises whatever does not hold."""
        key = evidence.head().verifier
        head, found = verify_log.check_log(served, key, self.heads)
        waiting = {bytes(entry) for entry in db.session.scalars(sa.select(WaitingEntry.entry))}
        assert found[: len(self.known)] == self.known, "an entry has moved"
        assert len(set(found)) == len(found), "an entry is there twice"
        assert not waiting & set(found), "an entry is in the log and waits for it"
        assert not self.appended - waiting - set(found), "an entry is lost"
        assert not (waiting | set(found)) - self.appended, "an entry is there that was never acknowledged"
        self.known = found
        self._see(head)
        if (self.folder / "checkpoint").exists():
            published, _entries = verify_log.check_log(verify_log.fetch_from(str(self.folder)), key, self.published)
            self._see(published)
            self.published.append(published)
        db.session.rollback()

    def _see(self, head: verify_log.Head) -> None:
        for other in self.heads:
            assert other.size != head.size or other.root == head.root, "two checkpoints disagree"
        if head not in self.heads:
            self.heads.append(head)


def served(path: str) -> bytes:
    """As ``/log`` serves it."""
    if path == "checkpoint":
        return evidence.head().note
    _tile, level, where = path.split("/", 2)
    tile = Tile.at(level, where)
    if tile is None:
        raise NotFound(path)
    return evidence.content_of(tile)


def steps(folder: Path, step: Callable[[], None]) -> None:
    """Call ``step`` at each step of this process from now on: statements, commits, and what is done to files."""
    engine = db.engine
    for name in ("before_cursor_execute", "after_cursor_execute"):
        sa.event.listen(engine, name, lambda *_arguments: step())
    sa.event.listen(engine, "commit", lambda _connection: step())

    def audit(name: str, arguments: tuple[Any, ...]) -> None:
        touches = name in ("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove")
        if touches and str(arguments[0]).startswith(str(folder)):
            step()

    sys.addaudithook(audit)


def child(work: Callable[[], None]) -> int:
    """Run in a process of its own; its exit status, or minus the signal that has ended it."""
    db.session.remove()
    db.engine.dispose()
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def sequence(folder: Path) -> None:
    worker.sequence(clock.now(), registry=factories.registry(), files=LogFiles(folder))


def killed_at(number: int, folder: Path) -> None:
    """Work until step ``number``."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        if count == number:
            os._exit(KILLED)

    steps(folder, step)
    sequence(folder)
    os._exit(0)


def killed_anywhere(folder: Path) -> None:
    """Work until the operating system ends it."""
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.001, 0.03))
    while True:
        sequence(folder)
        entries.append(Entry.new("other", clock.now()))  # never committed: something to lose
        db.session.rollback()


def rounds(watch: Watch, kills: int) -> Iterator[int]:
    """Kill ``kills`` times, each time one step later, until a turn is over; then begin anew."""
    number = done = 0
    while done < kills:
        if number == 0:
            watch.append(random.choice([1, 2, 60, 200, 256, 300]))
        number += 1
        if done % 8 == 7:
            status, wanted = child(lambda: killed_anywhere(watch.folder)), -signal.SIGALRM
        else:
            status, wanted = child(lambda at=number: killed_at(at, watch.folder)), KILLED  # type: ignore[misc]
        assert status in (wanted, 0), status
        number = 0 if status == 0 else number
        done += status != 0
        watch.look()
        yield done


def main(url: str, folder: str, kills: str) -> None:
    seed = int(os.environ.get("SEED", time.time_ns()))
    print("SEED", seed)
    random.seed(seed)
    app: Flask = create_app(make_settings(url))
    with app.app_context():
        watch = Watch(Path(folder))
        evidence.create(evidence.origin_of(factories.registry().issuer), clock.now(), factories.registry().vault)
        db.session.commit()
        for done in rounds(watch, int(kills)):
            if done % 100 == 0:
                watch.append(1)
        sequence(watch.folder)
        watch.look()
        assert set(watch.known) == watch.appended
        assert (watch.folder / "checkpoint").read_bytes() == evidence.head().note
        print(f"{kills} kills, {len(watch.known)} entries, {len(watch.heads)} checkpoints")


if __name__ == "__main__":
    main(*sys.argv[1:])
