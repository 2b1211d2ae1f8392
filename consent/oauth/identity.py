"""The values of claims: the holder's own records, read live as any other read of a space, and logged.

A sign-in tells what the person agreed to by the names of claims. A consent to data tells by claims only what it grants
as items, so that no claim widens it. What the space holds no record of is left out, never empty.
"""

import datetime as dt
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from consent.history import Registry
from consent.oauth.bindings import Bound
from consent.oauth.validator import permission_of
from dataspace import accesses, extracts, holders
from dataspace.accesses import QuotaExhausted
from dataspace.delivery import Delivered
from dataspace.permission import GrantedItem, Permission, ReadRefused

Make = Callable[[Any], Any]
_GENDERS = {"男": "male", "女": "female"}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _url(value: Any) -> str | None:
    return value if isinstance(value, str) and value.startswith(("https://", "http://")) else None


def _day(value: Any) -> str | None:
    return value if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value) else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _gender(value: Any) -> str | None:
    return _GENDERS.get(value)


def _address(value: Any) -> dict[str, str] | None:
    """OpenID Connect Core section 5.1.1."""
    return {"formatted": value} if _text(value) else None


IDENTITY, CONTACT, SELF = "p.identity.basic", "p.contact.registered", "p.profile.self"
# Claim -> catalogue item, its field, and how the value is made; whatever does not fit becomes None.
SOURCES: Mapping[str, tuple[str, str, Make]] = MappingProxyType(
    {
        "gender": (IDENTITY, "sex", _gender),
        "birthdate": (IDENTITY, "birth_date", _day),
        "email": (CONTACT, "email", _text),
        "email_verified": (CONTACT, "email_verified", _flag),
        "phone_number": (CONTACT, "mobile", _text),
        "phone_number_verified": (CONTACT, "mobile_verified", _flag),
        "address": (CONTACT, "postal_address", _address),
        "family_name": (SELF, "family_name", _text),
        "given_name": (SELF, "given_name", _text),
        "middle_name": (SELF, "middle_name", _text),
        "nickname": (SELF, "nickname", _text),
        "preferred_username": (SELF, "preferred_username", _text),
        "profile": (SELF, "page", _url),
        "picture": (SELF, "picture", _url),
        "website": (SELF, "website", _url),
        "zoneinfo": (SELF, "zoneinfo", _text),
        "locale": (SELF, "locale", _text),
    }
)
# Who signs in has a name here; what a consent to data tells of it is the granted record.
_NAME: tuple[str, str, Make] = (IDENTITY, "name", _text)
# "verified" of nothing says nothing.
_RESTS_ON = {"email_verified": "email", "phone_number_verified": "phone_number"}


def values(names: Collection[str], bound: Bound, now: dt.datetime, *, registry: Registry) -> dict[str, Any]:
    """The claims of these names that there are; reads and logs nothing when none of them is asked."""
    permission, by_items = permission_of(bound), bound.consent_kind == "data"
    found: dict[str, Any] = {}
    if "name" in names and not by_items and (profile := holders.profiles({bound.holder_id}, vault=registry.vault)):
        found["name"] = profile[bound.holder_id].name
    asked = _granted(names, permission) if by_items else {name: SOURCES[name] for name in names if name in SOURCES}
    delivered = _read(asked, permission, now, registry)
    if "name" in found and IDENTITY not in delivered:
        # The name by which the holder is registered leaves without a record: it is written down as what it is.
        accesses.record_answered(permission, [IDENTITY], now)
    for name, (item_id, field, make) in asked.items():
        rows = delivered[item_id].rows if item_id in delivered else []
        value = make(rows[0][field]) if rows and field in rows[0] else None
        if value is not None:
            found[name] = value
    stamps = [item.as_of for item in delivered.values() if item.as_of is not None]
    if "updated_at" in names and stamps:
        found["updated_at"] = int(max(stamps).timestamp())
    return {name: value for name, value in found.items() if _RESTS_ON.get(name, name) in found}


def _granted(names: Collection[str], permission: Permission) -> dict[str, tuple[str, str, Make]]:
    """The claims of these names whose very field a consent to data grants, to be read as it stands."""
    fields = {(item.item_id, field) for item in permission.items if item.delivery == "raw" for field in item.fields}
    sources = {name: source for name, source in (*SOURCES.items(), ("name", _NAME)) if name in names}
    return {
        name: (item_id, field, make) for name, (item_id, field, make) in sources.items() if (item_id, field) in fields
    }


def _read(
    asked: Mapping[str, tuple[str, str, Make]], permission: Permission, now: dt.datetime, registry: Registry
) -> dict[str, Delivered]:
    """What the records say, by item; only the fields that are asked."""
    fields: dict[str, list[str]] = {}
    for item_id, field, _make in asked.values():
        fields.setdefault(item_id, []).append(field)
    if not fields:
        return {}
    # The version is the record's own where the consent names claims, not items.
    granted = {item.item_id: item for item in permission.items}
    items = tuple(
        replace(granted.get(i, GrantedItem(item_id=i, item_version=0, fields=())), fields=tuple(f))
        for i, f in fields.items()
    )
    permission = replace(permission, items=items)
    try:
        permission.demand_sign_in(None, now)
        delivery = extracts.read(permission, None, now, vault=registry.vault)
    except (ReadRefused, QuotaExhausted):  # the space was erased a moment ago, or the consent is used up
        return {}
    return {item.item_id: item for item in delivery.items}
