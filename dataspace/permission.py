"""Permission: the one value that crosses from the authorization server to the data API.

The guard's validator (which the consent package supplies) makes it from a live token and a live consent; the data API
reads nothing without it. It imports no table, so that another process can make it by introspection.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class GrantedItem:
    """One item as granted: the fields that may leave, and the period (inclusive months ``YYYY-MM``) if limited."""

    item_id: str
    item_version: int
    fields: tuple[str, ...]
    period_from: str | None = None
    period_to: str | None = None


@dataclass(frozen=True, kw_only=True)
class Permission:
    """Which client may read what from which space, under which version of which consent."""

    client_id: str
    recipient: str  # the client's legal name, as the access log shows it
    consent_id: str
    consent_version: int
    space_id: str
    purpose: str  # the purpose text, as the access log shows it
    reference_no: str | None
    items: tuple[GrantedItem, ...]
    limited: bool  # whether the consent counts its reads
