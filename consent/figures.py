"""What the service counts at this moment, for monitoring: gauges, each read from the database when somebody asks.

Several processes tell the same figures. How long things have taken is counted in :mod:`dataspace.measured` instead.
Another figure is a function of ``now`` that yields :class:`Figure`, named in GAUGES.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from consent import cosignatures, evidence
from consent.evidence import NotYet


@dataclass(frozen=True, kw_only=True)
class Figure:
    """``name``: of the metric, after ``dataspace_``; ``values``: by the value of its ``label``, or under ``""``."""

    name: str
    help: str
    values: Mapping[str, float]
    label: str = field(default="")


def _log(now: dt.datetime) -> Iterator[Figure]:
    try:
        log = evidence.state(now)
    except NotYet:
        return
    told = (
        ("log_entries", "Entries in the log of evidence.", log.size),
        ("log_waiting", f"Entries that wait for the log, counted up to {evidence.MANY}.", log.waiting),
        ("log_oldest_waiting_seconds", "How long the oldest of them has waited.", log.oldest_waiting),
        ("log_checkpoint_age_seconds", "How old the newest checkpoint is; grows while nothing happens.", log.age),
    )
    for name, text, value in told:
        yield Figure(name=name, help=text, values={"": value})


def _witnesses(now: dt.datetime) -> Iterator[Figure]:
    try:
        size = evidence.head().size
    except NotYet:
        return
    asked = cosignatures.witnesses()
    age = {one.name: (now - one.cosigned_at).total_seconds() for one in asked if one.cosigned_at is not None}
    told: tuple[tuple[str, str, Mapping[str, float]], ...] = (
        ("witness_cosignature_age_seconds", "How long ago a witness has cosigned.", age),
        ("witness_behind_entries", "Entries it has not seen.", {one.name: size - one.size for one in asked}),
        ("witness_failures", "How often it has failed in a row.", {one.name: one.failures for one in asked}),
    )
    for name, text, values in told:
        if values:
            yield Figure(name=name, help=text, values=values, label="witness")


GAUGES: tuple[Callable[[dt.datetime], Iterator[Figure]], ...] = (_log, _witnesses)


def all_figures(now: dt.datetime) -> Iterator[Figure]:
    """Everything that is counted."""
    for gauge in GAUGES:
        yield from gauge(now)
