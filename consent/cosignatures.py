"""Cosignatures of witnesses on checkpoints of the log of evidence: whom to ask when, and what they have said.

A witness has seen that the log only grows. Whoever has a checkpoint with cosignatures of witnesses that he trusts need
not fear to be shown another log than everybody else. A later checkpoint covers all that an earlier one covers, so of
each witness only the last cosignature is kept, and the last checkpoint that enough of them have cosigned.
"""

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import BigInteger, LargeBinary, String, and_, case, delete, func, or_, select, update
from sqlalchemy.orm import Mapped, mapped_column

from consent import evidence
from consent.evidence import EvidenceLog, Head, LogBroken
from consent.merkle import SIZE
from consent.notes import Signature
from dataspace.db import Model, connection, db, insert_new, table_of

REFRESH = dt.timedelta(minutes=10)  # a log that does not grow is shown again, so that its witnesses say when
ATTEMPT = dt.timedelta(seconds=30)  # nobody else asks the same witness meanwhile
HOLD = dt.timedelta(seconds=5)  # a head waits for its cosignatures, and then is served without
WAITS = tuple(dt.timedelta(seconds=seconds) for seconds in (1, 5, 20, 60, 300))  # after so many failures in a row


class EvidenceWitness(Model):
    """A witness that has been asked. ``verifier``: its key; ``size`` and ``root``: of the log as it knows it.

    ``signature``: the line of its last cosignature, with its end.
    """

    __tablename__ = "evidence_witnesses"
    verifier: Mapped[str] = mapped_column(String(300), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    root: Mapped[bytes | None] = mapped_column(LargeBinary(SIZE))
    signature: Mapped[str] = mapped_column(String(400))
    cosigned_at: Mapped[dt.datetime | None]
    due_at: Mapped[dt.datetime]  # not asked before
    failures: Mapped[int]  # in a row
    problem: Mapped[str] = mapped_column(String(200))  # of the last one; empty when it cosigned
    contradicts: Mapped[bool]  # it has said that this log does not continue what it has seen, and not cosigned since

    @property
    def name(self) -> str:
        """As it signs."""
        return self.verifier.partition("+")[0]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of asking one witness: its ``signature``, or a ``problem``. ``size``: what it has seen, if it said.

    ``contradicts``: what it has seen is no beginning of this log. Nothing on the way to it can be the reason.
    """

    verifier: str
    signature: Signature | None = None
    size: int | None = None
    problem: str = ""
    contradicts: bool = False


def claim(verifiers: Collection[str], log: Head, now: dt.datetime) -> dict[str, int]:
    """The witnesses that are to be asked about this head, with the size that they know; nobody else asks meanwhile.

    To be committed before they are asked. Whoever is not named any more is forgotten.
    """
    table = table_of(EvidenceWitness)
    known = set(connection().scalars(select(table.c.verifier)))
    if gone := known - set(verifiers):
        connection().execute(delete(table).where(table.c.verifier.in_(gone)))
    for verifier in sorted(set(verifiers) - known):
        row = {"verifier": verifier, "size": 0, "signature": "", "due_at": now, "failures": 0, "problem": ""}
        row["contradicts"] = False
        connection().execute(insert_new(EvidenceWitness).values(row))
    stale = or_(table.c.size != log.size, table.c.cosigned_at.is_(None), table.c.cosigned_at <= now - REFRESH)
    due = update(table).where(table.c.verifier.in_(verifiers), table.c.due_at <= now, stale)
    rows = connection().execute(due.values(due_at=now + ATTEMPT).returning(table.c.verifier, table.c.size))
    return {row.verifier: row.size for row in rows}


def record(outcomes: Iterable[Outcome], log: Head, now: dt.datetime, *, quorum: int) -> None:
    """Write down what came of asking about this head; nothing when its log was ended meanwhile."""
    if evidence.growing() != log.log:
        return
    table = table_of(EvidenceWitness)
    for outcome in sorted(outcomes, key=lambda outcome: outcome.verifier):
        this = update(table).where(table.c.verifier == outcome.verifier)
        if outcome.signature is not None:
            said = {"signature": str(outcome.signature), "size": log.size, "root": log.root, "cosigned_at": now}
            connection().execute(this.values(due_at=now, failures=0, problem="", contradicts=False, **said))
            continue
        failures = connection().scalar(select(table.c.failures).where(table.c.verifier == outcome.verifier)) or 0
        seen = {} if outcome.size is None else {"size": outcome.size, "root": None}
        again = {"due_at": now + WAITS[min(failures, len(WAITS) - 1)], "failures": failures + 1}
        against = {"contradicts": True} if outcome.contradicts else {}
        connection().execute(this.values(problem=outcome.problem[:200], **again, **seen, **against))
    lines, logs = _lines(log), table_of(EvidenceLog)
    note, this = _note(log, lines), update(logs).where(logs.c.origin == log.origin)
    newer, same = logs.c.published_size < log.size, logs.c.published_size == log.size
    # Of the same head with no fewer lines: a witness that has gone on has taken its own with it.
    fuller = and_(same, func.length(logs.c.published_note) <= len(note))
    served = {"published_size": log.size, "published_note": note}
    if len(lines) < quorum:
        connection().execute(this.where(fuller).values(served))
        return
    first = or_(logs.c.cosigned_size.is_(None), logs.c.cosigned_size <= log.size)
    connection().execute(this.where(first).values(cosigned_size=log.size, cosigned_note=note))
    since = case((newer, now), else_=logs.c.held_since)
    connection().execute(this.where(or_(newer, fuller)).values(served | {"held_since": since}))


def publish(now: dt.datetime, *, hold: dt.timedelta) -> None:
    """Serve the newest head, unless the first one that is not served yet has been there for less than ``hold``.

    Readers want cosignatures, so a head waits for them; but no witness holds the log back. What is served is a row and
    never becomes less, so that every process serves the same, also after a restart.
    """
    logs = table_of(EvidenceLog).c
    waited = or_(logs.held_since <= now - hold, logs.held_since > now)  # the clock may have been set back
    due = select(logs.origin, logs.size, logs.root, logs.note, logs.verifier)
    found = (
        connection().execute(due.where(logs.ended_at.is_(None), logs.published_size < logs.size, waited)).one_or_none()
    )
    if found is None:
        return
    log = Head(origin=found.origin, size=found.size, root=found.root, note=found.note, verifier=found.verifier)
    this = update(table_of(EvidenceLog)).where(logs.origin == log.origin, logs.published_size < log.size)
    served = {"published_size": log.size, "published_note": _note(log, _lines(log)), "held_since": now}
    connection().execute(this.values(served))


def demand_no_quorum_against(quorum: int) -> None:
    """Raises LogBroken while as many witnesses contradict as are enough to cosign: the database was set back.

    The word of fewer is told and stops nothing, or any one of them could stop the log.
    """
    table = table_of(EvidenceWitness).c
    against = connection().scalar(select(func.count()).select_from(table_of(EvidenceWitness)).where(table.contradicts))
    if against and against >= quorum:
        raise LogBroken(f"{against} witnesses say that it does not continue what they have seen")


def forget() -> None:
    """What witnesses know of a log that was ended is nothing to the next."""
    connection().execute(delete(table_of(EvidenceWitness)))


def witnesses() -> list[EvidenceWitness]:
    """All that have been asked, by key."""
    return list(db.session.scalars(select(EvidenceWitness).order_by(EvidenceWitness.verifier)))


def _lines(log: Head) -> list[str]:
    table = table_of(EvidenceWitness).c
    there = select(table.signature).where(table.size == log.size, table.root == log.root, table.signature != "")
    return list(connection().scalars(there.order_by(table.verifier)))


def _note(log: Head, lines: list[str]) -> bytes:
    return log.note + "".join(lines).encode()
