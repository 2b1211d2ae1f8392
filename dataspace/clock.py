"""The only reader of the clock, and where days begin.

Only ``web/``, ``oauth/`` and commands call :func:`now`, once per request; everything else takes ``now`` as an argument.
"""

import datetime as dt

CHINA = dt.timezone(dt.timedelta(hours=8))  # one time and no summer time, wherever the server stands


def now() -> dt.datetime:
    """The present moment, timezone-aware, UTC."""
    return dt.datetime.now(dt.UTC)


def midnight(day: dt.date) -> dt.datetime:
    """When a day begins in China; UTC."""
    return dt.datetime.combine(day, dt.time(), CHINA).astimezone(dt.UTC)
