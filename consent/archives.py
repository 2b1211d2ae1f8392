"""Archives: a signed copy of everything in a space and of everything recorded about its use (PIPL article 45).

The worker makes one in pieces, each sealed under the key of the space's records, with which it has to go, and committed
by itself, so that the size of a space is no matter of memory. A worker that dies is followed by another one after
LEASE, which begins anew under the next attempt; what the first one should still write then finds no place. Erasing the
space makes every archive unreadable.
"""

import datetime as dt
import enum
import hashlib
import itertools
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, delete, func, or_, select, update
from sqlalchemy.orm import Mapped, mapped_column

from consent import archive_parts, documents, manifests
from consent.archive_parts import Part
from consent.history import Registry
from dataspace import messages
from dataspace.db import Model, connection, db, delete_some, new_id, table_of
from dataspace.errors import Conflict, DomainError, NotAllowed, NotFound
from dataspace.mandates import Actor, Capacity
from dataspace.messages import Group, Notice
from dataspace.sealing import seal, unseal
from dataspace.vault import Vault

SCHEMA, TYP = "gd-dsa-archive/1", "dsa-archive+json"
KEPT = dt.timedelta(days=7)
LEASE = dt.timedelta(minutes=5)  # renewed with every piece
ATTEMPTS = 3
A_DAY = 3  # so many may be asked for within 24 hours
PIECE = 256 * 1024  # bytes
# Those who decide alone: an agent prepares, and a copy of everything is nothing to prepare.
MAY_ASK = frozenset({Capacity.SELF, Capacity.LEGAL_REPRESENTATIVE, Capacity.GUARDIAN})
Readable = Callable[[str, str, Vault], Iterable[Part]]  # of a space, in a language: what people read


class ArchiveState(enum.StrEnum):
    WAITING = "waiting"  # for a worker, or with one
    READY = "ready"


class ArchiveLimit(DomainError):
    code = "archive_limit"
    sentence = "One copy is made at a time, and three within a day. Nothing was started."
    status = 429


class Superseded(Conflict):
    """Another worker has taken over, or the archive was discarded."""


class Archive(Model):
    """``done`` of ``total`` rows are written by the ``attempts``-th attempt, which holds it until ``held_until``."""

    __tablename__ = "archives"
    __table_args__ = (
        Index(None, "space_id", "asked_at"),
        Index(None, "state", "held_until"),
        Index(None, "expires_at"),
    )
    archive_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    space_id: Mapped[str] = mapped_column(ForeignKey("data_keys.space_id"))
    person_id: Mapped[str] = mapped_column(ForeignKey("holders.holder_id"))  # who asked
    language: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(10))
    asked_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    held_until: Mapped[dt.datetime | None]
    ready_at: Mapped[dt.datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    size: Mapped[int] = mapped_column(BigInteger, default=0)

    def has_failed(self, now: dt.datetime) -> bool:
        """Whether nobody will try it again."""
        tried = self.state == ArchiveState.WAITING and self.attempts >= ATTEMPTS
        return tried and (self.held_until is None or self.held_until <= now)


class ArchivePiece(Model):
    """The ``number``-th piece of the file, as one attempt wrote it; gone with its archive."""

    __tablename__ = "archive_pieces"
    archive_id: Mapped[str] = mapped_column(ForeignKey("archives.archive_id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)


def may_ask(actor: Actor) -> bool:
    """Whether the person may take out everything in this capacity."""
    return actor.capacity in MAY_ASK


def ask(actor: Actor, language: str, now: dt.datetime) -> Archive:
    """Ask for an archive of the actor's space, with texts in ``language``. Raises NotAllowed, ArchiveLimit."""
    if not may_ask(actor):
        raise NotAllowed("only who decides alone takes out everything")
    # The lock of the head of the space: of two who ask at once the second sees the first one's.
    connection().execute(archive_parts.hold_space(actor.space_id))
    known = of_space(actor.space_id)
    lately = [one for one in known if one.asked_at > now - dt.timedelta(days=1)]
    waiting = [one for one in known if one.state == ArchiveState.WAITING and not one.has_failed(now)]
    if waiting or len(lately) >= A_DAY:
        raise ArchiveLimit("one waits already, or too many lately")
    archive = Archive(
        archive_id=new_id("arc"), space_id=actor.space_id, person_id=actor.person_id, language=language,
        state=ArchiveState.WAITING, asked_at=now, expires_at=now + KEPT, attempts=0, done=0, total=0, size=0,
    )  # fmt: skip
    db.session.add(archive)
    messages.send(actor.space_id, Notice.ARCHIVE_ASKED, Group.SECURITY, now, about=archive.archive_id)
    db.session.flush()
    return archive


def of_space(space_id: str) -> list[Archive]:
    """The archives of a space, newest first."""
    mine = select(Archive).where(Archive.space_id == space_id).order_by(Archive.asked_at.desc())
    return list(db.session.scalars(mine.execution_options(populate_existing=True)))


def get(archive_id: str, actor: Actor) -> Archive:
    """An archive of the actor's space. Raises NotFound, NotAllowed."""
    if not may_ask(actor):
        raise NotAllowed("only who decides alone takes out everything")
    archive = db.session.get(Archive, archive_id)
    if archive is None or archive.space_id != actor.space_id:
        raise NotFound("no archive of this space")
    return archive


def discard(archive_id: str, actor: Actor) -> None:
    """Remove an archive and all its pieces at once. Raises NotFound, NotAllowed."""
    db.session.delete(get(archive_id, actor))
    db.session.flush()


def read(archive: Archive, now: dt.datetime, *, vault: Vault) -> Iterator[bytes]:
    """The file, piece by piece. Raises NotFound before the first piece when it is not ready, or over."""
    if archive.state != ArchiveState.READY or archive.expires_at <= now:
        raise NotFound("not ready, or not kept any more")
    archive_id, attempt, key = archive.archive_id, archive.attempts, vault.records_key(archive.space_id)
    mine = (ArchivePiece.archive_id == archive_id, ArchivePiece.attempt == attempt)
    count = db.session.scalar(select(func.count()).where(*mine)) or 0
    return (_piece(archive_id, attempt, number, key) for number in range(count))


def _piece(archive_id: str, attempt: int, number: int, key: bytes) -> bytes:
    row = (ArchivePiece.archive_id == archive_id, ArchivePiece.attempt == attempt, ArchivePiece.number == number)
    sealed = db.session.scalars(select(ArchivePiece.sealed).where(*row)).one()
    return unseal(key, sealed, identity=f"{archive_id}:{attempt}:{number}")


def sweep(now: dt.datetime, limit: int = 500) -> int:
    """Remove what is not kept any more; returns how many archives."""
    return delete_some(Archive, Archive.expires_at <= now, by=Archive.expires_at, limit=limit)


# What the worker does


def claim(now: dt.datetime) -> Archive | None:
    """Take the archive that waits longest, and drop what an earlier attempt has left of it. The caller commits."""
    free = or_(Archive.held_until.is_(None), Archive.held_until <= now)
    waits = (Archive.state == ArchiveState.WAITING, free, Archive.attempts < ATTEMPTS, Archive.expires_at > now)
    first = select(Archive.archive_id).where(*waits).order_by(Archive.asked_at).limit(1)
    taken = (
        update(Archive)
        .where(Archive.archive_id == first.with_for_update(skip_locked=True).scalar_subquery(), *waits)
        .values(attempts=Archive.attempts + 1, held_until=now + LEASE, done=0, size=0)
        .returning(Archive.archive_id)
        .execution_options(synchronize_session=False)
    )
    archive_id = db.session.scalar(taken)
    if archive_id is None:
        return None
    db.session.execute(delete(ArchivePiece).where(ArchivePiece.archive_id == archive_id))
    return db.session.get_one(Archive, archive_id, populate_existing=True)


def write(
    archive: Archive, clock: Callable[[], dt.datetime], *, registry: Registry, readable: Readable
) -> Iterator[int]:
    """Write a claimed archive; yields after each piece, for the caller to commit.

    ``clock``: the time, for it takes a while. Raises Superseded, Unreadable (the space was erased), NoKey.
    """
    space_id, language = archive.space_id, archive.language
    spool = _Spool(archive, clock, registry.vault.records_key(space_id))
    spool.total = archive_parts.count(space_id)
    yield from spool.save()
    files: dict[str, dict[str, Any]] = {}
    with zipfile.ZipFile(spool, "w", zipfile.ZIP_DEFLATED) as file:  # type: ignore[call-overload]
        made = readable(space_id, language, registry.vault), archive_parts.parts(space_id, registry.vault)
        for part in itertools.chain.from_iterable(made):  # one after the other: each is read as it is written
            yield from _add(file, part, files, spool)
        said = {
            "schema": SCHEMA, "archive_id": spool.archive_id, "issuer": registry.issuer, "space_id": space_id,
            "made_at": documents.stamp(clock()),
        }  # fmt: skip
        for name, content in manifests.signed(said, files, clock(), typ=TYP, registry=registry):
            file.writestr(manifests.entry(name, clock()), content)
    yield from spool.save(last=True)
    _finish(spool, clock())


def _add(file: zipfile.ZipFile, part: Part, files: dict[str, dict[str, Any]], spool: "_Spool") -> Iterator[int]:
    digest, size = hashlib.sha256(), 0
    with file.open(manifests.entry(part.name, spool.clock()), "w", force_zip64=True) as entry:
        for chunk in part.chunks:
            entry.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            spool.done += part.counts
            yield from spool.save()
    files[part.name] = {"sha256": digest.hexdigest(), "size": size}


def _finish(spool: "_Spool", now: dt.datetime) -> None:
    done = {"state": ArchiveState.READY, "ready_at": now, "expires_at": now + KEPT, "held_until": None}
    spool.update(done | {"done": spool.total, "size": spool.size})
    messages.send(spool.space_id, Notice.ARCHIVE_READY, Group.SECURITY, now, about=spool.archive_id)


class _Spool:
    """The file that a zip is written to: it only ever goes on, and is put away in pieces."""

    def __init__(self, archive: Archive, clock: Callable[[], dt.datetime], key: bytes) -> None:
        self.archive_id, self.space_id, self.attempt = archive.archive_id, archive.space_id, archive.attempts
        self.clock, self._key = clock, key
        self._waiting = bytearray()
        self._number = self.size = self.done = self.total = 0
        self._said = -1

    def write(self, content: bytes) -> int:
        self._waiting += content
        return len(content)

    def flush(self) -> None:
        """A zip file calls it; whether a piece is put away is for :meth:`save` to say."""

    def save(self, *, last: bool = False) -> Iterator[int]:
        """Put away what makes whole pieces (all of it at last), and how far we are; yields after each change."""
        while len(self._waiting) >= PIECE or (last and self._waiting):
            self._put(bytes(self._waiting[:PIECE]))
            del self._waiting[:PIECE]
            yield self._number
        percent = 100 * self.done // max(self.total, 1)
        if percent != self._said:
            self._said = percent
            self.update({})
            yield self._number

    def _put(self, piece: bytes) -> None:
        self.update({})
        sealed = seal(self._key, piece, identity=f"{self.archive_id}:{self.attempt}:{self._number}")
        row = {"archive_id": self.archive_id, "attempt": self.attempt, "number": self._number, "sealed": sealed}
        connection().execute(table_of(ArchivePiece).insert(), row)
        self._number, self.size = self._number + 1, self.size + len(piece)

    def update(self, values: dict[str, Any]) -> None:
        """Renew the lease and say how far we are. Raises Superseded when it is not ours any more."""
        mine = (
            Archive.archive_id == self.archive_id,
            Archive.attempts == self.attempt,
            Archive.state == ArchiveState.WAITING,
        )
        kept = {"held_until": self.clock() + LEASE, "done": min(self.done, self.total), "total": self.total}
        changed = connection().execute(update(table_of(Archive)).where(*mine).values(kept | values))
        if changed.rowcount != 1:
            raise Superseded("taken over, or discarded")
