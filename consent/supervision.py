"""What administrators may see: consents with their use, clients, keys, and what happened lately. Reads only.

Nothing here opens a record. Holders appear masked. Every page costs a fixed number of statements.
"""

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, or_, select

from consent.clients import Client, ClientEvent
from consent.keys import ServerKey
from consent.records import Consent, ConsentEvent, State, facts_query
from dataspace import holders, jwk
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.vault import Vault

PAGE = 25
MAX_ROWS = 10_000  # what a search counts, turns pages through and exports; more wants a narrower search
LANGUAGES = ("zh_hans", "zh_hant", "en")


@dataclass(frozen=True, kw_only=True)
class Search:
    """Which consents: part of a client's name or its id, an exact reference number, a state, a holder, from until.

    Empty means any. ``since`` is inclusive, ``until`` exclusive; both are about when the consent was made.
    """

    client: str = ""
    reference: str = ""
    state: str = ""
    holder_id: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None


@dataclass(frozen=True)
class Page:
    """One page of a list. ``total`` counts at most MAX_ROWS; ``more`` says that there are more than that."""

    rows: list[Any]
    number: int
    total: int
    more: bool = False

    @property
    def pages(self) -> int:
        """How many pages there are; an empty list has one."""
        return max(1, -(-self.total // PAGE))


@dataclass(frozen=True)
class Masked:
    """How administrators see a holder."""

    name: str
    identifier: str


def find(search: Search, number: int) -> Page:
    """One page of consents, newest first: rows of Facts with what a list shows. Two statements."""
    wanted = _wanted(search)
    bounded = wanted.limit(MAX_ROWS + 1).subquery()
    total = db.session.scalar(select(func.count()).select_from(bounded)) or 0
    number = max(1, min(number, -(-min(total, MAX_ROWS) // PAGE)))
    rows = _facts_of(_newest_first(wanted).limit(PAGE).offset((number - 1) * PAGE))
    return Page(rows, number, min(total, MAX_ROWS), total > MAX_ROWS)


def export(search: Search) -> list[Row[Any]]:
    """The rows of all pages at once, at most MAX_ROWS."""
    return _facts_of(_newest_first(_wanted(search)).limit(MAX_ROWS))


def overview(consent_id: str) -> Row[Any] | None:
    """One consent as :func:`find` shows it, or None."""
    return db.session.execute(_rows().where(Consent.consent_id == consent_id)).one_or_none()


def history(consent_id: str) -> list[ConsentEvent]:
    """The events of a consent, newest first."""
    found = select(ConsentEvent).where(ConsentEvent.consent_id == consent_id).order_by(ConsentEvent.seq.desc())
    return list(db.session.scalars(found))


def has_reference(reference_no: str) -> bool:
    """Whether any consent carries this reference number."""
    found = select(Consent.consent_id).where(Consent.reference_no == reference_no).limit(1)
    return db.session.scalar(found) is not None


def masked(holder_ids: Iterable[str], *, vault: Vault) -> dict[str, Masked]:
    """Holders as administrators see them, in one statement; those whose key was destroyed are left out."""
    found = holders.profiles({h for h in holder_ids if h}, vault=vault)
    return {h: Masked(mask_name(profile.name), profile.masked_identifier) for h, profile in found.items()}


def mask_name(name: str) -> str:
    """The first character of a person's name, the first two and the last two of a long one."""
    if len(name) > 6:
        return f"{name[:2]}***{name[-2:]}"
    return name[:1] + "*" * (len(name) - 1)


def _rows() -> Select[Any]:
    query: Select[Any] = facts_query(
        Consent.client_id,
        Client.legal_name,
        Consent.kind,
        Consent.holder_id,
        Consent.person_id,
        Consent.space_id,
        Consent.capacity,
        Consent.purpose_code,
        Consent.purpose_text,
        Consent.reference_no,
        Consent.version,
        Consent.created_at,
    )
    return query


def _facts_of(consent_ids: Select[Any]) -> list[Row[Any]]:
    # The ids are found on the consents alone: joined first, a database may sort everything before it takes a page.
    return list(db.session.execute(_newest_first(_rows().where(Consent.consent_id.in_(consent_ids)))))


def _newest_first(query: Select[Any]) -> Select[Any]:
    return query.order_by(Consent.created_at.desc(), Consent.consent_id.desc())


def _wanted(search: Search) -> Select[Any]:
    """The ids of the consents that are looked for."""
    query = select(Consent.consent_id)
    if search.client:
        query = query.where(Consent.client_id.in_(select(Client.client_id).where(named(search.client))))
    if search.reference:
        query = query.where(Consent.reference_no == search.reference)
    if search.state:
        query = query.where(Consent.state == search.state)
    if search.holder_id:
        space = select(Holder.space_id).where(Holder.holder_id == search.holder_id).scalar_subquery()
        query = query.where(Consent.space_id == space)
    return query.where(*between(Consent.created_at, search.since, search.until))


def between(column: Any, since: dt.datetime | None, until: dt.datetime | None) -> list[ColumnElement[bool]]:
    """Conditions: from ``since`` on, before ``until``."""
    return [
        *([column >= since] if since is not None else []),
        *([column < until] if until is not None else []),
    ]


def named(text: str) -> ColumnElement[bool]:
    """Clients with this id or code, or this text in one of their names."""
    names = (Client.legal_name[language].as_string() for language in LANGUAGES)
    exact = (Client.client_id == text, Client.uscc == text.upper())
    return or_(*exact, *(name.icontains(text, autoescape=True) for name in names))


# Clients


def client_list(text: str, standing: str, number: int) -> Page:
    """One page of clients by id, each with how many of its consents are live. Two statements."""
    wanted = select(Client)
    if text:
        wanted = wanted.where(named(text))
    if standing:
        wanted = wanted.where(Client.standing == standing)
    total = db.session.scalar(wanted.with_only_columns(func.count(), maintain_column_froms=True)) or 0
    number = max(1, min(number, -(-total // PAGE)))
    live = (
        select(func.count())
        .where(Consent.client_id == Client.client_id, Consent.state == State.ACTIVE)
        .correlate(Client)
        .scalar_subquery()
    )
    page = wanted.add_columns(live.label("live")).order_by(Client.client_id).limit(PAGE).offset((number - 1) * PAGE)
    return Page(list(db.session.execute(page)), number, total)


def client_events(client_id: str, limit: int = 50) -> list[ClientEvent]:
    """What was done to a client, newest first."""
    found = select(ClientEvent).where(ClientEvent.client_id == client_id)
    return list(db.session.scalars(found.order_by(ClientEvent.event_id.desc()).limit(limit)))


def client_names(client_ids: Collection[str]) -> dict[str, dict[str, str]]:
    """The legal names of clients in the three languages."""
    rows = db.session.execute(select(Client.client_id, Client.legal_name).where(Client.client_id.in_(client_ids)))
    return {row.client_id: row.legal_name for row in rows}


def consents_by_state(client_id: str) -> dict[str, int]:
    """How many consents of a client are in each state."""
    rows = db.session.execute(
        select(Consent.state, func.count()).where(Consent.client_id == client_id).group_by(Consent.state)
    )
    return {str(state): int(count) for state, count in rows}


def keys_of(client: Client) -> tuple[jwk.PublicKey, ...]:
    """The keys that a client registered itself; none when it publishes them at its jwks_uri."""
    return jwk.parse_jwk_set(client.jwks, skip_foreign=True) if client.jwks else ()


# Keys of the service


def server_keys() -> list[ServerKey]:
    """All server keys, by use, newest first."""
    ordered = select(ServerKey).order_by(ServerKey.purpose, ServerKey.alg, ServerKey.active_from.desc())
    return list(db.session.scalars(ordered))


def key_state(key: ServerKey, now: dt.datetime) -> str:
    """``next`` (published, signs later), ``current``, ``retired`` (still published) or ``removed``."""
    if now < key.active_from:
        return "next"
    if key.retire_at is None or now < key.retire_at:
        return "current"
    return "retired" if key.remove_at is None or now < key.remove_at else "removed"
