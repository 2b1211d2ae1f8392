"""Which fields left with a read, and which reads a field left with: by what the read rests on.

A line of the access log names a version of a consent or of a power; what that version allowed of an item, of the fields
that the record has, is what left, or was compared. Of a certificate that the holder has shown it is the most that she
can have shown. With an answer that was computed from a record no field of it has left.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import String, cast, select

from consent import powers
from consent.powers import Power
from consent.records import Consent, ConsentVersion
from dataspace.accesses import Access
from dataspace.db import db
from dataspace.lineage import Basis

Allowed = dict[Basis, dict[str, list[str]]]  # version of a consent or power -> item -> fields


def allowed(lines: Collection[Access]) -> Allowed:
    """What the versions allow that these lines rest on. Two queries at most."""
    by_consent = {(line.consent_id, line.consent_version) for line in lines if line.power_id is None}
    by_law = {(line.power_id, line.power_version or 0) for line in lines if line.power_id is not None}
    versions = select(ConsentVersion.consent_id, ConsentVersion.version, ConsentVersion.granted).where(
        ConsentVersion.consent_id.in_({name for name, _version in by_consent}),
        ConsentVersion.version.in_({version for _name, version in by_consent}),
    )
    found = {(name, version): _fields(granted) for name, version, granted in db.session.execute(versions)}
    return found | {basis: _fields(power.items) for basis, (power, _client) in powers.named(by_law).items()}


def allowing(space_id: str, item_id: str, field: str) -> list[Basis]:
    """Every version of a consent of a space, and of a power, that allows a field of an item. Two queries."""
    consents = (
        select(ConsentVersion.consent_id, ConsentVersion.version, ConsentVersion.granted)
        .join(Consent, Consent.consent_id == ConsentVersion.consent_id)
        .where(Consent.space_id == space_id, *_names(ConsentVersion.granted, item_id, field))
        .order_by(ConsentVersion.consent_id, ConsentVersion.version)
    )
    laws = (
        select(Power.power_id, Power.version, Power.items)
        .where(*_names(Power.items, item_id, field))
        .order_by(Power.power_id, Power.version)
    )
    rows = [*db.session.execute(consents), *db.session.execute(laws)]
    return [(name, version) for name, version, items in rows if field in _fields(items).get(item_id, ())]


def _fields(items: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {item["item"]: item["fields"] for item in items}


def _names(column: Any, *words: str) -> list[Any]:
    """A document that has these words in it; whether at the right place is for the caller to see."""
    return [cast(column, String).contains(f'"{word}"', autoescape=True) for word in words]
