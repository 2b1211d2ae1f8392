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
from dataspace.errors import InvalidFile
from dataspace.sources import formats, lines
from dataspace.sources.formats import Format, Parsed
from dataspace.sources.receiving import Reception
from dataspace.sources.storing import Outcome, Verdict

BATCH = 1000  # records of one transaction
BATCH_BYTES = 4 * 1024 * 1024  # or so much of the file: memory stays flat whatever the lines are
_SAMPLED = 1024 * 1024
SUFFIXES = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}


class Import(Model):
    """One file of one source. ``position``: the byte at which line ``line`` begins, where the next batch begins.

    ``fingerprint``: SHA-256 over the size and the beginning of the file, by which it is known again.
    """

    __tablename__ = "imports"
    __table_args__ = (Index(None, "source_id", "fingerprint"),)
    import_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    source_id: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(200))
    fingerprint: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    position: Mapped[int] = mapped_column(BigInteger, default=0)
    line: Mapped[int] = mapped_column(BigInteger, default=1)
    received: Mapped[int] = mapped_column(default=0)
    changed: Mapped[int] = mapped_column(default=0)
    unchanged: Mapped[int] = mapped_column(default=0)
    rejected: Mapped[int] = mapped_column(default=0)
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


def begin(stream: BinaryIO, name: str, source_id: str, now: dt.datetime) -> Import:
    """The unfinished import of this file, to go on with, or a new one."""
    size, fingerprint = _fingerprint(stream)
    found = db.session.scalar(
        select(Import)
        .filter_by(source_id=source_id, fingerprint=fingerprint, finished_at=None)
        .order_by(Import.started_at.desc())
        .limit(1)
    )
    if found is None:
        found = Import(
            import_id=new_id("imp"), source_id=source_id, name=name[-200:], fingerprint=fingerprint, size=size,
            position=0, line=1, received=0, changed=0, unchanged=0, rejected=0, started_at=now,
        )  # fmt: skip
        db.session.add(found)
        db.session.flush()
    return found


def run(stream: BinaryIO, import_id: str, manner: Manner, reception: Reception, now: dt.datetime) -> Iterator[Settled]:
    """Bring in what is left of a file; the caller commits after each batch. Raises InvalidFile before the first."""
    start = db.session.get_one(Import, import_id)
    reader = _reader(stream, manner, reception)
    rest = lines.read(stream, start=start.position, number=start.line)
    for batch in batches(reader.parse(rest)):
        verdicts = reception.take([parsed.entry for parsed in batch], now)
        state = db.session.get_one(Import, import_id)
        _count(state, verdicts)
        state.position, state.line = batch[-1].next_start, batch[-1].next_number
        yield Settled(position=state.position, rejected=[v for v in verdicts if v.outcome == Outcome.REJECTED])
    state = db.session.get_one(Import, import_id)
    state.finished_at = now
    yield Settled(position=state.size, rejected=[])


def _reader(stream: BinaryIO, manner: Manner, reception: Reception) -> Format:
    if manner.item_id and manner.item_id not in reception.checker.items:
        raise InvalidFile([f"{manner.item_id} is no item of this source"])
    if manner.kind == "ndjson":
        return formats.Ndjson(manner.encoding)
    header = formats.header_of(lines.read(stream))
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


def _fingerprint(stream: BinaryIO) -> tuple[int, str]:
    size = stream.seek(0, 2)
    stream.seek(0)
    return size, hashlib.sha256(b"%d:" % size + stream.read(_SAMPLED)).hexdigest()
