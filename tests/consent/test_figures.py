"""Figures of operation: what administrators see and monitoring reads, the same whichever process is asked."""

import datetime as dt
import hashlib
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from consent import worker
from consent.web.admin import labels
from dataspace import clock, entries, measured
from dataspace.db import db
from dataspace.entries import Entry
from dataspace.errors import SettingsError
from dataspace.measured import BOUNDS, HELP, Measured
from dataspace.settings import Settings
from tests import factories
from tests.conftest import make_settings
from tests.consent.desk import Desk

TOKEN = "a-token-of-monitoring"
KIND = Measured.ENTRY_TO_PROOF


@pytest.fixture
def settings(database_url: str) -> Settings:
    return make_settings(database_url, metrics_digest=hashlib.sha256(TOKEN.encode()).hexdigest())


def read(client: FlaskClient) -> dict[str, float]:
    """Every sample, by its name and labels."""
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    return {
        sample.name + "".join(f" {label}={value}" for label, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_only_who_has_the_token_reads_metrics(client: FlaskClient) -> None:
    for said in ({}, {"Authorization": "Bearer other"}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": TOKEN}):
        answer = client.get("/metrics", headers=said)
        assert (answer.status_code, answer.data) == (401, b"")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert read(client) == {}


def test_without_a_token_there_are_none(app: Flask, client: FlaskClient, database_url: str) -> None:
    app.extensions["dataspace"] = replace(app.extensions["dataspace"], settings=make_settings(database_url))
    assert client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 404


def test_the_digest_of_the_token_must_be_one(database_url: str) -> None:
    with pytest.raises(SettingsError, match="METRICS_DIGEST"):
        make_settings(database_url, metrics_digest=TOKEN).check()


def test_every_kind_is_explained_to_everybody() -> None:
    assert set(HELP) == set(labels.MEASURED) == set(Measured)


def test_from_an_entry_to_its_proof(client: FlaskClient, now: dt.datetime) -> None:
    for ago in (0.3, 0.3, 1.5):
        entries.append(Entry.new("access", now - dt.timedelta(seconds=ago)))
    entries.append(Entry.new("access", now + dt.timedelta(days=1)))  # the clock was set back
    db.session.commit()
    worker.sequence(now, registry=factories.registry())
    entries.append(Entry.new("access", now))
    db.session.commit()
    told = read(client)
    assert told["dataspace_log_entries"] == 4
    assert told["dataspace_log_waiting"] == 1
    assert 0 <= told["dataspace_log_oldest_waiting_seconds"] < 60
    assert 0 <= told["dataspace_log_checkpoint_age_seconds"] < 60
    name = "dataspace_entry_to_proof_seconds"
    assert told[f"{name}_count"] == told[f"{name}_bucket le=+Inf"] == told[f"{name}_bucket le=2.0"] == 4
    assert told[f"{name}_bucket le=0.5"] == 3
    assert told[f"{name}_bucket le=0.05"] == 1
    assert told[f"{name}_sum"] == pytest.approx(2.1, abs=0.01)


def test_durations_are_counted_by_bucket(app: Flask, now: dt.datetime) -> None:
    assert measured.times() == {}
    measured.note(KIND, now)
    assert measured.times() == {}
    for second in range(100):
        measured.note(KIND, now + dt.timedelta(seconds=second), 0.2 if second < 90 else 20.0)
    found = measured.times()[KIND]
    assert (found.count, found.within(0.5), found.within(0.9), found.within(0.99)) == (100, 0.25, 0.25, 30.0)
    assert found.mean == pytest.approx(2.18)
    assert (found.latest, found.at) == (20.0, now + dt.timedelta(seconds=99))
    measured.note(KIND, now, *BOUNDS, 10 * BOUNDS[-1])
    assert measured.times()[KIND].within(1) == float("inf")
    assert all(measured.times()[KIND].counts)
    db.session.rollback()
    assert measured.times() == {}, "in the transaction of what has taken that long"


def test_administrators_see_them(client: FlaskClient, now: dt.datetime) -> None:
    desk = Desk(client).sign_in(factories.administrator(now), now)
    desk.get("/admin/operation")
    assert "There is no log yet" in desk.says
    worker.sequence(now, registry=factories.registry())
    entries.append(Entry.new("access", clock.now() - dt.timedelta(seconds=11)))
    measured.note(KIND, now, 0.2, 400.0, 9000.0, 90000.0)
    db.session.commit()
    desk.get("/admin/operation")
    assert "Entries wait for their proof." in desk.says
    assert "Waiting 1" in desk.says
    (row,) = desk.rows()
    assert row[1:5] == ["4", "30 min", "more than 12 hours", "25 h"]
    worker.sequence(now, registry=factories.registry())
    desk.get("/admin/operation")
    assert "Entries wait" not in desk.says
    desk.get("/admin/activity")
    assert "/admin/operation" in desk.page
