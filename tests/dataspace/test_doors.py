"""The doors of the two faces: from another application's link, through sign-in, to the right face."""

import datetime as dt

import pytest
from flask import Flask
from flask.testing import FlaskClient

from dataspace import mandates
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.mandates import Capacity, Mandate
from dataspace.web.faces import DOORS
from tests import factories
from tests.authenticator import Browser, enrolled, path
from tests.consent.visitor import Page, Visitor


@pytest.fixture
def person(app: Flask, now: dt.datetime) -> Holder:
    found = factories.holder(now)
    db.session.commit()
    return found


def represents(person: Holder, now: dt.datetime) -> Mandate:
    mandate = factories.mandate(factories.company(now), person, Capacity.LEGAL_REPRESENTATIVE, now)
    db.session.commit()
    return mandate


def face(page: Page) -> str:
    return next(attributes["face"] for tag, attributes in page.tags if tag == "html")


@pytest.mark.parametrize("door", DOORS)
def test_a_stranger_signs_in_in_the_colours_of_the_door_and_comes_back_to_it(client: FlaskClient, door: str) -> None:
    visitor = Visitor(client)
    page = visitor.get(f"{door}?next=/messages")
    assert visitor.path == path("/signin", next=f"{door}?next=/messages")
    assert face(page) == DOORS[door]
    assert client.get(door, headers={"Accept": "application/json"}).status_code == 401


@pytest.mark.parametrize("door", DOORS)
def test_sign_in_leads_through_the_door_and_not_past_another_question(
    client: FlaskClient, person: Holder, now: dt.datetime, door: str
) -> None:
    represents(person, now)
    browser = enrolled(client, person)
    browser.sign_out()
    assert browser.sign_in(next=door).get_json() == {"next": door}


def test_the_door_for_persons_leads_home_or_to_a_page_of_ours(
    client: FlaskClient, person: Holder, now: dt.datetime
) -> None:
    visitor = Visitor(client).sign_in(person, now)
    for to, leads in {"": "/", "?next=/messages": "/messages", "?next=//evil.example": "/"}.items():
        assert visitor.send("GET", f"/m/citizen{to}").location == leads


def test_the_door_for_companies_asks_which_and_leads_on(client: FlaskClient, person: Holder, now: dt.datetime) -> None:
    represents(person, now)
    visitor = Visitor(client).sign_in(person, now)
    page = visitor.get("/m/business?next=/authorizations")
    assert "For which company are you here?" in page.says
    assert [b.text for b in page.buttons if b.attributes.get("name") == "choice"] == [
        "粤海明珠电子(示例)有限公司 · Legal representative"
    ]
    page = visitor.tap("粤海明珠电子(示例)有限公司 · Legal representative")
    assert (visitor.path, face(page)) == ("/authorizations", "business")
    assert visitor.send("GET", "/m/business").location == "/"


def test_a_link_alone_changes_nobody(client: FlaskClient, person: Holder, now: dt.datetime) -> None:
    mandate = represents(person, now)
    visitor = Visitor(client).sign_in(person, now, acting=mandate)
    assert [b.text for b in visitor.get("/m/citizen").buttons if b.attributes.get("name") == "choice"] == [
        "陈嘉怡 · As yourself"
    ]
    assert face(visitor.get("/")) == "business"
    visitor.get("/m/citizen")
    assert face(visitor.tap("陈嘉怡 · As yourself")) == "citizen"


def test_a_guardian_is_a_citizen_and_an_administrator_neither(client: FlaskClient, now: dt.datetime) -> None:
    admin = factories.administrator(now)
    db.session.commit()
    visitor = Visitor(client).sign_in(admin, now, acting="administrator")
    assert [b.text for b in visitor.get("/m/citizen").buttons if b.attributes.get("name") == "choice"] == [
        "管理员 · As yourself"
    ]


def test_whom_no_company_has_appointed_is_told_what_to_do(
    client: FlaskClient, person: Holder, now: dt.datetime
) -> None:
    visitor = Visitor(client).sign_in(person, now)
    page = visitor.get("/m/business")
    assert page.status == 200
    assert "No company or body has appointed you to act for it here." in page.says
    visitor.follow("Go on as yourself")
    assert (visitor.page.status, visitor.path) == (200, "/")


# Proving the passkey again


def acts_for(browser: Browser) -> str:
    return browser.get("/").text.partition('<html lang="zh-Hans" face="')[2].partition('"')[0]


def test_proving_it_again_goes_on_for_the_same_company_and_says_so(
    client: FlaskClient, person: Holder, now: dt.datetime
) -> None:
    browser, mandate = enrolled(client, person), represents(person, now)
    browser.post("/act-as", choice=mandate.mandate_id)
    page = browser.send("GET", "/signin", headers={"Accept": "text/html", "Accept-Language": "en"}).text
    assert "You go on acting for 粤海明珠电子(示例)有限公司." in page
    assert browser.sign_in(next="/passkeys").get_json() == {"next": "/passkeys"}
    assert acts_for(browser) == "business"


def test_after_signing_out_one_acts_for_nobody_unasked(client: FlaskClient, person: Holder, now: dt.datetime) -> None:
    browser, mandate = enrolled(client, person), represents(person, now)
    browser.post("/act-as", choice=mandate.mandate_id)
    browser.sign_out()
    assert browser.sign_in(next="/passkeys").get_json() == {"next": path("/act-as", next="/passkeys")}
    assert acts_for(browser) == "citizen"


def test_a_mandate_that_has_ended_is_not_gone_on_with(client: FlaskClient, person: Holder, now: dt.datetime) -> None:
    browser, mandate = enrolled(client, person), represents(person, now)
    browser.post("/act-as", choice=mandate.mandate_id)
    mandates.end(mandate.mandate_id, now)
    db.session.commit()
    assert browser.sign_in(next="/passkeys").get_json() == {"next": "/passkeys"}  # one choice is left: oneself
    assert acts_for(browser) == "citizen"


def test_another_person_at_the_same_browser_acts_for_herself(
    client: FlaskClient, person: Holder, now: dt.datetime
) -> None:
    other = factories.holder(now, factories.OTHER_PERSON, "梁志文")
    browser, mandate = enrolled(client, person), represents(person, now)
    browser.post("/act-as", choice=mandate.mandate_id)
    enrolled(client, other)  # in the same browser
    assert acts_for(browser) == "citizen"
    assert "梁志文" in browser.get("/").text
