"""Those of 14 to 17 decide themselves, on a page in simpler words; guardians are told until 18 (C-22)."""

import datetime as dt
import re
from dataclasses import fields, replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_babel import force_locale

from consent import endings, history, receipts
from consent.asks import sign_in
from consent.web.wording import GROWN_UP, YOUNG
from dataspace import guardians, mandates, messages
from dataspace.days import CHINA
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.mandates import Mandate
from dataspace.web.shell import services
from tests import factories
from tests.consent.scene import CROSS_BORDER, EXTRA, LAB, PLAIN, SCAN, Scene
from tests.consent.visitor import Page, Visitor

CHILD = "440099201806010035"  # 黄子轩, born on 1 June 2018
STUDENT = "440099201001100068"  # 王子晴, 16, born on 10 January 2010
FATHER = "440099198802110093"  # 黄建明
OF_AGE = dt.datetime(2028, 1, 10, tzinfo=CHINA)
RECORD = [{"school": "示例大学", "major": "会计", "level": None}]


@pytest.fixture
def student(scene: Scene) -> Holder:
    """王子晴 has the same records as the grown-up of the scene."""
    found = factories.holder(scene.now, STUDENT, "王子晴")
    factories.record(found, scene.items[PLAIN], RECORD, scene.now)
    values = [{"month": "2026-08", "value": 5}, {"month": "2026-09", "value": 7}]
    factories.record(found, scene.items[LAB], values, scene.now)
    db.session.commit()
    return found


@pytest.fixture
def guardian(scene: Scene, student: Holder) -> Mandate:
    """陈嘉怡 is told of what 王子晴 gives."""
    found = guardians.appoint(student, scene.person, scene.now, vault=services().vault)
    db.session.commit()
    return found


def told(person: Holder) -> list[str]:
    db.session.expire_all()
    rows = messages.page(person.space_id, group="children").rows
    return [row.kind for row in reversed(rows)]


def english(words: Any) -> str:
    with force_locale("en"):
        return str(words)


def facts(page: Page) -> list[str]:
    """The values of a page in their order, without what they are called."""
    values = re.findall(r"<dd[^>]*>(.*?)</dd>", page.html, re.DOTALL)
    return [re.sub(r"/consent/\w+/|\d\d:\d\d|\s+", " ", value) for value in values]


def controls(page: Page) -> list[tuple[str, str, str]]:
    """Everything that can be chosen, ticked or tapped, in its order."""
    kinds = ("input", "button", "select", "a", "summary", "details")
    found = [(tag, how) for tag, how in page.tags if tag in kinds and how.get("type") != "hidden"]
    return [(tag, how.get("name", ""), how.get("value", "")) for tag, how in found]


def journey(scene: Scene, visitor: Visitor, path: str) -> list[Page]:
    """Every screen of one request, giving everything."""
    buttons = ("Next", "Give this item", "Give this item", "Let it leave the country")
    return [visitor.get(path), *(visitor.tap(button) for button in buttons)]


def test_c22_the_young_have_the_same_facts_choices_and_order_in_simpler_words(
    scene: Scene, student: Holder, app: Flask
) -> None:
    more = {"methods": factories.text("比对"), "automated_decision": "assisted", "cross_border": CROSS_BORDER}
    ask = scene.asks([PLAIN, SCAN], [EXTRA, LAB], **more)
    items = tuple(replace(i, optional_fields=("level",)) if i.item_id == PLAIN else i for i in ask.items)
    ask = replace(ask, items=items)
    young = Visitor(app.test_client()).sign_in(student, scene.now)
    both = [journey(scene, visitor, visitor.asked(ask, scene.now)) for visitor in (scene.visitor, young)]
    for grown_up, simple in zip(*both, strict=True):
        assert [f for f in facts(grown_up) if f] == [f for f in facts(simple) if f]
        assert controls(grown_up) == controls(simple)
    texts = [" ".join(page.says for page in pages) for pages in both]
    for name in (field.name for field in fields(YOUNG) if field.name != "for_once"):
        words = [re.split(r"%\(\w+\)s", english(getattr(say, name))) for say in (GROWN_UP, YOUNG)]
        usual, simple_ones = (max(pieces, key=len).strip() for pieces in words)
        assert simple_ones in texts[1], name
        assert simple_ones not in texts[0], name
        assert usual in texts[0], name


def test_c22_what_the_young_were_shown_is_kept_in_those_words(scene: Scene, student: Holder, guardian: Mandate) -> None:
    visitor = scene.visitor.sign_in(student, scene.now)
    page = visitor.get(visitor.asked(factories.ask(scene.purpose, scene.now), scene.now))
    assert "If you agree, 陈嘉怡 is told to whom and what for. Your data is not shown." in page.says
    visitor.tap("Agree")
    (consent,) = scene.consents()
    assert (consent.person_id, consent.capacity) == (student.holder_id, "self")
    receipt = receipts.latest(consent.consent_id)
    assert receipt is not None
    notice = receipts.signed(receipt, vault=services().vault).content["notice"]
    text = notice["text"]
    assert history.digest_of(text) == notice["digest"]
    for words in (YOUNG.lead, YOUNG.calm, YOUNG.how_long, "If you agree, 陈嘉怡 is told"):
        assert english(words) in text
    assert "How long:" not in text


def test_c22_a_sign_in_is_asked_in_the_same_simpler_words(scene: Scene, student: Holder) -> None:
    factories.party(scene.now, "shop", profile=factories.Profile.LOGIN, method="client_secret_basic", name="商店")
    visitor = scene.visitor.sign_in(student, scene.now)
    page = visitor.get(visitor.asked(sign_in("shop", ("openid",)), scene.now))
    for words in (YOUNG.lead, YOUNG.in_order_to, YOUNG.how_long, YOUNG.kept, YOUNG.calm):
        assert english(words) in page.says


def test_c22_grown_ups_and_companies_have_the_usual_page(scene: Scene, app: Flask) -> None:
    page = scene.shows()
    assert english(YOUNG.lead) not in page.says
    assert english(YOUNG.calm) not in page.says
    assert "How long" in page.says


@pytest.mark.usefixtures("guardian")
def test_c22_the_guardian_of_the_young_is_told_of_giving_and_stopping(
    scene: Scene, student: Holder, app: Flask
) -> None:
    visitor = scene.visitor.sign_in(student, scene.now)
    visitor.get(visitor.asked(factories.ask(scene.purpose, scene.now), scene.now))
    assert told(scene.person) == []
    visitor.tap("Agree")
    (consent,) = scene.consents()
    by = factories.actor(student, scene.now)
    endings.withdraw(consent.consent_id, by, scene.now, registry=factories.registry())
    db.session.commit()
    assert told(scene.person) == ["guardian:given", "guardian:stopped"]
    assert told(student) == []
    page = Visitor(app.test_client()).sign_in(scene.person, scene.now).get("/messages")
    assert "An authorization was given about a child whose guardian you are" in page.says
    assert page.says.count("王子晴 · Lingnan Example Bank · Review this loan application") == 2
    assert "Look at it" not in page.says
    assert "Children" in page.says
    assert consent.consent_id not in page.html


@pytest.mark.usefixtures("guardian")
def test_c22_a_guardian_of_the_young_only_hears(scene: Scene, student: Holder, app: Flask) -> None:
    given = factories.consent(factories.ask(scene.purpose, scene.now), factories.actor(student, scene.now), scene.now)
    db.session.commit()
    assert mandates.of_agent(scene.person.holder_id, scene.now) == []
    visitor = Visitor(app.test_client()).sign_in(scene.person, scene.now)
    for path in (f"/authorizations/{given.consent_id}", f"/authorizations/{given.consent_id}/stop"):
        assert visitor.get(path).status in (404, 405)
    # Nor can it be left out by choice: the choices do not name it.
    choices = visitor.get("/messages/choices")
    assert "Authorizations about children whose guardian you are; these always come" in choices.says
    assert "children" not in [how.get("value") for tag, how in choices.tags if tag == "input"]
    visitor.tap("Save", group=[])
    before = messages.unread(scene.person.space_id)
    endings.withdraw(given.consent_id, factories.actor(student, scene.now), scene.now, registry=factories.registry())
    db.session.commit()
    assert messages.unread(scene.person.space_id) == before + 1


@pytest.mark.parametrize(("until", "heard"), [(dt.timedelta(seconds=-1), 1), (dt.timedelta(0), 0)])
def test_c22_from_18_on_nobody_is_told(
    scene: Scene, student: Holder, guardian: Mandate, until: dt.timedelta, heard: int
) -> None:
    at = OF_AGE + until
    assert guardians.is_young(student, at, vault=services().vault) == bool(heard)
    factories.consent(factories.ask(scene.purpose, at), factories.actor(student, at), at)
    assert len(told(scene.person)) == heard


def test_c22_a_guardian_who_has_decided_before_is_told_after_the_14th_birthday(scene: Scene) -> None:
    child = factories.holder(scene.now, CHILD, "黄子轩")
    found = guardians.appoint(child, scene.person, scene.now, vault=services().vault)
    later = dt.datetime(2033, 1, 1, tzinfo=CHINA)
    assert (found.in_force(scene.now), found.in_force(later)) == (True, False)
    factories.consent(factories.ask(scene.purpose, later), factories.actor(child, later), later)
    assert told(scene.person) == ["guardian:given"]


def test_c22_what_one_guardian_gave_is_told_to_the_other(scene: Scene, app: Flask) -> None:
    child, father = factories.holder(scene.now, CHILD, "黄子轩"), factories.holder(scene.now, FATHER, "黄建明")
    both = [guardians.appoint(child, p, scene.now, vault=services().vault) for p in (scene.person, father)]
    db.session.commit()
    visitor = scene.visitor.sign_in(scene.person, scene.now, acting=both[0])
    page = visitor.get(visitor.asked(factories.ask(scene.purpose, scene.now), scene.now))
    assert "If you agree, 黄建明 is told as well, as a guardian." in page.says
    for button in ("Next", "Give this item", "Do not give this item"):
        visitor.tap(button)
    visitor.tap("Agree", guardian="yes")
    (consent,) = scene.consents()
    assert (told(scene.person), told(father)) == ([], ["guardian:given"])
    other = factories.actor(father, scene.now, on_behalf_of=both[1])
    endings.withdraw(consent.consent_id, other, scene.now, registry=factories.registry())
    db.session.commit()
    assert (told(scene.person), told(father)) == (["guardian:stopped"], ["guardian:given"])
    inbox = Visitor(app.test_client()).sign_in(father, scene.now)
    assert "黄子轩 · Lingnan Example Bank" in inbox.get("/messages").says
    mandates.end(both[1].mandate_id, scene.now)
    db.session.commit()
    page = inbox.get("/messages")
    assert "An authorization was given about a child whose guardian you are" in page.says
    assert "黄子轩" not in page.says
    factories.consent(factories.ask(scene.purpose, scene.now), factories.actor(child, scene.now), scene.now)
    assert told(father) == ["guardian:given"]


def test_c22_nobody_hears_of_others_who_have_no_guardian(scene: Scene) -> None:
    company, agent = factories.company(scene.now), factories.holder(scene.now, factories.LEGAL_REP, "李伟强")
    factories.mandate(company, agent, mandates.Capacity.LEGAL_REPRESENTATIVE, scene.now)
    factories.consent(factories.ask(scene.purpose, scene.now), factories.actor(scene.person, scene.now), scene.now)
    assert told(agent) == told(scene.person) == []


def test_c22_the_registrar_notes_a_guardian_of_the_young_and_ends_it(
    scene: Scene, student: Holder, app: Flask, client: FlaskClient
) -> None:
    run = app.test_cli_runner().invoke
    noted = run(args=["registrar", "guardian", "--child", STUDENT, "--guardian", factories.PERSON])
    assert "who is 14 decides alone, and the guardian is told" in noted.output
    assert [m.agent_id for m in guardians.of(student.holder_id, dt.datetime.now(dt.UTC))] == [scene.person.holder_id]
    ended = run(args=["registrar", "end-mandate", "--principal", STUDENT, "--agent", factories.PERSON])
    assert "has ended" in ended.output
    db.session.expire_all()
    assert guardians.of(student.holder_id, dt.datetime.now(dt.UTC)) == []
    assert STUDENT not in noted.output + ended.output
