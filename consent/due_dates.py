"""By when something that a person has demanded is due: so many working days, in China."""

import datetime as dt

from dataspace.days import CHINA, midnight

WORKING_DAYS = 15  # common practice for answering a demand of a data subject
FRIDAY = 4


def due(demanded_at: dt.datetime, working_days: int = WORKING_DAYS) -> dt.datetime:
    """The end of that working day after the demand.

    Monday to Friday count; public holidays do not put it off, so nobody waits longer for want of a calendar.
    """
    day = demanded_at.astimezone(CHINA).date()
    left = working_days
    while left:
        day += dt.timedelta(days=1)
        left -= day.weekday() <= FRIDAY
    return midnight(day + dt.timedelta(days=1))
