"""Guardians: who decides for a child under 14 (PIPL article 31, check C-22), and until when.

A guardian is a mandate of its own capacity over a child's space. It ends by itself on the 14th birthday in China time,
and with it every consent that was given through it. Under 14 nobody gets a passkey; from 14 on people decide
themselves. Whether somebody is a child's guardian is established by the registrar, from papers or from the registers.
"""

import datetime as dt

from dataspace import holders, identifiers, mandates
from dataspace.days import midnight
from dataspace.errors import NotAllowed
from dataspace.holders import Holder, HolderKind
from dataspace.mandates import Capacity, Mandate
from dataspace.vault import Vault

DECIDES = 14  # years: from this birthday on a person decides
OF_AGE = 18


def appoint(child: Holder, guardian: Holder, now: dt.datetime, *, vault: Vault) -> Mandate:
    """Let a person of age decide for a child until the child's 14th birthday. Raises NotAllowed."""
    if {child.kind, guardian.kind} != {HolderKind.NATURAL_PERSON} or child.holder_id == guardian.holder_id:
        raise NotAllowed("a guardian is a person, for another person")
    until = birthday(child, DECIDES, vault=vault)
    if now >= until:
        raise NotAllowed("from the 14th birthday on a person decides without a guardian")
    if now < birthday(guardian, OF_AGE, vault=vault):
        raise NotAllowed("a guardian is of age")
    return mandates.appoint(child, guardian, Capacity.GUARDIAN, now, until)


def demand_old_enough(person: Holder, now: dt.datetime, *, vault: Vault) -> None:
    """Who is under 14 does not sign in. Raises NotAllowed."""
    if person.kind == HolderKind.NATURAL_PERSON and now < birthday(person, DECIDES, vault=vault):
        raise NotAllowed("a guardian decides for a child under 14: appoint one with registrar guardian")


def birthday(person: Holder, years: int, *, vault: Vault) -> dt.datetime:
    """When a natural person becomes so many years old: midnight in China; of 29 February, the day after the 28th."""
    born = identifiers.birth_date(holders.identifier_of(person, vault=vault))
    try:
        day = born.replace(year=born.year + years)
    except ValueError:
        day = dt.date(born.year + years, 3, 1)
    return midnight(day)
