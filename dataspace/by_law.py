"""Reads that rest on a law and not on a consent: the cases they are made in, how often, and what is shown only later.

A case is one matter of one authority about one holder, under one power. The first request decides whether the holder
is told at once or later, and until when at the latest; nothing moves that moment away again, whatever is asked or
decided afterwards. A line of the access log that is not to be shown yet does not stand in the access log at all but
here, so that no page, file or count can show it by mistake; :mod:`dataspace.disclosure` moves it when its time comes.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Index, Select, String, UniqueConstraint, and_, func, insert, select, update
from sqlalchemy import case as sql_case
from sqlalchemy.orm import Mapped, mapped_column

from dataspace.days import CHINA, midnight
from dataspace.db import Model, RowId, connection, db, insert_new, new_id, table_of
from dataspace.permission import ByLaw, Permission, ReadRefused


class LawCase(Model):
    """``case_no``, ``reason``: as the authority has said them; ``shown_at``: when the holder is to see it.

    ``disclosed_at``: when what had been held back was shown; it stays None in a case that was never hidden.
    """

    __tablename__ = "law_cases"
    __table_args__ = (
        UniqueConstraint("power_id", "space_id", "case_no"),
        Index(None, "space_id", "opened_at"),
        Index(None, "hidden_until"),
    )
    case_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    power_id: Mapped[str] = mapped_column(String(40))
    power_version: Mapped[int]
    client_id: Mapped[str] = mapped_column(String(80))
    space_id: Mapped[str] = mapped_column(String(40))
    case_no: Mapped[str] = mapped_column(String(80))
    reason: Mapped[str] = mapped_column(String(200))
    opened_at: Mapped[dt.datetime]
    hidden_until: Mapped[dt.datetime | None]
    disclosed_at: Mapped[dt.datetime | None]
    reads: Mapped[int] = mapped_column(default=0)

    def hides(self, now: dt.datetime) -> dt.datetime | None:
        """Until when the holder is not shown it; None when it is shown."""
        return hides(self, now)


class Hidden(Protocol):
    """What of a case decides whether it is shown."""

    hidden_until: dt.datetime | None
    disclosed_at: dt.datetime | None


def hides(case: Hidden, now: dt.datetime) -> dt.datetime | None:
    """Until when a holder is not shown a case; None when it is shown. What was shown once is never hidden again."""
    if case.hidden_until is None or case.disclosed_at is not None or now >= case.hidden_until:
        return None
    return case.hidden_until


class LawDay(Model):
    """How often a power was used on a day, which began in China at ``day``: what is published, and limited."""

    __tablename__ = "law_days"
    __table_args__ = (UniqueConstraint("power_id", "day"), Index(None, "day"))
    row_id: Mapped[int] = mapped_column(RowId, primary_key=True)
    power_id: Mapped[str] = mapped_column(String(40))
    client_id: Mapped[str] = mapped_column(String(80))
    day: Mapped[dt.datetime]
    reads: Mapped[int] = mapped_column(default=0)
    hidden: Mapped[int] = mapped_column(default=0)  # of the reads
    refused: Mapped[int] = mapped_column(default=0)


class DeferredAccess(Model):
    """A line of the access log that is not shown yet: ``line`` holds its columns, ``shown_at`` is when it is moved.

    ``delivery_id``: of an answered read, by which its recipient can have it proven meanwhile.
    """

    __tablename__ = "deferred_accesses"
    __table_args__ = (Index(None, "shown_at"), Index(None, "case_id"), Index(None, "delivery_id"))
    deferred_id: Mapped[int] = mapped_column(RowId, primary_key=True)
    case_id: Mapped[str | None] = mapped_column(String(40))
    space_id: Mapped[str] = mapped_column(String(40))
    shown_at: Mapped[dt.datetime]
    delivery_id: Mapped[str | None] = mapped_column(String(40))
    line: Mapped[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Matter:
    """What an authority says that a case is about. ``hidden_until`` None: the holder is told at once."""

    power_id: str
    power_version: int
    client_id: str
    space_id: str
    case_no: str
    reason: str
    hidden_until: dt.datetime | None


def open_case(matter: Matter, now: dt.datetime) -> LawCase:
    """The case of this number about this holder: a new one, or the one that there is, as it was opened."""
    values = {
        "case_id": new_id("law"),
        "power_id": matter.power_id,
        "power_version": matter.power_version,
        "client_id": matter.client_id,
        "space_id": matter.space_id,
        "case_no": matter.case_no,
        "reason": matter.reason,
        "opened_at": now,
        "hidden_until": matter.hidden_until,
        "reads": 0,
    }
    db.session.execute(insert_new(LawCase).values(values))
    opened: LawCase = db.session.scalars(_named(matter.power_id, matter.space_id, matter.case_no)).one()
    return opened


def find_case(power_id: str, space_id: str, case_no: str) -> LawCase | None:
    """The case of this number about this holder, if it is open already."""
    found: LawCase | None = db.session.scalar(_named(power_id, space_id, case_no))
    return found


def cases(case_ids: Sequence[str]) -> dict[str, LawCase]:
    """Several cases by their ids, in one query."""
    return {case.case_id: case for case in db.session.scalars(select(LawCase).where(LawCase.case_id.in_(case_ids)))}


def hidden_cases(now: dt.datetime, limit: int = 100) -> list[LawCase]:
    """Cases that their holders do not know of at ``now``, the one that is shown first at the top."""
    hidden = (LawCase.hidden_until > now, LawCase.disclosed_at.is_(None))
    query = select(LawCase).where(*hidden).order_by(LawCase.hidden_until, LawCase.case_id).limit(limit)
    return list(db.session.scalars(query))


_CASES, _DAYS = table_of(LawCase), table_of(LawDay)


def count(permission: Permission, law: ByLaw, now: dt.datetime) -> None:
    """Count one answered read, in its transaction. Raises ReadRefused when the day or the case has had its share.

    Of several reads at once none gets through too many: each takes its place by a condition.
    """
    of_day = _day(law, permission.client_id, now)
    within = of_day.values(reads=_DAYS.c.reads + 1, hidden=_DAYS.c.hidden + int(law.hidden_until is not None))
    if connection().execute(within.where(_DAYS.c.reads < law.day_limit)).rowcount == 0:
        raise ReadRefused("day_limit_reached", permission=permission)
    of_case = update(_CASES).where(_CASES.c.case_id == law.case_id, _CASES.c.reads < law.case_limit)
    if connection().execute(of_case.values(_one_more(law, now))).rowcount == 0:
        # The refusal is committed with its line, so what the day had counted is taken back.
        back = of_day.values(reads=_DAYS.c.reads - 1, hidden=_DAYS.c.hidden - int(law.hidden_until is not None))
        connection().execute(back)
        raise ReadRefused("case_limit_reached", permission=permission)


def count_refused(permission: Permission, law: ByLaw, now: dt.datetime) -> None:
    """Count one refused attempt."""
    connection().execute(_day(law, permission.client_id, now).values(refused=_DAYS.c.refused + 1))


def defer(row: dict[str, Any], law: ByLaw, shown_at: dt.datetime) -> None:
    """Keep a line of the access log until it may be shown."""
    line = {name: _plain(value) for name, value in row.items()}
    kept = {"case_id": law.case_id, "shown_at": shown_at, "line": line}
    kept |= {name: row.get(name) for name in ("space_id", "delivery_id")}
    connection().execute(insert(table_of(DeferredAccess)), kept)


@dataclass(frozen=True)
class Month:
    """What an authority has read by law in one month. ``hidden``: of the reads, those that were shown later."""

    client_id: str
    month: str  # YYYY-MM, in China
    reads: int
    hidden: int
    refused: int


def months(since: dt.datetime) -> list[Month]:
    """The use of every authority by month, the latest month first: numbers, and nobody's name or case."""
    days = db.session.execute(
        select(LawDay.client_id, LawDay.day, func.sum(LawDay.reads), func.sum(LawDay.hidden), func.sum(LawDay.refused))
        .where(LawDay.day >= since)
        .group_by(LawDay.client_id, LawDay.day)
    )
    found: dict[tuple[str, str], list[int]] = {}
    for client_id, day, *numbers in days:
        so_far = found.setdefault((f"{day.astimezone(CHINA):%Y-%m}", client_id), [0, 0, 0])
        found[f"{day.astimezone(CHINA):%Y-%m}", client_id] = [a + b for a, b in zip(so_far, numbers, strict=True)]
    in_order = sorted(found.items(), key=lambda entry: entry[0][1])
    in_order.sort(key=lambda entry: entry[0][0], reverse=True)
    return [Month(client_id, month, *numbers) for (month, client_id), numbers in in_order]


def _named(power_id: str, space_id: str, case_no: str) -> Select[Any]:
    return select(LawCase).filter_by(power_id=power_id, space_id=space_id, case_no=case_no)


def _one_more(law: ByLaw, now: dt.datetime) -> dict[str, Any]:
    """One more read of a case; one that is shown shows the case for good, also when the clock is set back."""
    more: dict[str, Any] = {"reads": _CASES.c.reads + 1}
    if law.hidden_until is None:
        first = and_(_CASES.c.hidden_until.is_not(None), _CASES.c.disclosed_at.is_(None))
        more["disclosed_at"] = sql_case((first, now), else_=_CASES.c.disclosed_at)
    return more


def _day(law: ByLaw, client_id: str, now: dt.datetime) -> Any:
    """An UPDATE of today's row of a power, which is there."""
    day = midnight(now.astimezone(CHINA).date())
    row = {"power_id": law.power_id, "client_id": client_id, "day": day, "reads": 0, "hidden": 0, "refused": 0}
    db.session.execute(insert_new(LawDay).values(row))
    return update(_DAYS).where(_DAYS.c.power_id == law.power_id, _DAYS.c.day == day)


def _plain(value: Any) -> Any:
    """As JSON keeps it; :mod:`dataspace.disclosure` makes it what it was, by the types of the columns."""
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else value
