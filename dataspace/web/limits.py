"""Rate limits per address: a decorator for views, counters in one store per application.

Built on ``limits``, the engine of Flask-Limiter: the extension's own object keeps the store and the on-off switch of
the last application in the process, and we keep nothing process-wide.
"""

import ipaddress
import logging
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import Flask, Response, after_this_request, current_app, g, request
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import Storage, storage_from_string
from limits.strategies import MovingWindowRateLimiter
from werkzeug.exceptions import TooManyRequests

from dataspace.settings import Settings

EXTENSION = "dataspace.limits"
log = logging.getLogger("dataspace.limits")
P = ParamSpec("P")
R = TypeVar("R")


def init_limits(app: Flask, settings: Settings) -> None:
    """Give ``app`` its counters, or none when rate limits are off."""
    if not settings.rate_limits:
        app.extensions[EXTENSION] = None
        return
    storage = storage_from_string(settings.rate_limit_storage, wrap_exceptions=True)
    if not isinstance(storage, Storage):
        raise TypeError("rate limit storage must be synchronous")
    app.extensions[EXTENSION] = MovingWindowRateLimiter(storage)


def limited(rule: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Answer 429 when one address calls this view more often than ``rule`` says, for instance ``10/minute``."""
    item = parse(rule)

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            _count(item)
            return view(*args, **kwargs)

        return wrapped

    return decorate


def _count(item: RateLimitItem) -> None:
    limiter: MovingWindowRateLimiter | None = current_app.extensions[EXTENSION]
    if limiter is None:
        return
    key = (request.endpoint or "", _network(request.remote_addr or ""))
    try:
        if limiter.hit(item, *key):
            return
    except StorageError:
        # Limits keep load off; what they guard is unguessable without them. A lost store must not lock people out.
        log.exception("rate limit store", extra={"request_id": g.get("request_id")})
        return
    _retry_after(item.get_expiry())
    raise TooManyRequests


def _retry_after(seconds: int) -> None:
    @after_this_request
    def tell(response: Response) -> Response:
        response.headers["Retry-After"] = str(seconds)
        return response


def _network(address: str) -> str:
    """The address itself, or for IPv6 its /64: one subscriber has that many addresses."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))
