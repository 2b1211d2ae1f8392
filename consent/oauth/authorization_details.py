"""``authorization_details`` as granted (RFC 9396 section 7): what the holder has left of what was asked."""

from typing import Any

from consent.oauth.tokens import Bound
from consent.terms import TYPE


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


def _item(item: dict[str, Any]) -> dict[str, Any]:
    said = {"item": item["item"], "item_version": item["version"], "fields": item["fields"]}
    said["delivery"] = item.get("delivery", "raw")
    if item["from"] and item["to"]:
        said["period"] = {"from": item["from"], "to": item["to"]}
    return said
