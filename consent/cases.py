"""Cases: what a person demands of us or of a source, with a number, a due date and an answer.

A complaint about a read, a wrong value, data that should go, a decision that should be explained (PIPL articles 24,
44 to 50). What people write is sealed under the key of their space: erasing the space erases it.
"""

import datetime as dt
import enum
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, Select, String, func, select
from sqlalchemy.orm import Mapped, mapped_column

from consent.due_dates import due
from consent.records import Consent
from consent.supervision import PAGE, Page
from dataspace import accesses, corrections, messages
from dataspace.corrections import Correction
from dataspace.db import Model, db, new_id
from dataspace.errors import Conflict, DomainError, NotAllowed, NotFound
from dataspace.mandates import Actor, Capacity
from dataspace.messages import Group, Notice
from dataspace.sealing import seal, unseal
from dataspace.vault import Vault

MAX_TEXT = 1000
_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # read out on the phone: nothing that looks like something else
_NUMBER = re.compile(f"[0-9]{{4}}-[{_LETTERS}]{{4}}-[{_LETTERS}]{{4}}")


class CaseKind(enum.StrEnum):
    """Durable words."""

    COMPLAINT = "complaint"  # "I did not agree to this": about one line of the log, or one authorization
    CORRECTION = "correction"  # a value is wrong: for the authority that it comes from
    DELETION = "deletion"  # data should go that no authorization covers any more
    EXPLANATION = "explanation"  # how a decision was made
    KIN = "kin"  # next of kin ask for what is in the space of somebody who has died (PIPL article 49)


class CaseState(enum.StrEnum):
    NEW = "new"  # before the first event; never stored
    OPEN = "open"
    FORWARDED = "forwarded"
    ANSWERED = "answered"
    WITHDRAWN = "withdrawn"


class CaseEventKind(enum.StrEnum):
    """Durable words."""

    OPENED = "case:opened"
    FORWARDED = "case:forwarded"
    ANSWERED = "case:answered"
    REOPENED = "case:reopened"
    WITHDRAWN = "case:withdrawn"


class Outcome(enum.StrEnum):
    """What an answer says, in one durable word."""

    UPHELD = "upheld"
    PARTLY = "partly"
    REJECTED = "rejected"
    INFORMED = "informed"


CORRECTED = (Outcome.UPHELD, Outcome.PARTLY)  # answers that say that something was wrong
WAITING = (CaseState.OPEN, CaseState.FORWARDED)
TRANSITIONS: dict[tuple[CaseState, CaseEventKind], CaseState] = {
    (CaseState.NEW, CaseEventKind.OPENED): CaseState.OPEN,
    (CaseState.OPEN, CaseEventKind.FORWARDED): CaseState.FORWARDED,
    (CaseState.FORWARDED, CaseEventKind.FORWARDED): CaseState.FORWARDED,
    (CaseState.ANSWERED, CaseEventKind.REOPENED): CaseState.OPEN,
    **{(s, CaseEventKind.ANSWERED): CaseState.ANSWERED for s in WAITING},
    **{(s, CaseEventKind.WITHDRAWN): CaseState.WITHDRAWN for s in WAITING},
}


class InvalidCaseText(DomainError):
    code = "invalid_text"
    sentence = "Say it in at most 1000 characters."


class Case(Model):
    """``number`` is what people read and say. What it is about: a line of the log, an authorization, or a data item."""

    __tablename__ = "cases"
    __table_args__ = (Index(None, "space_id", "opened_at"), Index(None, "state", "due_at"))
    case_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    number: Mapped[str] = mapped_column(String(20), unique=True)
    kind: Mapped[str] = mapped_column(String(20))
    space_id: Mapped[str] = mapped_column(String(40))
    holder_id: Mapped[str] = mapped_column(ForeignKey("holders.holder_id"))
    person_id: Mapped[str] = mapped_column(ForeignKey("holders.holder_id"))  # who opened it
    consent_id: Mapped[str | None] = mapped_column(ForeignKey("consents.consent_id"))
    access_id: Mapped[int | None] = mapped_column(BigInteger)
    item_id: Mapped[str | None] = mapped_column(String(60))
    state: Mapped[str] = mapped_column(String(12))
    opened_at: Mapped[dt.datetime]
    due_at: Mapped[dt.datetime]
    last_seq: Mapped[int]

    def is_overdue(self, now: dt.datetime) -> bool:
        """Whether it should have been answered by now."""
        return self.state in WAITING and self.due_at <= now


class CaseEvent(Model):
    """One step of a case; appended, never edited. ``sealed``: the words that go with it."""

    __tablename__ = "case_events"
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.case_id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    at: Mapped[dt.datetime]
    actor_id: Mapped[str] = mapped_column(String(40))
    capacity: Mapped[str] = mapped_column(String(24))
    outcome: Mapped[str | None] = mapped_column(String(12))
    sealed: Mapped[bytes] = mapped_column(LargeBinary)


@dataclass(frozen=True, kw_only=True)
class About:
    """What a case is about, unchecked: :func:`open_case` looks whether it is of the same space."""

    consent_id: str | None = None
    access_id: int | None = None
    item_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """One event with its words, opened."""

    kind: str
    at: dt.datetime
    actor_id: str
    capacity: str
    outcome: str | None
    text: str


def open_case(
    kind: CaseKind, about: About, unverified_text: str, actor: Actor, now: dt.datetime, *, vault: Vault
) -> Case:
    """Open a case. Raises InvalidCaseText, NotFound (what it is about is not of this space). The caller commits."""
    if not actor.space_id:
        raise NotAllowed("cases are opened by people with a data space")
    about = _checked(about, actor.space_id)
    case = Case(
        case_id=new_id("cas"), number=_number(now), kind=kind, space_id=actor.space_id, holder_id=actor.holder_id,
        person_id=actor.person_id, consent_id=about.consent_id, access_id=about.access_id, item_id=about.item_id,
        state=CaseState.NEW, opened_at=now, due_at=due(now), last_seq=0,
    )  # fmt: skip
    db.session.add(case)
    db.session.flush()
    _append(case, CaseEventKind.OPENED, unverified_text, actor, now, vault=vault)
    return case


def forward(case_id: str, unverified_text: str, actor: Actor, now: dt.datetime, *, vault: Vault) -> Case:
    """An administrator passes it on; the text says to whom. Raises NotFound, Conflict, NotAllowed, InvalidCaseText."""
    return _by_desk(case_id, CaseEventKind.FORWARDED, unverified_text, actor, now, vault=vault)


def answer(
    case_id: str, outcome: Outcome, unverified_text: str, actor: Actor, now: dt.datetime, *, vault: Vault
) -> Case:
    """An administrator answers. Raises NotFound, Conflict (nothing to answer), NotAllowed, InvalidCaseText."""
    case = _by_desk(case_id, CaseEventKind.ANSWERED, unverified_text, actor, now, vault=vault, outcome=outcome)
    corrected = outcome in CORRECTED and correction_of(case) is not None
    notice = Notice.CASE_CORRECTED if corrected else Notice.CASE_ANSWERED
    messages.send(case.space_id, notice, Group.SECURITY, now, about=case.case_id)
    return case


def correction_of(case: Case) -> Correction | None:
    """How the authority has corrected the record that a correction is about: for this case, or since it was opened.

    It names a version, and not what is in it: whoever answers sees no values.
    """
    if case.kind != CaseKind.CORRECTION or case.item_id is None:
        return None
    return corrections.answer_to(case.number, case.space_id, case.item_id, case.opened_at)


def demanded(unverified_numbers: Collection[str]) -> dict[str, tuple[str, str]]:
    """Those of these numbers under which a correction is waited for: the space and the item of each."""
    numbers = [number for number in unverified_numbers if _NUMBER.fullmatch(number)]
    query = select(Case.number, Case.space_id, Case.item_id).where(
        Case.number.in_(numbers), Case.kind == CaseKind.CORRECTION, Case.state.in_(WAITING), Case.item_id.is_not(None)
    )
    return {row.number: (row.space_id, row.item_id) for row in db.session.execute(query)}


def reopen(case_id: str, unverified_text: str, actor: Actor, now: dt.datetime, *, vault: Vault) -> Case:
    """The answer does not satisfy; a new due date counts. Raises NotFound, Conflict, InvalidCaseText."""
    case = _locked(case_id, space_id=actor.space_id)
    _append(case, CaseEventKind.REOPENED, unverified_text, actor, now, vault=vault)
    case.due_at = due(now)
    return case


def withdraw(case_id: str, actor: Actor, now: dt.datetime, *, vault: Vault) -> Case:
    """It is settled, or was a mistake. Raises NotFound, Conflict."""
    case = _locked(case_id, space_id=actor.space_id)
    _append(case, CaseEventKind.WITHDRAWN, "", actor, now, vault=vault)
    return case


def close_all(space_id: str, actor: Actor, now: dt.datetime, *, vault: Vault) -> None:
    """Close what waits in a space that is deleted: nobody is left to answer."""
    for case_id in db.session.scalars(select(Case.case_id).where(Case.space_id == space_id, Case.state.in_(WAITING))):
        _append(_locked(case_id), CaseEventKind.WITHDRAWN, "", actor, now, vault=vault)


def get(case_id: str) -> Case:
    """Raises NotFound."""
    case = db.session.get(Case, case_id)
    if case is None:
        raise NotFound("no such case")
    return case


def of_space(case_id: str, space_id: str) -> Case:
    """A case of one space. Raises NotFound when there is none or it is somebody else's."""
    case = get(case_id)
    if not space_id or case.space_id != space_id:
        raise NotFound("not a case of this space")
    return case


def all_of_space(space_id: str, number: int) -> Page:
    """The cases of a space, newest first."""
    return _page(select(Case).where(Case.space_id == space_id), number, Case.opened_at.desc(), Case.case_id)


def at_desk(kind: str, state: str, number: str | None, page: int) -> Page:
    """What administrators see, the earliest due first. Empty ``state``: what waits for an answer; "all": everything."""
    found = select(Case)
    if number:
        found = found.where(Case.number == number.strip().upper())
    elif state != "all":
        found = found.where(Case.state.in_([state] if state else WAITING))
    if kind:
        found = found.where(Case.kind == kind)
    return _page(found, page, Case.due_at, Case.case_id)


def count_waiting(now: dt.datetime) -> tuple[int, int]:
    """How many cases wait for an answer, and how many of those are overdue."""
    late = func.count().filter(Case.due_at <= now)
    row = db.session.execute(select(func.count(), late).where(Case.state.in_(WAITING))).one()
    return int(row[0]), int(row[1])


def steps(case: Case, *, vault: Vault) -> list[Step]:
    """The history of a case with its words, oldest first. Raises Unreadable when the space is erased."""
    key = vault.key(case.space_id)
    found = db.session.scalars(select(CaseEvent).filter_by(case_id=case.case_id).order_by(CaseEvent.seq))
    return [
        Step(
            kind=event.kind, at=event.at, actor_id=event.actor_id, capacity=event.capacity, outcome=event.outcome,
            text=unseal(key, event.sealed, identity=_identity(event.case_id, event.seq)).decode(),
        )
        for event in found
    ]  # fmt: skip


def possible(case: Case, event: CaseEventKind) -> bool:
    """Whether the event is possible in the case's state."""
    return (CaseState(case.state), event) in TRANSITIONS


def _by_desk(
    case_id: str, event: CaseEventKind, unverified_text: str, actor: Actor, now: dt.datetime, *, vault: Vault,
    outcome: Outcome | None = None,
) -> Case:  # fmt: skip
    if actor.capacity != Capacity.ADMINISTRATOR:
        raise NotAllowed("only an administrator answers cases")
    case = _locked(case_id)
    _append(case, event, unverified_text, actor, now, vault=vault, outcome=outcome)
    return case


def _locked(case_id: str, *, space_id: str | None = None) -> Case:
    case = db.session.scalar(
        select(Case).filter_by(case_id=case_id).with_for_update().execution_options(populate_existing=True)
    )
    if case is None or (space_id is not None and case.space_id != space_id):
        raise NotFound("no such case")
    return case


def _append(
    case: Case, event: CaseEventKind, unverified_text: str, actor: Actor, now: dt.datetime, *, vault: Vault,
    outcome: Outcome | None = None,
) -> None:  # fmt: skip
    after = TRANSITIONS.get((CaseState(case.state), event))
    if after is None:
        raise Conflict(f"{event} is not possible in state {case.state}")
    text = _words(unverified_text, required=event != CaseEventKind.WITHDRAWN)
    case.state, case.last_seq = after, case.last_seq + 1
    sealed = seal(vault.key(case.space_id), text.encode(), identity=_identity(case.case_id, case.last_seq))
    db.session.add(
        CaseEvent(
            case_id=case.case_id, seq=case.last_seq, kind=event, at=now, actor_id=actor.person_id,
            capacity=actor.capacity, outcome=outcome, sealed=sealed,
        )
    )  # fmt: skip
    db.session.flush()


def _words(unverified: str, *, required: bool) -> str:
    """What somebody wrote: lines of printable characters."""
    lines = [line.strip() for line in unverified.strip().splitlines()]
    text = "\n".join(lines)
    if len(text) > MAX_TEXT or not all(line.isprintable() for line in lines) or (required and not text):
        raise InvalidCaseText(f"1 to {MAX_TEXT} printable characters")
    return text


def _checked(about: About, space_id: str) -> About:
    """The same, when it is of this space; a line of the log brings its authorization. Raises NotFound."""
    consent_id = about.consent_id
    if about.access_id is not None:
        consent_id = accesses.line_of(space_id, about.access_id).consent_id or None  # none of a read by law
    if consent_id is not None:
        consent = db.session.get(Consent, consent_id)
        if consent is None or consent.space_id != space_id:
            raise NotFound("not a consent of this space")
    return About(consent_id=consent_id, access_id=about.access_id, item_id=about.item_id)


def _number(now: dt.datetime) -> str:
    """What a case is called: the year and eight letters that nobody guesses."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(8))
    return f"{now.year}-{letters[:4]}-{letters[4:]}"


def _identity(case_id: str, seq: int) -> str:
    return f"{case_id}:{seq}"


def _page(found: Select[Any], number: int, *order: Any) -> Page:
    total = db.session.scalar(select(func.count()).select_from(found.subquery())) or 0
    number = max(1, min(number, -(-total // PAGE)))
    rows = db.session.scalars(found.order_by(*order).limit(PAGE).offset((number - 1) * PAGE))
    return Page(list(rows), number, total)
