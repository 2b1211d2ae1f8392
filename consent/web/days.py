"""Days as people write them in forms and addresses, and the moments between which they lie where the reader is."""

import datetime as dt

from flask_babel import to_utc


def between(since: str, until: str) -> tuple[dt.datetime | None, dt.datetime | None]:
    """The moments between which two days ``YYYY-MM-DD`` of the reader lie, both included; None for what is no day."""
    first, last = _day(since), _day(until)
    return (
        midnight(first) if first is not None else None,
        midnight(last + dt.timedelta(days=1)) if last is not None and last < dt.date.max else None,
    )


def midnight(day: dt.date) -> dt.datetime:
    """When a day of the reader begins."""
    begins: dt.datetime = to_utc(dt.datetime.combine(day, dt.time.min))
    return begins.replace(tzinfo=dt.UTC)


def _day(text: str) -> dt.date | None:
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        return None
    return day if 2000 <= day.year < 2100 else None
