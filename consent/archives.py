"""Archives: signed files that take a while to make, and are kept for a week.

A copy of everything in a space and of everything recorded about its use (PIPL article 45), or what proves one consent
(:mod:`consent.evidence_package`). The worker makes one in pieces, each committed by itself and sealed under the key of
the space's records, with which it has to go, so that its size is no matter of memory. A worker that dies is followed by
another one after LEASE, which begins anew under the next attempt; what the first one should still write then finds no
place. Erasing the space removes every archive.
"""

import datetime as dt
import enum
import hashlib
import itertools
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    and_,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from consent import archive_parts, documents, manifests
from consent.archive_parts import Part
from consent.history import Registry
from consent.keys import KeyUse
from dataspace import messages
from dataspace.db import Model, connection, db, delete_some, new_id, table_of
from dataspace.errors import Conflict, DomainError, NotAllowed, NotFound
from dataspace.mandates import Actor, Capacity
from dataspace.messages import Group, Notice
from dataspace.sealing import seal, unseal
from dataspace.vault import Vault, destroy_part_keys

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
    """``done`` of ``total`` rows are written by the ``attempts``-th attempt, which holds it until ``held_until``.

    Of what proves one consent also which, in which capacity it was asked for, and why (an administrator's); it is
    sealed under a key of its own, for there is evidence of a space that was erased as well.
    """

    __tablename__ = "archives"
    __table_args__ = (
        Index(None, "space_id", "asked_at"),
        Index(None, "state", "held_until"),
        Index(None, "expires_at"),
        Index(None, "consent_id"),
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
    consent_id: Mapped[str | None] = mapped_column(String(40))
    capacity: Mapped[str | None] = mapped_column(String(24))
    reason_code: Mapped[str | None] = mapped_column(String(40))
    text: Mapped[str | None] = mapped_column(Text)

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


class Content(Protocol):
    """What the worker puts into an archive, and what has to be done once it is there."""

    typ: str  # of the signed list of files

    def count(self) -> int:
        """How many rows :meth:`parts` will write, about."""

    def parts(self) -> Iterable[Part]:
        """Every file, in order."""

    def said(self, now: dt.datetime) -> dict[str, Any]:
        """What the list of files says beside them; asked for when all of them are written."""

    def made(self, digest: str, now: dt.datetime) -> None:
        """It is ready. ``digest``: SHA-256 of the list of files, in hex."""


def may_ask(actor: Actor) -> bool:
    """Whether the person may take out everything in this capacity."""
    return actor.capacity in MAY_ASK


def ask(actor: Actor, language: str, now: dt.datetime) -> Archive:
    """Ask for an archive of the actor's space, with texts in ``language``. Raises NotAllowed, ArchiveLimit."""
    if not may_ask(actor):
        raise NotAllowed("only who decides alone takes out everything")
    hold(actor.space_id)
    demand_room(of_space(actor.space_id), now)
    archive = new(actor.space_id, actor.person_id, language, now, archive_id=new_id("arc"))
    messages.send(actor.space_id, Notice.ARCHIVE_ASKED, Group.SECURITY, now, about=archive.archive_id)
    db.session.flush()
    return archive


def hold(space_id: str) -> None:
    """The lock of the head of the space: of two who ask at once the second sees the first one's."""
    connection().execute(archive_parts.hold_space(space_id))


def demand_room(known: Sequence[Archive], now: dt.datetime) -> None:
    """Raises ArchiveLimit when, of the ``known`` ones, one is being made, or enough were asked for today."""
    lately = [one for one in known if one.asked_at > now - dt.timedelta(days=1)]
    waiting = [one for one in known if one.state == ArchiveState.WAITING and not one.has_failed(now)]
    if waiting or len(lately) >= A_DAY:
        raise ArchiveLimit("one waits already, or too many lately")


def new(space_id: str, person_id: str, language: str, now: dt.datetime, **more: Any) -> Archive:
    """One that waits for the worker. ``more``: its id, and what is kept of what it is about."""
    archive = Archive(
        space_id=space_id, person_id=person_id, language=language, state=ArchiveState.WAITING, asked_at=now,
        expires_at=now + KEPT, attempts=0, done=0, total=0, size=0, **more,
    )  # fmt: skip
    db.session.add(archive)
    return archive


def of_space(space_id: str) -> list[Archive]:
    """The copies of everything in a space, newest first."""
    return find(copies_of(space_id))


def copies_of(space_id: str) -> ColumnElement[bool]:
    """Which archives hold what is in a space."""
    return and_(Archive.space_id == space_id, Archive.consent_id.is_(None))


def find(*where: Any) -> list[Archive]:
    """Newest first, as they are now."""
    query = select(Archive).where(*where).order_by(Archive.asked_at.desc(), Archive.archive_id)
    return list(db.session.scalars(query.execution_options(populate_existing=True)))


def get(archive_id: str, actor: Actor) -> Archive:
    """A copy of everything in the actor's space. Raises NotFound, NotAllowed."""
    if not may_ask(actor):
        raise NotAllowed("only who decides alone takes out everything")
    archive = db.session.get(Archive, archive_id)
    if archive is None or archive.space_id != actor.space_id or archive.consent_id is not None:
        raise NotFound("no archive of this space")
    return archive


def discard(archive: Archive) -> None:
    """Remove an archive, all its pieces and the key that it may have at once."""
    destroy_part_keys([archive.archive_id])
    db.session.delete(archive)
    db.session.flush()


def read(archive: Archive, now: dt.datetime, *, vault: Vault) -> Iterator[bytes]:
    """The file, piece by piece. Raises NotFound before the first piece when it is not ready, or over."""
    if archive.state != ArchiveState.READY or archive.expires_at <= now:
        raise NotFound("not ready, or not kept any more")
    archive_id, attempt, key = archive.archive_id, archive.attempts, _key(archive, vault)
    mine = (ArchivePiece.archive_id == archive_id, ArchivePiece.attempt == attempt)
    count = db.session.scalar(select(func.count()).where(*mine)) or 0
    return (_piece(archive_id, attempt, number, key) for number in range(count))


def _key(archive: Archive, vault: Vault) -> bytes:
    """What it is sealed under. Raises Unreadable: the space was erased, or the key of its records changed."""
    if archive.consent_id is None:
        return vault.records_key(archive.space_id)
    return vault.part_key(archive.archive_id)


def _piece(archive_id: str, attempt: int, number: int, key: bytes) -> bytes:
    row = (ArchivePiece.archive_id == archive_id, ArchivePiece.attempt == attempt, ArchivePiece.number == number)
    sealed = db.session.scalars(select(ArchivePiece.sealed).where(*row)).one()
    return unseal(key, sealed, identity=f"{archive_id}:{attempt}:{number}")


def sweep(now: dt.datetime, limit: int = 500) -> int:
    """Remove what is not kept any more; returns how many archives."""
    over = select(Archive.archive_id).where(Archive.expires_at <= now).order_by(Archive.expires_at).limit(limit)
    destroy_part_keys(db.session.scalars(over))
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


def write(archive: Archive, clock: Callable[[], dt.datetime], content: Content, *, registry: Registry) -> Iterator[int]:
    """Write a claimed archive; yields after each piece, for the caller to commit.

    ``clock``: the time, for it takes a while. Raises Superseded, Unreadable (the space was erased), NoKey.
    """
    spool = _Spool(archive, clock, _key(archive, registry.vault))
    spool.total = content.count()
    yield from spool.save()
    files: dict[str, dict[str, Any]] = {}
    with zipfile.ZipFile(spool, "w", zipfile.ZIP_DEFLATED) as file:  # type: ignore[call-overload]
        for part in content.parts():
            yield from _add(file, part, files, spool)
        lists = dict(manifests.signed(content.said(clock()), files, clock(), typ=content.typ, registry=registry))
        for name, text in lists.items():
            file.writestr(manifests.entry(name, clock()), text)
    yield from spool.save(last=True)
    now = clock()
    spool.finish(now)
    content.made(manifests.line(lists[manifests.LIST])["sha256"], now)


class Everything:
    """The content of a copy of everything in a space."""

    typ = TYP

    def __init__(self, archive: Archive, readable: Readable, now: dt.datetime, *, registry: Registry) -> None:
        self._archive_id, self._space_id, self._language = archive.archive_id, archive.space_id, archive.language
        self._readable, self._registry, self._now = readable, registry, now

    def count(self) -> int:
        return archive_parts.count(self._space_id)

    def parts(self) -> Iterable[Part]:
        vault = self._registry.vault
        jwk_set = self._registry.keyring.public_jwk_set(self._now, purpose=KeyUse.CERTIFICATES)
        keys = archive_parts.certificate_keys(jwk_set)
        made = self._readable(self._space_id, self._language, vault), archive_parts.parts(self._space_id, vault), [keys]
        return itertools.chain.from_iterable(made)  # one after the other: each is read as it is written

    def said(self, now: dt.datetime) -> dict[str, Any]:
        return {
            "schema": SCHEMA, "archive_id": self._archive_id, "issuer": self._registry.issuer,
            "space_id": self._space_id, "made_at": documents.stamp(now),
        }  # fmt: skip

    def made(self, digest: str, now: dt.datetime) -> None:  # noqa: ARG002 - nobody asks for it later
        messages.send(self._space_id, Notice.ARCHIVE_READY, Group.SECURITY, now, about=self._archive_id)


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


class _Spool:
    """The file that a zip is written to: it only ever goes on, and is put away in pieces."""

    def __init__(self, archive: Archive, clock: Callable[[], dt.datetime], key: bytes) -> None:
        self.archive_id, self.attempt = archive.archive_id, archive.attempts
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

    def finish(self, now: dt.datetime) -> None:
        """All of it is there. Raises Superseded."""
        done = {"state": ArchiveState.READY, "ready_at": now, "expires_at": now + KEPT, "held_until": None}
        self.update(done | {"done": self.total, "size": self.size})

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
