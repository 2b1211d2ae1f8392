"""Which sources there are: registered from data files, each with its authority, its items and how it is heard.

A source speaks for one authority. That an item belongs to it is asked of the catalogue every time, so that an item
that moves to another authority takes the right with it.
"""

import datetime as dt
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import Index, LargeBinary, String, select, update
from sqlalchemy.orm import Mapped, mapped_column

from dataspace import catalogue, datafiles
from dataspace.catalogue import DataItem
from dataspace.datafiles import Entry
from dataspace.db import Model, db, read_once, table_of
from dataspace.errors import Conflict, InvalidFile, NotFound
from dataspace.rewrapping import Wrapped
from dataspace.vault import Vault

SCHEMA = Path(__file__).parent.parent / "schemas" / "sources.schema.json"
NAMES = {"sources": "source_id"}
DEFAULTS = {"address": "", "every_seconds": 0, "client_id": None, "enabled": True}
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,1000}=*")
FIRST_PAUSE = dt.timedelta(minutes=1)  # after a failure; doubled with each, up to the usual time between two pulls


class Source(Model):
    """``kind``: http and file are asked when they are due, push comes by itself, command is what an operator imports.

    ``etag``, ``last_modified``, ``cursor``: what the source said of where we are. ``failing_since``: since when it has
    not been heard although it should have been.
    """

    __tablename__ = "sources"
    __table_args__ = (Index(None, "due_at"),)
    source_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[dict[str, Any]]
    authority: Mapped[str] = mapped_column(String(300))  # as the catalogue writes it, in Simplified Chinese
    item_ids: Mapped[list[Any]]
    kind: Mapped[str] = mapped_column(String(10))
    address: Mapped[str] = mapped_column(String(2000))
    every_seconds: Mapped[int]
    client_id: Mapped[str | None] = mapped_column(String(80), unique=True)
    credential: Mapped[bytes | None] = mapped_column(LargeBinary)  # the token that it asks for, wrapped
    enabled: Mapped[bool]
    loaded_at: Mapped[dt.datetime]
    etag: Mapped[str] = mapped_column(String(300), default="")
    last_modified: Mapped[str] = mapped_column(String(100), default="")
    cursor: Mapped[str] = mapped_column(String(500), default="")
    due_at: Mapped[dt.datetime | None]
    heard_at: Mapped[dt.datetime | None]
    failing_since: Mapped[dt.datetime | None]
    failures: Mapped[int] = mapped_column(default=0)
    problem: Mapped[str] = mapped_column(String(200), default="")

    @property
    def every(self) -> dt.timedelta:
        """How long between two pulls."""
        return dt.timedelta(seconds=self.every_seconds)


TOKENS = Wrapped(Source, "source_id", "credential")


def load(paths: Iterable[Path], now: dt.datetime) -> tuple[int, int]:
    """Register the sources of these files, or change them; how many are new or changed, and how many are as they were.

    The catalogue must be loaded. Raises InvalidFile with one line per problem; then nothing is loaded.
    """
    entries, problems = datafiles.read(datafiles.expand(paths), datafiles.schema(SCHEMA), NAMES)
    sound = [entry for entry in entries if entry.sound]
    items = catalogue.current({item_id for entry in sound for item_id in entry.content["items"]})
    problems += [line for entry in sound for line in _check(entry, items)] + _twice(entries)
    if problems:
        raise InvalidFile(problems)
    changed = sum(_store(entry.content, now) for entry in sound)
    db.session.flush()
    return changed, len(sound) - changed


def get(source_id: str) -> Source:
    """Raises NotFound."""
    source = db.session.get(Source, source_id)
    if source is None:
        raise NotFound("no such source")
    return source


def all_sources() -> list[Source]:
    """Every source, by its id."""
    return list(db.session.scalars(select(Source).order_by(Source.source_id)))


def give_token(source_id: str, token: str, *, vault: Vault) -> None:
    """Keep the bearer token by which we ask a source, wrapped; an empty one takes it away.

    Raises NotFound, Conflict: it cannot stand in a header (RFC 6750 section 2.1), or the source is not asked.
    """
    source = get(source_id)
    if source.kind != "http":
        raise Conflict("only sources of the kind http are asked with a token")
    if token and not _TOKEN.fullmatch(token):
        raise Conflict("this cannot be a bearer token")
    source.credential = vault.wrap(token.encode(), identity=source_id) if token else None
    db.session.flush()


def token_of(source: Source, *, vault: Vault) -> str:
    """The token for a source, or nothing. Raises Unreadable."""
    return vault.unwrap(source.credential, identity=source.source_id).decode() if source.credential else ""


def of_client(client_id: str) -> Source:
    """The source that a client pushes for. Raises NotFound, also when it is switched off."""
    source = db.session.scalar(select(Source).filter_by(client_id=client_id, kind="push", enabled=True))
    if source is None:
        raise NotFound("this client is no source")
    return source


def own_items(source: Source) -> dict[str, DataItem]:
    """The items that a source may bring: those that it is registered for and that its authority still answers for."""
    items = catalogue.current(source.item_ids)
    return {item_id: item for item_id, item in items.items() if item.authority["zh_hans"] == source.authority}


def claim(now: dt.datetime) -> str | None:
    """The source that has been due for longest, nobody else's from now on; None when none is. To be committed."""
    due = (
        select(Source.source_id)
        .where(Source.due_at <= now, Source.enabled)
        .order_by(Source.due_at, Source.source_id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    # Put off at once: whoever dies while asking leaves a source that is asked again a little later.
    claimed = update(Source).where(Source.source_id.in_(read_once(due))).values(due_at=now + FIRST_PAUSE)
    return db.session.scalar(claimed.returning(Source.source_id).execution_options(synchronize_session=False))


def touch(source_id: str) -> None:
    """Take the row of a source until the transaction ends, so that two batches of one source come one by one.

    An UPDATE, because SQLite takes its lock no other way; it has to be the first statement of the transaction.
    """
    table = table_of(Source)
    db.session.execute(update(table).where(table.c.source_id == source_id).values(source_id=source_id))


def heard(source_id: str, now: dt.datetime, **position: str) -> None:
    """It has answered; ``position``: etag, last_modified, cursor as they are now."""
    source = get(source_id)
    source.heard_at, source.failing_since, source.failures, source.problem = now, None, 0, ""
    if source.kind in ("http", "file"):
        source.due_at = now + source.every if source.every_seconds else None
    for name, value in position.items():
        setattr(source, name, value)
    db.session.flush()


def failed(source_id: str, now: dt.datetime, problem: str) -> None:
    """It has not answered, or not as it should; it is asked again soon, then ever less often."""
    source = get(source_id)
    source.failures += 1
    source.failing_since = source.failing_since or now
    source.problem = problem[:200]
    if source.every_seconds:
        source.due_at = now + min(FIRST_PAUSE * 2 ** min(source.failures - 1, 20), source.every)
    else:
        source.due_at = None
    db.session.flush()


def _store(content: dict[str, Any], now: dt.datetime) -> bool:
    """Whether it is new or other than it was. Another address, or other items: it is asked from the beginning."""
    values = DEFAULTS | content
    values["item_ids"] = values.pop("items")
    source = db.session.get(Source, values["source_id"])
    if source is None:
        source = Source(**values, loaded_at=now)
        db.session.add(source)
    elif all(getattr(source, name) == value for name, value in values.items()):
        return False
    else:
        if source.address != values["address"]:
            source.credential = None  # it was for whoever is there
        for name, value in values.items():
            setattr(source, name, value)
        source.etag = source.last_modified = source.cursor = ""
    source.loaded_at = now
    source.due_at = now if source.kind in ("http", "file") and source.enabled else None
    return True


def _check(entry: Entry, items: dict[str, DataItem]) -> list[str]:
    content, problems = entry.content, []
    for item_id in content["items"]:
        if item_id not in items:
            problems.append(entry.problem("items", f"{item_id} is not in the catalogue"))
        elif items[item_id].authority["zh_hans"] != content["authority"]:
            problems.append(entry.problem("items", f"{item_id} is of another authority"))
    if content["kind"] in ("http", "file") and not content.get("address"):
        problems.append(entry.problem("address", "is missing"))
    if content["kind"] == "push" and not content.get("client_id"):
        problems.append(entry.problem("client_id", "is missing"))
    return problems


def _twice(entries: list[Entry]) -> list[str]:
    names = [entry.name for entry in entries]
    return [e.problem("source_id", "is used twice") for n, e in enumerate(entries) if e.name in names[:n]]
