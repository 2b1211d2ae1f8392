"""A file that a source leaves for us, taken in again whenever it is another one: CSV or NDJSON, by its name."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dataspace.catalogue import DataItem
from dataspace.errors import InvalidFile
from dataspace.sources import formats, imports, lines
from dataspace.sources.connector import Fetched, Position, SourceFailed
from dataspace.sources.formats import Format, Ndjson


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """The connector of a source whose address is a path. ``items``: those that it may bring."""

    path: Path
    items: dict[str, DataItem]

    def fetch(self, since: Position) -> Iterator[Fetched]:
        """In batches; nothing while the file is as it was. Raises SourceFailed."""
        try:
            with self.path.open("rb") as stream:
                state = self.path.stat()
                there = Position(etag=f"{state.st_size}-{state.st_mtime_ns}")
                if there == since:
                    return
                for batch in imports.batches(self._format(numbered := lines.read(stream)).parse(numbered)):
                    yield Fetched(entries=[parsed.entry for parsed in batch], position=there)
        except InvalidFile as error:
            raise SourceFailed(error.problems[0]) from None
        except OSError as error:
            raise SourceFailed(f"the file: {type(error).__name__}") from None

    def _format(self, numbered: Iterator[lines.Line]) -> Format:
        if imports.Manner.of(self.path).kind == "ndjson":
            return Ndjson()
        only = next(iter(self.items)) if len(self.items) == 1 else ""
        return formats.Csv(formats.header_of(numbered), self.items, only)
