"""Who is told of which event of a consent: one table. What follows every change begins here, in its transaction."""

import datetime as dt
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from consent import announcements
from consent.records import COUNTER, Consent, Event
from dataspace import guardians, messages
from dataspace.db import db
from dataspace.mandates import Capacity
from dataspace.messages import Group


class ToGuardian(enum.StrEnum):
    """The kinds of messages to the guardians of somebody under 18; durable words."""

    GIVEN = "guardian:given"
    CHANGED = "guardian:changed"
    STOPPED = "guardian:stopped"


@dataclass(frozen=True, kw_only=True)
class Told:
    """``client``: whether the third party is told. ``holder``: what kind of message the space gets, if any.

    ``preparer``: who has prepared it for a company hears of it in the own space as well. ``guardians``: what the
    guardians of somebody under 18 hear of it in theirs, but for the one who did it (PIPL 31, check C-22).
    """

    client: bool
    holder: Group | None
    preparer: bool = False
    guardians: ToGuardian | None = None


# A client knows what it has asked for, and hears of a refusal through the browser; there is no grant to tell of. Nor is
# the holder told by a message what she has just refused, or has asked for while stopping something.
TELLING: Mapping[Event, Told] = MappingProxyType(
    {
        Event.REQUESTED: Told(client=False, holder=None),
        Event.PAGE_OPENED: Told(client=False, holder=None),
        Event.REFUSED: Told(client=False, holder=None),
        Event.GIVEN: Told(client=True, holder=Group.AUTHORIZATIONS, guardians=ToGuardian.GIVEN),
        Event.REPLACED: Told(client=True, holder=Group.AUTHORIZATIONS, guardians=ToGuardian.CHANGED),
        Event.ITEM_RECONFIRMED: Told(client=True, holder=Group.AUTHORIZATIONS, guardians=ToGuardian.CHANGED),
        Event.CO_APPROVAL_PENDING: Told(client=True, holder=Group.APPROVALS),
        Event.CO_APPROVED: Told(client=True, holder=Group.APPROVALS, preparer=True),
        Event.CO_REJECTED: Told(client=True, holder=Group.APPROVALS, preparer=True),
        Event.LAPSED: Told(client=True, holder=Group.APPROVALS, preparer=True),
        Event.PAUSED: Told(client=True, holder=Group.AUTHORIZATIONS),
        Event.RESUMED: Told(client=True, holder=Group.AUTHORIZATIONS),
        Event.WITHDRAWN: Told(client=True, holder=Group.AUTHORIZATIONS, guardians=ToGuardian.STOPPED),
        Event.ITEM_WITHDRAWN: Told(client=True, holder=Group.AUTHORIZATIONS),
        Event.SHORTENED: Told(client=True, holder=Group.AUTHORIZATIONS),
        Event.EXPIRED: Told(client=True, holder=Group.AUTHORIZATIONS),
        Event.EXHAUSTED: Told(client=True, holder=Group.AUTHORIZATIONS),
        # What somebody else has decided is told whether she wants to hear or not (check C-45).
        Event.SUSPENDED: Told(client=True, holder=Group.SECURITY),
        Event.REINSTATED: Told(client=True, holder=Group.SECURITY),
        Event.INVALIDATED: Told(client=True, holder=Group.SECURITY),
        Event.TERMINATED: Told(client=True, holder=Group.SECURITY),
        Event.EXPIRY_ANNOUNCED: Told(client=True, holder=Group.REMINDERS),
        Event.REMINDED: Told(client=False, holder=Group.REMINDERS),
        Event.RECONFIRMED: Told(client=False, holder=None),
        Event.DELETION_REQUESTED: Told(client=True, holder=None),
        Event.DELETION_CONFIRMED: Told(client=False, holder=Group.AUTHORIZATIONS),
        Event.DELETION_OVERDUE: Told(client=True, holder=Group.AUTHORIZATIONS),
    }
)


def tell(consent_id: str, event: Event, now: dt.datetime, *, channel: str, by: str | None, new_version: bool) -> None:
    """Note for everybody whom it concerns that ``event`` has just been appended to a consent, its version included.

    ``by``: the person who did it, if any. What came through a counter is told to the holder in any case: it might not
    have been her (check C-39).
    """
    told = TELLING[event]
    if told.client:
        announcements.announce(consent_id, now, new_version=new_version)
    if told.holder is None:
        return
    consent = db.session.get_one(Consent, consent_id)
    group = Group.SECURITY if channel == COUNTER else told.holder
    messages.send(consent.space_id, event, group, now, about=consent_id)
    if told.preparer and consent.person_id != consent.holder_id:
        messages.send_to_person(consent.person_id, event, told.holder, now, about=consent_id)
    if told.guardians and consent.capacity in (Capacity.SELF, Capacity.GUARDIAN):
        others = {m.agent_id for m in guardians.of(consent.holder_id, now)} - {by}
        for person_id in sorted(others):
            messages.send_to_person(person_id, told.guardians, Group.CHILDREN, now, about=consent_id)
