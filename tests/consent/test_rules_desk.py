"""Administrators look at a rule set before it takes effect, see what it would refuse, and load it for a reason."""

import datetime as dt

import pytest
from flask import Flask
from flask.testing import FlaskClient

from consent.interventions import OperatorEvent
from consent.rule_files import AlreadyInForce, cancel
from consent.rules import Rule, RuleBook
from dataspace.db import db
from dataspace.errors import NotFound
from tests import factories
from tests.consent.desk import Desk
from tests.consent.test_rules import HEAD, TITLE
from tests.factories import World

SHORT = HEAD + '[[rules]]\nid = "short"\nlife_days = 7\n'
WHY = {"ground": "authority_decision", "text": "Decision 2026-17"}


@pytest.fixture
def desk(client: FlaskClient, world: World, now: dt.datetime) -> Desk:
    return Desk(client).sign_in(factories.administrator(now), now)


def test_what_a_set_would_refuse_is_seen_before_it_is_loaded(desk: Desk, world: World) -> None:
    desk.get("/admin/rules")
    assert "No rules are loaded" in desk.says
    desk.post("/admin/rules/preview", 200, rules=SHORT)
    assert "1 live authorization would be refused today." in desk.says
    assert "1 of 1 were looked at" in desk.says
    rule, count, example = desk.rows()[0]
    assert (rule, count) == ("short", "1")
    assert world.consent.consent_id in example
    assert "New: rule short" in desk.says
    assert db.session.query(RuleBook).count() == 0
    desk.post("/admin/rules", rules=SHORT, **WHY)
    assert "The rules v1 are loaded." in desk.says
    assert desk.rows()[0][:2] == ["v1", "In force"]
    assert "Decision 2026-17" in desk.says
    event = db.session.query(OperatorEvent).filter_by(kind="rules:loaded").one()
    assert (event.reason_code, event.text) == ("authority_decision", "v1: Decision 2026-17")
    desk.get("/admin/activity")
    assert "New rules loaded" in desk.says


def test_a_set_with_an_error_is_refused_whole_and_nothing_typed_is_lost(desk: Desk) -> None:
    twice = SHORT + '[[rules]]\nid = "long"\nlife_days = 30\n'
    desk.get("/admin/rules")
    desk.post("/admin/rules/preview", 400, rules=twice)
    assert "The set is refused as a whole." in desk.says
    assert "contradicts short" in desk.says
    assert "id = &#34;long&#34;" in desk.page
    desk.post("/admin/rules", 400, rules=twice, **WHY)
    for nonsense in ("", "[", "\x00", "x = 1"):
        desk.post("/admin/rules/preview", 400, rules=nonsense)
    assert db.session.query(RuleBook).count() == 0


def test_loading_needs_a_reason(desk: Desk) -> None:
    desk.get("/admin/rules")
    desk.post("/admin/rules", 400, rules=SHORT, ground="", text="")
    assert "Choose a reason" in desk.says
    assert "Load these rules" in desk.says
    assert db.session.query(RuleBook).count() == 0


def test_loading_needs_a_recent_sign_in(app: Flask, world: World, now: dt.datetime) -> None:
    desk = Desk(app.test_client()).sign_in(factories.administrator(now), now - dt.timedelta(minutes=11))
    desk.get("/admin/rules")
    answer = desk.client.post("/admin/rules", data={"csrf_token": _token(desk), "rules": SHORT, **WHY})
    assert answer.status_code in (303, 401, 403)
    assert db.session.query(RuleBook).count() == 0


def test_the_same_set_again_changes_nothing(desk: Desk) -> None:
    desk.get("/admin/rules")
    desk.post("/admin/rules", rules=SHORT, **WHY)
    desk.post("/admin/rules/preview", 200, rules=SHORT)
    assert "These rules are loaded already." in desk.says
    desk.post("/admin/rules", rules=SHORT, **WHY)
    assert "Nothing was changed." in desk.says
    assert db.session.query(RuleBook).count() == 1


def test_a_later_set_waits(desk: Desk, now: dt.datetime) -> None:
    desk.get("/admin/rules")
    desk.post("/admin/rules", rules=SHORT, **WHY)
    later = SHORT.replace("v1", "v2")
    later_on = (now + dt.timedelta(days=2)).date().isoformat()  # a day in China begins before this one ends
    desk.post("/admin/rules", rules=later, valid_from=later_on, **WHY)
    assert [row[:2] for row in desk.rows()] == [["v2", "Later"], ["v1", "In force"]]
    desk.post("/admin/rules/preview", 400, rules=SHORT.replace("v1", "v3"), valid_from="yesterday")
    assert "is no moment" in desk.says


def _token(desk: Desk) -> str:
    return desk.page.split('name="csrf_token" value="')[1].split('"')[0]


LATER = SHORT.replace(TITLE, f'{TITLE}\nvalid_from = "2099-01-01"').replace('"v1"', '"v2"')
FIRST = HEAD + '[[rules]]\nid = "long"\nlife_days = 80\n'


def waits(desk: Desk) -> Desk:
    """One set is in force, another waits."""
    desk.get("/admin/rules")
    desk.post("/admin/rules", rules=FIRST, **WHY)
    desk.post("/admin/rules", rules=LATER, **WHY)
    assert [row[:2] for row in desk.rows()] == [["v2", "Later"], ["v1", "In force"]]
    return desk


def test_a_set_that_waits_is_taken_back_for_a_reason(desk: Desk) -> None:
    waits(desk).get("/admin/rules?cancel=v2")
    assert "Take back v2" in desk.says
    desk.post("/admin/rules/v2/cancel", 400, ground="", text="")
    assert "Choose a reason" in desk.says
    assert db.session.query(RuleBook).count() == 2
    desk.post("/admin/rules/v2/cancel", ground="correction", text="Another day")
    assert "The rules v2 are taken back. They were never in force." in desk.says
    assert [row[:2] for row in desk.rows()] == [["v1", "In force"]]
    assert db.session.query(Rule).filter_by(version="v2").count() == 0
    event = db.session.query(OperatorEvent).filter_by(kind="rules:cancelled").one()
    assert (event.reason_code, event.text) == ("correction", "v2: Another day")
    desk.get("/admin/activity")
    assert "Rules taken back before they were in force" in desk.says
    desk.get("/admin/rules")
    desk.post("/admin/rules/v2/cancel", 404, ground="correction", text="Once more")
    desk.post("/admin/rules", rules=LATER, **WHY)  # version and moment are free again
    assert desk.rows()[0][:2] == ["v2", "Later"]


def test_what_is_in_force_is_not_taken_back(desk: Desk) -> None:
    waits(desk).get("/admin/rules?cancel=v1")
    assert "Take back v1" not in desk.says
    desk.post("/admin/rules/v1/cancel", 409, ground="correction", text="Too late")
    assert "These rules are in force already." in desk.says
    assert db.session.query(RuleBook).count() == 2
    assert db.session.query(OperatorEvent).filter_by(kind="rules:cancelled").count() == 0


def test_the_moment_it_comes_into_force_is_too_late(desk: Desk, now: dt.datetime) -> None:
    waits(desk)
    moment = db.session.get_one(RuleBook, "v2").valid_from
    with pytest.raises(AlreadyInForce):
        cancel("v2", moment, actor_id="command", reason_code=None, text="late")
    cancel("v2", moment - dt.timedelta(seconds=1), actor_id="command", reason_code=None, text="in time")
    with pytest.raises(NotFound):
        cancel("v2", now, actor_id="command", reason_code=None, text="again")


def test_taking_back_needs_a_recent_sign_in_and_an_administrator(
    desk: Desk, world: World, now: dt.datetime, app: Flask
) -> None:
    waits(desk)
    old = Desk(app.test_client()).sign_in(factories.administrator(now, factories.AGENT), now - dt.timedelta(minutes=11))
    old.get("/admin/rules")
    old.post("/admin/rules/v2/cancel", ground="correction", text="Tired")
    holder = Desk(app.test_client()).sign_in(world.person, now, "self")
    holder.get("/")
    holder.post("/admin/rules/v2/cancel", 403, ground="correction", text="Mine")
    assert db.session.query(RuleBook).count() == 2


def test_by_command(app: Flask, desk: Desk) -> None:
    waits(desk)
    run = app.test_cli_runner()
    done = run.invoke(args=["rules", "cancel", "v2", "--text", "decided otherwise"])
    assert (done.exit_code, done.output) == (0, "v2 is taken back; it was never in force.\n")
    for version in ("v1", "v2"):
        refused = run.invoke(args=["rules", "cancel", version, "--text", "again"])
        assert refused.exit_code == 1
        assert "Traceback" not in refused.output
    assert run.invoke(args=["rules", "cancel", "v2"]).exit_code == 2  # without a reason
