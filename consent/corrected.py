"""Corrected data: who has received a value that a source has taken back since, under a consent that lives, is told so.

The third party hears which item of which delivery was wrong and may read it anew; the holder, that the value in her
space was corrected and who had received the old one. The consent itself is as it was: no event of it is written.
Certificates that were made of the old version are superseded.
"""

import datetime as dt
from typing import Any

from sqlalchemy import select

from consent import announcements, data_certificates
from consent.clients import Client
from consent.records import LIVE, Consent
from dataspace import corrections, lineage, messages
from dataspace.corrections import Correction
from dataspace.db import db
from dataspace.messages import Group, Notice
from dataspace.vault import Vault


def sweep(now: dt.datetime, limit: int, *, vault: Vault) -> int:
    """Tell whom up to ``limit`` corrections concern; returns how many corrections there were."""
    found = corrections.claim(now, limit)
    for correction in found:
        data_certificates.supersede(correction, now, vault=vault)
        _tell(correction, now)
    return len(found)


def _tell(correction: Correction, now: dt.datetime) -> None:
    received = lineage.consents_that_received(correction.space_id, correction.previous_record_id)
    messages.send(
        correction.space_id, Notice.DATA_CORRECTED, Group.AUTHORIZATIONS, now, about=correction.previous_record_id
    )
    living = db.session.execute(
        select(Consent, Client.options)
        .join(Client, Client.client_id == Consent.client_id)
        .where(Consent.consent_id.in_(list(received)), Consent.state.in_(LIVE))
        .order_by(Consent.consent_id)
    )
    for consent, options in living:
        announcements.announce_correction(consent, options, now, body=_body(consent, correction, received))


def _body(consent: Consent, correction: Correction, received: dict[str, dt.datetime | None]) -> dict[str, Any]:
    """What a client needs to find what it has received, and nothing about the person or the value."""
    last_read_at = received[consent.consent_id]
    return {
        "grant_id": consent.consent_id,
        "consent_version": consent.version,
        "item": correction.item_id,
        "last_read_at": int(last_read_at.timestamp()) if last_read_at else None,
        "at": int(correction.at.timestamp()),
    }
