"""The log of evidence as it grows: entries a second, time of proofs, memory, at several sizes.

Entries are put there in portions as they would wait after a busy second, taken in as the worker does it, and counted.
At every mark the proofs of entries from all over the log are made and timed, each as a stranger's request makes it.
"""

import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import sqlalchemy as sa

from consent import evidence, worker
from consent.web.context import registry
from dataspace import clock
from dataspace.db import db
from dataspace.entries import ENTRY, KEY, MOMENT, Entry, WaitingEntry

PORTION = 20_480  # entries that wait together: five turns of the sequencer
MARKS = (0.01, 0.1, 0.25, 0.5, 1.0)  # of all entries
SAMPLE, ROUNDS = 500, 4  # proofs at each mark; of their work the least is told, for a busy processor is a slow one
COLUMNS = (
    "database", "entries", "integrated/s", "per CPU second", "proof p50 / p95 / p99 ms", "of it work ms",
    "consistency p50 ms", "MB",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What was measured since the mark before, and at this one. Times in milliseconds."""

    size: int
    integrated: float  # entries a second, in the sequencer
    per_cpu: float  # entries a second of work, ours and the database's: what a machine with nothing else to do gives
    proofs: list[float]
    work: float  # CPU milliseconds of a proof, ours and the database's
    consistency: list[float]
    memory: float  # MB, of the process

    def line(self, database: str) -> str:
        """One line of the Markdown table."""
        p50, p95, p99 = (_percentile(self.proofs, p) for p in (0.5, 0.95, 0.99))
        return (
            f"| {database} | {self.size} | {self.integrated:.0f} | {self.per_cpu:.0f} | "
            f"{p50:.2f} / {p95:.2f} / {p99:.2f} | {self.work:.2f} | {_percentile(self.consistency, 0.5):.2f} | "
            f"{self.memory:.0f} |"
        )


def head() -> str:
    """The first lines of the table."""
    return f"\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


def grow(count: int) -> Iterator[Mark]:
    """Let the log grow to ``count`` entries, in the application context of a database of its own."""
    marks = [int(share * count) for share in MARKS]
    keys: list[bytes] = []
    with click.progressbar(length=count, label="Growing the log") as bar:
        size, since, worked, cpu = 0, 0, 0.0, 0.0
        while size < count:
            portion = min(PORTION, count - size)
            keys += _wait(portion, every=max(1, count // (10 * SAMPLE)))
            took, computed = _take_in()
            worked, cpu, size = worked + took, cpu + computed, size + portion
            bar.update(portion)
            if size >= marks[0]:
                grown = size - since
                yield _mark(size, keys, integrated=grown / worked, per_cpu=grown / cpu)
                marks = [mark for mark in marks if mark > size]
                since, worked, cpu = size, 0.0, 0.0


def _wait(count: int, *, every: int) -> list[bytes]:
    """Let so many wait, all at once; some of their keys, one out of ``every``."""
    at, table = int(time.time() * 1000).to_bytes(MOMENT, "big"), WaitingEntry.__tablename__
    rows = [(at + os.urandom(KEY - MOMENT), os.urandom(ENTRY)) for _ in range(count)]
    # Not what is measured: so it takes the quickest way there is.
    cursor = db.session.connection().connection.cursor()
    if db.engine.dialect.name == "postgresql":
        with cursor.copy(f"COPY {table} (key, entry) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    else:
        cursor.executemany(f"INSERT INTO {table} (key, entry) VALUES (?, ?)", rows)
    cursor.close()
    db.session.commit()
    return [key for key, _entry in rows[::every]]


def _take_in() -> tuple[float, float]:
    """Take in what waits, as the worker does; how many seconds that took, and how many of them were work."""
    began, computed = time.perf_counter(), _computed()
    worker.sequence(clock.now(), registry=registry())
    return time.perf_counter() - began, _computed() - computed


def _computed() -> float:
    """CPU seconds so far, of this process and of the server process that serves it."""
    ours = time.process_time()
    if db.engine.dialect.name != "postgresql":
        return ours
    backend = db.session.scalar(sa.text("SELECT pg_backend_pid()"))
    db.session.rollback()
    # User and system time, counted after the name, which may have anything in it (proc_pid_stat(5)).
    times = Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()[11:13]
    return ours + sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


def _mark(size: int, keys: list[bytes], *, integrated: float, per_cpu: float) -> Mark:
    earlier = [random.randrange(1, size) for _ in range(SAMPLE // 10)]
    proofs, work = [], []
    for _ in range(ROUNDS):
        entries = [Entry(statement={}, salt=b"", key=key, digest=b"") for key in random.choices(keys, k=SAMPLE)]
        computed = _computed()
        proofs += [_timed(partial(evidence.proof_of, entry)) for entry in entries]
        work.append(1000 * (_computed() - computed) / SAMPLE)
    return Mark(
        size=size,
        integrated=integrated,
        per_cpu=per_cpu,
        proofs=proofs,
        work=min(work),
        consistency=[_timed(partial(evidence.consistency, old, size)) for old in earlier],
        memory=_memory(),
    )


def _timed(make: Callable[[], object]) -> float:
    began = time.perf_counter()
    make()
    took = time.perf_counter() - began
    db.session.rollback()
    return took * 1000


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _memory() -> float:
    """Resident memory of this process, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
