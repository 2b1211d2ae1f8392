"""The data API: what a consent allows, read by the third party that holds its token.

``GET /api/v1/data`` answers all granted items, or those named by ``?items=a,b``; ``GET /api/v1/data/<item>`` one;
page by page with ``?limit=`` (the next one in ``Link``, RFC 8288);
``POST /api/v1/comparisons`` compares what the caller brings with items that may only be compared. ``?purpose=`` and
``?case_no=`` say what for, and are checked against the consent. A read counts, so a query that cannot have been meant
is refused and not repaired.
"""

from urllib.parse import urlencode

from flask import Blueprint, Response, request

from dataspace import clock, comparisons, extracts
from dataspace.accesses import Action, FrequencyExceeded, QuotaExhausted
from dataspace.db import commit
from dataspace.errors import DomainError
from dataspace.permission import ReadRefused
from dataspace.walks import MAX_LIMIT, Cursors
from dataspace.web import answers, guard, stated
from dataspace.web.shell import services

MAX_ITEMS = guard.MAX_NAMED
bp = Blueprint("api", __name__, url_prefix="/api/v1")
bp.register_error_handler(DomainError, guard.refused)


class InvalidItems(DomainError):
    code = "invalid_request"
    sentence = "Name one to 60 items, once, or leave the parameter out."


class InvalidPage(DomainError):
    code = "invalid_request"
    sentence = "Ask for pages of one item: limit is a number from 1 to 1000, or cursor is the one of the last answer."


@bp.get("/data")
def read_all() -> Response:
    """All granted items, or the ones named in ``items``."""
    guard.begin(Action.READ)
    if "limit" in request.args or "cursor" in request.args:
        raise InvalidPage
    wanted = _named(request.args.getlist("items"))
    guard.begin(Action.READ, wanted)
    return _answer(wanted)


@bp.get("/data/<item_id>")
def read_one(item_id: str) -> Response:
    """One granted item, whole or page by page."""
    guard.begin(Action.READ, [item_id])
    limit, cursor = request.args.getlist("limit"), request.args.getlist("cursor")
    if not limit and not cursor:
        return _answer([item_id])
    if len(limit) + len(cursor) > 1:
        raise InvalidPage
    return _answer([item_id], limit=_limit(limit[0]) if limit else None, cursor=cursor[0] if cursor else None)


@bp.post("/comparisons")
def compare() -> Response:
    """Compare values with granted items: match or no match."""
    guard.begin(Action.COMPARE)
    claims = comparisons.parse(request.get_data())
    now = clock.now()
    wanted = [claim.item_id for claim in claims]
    guard.begin(Action.COMPARE, wanted)
    permission = stated.permission(wanted, now)
    packed = answers.packing(permission, now)
    try:
        comparison = comparisons.compare(permission, claims, now, vault=services().vault)
    except QuotaExhausted:
        raise ReadRefused("quota_exhausted", permission=permission) from None
    except FrequencyExceeded as error:
        raise ReadRefused(error.code, permission=permission, until=error.until) from None
    commit()
    return answers.answer(comparison.body, packed)


def _named(values: list[str]) -> list[str] | None:
    """The items that the query names, None for all. Raises InvalidItems."""
    if not values:
        return None
    names = [name for name in values[0].split(",") if name]
    if len(values) > 1 or not 1 <= len(names) <= MAX_ITEMS:
        raise InvalidItems
    return names


def _limit(text: str) -> int:
    """How many rows a page has. Raises InvalidPage."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_LIMIT)) and 1 <= int(text) <= MAX_LIMIT):
        raise InvalidPage
    return int(text)


def _answer(wanted: list[str] | None, *, limit: int | None = None, cursor: str | None = None) -> Response:
    now, cursors = clock.now(), Cursors(services().settings.secret_key)
    walk = cursors.read(cursor, now) if cursor is not None else None
    permission = stated.permission(wanted, now, continuing=walk is not None)
    if walk is not None:
        walk.check(permission, wanted[0] if wanted else "")
    looks_only = permission.looks_only(wanted)
    if looks_only and limit is not None:
        raise ReadRefused("view_only", permission=permission)  # pages can be fetched again for a while
    packed = answers.packing(permission, now, looks_only=looks_only)
    try:
        delivery = extracts.read(permission, wanted, now, vault=services().vault, limit=limit, walk=walk)
    except QuotaExhausted:
        raise ReadRefused("quota_exhausted", permission=permission) from None
    except FrequencyExceeded as error:
        raise ReadRefused(error.code, permission=permission, until=error.until) from None
    response = answers.answer(delivery.body, packed)
    # That nothing has changed is an answer, too, and a read.
    response.set_etag(answers.tag(delivery.body), weak=True)
    if delivery.next_page is not None:
        response.headers["Link"] = f'<{_following(cursors.of(delivery.next_page))}>; rel="next"'
    if "If-None-Match" in request.headers:
        response.make_conditional(request)
    # The access row is in this transaction: without it, nothing leaves.
    commit()
    return response


def _following(cursor: str) -> str:
    """The address of the next page, asked for with the same words."""
    said = {name: request.args[name] for name in ("purpose", "case_no") if name in request.args}
    return f"{request.path}?{urlencode(said | {'cursor': cursor})}"
