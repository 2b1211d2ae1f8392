"""The log as files in a directory, exactly as they are served: for a web server or a store that serves files.

The database is where the log is kept; this is what others have seen of it. So what is published is never taken back:
tiles first, the checkpoint that asks for them last, each file whole or not at all, and a database that has fallen
behind its files signs nothing more.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from consent import evidence, merkle
from consent.evidence import FIRST, FRAME, Head, LogBroken
from consent.merkle import ENTRIES, SIZE, Tile
from consent.notes import Checkpoint, InvalidNote, Note, Verifier

CHECKPOINT = "checkpoint"
COSIGNED = "cosigned"  # the newest checkpoint that enough witnesses have cosigned
BATCH = 64  # tiles in memory
LOOK = 16  # whole tiles that are looked over at a time: of ten million entries, all of them in about an hour and a half


class LogFiles:
    """A directory to publish a log to; it need not exist yet. Several processes may publish to it.

    Logs after the first have directories of their own in it, as in their addresses.
    """

    def __init__(self, folder: Path, number: int = FIRST) -> None:
        self.number = number
        self.folder = folder / str(number) if number > FIRST else folder

    def demand_behind(self) -> Checkpoint | None:
        """What is published, once it has been found to be a beginning of the log in the database.

        Raises LogBroken when it is not: the database was set back, or this is the directory of another log.
        """
        log = evidence.head(self.number)
        published = self._published(Verifier.parse(log.verifier))
        if published is None:
            return None
        if published.size > log.size:
            raise LogBroken("more is published than the database has: it was set back")
        if evidence.root_at(published.size, self.number) != published.root:
            raise LogBroken("what is published is no beginning of the log")
        return published

    def publish(self) -> int:
        """Bring the files up to the log; returns how many were written. Raises LogBroken.

        Nothing when another process is at it.
        """
        with self._alone() as alone:
            if not alone:
                return 0
            published, log = self.demand_behind(), evidence.published(self.number)
            cosigned = evidence.cosigned(self.number)
            old = published.size if published else 0
            if old > log.size:
                return 0  # the database is of a moment before it was published, but has this head
            if published and old == log.size:
                # Nothing new but what witnesses have said meanwhile.
                said = self._write_new(CHECKPOINT, log) + self._write_new(COSIGNED, cosigned)
                return said + self._look_over(log)
            # A crash among the tiles leaves some that no published checkpoint asks for. The next time they are
            # written again, with the same bytes at least as far as they went.
            count = sum(self._write(tile.path, content) for tile, content in _tiles(old, log))
            # A crash before this leaves the earlier checkpoint, all of whose tiles are still there; after it, all is
            # published.
            self._write(CHECKPOINT, log.note)
            self._write_new(COSIGNED, cosigned)
            # A crash before this leaves partial tiles that nobody needs.
            self._forget_partial(old, log.size)
            return count + 1 + self._look_over(log)

    def _published(self, verifier: Verifier) -> Checkpoint | None:
        path = self.folder / CHECKPOINT
        if not path.exists():
            return None
        try:
            note = Note.parse(path.read_bytes())
            note.verified([verifier])
            return Checkpoint.parse(note.text)
        except InvalidNote as error:
            raise LogBroken(f"the published checkpoint: {error.detail}") from error

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(lock)  # which lets go of it, as the end of a process does

    def _look_over(self, log: Head) -> int:
        """Look whether the edge and some of the rest are still what was written; returns how many were written anew.

        What was cut short or lost is; of what says something else nobody here can know which of the two is right.
        Raises LogBroken.
        """
        written = 0
        for tile, content in _contents([*merkle.edge_of(log.size), *merkle.some_whole_tiles(log.size, LOOK)], log):
            path = self.folder / tile.path
            there = path.read_bytes() if path.exists() else b""
            if not content.startswith(there):
                raise LogBroken(f"{tile.path} is not what was published")
            if there != content:
                written += self._write(tile.path, content)
        return written

    def _write(self, name: str, content: bytes) -> int:
        """Write one file so that it is there whole or not at all, whatever happens, power failures included."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.new")
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        return 1

    def _write_new(self, name: str, head: Head | None) -> int:
        """Write the note of a head, if there is one, unless that is what the file says already."""
        path = self.folder / name
        if head is None or (path.exists() and path.read_bytes() == head.note):
            return 0
        return self._write(name, head.note)

    def _forget_partial(self, old: int, size: int) -> None:
        """Remove the partial tiles that have become whole (tlog-tiles, Partial Tiles)."""
        still = {(tile.level, tile.number) for tile in merkle.edge_of(size)}
        for tile in merkle.edge_of(old):
            if (tile.level, tile.number) not in still:
                shutil.rmtree((self.folder / tile.path).parent, ignore_errors=True)


def _tiles(old: int, log: Head) -> Iterator[tuple[Tile, bytes]]:
    """The tiles that the published checkpoint did not have, as wide as the newest wants them."""
    wanted = merkle.changed_tiles(old, log.size)
    while some := list(islice(wanted, BATCH)):
        yield from _contents(some, log)


def _contents(tiles: list[Tile], log: Head) -> Iterator[tuple[Tile, bytes]]:
    """These tiles as the database has them, in one statement. Raises LogBroken."""
    contents = evidence.read_tiles(((tile.level, tile.number) for tile in tiles), log.log)
    for tile in tiles:
        length = tile.width * (FRAME if tile.level == ENTRIES else SIZE)
        content = contents.get((tile.level, tile.number), b"")[:length]
        if len(content) < length:
            raise LogBroken(f"{tile.path} is missing or too short")
        yield tile, content
