"""Logos of third parties: fetched once through the guard, kept here, and shown from our own address only.

A logo that cannot be had is simply not shown. It is looked for again, later and later, and anew when its address
changes; one that we have stays as it is, so that nobody exchanges it unseen for what people have learned to trust.
A logo is *claimed*, which puts its next try off; then fetched, outside of any transaction; then *kept*.
"""

import datetime as dt
import hashlib
import re
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from sqlalchemy import ForeignKey, Index, LargeBinary, String, case, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from consent import pictures
from consent.pictures import NotAPicture
from dataspace.addresses import FetchRefused
from dataspace.db import Model, db, insert_new, read_once
from dataspace.errors import NotFound
from dataspace.fetching import fetch_bytes

MAX_BYTES = 256 * 1024
ACCEPT = "image/webp, image/png, image/jpeg, image/gif"
TYPES = re.compile(r"image/[a-z0-9.+-]+|application/octet-stream", re.IGNORECASE)  # what it is, its own bytes say
# When to try again after the first, second, ... attempt; the one after the last is not made.
WAITS = tuple(dt.timedelta(minutes=m) for m in (1, 10, 60, 360, 1440))
AT_ONCE = 8  # fetched at the same time, so that one slow server does not keep the others waiting


class ClientLogo(Model):
    """The logo that a client has registered. ``due_at``: the next try; NULL: none. ``image``: as it was sent."""

    __tablename__ = "client_logos"
    __table_args__ = (Index(None, "due_at"),)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id"), primary_key=True)
    uri: Mapped[str] = mapped_column(String(1000))
    due_at: Mapped[dt.datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    problem: Mapped[str] = mapped_column(String(200), default="")
    fetched_at: Mapped[dt.datetime | None]
    media_type: Mapped[str] = mapped_column(String(20), default="")
    digest: Mapped[str] = mapped_column(String(64), default="")  # SHA-256 of the image
    image: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A logo to be fetched now."""

    client_id: str
    uri: str


@dataclass(frozen=True, kw_only=True)
class Found:
    """What came of one attempt; ``problem`` is empty when there is an image."""

    wanted: Wanted
    media_type: str = ""
    image: bytes = field(default=b"", repr=False)
    problem: str = ""


def follow(client_id: str, uri: str, now: dt.datetime) -> None:
    """What a client has registered as its logo: another address is fetched soon, none is forgotten at once."""
    known = db.session.scalar(select(ClientLogo.uri).filter_by(client_id=client_id))
    if known == uri or (known is None and not uri):
        return
    db.session.execute(delete(ClientLogo).filter_by(client_id=client_id))
    if uri:
        values = {"client_id": client_id, "uri": uri, "due_at": now}
        db.session.execute(insert_new(ClientLogo).values(values))


def digest_of(client_id: str) -> str:
    """The digest of the logo that is shown; empty when there is none."""
    return db.session.scalar(select(ClientLogo.digest).filter_by(client_id=client_id)) or ""


def picture(client_id: str) -> tuple[str, str, bytes]:
    """(digest, media type, bytes) of the logo. Raises NotFound."""
    columns = (ClientLogo.digest, ClientLogo.media_type, ClientLogo.image)
    found = db.session.execute(select(*columns).where(ClientLogo.client_id == client_id)).first()
    if found is None or not found.image:
        raise NotFound("no logo")
    return found.digest, found.media_type, found.image


def state_of(client_id: str) -> ClientLogo | None:
    """What administrators see: since when there is one, or why there is none."""
    return db.session.get(ClientLogo, client_id)


# Fetching


def claim(now: dt.datetime, limit: int, client_id: str | None = None) -> list[Wanted]:
    """Up to ``limit`` logos that are due (of one client), nobody else's from now on. To be committed at once."""
    whose = [] if client_id is None else [ClientLogo.client_id == client_id]
    due = (
        select(ClientLogo.client_id)
        .where(ClientLogo.due_at <= now, *whose)
        .order_by(ClientLogo.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    waits = {attempt: now + wait for attempt, wait in enumerate(WAITS)}
    claimed = (
        update(ClientLogo)
        .where(ClientLogo.client_id.in_(read_once(due)))
        .values(due_at=case(waits, value=ClientLogo.attempts), attempts=ClientLogo.attempts + 1)
        .returning(ClientLogo.client_id, ClientLogo.uri)
        .execution_options(synchronize_session=False)
    )
    return [Wanted(client_id=client_id, uri=uri) for client_id, uri in db.session.execute(claimed)]


def fetch(wanted: Collection[Wanted], *, allow_loopback: bool) -> list[Found]:
    """Fetch them; takes as long as the slowest server. Touches no database."""
    if not wanted:
        return []
    with ThreadPoolExecutor(min(AT_ONCE, len(wanted)), thread_name_prefix="logo") as several:
        return list(several.map(lambda one: _fetch(one, allow_loopback=allow_loopback), wanted))


def keep(found: Iterable[Found], now: dt.datetime) -> int:
    """Keep what came, for the address that is still registered; returns how many images there are."""
    kept = 0
    for one in found:
        values: dict[str, object] = {"problem": one.problem}
        if not one.problem:
            digest = hashlib.sha256(one.image).hexdigest()
            values |= {"fetched_at": now, "due_at": None, "media_type": one.media_type}
            values |= {"image": one.image, "digest": digest}
            kept += 1
        same = {"client_id": one.wanted.client_id, "uri": one.wanted.uri}
        db.session.execute(update(ClientLogo).filter_by(**same).values(values))
    return kept


def _fetch(wanted: Wanted, *, allow_loopback: bool) -> Found:
    try:
        image = fetch_bytes(wanted.uri, accept=ACCEPT, types=TYPES, allow_loopback=allow_loopback, max_bytes=MAX_BYTES)
        return Found(wanted=wanted, image=image, media_type=pictures.read(image).media_type)
    except (FetchRefused, NotAPicture) as error:
        return Found(wanted=wanted, problem=error.detail[:200])
