"""Background work: sweeps that write down what time has ended and remove what can no longer be used; what is sent.

Correctness never waits for them. Every batch is a transaction of its own, so several workers may run at once, locks
are short, and a worker that is killed leaves nothing half done.
"""

import datetime as dt
import logging
import time
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

from sqlalchemy.exc import SQLAlchemyError

from consent import (
    announcements,
    archives,
    cases,
    corrected,
    cosignatures,
    data_certificates,
    deletions,
    endings,
    evidence,
    keys,
    logos,
    person_codes,
    presentations,
    reminders,
    sequencer,
    witnesses,
)
from consent.archives import Archive, Content
from consent.cosignatures import Outcome
from consent.evidence import LogBroken, NotYet
from consent.history import Registry
from consent.log_files import LogFiles
from consent.oauth import backchannel, initial_access, par, replay, security_events, sessions, statutory_tokens, tokens
from consent.witnesses import Question, Witness
from dataspace import ceremonies, disclosure, mail, mandates, messages, outbox, passkeys, signins
from dataspace.db import be_patient, db
from dataspace.errors import DomainError
from dataspace.outbox import Channel, Letter
from dataspace.sealing import Unreadable
from dataspace.sources import pulling, quality
from dataspace.sources import registry as source_registry

log = logging.getLogger("dataspace.worker")

BATCH = 500
LETTERS = 64  # claimed together: posted long before any of them is due again
MAX_BATCHES = 100  # of one sweep in one pass, so that a backlog of one does not keep the others waiting
SWEEPS: Mapping[str, Callable[[dt.datetime], int]] = MappingProxyType(
    {
        "requests": lambda now: par.sweep(now, BATCH),
        "presentations": lambda now: presentations.sweep(now, BATCH),
        "person_codes": lambda now: person_codes.sweep(now, BATCH),
        "tokens": lambda now: tokens.sweep(now, BATCH),
        "statutory_tokens": lambda now: statutory_tokens.sweep(now, BATCH),
        "disclosures": lambda now: disclosure.sweep(now, BATCH),
        "replay": lambda now: replay.sweep(now, BATCH),
        "ceremonies": lambda now: ceremonies.sweep(now, BATCH),
        "enrolment_codes": lambda now: passkeys.sweep(now, BATCH),
        "signins": lambda now: signins.sweep(now, BATCH),
        "sessions": lambda now: sessions.sweep(now, BATCH),
        "logout_notices": lambda now: sessions.sweep_notices(now, BATCH),
        "announcements": lambda now: announcements.sweep(now, BATCH),
        "mails": lambda now: mail.sweep(now, BATCH),
        "messages": lambda now: messages.sweep(now, BATCH),
        "source_days": lambda now: quality.sweep_days(now, BATCH),
        "source_rejections": lambda now: quality.sweep_rejections(now, BATCH),
        "archives": lambda now: archives.sweep(now, BATCH),
        "initial_access": lambda now: initial_access.sweep(now, BATCH),
        "keys": keys.destroy_retired,
    }
)
# What time has ended is written down, so that it does not count again when the clock is set back.
ENDED: Mapping[str, Callable[[dt.datetime], int]] = MappingProxyType(
    {
        "ended_tokens": lambda now: tokens.note_ends(now, BATCH),
        "ended_mandates": lambda now: mandates.note_ends(now, BATCH),
    }
)


class SweepFailed(DomainError):
    code = "sweep_failed"
    sentence = "Some of the background work failed; it is tried again."
    status = 503


def run_once(now: dt.datetime, *, registry: Registry) -> dict[str, int]:
    """One pass over everything; returns how many each sweep has done. Commits after every batch.

    A sweep that fails does not keep the others from running. Raises SweepFailed at the end, naming those that did.
    """
    done: dict[str, int] = {}
    failed: list[str] = []
    for name, sweep in _sweeps(registry).items():
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


def channels(registry: Registry, *, allow_loopback: bool) -> tuple[Channel, ...]:
    """What clients are sent."""
    return (
        backchannel.channel(registry, allow_loopback=allow_loopback),
        security_events.channel(registry, allow_loopback=allow_loopback),
    )


def deliver(channel: Channel, now: dt.datetime) -> int:
    """Try what is due in one outbox, up to LETTERS of it; returns how many it has tried.

    Commits before posting: no transaction stays open while addressees take their time, and no other worker takes the
    same. Raises SweepFailed.
    """
    try:
        rows = outbox.claim(channel, now, LETTERS)
        written = channel.write(rows, now)
        db.session.commit()
        letters = [letter for letter in written if isinstance(letter, Letter)]
        outcomes = [failed for failed in written if not isinstance(failed, Letter)]
        outcomes += outbox.post(letters)
        outbox.record(channel, outcomes, now)
        db.session.commit()
    except (SQLAlchemyError, DomainError) as error:
        db.session.rollback()
        log.error("delivery failed", extra={"detail": type(error).__name__})  # noqa: TRY400 - as above
        raise SweepFailed(channel.name) from None
    return len(rows)


def fetch_logos(now: dt.datetime, *, allow_loopback: bool, client_id: str | None = None) -> int:
    """Fetch the logos that are due (of one client), outside of any transaction; returns how many it has tried.

    Raises SweepFailed.
    """
    try:
        wanted = logos.claim(now, LETTERS, client_id)
        db.session.commit()
        logos.keep(logos.fetch(wanted, allow_loopback=allow_loopback), now)
        db.session.commit()
    except SQLAlchemyError as error:
        db.session.rollback()
        log.error("fetching failed", extra={"detail": type(error).__name__})  # noqa: TRY400 - as above
        raise SweepFailed("logos") from None
    return len(wanted)


def pull_source(now: dt.datetime, *, registry: Registry, allow_loopback: bool, hosts: tuple[str, ...] = ()) -> bool:
    """Ask the source that has been due for longest, if there is one, a transaction per part; whether there was one.

    Raises SweepFailed.
    """
    try:
        source_id = source_registry.claim(now)
        db.session.commit()
        if source_id is None:
            return False
        for _part in pulling.pull(
            source_id, now, vault=registry.vault, index=registry.index, demanded=cases.demanded,
            allow_loopback=allow_loopback, hosts=hosts,
        ):  # fmt: skip
            db.session.commit()
    except (SQLAlchemyError, DomainError) as error:
        db.session.rollback()
        log.error("source failed", extra={"detail": type(error).__name__})  # noqa: TRY400 - as above
        raise SweepFailed("sources") from None
    return True


def write_archive(
    clock: Callable[[], dt.datetime], content: Callable[[Archive, dt.datetime], Content], *, registry: Registry
) -> bool:
    """Make one archive that waits, if there is one, a transaction per piece; whether there was one.

    ``content``: what to put into one that was begun at a time. One that another worker has taken over, or whose space
    was erased, is left. Raises SweepFailed.
    """
    try:
        archive = archives.claim(clock())
        db.session.commit()
        if archive is None:
            return False
        for _piece in archives.write(archive, clock, content(archive, clock()), registry=registry):
            db.session.commit()
        db.session.commit()
    except (archives.Superseded, Unreadable):
        db.session.rollback()
    except (SQLAlchemyError, DomainError) as error:
        db.session.rollback()
        log.error("archive failed", extra={"detail": type(error).__name__})  # noqa: TRY400 - as above
        raise SweepFailed("archives") from None
    return True


def sequence(
    now: dt.datetime, *, registry: Registry, files: LogFiles | None = None, hold: dt.timedelta = dt.timedelta(),
    quorum: int = 1,
) -> int:  # fmt: skip
    """Take everything that waits into the log of evidence and publish it; returns how many entries. Raises SweepFailed.

    Makes the log when there is none. With ``files`` nothing is signed that does not continue what was published, and
    nothing while a ``quorum`` of witnesses says so. ``hold``: how long a new head may wait for them, unserved.
    """
    began = time.monotonic()
    try:
        evidence.create(evidence.origin_of(registry.issuer), now, registry.vault)
        if files is not None:
            files.demand_behind()
        cosignatures.demand_no_quorum_against(quorum)
        total = taken = sequencer.integrate(now, vault=registry.vault)
        cosignatures.publish(now, hold=hold)
        db.session.commit()
        while taken == sequencer.BATCH:
            later = now + dt.timedelta(seconds=time.monotonic() - began)  # a backlog has waited for the work before it
            taken = sequencer.integrate(later, vault=registry.vault)
            cosignatures.publish(later, hold=hold)
            db.session.commit()
            total += taken
        if total > sequencer.BATCH:
            sequencer.tidy()
        if files is not None:
            files.publish()
        db.session.rollback()  # what was only read
    except (SQLAlchemyError, OSError, DomainError) as error:
        db.session.rollback()
        detail = error.detail if isinstance(error, LogBroken) else type(error).__name__
        log.error("sequencer failed", extra={"detail": detail})  # noqa: TRY400 - as above
        raise SweepFailed("evidence") from None
    return total


def cosign(now: dt.datetime, asked: Collection[Witness], *, quorum: int, allow_loopback: bool) -> int:
    """Show the head of the log to the witnesses that are due; returns how many have cosigned. Raises SweepFailed.

    No transaction is open while they are asked. One that knows another size than we thought is asked once more.
    """
    by_key, outcomes = {str(witness.verifier): witness for witness in asked}, dict[str, Outcome]()
    try:
        head = evidence.head()
        known = cosignatures.claim(by_key, head, now) if head.size else {}
        for _attempt in range(2):
            wanted = [witnesses.question(by_key[key], old, head) for key, old in known.items()]
            db.session.commit()
            answered = witnesses.ask([q for q in wanted if isinstance(q, Question)], now, allow_loopback=allow_loopback)
            outcomes |= {o.verifier: o for o in [*wanted, *answered] if isinstance(o, Outcome)}
            known = {o.verifier: o.size for o in answered if o.size is not None}
        cosignatures.record(outcomes.values(), head, now, quorum=quorum)
        db.session.commit()
    except NotYet:
        db.session.rollback()
    except (SQLAlchemyError, DomainError) as error:
        db.session.rollback()
        log.error("cosigning failed", extra={"detail": type(error).__name__})  # noqa: TRY400 - as above
        raise SweepFailed("witnesses") from None
    for outcome in outcomes.values():
        if outcome.problem:
            said = {"detail": f"{outcome.verifier.partition('+')[0]}: {outcome.problem}"}
            log.log(logging.ERROR if outcome.contradicts else logging.WARNING, "not cosigned", extra=said)
    return sum(outcome.signature is not None for outcome in outcomes.values())


def _sweeps(registry: Registry) -> dict[str, Callable[[dt.datetime], int]]:
    """All of them; what is written down about consents may have a signed receipt, which takes our keys."""
    return {
        "consents": lambda now: endings.sweep(now, BATCH, registry=registry),
        "expiry_notices": lambda now: reminders.announce_ends(now, BATCH, registry=registry),
        "reminders": lambda now: reminders.remind(now, BATCH, registry=registry),
        "corrections": lambda now: corrected.sweep(now, BATCH, vault=registry.vault),
        "certificate_contents": lambda now: data_certificates.empty(now, BATCH),
        "deletions": lambda now: deletions.sweep(now, BATCH, registry=registry),
        **SWEEPS,
        **ENDED,
        "ended_certificates": lambda now: data_certificates.note_ends(now, BATCH, vault=registry.vault),
    }


def _batches(sweep: Callable[[dt.datetime], int], now: dt.datetime) -> int:
    total = 0
    for _ in range(MAX_BATCHES):
        be_patient()
        count = sweep(now)
        db.session.commit()
        total += count
        if count < BATCH:
            break
    return total
