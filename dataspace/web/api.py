"""The data API: what a consent allows, read by the third party that holds its token.

``GET /api/v1/data`` answers all granted items, or those named by ``?items=a,b``; ``GET /api/v1/data/<item>`` one;
``POST /api/v1/comparisons`` compares what the caller brings with items that may only be compared. ``?purpose=`` and
``?case_no=`` say what for, and are checked against the consent. A read counts, so a query that cannot have been meant
is refused and not repaired.
"""

import dataclasses
import datetime as dt
from collections.abc import Iterable

from flask import Blueprint, Response, g, request

from dataspace import clock, comparisons, spaces
from dataspace.accesses import FrequencyExceeded, QuotaExhausted
from dataspace.db import db
from dataspace.errors import DomainError
from dataspace.permission import Permission, ReadRefused
from dataspace.web import answers, guard
from dataspace.web.shell import services

MAX_ITEMS = 60
MAX_CASE_NO = 80
bp = Blueprint("api", __name__, url_prefix="/api/v1")


class InvalidItems(DomainError):
    code = "invalid_request"
    sentence = "Name one to 60 items, once, or leave the parameter out."


class InvalidCase(DomainError):
    code = "invalid_request"
    sentence = "Name the purpose and the case once: a case number has one to 80 characters."


@bp.get("/data")
def read_all() -> Response:
    """All granted items, or the ones named in ``items``."""
    return _answer(_named(request.args.getlist("items")))


@bp.get("/data/<item_id>")
def read_one(item_id: str) -> Response:
    """One granted item."""
    return _answer([item_id])


@bp.post("/comparisons")
def compare() -> Response:
    """Compare values with granted items: match or no match."""
    claims = comparisons.parse(request.get_data())
    now = clock.now()
    wanted = [claim.item_id for claim in claims]
    permission = _permission(wanted, now)
    packed = answers.packing(permission, now)
    try:
        comparison = comparisons.compare(permission, claims, now, vault=services().vault)
    except QuotaExhausted:
        raise ReadRefused("quota_exhausted", permission=permission) from None
    except FrequencyExceeded as error:
        raise ReadRefused(error.code, permission=permission, until=error.until) from None
    db.session.commit()
    return answers.answer(comparisons.envelope(comparison), packed)


def _named(values: list[str]) -> list[str] | None:
    """The items that the query names, None for all. Raises InvalidItems."""
    if not values:
        return None
    names = [name for name in values[0].split(",") if name]
    if len(values) > 1 or not 1 <= len(names) <= MAX_ITEMS:
        raise InvalidItems
    return names


def _answer(wanted: Iterable[str] | None) -> Response:
    now = clock.now()
    permission = _permission(wanted, now)
    packed = answers.packing(permission, now)
    try:
        delivery = spaces.read(permission, wanted, now, vault=services().vault)
    except QuotaExhausted:
        raise ReadRefused("quota_exhausted", permission=permission) from None
    except FrequencyExceeded as error:
        raise ReadRefused(error.code, permission=permission, until=error.until) from None
    response = answers.answer(delivery.body, packed)
    # That nothing has changed is an answer, too, and a read.
    response.set_etag(answers.tag(delivery.body), weak=True)
    if "If-None-Match" in request.headers:
        response.make_conditional(request)
    # The access row is in this transaction: without it, nothing leaves.
    db.session.commit()
    return response


def _permission(wanted: Iterable[str] | None, now: dt.datetime) -> Permission:
    """The permission of this request for these items. Raises ReadRefused."""
    g.wanted = _printable(wanted)
    permission = _stated(guard.permission(now))
    permission.demand_sign_in(wanted, now)
    return permission


def _stated(permission: Permission) -> Permission:
    """The permission for the purpose and the case that the caller names. Raises ReadRefused, InvalidCase.

    A consent for one case is good for no other; where it names none, the one that the caller names goes into the log.
    """
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


def _printable(wanted: Iterable[str] | None) -> list[str]:
    """Item names that may stand in the log: the caller wrote them."""
    return [w[:60] if w.isascii() and w.isprintable() else "?" for w in wanted or ()]
