"""What is asked repeatedly can be allowed for one read only, which closes it (check C-18)."""

import datetime as dt
from typing import Any

import pytest
from flask.testing import FlaskClient

from consent import endings, history, lifecycle
from consent.asks import sign_in
from consent.documents import Choices
from consent.records import Reason, State, facts_of, why_inactive
from dataspace.db import db
from dataspace.errors import NotAllowed
from tests import factories
from tests.consent.scene import LAB, PLAIN, Scene
from tests.consent.third_party import ThirdParty, tokens_for
from tests.consent.visitor import Page


def chips(page: Page) -> dict[str, bool]:
    """The durations on offer, and which of them is chosen."""
    found = [how for tag, how in page.tags if tag == "input" and how.get("name") == "days"]
    return {how["value"]: "checked" in how for how in found}


def test_c18_one_read_only_is_on_offer_and_not_chosen_beforehand(scene: Scene) -> None:
    page = scene.shows()
    assert chips(page) == {"once": False, "1": False, "7": False, "asked": False}
    assert "one read only" in page.says


def test_c18_one_read_closes_what_was_given_for_one(scene: Scene, client: FlaskClient, now: dt.datetime) -> None:
    scene.shows()
    scene.visitor.tap("Agree", days="once")
    (consent,) = scene.consents()
    document, _digest = history.current_document(consent)
    assert (consent.max_reads, document["use"]["max_reads"], document["use"]["mode"]) == (1, 1, "periodic")
    assert (document["request"]["max_reads"], document["request"]["given_days"]) == (None, 30)
    bank = ThirdParty(scene.party, client)
    tokens = tokens_for(bank, factories.actor(scene.person, now), give=consent)
    assert tokens["authorization_details"][0]["max_reads"] == 1
    assert bank.read(tokens["access_token"]).status_code == 200
    refused = bank.read(tokens["access_token"])
    assert (refused.status_code, refused.json["code"]) == (403, "quota_exhausted")
    later = now + dt.timedelta(minutes=5)
    inactive = why_inactive(facts_of(consent.consent_id), later)
    assert inactive is not None
    assert inactive.reason == Reason.QUOTA_EXHAUSTED
    endings.sweep(later, registry=factories.registry())
    db.session.commit()
    assert scene.consents()[0].state == State.EXHAUSTED
    page = scene.visitor.get(f"/authorizations/{consent.consent_id}")
    assert "One read only; it ends with it" in page.says
    assert "Used up" in page.says


def test_c18_the_last_screen_says_that_it_is_one_read(scene: Scene) -> None:
    scene.shows(scene.asks([PLAIN, LAB]))
    first = scene.visitor.path
    scene.visitor.tap("Next", days="once")
    confirm = scene.visitor.tap("Give this item")
    assert "It can be read a single time, within 30 days." in confirm.says
    assert "One read only; it ends with it" in confirm.says
    address = scene.visitor.path
    assert chips(scene.visitor.get(first))["once"]
    scene.visitor.tap("Next", days="asked")
    confirm = scene.visitor.get(address)
    assert "It can be read for 30 days." in confirm.says
    scene.visitor.tap("Agree")
    assert scene.consents()[0].max_reads is None


@pytest.mark.parametrize("changes", [{"mode": "one_time"}, {"max_reads": 1}, {"mode": "view_once", "max_reads": 1}])
def test_c18_what_is_for_one_read_anyway_offers_no_such_choice(scene: Scene, changes: dict[str, Any]) -> None:
    page = scene.shows(scene.asks([PLAIN], **changes))
    assert "once" not in chips(page)
    scene.visitor.tap("Agree", days="once")
    (consent,) = scene.consents()
    assert history.current_document(consent)[0]["request"]["given_days"] == 30
    assert consent.max_reads == 1


def test_c18_a_sign_in_and_a_replacement_offer_no_such_choice(scene: Scene, now: dt.datetime) -> None:
    assert not sign_in("shop", ("openid",)).may_be_once
    ask, by = factories.ask(scene.purpose, now), factories.actor(scene.person, now)
    given = factories.consent(ask, by, now)
    db.session.commit()
    page = scene.shows(ask, grant_id=given.consent_id)
    assert "It replaces what you gave" in page.says
    assert set(chips(page)) == {"1", "7", "asked"}
    scene.visitor.tap("Agree", days="once")
    assert scene.consents()[0].max_reads is None


def test_c18_the_domain_refuses_one_read_where_it_says_nothing(scene: Scene, now: dt.datetime) -> None:
    by, shown, registry = factories.actor(scene.person, now), factories.shown(now), factories.registry()
    once = Choices(items=(PLAIN,), duration_days=1, once=True)
    with pytest.raises(NotAllowed):
        lifecycle.give(scene.asks([PLAIN], max_reads=1), once, by, shown, now, registry=registry)
    ask = factories.ask(scene.purpose, now)
    given = factories.consent(ask, by, now)
    with pytest.raises(NotAllowed):
        lifecycle.replace(given.consent_id, ask, once, by, shown, now, registry=registry)
