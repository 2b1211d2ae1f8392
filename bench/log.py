"""The log of evidence as it grows: entries a second, time of proofs, memory, at several sizes.

Entries are made in portions as they would wait after a busy second, taken in as the worker does it, and counted. At
every mark the proofs of entries from all over the log are made and timed, each as a stranger's request makes it.
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

from consent import evidence, sequencer
from dataspace import clock
from dataspace.db import db, table_of
from dataspace.entries import ENTRY, KEY, MOMENT, Entry, WaitingEntry
from dataspace.web.shell import services

PORTION = 20_480  # entries that wait together: five turns of the sequencer
MARKS = (0.01, 0.1, 0.25, 0.5, 1.0)  # of all entries
SAMPLE = 2000  # proofs at each mark
COLUMNS = (
    "database", "entries", "integrated/s", "per CPU second", "with appending", "proof p50 / p95 / p99 ms",
    "consistency p50 ms", "MB",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What was measured since the mark before, and at this one. Times in milliseconds."""

    size: int
    integrated: float  # entries a second, in the sequencer
    per_cpu: float  # entries a second of work, ours and the database's: what a machine with nothing else to do gives
    appended: float  # entries a second, appending included
    proofs: list[float]
    consistency: list[float]
    memory: float  # MB, of the process

    def line(self, database: str) -> str:
        """One line of the Markdown table."""
        p50, p95, p99 = (_percentile(self.proofs, p) for p in (0.5, 0.95, 0.99))
        return (
            f"| {database} | {self.size} | {self.integrated:.0f} | {self.per_cpu:.0f} | {self.appended:.0f} | "
            f"{p50:.2f} / {p95:.2f} / {p99:.2f} | {_percentile(self.consistency, 0.5):.2f} | {self.memory:.0f} |"
        )


def head() -> str:
    """The first lines of the table."""
    return f"\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


def grow(count: int) -> Iterator[Mark]:
    """Let the log grow to ``count`` entries, in the application context of a database of its own."""
    evidence.create("localhost/log", clock.now(), services().vault)
    db.session.commit()
    marks = [int(share * count) for share in MARKS]
    keys: list[bytes] = []
    with click.progressbar(length=count, label="Growing the log") as bar:
        size, since, began, worked, cpu = 0, 0, time.perf_counter(), 0.0, 0.0
        while size < count:
            portion = min(PORTION, count - size)
            keys += _append(portion, every=max(1, count // (10 * SAMPLE)))
            took, computed = _take_in()
            worked, cpu, size = worked + took, cpu + computed, size + portion
            bar.update(portion)
            if size >= marks[0]:
                took, grown = time.perf_counter() - began, size - since
                yield _mark(size, keys, integrated=grown / worked, per_cpu=grown / cpu, appended=grown / took)
                marks = [mark for mark in marks if mark > size]
                since, began, worked, cpu = size, time.perf_counter(), 0.0, 0.0


def _append(count: int, *, every: int) -> list[bytes]:
    """Let so many wait; some of their keys, one out of ``every``."""
    at = int(time.time() * 1000).to_bytes(MOMENT, "big")
    rows = [{"key": at + os.urandom(KEY - MOMENT), "entry": os.urandom(ENTRY)} for _ in range(count)]
    db.session.execute(sa.insert(table_of(WaitingEntry)), rows)
    db.session.commit()
    return [row["key"] for row in rows[::every]]


def _take_in() -> tuple[float, float]:
    """Take in what waits, as the worker does; how many seconds that took, and how many of them were work."""
    began, computed = time.perf_counter(), _computed()
    while sequencer.integrate(clock.now(), vault=services().vault) == sequencer.BATCH:
        db.session.commit()
    db.session.commit()
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


def _mark(size: int, keys: list[bytes], *, integrated: float, per_cpu: float, appended: float) -> Mark:
    entries = [Entry(statement={}, salt=b"", key=key, digest=b"") for key in random.choices(keys, k=SAMPLE)]
    earlier = [random.randrange(1, size) for _ in range(SAMPLE // 10)]
    return Mark(
        size=size,
        integrated=integrated,
        per_cpu=per_cpu,
        appended=appended,
        proofs=[_timed(partial(evidence.proof_of, entry)) for entry in entries],
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
