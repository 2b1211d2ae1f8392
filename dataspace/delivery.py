"""The envelope around what leaves: per item its source, as-of time, classification, and what was withheld or empty."""

import datetime as dt
import functools
import secrets
from dataclasses import dataclass, field
from typing import Any

from dataspace.permission import Permission
from dataspace.walks import Walk

SCHEMA = "gd-dsa-delivery/1"


@dataclass(frozen=True, kw_only=True)
class Page:
    """Which rows of an item these are: so many were ``before``, and there are ``of``; ``first``: the first delivery."""

    before: int
    of: int
    first: str


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """One item as it leaves: only granted fields of rows within the granted period.

    ``withheld``: fields of the item that were not granted; ``empty``: granted fields without a value in any row;
    ``record_digest`` and ``as_of`` are None when the space holds no record of the item. Source and classification are
    those of the version of the item that is named: the record's, else the granted one, of a regraded item the newest.
    """

    item_id: str
    item_version: int
    authority: dict[str, str]
    system: str
    classification: dict[str, Any]
    many: bool
    as_of: dt.datetime | None
    record_digest: str | None
    period: tuple[str, str] | None
    rows: list[dict[str, Any]]
    withheld: list[str]
    empty: list[str]
    delivery: str = "raw"
    record_id: str | None = None
    silent_since: dt.datetime | None = None  # its source has not been heard since, though it should have been
    page: "Page | None" = None  # of an item that is delivered page by page
    derivation: dict[str, Any] | None = None  # how it was computed here from the record that is named
    suppressed: int = 0  # rows of an aggregate over too few, which do not leave
    regraded: bool = False  # nothing of it leaves before the holder has decided on it again


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """The answer to one read, the id of its row in the access log, and when it was made."""

    delivery_id: str
    permission: Permission
    items: list[Delivered]
    at: dt.datetime
    following: Walk | None = None  # where the next page begins, if one item is delivered page by page
    # Leaves with the answer and is kept nowhere: without it nobody can guess what the digest in the access log covers.
    salt: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def next_page(self) -> Walk | None:
        """The next page, if there is one."""
        page = self.items[0].page if self.items else None
        more = page is not None and self.following is not None and self.following.start < page.of
        return self.following if more else None

    @functools.cached_property
    def body(self) -> dict[str, Any]:
        """The envelope, made once: the access log keeps its digest before it leaves."""
        return envelope(self)


def envelope(delivery: Delivery) -> dict[str, Any]:
    """The JSON body of an answered read."""
    head = {"schema": SCHEMA, **under(delivery.delivery_id, delivery.permission), "salt": delivery.salt}
    return head | {"items": [_item(item) for item in delivery.items]}


def under(delivery_id: str, permission: Permission) -> dict[str, Any]:
    """Which line of the access log this is, and under which version of which consent, or by which law."""
    head: dict[str, Any] = {"delivery_id": delivery_id, "reference_no": permission.reference_no}
    if permission.law is not None:
        law = permission.law
        return head | {"by_law": {"power": law.power_id, "version": law.power_version, "law": law.law}}
    return head | {"consent": {"id": permission.consent_id, "version": permission.consent_version}}


def schema_address(item_id: str, version: int | str) -> str:
    """Where the JSON Schema of a version of an item is published, under the issuer; of a template also its form."""
    return f"/api/v1/items/{item_id}/{version}/schema.json"


def head_of(item: Delivered) -> dict[str, Any]:
    """Which version of which item this is, what describes its values, and in what form it leaves."""
    schema = schema_address(item.item_id, item.item_version)
    return {"item": item.item_id, "item_version": item.item_version, "schema": schema, "delivery": item.delivery}


def without_record(item: Delivered) -> dict[str, Any]:
    """What the catalogue says of an item of which nothing leaves."""
    return {"source": {"authority": item.authority, "system": item.system}, "as_of": None, **_catalogued(item)}


def _item(item: Delivered) -> dict[str, Any]:
    head = head_of(item)
    if item.regraded:
        return head | {"status": "regraded", **without_record(item), "withheld": item.withheld, "empty": []}
    if item.as_of is None:
        # The holder's space holds no such record: said, so that it is not mistaken for withheld data.
        return head | {"status": "missing", **without_record(item), "withheld": item.withheld, "empty": item.empty}
    content = {"rows": item.rows} if item.many else {"fields": item.rows[0] if item.rows else {}}
    return head | {
        "status": "delivered",
        **provenance(item, item.as_of),
        **content,
        **_page(item),
        **({"suppressed": item.suppressed} if item.suppressed else {}),
        "withheld": item.withheld,
        "empty": item.empty,
    }


def _page(item: Delivered) -> dict[str, Any]:
    page = item.page
    if page is None:
        return {}
    said = {"from": page.before + 1, "to": page.before + len(item.rows), "of": page.of}
    return {"page": said | {"first_delivery_id": page.first}}


def provenance(item: Delivered, as_of: dt.datetime) -> dict[str, Any]:
    """Where an item comes from, of when it is, and how it is classified."""
    return {
        "source": {
            "authority": item.authority,
            "system": item.system,
            "record_digest": f"sha-256:{item.record_digest}",
            "silent_since": stamp(item.silent_since) if item.silent_since else None,
        },
        "as_of": stamp(as_of),
        **_catalogued(item),
        **({"derivation": item.derivation} if item.derivation else {}),
    }


def _catalogued(item: Delivered) -> dict[str, Any]:
    period = {"from": item.period[0], "to": item.period[1]} if item.period else None
    return {"period": period, "classification": item.classification}


def stamp(at: dt.datetime) -> str:
    """A moment in UTC (RFC 3339)."""
    return at.isoformat().replace("+00:00", "Z")
