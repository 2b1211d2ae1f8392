"""Who may act for whom, in which capacity, from when until when."""

import datetime as dt
import enum
from dataclasses import dataclass

from sqlalchemy import ForeignKey, Index, String, or_, select, update
from sqlalchemy.orm import Mapped, mapped_column

from dataspace import holders
from dataspace.db import Model, db, new_id, update_some
from dataspace.errors import NotAllowed, NotFound


class Capacity(enum.StrEnum):
    SELF = "self"
    LEGAL_REPRESENTATIVE = "legal_representative"  # decides alone
    AGENT = "mandate"  # prepares; another person of the company approves
    GUARDIAN = "guardian"  # decides alone, for a child under 14: appointed by dataspace.guardians
    ADMINISTRATOR = "administrator"  # supervises; acts for no holder and reads no record


class Mandate(Model):
    """``agent_id`` may act for ``principal_id`` from ``valid_from`` until ``valid_until`` or until it is ended.

    Once ``ended_at`` is set it is over for good, also when the clock is set back to before it.
    """

    __tablename__ = "mandates"
    __table_args__ = (Index(None, "agent_id"), Index(None, "principal_id"), Index(None, "valid_until"))
    mandate_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    principal_id: Mapped[str] = mapped_column(ForeignKey("holders.holder_id"))
    agent_id: Mapped[str] = mapped_column(ForeignKey("holders.holder_id"))
    capacity: Mapped[str] = mapped_column(String(24))
    valid_from: Mapped[dt.datetime]
    valid_until: Mapped[dt.datetime | None]
    ended_at: Mapped[dt.datetime | None]

    def in_force(self, now: dt.datetime) -> bool:
        """Whether the mandate may be used now."""
        return self.valid_from <= now and (self.valid_until is None or now < self.valid_until) and self.ended_at is None


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A signed-in person in one capacity: who decides (``person_id``) and for whom (``holder_id``, ``space_id``).

    An administrator acts for no holder: ``holder_id`` and ``space_id`` are empty then.
    """

    signin_id: str
    person_id: str
    holder_id: str
    space_id: str
    capacity: Capacity
    mandate_id: str | None
    auth_time: dt.datetime
    acr: str


def appoint(
    principal: holders.Holder,
    agent: holders.Holder,
    capacity: Capacity,
    valid_from: dt.datetime,
    valid_until: dt.datetime | None = None,
) -> Mandate:
    """Add a mandate to the session. Raises NotAllowed for a pair of holders that cannot have one."""
    for_a_person = principal.kind == holders.HolderKind.NATURAL_PERSON
    if agent.kind != holders.HolderKind.NATURAL_PERSON or for_a_person != (capacity == Capacity.GUARDIAN):
        raise NotAllowed("a mandate lets a natural person act for a body, or as guardian for a child")
    mandate = Mandate(
        mandate_id=new_id("mdt"),
        principal_id=principal.holder_id,
        agent_id=agent.holder_id,
        capacity=capacity,
        valid_from=valid_from,
        valid_until=valid_until,
    )
    db.session.add(mandate)
    db.session.flush()
    return mandate


def end(mandate_id: str, now: dt.datetime) -> Mandate:
    """End a mandate at once; consents given through it stop with it. Raises NotFound."""
    mandate = db.session.get(Mandate, mandate_id)
    if mandate is None:
        raise NotFound("no such mandate")
    mandate.ended_at = mandate.ended_at or now
    return mandate


def end_all(holder_id: str, now: dt.datetime) -> None:
    """End every mandate of a holder at once, as agent and as principal."""
    either = or_(Mandate.agent_id == holder_id, Mandate.principal_id == holder_id)
    ended = update(Mandate).where(either, Mandate.ended_at.is_(None)).values(ended_at=now)
    db.session.execute(ended.execution_options(synchronize_session=False))


def of_agent(agent_id: str, now: dt.datetime) -> list[Mandate]:
    """The mandates that a person may use now."""
    rows = db.session.scalars(
        select(Mandate)
        .where(
            Mandate.agent_id == agent_id,
            Mandate.valid_from <= now,
            or_(Mandate.valid_until.is_(None), Mandate.valid_until > now),
            Mandate.ended_at.is_(None),
        )
        .order_by(Mandate.mandate_id)
    )
    return list(rows)


def note_ends(now: dt.datetime, limit: int = 1000) -> int:
    """Write down that up to ``limit`` mandates have ended by time; returns how many.

    Nothing waits for it: it only keeps what has ended from counting again when the clock is set back.
    """
    over = (Mandate.valid_until <= now, Mandate.ended_at.is_(None))
    return update_some(Mandate, *over, by=Mandate.valid_until, limit=limit, ended_at=Mandate.valid_until)
