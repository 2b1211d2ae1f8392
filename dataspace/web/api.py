"""The data API: what a consent allows, read by the third party that holds its token.

``GET /api/v1/data`` answers all granted items, or those named by ``?items=a,b``; ``GET /api/v1/data/<item>`` one;
``POST /api/v1/comparisons`` compares what the caller brings with items that may only be compared. A read counts, so a
query that cannot have been meant is refused and not repaired.
"""

import datetime as dt
from collections.abc import Iterable

import orjson
from flask import Blueprint, Response, g, request

from dataspace import clock, comparisons, spaces
from dataspace.accesses import FrequencyExceeded, QuotaExhausted
from dataspace.db import db
from dataspace.delivery import envelope
from dataspace.errors import DomainError
from dataspace.permission import Permission, ReadRefused
from dataspace.web import guard
from dataspace.web.shell import services

MAX_ITEMS = 60
bp = Blueprint("api", __name__, url_prefix="/api/v1")


class InvalidItems(DomainError):
    code = "invalid_request"
    sentence = "Name one to 60 items, once, or leave the parameter out."


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
    try:
        comparison = comparisons.compare(permission, claims, now, vault=services().vault)
    except QuotaExhausted:
        raise ReadRefused("quota_exhausted", permission=permission) from None
    except FrequencyExceeded as error:
        raise ReadRefused(error.code, permission=permission, until=error.until) from None
    db.session.commit()
    return Response(orjson.dumps(comparisons.envelope(comparison)), mimetype="application/json")


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
    try:
        delivery = spaces.read(permission, wanted, now, vault=services().vault)
    except QuotaExhausted:
        raise ReadRefused("quota_exhausted", permission=permission) from None
    except FrequencyExceeded as error:
        raise ReadRefused(error.code, permission=permission, until=error.until) from None
    # The access row is in this transaction: without it, nothing leaves.
    db.session.commit()
    return Response(orjson.dumps(envelope(delivery)), mimetype="application/json")


def _permission(wanted: Iterable[str] | None, now: dt.datetime) -> Permission:
    """The permission of this request for these items. Raises ReadRefused."""
    g.wanted = _printable(wanted)
    permission = guard.permission(now)
    permission.demand_sign_in(wanted, now)
    return permission


def _printable(wanted: Iterable[str] | None) -> list[str]:
    """Item names that may stand in the log: the caller wrote them."""
    return [w[:60] if w.isascii() and w.isprintable() else "?" for w in wanted or ()]
