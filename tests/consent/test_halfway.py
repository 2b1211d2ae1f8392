"""What is lost half-way: a mandate, at every step and at the approval; an item, between page and post."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete

from consent.purposes import Purpose
from consent.records import Consent, State
from dataspace import mandates
from dataspace.catalogue import DataItem
from dataspace.db import db
from dataspace.mandates import Capacity, Mandate
from tests import factories
from tests.consent.scene import BANK, CROSS_BORDER, Scene
from tests.consent.visitor import Page, Visitor

LICENCE, VAT = "e.reg.licence", "e.tax.vat"
CHANGED = f"What {BANK} asks for has changed since it asked. Nothing was given."
# The screens of the request, and the tap on each that goes on.
TAPS = ("Next", "Give this item", "Let it leave the country", "Agree")


@dataclass
class Office:
    """A company, asked for two items, one of them sensitive, that leave the country."""

    scene: Scene
    purpose: Purpose
    items: dict[str, DataItem]
    agent: Visitor
    head: Visitor
    mandates: dict[str, Mandate]

    def asks(self, who: Visitor, taps: int = 0) -> Page:
        """The page of a fresh request after so many taps."""
        page = who.get(who.asked(factories.ask(self.purpose, self.scene.now), self.scene.now))
        for text in TAPS[:taps]:
            page = who.tap(text)
        return page

    def prepared(self) -> Consent:
        """What the agent has prepared, in front of the head."""
        self.asks(self.agent, len(TAPS))
        (consent,) = self.scene.consents()
        assert consent.state == State.PENDING_APPROVAL
        self.head.get(f"/authorizations/{consent.consent_id}/approve")
        return consent

    def loses(self, who: str) -> None:
        """The mandate ends, now."""
        mandates.end(self.mandates[who].mandate_id, self.scene.now)
        db.session.commit()

    def state(self) -> str:
        (consent,) = self.scene.consents()
        return consent.state


@pytest.fixture
def office(scene: Scene, app: Flask) -> Office:
    now, company = scene.now, factories.company(scene.now)
    items = {
        LICENCE: factories.item(now, LICENCE, ("uscc", "name")),
        VAT: factories.item(now, VAT, ("period", "sales"), sensitive=True),
    }
    row = factories.purpose(
        now, code="company-loan", required=items.values(), kinds=["legal_entity"], cross_border=CROSS_BORDER
    )
    people = {
        "agent": (factories.holder(now, factories.AGENT, "周敏"), Capacity.AGENT),
        "head": (factories.holder(now, factories.LEGAL_REP, "李伟强"), Capacity.LEGAL_REPRESENTATIVE),
    }
    held = {who: factories.mandate(company, *of, now) for who, of in people.items()}
    agent, head = (Visitor(app.test_client()).sign_in(people[who][0], now, acting=held[who]) for who in people)
    return Office(scene, row, items, agent, head, held)


# A mandate


@pytest.mark.parametrize("who", ["agent", "head"])
@pytest.mark.parametrize("step", range(len(TAPS)), ids=TAPS)
@pytest.mark.parametrize("then", ["goes on", "refuses", "looks"])
def test_a_mandate_that_ends_at_any_step_gives_nothing(office: Office, who: str, step: int, then: str) -> None:
    visitor: Visitor = getattr(office, who)
    office.asks(visitor, step)
    office.loses(who)
    if then == "looks":
        visitor.get(visitor.path)
    else:
        refuse = next(b.text for b in visitor.page.buttons if b.text.startswith("Refuse"))
        visitor.tap(TAPS[step] if then == "goes on" else refuse)
    assert visitor.path.startswith("/signin")
    assert office.scene.consents() == []


@pytest.mark.parametrize("button", ["Agree", "Refuse"])
def test_who_loses_the_mandate_before_approving_decides_nothing(office: Office, button: str) -> None:
    office.prepared()
    office.loses("head")
    office.head.tap(button)
    assert office.head.path.startswith("/signin")
    assert office.state() == State.PENDING_APPROVAL


@pytest.mark.parametrize("button", ["Agree", "Refuse"])
def test_what_was_prepared_by_somebody_who_lost_the_mandate_is_not_approved(office: Office, button: str) -> None:
    consent = office.prepared()
    office.loses("agent")
    page = office.head.tap(button)
    assert "Nothing changed: it was decided already, or it cannot be approved any more." in page.says
    assert "The mandate under which it was given has ended." in page.says
    assert office.state() == State.PENDING_APPROVAL
    page = office.head.get(f"/authorizations/{consent.consent_id}/approve")
    assert not page.offers("Agree")
    assert consent.consent_id not in office.head.get("/authorizations?tab=waiting").html
    assert consent.consent_id in office.head.get("/authorizations?tab=ended").html


def test_a_mandate_that_ends_after_the_approval_ends_the_consent(office: Office) -> None:
    consent = office.prepared()
    office.head.tap("Agree")
    assert office.state() == State.ACTIVE
    office.loses("agent")
    page = office.head.get(f"/authorizations/{consent.consent_id}")
    assert "The mandate under which it was given has ended." in page.says


# The approval, posted again


def test_an_approval_may_be_posted_twice(office: Office) -> None:
    consent = office.prepared()
    page = office.head.page
    office.head.tap("Agree")
    office.head.page = page
    assert "Nothing changed: it was decided already" in office.head.tap("Agree").says
    assert (office.state(), consent.version) == (State.ACTIVE, 2)


def test_an_approval_after_a_refusal_approves_nothing(office: Office) -> None:
    office.prepared()
    page = office.head.page
    office.head.tap("Refuse")
    office.head.page = page
    assert "Nothing changed: it was decided already" in office.head.tap("Agree").says
    assert office.state() == State.REJECTED


# An item


def renewed(item: DataItem, **changes: Any) -> None:
    """A new version of an item."""
    columns = {c.name: getattr(item, c.name) for c in DataItem.__table__.columns}
    db.session.add(DataItem(**columns | {"version": 2, "digest": "n" * 64} | changes))


def not_shared(office: Office) -> None:
    renewed(office.items[LICENCE], share="N")


def field_gone(office: Office) -> None:
    renewed(office.items[LICENCE], fields=[{"id": "name", "label": factories.text("名称")}])


def sensitive_now(office: Office) -> None:
    renewed(office.items[LICENCE], sensitive=True, impact=factories.text("可能影响您的权益"))


def purpose_gone(office: Office) -> None:
    db.session.execute(delete(Purpose).where(Purpose.code == office.purpose.code))


Change = Callable[[Office], None]
changes = pytest.mark.parametrize("change", [not_shared, field_gone, sensitive_now, purpose_gone])


@changes
@pytest.mark.parametrize("step", range(len(TAPS)), ids=TAPS)
def test_what_is_withdrawn_from_the_catalogue_between_page_and_post_is_not_given(
    office: Office, change: Change, step: int
) -> None:
    office.asks(office.head, step)
    change(office)
    db.session.commit()
    page = office.head.tap(TAPS[step])
    assert (page.status, CHANGED in page.says) == (409, True)
    assert office.scene.consents() == []
    office.scene.visitor = office.head
    office.head.tap(f"Return to {BANK}")
    assert office.scene.returned()["error"] == "access_denied"


@changes
def test_what_is_withdrawn_from_the_catalogue_before_the_approval_is_not_approved(
    office: Office, change: Change
) -> None:
    consent = office.prepared()
    change(office)
    db.session.commit()
    office.head.tap("Agree")  # on the page that was loaded before
    assert office.state() == State.PENDING_APPROVAL
    page = office.head.get(f"/authorizations/{consent.consent_id}/approve")
    assert CHANGED in page.says
    assert not page.offers("Agree")
    office.head.tap("Refuse")
    assert office.state() == State.REJECTED
