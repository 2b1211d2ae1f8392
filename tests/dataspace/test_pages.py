"""The first page and my data, through HTTP."""

import datetime as dt

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from dataspace import messages
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.mandates import Actor, Capacity, Mandate
from dataspace.messages import Group, Notice
from dataspace.web import values
from tests import factories
from tests.consent.visitor import Visitor

EXPECTED = {"/data", "/authorizations", "/reads", "/messages"}


@pytest.fixture
def person(app: Flask, now: dt.datetime) -> Holder:
    found = factories.holder(now)
    db.session.commit()
    return found


@pytest.fixture
def visitor(client: FlaskClient, person: Holder, now: dt.datetime) -> Visitor:
    return Visitor(client).sign_in(person, now)


def test_who_is_not_signed_in_is_welcomed(client: FlaskClient) -> None:
    page = Visitor(client).get("/")
    assert page.status == 200
    assert "you decide, and you can stop it at any time" in page.says
    assert {words for words, _ in page.links} >= {"Sign in", "I have a code"}


def test_home_says_for_whom_one_is_here_and_what_there_is(visitor: Visitor) -> None:
    page = visitor.get("/")
    for words in (
        "As yourself · 陈嘉怡",
        "0 active authorizations",
        "0 reads in 30 days",
        "0 waiting for me",
        "My data",
    ):
        assert words in page.says, words
    assert visitor.follow("My data What is kept, from whom, as of when").status == 200


def test_home_counts_what_was_given(client: FlaskClient, now: dt.datetime) -> None:
    world = factories.world(now)
    assert "1 active authorizations" in Visitor(client).sign_in(world.person, now).get("/").says


def test_company_data_is_named_so_and_not_mixed_with_ones_own(
    client: FlaskClient, person: Holder, now: dt.datetime
) -> None:
    company = factories.company(now)
    mandate = factories.mandate(company, person, Capacity.LEGAL_REPRESENTATIVE, now)
    licence, degree = factories.item(now, "e.reg.licence", ("name",)), factories.item(now)
    factories.record(company, licence, [{"name": "粤海明珠"}], now)
    factories.record(person, degree, [{"school": "示例大学"}], now)
    db.session.commit()
    visitor = Visitor(client).sign_in(person, now, acting=mandate)
    page = visitor.get("/data")
    assert "You are acting for 粤海明珠电子(示例)有限公司" in page.says
    assert "Company data" in page.says
    assert "Item e.reg.licence" in page.says
    assert "Item p.edu.degree" not in page.says
    assert visitor.get("/data/p.edu.degree").status == 404


def test_each_face_has_its_words_and_its_order_of_tasks(client: FlaskClient, person: Holder, now: dt.datetime) -> None:
    company = factories.company(now)
    mandate = factories.mandate(company, person, Capacity.LEGAL_REPRESENTATIVE, now)

    def tasks(acting: Mandate | None) -> list[str]:
        page = Visitor(client).sign_in(person, now, acting=acting).get("/")
        return [path for _words, path in page.links if path in EXPECTED or "tab=waiting" in path][-5:]

    assert tasks(None) == ["/authorizations?tab=waiting", "/data", "/authorizations", "/reads", "/messages"]
    assert tasks(mandate) == ["/authorizations?tab=waiting", "/authorizations", "/reads", "/messages", "/data"]
    said = Visitor(client).get("/authorizations")
    assert 'face="business"' in said.html
    assert "Company authorizations" in said.says
    assert "Who read company data" in Visitor(client).get("/reads").says


def test_messages_stand_in_the_navigation_with_the_number_that_nobody_has_read(
    visitor: Visitor, person: Holder, now: dt.datetime
) -> None:
    assert ("Messages", "/messages") in visitor.get("/data").links
    for _ in range(3):
        messages.send(person.space_id, Notice.PASSKEY_ADDED, Group.SECURITY, now)
    db.session.commit()
    assert ("Messages : 3", "/messages") in visitor.get("/data").links
    visitor.get("/messages")
    assert ("Messages", "/messages") in visitor.tap("Mark all as read").links


def test_a_page_comes_out_when_the_database_cannot_count(app: Flask, visitor: Visitor) -> None:
    def gone(_actor: Actor, _now: dt.datetime) -> int:
        raise OperationalError("SELECT", {}, OSError("the connection is gone"))

    app.extensions["place_numbers"]["messages"] = gone
    page = visitor.get("/no-such-page")
    assert page.status == 404
    assert ("Messages", "/messages") in page.links


def test_an_administrator_has_no_data_here(client: FlaskClient, now: dt.datetime) -> None:
    visitor = Visitor(client).sign_in(factories.administrator(now), now, acting="administrator")
    assert visitor.get("/data").status == 403
    assert visitor.get("/data/p.edu.degree").status == 403
    assert visitor.send("GET", "/").headers["Location"].startswith("/admin")


def test_an_empty_space_says_so(visitor: Visitor) -> None:
    page = visitor.get("/data")
    assert "No authority has delivered a record to this space." in page.says


def test_a_record_shows_its_source_and_hides_its_values_until_tapped(
    visitor: Visitor, person: Holder, now: dt.datetime
) -> None:
    degree = factories.item(now)
    degree.fields = [f | {"masked": f["id"] == "major"} for f in degree.fields]
    factories.record(person, degree, [{"school": "<b>示例大学</b>", "major": "1234567890", "level": None}], now)
    db.session.commit()
    visitor.get("/data")
    page = visitor.follow(f"Item p.edu.degree As of {day(now)}")
    for words in ("Source Example authority", "System example", "<b>示例大学</b>", "123*****90", "empty"):
        assert words in page.says, words
    assert '<details class="card preview">' in page.html  # closed: no open attribute
    assert "<b>示例大学" not in page.html


def day(now: dt.datetime) -> str:
    yesterday = (now - dt.timedelta(days=1)).astimezone(dt.timezone(dt.timedelta(hours=8)))
    return f"{yesterday:%B} {yesterday.day}, {yesterday.year}"


def test_an_unknown_record_is_not_there(visitor: Visitor) -> None:
    assert visitor.get("/data/p.none.such").status == 404
    assert visitor.get("/data/%00%ff").status in (400, 404)  # PostgreSQL holds no NUL


def test_a_long_record_is_cut_and_says_so(visitor: Visitor, person: Holder, now: dt.datetime) -> None:
    power = factories.item(now, "p.energy.home", ("month", "kwh"), many=True, period_field="month")
    rows = [{"month": f"{2024 + n // 12}-{n % 12 + 1:02}", "kwh": n} for n in range(34)]
    factories.record(person, power, rows, now)
    db.session.commit()
    page = visitor.get("/data/p.energy.home")
    assert "Period Jan 2024 – Oct 2026" in page.says
    assert "and 10 more rows" in page.says
    assert "2024-01 Field kwh 0" in page.says


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("a\x00b\x1bc\x7fd", "abcd"),
        ("\u202egnp.exe\u202c", "gnp.exe"),
        ("\u2066x\u2069\u200f\u061c", "x"),
        ("ন্\u200dয", "ন্\u200dয"),  # a joiner that its script needs
        ("x" * 201, "x" * 200 + "…"),
        (7, "7"),
    ],
)
def test_values_are_written_safely(app: Flask, raw: object, shown: str) -> None:
    assert values.one(raw) == shown
