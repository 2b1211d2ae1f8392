"""Guardians: who decides for a child under 14 (PIPL article 31, check C-22), until when, and who is told until 18.

A guardian is a mandate of its own capacity over a child's space. It ends by itself on the 14th birthday in China time,
and with it every consent that was given through it. Under 14 nobody gets a passkey; from 14 on people decide
themselves, and until the 18th birthday their guardians are told. Whether somebody is a child's guardian is established
by the registrar, from papers or from the registers; who is not to hear of it any more has the mandate ended.
"""

import datetime as dt

from sqlalchemy import or_, select

from dataspace import holders, identifiers, mandates
from dataspace.days import CHINA, midnight
from dataspace.db import db
from dataspace.errors import NotAllowed
from dataspace.holders import Holder, HolderKind
from dataspace.mandates import Capacity, Mandate
from dataspace.vault import Vault

DECIDES = 14  # years: from this birthday on a person decides
OF_AGE = 18


def appoint(child: Holder, guardian: Holder, now: dt.datetime, *, vault: Vault) -> Mandate:
    """Let a person of age decide for a child until the child's 14th birthday, and be told until the 18th.

    From 14 on it is only to be told: the time to decide has been over then from the beginning. Raises NotAllowed.
    """
    if {child.kind, guardian.kind} != {HolderKind.NATURAL_PERSON} or child.holder_id == guardian.holder_id:
        raise NotAllowed("a guardian is a person, for another person")
    if now >= birthday(child, OF_AGE, vault=vault):
        raise NotAllowed("who is of age has no guardian")
    if now < birthday(guardian, OF_AGE, vault=vault):
        raise NotAllowed("a guardian is of age")
    return mandates.appoint(child, guardian, Capacity.GUARDIAN, now, birthday(child, DECIDES, vault=vault))


def of(holder_id: str, now: dt.datetime) -> list[Mandate]:
    """The guardians of who is under 18, whether they still decide or are only told; no secret is opened for it."""
    rows = db.session.scalars(
        select(Mandate)
        .where(
            Mandate.principal_id == holder_id,
            Mandate.capacity == Capacity.GUARDIAN,
            Mandate.valid_from <= now,
            or_(Mandate.ended_at.is_(None), Mandate.ended_at > now),
        )
        .order_by(Mandate.mandate_id)
    )
    return [m for m in rows if m.valid_until is None or now < _of_age(m.valid_until)]


def is_young(person: Holder, now: dt.datetime, *, vault: Vault) -> bool:
    """Whether somebody decides alone but is not of age: 14 to 17."""
    if person.kind != HolderKind.NATURAL_PERSON:
        return False
    return birthday(person, DECIDES, vault=vault) <= now < birthday(person, OF_AGE, vault=vault)


def demand_old_enough(person: Holder, now: dt.datetime, *, vault: Vault) -> None:
    """Who is under 14 does not sign in. Raises NotAllowed."""
    if person.kind == HolderKind.NATURAL_PERSON and now < birthday(person, DECIDES, vault=vault):
        raise NotAllowed("a guardian decides for a child under 14: appoint one with registrar guardian")


def birthday(person: Holder, years: int, *, vault: Vault) -> dt.datetime:
    """When a natural person becomes so many years old: midnight in China; of 29 February, the day after the 28th."""
    return midnight(_years_after(identifiers.birth_date(holders.identifier_of(person, vault=vault)), years))


def _of_age(decides_from: dt.datetime) -> dt.datetime:
    """The 18th birthday of who decides from then on."""
    return midnight(_years_after(decides_from.astimezone(CHINA).date(), OF_AGE - DECIDES))


def _years_after(day: dt.date, years: int) -> dt.date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return dt.date(day.year + years, 3, 1)
