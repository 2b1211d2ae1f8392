"""What a source looks like to us: asked for what is new since a position, it yields entries and the next position.

What is wrong with one record is an entry like the others; that the source itself cannot be heard is SourceFailed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from dataspace.errors import DomainError
from dataspace.sources.incoming import Flawed, Incoming


class SourceFailed(DomainError):
    """The source does not answer, or not as agreed; ``detail`` says why, without anything that it has said."""

    code = "source_failed"
    sentence = "The source could not be heard."
    status = 502


@dataclass(frozen=True, kw_only=True)
class Position:
    """How far we have heard a source; each is whatever the source says, empty at the beginning."""

    etag: str = ""
    last_modified: str = ""
    cursor: str = ""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """Some entries, and the position once they are stored and nothing follows."""

    entries: Sequence[Incoming | Flawed]
    position: Position


class Connector(Protocol):
    """One source, ready to be asked. Other kinds of sources are other implementations of this."""

    def fetch(self, since: Position) -> Iterator[Fetched]:
        """What is new, in parts; nothing when nothing is. It touches no database. Raises SourceFailed."""
        ...
