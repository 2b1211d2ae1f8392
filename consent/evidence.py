"""The log of evidence: one Merkle tree over everything that has to be provable later, its head signed.

What is to be proven waits in :mod:`dataspace.entries`; :mod:`consent.sequencer` takes it into the log once, in any
order. Tiles, positions and the signed head of the tree are rows of one database and change in one transaction, so that
there is no moment at which a crash could leave a head without its tiles, or two heads that disagree. Tiles only ever
grow at their end: every partial tile that a reader may ask for is the beginning of a row.

A log may be ended and another begun (:mod:`consent.log_change`). One at a time grows; those before it stay as they are.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import BigInteger, LargeBinary, SmallInteger, String, func, select, union_all
from sqlalchemy.orm import Mapped, mapped_column

from consent import merkle, notes
from consent.merkle import ENTRIES, SIZE, Tile
from consent.notes import Checkpoint, Note, Signer, Verifier
from dataspace import jwk
from dataspace.db import Model, connection, insert_new, table_of
from dataspace.entries import ENTRY as ENTRY_BYTES
from dataspace.entries import KEY, Entry, WaitingEntry, first_waiting, seconds_since
from dataspace.errors import DomainError, NotFound
from dataspace.rewrapping import Wrapped
from dataspace.vault import Vault

FIRST = 1  # the number of the log that has none in its name
MANY = 100_000  # as far as what waits is counted when somebody looks
PROOF = "c2sp.org/tlog-proof@v1"
FRAME = 2 + ENTRY_BYTES  # bytes of an entry in a bundle: all entries are of one length


class LogBroken(DomainError):
    """What is stored does not lead to what was signed: nothing is signed until somebody has looked."""

    code = "log_broken"
    sentence = "The log of proofs has stopped: it does not continue what was signed before."
    status = 503


class NotYet(NotFound):
    """It is in no checkpoint yet, or there is nothing of the kind."""

    code = "no_proof_yet"
    sentence = "There is no proof yet. It comes within seconds."


class EvidenceLog(Model):
    """A log. ``origin``: its name for ever, and the name of its key; ``note``: the checkpoint, signed.

    Once it has ended its key is destroyed, and nothing of it changes any more.
    """

    __tablename__ = "evidence_logs"
    origin: Mapped[str] = mapped_column(String(200), primary_key=True)
    number: Mapped[int] = mapped_column(SmallInteger, unique=True)
    verifier: Mapped[str] = mapped_column(String(300))
    wrapped_private: Mapped[bytes | None] = mapped_column(LargeBinary)
    turn: Mapped[int] = mapped_column(BigInteger)  # counts the turns of sequencers
    size: Mapped[int] = mapped_column(BigInteger)
    root: Mapped[bytes] = mapped_column(LargeBinary(SIZE))
    note: Mapped[bytes] = mapped_column(LargeBinary)
    signed_at: Mapped[dt.datetime | None]  # when the note was made
    cosigned_size: Mapped[int | None] = mapped_column(BigInteger)  # of the last one that enough witnesses have cosigned
    cosigned_note: Mapped[bytes | None] = mapped_column(LargeBinary)
    published_size: Mapped[int] = mapped_column(BigInteger)  # of the one that is served; it never becomes less
    published_note: Mapped[bytes] = mapped_column(LargeBinary)
    held_since: Mapped[dt.datetime]  # when it was published, or the first one after it was signed
    created_at: Mapped[dt.datetime]
    ended_at: Mapped[dt.datetime | None]


class EvidenceTile(Model):
    """A tile, or a bundle of entries (``level`` -1), as wide as it is by now."""

    __tablename__ = "evidence_tiles"
    log: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    level: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class EvidencePosition(Model):
    """Where an entry is: in which log, and where in it."""

    __tablename__ = "evidence_positions"
    key: Mapped[bytes] = mapped_column(LargeBinary(KEY), primary_key=True)
    log: Mapped[int] = mapped_column(SmallInteger)
    position: Mapped[int] = mapped_column(BigInteger)


PRIVATE_KEY = Wrapped(EvidenceLog, "origin", "wrapped_private")


@dataclass(frozen=True, kw_only=True)
class Head:
    """A log as a sequencer holds it, or a reader sees it; ``log``: its number."""

    origin: str
    size: int
    root: bytes
    note: bytes
    verifier: str
    log: int = FIRST


@dataclass(frozen=True, kw_only=True)
class State:
    """``waiting``: entries not in the log yet, up to MANY; ``oldest_waiting`` and ``age`` of the head in seconds."""

    size: int
    waiting: int
    oldest_waiting: float
    age: float


@dataclass(frozen=True, kw_only=True)
class Proof:
    """That an entry is in the log: ``hashes`` (RFC 6962 section 2.1.1) lead from it to the root in ``note``."""

    index: int
    hashes: list[bytes]
    note: bytes

    @property
    def text(self) -> str:
        """As C2SP tlog-proof writes it, for a file of its own or inside another."""
        lines = "".join(f"{notes.base64_of(found)}\n" for found in self.hashes)
        return f"{PROOF}\nindex {self.index}\n{lines}\n{self.note.decode()}"


def origin_of(issuer: str, number: int = FIRST) -> str:
    """The name of a log: its address without the scheme (tlog-tiles, Parameters)."""
    return urlsplit(issuer).netloc + "/log" + (f"/{number}" if number > FIRST else "")


def create(origin: str, now: dt.datetime, vault: Vault) -> None:
    """Make the first log; nothing when there is one."""
    if connection().scalar(select(EvidenceLog.origin).limit(1)) is None:
        make(FIRST, origin, now, vault)


def make(number: int, origin: str, now: dt.datetime, vault: Vault) -> None:
    """Make a log with a key of its own and a signed checkpoint of nothing."""
    private = jwk.generate_key("EdDSA")
    signer = Signer(name=origin, private=private)  # type: ignore[arg-type]
    note = notes.sign(Checkpoint(origin=origin, size=0, root=merkle.EMPTY), signer)
    new = insert_new(EvidenceLog).values(
        origin=origin,
        number=number,
        verifier=str(signer.verifier),
        wrapped_private=vault.wrap(jwk.dump_private_key(private), identity=origin),
        turn=0,
        size=0,
        root=merkle.EMPTY,
        note=bytes(note),
        signed_at=now,
        published_size=0,
        published_note=bytes(note),
        held_since=now,
        created_at=now,
    )
    connection().execute(new)


def growing() -> int:
    """The number of the log that grows, or will."""
    return connection().scalar(select(EvidenceLog.number).where(EvidenceLog.ended_at.is_(None))) or FIRST


def head(number: int | None = None) -> Head:
    """A log as it is signed, the one that grows if none is named. Raises NotYet when there is none."""
    found = _log(number)
    return _head(found, found.size, found.note)


def published(number: int | None = None) -> Head:
    """A log as it is served, its note with cosignatures (:func:`consent.cosignatures.publish`). Raises NotYet."""
    found = _log(number)
    return _head(found, found.published_size, found.published_note)


def cosigned(number: int | None = None, *, covering: int = -1) -> Head | None:
    """The newest head that enough witnesses have cosigned, their lines below its note.

    None while there is none, or when it does not cover the entry at index ``covering``. Raises NotYet without a log.
    """
    found = _cosigned(_log(number))
    return found if found is not None and found.size > covering else None


def state(now: dt.datetime) -> State:
    """How the log is doing, in three statements. Raises NotYet when there is none."""
    log = _log()
    first = first_waiting()
    some = select(table_of(WaitingEntry).c.key).limit(MANY).subquery()
    return State(
        size=log.size,
        waiting=connection().scalar(select(func.count()).select_from(some)) or 0,
        oldest_waiting=max(0.0, *seconds_since([first], now)) if first else 0.0,
        age=max(0.0, (now - (log.signed_at or log.created_at)).total_seconds()),
    )


def content_of(tile: Tile, log: int = FIRST) -> bytes:
    """A tile or bundle, exactly as wide as asked. Raises NotFound: it is not, or not yet, in the log."""
    found = read_tiles([(tile.level, tile.number)], log).get((tile.level, tile.number), b"")
    length = tile.width * (FRAME if tile.level == ENTRIES else SIZE)
    if len(found) < length:
        raise NotFound("no such tile")
    return found[:length]


def read_tiles(places: Iterable[tuple[int, int]], log: int) -> dict[tuple[int, int], bytes]:
    """The rows of these (level, number) of a log, in one statement."""
    wanted: dict[int, list[int]] = defaultdict(list)
    for level, number in places:
        wanted[level].append(number)
    if not wanted:
        return {}
    table = table_of(EvidenceTile).c
    tiles = select(table.level, table.number, table.content).where(table.log == log)
    # Level by level, and each by itself: for pairs, or levels joined by OR, SQLite reads all tiles of the log.
    levels = [tiles.where(table.level == level, table.number.in_(numbers)) for level, numbers in wanted.items()]
    rows = connection().execute(union_all(*levels))
    return {(level, number): content for level, number, content in rows}


def has(entry: Entry) -> bool:
    """Whether there is a proof of an entry by now."""
    table = table_of(EvidencePosition).c
    return connection().scalar(select(table.position).where(table.key == entry.key)) is not None


def positions(some: Iterable[Entry]) -> dict[bytes, int]:
    """Where entries are in the log, by key; one statement. Those that are not there yet are left out."""
    table = table_of(EvidencePosition).c
    found = select(table.key, table.position).where(table.key.in_([entry.key for entry in some]))
    return {row.key: row.position for row in connection().execute(found)}


def proof_of(entry: Entry) -> Proof:
    """The proof of an entry, under the newest cosigned head that covers it, or else under the newest of all.

    Of the log that it is in. Raises NotYet.
    """
    found = proofs_of([entry]).get(entry.key)
    if found is None:
        raise NotYet("not in the log")
    return found


def proofs_of(wanted: Sequence[Entry]) -> dict[bytes, Proof]:
    """The proofs of many entries by their keys, without those that are in no log yet.

    A statement, and two for each log that they are in. Raises LogBroken.
    """
    table = table_of(EvidencePosition).c
    here = select(table.key, table.log, table.position).where(table.key.in_([entry.key for entry in wanted]))
    by_log: dict[int, dict[bytes, int]] = defaultdict(dict)
    for key, number, index in connection().execute(here):
        by_log[number][key] = index
    proofs: dict[bytes, Proof] = {}
    for number, places in by_log.items():
        found = _log(number)
        log, by_witnesses = _head(found, found.size, found.note), _cosigned(found)
        placed = {
            key: (index, by_witnesses if by_witnesses is not None and index < by_witnesses.size else log)
            for key, index in places.items()
        }
        ranges = {key: merkle.inclusion_ranges(index, under.size) for key, (index, under) in placed.items()}
        hashes = iter(_hashes(list(chain.from_iterable(ranges.values())), number))
        proofs |= {
            key: Proof(index=index, hashes=list(islice(hashes, len(ranges[key]))), note=under.note)
            for key, (index, under) in placed.items()
        }
    return proofs


def proof_at(index: int, log: Head) -> Proof:
    """The proof of the entry at a position. Raises NotYet, LogBroken."""
    if not 0 <= index < log.size:
        raise NotYet("beyond the log")
    ranges = merkle.inclusion_ranges(index, log.size)
    return Proof(index=index, hashes=_hashes(ranges, log.log), note=log.note)


def shown(entry: Entry) -> dict[str, Any]:
    """What whoever holds the thing can prove to anybody: {entry, statement, salt, proof}. Raises NotYet."""
    return _shown(entry, proof_of(entry))


def shown_by_now(wanted: Sequence[Entry]) -> dict[bytes, dict[str, Any]]:
    """The same of many, by their keys; ``proof`` None where there is none yet, or the log stands still."""
    try:
        proofs = proofs_of(wanted)
    except (NotYet, LogBroken):
        proofs = {}
    return {entry.key: _shown(entry, proofs.get(entry.key)) for entry in wanted}


def _shown(entry: Entry, proof: Proof | None) -> dict[str, Any]:
    text = proof.text if proof is not None else None
    return {"entry": entry.digest.hex(), "statement": entry.statement, "salt": entry.salt.hex(), "proof": text}


def consistency(old: int, size: int, log: int = FIRST) -> list[bytes]:
    """That the tree of ``old`` entries is the beginning of that of ``size`` (RFC 6962 section 2.1.2)."""
    return _hashes(merkle.consistency_ranges(old, size), log)


def root_at(size: int, log: int = FIRST) -> bytes:
    """The root of a log when it had so many entries. Raises LogBroken."""
    return _hashes([(0, size)], log)[0] if size else merkle.EMPTY


def verifier() -> Verifier:
    """The key by which the log that grows is known. Raises NotYet."""
    return Verifier.parse(head().verifier)


def verifiers() -> list[Verifier]:
    """The keys of all logs, newest first; none when there is no log."""
    found = connection().scalars(select(EvidenceLog.verifier).order_by(EvidenceLog.number.desc()))
    return [Verifier.parse(key) for key in found]


def _log(number: int | None = None) -> Any:
    table = table_of(EvidenceLog)
    which = table.c.ended_at.is_(None) if number is None else table.c.number == number
    found = connection().execute(select(table).where(which)).one_or_none()
    if found is None:
        raise NotYet("no log")
    return found


def _cosigned(log: Any) -> Head | None:
    return None if log.cosigned_note is None else _head(log, log.cosigned_size, log.cosigned_note)


def _head(log: Any, size: int, note: bytes) -> Head:
    root = log.root if size == log.size else Checkpoint.parse(Note.parse(note).text).root
    return Head(origin=log.origin, size=size, root=root, note=note, verifier=log.verifier, log=log.number)


def _hashes(ranges: list[merkle.Range], log: int) -> list[bytes]:
    tiles = read_tiles(merkle.tiles_for(ranges), log)
    try:
        return [merkle.range_hash(found, lambda level, number: tiles.get((level, number), b"")) for found in ranges]
    except merkle.InvalidTile as error:
        raise LogBroken(error.detail) from error
