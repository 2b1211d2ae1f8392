"""The envelope around what leaves: per item its source, as-of time, classification, and what was withheld or empty."""

import datetime as dt
from typing import Any

from dataspace.permission import Permission
from dataspace.spaces import Delivered, Delivery

SCHEMA = "gd-dsa-delivery/1"


def envelope(delivery: Delivery) -> dict[str, Any]:
    """The JSON body of an answered read."""
    head = {"schema": SCHEMA, **under(delivery.delivery_id, delivery.permission)}
    return head | {"items": [_item(item) for item in delivery.items]}


def under(delivery_id: str, permission: Permission) -> dict[str, Any]:
    """Which line of the access log this is, and under which version of which consent."""
    return {
        "delivery_id": delivery_id,
        "consent": {"id": permission.consent_id, "version": permission.consent_version},
        "reference_no": permission.reference_no,
    }


def _item(item: Delivered) -> dict[str, Any]:
    head: dict[str, Any] = {"item": item.item_id, "item_version": item.item_version, "delivery": item.delivery}
    if item.regraded:
        return head | {"status": "regraded", "withheld": item.withheld, "empty": []}
    if item.as_of is None:
        # The holder's space holds no such record: said, so that it is not mistaken for withheld data.
        return head | {"status": "missing", "withheld": [], "empty": item.empty}
    content = {"rows": item.rows} if item.many else {"fields": item.rows[0] if item.rows else {}}
    return head | {
        "status": "delivered",
        **provenance(item, item.as_of),
        **content,
        "withheld": item.withheld,
        "empty": item.empty,
    }


def provenance(item: Delivered, as_of: dt.datetime) -> dict[str, Any]:
    """Where an item comes from, of when it is, and how it is classified."""
    return {
        "source": {
            "authority": item.authority,
            "system": item.system,
            "record_digest": f"sha-256:{item.record_digest}",
        },
        "as_of": as_of.isoformat().replace("+00:00", "Z"),
        "period": {"from": item.period[0], "to": item.period[1]} if item.period else None,
        "classification": item.classification,
    }
