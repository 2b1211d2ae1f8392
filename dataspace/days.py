"""Where days begin: at midnight in China, wherever the server and the reader are."""

import datetime as dt

CHINA = dt.timezone(dt.timedelta(hours=8))  # one time and no summer time


def midnight(day: dt.date) -> dt.datetime:
    """When a day begins; UTC."""
    return dt.datetime.combine(day, dt.time(), CHINA).astimezone(dt.UTC)
