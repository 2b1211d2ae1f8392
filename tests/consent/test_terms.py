"""What a request asks, and what it may ask: authorization_details and the registered purposes."""

import contextlib
import datetime as dt
import json
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from consent import admission, asks, terms
from consent.terms import InvalidTerms
from tests import factories

DETAIL: dict[str, Any] = {"type": "data_space_access", "purpose": "loan-review"}


def test_the_shortest_request_asks_what_is_registered() -> None:
    parsed = terms.parse(json.dumps([DETAIL]))
    assert parsed.purpose_code == "loan-review"
    assert parsed.items == ()


def test_a_full_request() -> None:
    detail = DETAIL | {
        "items": [{"item": "e.energy.power", "fields": ["month"], "necessity": "required", "period": {"months": 24}}],
        "use": {"mode": "one_time", "max_reads": 3},
        "duration": {"days": 7},
        "reference_no": "贷 2026-1",
    }
    parsed = terms.parse(json.dumps([detail]))
    assert parsed.items[0].months == 24
    assert (parsed.mode, parsed.max_reads, parsed.duration_days) == ("one_time", 3, 7)


@pytest.mark.parametrize(
    ("details", "said"),
    [
        (None, "missing"),
        ("", "missing"),
        ("{", "not JSON"),
        ("[" * 100_000, "too large"),
        ("[" * 5000, "nested too deeply"),
        ("{}", "not of type"),
        ("[]", ""),
        (json.dumps([DETAIL, DETAIL]), "exactly one purpose"),
        (json.dumps([{"type": "payment", "purpose": "x"}]), "type"),
        (json.dumps([{"type": "data_space_access"}]), "purpose"),
        (json.dumps([DETAIL | {"purpose": ["a", "b"]}]), "purpose"),
        (json.dumps([DETAIL | {"colour": "red"}]), "colour"),
        (json.dumps([DETAIL | {"items": [{"item": "p.a"}, {"item": "p.a"}]}]), "p.a is named twice"),
        (json.dumps([DETAIL | {"duration": {"days": 0}}]), "days"),
        (json.dumps([DETAIL | {"duration": {"days": True}}]), "days"),
        (json.dumps([DETAIL | {"reference_no": "a\u0000b"}]), "reference_no"),
    ],
)
def test_malformed_details_are_refused_with_a_sentence(details: str | None, said: str) -> None:
    with pytest.raises(InvalidTerms) as error:
        terms.parse(details)
    assert said in error.value.detail
    assert error.value.detail.isprintable()
    assert '"' not in error.value.detail


@given(st.text() | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_garbage_raises_one_family(details: str) -> None:
    with contextlib.suppress(InvalidTerms):
        terms.parse(details)


def asked(detail: dict[str, Any], now: dt.datetime) -> asks.Ask:
    return admission.admit(terms.parse(json.dumps([DETAIL | detail])), client_id="bank", scope=(), now=now)


@pytest.fixture
def registered(app: Flask, now: dt.datetime) -> None:
    factories.party(now)
    power = factories.item(now, "e.energy.power", ("month", "kwh", "fee"), many=True, period_field="month")
    degree = factories.item(now)
    factories.item(now, "p.tax.income", ("year", "tax"))
    row = factories.purpose(now, required=[power], optional=[degree], mode="one_time", max_reads=3)
    row.items = [i | ({"max_months": 24, "fields": ["month", "kwh"]} if i["item"] == "e.energy.power" else {})
                 for i in row.items]  # fmt: skip


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ({"purpose": "other"}, "purpose other is not registered"),
        ({"items": [{"item": "p.tax.income"}]}, "item p.tax.income is not registered"),
        ({"items": [{"item": "p.no.such"}]}, "item p.no.such is not registered"),
        ({"items": [{"item": "e.energy.power", "fields": ["month", "fee"]}]}, "field fee of item e.energy.power"),
        ({"items": [{"item": "e.energy.power", "period": {"months": 36}}]}, "36 is more than the cap of 24"),
        ({"duration": {"days": 91}}, "duration: 91 is more than the cap of 90"),
        ({"use": {"mode": "periodic"}}, "use periodic is not registered"),
        ({"use": {"mode": "one_time", "max_reads": 4}}, "max_reads: 4 is more than the cap of 3"),
    ],
)
def test_over_asking_is_refused_by_machine(
    registered: None, now: dt.datetime, detail: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidTerms) as error:
        asked(detail, now)
    assert said in error.value.detail


def test_an_unapproved_purpose_asks_nothing(app: Flask, now: dt.datetime) -> None:
    factories.party(now)
    factories.purpose(now, required=[factories.item(now)], approved_at=None)
    with pytest.raises(InvalidTerms):
        asked({}, now)


def test_a_client_may_ask_less_than_registered_never_more_urgently(registered: None, now: dt.datetime) -> None:
    found = asked(
        {"items": [{"item": "p.edu.degree", "necessity": "required", "fields": ["school"]}], "duration": {"days": 7}},
        now,
    )
    assert found.items[0].necessity == "optional"
    assert found.items[0].fields == ("school",)
    assert found.duration_days == 7
    assert found.max_reads == 3


def test_a_period_is_whole_months_before_this_one(registered: None) -> None:
    january = dt.datetime(2027, 1, 15, tzinfo=dt.UTC)
    found = asked({"items": [{"item": "e.energy.power", "period": {"months": 3}}]}, january).items[0]
    assert (found.period_from, found.period_to) == ("2026-10", "2026-12")


def test_an_ask_survives_its_document(registered: None, now: dt.datetime) -> None:
    found = asked({}, now)
    assert asks.Ask.from_document(json.loads(json.dumps(found.to_document()))) == found
