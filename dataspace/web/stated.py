"""What a request for data says of itself in its query, ``purpose`` and ``case_no``, checked against the consent."""

import dataclasses
import datetime as dt
from collections.abc import Iterable

from flask import request

from dataspace.errors import DomainError
from dataspace.permission import Permission, ReadRefused
from dataspace.web import guard

MAX_CASE_NO = 80


class InvalidCase(DomainError):
    code = "invalid_request"
    sentence = "Name the purpose and the case once: a case number has one to 80 characters."


def permission(wanted: Iterable[str] | None, now: dt.datetime, *, continuing: bool = False) -> Permission:
    """The permission of this request for these items, for what it names. Raises ReadRefused, InvalidCase."""
    found = _stated(guard.permission(now, continuing=continuing))
    found.demand_sign_in(wanted, now)
    return found


def _stated(permission: Permission) -> Permission:
    """A consent for one case is good for no other; where it names none, the one that is named goes into the log."""
    purpose, case_no = _one("purpose"), _one("case_no")
    if purpose is not None and purpose != permission.purpose_code:
        raise ReadRefused("purpose_mismatch", permission=permission)
    if case_no is None or case_no == permission.reference_no:
        return permission
    if permission.reference_no is not None:
        raise ReadRefused("case_mismatch", permission=permission)
    return dataclasses.replace(permission, reference_no=case_no)


def _one(name: str) -> str | None:
    values = request.args.getlist(name)
    if len(values) > 1 or not all(0 < len(v) <= MAX_CASE_NO and v.isprintable() for v in values):
        raise InvalidCase
    return values[0] if values else None
