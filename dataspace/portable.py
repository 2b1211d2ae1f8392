"""One item as its holder takes it elsewhere (PIPL article 45): the whole current record, with where it comes from.

Unlike the envelope of the data API it names no consent and no third party: nobody asked but the holder.
"""

import datetime as dt
from typing import Any

from dataspace.catalogue import DataItem, months
from dataspace.spaces import Held

SCHEMA = "gd-dsa-item/1"
Cell = str | int | bool | None


def document(held: Held, *, issuer: str) -> dict[str, Any]:
    """The record for programs: source, as-of time, classification, what its fields are called, and every row."""
    item, record = held.item, held.record
    return {
        "schema": SCHEMA,
        "issuer": issuer,
        "item": item.item_id,
        "item_version": item.version,
        "label": item.labels,
        "source": {
            "authority": item.authority,
            "system": item.system,
            "record_digest": f"sha-256:{record.digest}",
        },
        "as_of": _stamp(record.as_of),
        "received_at": _stamp(record.received_at),
        "period": _period(held),
        "classification": {"rule_set": item.rule_set, "class": item.pi_class, "level": item.level},
        "fields": [{"id": field["id"], "label": field["label"]} for field in item.fields],
        "rows": held.rows,
    }


def table(held: Held, locale: str, *, provenance: tuple[str, ...]) -> list[list[Cell]]:
    """The record as a table: a head in a language, then its rows, each with where it comes from: it may be cut out.

    ``provenance``: what the columns of source, system, as-of time, schema and item version are called.
    """
    item = held.item
    fields = item.field_ids()
    origin: list[Cell] = [item.authority_name(locale), item.system, _stamp(held.record.as_of), SCHEMA, item.version]
    head: list[Cell] = [*(item.field_label(field, locale) for field in fields), *provenance]
    rows = held.rows or [{}]  # an empty record has a source as well
    return [head, *([*(row.get(field) for field in fields), *origin] for row in rows)]


def is_sensitive(item: DataItem) -> bool:
    """Whether taking it needs a fresh sign-in, as giving it does."""
    return item.is_sensitive_for(item.field_ids())


def _period(held: Held) -> dict[str, str] | None:
    field = held.item.period_field
    spans = [span for row in held.rows if field and (span := months(row.get(field)))]
    return {"from": min(s[0] for s in spans), "to": max(s[1] for s in spans)} if spans else None


def _stamp(at: dt.datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
