"""What a holder sees of reads by law, and everybody: the notice, the log, the case, the numbers."""

import csv
import io

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from consent.cases import Case
from dataspace import clock, disclosure
from dataspace.accesses import Access
from dataspace.by_law import LawCase
from dataspace.db import db
from tests import factories
from tests.consent.authority import Bureau
from tests.consent.visitor import Page, Visitor

ARTICLE = "Tax Collection Law, Article 54"


@pytest.fixture
def bureau(app: Flask, client: FlaskClient) -> Bureau:
    bureau = Bureau.opened(client, clock.now())
    bureau.tax.party.client.legal_name = factories.text("示例市税务局", "Example Tax Bureau")
    db.session.commit()
    return bureau


@pytest.fixture
def visitor(bureau: Bureau, app: Flask) -> Visitor:
    return Visitor(app.test_client()).sign_in(bureau.person, clock.now())


def lines_on(page: Page) -> int:
    return page.html.count('class="title-line"><strong>')


def test_c42_a_read_by_law_is_marked_and_names_its_law(bureau: Bureau, visitor: Visitor) -> None:
    token = bureau.tax.token_for_case()
    bureau.tax.read(token)
    bureau.tax.read(token, "/api/v1/data/p.tax.income")
    page = visitor.get("/reads")
    for words in ("By law", "Example Tax Bureau", ARTICLE, "Checking a tax return", "Item p.edu.degree"):
        assert words in page.says, words
    assert "Case number 税稽〔2026〕17号" in page.says
    assert "示例大学" not in page.says
    assert "law_" not in page.says
    assert lines_on(visitor.get("/reads?basis=law")) == 2
    assert lines_on(visitor.get("/reads?basis=consent")) == 0
    assert lines_on(visitor.get("/reads?client=tax&outcome=answered")) == 1


def test_c42_the_files_say_which_law(bureau: Bureau, visitor: Visitor) -> None:
    bureau.tax.read(bureau.tax.token_for_case())
    table = visitor.send("GET", "/reads.csv").get_data(as_text=True).lstrip("\ufeff")
    assert [row[7] for row in csv.reader(io.StringIO(table))] == ["Rests on", ARTICLE]
    assert [line["by_law"] for line in visitor.send("GET", "/reads.json").json] == [ARTICLE]


def test_the_notice_leads_to_the_case(bureau: Bureau, visitor: Visitor) -> None:
    bureau.tax.read(bureau.tax.token_for_case())
    inbox = visitor.get("/messages")
    assert "An authority has read data of yours by law" in inbox.says
    assert f"Example Tax Bureau · {ARTICLE} · 税稽〔2026〕17号" in inbox.says
    page = visitor.tap("Look at it")
    for words in (ARTICLE, "The tax authority may look into a taxpayer", "核查2025年度申报", "telephone 12366"):
        assert words in page.says, words
    assert "told later" not in page.says


def test_c43_a_complaint_begins_at_the_line(bureau: Bureau, visitor: Visitor) -> None:
    bureau.tax.read(bureau.tax.token_for_case())
    visitor.get("/reads")
    form = visitor.follow("I object to this")
    assert ARTICLE in form.says
    sent = visitor.tap("Send", text="I have no open return.")
    assert sent.status == 200
    case = db.session.scalars(select(Case)).one()
    assert case.consent_id is None
    assert case.access_id == db.session.scalars(select(Access.access_id)).one()


def test_a_hidden_case_has_no_page_until_it_is_shown_and_says_then_by_which_rule(
    bureau: Bureau, visitor: Visitor
) -> None:
    bureau.tax.read(bureau.tax.token_for_case(defer_days=10))
    case = db.session.scalars(select(LawCase)).one()
    path = f"/by-law/{case.case_id}"
    assert visitor.get(path).status == 404
    assert "An authority has read" not in visitor.get("/messages").says
    assert lines_on(visitor.get("/reads?basis=law")) == 0
    assert case.hidden_until is not None
    disclosure.sweep(case.hidden_until, 10)
    db.session.commit()
    page = visitor.get(path)
    assert "You were told later, by Article 58. That is for 30 days at most." in page.says
    assert lines_on(page) == 1
    assert "you are told only now" in visitor.get("/messages").says


def test_another_holder_does_not_see_a_case(bureau: Bureau, app: Flask) -> None:
    bureau.tax.read(bureau.tax.token_for_case())
    case = db.session.scalars(select(LawCase)).one()
    other = factories.holder(clock.now(), factories.LEGAL_REP, "李伟强")
    db.session.commit()
    stranger = Visitor(app.test_client()).sign_in(other, clock.now())
    assert stranger.get(f"/by-law/{case.case_id}").status == 404
    assert stranger.get("/by-law/law_none").status == 404


def test_everybody_sees_the_numbers_and_nobody_in_them(bureau: Bureau, app: Flask) -> None:
    bureau.tax.read(bureau.tax.token_for_case(defer_days=10))
    bureau.tax.read(bureau.tax.token_for_case(case_no="税稽〔2026〕18号"))
    bureau.tax.demands(case_no="18")
    everybody = Visitor(app.test_client())
    page = everybody.get("/transparency")
    for words in ("Example Tax Bureau", ARTICLE, "Within 30 days at most, by Article 58"):
        assert words in page.says, words
    (row,) = [words for words in page.html.split("<tr>") if "Example Tax Bureau</td>" in words]
    assert [cell[0] for cell in row.split('class="number">')[1:]] == ["2", "1", "1"]
    assert "税稽" not in page.html
    (month,) = everybody.send("GET", "/transparency.json").json["months"]
    assert (month["authority"], month["reads"], month["told_later"], month["refused"]) == ("tax", 2, 1, 1)


def test_nothing_is_said_where_there_is_nothing(app: Flask, client: FlaskClient) -> None:
    page = Visitor(client).get("/transparency")
    assert "No authority may" in page.says
    assert client.get("/transparency.json").json == {"months": []}
