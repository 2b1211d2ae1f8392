"""Values that a third party brings, compared with a record: match or no match, and nothing else leaves.

The answer is one bit per item, whole rows only and every granted field named, so that nobody can guess a record field
by field; how often it may be asked in a day is limited for each consent, beside the reads that the consent allows.
"""

import datetime as dt
import functools
import hashlib
import json
import secrets
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from dataspace import accesses, delivery, extracts, spaces
from dataspace.accesses import Action
from dataspace.db import new_id
from dataspace.delivery import Delivered
from dataspace.errors import DomainError
from dataspace.permission import GrantedItem, Permission, ReadRefused
from dataspace.spaces import Row
from dataspace.vault import Vault

SCHEMA = "gd-dsa-comparison/1"
REQUEST_SCHEMA = json.loads((Path(__file__).parent / "schemas" / "comparison.schema.json").read_text("utf-8"))
_validator = Draft202012Validator(REQUEST_SCHEMA)


class InvalidClaims(DomainError):
    """``detail`` says which part, without repeating values."""

    code = "invalid_request"
    sentence = "Send items with rows that name every granted field."


@dataclass(frozen=True)
class Claim:
    """What the caller believes an item holds: rows, or digests of rows under a ``nonce`` of the caller's."""

    item_id: str
    rows: tuple[Row, ...] = ()
    nonce: str = ""
    digests: tuple[str, ...] = ()

    @classmethod
    def of(cls, entry: dict[str, Any]) -> "Claim":
        """From a document that was checked."""
        return cls(entry["item"], tuple(entry.get("rows", ())), entry.get("nonce", ""), tuple(entry.get("digests", ())))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """``found``: per item whether every row was found; None when the space holds no such record."""

    delivery_id: str
    permission: Permission
    found: list[tuple[Delivered, bool | None]]
    salt: str = field(default_factory=lambda: secrets.token_hex(16))  # as of a delivery: leaves, and is not kept

    @functools.cached_property
    def body(self) -> dict[str, Any]:
        """The JSON body of the answer, made once: the access log keeps its digest before it leaves."""
        head = {"schema": SCHEMA, **delivery.under(self.delivery_id, self.permission), "salt": self.salt}
        return head | {"items": [_item(item, found=found) for item, found in self.found]}


def parse(body: bytes) -> list[Claim]:
    """The claims of a request body. Raises InvalidClaims."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidClaims("not JSON") from None
    error = best_match(_validator.iter_errors(document))
    if error is not None:
        raise InvalidClaims("/".join(str(part) for part in error.absolute_path) or "not as described")
    claims = [Claim.of(entry) for entry in document["items"]]
    if len({claim.item_id for claim in claims}) < len(claims):
        raise InvalidClaims("an item is named twice")
    return claims


def compare(permission: Permission, claims: list[Claim], now: dt.datetime, *, vault: Vault) -> Comparison:
    """Compare, and write the access row in the same transaction; it counts as a read. The caller commits.

    Raises InvalidClaims, QuotaExhausted, ReadRefused (``item_not_granted``, ``too_many_comparisons``, ``data_erased``).
    """
    granted = extracts.granted_items(permission, [claim.item_id for claim in claims])
    readable = [grant.item_id for grant in granted if grant.delivery != "verify_only"]
    if readable:
        # Whoever may read an item needs no oracle beside it.
        raise ReadRefused("item_not_granted", permission=permission, detail=readable[0])
    for claim, grant in zip(claims, granted, strict=True):
        _demand_whole_rows(claim, grant)
    items = extracts.deliver(permission, granted, now, vault=vault)
    found = [(item, _found(claim, item)) for claim, item in zip(claims, items, strict=True)]
    comparison = Comparison(delivery_id=new_id("dlv"), permission=permission, found=found)
    accesses.record_answered(
        permission,
        [c.item_id for c in claims],
        now,
        action=Action.COMPARE,
        delivery_id=comparison.delivery_id,
        record_ids=[item.record_id for item in items],
        response_digest=hashlib.sha256(spaces.canonical(comparison.body)).hexdigest(),
    )
    return comparison


def _item(item: Delivered, *, found: bool | None) -> dict[str, Any]:
    head = delivery.head_of(item)
    if item.as_of is None:
        return head | {"status": "missing", **delivery.without_record(item)}
    # The digest of the record stays here: it would be a second thing to compare with.
    source = {"authority": item.authority, "system": item.system}
    known = delivery.provenance(item, item.as_of) | {"source": source}
    return head | {"status": "compared", **known, "match": found}


def _demand_whole_rows(claim: Claim, grant: GrantedItem) -> None:
    for row in claim.rows:
        if set(row) != set(grant.fields):
            raise InvalidClaims(f"{claim.item_id}: a row names other fields than were granted")


def _found(claim: Claim, item: Delivered) -> bool | None:
    if item.as_of is None:
        return None
    if claim.digests:
        known = {digest(claim.nonce, row) for row in item.rows}
        return all(one in known for one in claim.digests)
    held = {_whole(row) for row in item.rows}
    return all(_whole(row) in held for row in claim.rows)


def digest(nonce: str, row: Row) -> str:
    """What stands for a row: SHA-256, in hex. The nonce keeps digests of two requests from being compared."""
    said = {"nonce": nonce, "row": {name: _normal(value) for name, value in row.items()}}
    return hashlib.sha256(spaces.canonical(said)).hexdigest()


def _whole(row: Row) -> tuple[tuple[str, str, Any], ...]:
    """A row as it is compared: text in normal form, and a yes is no 1."""
    return tuple(sorted((field, type(value).__name__, _normal(value)) for field, value in row.items()))


def _normal(value: Any) -> Any:
    return unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else value
