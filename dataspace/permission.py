"""Permission: the one value that crosses from the authorization server to the data API.

The guard's validator (which the consent package supplies) makes it from a live token and a live consent; the data API
reads nothing without it. It imports no table, so that another process can make it by introspection.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from dataspace.errors import DomainError
from dataspace.frequency import Frequency

# What reading a sensitive item needs: the sign-in that the permission rests on, and how old it may be. Generous: it
# bounds for how long one sign-in is good for refresh after refresh, and has to outlast the usual consent.
SENSITIVE_ACR = ("urn:dataspace:acr:passkey",)
SENSITIVE_MAX_AGE = dt.timedelta(days=180)


@dataclass(frozen=True, kw_only=True)
class GrantedItem:
    """One item as granted: the fields that may leave, and the period (inclusive months ``YYYY-MM``) if limited."""

    item_id: str
    item_version: int
    fields: tuple[str, ...]
    period_from: str | None = None
    period_to: str | None = None
    sensitive: bool = False  # it had a step of its own on the consent page
    delivery: str = "raw"  # raw, derived, view_only, verify_only (values may be compared, none leaves)


@dataclass(frozen=True, kw_only=True)
class ByLaw:
    """What a read rests on that needs no consent: one version of a power, and under it one case about one holder.

    ``hidden_until``: until when the holder is not shown what is read in this case; None: it is shown at once.
    """

    power_id: str
    power_version: int
    case_id: str | None  # None: refused before there was a case
    law: str  # which law and article, as what is delivered names it
    case_limit: int  # reads in this case
    day_limit: int  # reads in one day, over all cases of the power
    hidden_until: dt.datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Permission:
    """Which client may read what from which space, under which version of which consent; or by which law.

    A permission by law names no consent: ``consent_id`` is empty and the version 0.
    """

    client_id: str
    recipient: str  # the client's legal name, as the access log shows it
    consent_id: str
    consent_version: int
    space_id: str
    purpose: str  # the purpose text, as the access log shows it
    purpose_code: str = ""
    reference_no: str | None
    items: tuple[GrantedItem, ...]
    max_reads: int | None  # how many reads the consent allows in all
    frequency: Frequency | None = None  # and how many in one day, week, ...
    case_required: bool = False  # every read names a case, or the consent does
    auth_time: dt.datetime  # when and how the person signed in who agreed to this
    acr: str
    encryption: tuple[str, str] | None = None  # how everything is encrypted that leaves: JWE alg and enc
    law: ByLaw | None = None

    def looks_only(self, wanted: Iterable[str] | None) -> bool:
        """Whether something of this may be looked at and not kept. ``wanted``: item ids, None for all."""
        names = None if wanted is None else set(wanted)
        return any(i.delivery == "view_only" and (names is None or i.item_id in names) for i in self.items)

    def demand_case(self) -> None:
        """A purpose may ask that the log always says for which case. Raises ReadRefused (``case_required``)."""
        if self.case_required and self.reference_no is None:
            raise ReadRefused("case_required", permission=self)

    def demand_sign_in(self, wanted: Iterable[str] | None, now: dt.datetime) -> None:
        """A sensitive item leaves only on a strong sign-in that is not too old. Raises ReadRefused (RFC 9470).

        ``wanted``: item ids, None for all that are granted. A read without a sensitive item is not asked for more; one
        by law rests on nobody's sign-in.
        """
        if self.law is not None:
            return
        names = None if wanted is None else set(wanted)
        if not any(item.sensitive and (names is None or item.item_id in names) for item in self.items):
            return
        if self.acr not in SENSITIVE_ACR or now - self.auth_time > SENSITIVE_MAX_AGE:
            raise ReadRefused("insufficient_user_authentication", permission=self)


class ReadRefused(DomainError):
    """A read that is refused for a reason the holder may know.

    ``permission`` says whose space and which consent (for the access log); None when the token names none. ``since``
    is when the reason came into being, ``until`` when it passes by itself, if known.
    """

    code = "access_denied"
    sentence = "This read is not allowed."
    status = 403

    def __init__(
        self, reason: str, *, permission: Permission | None = None, since: dt.datetime | None = None,
        until: dt.datetime | None = None, detail: str = "",
    ) -> None:  # fmt: skip
        super().__init__(detail or reason)
        self.reason = reason
        self.permission = permission
        self.since = since
        self.until = until
