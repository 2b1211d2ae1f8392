"""The access log: one row per answered or refused read, shown to the holder; never a value.

A read is answered only by :func:`dataspace.extracts.read`, which writes the row in the transaction of the data.
"""

import datetime as dt
import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Index, LargeBinary, String, func, select, text
from sqlalchemy.orm import Mapped, mapped_column

from dataspace import by_law, entries, measured, messages
from dataspace.db import Model, RowId, db, insert_new, new_id, table_of
from dataspace.entered import Entered
from dataspace.entries import Entry
from dataspace.errors import Conflict, NotFound
from dataspace.frequency import Frequency, Window
from dataspace.measured import Measured
from dataspace.messages import Group, Notice
from dataspace.permission import ByLaw, Permission, ReadRefused


class Action(enum.StrEnum):
    READ = "read"
    COMPARE = "compare"  # values that the caller brought were compared; none left
    SHOW = "show"  # the holder has shown a certificate to somebody, and it was opened


class Outcome(enum.StrEnum):
    ANSWERED = "answered"
    REFUSED = "refused"


# Refusals that mean no harm: what the holder or time has yet to bring, and slips of a program.
EXPECTED = frozenset(
    {
        "consent_pending", "consent_not_yet_valid", "insufficient_user_authentication", "invalid_request",
        "invalid_cursor", "no_encryption_key", "not_certifiable", "too_many_certificates",
    }
)  # fmt: skip
WITHDRAWN = "consent_withdrawn"
COMPARISONS_A_DAY = 20  # that one consent answers within 24 hours
_NUMBERED = text("read_no IS NOT NULL")
_COMPARED = text("compare_no IS NOT NULL")
_IN_WINDOW = text("window_no IS NOT NULL")


class Access(Model):
    """``read_no`` counts the answered reads of a consent that limits them, ``window_no`` those of a window (a day, ...)
    of one that limits how often, ``compare_no`` comparisons; that each number is taken once makes the limits hold.
    ``record_ids``: the versions of records that were read; ``continues``: the delivery of the first page, for the pages
    after it, which count no more (:mod:`dataspace.walks`); ``response_digest``: SHA-256 of the answer in its canonical
    form (RFC 8785).
    """

    __tablename__ = "accesses"
    __table_args__ = (
        Index(None, "space_id", "access_id"),
        Index(None, "consent_id", "at"),
        Index(None, "delivery_id"),
        Index(None, "at", "outcome"),  # counts per day read nothing but this
        # Only limited consents number their reads: every other row stays out of this index.
        Index(None, "consent_id", "read_no", unique=True, sqlite_where=_NUMBERED, postgresql_where=_NUMBERED),
        Index(None, "consent_id", "window_start", "window_no", unique=True, sqlite_where=_IN_WINDOW,
              postgresql_where=_IN_WINDOW),
        Index(None, "consent_id", "compare_no", unique=True, sqlite_where=_COMPARED, postgresql_where=_COMPARED),
    )  # fmt: skip
    access_id: Mapped[int] = mapped_column(RowId, primary_key=True)
    at: Mapped[dt.datetime]
    space_id: Mapped[str] = mapped_column(String(40))
    consent_id: Mapped[str] = mapped_column(String(40))
    consent_version: Mapped[int]
    client_id: Mapped[str] = mapped_column(String(80))
    recipient: Mapped[str] = mapped_column(String(200))
    purpose: Mapped[str] = mapped_column(String(400))
    reference_no: Mapped[str | None] = mapped_column(String(80))
    item_ids: Mapped[list[Any]]
    action: Mapped[str] = mapped_column(String(10), default=Action.READ)
    outcome: Mapped[str] = mapped_column(String(10))
    reason: Mapped[str | None] = mapped_column(String(40))
    read_no: Mapped[int | None]
    window_start: Mapped[dt.datetime | None]
    window_no: Mapped[int | None]
    compare_no: Mapped[int | None]
    delivery_id: Mapped[str | None] = mapped_column(String(40))
    continues: Mapped[str | None] = mapped_column(String(40))
    salt: Mapped[bytes | None] = mapped_column(LargeBinary(entries.SALT))  # of its entry in the log of evidence
    record_ids: Mapped[list[Any] | None]
    response_digest: Mapped[str | None] = mapped_column(String(64))
    # Of a read by law, which names no consent (dataspace.by_law)
    power_id: Mapped[str | None] = mapped_column(String(40))
    power_version: Mapped[int | None]
    case_id: Mapped[str | None] = mapped_column(String(40))


class QuotaExhausted(Conflict):
    code = "quota_exhausted"
    sentence = "This authorization has been used as often as it allows."
    status = 403


class FrequencyExceeded(Conflict):
    """``until``: when the next read is possible."""

    code = "frequency_exceeded"
    sentence = "This authorization has been used as often as it allows for the time being."
    status = 403

    def __init__(self, until: dt.datetime) -> None:
        super().__init__("all reads of this window used")
        self.until = until


_ENTERED = Entered(table_of(Access), numbered="access_id")


def record_answered(
    permission: Permission,
    item_ids: list[str],
    now: dt.datetime,
    *,
    action: Action = Action.READ,
    delivery_id: str = "",
    continues: str | None = None,
    record_ids: Iterable[str | None] = (),
    response_digest: str | None = None,
) -> str:
    """Write the row of an answered read and return its delivery id: the one that is given, or a new one.

    ``continues``: the delivery of the first page, of a page after it; it was counted then, and this one is not.
    Raises QuotaExhausted when the consent's reads are used up, FrequencyExceeded when they are for the time being,
    ReadRefused when a limit of the law's or the day's comparisons are.
    """
    delivery_id = delivery_id or new_id("dlv")
    row = _row(permission, item_ids, now) | {"action": action, "outcome": Outcome.ANSWERED}
    row |= {"delivery_id": delivery_id, "continues": continues, "response_digest": response_digest}
    row["record_ids"] = [record_id for record_id in record_ids if record_id]
    if permission.law is not None:
        if continues is None:
            by_law.count(permission, permission.law, now)
        _write_by_law(row, permission.law, Notice.LAW_READ, Group.BY_LAW)
        return delivery_id
    limited = permission.max_reads is not None or permission.frequency is not None or action == Action.COMPARE
    if continues is not None or not limited:
        _write(row)
        return delivery_id
    entry = _entry_of(row)
    # Two reads at once take two numbers: whoever finds one of its numbers taken looks for the next.
    while True:
        numbers = _next_numbers(permission, now, action)
        taken = insert_new(Access).values(row | numbers | {"salt": entry.salt}).returning(Access.access_id)
        if db.session.scalar(taken) is not None:
            entries.append(entry)
            return delivery_id


def _next_numbers(permission: Permission, now: dt.datetime, action: Action) -> dict[str, Any]:
    """The numbers of the next read. Raises QuotaExhausted, FrequencyExceeded, ReadRefused."""
    numbers: dict[str, Any] = {}
    if action == Action.COMPARE:
        numbers["compare_no"] = _next_comparison(permission, now)
    if permission.max_reads is not None:
        numbers["read_no"] = answered(permission.consent_id) + 1
        if numbers["read_no"] > permission.max_reads:
            raise QuotaExhausted("all reads used")
    if permission.frequency is not None:
        window, used = _window(permission.consent_id, permission.frequency, now)
        if used >= permission.frequency.n:
            raise FrequencyExceeded(window.end)
        numbers |= {"window_start": window.start, "window_no": used + 1}
    return numbers


def _next_comparison(permission: Permission, now: dt.datetime) -> int:
    """The number of the next comparison. Raises ReadRefused when the last ones were all within 24 hours."""
    mine = select(Access.compare_no, Access.at).where(
        Access.consent_id == permission.consent_id, Access.compare_no.is_not(None)
    )
    last = db.session.execute(mine.order_by(Access.compare_no.desc()).limit(COMPARISONS_A_DAY)).all()
    if len(last) == COMPARISONS_A_DAY and last[-1].at > now - dt.timedelta(days=1):
        raise ReadRefused("too_many_comparisons", permission=permission)
    return int(last[0].compare_no) + 1 if last else 1


def _window(consent_id: str, frequency: Frequency, now: dt.datetime) -> tuple[Window, int]:
    """The window that a read at ``now`` falls into, and how many reads it has: one step in the index.

    The latest window that was read in, when that is later than ``now``: a clock that goes backwards opens none anew.
    """
    latest = db.session.execute(
        select(Access.window_start, Access.window_no)
        .where(Access.consent_id == consent_id, Access.window_no.is_not(None))
        .order_by(Access.window_start.desc(), Access.window_no.desc())
        .limit(1)
    ).first()
    window = frequency.window(now)
    if latest is None or latest.window_start < window.start:
        return window, 0
    return Window(start=latest.window_start, end=frequency.window(latest.window_start).end), latest.window_no


def record_refused(
    permission: Permission, item_ids: list[str], reason: str, now: dt.datetime, since: dt.datetime | None = None,
    *, action: Action = Action.READ,
) -> None:  # fmt: skip
    """Write the row of a refused read, and tell the holder, once a day for each consent, of one that was not expected.

    ``since``: when the reason came into being. At the first refusal after a withdrawal it is noted for how long reads
    were still answered after it.
    """
    row = _row(permission, item_ids, now) | {"action": action, "outcome": Outcome.REFUSED, "reason": reason}
    if permission.law is not None:
        by_law.count_refused(permission, permission.law, now)
        _write_by_law(row, permission.law, Notice.READ_REFUSED, Group.READS)
        return
    first = reason == WITHDRAWN and since is not None and _is_first(permission.consent_id, since)
    _write(row)
    if reason not in EXPECTED:
        once = f"{Notice.READ_REFUSED}:{permission.consent_id}:{now:%Y-%m-%d}"
        about = permission.consent_id
        messages.send(permission.space_id, Notice.READ_REFUSED, Group.READS, now, about=about, once=once)
    if first and since is not None:
        still = _last_answered(permission.consent_id, since) - since
        measured.note(Measured.READ_AFTER_WITHDRAWAL, now, still.total_seconds())


def _is_first(consent_id: str, since: dt.datetime) -> bool:
    """Whether nobody has been told yet that this consent was withdrawn."""
    told = (Access.consent_id == consent_id, Access.at >= since, Access.reason == WITHDRAWN)
    return db.session.scalar(select(Access.access_id).where(*told).limit(1)) is None


def _last_answered(consent_id: str, since: dt.datetime) -> dt.datetime:
    """When a read of a consent was last answered to its client, ``since`` if none was after that."""
    later = (Access.consent_id == consent_id, Access.at > since, Access.action != Action.SHOW)
    answered_ones = select(func.max(Access.at)).where(*later, Access.outcome == Outcome.ANSWERED)
    return db.session.scalar(answered_ones) or since


def _write(row: dict[str, Any]) -> None:
    """The row and its entry in the log of evidence: neither is ever there without the other."""
    entry = _entry_of(row)
    _ENTERED.run(row | {"salt": entry.salt}, entry)


def _write_by_law(row: dict[str, Any], law: ByLaw, notice: Notice, group: Group) -> None:
    """The same of a read by law; the holder is told in place of being asked, once a day for each case.

    What is not to be shown yet waits elsewhere, and nobody is told; its entry is in the log of evidence from now on.
    """
    if law.hidden_until is None:
        _write(row)
        about = law.case_id or f"{row['space_id']}:{law.power_id}"
        once = f"{notice}:{about}:{row['at']:%Y-%m-%d}"
        messages.send(row["space_id"], notice, group, row["at"], about=law.case_id or "", once=once)
        return
    entry = _entry_of(row)
    by_law.defer(row | {"salt": entry.salt}, law, law.hidden_until)
    entries.append(entry)


def entry_of(access: Access) -> Entry | None:
    """The entry of a row in the log of evidence; None when its salt is gone, or it is older than the log."""
    if access.salt is None:
        return None
    named = ("space_id", "record_ids", *_STATED, *_STATED_BY_LAW)
    return _stated({name: getattr(access, name) for name in named}, access.at, access.salt)


def _entry_of(row: dict[str, Any]) -> Entry:
    return _stated(row, row["at"], entries.new_salt())


def _stated(row: dict[str, Any], at: dt.datetime, salt: bytes) -> Entry:
    """What the log can prove of a row; of a read by law also under which power and in which case.

    Space and records are named by SHA-256 of salt and id: whoever knows an id can tell that it is this one, but two
    recipients who compare what they can prove learn nothing from it about whom they have read of.
    """
    names = _STATED if row.get("power_id") is None else (*_STATED, *_STATED_BY_LAW)
    said = {name: row.get(name) for name in names} | {"space": entries.blinded(row["space_id"], salt)}
    records = row.get("record_ids")
    said["records"] = None if records is None else [entries.blinded(one, salt) for one in records]
    return Entry.of("access", at, salt, **said)


_STATED_BY_LAW = ("power_id", "power_version", "case_id")
_STATED = ("consent_id", "consent_version", "client_id", "recipient", "purpose", "reference_no", "item_ids",
           "action", "outcome", "reason", "delivery_id", "response_digest")  # fmt: skip


def _row(permission: Permission, item_ids: list[str], now: dt.datetime) -> dict[str, Any]:
    return {
        "at": now,
        "space_id": permission.space_id,
        "consent_id": permission.consent_id,
        "consent_version": permission.consent_version,
        "client_id": permission.client_id,
        "recipient": permission.recipient,
        "purpose": permission.purpose,
        "reference_no": permission.reference_no,
        "item_ids": item_ids,
        "action": Action.READ,
        **(_by_law(permission.law) if permission.law is not None else {}),
    }


def _by_law(law: ByLaw) -> dict[str, Any]:
    return {"power_id": law.power_id, "power_version": law.power_version, "case_id": law.case_id}


def answered(consent_id: str) -> int:
    """How many reads of a limited consent were answered: the highest number, for they have no gaps."""
    numbered = (Access.consent_id == consent_id, Access.read_no.is_not(None))
    return db.session.scalar(select(func.max(Access.read_no)).where(*numbered)) or 0


@dataclass(frozen=True)
class Usage:
    """How a consent was used: the last answered read, and the answered reads of the last 30 days."""

    last_read_at: dt.datetime | None
    reads_30_days: int


def usage(consent_ids: list[str], now: dt.datetime) -> dict[str, Usage]:
    """The usage of many consents in two queries; consents never read are left out."""
    # What the holder has shown to somebody is no use of the consent by its client.
    mine = (Access.consent_id.in_(consent_ids), Access.outcome == Outcome.ANSWERED, Access.action != Action.SHOW)
    last = db.session.execute(select(Access.consent_id, func.max(Access.at)).where(*mine).group_by(Access.consent_id))
    lasts: dict[str, Any] = {row[0]: row[1] for row in last}
    recent = db.session.execute(
        select(Access.consent_id, func.count())
        .where(*mine, Access.at > now - dt.timedelta(days=30), Access.continues.is_(None))
        .group_by(Access.consent_id)
    )
    counts: dict[str, int] = {row[0]: row[1] for row in recent}
    return {consent_id: Usage(at, counts.get(consent_id, 0)) for consent_id, at in lasts.items()}


@dataclass(frozen=True)
class Page:
    """One page of the log, newest first; ``older`` is the cursor of the next page or None."""

    rows: list[Access]
    older: int | None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which lines: of a consent, client, outcome, from ``since`` (inclusive) until ``until`` (exclusive); None: any.

    ``by_law``: only those that rest on a law (True) or on a consent (False); ``case_id``: of one case under a law.
    """

    consent_id: str | None = None
    case_id: str | None = None
    by_law: bool | None = None
    client_id: str | None = None
    outcome: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None


def log_of(space_id: str, wanted: Wanted = Wanted(), *, before: int | None = None, size: int = 25) -> Page:
    """The access log of one space, by keyset, so that page 4000 costs what page 1 costs."""
    query = select(Access).where(Access.space_id == space_id)
    if wanted.by_law is not None:
        query = query.where(Access.power_id.is_not(None) if wanted.by_law else Access.power_id.is_(None))
    for column in (Access.consent_id, Access.case_id, Access.client_id, Access.outcome):
        value = getattr(wanted, column.key)
        if value:
            query = query.where(column == value)
    if wanted.since is not None:
        query = query.where(Access.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(Access.at < wanted.until)
    if before is not None:
        query = query.where(Access.access_id < before)
    rows = list(db.session.scalars(query.order_by(Access.access_id.desc()).limit(size + 1)))
    return Page(rows[:size], rows[size - 1].access_id if len(rows) > size else None)


def line_of(space_id: str, access_id: int) -> Access:
    """One line of the log of a space. Raises NotFound when there is none or it is somebody else's."""
    line = db.session.get(Access, access_id)
    if line is None or line.space_id != space_id:
        raise NotFound("not a line of this space")
    return line
