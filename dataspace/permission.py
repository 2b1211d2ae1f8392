"""Permission: the one value that crosses from the authorization server to the data API.

The guard's validator (which the consent package supplies) makes it from a live token and a live consent; the data API
reads nothing without it. It imports no table, so that another process can make it by introspection.
"""

import datetime as dt
from dataclasses import dataclass

from dataspace.errors import DomainError


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
    max_reads: int | None  # how many reads the consent allows in all


class ReadRefused(DomainError):
    """A read that is refused for a reason the holder may know.

    ``permission`` says whose space and which consent (for the access log); None when the token names none. ``since``
    is when the reason came into being, if known.
    """

    code = "access_denied"
    sentence = "This read is not allowed."
    status = 403

    def __init__(
        self, reason: str, *, permission: Permission | None = None, since: dt.datetime | None = None, detail: str = ""
    ) -> None:
        super().__init__(detail or reason)
        self.reason = reason
        self.permission = permission
        self.since = since
