"""Which agreements of a company need two persons: a rule says so, the page says so, the consent keeps it."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask

from consent import approvals, history, lifecycle, receipts, rules
from consent.asks import Ask
from consent.documents import Choices
from consent.purposes import Purpose
from consent.records import Consent, State
from consent.rules import Ruled
from consent.terms import AskedItem
from dataspace.db import db
from dataspace.errors import NotAllowed
from dataspace.mandates import Actor, Capacity, Mandate
from tests import factories
from tests.consent.test_rules import HEAD, load
from tests.consent.visitor import Visitor

POWER, LICENCE = "e.energy.power", "e.reg.licence"
RULE = '[[rules]]\nid = "two"\nitem = "e.energy.*"\ntwo_person = '


@dataclass
class Firm:
    """A company with two legal representatives and an agent, asked for its licence and, if it wants, electricity."""

    now: dt.datetime
    purpose: Purpose
    people: dict[str, Any]
    mandates: dict[str, Mandate] = field(default_factory=dict)

    def actor(self, who: str) -> Actor:
        return factories.actor(self.people[who], self.now, on_behalf_of=self.mandates[who])

    def visitor(self, app: Flask, who: str) -> Visitor:
        return Visitor(app.test_client()).sign_in(self.people[who], self.now, acting=self.mandates[who])

    def ask(self, months: int = 24) -> Ask:
        items = (AskedItem(item_id=LICENCE), AskedItem(item_id=POWER, months=months))
        return factories.ask(self.purpose, self.now, items=items)

    def give(self, who: str, *, items: tuple[str, ...] = (LICENCE, POWER), months: int | None = None) -> Consent:
        ask = self.ask()
        choices = Choices(items=items, duration_days=30, months={POWER: months} if months else {})
        shown = factories.shown(self.now)
        return lifecycle.give(ask, choices, self.actor(who), shown, self.now, registry=factories.registry())


@pytest.fixture
def firm(app: Flask, now: dt.datetime) -> Firm:
    factories.party(now)
    body = factories.company(now)
    licence = factories.item(now, LICENCE, ("uscc",))
    power = factories.item(now, POWER, ("month", "kwh"), many=True, period_field="month")
    purpose = factories.purpose(now, required=[licence], optional=[power], kinds=["legal_entity"])
    people = {
        "head": factories.holder(now, factories.LEGAL_REP, "李伟强"),
        "other head": factories.holder(now, factories.OTHER_PERSON, "梁志文"),
        "agent": factories.holder(now, factories.AGENT, "周敏"),
    }
    found = Firm(now, purpose, people)
    for who, person in people.items():
        capacity = Capacity.AGENT if who == "agent" else Capacity.LEGAL_REPRESENTATIVE
        found.mandates[who] = factories.mandate(body, person, capacity, now)
    db.session.commit()
    return found


def block(consent: Consent) -> dict[str, Any]:
    document, _digest = history.current_document(consent)
    found: dict[str, Any] = document["approvals"]
    return found


@pytest.mark.parametrize(
    ("value", "months"), [(True, 0), ({"over_months": 12}, 12), (False, None), (None, None)], ids=str
)
def test_the_value_of_the_rule(value: Any, months: int | None) -> None:
    ruling = {} if value is None else {"two_person": Ruled(value, "two")}
    assert rules.two_person(ruling) == months


@pytest.mark.parametrize(
    ("rule", "who", "given", "months", "waits_for"),
    [
        ("true", "head", (LICENCE, POWER), None, [POWER]),
        ("true", "head", (LICENCE,), None, None),
        ("true", "agent", (LICENCE, POWER), None, [POWER]),
        ("true", "agent", (LICENCE,), None, []),
        ("{ over_months = 12 }", "head", (LICENCE, POWER), None, [POWER]),
        ("{ over_months = 12 }", "head", (LICENCE, POWER), 12, None),
        ("{ over_months = 24 }", "head", (LICENCE, POWER), None, None),
        ('true\n[[rules]]\nid = "lifted"\nitem = "e.energy.power"\ntwo_person = false', "head", (LICENCE, POWER), None,
         None),
        ('true\n[[rules]]\nid = "all"\ntwo_person = true', "head", (LICENCE,), None, [LICENCE]),
    ],
)  # fmt: skip
def test_who_has_to_agree(
    firm: Firm, rule: str, who: str, given: tuple[str, ...], months: int | None, waits_for: list[str] | None
) -> None:
    load(HEAD + RULE + rule, firm.now)
    consent = firm.give(who, items=given, months=months)
    kept = block(consent)
    if waits_for is None:
        assert (consent.state, kept["rule"], kept["items"]) == (State.ACTIVE, "legal_representative", [])
    else:
        assert (consent.state, kept["rule"], kept["items"]) == (State.PENDING_APPROVAL, "two_person", waits_for)
    assert [step["decision"] for step in kept["steps"]] == ["agreed"]


def test_a_person_decides_alone_whatever_the_rule(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    load(HEAD + '[[rules]]\nid = "two"\ntwo_person = true', now)
    consent = factories.consent(factories.ask(world.purpose, now), world.actor, now)
    assert (consent.state, block(consent)["rule"]) == (State.ACTIVE, "any")


def test_the_rule_at_the_time_of_the_request_counts(firm: Firm) -> None:
    asked = firm.ask()
    load(HEAD + RULE + "true", firm.now)
    assert Ask.from_document(asked.to_document()) == asked
    assert approvals.by_rule(asked) == []
    assert approvals.by_rule(firm.ask()) == [POWER]


def test_it_is_not_replaced_by_one_person(firm: Firm) -> None:
    given = firm.give("head")
    load(HEAD + RULE + "true", firm.now)
    choices, shown = Choices(items=(LICENCE, POWER), duration_days=30), factories.shown(firm.now)
    by = firm.actor("head")
    with pytest.raises(NotAllowed):
        lifecycle.replace(given.consent_id, firm.ask(), choices, by, shown, firm.now, registry=factories.registry())


def test_c23_both_persons_see_it_on_the_page_and_it_is_kept(firm: Firm, app: Flask) -> None:
    load(HEAD + RULE + "true", firm.now)
    db.session.commit()
    head = firm.visitor(app, "head")
    page = head.get(head.asked(firm.ask(), firm.now))
    assert (
        "Two people of the company decide about: Item e.energy.power. After you another one has to approve."
        in page.says
    )
    head.tap("Agree", share=[POWER])
    assert "Who can approve" in head.page.says
    assert {"梁志文", "周敏"} <= set(head.page.says.replace(",", " ").split())
    (consent,) = db.session.query(Consent).order_by(Consent.created_at)
    assert consent.state == State.PENDING_APPROVAL
    (receipt,) = receipts.of_consent(consent.consent_id)
    text = receipts.signed(receipt, vault=factories.registry().vault).content["notice"]["text"]
    assert text.count("Two people of the company decide about: Item e.energy.power.") == 2
    assert not head.get(f"/authorizations/{consent.consent_id}/approve").offers("Agree")
    other = firm.visitor(app, "other head")
    other.get(f"/authorizations/{consent.consent_id}/approve")
    assert "Prepared by 李伟强" in other.page.says
    other.tap("Agree")
    db.session.refresh(consent)
    assert consent.state == State.ACTIVE
    kept = block(consent)
    assert [(s["step"], s["role"]) for s in kept["steps"]] == [
        ("prepare", "legal_representative"), ("approve", "legal_representative"),
    ]  # fmt: skip
    assert (kept["rule"], kept["items"]) == ("two_person", [POWER])


def test_an_agent_is_told_before_that_somebody_else_approves(firm: Firm, app: Flask) -> None:
    agent = firm.visitor(app, "agent")
    page = agent.get(agent.asked(firm.ask(), firm.now))
    assert "You prepare it. A second person of the company has to approve it." in page.says
    head = firm.visitor(app, "head")
    assert "approve" not in head.get(head.asked(firm.ask(), firm.now)).says
