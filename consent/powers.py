"""What authorities may read by law: powers, each in versions that two administrators have made, entered and approved.

A power says which authority may read which items of which kinds of holders, under which article and what for, how
often, with which case numbers, and whether the holder may be told later. No consent stands behind it, so it is narrow
by its own words: what it does not name it does not allow. Versions are never edited; one that is approved ends the one
before. Whether a power counts *now* is pulled at every read by :func:`why_void`, as with consents.
"""

import datetime as dt
import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ForeignKey, Index, String, Text, select
from sqlalchemy.orm import Mapped, mapped_column

from consent import interventions
from consent.clients import Client, Standing
from consent.interventions import Stated
from dataspace.db import Model, db
from dataspace.errors import Conflict, NotAllowed, NotFound
from dataspace.mandates import Actor, Capacity

MAX_DEFERRAL = 180  # days; the schema of power files says the same
MAX_LIFE = dt.timedelta(days=5 * 366)  # after which somebody has to look at it again


class Power(Model):
    """One version of a power. Texts are {zh_hans, zh_hant, en}.

    ``law``, ``article``: of the law that gives it; ``sentence``: what that article allows, in plain words; ``items``:
    [{item, fields, max_months?}]; ``case_number``: the form of its case numbers (:func:`fits`); ``deferral``: {days,
    law}: for how long at most the holder may be told later, and by which provision; None: never.
    """

    __tablename__ = "powers"
    __table_args__ = (Index(None, "client_id"),)
    power_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id"))
    law: Mapped[dict[str, Any]]
    article: Mapped[dict[str, Any]]
    sentence: Mapped[dict[str, Any]]
    purpose: Mapped[dict[str, Any]]
    objection: Mapped[dict[str, Any]]
    holder_kinds: Mapped[list[Any]]
    items: Mapped[list[Any]]
    case_number: Mapped[str] = mapped_column(String(80))
    case_limit: Mapped[int]
    day_limit: Mapped[int]
    deferral: Mapped[dict[str, Any] | None]
    valid_from: Mapped[dt.datetime]
    valid_until: Mapped[dt.datetime]
    digest: Mapped[str] = mapped_column(String(64))  # SHA-256 of its entry in the file (RFC 8785)
    entered_at: Mapped[dt.datetime]
    entered_by: Mapped[str] = mapped_column(String(40))
    decided_at: Mapped[dt.datetime | None]
    decided_by: Mapped[str | None] = mapped_column(String(40))
    approved: Mapped[bool] = mapped_column(default=False)
    suspended_at: Mapped[dt.datetime | None]
    superseded_at: Mapped[dt.datetime | None]  # when the next version begins
    ended_at: Mapped[dt.datetime | None]  # by decision: for good, whatever the clock says
    ground: Mapped[str | None] = mapped_column(String(40))  # of the latest decision
    text: Mapped[str] = mapped_column(Text, default="")

    @property
    def deferral_days(self) -> int:
        """For how many days at most the holder may be told later; 0: always at once."""
        return int(self.deferral["days"]) if self.deferral else 0


class Void(enum.StrEnum):
    """Why a power allows nothing now; durable words, shown to the holder and told to the authority."""

    ENDED = "power_ended"
    SUSPENDED = "power_suspended"
    CLIENT_SUSPENDED = "client_suspended"
    SPACE_CLOSED = "space_closed"


class State(enum.StrEnum):
    """How a version stands, for lists."""

    WAITING = "waiting"
    REFUSED = "refused"
    LATER = "later"
    IN_FORCE = "in_force"
    SUSPENDED = "suspended"
    OVER = "over"


class Times(Protocol):
    """What of a power decides whether it counts."""

    approved: bool
    valid_from: dt.datetime
    valid_until: dt.datetime
    suspended_at: dt.datetime | None
    superseded_at: dt.datetime | None
    ended_at: dt.datetime | None


class Facts(Times, Protocol):
    """And of its client, and of the space that is to be read."""

    client_standing: str
    space_closed_at: dt.datetime | None


def why_void(facts: Facts, now: dt.datetime) -> Void | None:
    """Why a power allows nothing at ``now`` about a holder; None when it allows what it names."""
    if (over := why_over(facts, now)) is not None:
        return over
    if facts.client_standing != Standing.GOOD:
        return Void.CLIENT_SUSPENDED
    return Void.SPACE_CLOSED if facts.space_closed_at is not None else None


def why_over(power: Times, now: dt.datetime) -> Void | None:
    """Why a power counts for nobody at ``now``; None when it is in force."""
    if not power.approved or power.ended_at is not None or not power.valid_from <= now < _until(power):
        return Void.ENDED
    return Void.SUSPENDED if power.suspended_at is not None else None


def _until(power: Times) -> dt.datetime:
    return min(power.valid_until, power.superseded_at or power.valid_until)


def state(power: Power, now: dt.datetime) -> State:
    """How a version stands at ``now``."""
    if power.decided_at is None:
        return State.WAITING
    if not power.approved:
        return State.REFUSED
    if power.ended_at is not None or now >= _until(power):
        return State.OVER
    if power.suspended_at is not None:
        return State.SUSPENDED
    return State.LATER if now < power.valid_from else State.IN_FORCE


def fits(case_no: str, pattern: str) -> bool:
    """Whether a case number has the form of a power: ``#`` is a digit, ``#+`` one to ten, ``@`` a capital letter."""
    parts = {"#+": "[0-9]{1,10}", "#": "[0-9]", "@": "[A-Z]"}
    form = "".join(parts.get(part) or re.escape(part) for part in re.findall(r"#\+|.", pattern))
    return re.fullmatch(form, case_no) is not None


# Finding


def get(power_id: str, version: int) -> Power:
    """Raises NotFound."""
    power = db.session.get(Power, (power_id, version))
    if power is None:
        raise NotFound("no such power")
    return power


def current(power_id: str, client_id: str, now: dt.datetime) -> Power | None:
    """The approved version that has begun last, whether it still counts or not; None: there never was one."""
    query = select(Power).filter_by(power_id=power_id, client_id=client_id, approved=True)
    return db.session.scalar(query.where(Power.valid_from <= now).order_by(Power.version.desc()).limit(1))


def versions(power_id: str) -> list[Power]:
    """All versions of one power, the newest first."""
    return list(db.session.scalars(select(Power).filter_by(power_id=power_id).order_by(Power.version.desc())))


def everything() -> list[tuple[Power, Client]]:
    """All versions of all powers with their authorities, the newest of each first."""
    found = db.session.execute(
        select(Power, Client)
        .join(Client, Client.client_id == Power.client_id)
        .order_by(Power.power_id, Power.version.desc())
    )
    return [(power, client) for power, client in found]


def named(pairs: Iterable[tuple[str, int]]) -> dict[tuple[str, int], tuple[Power, Client]]:
    """Several versions with their authorities, in one query, or none."""
    wanted = set(pairs)
    if not wanted:  # as on most pages
        return {}
    found = db.session.execute(
        select(Power, Client)
        .join(Client, Client.client_id == Power.client_id)
        .where(Power.power_id.in_({power_id for power_id, _version in wanted}))
        .order_by(Power.power_id, Power.version)
    )
    return {(p.power_id, p.version): (p, c) for p, c in found if (p.power_id, p.version) in wanted}


# Deciding


@dataclass(frozen=True)
class Decision:
    """Who decides what about one version, and why."""

    power_id: str
    version: int
    actor: Actor
    reason: Stated


def approve(decision: Decision, now: dt.datetime, *, expected_digest: str) -> Power:
    """A second administrator approves a version; the one before ends when it begins.

    Raises NotFound, NotAllowed (no administrator, or the one who has entered it), Conflict (decided, or another text).
    """
    power = _waiting(decision, expected_digest)
    _decided(power, decision, now, approved=True)
    begins = max(power.valid_from, now)
    for earlier in versions(power.power_id):
        if earlier.approved and earlier.version < power.version and earlier.superseded_at is None:
            earlier.superseded_at = begins
    return _noted("power:approved", power, decision, now)


def refuse(decision: Decision, now: dt.datetime, *, expected_digest: str) -> Power:
    """A second administrator refuses a version; it is kept. Raises as :func:`approve`."""
    power = _waiting(decision, expected_digest)
    _decided(power, decision, now, approved=False)
    return _noted("power:refused", power, decision, now)


def suspend(decision: Decision, now: dt.datetime) -> Power:
    """It allows nothing until it is resumed. One administrator is enough to stop. Raises NotFound, Conflict."""
    power = _standing(decision, now, (State.IN_FORCE, State.LATER))
    power.suspended_at = now
    return _noted("power:suspended", power, decision, now)


def resume(decision: Decision, now: dt.datetime) -> Power:
    """It counts again. Raises NotFound, Conflict."""
    power = _standing(decision, now, (State.SUSPENDED,))
    power.suspended_at = None
    return _noted("power:resumed", power, decision, now)


def end(decision: Decision, now: dt.datetime) -> Power:
    """It ends for good. Raises NotFound, Conflict."""
    power = _standing(decision, now, (State.IN_FORCE, State.LATER, State.SUSPENDED))
    power.ended_at = now
    return _noted("power:ended", power, decision, now)


def _waiting(decision: Decision, expected_digest: str) -> Power:
    power = _locked(decision)
    if power.entered_by == decision.actor.person_id:
        raise NotAllowed("who has entered it does not approve it")
    if power.decided_at is not None or power.digest != expected_digest:
        raise Conflict("decided, or changed since it was looked at")
    return power


def _standing(decision: Decision, now: dt.datetime, possible: tuple[State, ...]) -> Power:
    power = _locked(decision)
    if state(power, now) not in possible:
        raise Conflict(f"it is {state(power, now)}")
    return power


def _locked(decision: Decision) -> Power:
    if decision.actor.capacity != Capacity.ADMINISTRATOR:
        raise NotAllowed("an administrator decides")
    query = select(Power).filter_by(power_id=decision.power_id, version=decision.version).with_for_update()
    power = db.session.scalar(query.execution_options(populate_existing=True))
    if power is None:
        raise NotFound("no such power")
    return power


def _decided(power: Power, decision: Decision, now: dt.datetime, *, approved: bool) -> None:
    power.decided_at, power.decided_by, power.approved = now, decision.actor.person_id, approved


def _noted(kind: str, power: Power, decision: Decision, now: dt.datetime) -> Power:
    power.ground, power.text = decision.reason.ground, decision.reason.text
    interventions.note(
        kind,
        now,
        actor_id=decision.actor.person_id,
        subject=power.power_id,
        reason_code=decision.reason.ground,
        text=f"{power.version}: {decision.reason.text}",
    )
    db.session.flush()
    return power
