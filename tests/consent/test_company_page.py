"""The consent page of a company: for whom one answers, what an agent prepares, who approves it."""

from dataclasses import dataclass

import pytest
from flask import Flask

from consent.asks import Ask
from consent.purposes import Purpose
from consent.records import State
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.mandates import Capacity
from tests import factories
from tests.consent.scene import BANK, CROSS_BORDER, LAB, PLAIN, Scene
from tests.consent.visitor import Visitor

# For whom


def company_ask(scene: Scene) -> Ask:
    licence = factories.item(scene.now, "e.reg.licence", ("uscc", "name"))
    row = factories.purpose(scene.now, code="company-loan", required=[licence], kinds=["legal_entity"])
    db.session.commit()
    return factories.ask(row, scene.now)


def test_c10_for_which_company_stands_on_every_screen(scene: Scene, company: Holder) -> None:
    mandate = factories.mandate(company, scene.person, Capacity.LEGAL_REPRESENTATIVE, scene.now)
    tax = factories.item(scene.now, "e.tax.vat", ("period", "sales"), sensitive=True)
    row = factories.purpose(
        scene.now, code="company-loan", required=[tax], kinds=["legal_entity"], cross_border=CROSS_BORDER
    )
    db.session.commit()
    scene.visitor.sign_in(scene.person, scene.now, acting=mandate)
    scene.shows(factories.ask(row, scene.now))
    for button in ("Next", "Give this item", "Let it leave the country", "Agree"):
        assert "You are acting for 粤海明珠电子(示例)有限公司" in scene.visitor.page.says, scene.visitor.path
        assert "As yourself" not in scene.visitor.page.says
        scene.visitor.tap(button)
    assert "You are acting for 粤海明珠电子(示例)有限公司" in scene.visitor.page.says
    assert scene.consents()[0].holder_id == company.holder_id


@pytest.fixture
def company(scene: Scene) -> Holder:
    found = factories.company(scene.now)
    db.session.commit()
    return found


def test_a_request_for_companies_leads_to_the_company(scene: Scene, company: Holder) -> None:
    factories.mandate(company, scene.person, Capacity.LEGAL_REPRESENTATIVE, scene.now)
    page = scene.shows(company_ask(scene))
    path = scene.visitor.path
    assert page.status == 403
    assert f"{BANK} asks legal entities. You are acting for 陈嘉怡." in page.says
    assert "You can answer for: 粤海明珠电子(示例)有限公司" in page.says
    page = scene.visitor.follow("Choose for whom I act")
    page = scene.visitor.tap("粤海明珠电子(示例)有限公司 · Legal representative")
    assert scene.visitor.path == path
    assert "You are acting for 粤海明珠电子(示例)有限公司" in page.says
    scene.visitor.tap("Agree")
    (consent,) = scene.consents()
    assert (consent.holder_id, consent.state) == (company.holder_id, State.ACTIVE)


def test_who_fits_nobody_can_go_back_without_a_record(scene: Scene) -> None:
    page = scene.shows(company_ask(scene))
    assert "Nobody whom you may act for fits. Nothing was given." in page.says
    assert not page.offers("Agree")
    scene.visitor.tap(f"Return to {BANK}")
    assert scene.returned()["error"] == "access_denied"
    assert scene.consents() == []


def test_an_administrator_cannot_answer(scene: Scene, app: Flask) -> None:
    person = factories.administrator(scene.now)
    visitor = Visitor(app.test_client()).sign_in(person, scene.now, acting="administrator")
    page = visitor.get(visitor.asked(factories.ask(scene.purpose, scene.now), scene.now))
    assert page.status == 403
    assert "An administrator cannot answer requests." in page.says
    assert not page.offers("Agree")


def test_the_capacity_is_fixed_for_one_consent(scene: Scene, company: Holder) -> None:
    mandate = factories.mandate(company, scene.person, Capacity.LEGAL_REPRESENTATIVE, scene.now)
    row = factories.purpose(
        scene.now, code="both", required=[scene.items[PLAIN]], kinds=["natural_person", "legal_entity"]
    )
    db.session.commit()
    page = scene.shows(factories.ask(row, scene.now))
    scene.visitor.sign_in(scene.person, scene.now, acting=mandate)  # in another tab
    scene.visitor.page = page
    page = scene.visitor.tap("Agree")
    assert page.status == 409
    assert "You are acting for somebody else now" in page.says
    assert scene.consents() == []
    page = scene.visitor.follow("Look at the request")
    scene.visitor.tap("Agree")
    assert scene.consents()[0].holder_id == company.holder_id


def test_choices_made_for_somebody_else_do_not_count(scene: Scene, company: Holder) -> None:
    mandate = factories.mandate(company, scene.person, Capacity.LEGAL_REPRESENTATIVE, scene.now)
    row = factories.purpose(
        scene.now, code="both", required=[scene.items[PLAIN], scene.items[LAB]],
        kinds=["natural_person", "legal_entity"],
    )  # fmt: skip
    db.session.commit()
    scene.shows(factories.ask(row, scene.now))
    scene.visitor.tap("Next")
    scene.visitor.tap("Give this item")
    confirm = scene.visitor.path
    scene.visitor.sign_in(scene.person, scene.now, acting=mandate)
    scene.visitor.get(confirm)
    assert not scene.visitor.path.endswith("/confirm")


# A company's agent


@dataclass
class Office:
    """A company with a legal representative and an agent, each with a browser."""

    agent: Visitor
    representative: Visitor
    path: str
    company: Holder


@pytest.fixture
def office(scene: Scene, company: Holder, app: Flask) -> Office:
    li = factories.holder(scene.now, factories.LEGAL_REP, "李伟强")
    zhou = factories.holder(scene.now, factories.AGENT, "周敏")
    rep = factories.mandate(company, li, Capacity.LEGAL_REPRESENTATIVE, scene.now)
    agent = factories.mandate(company, zhou, Capacity.AGENT, scene.now)
    db.session.commit()
    visitor = Visitor(app.test_client()).sign_in(zhou, scene.now, acting=agent)
    other = Visitor(app.test_client()).sign_in(li, scene.now, acting=rep)
    path = visitor.asked(company_ask(scene), scene.now)
    visitor.get(path)
    visitor.tap("Agree")
    return Office(visitor, other, path, company)


def test_c23_an_agents_agreement_waits_for_a_second_person(scene: Scene, office: Office) -> None:
    page = office.agent.page
    assert office.agent.path.endswith("/waiting")
    assert "Who can approve 李伟强" in page.says
    assert not page.offers(f"Return to {BANK}")
    assert scene.consents()[0].state == State.PENDING_APPROVAL
    assert office.agent.get(office.path).says == page.says  # back and reload lead here


def test_c23_the_approver_sees_the_same_and_who_prepared_it(scene: Scene, office: Office) -> None:
    office.representative.get("/authorizations?tab=waiting")
    card = next(href for words, href in office.representative.page.links if "Waiting for approval" in words)
    page = office.representative.get(card)
    for words in ("Prepared by 周敏", BANK, "Review this loan application", "Item e.reg.licence", "Field uscc",
                  "They keep it", "How often", "will ask for a password or a code"):  # fmt: skip
        assert words in page.says, words
    office.representative.tap("Agree")
    assert scene.consents()[0].state == State.ACTIVE
    page = office.agent.get(office.agent.path)
    assert "Approved It is active now." in page.says
    office.agent.tap(f"Return to {BANK}")
    scene.visitor = office.agent
    assert "code" in scene.returned()


def test_c23_the_preparer_cannot_approve(scene: Scene, office: Office) -> None:
    consent_id = scene.consents()[0].consent_id
    page = office.agent.get(f"/authorizations/{consent_id}/approve")
    assert "You prepared it: another person of the company has to decide." in page.says
    assert not page.offers("Agree")
    token = next(a["value"] for tag, a in page.tags if a.get("name") == "csrf_token")
    response = office.agent.send("POST", f"/authorizations/{consent_id}/approve", data={"csrf_token": token})
    assert response.status_code == 403
    assert scene.consents()[0].state == State.PENDING_APPROVAL


def test_c23_after_a_rejection_the_way_back_is_a_refusal(scene: Scene, office: Office) -> None:
    consent_id = scene.consents()[0].consent_id
    office.representative.get(f"/authorizations/{consent_id}/approve")
    page = office.representative.tap("Refuse")
    assert "Not approved. Nothing was given." in page.says
    page = office.agent.get(office.agent.path)
    assert "Not approved" in page.says
    office.agent.tap(f"Return to {BANK}")
    scene.visitor = office.agent
    assert scene.returned()["error"] == "access_denied"


PLACES = ["Home", "To approve", "Authorizations", "Messages"]
OF_ONESELF = ("我的授权", "我的数据", "我的申请", "我的亲属", "您的数据", "您的授权", "您的空间", "对您可能的影响")


def test_pages_of_a_company_speak_of_the_company(scene: Scene, office: Office) -> None:
    assert "The second person finds it under “Waiting for approval”." in office.agent.page.says
    office.representative.language = "zh-CN"
    consent_id = scene.consents()[0].consent_id
    asked = office.representative.asked(company_ask_again(scene), scene.now)
    pages = [
        "/", "/authorizations", "/authorizations?tab=waiting", "/authorizations?tab=ended", "/reads", "/messages",
        "/messages/choices", "/messages/address", "/data", "/cases", "/cases/new?kind=explanation", "/archive",
        "/erasure", f"/authorizations/{consent_id}", f"/authorizations/{consent_id}/approve", asked,
    ]  # fmt: skip
    said = {path: office.representative.get(path).says for path in pages}
    assert {path: word for path, says in said.items() for word in OF_ONESELF if word in says} == {}
    assert all("您正在代表 粤海明珠电子(示例)有限公司 授权" in says for says in said.values())
    assert "随时可以停止： 企业授权" in said[asked]


def company_ask_again(scene: Scene) -> Ask:
    """Of the purpose that :func:`company_ask` has made."""
    purpose = db.session.get_one(Purpose, ("bank", "company-loan"))
    return factories.ask(purpose, scene.now)


def test_what_waits_for_me_comes_first_for_a_company_and_has_its_number(scene: Scene, office: Office) -> None:
    page = office.representative.get("/authorizations?tab=waiting")
    navigation = [link for link in page.links if link[0].partition(" :")[0] in PLACES][:4]
    assert [words.partition(" :")[0] for words, _path in navigation] == PLACES
    assert navigation[1] == ("To approve : 1", "/authorizations?tab=waiting")
    assert '<a href="/authorizations?tab=waiting" aria-current="page">' in page.html
    # The agent has prepared it and may not approve it: nothing waits for her.
    assert ("To approve", "/authorizations?tab=waiting") in office.agent.get("/").links
