"""Messages to the holder: what makes one, whom it reaches, how it is read, and what somebody can leave out (C-45)."""

import datetime as dt

import pytest
from flask import Flask
from flask_babel import force_locale, format_date

from consent import endings, lifecycle, reminders, telling
from consent.records import Event
from consent.web import inbox
from dataspace import messages, passkeys
from dataspace.db import db
from dataspace.errors import NotAllowed
from dataspace.holders import Holder
from dataspace.mandates import Capacity
from dataspace.messages import ADJUSTABLE, ALWAYS, Group, Notice
from tests import factories
from tests.authenticator import Browser, enrolled
from tests.consent.desk import Desk
from tests.consent.third_party import ThirdParty, tokens_for
from tests.consent.visitor import Visitor, delivered


@pytest.fixture
def visitor(app: Flask, world: factories.World, now: dt.datetime) -> Visitor:
    return Visitor(app.test_client()).sign_in(world.person, now)


def kinds(space: Holder) -> list[str]:
    db.session.expire_all()
    return [row.kind for row in reversed(messages.page(space.space_id, size=1000).rows)]


# What makes a message


def test_every_message_has_words_and_a_sign() -> None:
    of_consents = {event for event, told in telling.TELLING.items() if told.holder is not None}
    assert of_consents | set(telling.ToGuardian) | set(Notice) == set(inbox.TITLES)
    assert set(inbox.GROUPS) == set(inbox.ICONS) == set(Group)


def test_what_others_decide_cannot_be_left_out() -> None:
    for event in (Event.SUSPENDED, Event.REINSTATED, Event.INVALIDATED, Event.TERMINATED):
        assert telling.TELLING[event].holder == Group.SECURITY


def test_giving_and_stopping_are_told_and_what_was_rolled_back_is_not(world: factories.World, now: dt.datetime) -> None:
    endings.withdraw(world.consent.consent_id, world.actor, now, registry=factories.registry())
    db.session.rollback()
    assert kinds(world.person) == ["consent:given"]
    endings.withdraw(world.consent.consent_id, world.actor, now, ask_deletion=True, registry=factories.registry())
    db.session.commit()
    assert kinds(world.person) == ["consent:given", "consent:withdrawn"]


def test_a_company_and_who_prepared_for_it(app: Flask, now: dt.datetime) -> None:
    company, agent = factories.company(now), factories.holder(now, factories.AGENT, "周敏")
    boss = factories.holder(now, factories.LEGAL_REP, "李伟强")
    prepares = factories.mandate(company, agent, Capacity.AGENT, now)
    approves = factories.mandate(company, boss, Capacity.LEGAL_REPRESENTATIVE, now)
    factories.party(now)
    licence = factories.item(now, "e.reg.licence", ("name",))
    row = factories.purpose(now, required=[licence], kinds=("legal_entity",))
    given = factories.consent(factories.ask(row, now), factories.actor(agent, now, on_behalf_of=prepares), now)
    by = factories.actor(boss, now, on_behalf_of=approves)
    lifecycle.approve(given.consent_id, by, now, registry=factories.registry())
    db.session.commit()
    assert kinds(company) == ["consent:co_approval_pending", "consent:co_approved"]
    assert kinds(agent) == ["consent:co_approved"]
    assert kinds(boss) == []
    page = Visitor(app.test_client()).sign_in(agent, now).get("/messages")
    assert "An authorization was approved by a second person" in page.says
    assert "Lingnan Example Bank · Review this loan application" in page.says
    assert "Look at it" not in page.says  # that is for whoever acts for the company
    of_company = Visitor(app.test_client()).sign_in(boss, now, acting=approves)
    assert "whose guardian you are" not in of_company.get("/messages/choices").says
    page = of_company.get("/messages")
    assert "An authorization waits for approval by a second person" in page.says
    assert "Look at it" in page.says


def test_refused_reads_are_told_once_a_day(app: Flask, world: factories.World, now: dt.datetime) -> None:
    bank = ThirdParty(world.party, app.test_client())
    token = tokens_for(bank, world.actor)
    before = kinds(world.person)
    for _ in range(3):
        assert bank.read(token["access_token"], "/api/v1/data/p.tax.income").status_code == 403
    assert kinds(world.person)[len(before) :] == ["read:refused"]
    endings.withdraw(token["grant_id"], world.actor, now, registry=factories.registry())
    db.session.commit()
    assert bank.read(token["access_token"]).status_code == 403
    assert kinds(world.person)[len(before) :] == ["read:refused", "consent:withdrawn"]


def test_passkeys_and_recovery_are_told(app: Flask, now: dt.datetime) -> None:
    person = factories.holder(now)
    assert enrolled(app.test_client(), person)
    assert kinds(person) == []
    code = passkeys.issue_enrolment_code(person, now)
    db.session.commit()
    other = Browser(app.test_client())
    assert other.enrol(code).status_code == 200
    first = passkeys.passkeys_of(person.holder_id)[0]
    assert other.post(f"/passkeys/{first.passkey_id}/remove").status_code == 303
    code = passkeys.issue_enrolment_code(person, now, recovery=True)
    db.session.commit()
    assert Browser(app.test_client()).enrol(code).status_code == 200
    assert kinds(person) == [Notice.PASSKEY_ADDED, Notice.PASSKEY_REMOVED, Notice.RECOVERED]


def test_a_sign_in_with_a_new_browser_is_told(app: Flask, now: dt.datetime) -> None:
    person, other = factories.holder(now), factories.holder(now, factories.OTHER_PERSON, "梁志文")
    browser = enrolled(app.test_client(), person)
    browser.sign_out()
    assert browser.sign_in().status_code == 200
    assert kinds(person) == []  # the browser with which she enrolled
    elsewhere = Browser(app.test_client(), device=browser.device)
    for _ in range(2):
        assert elsewhere.sign_in().status_code == 200
        elsewhere.sign_out()
    assert kinds(person) == [Notice.NEW_BROWSER]
    cookie = elsewhere.client.get_cookie("known")
    assert cookie is not None
    assert (cookie.http_only, cookie.same_site) == (True, "Lax")
    elsewhere.client.set_cookie("known", cookie.value + "x")
    assert elsewhere.sign_in().status_code == 200
    assert kinds(person) == [Notice.NEW_BROWSER] * 2
    assert kinds(other) == []


# Reading them


def opened(visitor: Visitor, line: int) -> None:
    """Tap what leads on from one line."""
    actions = [form.action for form in visitor.page.forms.values() if form.action.endswith("/open")]
    visitor.get(visitor.send("POST", actions[line], data=delivered(visitor.page.forms["form-1"])).location)


def test_they_are_read_one_by_one_or_all_at_once(visitor: Visitor, world: factories.World, now: dt.datetime) -> None:
    for _ in range(2):
        messages.send(world.person.space_id, Notice.PASSKEY_ADDED, Group.SECURITY, now)
    db.session.commit()
    assert "3 unread" in visitor.get("/").says
    page = visitor.get("/messages")
    assert page.says.count("New") == 3
    opened(visitor, 0)
    assert visitor.path == "/passkeys"
    page = visitor.get("/messages")
    assert "2 unread" in page.says
    page = visitor.tap("Mark all as read")
    assert "unread" not in page.says
    opened(visitor, 2)
    assert visitor.path == f"/authorizations/{world.consent.consent_id}"


def test_there_is_an_end_and_a_beginning(app: Flask, now: dt.datetime) -> None:
    person = factories.holder(now)
    db.session.commit()
    visitor = Visitor(app.test_client()).sign_in(person, now)
    assert "No messages" in visitor.get("/messages").says
    for _ in range(messages.PAGE + 1):
        messages.send(person.space_id, Notice.PASSKEY_ADDED, Group.SECURITY, now)
    db.session.commit()
    page = visitor.get("/messages")
    assert page.says.count("A passkey was added") == messages.PAGE
    (older,) = [href for text, href in page.links if text == "Older"]
    page = visitor.get(older)
    assert page.says.count("A passkey was added") == 1
    assert "No messages" in visitor.get("/messages?group=reads").says
    assert "A passkey was added" in visitor.get("/messages?group=nonsense&before=x").says


def test_nobody_reads_what_is_another_spaces(app: Flask, world: factories.World, now: dt.datetime) -> None:
    (mine,) = messages.page(world.person.space_id).rows
    other = factories.holder(now, factories.OTHER_PERSON, "梁志文")
    db.session.commit()
    browser = enrolled(app.test_client(), other)
    assert browser.post(f"/messages/{mine.message_id}/open").status_code == 404
    assert browser.post(f"/messages/{2**63}/open").status_code == 404
    assert browser.post("/messages/read").status_code == 303
    assert messages.unread(world.person.space_id) == 1


# Choosing


@pytest.mark.parametrize("group", list(Group))
def test_c45_what_is_left_out_arrives_quietly_and_security_always_comes(
    group: Group, visitor: Visitor, world: factories.World, now: dt.datetime
) -> None:
    messages.mark_read(world.person.space_id, now)
    db.session.commit()
    page = visitor.get("/messages/choices")
    assert sum(tag == "input" and "checked" in how for tag, how in page.tags) == len(ADJUSTABLE)
    messages.choose(world.person.space_id, ())
    messages.send(world.person.space_id, "x", group, now)
    db.session.commit()
    assert messages.unread(world.person.space_id) == (1 if group in ALWAYS else 0)
    assert kinds(world.person)[-1] == "x"


def test_c45_the_page_keeps_the_choice(visitor: Visitor, world: factories.World) -> None:
    visitor.get("/messages/choices")
    visitor.tap("Save", group=[])
    assert messages.quiet(world.person.space_id) == set(ADJUSTABLE)
    visitor.get("/messages/choices")
    visitor.tap("Save", group="reads")
    assert messages.quiet(world.person.space_id) == set(ADJUSTABLE) - {Group.READS}


# The counter


def test_c39_an_administrator_stops_it_for_the_holder_who_gets_a_message(
    app: Flask, world: factories.World, now: dt.datetime
) -> None:
    messages.choose(world.person.space_id, ())
    bank = ThirdParty(world.party, app.test_client())
    token = tokens_for(bank, world.actor)
    unread = messages.unread(world.person.space_id)
    desk = Desk(app.test_client()).sign_in(factories.administrator(now), now)
    path = f"/admin/consents/{token['grant_id']}"
    desk.get(path)
    desk.post(f"{path}/withdraw", status=400, known_by=" ")
    assert "how you made sure" in desk.says
    desk.post(f"{path}/withdraw", known_by="Identity card shown")
    assert "the holder gets a message" in desk.says
    assert "Stop it for the holder" not in desk.says
    assert bank.read(token["access_token"]).json["code"] == "consent_withdrawn"
    assert messages.unread(world.person.space_id) == unread + 1  # it comes, whatever she has left out
    page = Visitor(app.test_client()).sign_in(world.person, now).get(f"/authorizations/{token['grant_id']}")
    assert "as you asked at a counter or by phone" in page.says
    assert "Identity card shown" in page.says


def test_c39_only_an_administrator_does_that(world: factories.World, now: dt.datetime) -> None:
    with pytest.raises(NotAllowed):
        endings.withdraw_at_counter(world.consent.consent_id, world.actor, now, text="x", registry=factories.registry())


def test_c41_a_reminder_says_to_whom_what_for_and_until_when(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now, max_duration_days=400, default_duration_days=400)
    assert reminders.remind(now + dt.timedelta(days=90), registry=factories.registry()) == 1
    db.session.commit()
    visitor = Visitor(app.test_client()).sign_in(world.person, now)
    says = visitor.get("/messages").says
    assert "You have not looked at an authorization for 90 days. Do you still want it?" in says
    with force_locale("en"):
        end = format_date(now + dt.timedelta(days=400), "long")
    assert f"Lingnan Example Bank · Review this loan application · until {end}" in says
    opened(visitor, 0)
    assert visitor.path == f"/authorizations/{world.consent.consent_id}"
    assert visitor.page.offers("Stop the authorization")
