"""Deleting a whole space: asked for, put off, taken back, refused, done; and what is left then."""

import datetime as dt

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from consent import archives, cases, erasures, lifecycle, receipts
from consent.archives import Archive
from consent.cases import About, CaseKind, CaseState
from consent.erasures import COOLING_OFF, Erasure
from consent.interventions import Ground, OperatorEvent, Stated
from consent.records import ConsentEvent, Event, State
from dataspace import holders, mandates, messages, spaces
from dataspace.db import db
from dataspace.errors import Conflict, NotAllowed, NotFound
from dataspace.holders import Holder
from dataspace.mandates import Actor, Capacity
from dataspace.messages import Notice
from dataspace.passkeys import Passkey
from dataspace.sealing import Unreadable
from dataspace.web.shell import services
from tests import factories
from tests.authenticator import enrolled
from tests.consent.desk import Desk
from tests.consent.third_party import ThirdParty, tokens_for
from tests.consent.visitor import Visitor

WHY = Stated(Ground.HOLDER_REQUEST, "asked for and thought over")


@pytest.fixture
def admin(app: Flask, now: dt.datetime) -> Holder:
    return factories.administrator(now)


def asked(world: factories.World, now: dt.datetime) -> Erasure:
    erasure = erasures.ask(world.actor, now)
    db.session.commit()
    return erasure


def erase(erasure: Erasure, admin: Holder, now: dt.datetime) -> list[str]:
    by = factories.supervisor(admin, now)
    ended = erasures.execute(erasure.erasure_id, by, WHY, now, registry=factories.registry())
    db.session.commit()
    return ended


# What is left


def test_nothing_opens_any_more_and_every_authorization_has_ended(
    world: factories.World, admin: Holder, now: dt.datetime
) -> None:
    erasure, after = asked(world, now), now + COOLING_OFF
    receipt = receipts.of_consent(world.consent.consent_id)[0]
    erase(erasure, admin, after)
    with pytest.raises(Unreadable):
        spaces.holdings(world.person.space_id, vault=services().vault)
    with pytest.raises(Unreadable):
        receipts.signed(receipt, vault=services().vault)
    assert holders.profiles({world.person.holder_id}, vault=services().vault) == {}
    consent = lifecycle.get(world.consent.consent_id)
    assert consent.state == State.TERMINATED
    last = db.session.scalars(
        select(ConsentEvent).filter_by(consent_id=consent.consent_id).order_by(ConsentEvent.seq.desc())
    ).first()
    assert last is not None
    assert (last.kind, last.reason_code, last.capacity) == (Event.TERMINATED, "holder_request", "administrator")
    noted = db.session.scalars(select(OperatorEvent)).one()
    assert (noted.kind, noted.subject, noted.text) == ("space:erased", world.person.holder_id, WHY.text)


def test_tokens_and_sign_ins_are_dead(app: Flask, world: factories.World, admin: Holder, now: dt.datetime) -> None:
    bank = ThirdParty(world.party, app.test_client())
    token = tokens_for(bank, world.actor, give=world.consent)["access_token"]
    visitor = Visitor(app.test_client()).sign_in(world.person, now)
    erasure = asked(world, now - COOLING_OFF)
    assert bank.read(token).status_code == 200
    assert len(erase(erasure, admin, now)) == 1
    assert bank.read(token).status_code in (401, 403)
    assert visitor.send("GET", "/data").status_code == 303


def test_nothing_that_waits_is_left_behind(app: Flask, world: factories.World, admin: Holder, now: dt.datetime) -> None:
    case = cases.open_case(CaseKind.CORRECTION, About(), "错了", world.actor, now, vault=services().vault)
    archives.ask(world.actor, "en", now)
    company = factories.company(now)
    factories.mandate(company, world.person, Capacity.LEGAL_REPRESENTATIVE, now)
    enrolled(app.test_client(), world.person)
    erase(asked(world, now), admin, now + COOLING_OFF)
    db.session.refresh(case)
    assert case.state == CaseState.WITHDRAWN
    assert db.session.scalar(select(func.count()).select_from(Archive)) == 0
    assert db.session.scalar(select(func.count()).select_from(Passkey)) == 0
    assert messages.unread(world.person.space_id) == 0
    assert mandates.of_agent(world.person.holder_id, now + COOLING_OFF) == []


def test_the_same_person_may_come_back_to_an_empty_space(
    world: factories.World, admin: Holder, now: dt.datetime
) -> None:
    erase(asked(world, now), admin, now + COOLING_OFF)
    again = factories.holder(now + COOLING_OFF)
    assert again.space_id != world.person.space_id
    assert spaces.holdings(again.space_id, vault=services().vault) == []


# Not so fast


def test_not_before_the_time_to_think_is_over(world: factories.World, admin: Holder, now: dt.datetime) -> None:
    erasure = asked(world, now)
    with pytest.raises(Conflict):
        erase(erasure, admin, now + COOLING_OFF - dt.timedelta(seconds=1))
    db.session.rollback()
    assert lifecycle.get(world.consent.consent_id).state == State.ACTIVE
    assert spaces.holdings(world.person.space_id, vault=services().vault)


def test_what_was_taken_back_is_not_done_and_may_be_asked_for_anew(
    world: factories.World, admin: Holder, now: dt.datetime
) -> None:
    erasure = asked(world, now)
    with pytest.raises(Conflict):
        erasures.ask(world.actor, now)
    erasures.take_back(world.actor, now + COOLING_OFF)
    db.session.commit()
    with pytest.raises(Conflict):
        erase(erasure, admin, now + COOLING_OFF)
    db.session.rollback()
    with pytest.raises(Conflict):
        erasures.take_back(world.actor, now)
    assert asked(world, now + COOLING_OFF).possible_at == now + 2 * COOLING_OFF


def test_only_an_administrator_decides_and_only_once(world: factories.World, admin: Holder, now: dt.datetime) -> None:
    erasure, after = asked(world, now), now + COOLING_OFF
    by = factories.supervisor(admin, now)
    with pytest.raises(NotAllowed):
        erasures.execute(erasure.erasure_id, world.actor, WHY, after, registry=factories.registry())
    with pytest.raises(NotAllowed):
        erasures.refuse(erasure.erasure_id, world.actor, WHY, after)
    with pytest.raises(NotFound):
        erasures.refuse("ers_none", by, WHY, after)
    erasures.refuse(erasure.erasure_id, by, Stated(Ground.LEGAL_DUTY, "a case is open"), after)
    with pytest.raises(Conflict):
        erase(erasure, admin, after)
    assert messages.page(world.person.space_id).rows[0].kind == Notice.ERASURE_REFUSED


def test_an_agent_does_not_give_up_a_company(app: Flask, now: dt.datetime) -> None:
    company, agent = factories.company(now), factories.holder(now, factories.AGENT, "周敏")
    by: Actor = factories.actor(agent, now, on_behalf_of=factories.mandate(company, agent, Capacity.AGENT, now))
    with pytest.raises(NotAllowed):
        erasures.ask(by, now)
    with pytest.raises(NotAllowed):
        erasures.take_back(by, now)


# The pages


def test_a_person_asks_thinks_again_and_keeps_the_space(
    client: FlaskClient, world: factories.World, now: dt.datetime
) -> None:
    visitor = Visitor(client).sign_in(world.person, now)
    visitor.get("/archive")
    visitor.follow("Delete the whole space")
    assert "What stays" in visitor.page.says
    visitor.tap("Ask for deletion")
    assert "14 days left" in visitor.page.says
    assert not visitor.page.offers("Ask for deletion")
    assert "take it back at once" in visitor.get("/messages").says
    visitor.get("/erasure")
    assert "The space stays as it is." in visitor.tap("Keep the space").says
    assert visitor.page.offers("Ask for deletion")


def test_asking_takes_a_recent_sign_in(client: FlaskClient, world: factories.World, now: dt.datetime) -> None:
    visitor = Visitor(client).sign_in(world.person, now - dt.timedelta(minutes=16))
    visitor.get("/erasure")
    visitor.tap("Ask for deletion")
    assert db.session.scalar(select(func.count()).select_from(Erasure)) == 0


def test_the_desk_has_it_done_for_a_reason(app: Flask, world: factories.World, admin: Holder, now: dt.datetime) -> None:
    early, due = asked(world, now - COOLING_OFF), Desk(app.test_client()).sign_in(admin, now)
    path = f"/admin/erasures/{early.erasure_id}"
    due.get("/admin/cases")
    due.get("/admin/erasures")
    assert "Delete the space for good" in due.says
    due.post(path, 400, decision="erase")
    assert "Choose a reason" in due.says
    due.post(path, decision="erase", ground="holder_request", text="as asked")
    assert "The space is deleted." in due.says
    assert "Nobody waits" in due.says
    due.get("/admin/activity")
    assert "A whole space was deleted" in due.says
    assert due.get(f"/admin/consents/{world.consent.consent_id}").status_code == 200


def test_the_desk_refuses_and_the_holder_reads_why(
    app: Flask, world: factories.World, admin: Holder, now: dt.datetime
) -> None:
    erasure, desk = asked(world, now), Desk(app.test_client()).sign_in(admin, now)
    desk.get("/admin/erasures")
    assert "Delete the space for good" not in desk.says
    desk.post(f"/admin/erasures/{erasure.erasure_id}", 409, decision="erase", ground="other", text="too early")
    desk.get("/admin/erasures")
    desk.post(f"/admin/erasures/{erasure.erasure_id}", ground="legal_duty", text="An inquiry is open.")
    page = Visitor(app.test_client()).sign_in(world.person, now).get("/erasure")
    assert "The law has it kept. An inquiry is open." in page.says
    assert page.offers("Ask for deletion")
