"""What an authority has read by law in a demonstration: a power that is approved, and one case, once."""

import datetime as dt

from sqlalchemy import select

from consent import powers, statutory_admission
from consent.history import Registry
from consent.interventions import Ground, Stated
from consent.oauth import bindings, statutory_tokens, validator
from consent.powers import Decision, Power
from consent.statutory_admission import Admitted
from consent.statutory_terms import Demand
from dataspace import extracts
from dataspace.by_law import LawCase
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.mandates import Actor, Capacity

POWER = "tax-audit"
DEMAND = Demand(
    power_id=POWER, holder_kind="natural_person", unverified_identifier="440099199003150026",
    case_no="示税稽〔2026〕17号", reason="核查2025年度个人所得税申报", items=(), defer_days=0,
)  # fmt: skip


def play(administrator: Holder, now: dt.datetime, *, registry: Registry) -> None:
    """Approve what waits, and read once; what was done before stays as it is. The caller commits."""
    by = Actor(
        signin_id="", person_id=administrator.holder_id, holder_id="", space_id="", capacity=Capacity.ADMINISTRATOR,
        mandate_id=None, auth_time=now, acr="",
    )  # fmt: skip
    reason = Stated(Ground.AUTHORITY_DECISION, "依法核准")
    waiting = select(Power).filter_by(decided_at=None).order_by(Power.power_id, Power.version)
    for power in db.session.scalars(waiting).all():
        powers.approve(Decision(power.power_id, power.version, by, reason), now, expected_digest=power.digest)
    if db.session.scalar(select(LawCase.case_id)) is None:
        power = db.session.scalars(select(Power).filter_by(power_id=POWER).order_by(Power.version.desc())).first()
        if power is not None:
            read(DEMAND, power.client_id, now, registry=registry)


def read(demand: Demand, client_id: str, now: dt.datetime, *, registry: Registry) -> LawCase:
    """One read as the authority makes it, without its HTTP."""
    admitted = statutory_admission.admit(
        demand, client_id=client_id, in_good_standing=True, now=now, index=registry.index
    )
    extracts.read(validator.permission_by_law(_token(admitted, client_id, now), now), None, now, vault=registry.vault)
    return admitted.case


def _token(admitted: Admitted, client_id: str, now: dt.datetime) -> statutory_tokens.Bound:
    secret = bindings.new_secret(statutory_tokens.PREFIX)
    statutory_tokens.store(
        secret, now, case_id=admitted.case.case_id, power_id=admitted.power.power_id,
        power_version=admitted.power.version, client_id=client_id, jkt=None, x5t=None, items=admitted.items,
        expires_at=now + statutory_tokens.LIFE,
    )  # fmt: skip
    found = statutory_tokens.find(secret)
    if found is None:
        raise LookupError(client_id)
    return found
