"""How the service is doing: the log of proofs and its witnesses, and how long things take."""

import math

from flask import render_template
from flask_babel import format_decimal
from flask_babel import gettext as _

from consent import cosignatures, evidence
from consent.evidence import NotYet
from consent.web.admin import labels
from dataspace import clock, measured

LATE = 10.0  # seconds that an entry may wait for its checkpoint before somebody should look


def index() -> str:
    """The state of the log of proofs at this moment, and durations since the beginning; five statements."""
    now = clock.now()
    try:
        log = evidence.state(now)
    except NotYet:
        log = None
    times = [
        (labels.MEASURED[kind], found, span(found.within(0.5)), span(found.within(0.99)), span(found.latest))
        for kind, found in measured.times().items()
    ]
    return render_template(
        "admin/operation.html",
        log=log,
        late=LATE,
        many=evidence.MANY,
        span=span,
        times=times,
        witnesses=cosignatures.witnesses() if log else [],
    )


def span(seconds: float) -> str:
    """A duration in words, in the unit that fits it."""
    if math.isinf(seconds):
        return str(_("more than 12 hours"))
    if seconds < 120:
        return str(_("%(n)s s", n=format_decimal(round(seconds, 2))))
    if seconds < 7200:
        return str(_("%(n)s min", n=format_decimal(round(seconds / 60))))
    return str(_("%(n)s h", n=format_decimal(round(seconds / 3600))))
