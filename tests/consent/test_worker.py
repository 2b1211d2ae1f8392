"""The worker: what each sweep does, batches, failures, several at once, and ending on a signal."""

import base64
import datetime as dt
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, insert, select, text

from consent import worker
from consent.evidence import EvidenceLog
from consent.keys import KeyUse, ServerKey
from consent.oauth import par
from consent.oauth.par import AuthorizationRequest
from consent.oauth.replay import SeenJti
from consent.records import Consent, ConsentEvent, Event, State
from dataspace import signins
from dataspace.db import db
from dataspace.entries import WaitingEntry
from dataspace.passkeys import VerifiedSignIn
from dataspace.settings import Settings
from dataspace.signins import SignIn
from tests import factories

ROOT = Path(__file__).parents[2]
DAY = dt.timedelta(days=1)


def environment(settings: Settings) -> dict[str, str]:
    """The settings of a test as a process of its own reads them."""
    return os.environ | {
        "DATASPACE_MODE": settings.mode,
        "DATASPACE_ISSUER": settings.issuer,
        "DATASPACE_DATABASE_URL": settings.database_url,
        "DATASPACE_WRAPPING_KEY": base64.urlsafe_b64encode(settings.wrapping_key).decode(),
        "DATASPACE_INDEX_KEY": base64.urlsafe_b64encode(settings.index_key).decode(),
        "DATASPACE_SECRET_KEY": settings.secret_key,
    }


def remembered(count: int, expires_at: dt.datetime) -> None:
    rows = [{"digest": f"{expires_at:%d}{n:030}".encode(), "expires_at": expires_at} for n in range(count)]
    db.session.execute(insert(SeenJti), rows)
    db.session.commit()


def seen() -> int:
    return db.session.scalar(select(func.count()).select_from(SeenJti)) or 0


def test_time_that_is_over_is_written_down(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now, max_duration_days=30)
    assert sum(worker.run_once(now, registry=factories.registry()).values()) == 0
    later = now + 31 * DAY
    done = worker.run_once(later, registry=factories.registry())
    assert done["consents"] == 1
    db.session.expire_all()
    consent = db.session.get_one(Consent, world.consent.consent_id)
    assert (consent.state, consent.state_since) == (State.EXPIRED, later)
    last = db.session.scalars(select(ConsentEvent).order_by(ConsentEvent.event_id.desc())).first()
    assert last is not None
    assert (last.kind, last.channel, last.actor_id) == (Event.EXPIRED, "system", None)
    assert sum(worker.run_once(later, registry=factories.registry()).values()) == 0


def test_what_can_no_longer_be_used_is_removed(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    par.push("bank", {}, factories.ask(world.purpose, now), now, jkt=None)
    signins.start(VerifiedSignIn(person_id=world.person.holder_id, passkey_id="psk_test", at=now), now)
    # The sweep signs what it ends, so the key of the records stays.
    for key in db.session.scalars(select(ServerKey).where(ServerKey.purpose != KeyUse.RECORDS)).all()[:2]:
        key.retire_at = now
    remembered(3, now + DAY)
    later = now + 400 * DAY
    done = worker.run_once(later, registry=factories.registry())
    assert {k: v for k, v in done.items() if v} == {"consents": 1, "requests": 1, "replay": 3, "signins": 1, "keys": 2}
    assert not db.session.scalars(select(AuthorizationRequest)).all()
    assert not db.session.scalars(select(SignIn)).all()
    ours = {"consents", "expiry_notices", "reminders", "deletions", "corrections"}
    ours |= {"certificate_contents", "ended_certificates"}
    assert set(done) == {*ours, *worker.SWEEPS, *worker.ENDED}


def test_a_backlog_goes_in_batches_and_what_is_alive_stays(app: Flask, now: dt.datetime) -> None:
    remembered(2 * worker.BATCH + 7, now - DAY)
    remembered(5, now + DAY)
    assert worker.run_once(now, registry=factories.registry())["replay"] == 2 * worker.BATCH + 7
    assert seen() == 5


def test_one_that_fails_does_not_keep_the_others_from_their_work(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    consent_id = world.consent.consent_id
    db.session.execute(text("DROP TABLE seen_jtis"))
    db.session.commit()
    with pytest.raises(worker.SweepFailed, match=r"^replay$"):
        worker.run_once(now + 91 * DAY, registry=factories.registry())
    assert db.session.get_one(Consent, consent_id).state == State.EXPIRED


def test_several_workers_at_once_write_each_end_once(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    asked, later = factories.ask(world.purpose, now), now + 91 * DAY
    for _ in range(40):
        factories.consent(asked, world.actor, now)
    db.session.commit()
    remembered(300, now)

    def work() -> dict[str, int]:
        with app.app_context():
            return worker.run_once(later, registry=factories.registry())

    with ThreadPoolExecutor(4) as pool:
        done = [future.result() for future in [pool.submit(work) for _ in range(4)]]
    assert sum(d["consents"] for d in done) == 41
    assert sum(d["replay"] for d in done) == 300
    ends = select(func.count()).where(ConsentEvent.kind == Event.EXPIRED)
    assert db.session.scalar(ends) == 41
    assert set(db.session.scalars(select(Consent.state))) == {State.EXPIRED}


def test_the_command(app: Flask, now: dt.datetime) -> None:
    run = app.test_cli_runner().invoke
    remembered(2, now - DAY)
    answer = run(args=["worker", "--once"])
    assert answer.exit_code == 0
    assert "replay: 2" in answer.output
    db.session.execute(text("DROP TABLE seen_jtis"))
    db.session.commit()
    answer = run(args=["worker", "--once"])
    assert answer.exit_code == 1
    assert answer.output.splitlines()[-1] == "Error: Some of the background work failed; it is tried again. (replay)"
    assert "Several may run at once" in run(args=["worker", "--help"]).output
    assert run(args=["worker", "--interval", "0"]).exit_code == 2


def test_it_works_until_it_is_told_to_stop(app: Flask, settings: Settings, now: dt.datetime) -> None:
    factories.world(now)
    db.session.commit()
    entered = db.session.scalar(select(func.count()).select_from(WaitingEntry))
    remembered(1, now - DAY)
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "worker", "--interval", "0.1"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(settings), stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: seen() == 0)
        remembered(1, now - DAY)
        wait_until(lambda: seen() == 0)
        wait_until(lambda: db.session.scalar(select(EvidenceLog.size)) == entered)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        output = process.communicate()[1]
    assert "Working every 0.1 seconds." in output
    assert "Stopped." in output
    assert "Traceback" not in output


def wait_until(true: object) -> None:
    deadline = time.monotonic() + 120  # on a busy machine a process takes its time to start
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline
        db.session.rollback()
        time.sleep(0.05)
