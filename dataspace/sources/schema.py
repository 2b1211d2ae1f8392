"""The JSON Schema of a record: its rows as the catalogue's item says, every field with its own rule or the usual one.

A field of the catalogue may say more of its values (``value``: type, enum, pattern, minimum, maximum, maxLength); a
source may always leave one empty.
"""

import functools
from typing import Any

import jsonschema_rs

from dataspace.catalogue import DataItem

MAX_ROWS = 1000
MAX_LENGTH = 4000  # characters of a value that the catalogue says nothing about
MASKED = r"^(\*{0,5}|[\s\S]{3}\*+[\s\S]{2})$"  # see dataspace.identifiers.mask
MAX_INTEGER = 2**53 - 1  # RFC 8785 section 3.2.2.3: what every JSON implementation reads alike


def of_item(item: DataItem) -> dict[str, Any]:
    """The schema of the rows of a record of this version of the item."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{item.item_id} version {item.version}",
        "type": "array",
        "maxItems": MAX_ROWS if item.cardinality == "many" else 1,
        "items": {
            "type": "object",
            "additionalProperties": False,
            "properties": {field["id"]: _value(field.get("value", {})) for field in item.fields},
        },
    }


def published(item: DataItem, address: str) -> dict[str, Any]:
    """The same for everybody, as it may leave: a masked field may show its ends only. ``address``: where it stands."""
    schema = of_item(item)
    fields = schema["items"]["properties"]
    for field in item.fields:
        if field.get("masked"):
            fields[field["id"]] = {"anyOf": [fields[field["id"]], {"type": "string", "pattern": MASKED}]}
    return {"$id": address} | schema


def validator(item: DataItem) -> Any:
    """The validator of the rows of this version of the item; a fast one, for files of millions of records."""
    return jsonschema_rs.Draft202012Validator(of_item(item))


@functools.lru_cache(maxsize=64)
def _usual() -> dict[str, Any]:
    limits = {"maxLength": MAX_LENGTH, "minimum": -MAX_INTEGER, "maximum": MAX_INTEGER}
    return {"type": ["string", "integer", "boolean", "null"], **limits}


def _value(rule: dict[str, Any]) -> dict[str, Any]:
    said = _usual() | rule
    if "type" in rule:
        said["type"] = [rule["type"], "null"]
    if "enum" in rule:
        said["enum"] = [*rule["enum"], None]
    return said
