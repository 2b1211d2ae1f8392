"""What a holder does with a living authorization on its page: each button, who may, and who comes too late."""

import datetime as dt

import pytest
from flask import Flask
from flask.testing import FlaskClient

from consent import endings, history, pauses
from consent.records import Consent, Event, State
from dataspace.db import db
from dataspace.mandates import Capacity
from tests import factories
from tests.consent.test_dashboard import Desk
from tests.consent.visitor import Visitor


@pytest.fixture
def desk(client: FlaskClient, now: dt.datetime) -> Desk:
    world = factories.world(now)
    return Desk(world, now, Visitor(client).sign_in(world.person, now))


def test_c37_pause_and_resume(desk: Desk) -> None:
    desk.opened()
    page = desk.visitor.tap("Pause")
    assert "Paused. Nothing can be read until it resumes." in page.says
    assert desk.world.consent.state == State.PAUSED
    assert not page.offers("Pause")
    page = desk.visitor.tap("Let it be read again")
    assert "It can be read again, as before." in page.says
    assert desk.world.consent.state == State.ACTIVE


def test_c37_an_optional_item_is_stopped_alone_and_a_required_one_is_not_offered(desk: Desk) -> None:
    needed, extra = desk.world.item, factories.item(desk.now, "p.work.qualification", ("name", "level"))
    row = factories.purpose(desk.now, code="two", required=[needed], optional=[extra])
    both = factories.consent(
        factories.ask(row, desk.now), desk.world.actor, desk.now, items=[needed.item_id, extra.item_id]
    )
    db.session.commit()
    page = desk.visitor.get(f"/authorizations/{both.consent_id}")
    assert not page.offers("Stop giving: Item p.edu.degree")
    page = desk.visitor.tap("Stop giving: Item p.work.qualification")
    assert "This data can no longer be read." in page.says
    document, _digest = history.current_document(both)
    assert both.state == State.ACTIVE
    assert [i["item_id"] for i in document["items"] if i["chosen"]] == [needed.item_id]
    assert not page.offers("Stop giving: Item p.work.qualification")


def test_c37_it_can_be_ended_earlier_in_fixed_steps(desk: Desk) -> None:
    before = desk.world.consent.expires_at
    page = desk.opened()
    assert "1 day" in page.says
    assert "It ends earlier now." in desk.visitor.tap("End it then", days="7").says
    assert desk.world.consent.expires_at < before
    for days in ("30", "365", "x", ""):
        desk.opened()
        desk.visitor.tap("End it then", days=days)
        assert desk.world.consent.expires_at - desk.now <= dt.timedelta(days=7, minutes=5)


@pytest.mark.parametrize("of_one", [True, False])
def test_c37_everything_is_stopped_at_once(desk: Desk, *, of_one: bool) -> None:
    for n in range(3):
        desk.another(n)
    desk.visitor.get(f"/authorizations{'?client=bank' if of_one else ''}")
    page = desk.visitor.follow("Stop all of these" if of_one else "Stop everything")
    assert "4 authorizations end at once." in page.says
    assert ("Stop everything of Lingnan Example Bank" in page.says) is of_one
    page = desk.visitor.tap("Stop them", deletion="yes")
    assert "4 authorizations are stopped." in page.says
    db.session.rollback()
    assert {c.state for c in db.session.query(Consent)} == {State.WITHDRAWN}
    assert "My authorizations" in desk.visitor.get("/stop-authorizations").says  # nothing is left to stop


def test_after_a_reminder_it_is_kept_with_one_tap(desk: Desk) -> None:
    consent = desk.world.consent
    assert not desk.opened().offers("Let it go on")
    history.append(
        consent.consent_id, Event.REMINDED, desk.now, actor=None, channel="system", registry=factories.registry()
    )
    db.session.commit()
    page = desk.opened()
    assert "You have not looked at it for 90 days." in page.says
    page = desk.visitor.tap("Let it go on")
    assert "It goes on as it is." in page.says
    assert not page.offers("Let it go on")


def test_an_agent_pauses_and_the_legal_representative_resumes(app: Flask, now: dt.datetime) -> None:
    company = factories.company(now)
    agent, other = factories.holder(now, factories.AGENT, "周敏"), factories.holder(now, factories.LEGAL_REP, "李伟强")
    roles = [factories.mandate(company, agent, Capacity.AGENT, now)]
    roles.append(factories.mandate(company, other, Capacity.LEGAL_REPRESENTATIVE, now))
    factories.party(now)
    row = factories.purpose(now, required=[factories.item(now, "e.reg.licence")], kinds=["legal_entity"])
    given = factories.consent(factories.ask(row, now), factories.actor(other, now, on_behalf_of=roles[1]), now)
    db.session.commit()
    path = f"/authorizations/{given.consent_id}"
    first = Visitor(app.test_client()).sign_in(agent, now, acting=roles[0])
    first.get(path)
    page = first.tap("Pause")
    assert "The legal representative can let it be read again." in page.says
    assert not page.offers("Let it be read again")
    second = Visitor(app.test_client()).sign_in(other, now, acting=roles[1])
    second.get(path)
    second.tap("Let it be read again")
    assert given.state == State.ACTIVE


@pytest.mark.parametrize("button", ["Pause", "End it then"])
def test_who_comes_too_late_is_told_what_holds(desk: Desk, button: str) -> None:
    desk.opened()
    endings.withdraw(desk.world.consent.consent_id, desk.world.actor, desk.now, registry=factories.registry())
    db.session.commit()
    page = desk.visitor.tap(button, days="7")
    assert "It has changed meanwhile. See what holds now." in page.says
    assert desk.world.consent.state == State.WITHDRAWN


def test_a_suspended_one_is_not_resumed_by_its_holder(desk: Desk) -> None:
    by = factories.supervisor(factories.administrator(desk.now), desk.now)
    pauses.suspend(
        desk.world.consent.consent_id, by, desk.now, reason_code="other", text="x", registry=factories.registry()
    )
    db.session.commit()
    page = desk.opened()
    assert not page.offers("Let it be read again")
    assert page.offers("Stop the authorization")


def test_what_is_somebody_elses_is_not_there(desk: Desk, app: Flask) -> None:
    stranger = Visitor(app.test_client()).sign_in(factories.holder(desk.now, factories.AGENT, "周敏"), desk.now)
    token = stranger.get("/cases/new?kind=explanation").html.split('name="csrf_token" value="')[1].split('"')[0]
    for what in ("pause", "resume", "keep", "stop-item", "shorten"):
        answer = stranger.send("POST", f"{desk.path}/{what}", data={"csrf_token": token, "days": "7", "item": "x"})
        assert answer.status_code == 404, what
