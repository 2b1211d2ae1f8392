"""The only reader of the clock.

Only ``web/``, ``oauth/`` and commands call :func:`now`, once per request; everything else takes ``now`` as an argument.
"""

import datetime as dt


def now() -> dt.datetime:
    """The present moment, timezone-aware, UTC."""
    return dt.datetime.now(dt.UTC)
