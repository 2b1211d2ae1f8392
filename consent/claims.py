"""What a sign-in may tell of a person: the standard claims (OpenID Connect Core section 5.1), by scope and by name.

The ``claims`` parameter (section 5.5) is parsed here; its values come from :mod:`consent.oauth.identity`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from dataspace.errors import DomainError

# OpenID Connect Core section 5.4.
SCOPES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "profile": (
            "name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
            "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
        ),
        "email": ("email", "email_verified"),
        "address": ("address",),
        "phone": ("phone_number", "phone_number_verified"),
    }
)  # fmt: skip
OFFERED = tuple(name for names in SCOPES.values() for name in names)
# In every ID token, asked for or not.
ALWAYS = ("iss", "sub", "aud", "exp", "iat", "auth_time", "acr", "amr")
MAX_BYTES = 8 * 1024


class InvalidClaims(DomainError):
    """OAuth error ``invalid_request``; ``detail`` is safe to show to the client."""

    code = "invalid_request"
    sentence = "The request asks for claims in a form that is not understood."


@dataclass(frozen=True, kw_only=True)
class AskedClaims:
    """Names that the parameter adds to what the scope asks; those that we do not offer are left out.

    ``persons``: the subjects of whom one must be the person; ``acrs``: of these one is essential; None: any will do.
    """

    userinfo: tuple[str, ...] = ()
    id_token: tuple[str, ...] = ()
    persons: tuple[str, ...] | None = None
    acrs: tuple[str, ...] | None = None

    @property
    def named(self) -> list[str]:
        """Every claim that is asked for by its name, here or there."""
        return list(dict.fromkeys([*self.userinfo, *self.id_token]))


NOTHING = AskedClaims()


def parse(text: str) -> AskedClaims:
    """The ``claims`` parameter; an empty text asks nothing. Raises InvalidClaims."""
    if not text:
        return NOTHING
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise InvalidClaims("claims is too large")
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidClaims("claims is not JSON") from None
    members = {name: _member(asked, name) for name in ("userinfo", "id_token")}
    wanted_acr = members["id_token"].get("acr") or {}
    return AskedClaims(
        userinfo=_offered(members["userinfo"]),
        id_token=_offered(members["id_token"]),
        persons=_persons(members.values()),
        acrs=_values(wanted_acr) if wanted_acr.get("essential") is True else None,
    )


def told(scope: Iterable[str], asked: AskedClaims = NOTHING) -> tuple[str, ...]:
    """Everything that leaves under a scope and a ``claims`` parameter, in the order of :data:`OFFERED`."""
    wanted = {*asked.userinfo, *asked.id_token, *(name for s in scope for name in SCOPES.get(s, ()))}
    return tuple(name for name in OFFERED if name in wanted)


def _member(asked: Any, name: str) -> dict[str, dict[str, Any] | None]:
    """``userinfo`` or ``id_token``: each claim with null or an object of its own (section 5.5.1)."""
    if not isinstance(asked, dict):
        raise InvalidClaims("claims is not an object")
    member = asked.get(name)
    if member is None:
        return {}
    if not isinstance(member, dict):
        raise InvalidClaims(f"claims: {name} is not an object")
    for wanted in member.values():
        if wanted is not None and not isinstance(wanted, dict):
            raise InvalidClaims(f"claims: a claim of {name} is neither null nor an object")
        if wanted and not isinstance(wanted.get("essential", False), bool):
            raise InvalidClaims(f"claims: essential is not true or false in {name}")
        if wanted and not isinstance(wanted.get("values", []), list):
            raise InvalidClaims(f"claims: values is not a list in {name}")
    return member


def _offered(member: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name in OFFERED if name in member)


def _values(wanted: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The acceptable values, if any are named."""
    named = [wanted["value"]] if "value" in wanted else wanted.get("values")
    return None if named is None else tuple(value for value in named if isinstance(value, str))


def _persons(members: Iterable[Mapping[str, dict[str, Any] | None]]) -> tuple[str, ...] | None:
    """Who may be the person: a value of ``sub`` is binding, essential or not (section 5.5.1)."""
    named = [values for member in members if (values := _values(member.get("sub") or {})) is not None]
    return tuple(sub for sub in named[0] if all(sub in others for others in named)) if named else None
