"""Background sweeps: they write down what time has ended and remove what can no longer be used.

Correctness never waits for them. Every batch is a transaction of its own, so several workers may run at once, locks
are short, and a worker that is killed leaves nothing half done.
"""

import datetime as dt
import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType

from sqlalchemy.exc import SQLAlchemyError

from consent import keys, lifecycle
from consent.oauth import par, replay, tokens
from dataspace import ceremonies, signins
from dataspace.db import db
from dataspace.errors import DomainError

log = logging.getLogger("dataspace.worker")

BATCH = 500
MAX_BATCHES = 100  # of one sweep in one pass, so that a backlog of one does not keep the others waiting
SWEEPS: Mapping[str, Callable[[dt.datetime], int]] = MappingProxyType(
    {
        "consents": lambda now: lifecycle.sweep(now, BATCH),
        "requests": lambda now: par.sweep(now, BATCH),
        "tokens": lambda now: tokens.sweep(now, BATCH),
        "replay": lambda now: replay.sweep(now, BATCH),
        "ceremonies": ceremonies.sweep,
        "signins": signins.sweep,
        "keys": keys.destroy_retired,
    }
)


class SweepFailed(DomainError):
    code = "sweep_failed"
    sentence = "Some of the background work failed; it is tried again."
    status = 503


def run_once(now: dt.datetime) -> dict[str, int]:
    """One pass over everything; returns how many each sweep has done. Commits after every batch.

    A sweep that fails does not keep the others from running. Raises SweepFailed at the end, naming those that did.
    """
    done: dict[str, int] = {}
    failed: list[str] = []
    for name, sweep in SWEEPS.items():
        try:
            done[name] = _batches(sweep, now)
        except SQLAlchemyError as error:
            db.session.rollback()
            failed.append(name)
            # The statement's parameters stay out of the log: only the kind of error.
            log.error("sweep failed", extra={"detail": f"{name}: {type(error).__name__}"})  # noqa: TRY400
    if failed:
        raise SweepFailed(", ".join(failed))
    return done


def _batches(sweep: Callable[[dt.datetime], int], now: dt.datetime) -> int:
    total = 0
    for _ in range(MAX_BATCHES):
        count = sweep(now)
        db.session.commit()
        total += count
        if count < BATCH:
            break
    return total
