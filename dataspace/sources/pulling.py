"""Asking the sources that are due: what they bring is stored part by part, how far we are only at the end.

Whatever stops in between is asked for again, and what was stored already changes nothing. A source that fails leaves
every record as it was; how old that is, and since when the source is silent, is told with it.
"""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from dataspace.identifiers import BlindIndex
from dataspace.sources import registry
from dataspace.sources.connector import Connector, Position, SourceFailed
from dataspace.sources.file import FileSource
from dataspace.sources.http import HttpSource
from dataspace.sources.receiving import Reception
from dataspace.sources.registry import Source
from dataspace.sources.storing import Demanded, Verdict
from dataspace.vault import Vault

PART = 1000  # records of one transaction


def connector_of(source: Source, *, vault: Vault, allow_loopback: bool, hosts: tuple[str, ...] = ()) -> Connector:
    """By the kind of the source. Raises SourceFailed when it is none that is asked, Unreadable."""
    if source.kind == "http":
        token = registry.token_of(source, vault=vault)
        return HttpSource(address=source.address, token=token, hosts=hosts, allow_loopback=allow_loopback)
    if source.kind == "file":
        return FileSource(path=Path(source.address), items=registry.own_items(source))
    raise SourceFailed("nothing is fetched from this source")


def pull(
    source_id: str,
    now: dt.datetime,
    *,
    vault: Vault,
    index: BlindIndex,
    demanded: Demanded,
    allow_loopback: bool,
    hosts: tuple[str, ...] = (),
    connector: Connector | None = None,
    again: bool = False,
) -> Iterator[list[Verdict]]:
    """Ask one source; the caller commits after each part. ``again``: from the beginning; ``hosts``: where it may be.

    That it cannot be heard is written down with it, and nothing is raised; what came before is stored by then.
    """
    try:
        source = registry.get(source_id)
        asked = connector or connector_of(source, vault=vault, allow_loopback=allow_loopback, hosts=hosts)
        reception = Reception.of(source, now, vault=vault, index=index, demanded=demanded)
        yield from _parts(source, reception, now, asked, again=again)
    except SourceFailed as failed:
        registry.failed(source_id, now, failed.detail)
        yield []


def _parts(
    source: Source, reception: Reception, now: dt.datetime, asked: Connector, *, again: bool
) -> Iterator[list[Verdict]]:
    source_id = source.source_id
    since = Position(etag=source.etag, last_modified=source.last_modified, cursor=source.cursor)
    since = Position() if again else since
    yield []  # nothing is open while the source takes its time
    for fetched in asked.fetch(since):
        since = fetched.position
        for start in range(0, len(fetched.entries), PART):
            yield reception.take(fetched.entries[start : start + PART], now)
    registry.heard(source_id, now, etag=since.etag, last_modified=since.last_modified, cursor=since.cursor)
    yield []
