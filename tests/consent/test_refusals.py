"""After a refusal the third party lets the holder be for a while (check C-20), unless the holder starts it."""

import datetime as dt
from dataclasses import dataclass

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, func, select

from consent import lifecycle, refusals
from consent.asks import sign_in
from consent.purposes import Purpose
from consent.records import Consent, State
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.mandates import Actor, Capacity
from tests import factories
from tests.consent.visitor import Visitor, answer_of

HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
TITLE = "You refused this already"


@dataclass
class Scene:
    now: dt.datetime
    person: Holder
    by: Actor
    purpose: Purpose
    visitor: Visitor

    def refused(self, ago: dt.timedelta) -> None:
        ask = factories.ask(self.purpose, self.now)
        made = lifecycle.refuse(ask, self.by, factories.shown(self.now), self.now, registry=factories.registry())
        self.was(made, ago)

    def was(self, consent: Consent, ago: dt.timedelta) -> None:
        """It was decided so long ago. (The keys that sign are not older than the test.)"""
        consent.created_at = consent.state_since = self.now - ago
        db.session.commit()

    def asked(self) -> str:
        return self.visitor.asked(factories.ask(self.purpose, self.now), self.now)

    def decisions(self) -> int:
        return db.session.scalar(select(func.count()).select_from(Consent)) or 0


@pytest.fixture
def scene(app: Flask, client: FlaskClient, now: dt.datetime) -> Scene:
    person = factories.holder(now)
    degree = factories.item(now)
    factories.record(person, degree, [{"school": "示例大学", "major": "会计", "level": None}], now)
    factories.party(now)
    purpose = factories.purpose(now, required=[degree])
    db.session.commit()
    return Scene(now, person, factories.actor(person, now), purpose, Visitor(client).sign_in(person, now))


@pytest.mark.parametrize(
    ("refused", "rests_until"),
    [
        ([], None),
        ([DAY], None),
        ([DAY - HOUR], HOUR),
        ([HOUR], 23 * HOUR),
        ([3 * DAY, 2 * DAY], None),
        ([3 * DAY, 2 * DAY, DAY], 29 * DAY),
        ([60 * DAY, 40 * DAY, 20 * DAY], 10 * DAY),
        ([60 * DAY, 40 * DAY, 30 * DAY], None),
        ([-HOUR], 25 * HOUR),  # refused by a clock that was ahead
    ],
)
def test_c20_one_refusal_rests_a_day_and_three_rest_thirty(
    scene: Scene, refused: list[dt.timedelta], rests_until: dt.timedelta | None
) -> None:
    for ago in refused:
        scene.refused(ago)
    found = _resting(scene)
    assert (found.until if found else None) == (scene.now + rests_until if rests_until is not None else None)


def _resting(scene: Scene, **other: str) -> refusals.Resting | None:
    names = {"space_id": scene.person.space_id, "client_id": "bank", "purpose_code": scene.purpose.code}
    return refusals.resting(**(names | other), now=scene.now)


def test_c20_it_counts_for_this_space_client_and_purpose_only(scene: Scene) -> None:
    scene.refused(HOUR)
    assert _resting(scene) is not None
    for other in ({"space_id": "spc_other"}, {"client_id": "shop"}, {"purpose_code": "other"}):
        assert _resting(scene, **other) is None


def test_c20_agreeing_in_between_begins_anew(scene: Scene) -> None:
    for days in (9, 8, 7):
        scene.refused(days * DAY)
    assert _resting(scene) is not None
    scene.was(factories.consent(factories.ask(scene.purpose, scene.now), scene.by, scene.now), 6 * DAY)
    assert _resting(scene) is None
    scene.refused(HOUR)
    rest = _resting(scene)
    assert rest is not None
    assert rest.until == scene.now + 23 * HOUR


def test_c20_the_rejection_by_a_second_person_counts(app: Flask, scene: Scene) -> None:
    company = factories.company(scene.now)
    licence = factories.item(scene.now, "e.reg.licence", ("uscc", "name"))
    row = factories.purpose(scene.now, code="licence", required=[licence], kinds=("legal_entity",))
    agent = factories.holder(scene.now, factories.AGENT, "周敏")
    rep = factories.holder(scene.now, factories.LEGAL_REP, "李伟强")
    prepares = factories.mandate(company, agent, Capacity.AGENT, scene.now)
    decides = factories.mandate(company, rep, Capacity.LEGAL_REPRESENTATIVE, scene.now)
    by = factories.actor(agent, scene.now, on_behalf_of=prepares)
    given = factories.consent(factories.ask(row, scene.now), by, scene.now)
    assert _resting(scene, space_id=company.space_id, purpose_code="licence") is None  # not decided yet
    lifecycle.reject(
        given.consent_id,
        factories.actor(rep, scene.now, on_behalf_of=decides),
        scene.now,
        registry=factories.registry(),
    )
    rest = _resting(scene, space_id=company.space_id, purpose_code="licence")
    assert rest is not None
    assert rest.until == scene.now + DAY


def test_c20_the_page_says_when_it_was_refused_and_leads_back_without_a_record(scene: Scene) -> None:
    scene.refused(HOUR)
    page = scene.visitor.get(scene.asked())
    assert page.status == 403
    assert TITLE in page.says
    assert "Review this loan application" in page.says
    assert "It may ask again from" in page.says
    assert not page.offers("Agree")
    page = scene.visitor.tap("Return to Lingnan Example Bank")
    answer = answer_of(page)
    assert (answer["error"], answer["error_description"]) == ("access_denied", "The holder did not agree.")
    assert scene.decisions() == 1


def test_c20_the_holder_may_look_at_it_anyway_and_agree(scene: Scene) -> None:
    scene.refused(HOUR)
    path = scene.asked()
    scene.visitor.get(path)
    page = scene.visitor.tap("I want to look at it anyway")
    assert page.offers("Agree")
    assert scene.visitor.get(path).offers("Agree")  # reload and back lead here
    scene.visitor.tap("Agree")
    assert db.session.scalar(select(func.count()).where(Consent.state == State.ACTIVE)) == 1


def test_c20_no_form_gets_around_it(scene: Scene) -> None:
    path = scene.asked()
    page = scene.visitor.get(path)
    agree = page.button("Agree")
    assert agree.form is not None
    scene.refused(HOUR)  # in another tab, meanwhile
    page = scene.visitor.tap("Agree")
    assert TITLE in page.says
    assert db.session.scalar(select(func.count()).where(Consent.state == State.ACTIVE)) == 0


def test_c20_whom_one_acts_for_counts(scene: Scene) -> None:
    """Who wanted to look at it for one holder has not wanted it for another."""
    scene.refused(HOUR)
    path = scene.asked()
    scene.visitor.get(path)
    token = next(a["value"] for _tag, a in scene.visitor.page.tags if a.get("name") == "csrf_token")
    response = scene.visitor.send("POST", f"{path}/look-anyway", data={"csrf_token": token, "acting": "somebody"})
    assert response.status_code == 409
    assert TITLE in scene.visitor.get(path).says


def test_c20_signing_in_is_started_by_the_holder(scene: Scene) -> None:
    factories.party(scene.now, "shop", profile=factories.Profile.LOGIN, method="client_secret_basic", name="商店")
    ask = sign_in("shop", ("openid",))
    lifecycle.refuse(ask, scene.by, factories.shown(scene.now), scene.now, registry=factories.registry())
    db.session.commit()
    assert TITLE not in scene.visitor.get(scene.visitor.asked(ask, scene.now)).says


def test_c20_a_long_history_costs_one_statement(scene: Scene) -> None:
    for days in range(1, 9):
        scene.refused(days * DAY)
    assert _resting(scene) is not None  # what the scene itself has to look up is known now
    statements: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    assert _resting(scene) is not None
    assert len(statements) == 1
