"""A file brought in batches: each a transaction of its own that also writes down where the next one begins.

Whatever stops an import, the same file goes on from there; brought again from the beginning, it changes nothing.
"""

import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import BigInteger, Index, String, select
from sqlalchemy.orm import Mapped, mapped_column

from dataspace.db import Model, db, new_id
from dataspace.errors import Conflict, InvalidFile
from dataspace.sources import formats, lines
from dataspace.sources.formats import Format, Parsed
from dataspace.sources.receiving import Reception
from dataspace.sources.storing import Outcome, Verdict

BATCH = 1000  # records of one transaction
BATCH_BYTES = 4 * 1024 * 1024  # or so much of the file: memory stays flat whatever the lines are
_PORTION = 1024 * 1024
SUFFIXES = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}


class Import(Model):
    """One file of one source. ``position``: the byte at which line ``line`` begins, where the next batch begins.

    ``digest``: of what was read up to there (:class:`Reading`), by which it is known again.
    """

    __tablename__ = "imports"
    __table_args__ = (Index(None, "source_id", "name"),)
    import_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    source_id: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(200))
    digest: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    position: Mapped[int] = mapped_column(BigInteger)
    line: Mapped[int] = mapped_column(BigInteger)
    received: Mapped[int]
    changed: Mapped[int]
    unchanged: Mapped[int]
    rejected: Mapped[int]
    started_at: Mapped[dt.datetime]
    finished_at: Mapped[dt.datetime | None]


@dataclass(frozen=True, kw_only=True)
class Settled:
    """One batch, to be committed: how far into the file it reaches, and which lines were rejected."""

    position: int
    rejected: list[Verdict]


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a file is read: csv or ndjson, its encoding, and what its lines are about if no column says it."""

    kind: str
    encoding: str = "utf-8"
    item_id: str = ""

    @classmethod
    def of(cls, path: Path, *, encoding: str = "utf-8", item_id: str = "") -> "Manner":
        """By the end of the name. Raises InvalidFile."""
        kind = SUFFIXES.get(path.suffix.lower())
        if kind is None:
            raise InvalidFile([f"{path.name}: the name must end in {', '.join(SUFFIXES)}"])
        return cls(kind=kind, encoding=encoding, item_id=item_id)


class Reading:
    """A file that is read in one manner: what of it was read is known again by a running digest."""

    def __init__(self, stream: BinaryIO, manner: Manner) -> None:
        self.stream, self.manner = stream, manner
        self.size = stream.seek(0, 2)
        self._begin()

    def _begin(self) -> None:
        self._read = 0
        self._digest = hashlib.sha256(f"{self.manner}\n".encode())

    def digest(self, position: int) -> str:
        """SHA-256 over the manner and the bytes up to ``position``; reads only those that it has not read yet."""
        if position < self._read:
            self._begin()
        here = self.stream.tell()
        self.stream.seek(self._read)
        while portion := self.stream.read(min(_PORTION, position - self._read)):
            self._digest.update(portion)
            self._read += len(portion)
        self.stream.seek(here)
        return self._digest.hexdigest()


def begin(reading: Reading, name: str, source_id: str, now: dt.datetime) -> tuple[Import, int]:
    """The import of this file, to go on with, and the line before which an earlier run of this name has stopped, or 1.

    It goes on there if the file is the same up to there and is read in the same manner, and else begins at line 1.
    """
    name = name[-200:]
    found = db.session.scalar(
        select(Import)
        .filter_by(source_id=source_id, name=name, finished_at=None)
        .order_by(Import.started_at.desc(), Import.import_id)
        .limit(1)
    )
    state = found or Import(import_id=new_id("imp"), source_id=source_id, name=name, line=1, digest="")
    stopped = state.line
    if state.digest != reading.digest(state.position or 0):
        state.position, state.line, state.digest, state.started_at = 0, 1, reading.digest(0), now
        state.received = state.changed = state.unchanged = state.rejected = 0
    state.size = reading.size
    db.session.add(state)
    db.session.flush()
    return state, stopped


def run(reading: Reading, import_id: str, reception: Reception, now: dt.datetime) -> Iterator[Settled]:
    """Bring in what is left of a file; the caller commits after each batch. Raises InvalidFile before the first.

    Raises Conflict when another run brings it in at the same time.
    """
    start = db.session.get_one(Import, import_id)
    position = start.position
    reader = _reader(reading, reception)
    rest = lines.read(reading.stream, start=position, number=start.line)
    for batch in batches(reader.parse(rest)):
        verdicts = reception.take([parsed.entry for parsed in batch], now)
        state = db.session.get_one(Import, import_id)
        if state.position != position:
            raise Conflict("another run brings in this file at the same time")
        _count(state, verdicts)
        position = state.position = batch[-1].next_start
        state.line, state.digest = batch[-1].next_number, reading.digest(position)
        yield Settled(position=position, rejected=[v for v in verdicts if v.outcome == Outcome.REJECTED])
    state = db.session.get_one(Import, import_id)
    state.finished_at = now
    yield Settled(position=state.size, rejected=[])


def _reader(reading: Reading, reception: Reception) -> Format:
    manner = reading.manner
    if manner.item_id and manner.item_id not in reception.checker.items:
        raise InvalidFile([f"{manner.item_id} is no item of this source"])
    if manner.kind == "ndjson":
        return formats.Ndjson(manner.encoding)
    header = formats.header_of(lines.read(reading.stream))
    return formats.Csv(header, dict(reception.checker.items), manner.item_id, manner.encoding)


def batches(parsed: Iterator[Parsed]) -> Iterator[list[Parsed]]:
    """Entries in portions of one transaction each."""
    batch: list[Parsed] = []
    begun = 0
    for entry in parsed:
        batch.append(entry)
        if len(batch) >= BATCH or entry.next_start - begun >= BATCH_BYTES:
            yield batch
            batch, begun = [], entry.next_start
    if batch:
        yield batch


def _count(state: Import, verdicts: list[Verdict]) -> None:
    found = Counter(verdict.outcome for verdict in verdicts)
    state.received += len(verdicts)
    state.changed += found[Outcome.ADDED] + found[Outcome.CORRECTED]
    state.unchanged += found[Outcome.UNCHANGED] + found[Outcome.CONFIRMED]
    state.rejected += found[Outcome.REJECTED]
