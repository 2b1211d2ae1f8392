"""Who is told of which event of a consent: one table. What follows every change begins here, in its transaction."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from consent import announcements
from consent.records import Event


@dataclass(frozen=True, kw_only=True)
class Told:
    """``client``: whether the third party is told."""

    client: bool


# A client knows what it has asked for, and hears of a refusal through the browser; there is no grant to tell of.
TELLING: Mapping[Event, Told] = MappingProxyType(
    {
        Event.REQUESTED: Told(client=False),
        Event.PAGE_OPENED: Told(client=False),
        Event.REFUSED: Told(client=False),
        Event.GIVEN: Told(client=True),
        Event.REPLACED: Told(client=True),
        Event.CO_APPROVAL_PENDING: Told(client=True),
        Event.CO_APPROVED: Told(client=True),
        Event.CO_REJECTED: Told(client=True),
        Event.PAUSED: Told(client=True),
        Event.RESUMED: Told(client=True),
        Event.WITHDRAWN: Told(client=True),
        Event.SUSPENDED: Told(client=True),
        Event.REINSTATED: Told(client=True),
        Event.INVALIDATED: Told(client=True),
        Event.EXPIRED: Told(client=True),
        Event.EXHAUSTED: Told(client=True),
        Event.TERMINATED: Told(client=True),
        Event.LAPSED: Told(client=True),
        Event.ITEM_WITHDRAWN: Told(client=True),
        Event.SHORTENED: Told(client=True),
        Event.EXPIRY_ANNOUNCED: Told(client=True),
        Event.REMINDED: Told(client=False),
        Event.RECONFIRMED: Told(client=False),
        Event.DELETION_REQUESTED: Told(client=True),
        Event.DELETION_CONFIRMED: Told(client=False),
        Event.DELETION_OVERDUE: Told(client=True),
    }
)


def tell(consent_id: str, event: Event, now: dt.datetime, *, new_version: bool) -> None:
    """Note for everybody whom it concerns that ``event`` has just been appended to a consent, its version included."""
    if TELLING[event].client:
        announcements.announce(consent_id, now, new_version=new_version)
