"""The holder gives less than was asked: fields, months, items, days; what was reduced stays on record."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from consent import history, lifecycle
from consent.admission import admit
from consent.asks import Ask, AskItem
from consent.documents import Choices
from consent.terms import AskedItem, InvalidTerms, Terms
from dataspace.db import db
from dataspace.errors import NotAllowed
from tests import factories
from tests.consent.scene import EXTRA, LAB, PLAIN, Scene
from tests.consent.third_party import ThirdParty, tokens_for
from tests.consent.visitor import Page

YEAR = ("2025-10", "2026-09")


@pytest.fixture
def wide(scene: Scene) -> Ask:
    """PLAIN with an optional field, EXTRA, and a year of LAB, of which six months would do."""
    ask = scene.asks([PLAIN, LAB], [EXTRA])
    changes: dict[str, dict[str, Any]] = {
        PLAIN: {"optional_fields": ("major", "level")},
        LAB: {"period_from": YEAR[0], "period_to": YEAR[1], "min_months": 6},
    }
    return replace(ask, items=tuple(replace(i, **changes.get(i.item_id, {})) for i in ask.items))


def document(scene: Scene) -> dict[str, Any]:
    (consent,) = scene.consents()
    return history.current_document(consent)[0]


def given(scene: Scene) -> dict[str, tuple[list[str], str | None]]:
    return {i["item_id"]: (i["fields"], i["range"]["from"]) for i in document(scene)["items"] if i["chosen"]}


def inputs(page: Page, name: str) -> list[dict[str, str]]:
    return [a for tag, a in page.tags if tag == "input" and a.get("name") == name]


def test_c11_optional_fields_and_months_are_off_until_they_are_chosen(scene: Scene, wide: Ask) -> None:
    page = scene.shows(wide)
    assert [a["value"] for a in inputs(page, f"fields.{PLAIN}")] == ["major", "level"]
    own = scene.visitor.tap("Next")
    assert [a["value"] for a in inputs(own, f"months.{LAB}")] == ["6", "asked"]
    for shown in (page, own):
        assert not [a for _tag, a in shown.tags if "checked" in a or "selected" in a]
    scene.visitor.tap("Give this item")
    scene.visitor.tap("Agree")
    assert given(scene) == {PLAIN: (["school"], None), LAB: (["month", "value"], YEAR[0])}


def test_the_holder_chooses_fields_and_months(scene: Scene, wide: Ask) -> None:
    scene.shows(wide)
    scene.visitor.tap("Next", **{f"fields.{PLAIN}": ["major", "image"], "share": [EXTRA], "days": "7"})
    confirm = scene.visitor.tap("Give this item", **{f"months.{LAB}": "6"})
    assert "Period 6 months" in confirm.says
    assert "Apr 2026 – Sep 2026" in confirm.says
    assert "Field level" not in confirm.says
    scene.visitor.tap("Agree")
    assert given(scene) == {
        PLAIN: (["school", "major"], None),
        EXTRA: (["title", "since"], None),
        LAB: (["month", "value"], "2026-04"),
    }


def test_what_was_reduced_is_in_the_document(scene: Scene, wide: Ask) -> None:
    scene.shows(wide)
    scene.visitor.tap("Next", **{f"fields.{PLAIN}": ["major"]})
    scene.visitor.tap("Give this item", **{f"months.{LAB}": "6"})
    scene.visitor.tap("Agree")
    request = document(scene)["request"]
    none = {"from": None, "to": None}
    assert request["reduced"] == [
        {"item_id": PLAIN, "fields": ["level"], "range": none},
        {"item_id": LAB, "fields": [], "range": {"from": YEAR[0], "to": YEAR[1]}},
        {"item_id": EXTRA, "fields": ["title", "since"], "range": none},
    ]
    assert (request["duration_days"], request["given_days"]) == (30, 30)


@pytest.mark.parametrize("months", ["1", "3", "12", "24", "-6", "6.0", "²", "", "asked"])
def test_months_that_are_not_on_offer_mean_as_asked(scene: Scene, wide: Ask, months: str) -> None:
    scene.shows(wide)
    scene.visitor.tap("Next")
    scene.visitor.tap("Give this item", **{f"months.{LAB}": months})
    scene.visitor.tap("Agree")
    assert given(scene)[LAB][1] == YEAR[0]


def test_a_choice_is_restored_by_back_and_reload(scene: Scene, wide: Ask) -> None:
    scene.shows(wide)
    first = scene.visitor.path
    scene.visitor.tap("Next", **{f"fields.{PLAIN}": ["major"]})
    own = scene.visitor.path
    scene.visitor.tap("Give this item", **{f"months.{LAB}": "6"})
    ticked = [a["value"] for a in inputs(scene.visitor.get(first), f"fields.{PLAIN}") if "checked" in a]
    assert ticked == ["major"]
    chosen = [a["value"] for a in inputs(scene.visitor.get(own), f"months.{LAB}") if "checked" in a]
    assert chosen == ["6"]


def test_the_client_is_told_and_reads_what_is_left(scene: Scene, client: FlaskClient, now: dt.datetime) -> None:
    ask = scene.asks([PLAIN])
    ask = replace(ask, items=(replace(ask.items[0], optional_fields=("major", "level")),))
    scene.shows(ask)
    scene.visitor.tap("Agree", **{f"fields.{PLAIN}": ["major"]})
    (consent,) = scene.consents()
    bank = ThirdParty(scene.party, client)
    tokens = tokens_for(bank, factories.actor(scene.person, now), give=consent)
    for told in (tokens, bank.introspect(tokens["access_token"]).json):
        assert [i["fields"] for i in told["authorization_details"][0]["items"]] == [["school", "major"]]
    (item,) = bank.read(tokens["access_token"]).json["items"]
    assert (item["fields"], item["withheld"]) == ({"school": "示例大学", "major": "会计"}, ["level"])


@pytest.mark.parametrize(
    ("fields", "months"), [({PLAIN: ("school",)}, {}), ({EXTRA: ("title",)}, {}), ({}, {LAB: 3}), ({}, {PLAIN: 1})]
)
def test_the_domain_refuses_what_is_not_on_offer(
    scene: Scene, wide: Ask, now: dt.datetime, fields: dict[str, tuple[str, ...]], months: dict[str, int]
) -> None:
    choices = Choices(items=(PLAIN, LAB, EXTRA), duration_days=1, fields=fields, months=months)
    by = factories.actor(scene.person, now)
    with pytest.raises(NotAllowed):
        lifecycle.give(wide, choices, by, factories.shown(now), now, registry=factories.registry())


# What may be registered and asked


def admitted(scene: Scene, registered: dict[str, Any], asked: AskedItem) -> AskItem:
    row = factories.purpose(scene.now, code="narrow", required=[scene.items[LAB]])
    row.items = [row.items[0] | {"max_months": 24} | registered]
    terms = Terms(
        purpose_code="narrow", items=(asked,), mode=None, max_reads=None, duration_days=None, reference_no=None
    )
    return admit(terms, client_id="bank", scope=(), now=scene.now).items[0]


@pytest.mark.parametrize(
    ("registered", "asked", "shorter"),
    [
        ({}, {}, ()),  # a required item is not shortened unless the purpose allows it
        ({"min_months": 6}, {}, (6, 12)),
        ({"min_months": 6}, {"months": 6}, ()),
        ({"necessity": "optional"}, {"months": 12}, (1, 3, 6)),
        ({}, {"necessity": "optional"}, (1, 3, 6, 12)),
    ],
)
def test_a_period_is_shortened_as_far_as_the_purpose_allows(
    scene: Scene, registered: dict[str, Any], asked: dict[str, Any], shorter: tuple[int, ...]
) -> None:
    assert admitted(scene, registered, AskedItem(item_id=LAB, **asked)).shorter == shorter


def test_at_least_one_field_is_not_optional(scene: Scene) -> None:
    optional = {"optional_fields": ["value"]}
    assert admitted(scene, optional, AskedItem(item_id=LAB)).optional_fields == ("value",)
    db.session.rollback()
    with pytest.raises(InvalidTerms, match="at least one field that is not optional"):
        admitted(scene, optional, AskedItem(item_id=LAB, fields=("value",)))
