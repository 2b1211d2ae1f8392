"""One item taken along by its holder: whole, with its source, harmless in a spreadsheet, sensitive ones when fresh."""

import csv
import datetime as dt
import io
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from dataspace.db import db
from dataspace.holders import Holder
from dataspace.mandates import Capacity
from dataspace.web import tables
from tests import factories
from tests.consent.visitor import Visitor

ROWS = [{"month": "2026-01", "amount": -5, "paid": True}, {"month": "2026-03", "amount": None, "paid": False}]


@pytest.fixture
def person(client: FlaskClient, now: dt.datetime) -> Holder:
    return factories.holder(now)


def held(person: Holder, now: dt.datetime, rows: list[dict[str, Any]], **changes: Any) -> None:
    item = factories.item(now, "p.social.insurance", ("month", "amount", "paid"), **changes)
    factories.record(person, item, rows, now)
    db.session.commit()


def test_the_whole_record_with_where_it_comes_from(client: FlaskClient, person: Holder, now: dt.datetime) -> None:
    held(person, now, ROWS, many=True, period_field="month")
    visitor = Visitor(client).sign_in(person, now)
    page = visitor.get("/data/p.social.insurance")
    answer = visitor.send("GET", page.link("Save for programs (JSON)"))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="p.social.insurance.json"'
    assert answer.headers["Cache-Control"] == "no-store"
    found = answer.get_json()
    assert found["schema"] == "gd-dsa-item/1"
    assert found["rows"] == ROWS
    assert found["period"] == {"from": "2026-01", "to": "2026-03"}
    assert found["as_of"].endswith("Z")
    assert found["source"]["authority"]["en"]
    assert found["source"]["record_digest"].startswith("sha-256:")
    assert [field["id"] for field in found["fields"]] == ["month", "amount", "paid"]
    assert set(found["classification"]) == {"rule_set", "class", "level"}


def table_of(visitor: Visitor) -> list[list[str]]:
    answer = visitor.send("GET", "/data/p.social.insurance/item.csv")
    assert answer.mimetype == "text/csv"
    return list(csv.reader(io.StringIO(answer.get_data().decode("utf-8-sig"))))


def test_as_a_table_every_row_says_where_it_comes_from(client: FlaskClient, person: Holder, now: dt.datetime) -> None:
    held(person, now, ROWS, many=True, period_field="month")
    head, first, second = table_of(Visitor(client).sign_in(person, now))
    assert head[-5:] == ["Source", "System", "As of", "Format", "Version"]
    assert first[:3] == ["2026-01", "-5", "True"]
    assert second[:3] == ["2026-03", "", "False"]
    assert first[3:] == second[3:]
    assert first[6:] == ["gd-dsa-item/1", "1"]


def test_an_empty_record_has_a_source_as_well(client: FlaskClient, person: Holder, now: dt.datetime) -> None:
    held(person, now, [])
    _head, only = table_of(Visitor(client).sign_in(person, now))
    assert only[:3] == ["", "", ""]
    assert only[3]


def test_no_value_is_a_formula(client: FlaskClient, person: Holder, now: dt.datetime) -> None:
    held(person, now, [{"month": '=HYPERLINK("http://x")', "amount": "@SUM(1)", "paid": 'a "b", c\nd'}])
    _head, only = table_of(Visitor(client).sign_in(person, now))
    assert only[:3] == ['\'=HYPERLINK("http://x")', "'@SUM(1)", 'a "b", c\nd']


@given(st.lists(st.one_of(st.none(), st.integers(), st.booleans(), st.text()), min_size=2))
def test_whatever_the_cells_they_come_back_and_none_is_a_formula(cells: list[Any]) -> None:
    (row,) = csv.reader(io.StringIO(tables.line(cells), newline=""), strict=True)
    assert [cell.removeprefix("'") for cell in row] == ["" if c is None else str(c).removeprefix("'") for c in cells]
    texts = [written for cell, written in zip(cells, row, strict=True) if isinstance(cell, str)]
    assert not any(text.startswith(tables.FORMULA) for text in texts)


@pytest.mark.parametrize("form", ["json", "csv"])
def test_what_is_sensitive_needs_a_recent_sign_in(
    client: FlaskClient, person: Holder, now: dt.datetime, form: str
) -> None:
    held(person, now, ROWS, sensitive=True)
    path = f"/data/p.social.insurance/item.{form}"
    old = Visitor(client).sign_in(person, now - dt.timedelta(minutes=11))
    assert old.get("/data/p.social.insurance").status == 200
    answer = old.send("GET", path)
    assert answer.status_code == 303
    assert answer.location.endswith(f"next={path}")
    assert Visitor(client).sign_in(person, now).send("GET", path).status_code == 200


@pytest.mark.parametrize("form", ["json", "csv"])
def test_nobody_else_takes_it(client: FlaskClient, person: Holder, now: dt.datetime, form: str) -> None:
    held(person, now, ROWS)
    path = f"/data/p.social.insurance/item.{form}"
    assert Visitor(client).send("GET", path).status_code == 303  # to the sign-in page
    other = factories.holder(now, factories.OTHER_PERSON, "梁志文")
    company = factories.company(now)
    mandate = factories.mandate(company, person, Capacity.LEGAL_REPRESENTATIVE, now)
    db.session.commit()
    assert Visitor(client).sign_in(other, now).send("GET", path).status_code == 404
    # The same person for a company: company and personal are never mixed (check C-10).
    assert Visitor(client).sign_in(person, now, acting=mandate).send("GET", path).status_code == 404
