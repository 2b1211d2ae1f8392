"""What happened lately, for administrators: the events of consents, clients and the service in one list; daily counts.

Reads only. The list goes on by keyset, so that its hundredth page costs what the first one costs.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, String, and_, func, literal, null, or_, select, union_all

from consent.clients import Client, ClientEvent
from consent.interventions import OperatorEvent
from consent.records import Consent, ConsentEvent, Event
from consent.supervision import PAGE, between, named
from dataspace.accesses import Access, Outcome
from dataspace.db import db

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
CLIENT_EVENTS = (
    "client:registered",
    "client:changed",
    "client:purpose_approved",
    "client:secret_replaced",
    "client:suspended",
    "client:reinstated",
    "client:deleted",
    "client:confirmed",
    "client:unconfirmed",
    "client:purpose_proposed",
    "client:purpose_refused",
)
OPERATOR_EVENTS = (
    "keys:generated",
    "keys:rotated",
    "wrapping_keys:rotated",
    "wrapping_keys:forgotten",
    "log:begun",
    "invitation:issued",
    "invitation:revoked",
    "holder:searched",
    "evidence:packed",
    "holder:died",
    "holder:alive",
    "space:erased",
    "record:erased",
    "space:kept",
    "certificate:frozen",
    "certificate:thawed",
    "certificate:revoked",
    "events:sent_again",
    "mails:sent_again",
)
SERIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "given": (Event.GIVEN, Event.CO_APPROVED),
        "refused": (Event.REFUSED, Event.CO_REJECTED),
        "withdrawn": (Event.WITHDRAWN,),
        "revoked": (Event.INVALIDATED,),
    }
)
Day = tuple[dt.datetime, dt.datetime]  # from (inclusive), until (exclusive)


@dataclass(frozen=True)
class Cursor:
    """The last line of a page: its time, which table it came from, and its number there."""

    at: dt.datetime
    source: str
    event_id: int

    def __str__(self) -> str:
        return f"{(self.at - EPOCH) // dt.timedelta(microseconds=1)}-{self.source}-{self.event_id}"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which events: of one kind, about one client (as :func:`supervision.named`), from until. Empty means any."""

    kind: str = ""
    client: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None


@dataclass(frozen=True)
class Feed:
    """Rows of (at, source, event_id, kind, subject, client_id, actor_id, reason_code, text), newest first."""

    rows: list[Row[Any]]
    older: Cursor | None


def parse_cursor(unverified: str) -> Cursor | None:
    """A cursor from an address; None when it is none."""
    at, _, rest = unverified.partition("-")
    source, _, event_id = rest.partition("-")
    if source not in _SOURCES or not all(n.isascii() and n.isdigit() and len(n) <= 17 for n in (at, event_id)):
        return None
    return Cursor(EPOCH + dt.timedelta(microseconds=int(at)), source, int(event_id))


def latest(wanted: Wanted, before: Cursor | None = None) -> Feed:
    """One page of what happened, in one statement."""
    parts = []
    for source, query in _SOURCES.items():
        if wanted.kind and wanted.kind not in _KINDS[source]:
            continue
        if wanted.client and source == "operator":
            continue
        part = _narrowed(source, query, wanted, before).subquery()
        parts.append(select(part))
    if not parts:
        return Feed([], None)
    merged = union_all(*parts).subquery()
    newest = select(merged).order_by(merged.c.at.desc(), merged.c.source.desc(), merged.c.event_id.desc())
    rows = list(db.session.execute(newest.limit(PAGE + 1)))
    last = rows[PAGE - 1] if len(rows) > PAGE else None
    return Feed(rows[:PAGE], Cursor(last.at, last.source, last.event_id) if last is not None else None)


def per_day(days: Sequence[Day]) -> dict[str, list[int]]:
    """Counts for each day: the keys of SERIES, ``answered`` and ``refused_reads``. Two statements."""
    by_kind = _count(ConsentEvent.at, ConsentEvent.kind, [k for kinds in SERIES.values() for k in kinds], days)
    reads = _count(Access.at, Access.outcome, [*Outcome], days)
    counts = {name: [sum(by_kind.get((n, k), 0) for k in SERIES[name]) for n in range(len(days))] for name in SERIES}
    counts["answered"] = [reads.get((n, Outcome.ANSWERED), 0) for n in range(len(days))]
    counts["refused_reads"] = [reads.get((n, Outcome.REFUSED), 0) for n in range(len(days))]
    return counts


def _events(table: Any, source: str, **columns: Any) -> Select[Any]:
    """The columns of :class:`Feed` from one table of events."""
    own = {name: getattr(table, name) for name in ("kind", "actor_id", "reason_code", "text")} | columns
    return select(
        table.at.label("at"),
        literal(source, String).label("source"),
        table.event_id.label("event_id"),
        *(own[n].label(n) for n in ("kind", "subject", "client_id", "actor_id", "reason_code", "text")),
    )


_SOURCES: Mapping[str, Select[Any]] = MappingProxyType(
    {
        "consent": _events(ConsentEvent, "consent", subject=ConsentEvent.consent_id, client_id=Consent.client_id).join(
            Consent, Consent.consent_id == ConsentEvent.consent_id
        ),
        "client": _events(ClientEvent, "client", subject=ClientEvent.client_id, client_id=ClientEvent.client_id),
        "operator": _events(OperatorEvent, "operator", subject=OperatorEvent.subject, client_id=null()),
    }
)
_TABLES: Mapping[str, Any] = MappingProxyType(
    {"consent": ConsentEvent, "client": ClientEvent, "operator": OperatorEvent}
)
_KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"consent": tuple(Event), "client": CLIENT_EVENTS, "operator": OPERATOR_EVENTS}
)


def _narrowed(source: str, query: Select[Any], wanted: Wanted, before: Cursor | None) -> Select[Any]:
    table = _TABLES[source]
    query = query.where(*between(table.at, wanted.since, wanted.until))
    if wanted.kind:
        query = query.where(table.kind == wanted.kind)
    if wanted.client:
        column = Consent.client_id if source == "consent" else ClientEvent.client_id
        query = query.where(column.in_(select(Client.client_id).where(named(wanted.client))))
    if before is not None:
        query = query.where(_after(table, source, before))
    return query.order_by(table.at.desc(), table.event_id.desc()).limit(PAGE + 1)


def _after(table: Any, source: str, cursor: Cursor) -> ColumnElement[bool]:
    """What comes after the cursor in the order at, source, event_id, all descending."""
    earlier: ColumnElement[bool] = table.at < cursor.at
    if source > cursor.source:
        return earlier
    if source < cursor.source:
        return or_(earlier, table.at == cursor.at)
    return or_(earlier, and_(table.at == cursor.at, table.event_id < cursor.event_id))


def _count(at: Any, by: Any, values: Sequence[str], days: Sequence[Day]) -> dict[tuple[int, str], int]:
    # One range per day instead of a date function: the databases spell those differently, and ranges use the index.
    parts = [
        select(literal(n).label("day"), by.label("value"), func.count().label("count"))
        .where(at >= since, at < until, by.in_(list(values)))
        .group_by(by)
        for n, (since, until) in enumerate(days)
    ]
    return {(day, value): count for day, value, count in db.session.execute(union_all(*parts))}
