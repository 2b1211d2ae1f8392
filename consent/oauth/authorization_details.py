"""``authorization_details`` as granted (RFC 9396 section 7): what the holder has left of what was asked."""

import datetime as dt
from typing import Any

from consent import statutory_terms
from consent.oauth import statutory_tokens
from consent.oauth.bindings import Bound
from consent.terms import TYPE
from dataspace.by_law import hides


def granted(bound: Bound) -> list[dict[str, Any]]:
    """For token responses and introspection; empty for a plain sign-in."""
    if bound.consent_kind != "data":
        return []
    detail: dict[str, Any] = {"type": TYPE, "purpose": bound.purpose_code, "items": [_item(i) for i in bound.granted]}
    if bound.max_reads is not None:
        detail["max_reads"] = bound.max_reads
    if bound.reference_no is not None:
        detail["reference_no"] = bound.reference_no
    detail["not_before"] = int(bound.not_before.timestamp())
    detail["expires_at"] = int(bound.expires_at.timestamp())
    return [detail]


def by_law(bound: statutory_tokens.Bound, now: dt.datetime) -> dict[str, Any]:
    """What a token for a read by law is for: nothing that says who the holder is.

    ``notice_at``: when the holder hears of it, where that is later.
    """
    hidden_until = hides(bound, now)
    said: dict[str, Any] = {
        "type": statutory_terms.TYPE,
        "power": bound.power_id,
        "version": bound.power_version,
        "case_no": bound.case_no,
        "items": [_item(item) for item in bound.items],
    }
    return said | ({"notice_at": int(hidden_until.timestamp())} if hidden_until is not None else {})


def _item(item: dict[str, Any]) -> dict[str, Any]:
    said = {"item": item["item"], "item_version": item["version"], "fields": item["fields"]}
    said["delivery"] = item.get("delivery", "raw")
    if item["from"] and item["to"]:
        said["period"] = {"from": item["from"], "to": item["to"]}
    return said
