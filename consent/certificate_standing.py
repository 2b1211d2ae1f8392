"""What a certificate over delivered data is worth now, whatever was written down of it and its consent.

One whose data was corrected is INVALID, not SUSPENDED (Token Status List section 7.1): what it says stays wrong, so
nobody should wait for it to hold again.
"""

import datetime as dt
import enum
from dataclasses import dataclass
from typing import Any

from consent.data_certificates import CORRECTED, FREEZERS, By, DataCertificate, Stage
from consent.records import Consent, Inactive, Reason, facts_query, why_inactive
from consent.status_lists import Status
from dataspace.db import db


class Why(enum.StrEnum):
    """Why a certificate is not valid."""

    REVOKED = "revoked"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    HOLDER = "holder"
    OFFICE = "office"
    CONSENT = "consent"


ENDED = {Stage.REVOKED: Why.REVOKED, Stage.EXPIRED: Why.EXPIRED, Stage.SUPERSEDED: Why.SUPERSEDED}


@dataclass(frozen=True)
class Standing:
    """What the status list says of a certificate, and why; ``inactive``: what is the matter with its consent."""

    status: Status
    why: Why | None = None
    inactive: Inactive | None = None


def standing_query(*more: Any) -> Any:
    """A SELECT of all that :func:`standing_of` asks for, over certificates, with ``more`` columns."""
    own = (
        DataCertificate.stage,
        DataCertificate.expires_at.label("ends_at"),
        CORRECTED.label("corrected"),
        *(getattr(DataCertificate, column) for column in FREEZERS.values()),
    )
    return facts_query(*own, *more).join(DataCertificate, DataCertificate.consent_id == Consent.consent_id)


def standing_of(found: Any, now: dt.datetime) -> Standing:
    """What a certificate is worth at ``now``. One that was used stays good when its consent ends: it is evidence."""
    if found.stage in ENDED:
        return Standing(Status.INVALID, ENDED[found.stage])
    if now >= found.ends_at:
        return Standing(Status.INVALID, Why.EXPIRED)
    if found.corrected:
        return Standing(Status.INVALID, Why.SUPERSEDED)
    for by, why in ((By.OFFICE, Why.OFFICE), (By.HOLDER, Why.HOLDER)):
        if getattr(found, FREEZERS[by]) is not None:
            return Standing(Status.SUSPENDED, why)
    inactive = None if found.stage == Stage.USED else why_inactive(found, now)
    if inactive is not None and inactive.reason == Reason.QUOTA_EXHAUSTED:
        inactive = None
    if inactive is not None or found.consent_froze_at is not None:
        return Standing(Status.SUSPENDED, Why.CONSENT, inactive)
    return Standing(Status.VALID)


def standing(certificate_id: str, now: dt.datetime) -> Standing:
    """The same for one certificate, which must exist."""
    found = db.session.execute(standing_query().where(DataCertificate.certificate_id == certificate_id)).one()
    return standing_of(found, now)
