"""A holder has died: the space closes, every consent ends, nothing is deleted; a mistake is corrected; kin may ask."""

import datetime as dt

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from consent import deaths, lifecycle
from consent.deaths import Death, DocumentMissing
from consent.records import ConsentEvent, State
from dataspace import mandates, spaces
from dataspace.db import db
from dataspace.errors import Conflict, NotAllowed, NotFound
from dataspace.holders import Holder
from dataspace.mandates import Capacity
from dataspace.sealing import Unreadable
from dataspace.web.shell import services
from tests import factories
from tests.consent.desk import Desk
from tests.consent.third_party import ThirdParty, tokens_for
from tests.consent.visitor import Visitor

PAPER = "Death certificate 440099-1, Example Hospital"


@pytest.fixture
def admin(app: Flask, now: dt.datetime) -> Holder:
    return factories.administrator(now)


@pytest.fixture
def desk(app: Flask, admin: Holder, now: dt.datetime) -> Desk:
    return Desk(app.test_client()).sign_in(admin, now)


def record(holder: Holder, admin: Holder, now: dt.datetime, document: str = PAPER) -> list[str]:
    by = factories.supervisor(admin, now)
    ended = deaths.record(holder, document, by, now, registry=factories.registry())
    db.session.commit()
    return ended


def test_the_space_closes_and_nothing_is_deleted(
    app: Flask, world: factories.World, admin: Holder, now: dt.datetime
) -> None:
    company = factories.company(now)
    factories.mandate(company, world.person, Capacity.LEGAL_REPRESENTATIVE, now)
    bank = ThirdParty(world.party, app.test_client())
    token = tokens_for(bank, world.actor, give=world.consent)["access_token"]
    visitor = Visitor(app.test_client()).sign_in(world.person, now)
    assert len(record(world.person, admin, now)) == 1
    assert lifecycle.get(world.consent.consent_id).state == State.TERMINATED
    last = select(ConsentEvent.reason_code).filter_by(consent_id=world.consent.consent_id)
    assert db.session.scalars(last.order_by(ConsentEvent.seq.desc())).first() == "subject_died"
    assert bank.read(token).status_code in (401, 403)
    assert visitor.send("GET", "/data").status_code == 303
    assert mandates.of_agent(world.person.holder_id, now) == []
    assert spaces.holdings(world.person.space_id, vault=services().vault)
    death = db.session.scalars(select(Death)).one()
    assert PAPER.encode() not in death.sealed
    assert deaths.document(death, vault=services().vault) == PAPER


def test_only_an_administrator_only_of_a_person_only_once(
    world: factories.World, admin: Holder, now: dt.datetime
) -> None:
    with pytest.raises(NotAllowed):
        deaths.record(world.person, PAPER, world.actor, now, registry=factories.registry())
    with pytest.raises(NotAllowed):
        record(factories.company(now), admin, now)
    for paper in ("", "  ", "x" * 201, "\x00"):
        with pytest.raises(DocumentMissing):
            record(world.person, admin, now, paper)
    record(world.person, admin, now)
    with pytest.raises(Conflict):
        record(world.person, admin, now)


def test_a_mistake_opens_the_space_again(
    client: FlaskClient, world: factories.World, admin: Holder, now: dt.datetime
) -> None:
    record(world.person, admin, now)
    death, by = db.session.scalars(select(Death)).one(), factories.supervisor(admin, now)
    with pytest.raises(NotAllowed):
        deaths.revoke(death.death_id, world.actor, now, vault=services().vault)
    with pytest.raises(NotFound):
        deaths.revoke("dth_none", by, now, vault=services().vault)
    deaths.revoke(death.death_id, by, now, vault=services().vault)
    db.session.commit()
    with pytest.raises(Conflict):
        deaths.revoke(death.death_id, by, now, vault=services().vault)
    db.session.rollback()
    assert Visitor(client).sign_in(world.person, now).get("/data").status == 200
    assert lifecycle.get(world.consent.consent_id).state == State.TERMINATED
    record(world.person, admin, now)


def test_a_deleted_space_does_not_open_again(world: factories.World, admin: Holder, now: dt.datetime) -> None:
    record(world.person, admin, now)
    death = db.session.scalars(select(Death)).one()
    services().vault.destroy_key(world.person.space_id, now)
    db.session.commit()
    with pytest.raises(Unreadable):
        deaths.revoke(death.death_id, factories.supervisor(admin, now), now, vault=services().vault)


def test_the_desk_writes_it_down_and_corrects_it(world: factories.World, desk: Desk, now: dt.datetime) -> None:
    desk.get("/admin/deaths")
    desk.post("/admin/deaths", 400, identifier="1", document=PAPER)
    assert "This identifier is not valid." in desk.says
    desk.post("/admin/deaths", 400, identifier=factories.PERSON, document="")
    assert "Write which document says so" in desk.says
    desk.post("/admin/deaths", identifier=factories.PERSON, document=PAPER)
    assert "The space is closed" in desk.says
    desk.post("/admin/deaths", 409, identifier=factories.PERSON, document=PAPER)
    assert "closed already" in desk.says
    death = db.session.scalars(select(Death)).one()
    desk.post(f"/admin/deaths/{death.death_id}/revoke")
    assert "The space is open again" in desk.says
    desk.get("/admin/activity")
    assert "A death was written down by mistake" in desk.says


def test_next_of_kin_ask_by_a_case(client: FlaskClient, world: factories.World, now: dt.datetime) -> None:
    visitor = Visitor(client).sign_in(world.person, now)
    visitor.get("/cases")
    visitor.get(next(href for _words, href in visitor.page.links if "kind=kin" in href))
    assert "how are you related" in visitor.page.says
    button = next(b for b in visitor.page.buttons if b.form is not None and b.form.action == "/cases")
    visitor.tap(button.text, text="My mother; household register 12; her last tax record.")
    assert "A relative of mine has died" in visitor.page.says
