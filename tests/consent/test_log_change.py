"""A log of evidence ends and another begins: nothing of either is lost, and both can be read and checked for ever."""

import datetime as dt
from pathlib import Path

import sqlalchemy as sa
import tlog
import verify_log
from flask import Flask
from flask.testing import FlaskClient

from consent import cosignatures, evidence, log_change, worker
from consent.cosignatures import EvidenceWitness, Outcome
from consent.evidence import EvidenceLog
from consent.interventions import OperatorEvent
from consent.log_files import LogFiles
from dataspace import clock
from dataspace.db import db
from dataspace.web.shell import services
from tests import factories
from tests.factories import entered

BEGIN = ["evidence-log", "begin", "--ground", "security_incident", "--text", "The key was lost"]


def read_all(http: FlaskClient, prefix: str) -> tuple[str, list[bytes]]:
    """The key of a log and its entries, as a stranger checks them."""
    key = http.get(f"{prefix}/key").text.strip()
    _head, found = verify_log.check_log(lambda path: http.get(f"{prefix}/{path}").data, key)
    return key, found


def test_a_log_whose_key_is_lost_ends_and_the_next_takes_what_waits(
    app: Flask, client: FlaskClient, tmp_path: Path
) -> None:
    early = entered(300)
    worker.sequence(clock.now(), registry=factories.registry(), files=LogFiles(tmp_path))
    before, late = client.get("/log/checkpoint").data, entered(3)
    db.session.execute(sa.update(EvidenceLog).values(wrapped_private=b"lost"))
    cosignatures.claim(["a+b+c"], old := evidence.head(), clock.now())
    db.session.commit()
    run = app.test_cli_runner().invoke
    assert run(args=BEGIN, input="n\n").exit_code == 1
    assert run(args=[*BEGIN[:3], "other"]).exit_code == 2
    said = run(args=[*BEGIN, "--yes"])
    assert said.exit_code == 0, said.output
    db.session.rollback()
    assert client.get("/log/checkpoint").data == before
    assert before.decode() in said.output
    assert client.get("/log/2/key").text in said.output
    assert client.get("/log/1/key").status_code == client.get("/log/3/key").status_code == 404
    noted = db.session.scalars(sa.select(OperatorEvent).order_by(OperatorEvent.event_id.desc())).first()
    assert noted is not None
    assert (noted.kind, "localhost:8000/log/2" in noted.text) == ("log:begun", True)
    private = sa.select(EvidenceLog.wrapped_private.is_(None)).order_by(EvidenceLog.number)
    assert list(db.session.scalars(private)) == [True, False]

    outcome = Outcome(verifier="a+b+c", problem="too late")
    cosignatures.record([outcome], old, clock.now(), quorum=1)
    assert db.session.scalars(sa.select(EvidenceWitness)).all() == [], "asked anew about the new one"
    files = LogFiles(tmp_path, 2)
    assert worker.sequence(clock.now(), registry=factories.registry(), files=files) == 3
    first, second = read_all(client, "/log"), read_all(client, "/log/2")
    for (key, found), told in ((first, early), (second, late)):
        assert sorted(found) == sorted(entry.digest for entry in told)
        proof = evidence.proof_of(told[-1]).text.encode()
        of_both = f"{first[0]}\n{second[0]}"
        assert tlog.check_proof(proof, told[-1].digest, key) == tlog.check_proof(proof, told[-1].digest, of_both)
    assert (tmp_path / "checkpoint").read_bytes() == before
    head, published = verify_log.check_log(lambda path: (tmp_path / "2" / path).read_bytes(), second[0])
    assert (head.origin, published) == ("localhost:8000/log/2", second[1])
    assert evidence.state(clock.now()).size == 3


def test_what_is_not_yet_served_is_served_at_the_end(app: Flask, client: FlaskClient, now: dt.datetime) -> None:
    entered(2)
    worker.sequence(now, registry=factories.registry(), hold=cosignatures.HOLD)
    signed = evidence.head()
    assert client.get("/log/checkpoint").data != signed.note
    last, new = log_change.change("https://localhost:8000", now, services().vault)
    db.session.commit()
    assert last.note == client.get("/log/checkpoint").data == signed.note
    assert (new.origin, new.size) == ("localhost:8000/log/2", 0)
    assert log_change.change("https://localhost:8000", now, services().vault)[1].origin == "localhost:8000/log/3"
