"""Whether an authority may read by law what it demands: one case about one holder, judged against its power.

Whatever is refused here about a holder whom we know is an attempt, and stands in the log of its space as one that was
refused at the data API does.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from consent import powers
from consent.asks import Texts, last_months
from consent.clients import Client
from consent.powers import Power, Void
from consent.statutory_terms import Demand
from consent.terms import InvalidTerms
from dataspace import accesses, by_law, catalogue, identifiers
from dataspace.by_law import LawCase, Matter
from dataspace.catalogue import DataItem
from dataspace.db import db
from dataspace.errors import InvalidIdentifier, NotFound
from dataspace.holders import Holder, by_identifier
from dataspace.identifiers import BlindIndex
from dataspace.permission import ByLaw, GrantedItem, Permission

OUTSIDE = "outside_power"


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """What a token will be for. ``items``: [{item, version, fields, from, to, delivery}]."""

    power: Power
    case: LawCase
    items: list[dict[str, Any]]


class Refused(InvalidTerms):
    """``detail`` tells the authority why; a line of the log has told the holder, when there is one."""


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    """What is demanded of whom, and what we know of it."""

    demand: Demand
    client_id: str
    in_good_standing: bool
    power: Power | None
    holder: Holder | None
    case: LawCase | None
    now: dt.datetime

    @property
    def hidden_until(self) -> dt.datetime | None:
        """Until when the holder is not shown it: as the case says; of a new one as the power allows what is asked."""
        if self.case is not None:
            return self.case.hides(self.now)
        days, power = self.demand.defer_days, self.power
        if not days or power is None or days > power.deferral_days or self.void is not None:
            return None
        return self.now + dt.timedelta(days=days)

    @property
    def void(self) -> Void | None:
        """Why the power allows nothing now, whoever it is about."""
        if self.power is None:
            return Void.ENDED
        return powers.why_over(self.power, self.now) or (None if self.in_good_standing else Void.CLIENT_SUSPENDED)


def admit(demand: Demand, *, client_id: str, in_good_standing: bool, now: dt.datetime, index: BlindIndex) -> Admitted:
    """Open the case, or find it open. Raises Refused; the caller commits in any case."""
    holder = _find(demand, now, index)
    power = powers.current(demand.power_id, client_id, now)
    case = by_law.find_case(demand.power_id, holder.space_id, demand.case_no) if holder and power else None
    attempt = _Attempt(
        demand=demand, client_id=client_id, in_good_standing=in_good_standing, power=power, holder=holder, case=case,
        now=now,
    )  # fmt: skip
    void = attempt.void
    if power is None or void is not None:
        # The same answer whether we know the holder or not: who has no power learns nothing by asking.
        raise _refused(attempt, void or Void.ENDED, f"power {demand.power_id} is not in force for this client")
    if holder is None:
        raise Refused("there is no data space of this holder")
    for what in _outside(attempt, power, holder):
        raise _refused(attempt, OUTSIDE, what)
    items = _granted(demand, power, now)
    if not items:
        raise _refused(attempt, OUTSIDE, "nothing that this power names is in the catalogue any more")
    if case is None:
        case = by_law.open_case(_matter(attempt, power, holder), now)
    return Admitted(power=power, case=case, items=items)


def _find(demand: Demand, now: dt.datetime, index: BlindIndex) -> Holder | None:
    try:
        identifier = identifiers.parse(demand.holder_kind, demand.unverified_identifier, today=now.date())
        holder = by_identifier(identifier, index=index)
    except (InvalidIdentifier, NotFound):
        return None
    return holder if holder.closed_at is None else None


def _outside(attempt: _Attempt, power: Power, holder: Holder) -> Iterator[str]:
    """Everything in which a demand goes beyond the power."""
    demand, case = attempt.demand, attempt.case
    if holder.kind != demand.holder_kind or holder.kind not in power.holder_kinds:
        yield "this power is not about holders of this kind"
    if not powers.fits(demand.case_no, power.case_number):
        yield "case_no does not have the form that this power demands"
    named = {item["item"] for item in power.items}
    for item_id in demand.items:
        if item_id not in named:
            yield f"item {item_id} is not named by this power"
    if demand.defer_days > power.deferral_days:
        yield f"this power allows a deferred notice of at most {power.deferral_days} days"
    if demand.defer_days and case is not None and case.hides(attempt.now) is None:
        yield "the holder has been told of this case already"


def _granted(demand: Demand, power: Power, now: dt.datetime) -> list[dict[str, Any]]:
    """What the power names of what is asked, in the versions of today; what is gone from the catalogue is left out."""
    wanted = [item for item in power.items if not demand.items or item["item"] in demand.items]
    known = catalogue.current([item["item"] for item in wanted])
    return [_item(item, known[item["item"]], now) for item in wanted if item["item"] in known]


def _item(named: dict[str, Any], item: DataItem, now: dt.datetime) -> dict[str, Any]:
    months = named.get("max_months")
    period_from, period_to = last_months(months, now) if months else (None, None)
    return {
        "item": item.item_id,
        "version": item.version,
        "fields": [field for field in named["fields"] if field in item.field_ids()],
        "from": period_from,
        "to": period_to,
        "delivery": "derived" if item.derived else "raw",
    }


def _matter(attempt: _Attempt, power: Power, holder: Holder) -> Matter:
    return Matter(
        power_id=power.power_id,
        power_version=power.version,
        client_id=power.client_id,
        space_id=holder.space_id,
        case_no=attempt.demand.case_no,
        reason=attempt.demand.reason,
        hidden_until=attempt.hidden_until,
    )


def _refused(attempt: _Attempt, reason: str, what: str) -> Refused:
    """The error, after the attempt was written into the log of the holder."""
    if attempt.holder is not None:
        named = list(attempt.demand.items) or [item["item"] for item in (attempt.power.items if attempt.power else ())]
        accesses.record_refused(_permission(attempt, attempt.holder), named, reason, attempt.now)
    return Refused(what)


def _permission(attempt: _Attempt, holder: Holder) -> Permission:
    client = db.session.scalars(select(Client).filter_by(client_id=attempt.client_id)).one()
    power, case = attempt.power, attempt.case
    law = ByLaw(
        power_id=attempt.demand.power_id,
        power_version=power.version if power is not None else 0,
        case_id=case.case_id if case is not None else None,
        law=words(power.law, power.article) if power is not None else "",
        case_limit=0,
        day_limit=0,
        hidden_until=attempt.hidden_until,
    )
    return permission(
        law, client_id=client.client_id, recipient=client.legal_name["zh_hans"], space_id=holder.space_id,
        purpose=power.purpose["zh_hans"] if power is not None else "", case_no=attempt.demand.case_no, items=(),
        at=attempt.now,
    )  # fmt: skip


def words(law: Texts, article: Texts) -> str:
    """Law and article in one line, as what is delivered names them."""
    return f"{law['zh_hans']} {article['zh_hans']}"


def permission(
    law: ByLaw, *, client_id: str, recipient: str, space_id: str, purpose: str, case_no: str,
    items: tuple[GrantedItem, ...], at: dt.datetime, encryption: tuple[str, str] | None = None,
) -> Permission:  # fmt: skip
    """A permission that rests on a law: nobody has signed in for it, and only its power limits it."""
    return Permission(
        client_id=client_id, recipient=recipient, consent_id="", consent_version=0, space_id=space_id,
        purpose=purpose, purpose_code=law.power_id, reference_no=case_no, items=items, max_reads=None, auth_time=at,
        acr="", encryption=encryption, law=law,
    )  # fmt: skip
