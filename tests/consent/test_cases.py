"""Complaints and requests: opened beside a line of the log or a value, answered at the desk, seen by nobody else."""

import datetime as dt
import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from consent import cases
from consent.cases import About, Case, CaseEvent, CaseEventKind, CaseKind, CaseState, InvalidCaseText, Outcome
from consent.due_dates import due
from dataspace import accesses
from dataspace.accesses import Access
from dataspace.days import CHINA
from dataspace.db import db
from dataspace.errors import Conflict, NotAllowed, NotFound
from dataspace.mandates import Actor
from dataspace.permission import Permission
from tests import factories
from tests.consent.desk import Desk
from tests.consent.visitor import Visitor
from tests.factories import World

DAY = dt.timedelta(days=1)
WORDS = "I never asked this bank for a loan."


@pytest.fixture
def world(app: Flask, now: dt.datetime) -> World:
    made = factories.world(now)
    factories.source(now, made.item)
    db.session.commit()
    return made


@pytest.fixture
def line(world: World, now: dt.datetime) -> Access:
    """One answered read in the log."""
    consent = world.consent
    permission = Permission(
        client_id="bank", recipient="岭南示例银行", consent_id=consent.consent_id, consent_version=1,
        space_id=consent.space_id, purpose="审核本次贷款申请", reference_no=None, items=(), max_reads=None,
        auth_time=now, acr="urn:dataspace:acr:passkey",
    )  # fmt: skip
    accesses.record_answered(permission, ["p.edu.degree"], now)
    db.session.commit()
    return db.session.query(Access).one()


@pytest.fixture
def visitor(world: World, client: FlaskClient, now: dt.datetime) -> Visitor:
    return Visitor(client).sign_in(world.person, now)


@pytest.fixture
def desk(app: Flask, now: dt.datetime) -> Desk:
    return Desk(app.test_client()).sign_in(factories.administrator(now), now)


def opened(world: World, now: dt.datetime, kind: CaseKind = CaseKind.EXPLANATION, about: About | None = None) -> Case:
    case = cases.open_case(kind, about or About(), WORDS, world.actor, now, vault=factories.registry().vault)
    db.session.commit()
    return case


def test_c43_a_complaint_begins_at_the_line_and_carries_it(line: Access, visitor: Visitor, desk: Desk) -> None:
    visitor.get("/reads")
    page = visitor.follow("I did not agree to this")
    assert "Lingnan Example Bank" in page.says
    assert "Item p.edu.degree" in page.says
    page = visitor.tap("Send", text=WORDS)
    number = re.search(r"\d{4}-[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}", page.says)
    assert number
    assert WORDS in page.says
    assert "Waits for an answer" in page.says
    case = db.session.query(Case).one()
    assert (case.access_id, case.consent_id, case.number) == (line.access_id, line.consent_id, number[0])

    desk.get("/admin/cases")
    assert desk.rows()[0][:3] == [number[0], "I did not agree to this", "Waits for an answer"]
    desk.get(f"/admin/cases/{case.case_id}")
    assert WORDS in desk.says
    assert "Lingnan Example Bank" in desk.says
    desk.post(f"/admin/cases/{case.case_id}/forward", to="To the bank: who asked for this?")
    desk.post(f"/admin/cases/{case.case_id}/answer", outcome="upheld", text="The bank has stopped and deleted.")
    desk.get("/admin/cases?state=all")
    assert "Has an answer" in desk.says

    page = visitor.get(f"/cases/{case.case_id}")
    for words in (
        "To the bank: who asked for this?",
        "The bank has stopped and deleted.",
        "You are right",
        "Has an answer",
    ):
        assert words in page.says, words
    assert "Answer due" not in page.says
    page = visitor.tap("Send", text="They have asked again.")
    assert "Opened again" in page.says
    page = visitor.tap("It is settled, take it back")
    assert "Taken back" in page.says
    assert not page.offers("Send")


def test_a_wrong_value_leads_to_a_case_about_it(visitor: Visitor, world: World) -> None:
    visitor.get("/data/p.edu.degree")
    page = visitor.follow("A value is wrong")
    assert "Item p.edu.degree" in page.says
    visitor.tap("Send", text="It was 2012, not 2011.")
    case = db.session.query(Case).one()
    assert (case.kind, case.item_id, case.consent_id) == ("correction", "p.edu.degree", None)


def test_words_are_sealed_and_die_with_the_key(world: World, now: dt.datetime) -> None:
    case = opened(world, now)
    sealed = db.session.query(CaseEvent).one().sealed
    assert WORDS.encode() not in sealed
    assert [step.text for step in cases.steps(case, vault=factories.registry().vault)] == [WORDS]


def test_what_is_wrong_with_the_words_is_said_and_nothing_is_lost(visitor: Visitor) -> None:
    visitor.get("/cases/new?kind=explanation")
    page = visitor.tap("Send", text="x" * 1001)
    assert (page.status, db.session.query(Case).count()) == (400, 0)
    assert "Say it in at most 1000 characters." in page.says
    assert "x" * 1001 in page.html
    assert visitor.tap("Send", text="  \n ").status == 400
    assert visitor.tap("Send", text="line one\r\nline two").status == 200


@pytest.mark.parametrize(
    "path",
    ["/cases/new", "/cases/new?kind=other", "/cases/new?kind=complaint&line=9", "/cases/new?kind=complaint&line=x",
     "/cases/new?kind=complaint&consent=cns_none", "/cases/none", "/cases/new?kind=complaint&line=" + "9" * 40],
)  # fmt: skip
def test_what_is_not_there_is_not_found(visitor: Visitor, path: str) -> None:
    assert visitor.get(path).status == 404


def test_cases_of_others_are_not_there(line: Access, world: World, app: Flask, now: dt.datetime) -> None:
    case = opened(world, now, CaseKind.COMPLAINT, About(access_id=line.access_id))
    other = factories.holder(now, factories.AGENT, "周敏")
    db.session.commit()
    stranger = Visitor(app.test_client()).sign_in(other, now)
    assert stranger.get(f"/cases/{case.case_id}").status == 404
    assert stranger.get(f"/cases/new?kind=complaint&line={line.access_id}").status == 404
    assert stranger.get(f"/cases/new?kind=complaint&consent={line.consent_id}").status == 404
    assert "You have no case" in stranger.get("/cases").says
    with pytest.raises(NotFound):
        cases.withdraw(case.case_id, factories.actor(other, now), now, vault=factories.registry().vault)
    assert stranger.get("/admin/cases").status in (403, 404)


def test_only_the_desk_answers(world: World, now: dt.datetime) -> None:
    case = opened(world, now)
    with pytest.raises(NotAllowed):
        cases.answer(case.case_id, Outcome.UPHELD, "yes", world.actor, now, vault=factories.registry().vault)


def test_a_step_that_is_not_possible_changes_nothing(world: World, now: dt.datetime, desk: Desk) -> None:
    case = opened(world, now)
    cases.withdraw(case.case_id, world.actor, now, vault=factories.registry().vault)
    with pytest.raises(Conflict):
        cases.withdraw(case.case_id, world.actor, now, vault=factories.registry().vault)
    with pytest.raises(Conflict):
        cases.reopen(case.case_id, "x", world.actor, now, vault=factories.registry().vault)
    db.session.commit()
    desk.get("/admin/keys")
    desk.post(f"/admin/cases/{case.case_id}/answer", 409, outcome="upheld", text="x")
    desk.get("/admin/keys")
    desk.post(f"/admin/cases/{case.case_id}/answer", 404, outcome="other", text="x")
    assert db.session.query(CaseEvent).count() == 2


def test_the_desk_sees_what_is_overdue_first_and_finds_by_number(world: World, now: dt.datetime, desk: Desk) -> None:
    young, old = opened(world, now), opened(world, now - 40 * DAY)
    desk.get("/admin/cases")
    assert "2 wait for an answer, 1 are overdue." in desk.says
    assert [row[0] for row in desk.rows()] == [old.number, young.number]
    assert desk.rows()[0][2] == "Overdue"
    desk.get(f"/admin/cases?number={young.number.lower()}")
    assert [row[0] for row in desk.rows()] == [young.number]
    desk.get("/admin/cases?kind=deletion")
    assert "No case waits" in desk.says
    desk.get(f"/admin/cases/{young.case_id}")
    desk.post(f"/admin/cases/{young.case_id}/forward", 400, to="")
    assert "Say it in at most 1000 characters." in desk.says


def test_long_lists_have_pages(world: World, now: dt.datetime, visitor: Visitor) -> None:
    for n in range(26):
        opened(world, now - n * dt.timedelta(minutes=1))
    assert "Page 1 of 2" in visitor.get("/cases").says
    assert visitor.follow("Next page").says.count("I want a decision explained") == 2  # the case, and the offer
    assert visitor.get("/cases?page=99").status == 200


def test_the_table_of_steps_is_the_only_way(world: World, now: dt.datetime) -> None:
    for state in CaseState:
        for event in CaseEventKind:
            assert cases.possible(Case(state=state), event) == ((state, event) in cases.TRANSITIONS)


@given(st.integers(0, 4 * 365 * 24 * 60), st.integers(1, 40))
def test_due_dates_are_ends_of_working_days(minutes: int, days: int) -> None:
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(minutes=minutes)
    first = at.astimezone(CHINA).date()
    last = (due(at, days) - dt.timedelta(microseconds=1)).astimezone(CHINA).date()
    assert last.weekday() < 5
    assert sum((first + n * DAY).weekday() < 5 for n in range(1, (last - first).days + 1)) == days


@pytest.mark.parametrize("text", ["a\x00b", "\u202e", "x" * 1001, ""])
def test_odd_words_are_refused(world: World, now: dt.datetime, text: str) -> None:
    with pytest.raises(InvalidCaseText):
        cases.open_case(CaseKind.EXPLANATION, About(), text, world.actor, now, vault=factories.registry().vault)


def test_an_administrator_opens_none(world: World, now: dt.datetime) -> None:
    actor = Actor(**{**vars(world.actor), "space_id": ""})
    with pytest.raises(NotAllowed):
        cases.open_case(CaseKind.EXPLANATION, About(), WORDS, actor, now, vault=factories.registry().vault)


# A record that was corrected


def corrects(now: dt.datetime, *, wrong: bool = True) -> None:
    """The authority delivers another record; the one before was ``wrong``, or only older."""
    major = f"法学{now.day}"
    assert factories.bring(now, {"school": "示例大学", "major": major, "level": "硕士"}, corrects=wrong).reason is None


def titles(visitor: Visitor) -> str:
    return visitor.get("/messages").says


@pytest.mark.parametrize("outcome", ["upheld", "partly"])
def test_a_correction_is_announced_in_plain_words(
    visitor: Visitor, desk: Desk, world: World, now: dt.datetime, outcome: str
) -> None:
    case = opened(world, now, CaseKind.CORRECTION, About(item_id="p.edu.degree"))
    path = f"/cases/{case.case_id}"
    assert "A corrected record has come" not in visitor.get(path).says
    corrects(now + DAY)
    assert "A corrected record has come since" in visitor.get(path).says
    desk.get(f"/admin{path}")
    assert "the authority has corrected the record" in desk.says
    assert "硕士" not in desk.page
    desk.post(f"/admin{path}/answer", outcome=outcome, text="The university has mended it.")
    page = visitor.get(path)
    assert "The authority has corrected the record. The new one came on" in page.says
    assert "Who read it before has the earlier values." in page.says
    visitor.follow("Look at the record")
    assert "Item p.edu.degree" in visitor.page.says
    assert "Your request was answered: the record was corrected" in titles(visitor)
    visitor.tap("Look at it")
    assert visitor.path == path


def test_nothing_is_announced_that_did_not_happen(visitor: Visitor, desk: Desk, world: World, now: dt.datetime) -> None:
    corrects(now - DAY)  # before it was demanded
    corrects(now + DAY, wrong=False)  # the month's ordinary delivery
    for kind, item, outcome in (
        (CaseKind.CORRECTION, "p.edu.degree", "upheld"),
        (CaseKind.CORRECTION, None, "upheld"),
        (CaseKind.CORRECTION, "p.not.held", "upheld"),
        (CaseKind.EXPLANATION, "p.edu.degree", "informed"),
    ):
        case = opened(world, now, kind, About(item_id=item))
        desk.get(f"/admin/cases/{case.case_id}")
        desk.post(f"/admin/cases/{case.case_id}/answer", outcome=outcome, text="Answered.")
        assert "corrected the record" not in visitor.get(f"/cases/{case.case_id}").says
    said = titles(visitor)
    assert said.count("Your request was answered") == 4
    assert "the record was corrected" not in said


def test_a_rejected_correction_is_no_correction(visitor: Visitor, desk: Desk, world: World, now: dt.datetime) -> None:
    case = opened(world, now, CaseKind.CORRECTION, About(item_id="p.edu.degree"))
    corrects(now + DAY)
    desk.get(f"/admin/cases/{case.case_id}")
    desk.post(f"/admin/cases/{case.case_id}/answer", outcome="rejected", text="It was right.")
    assert "has corrected the record" not in visitor.get(f"/cases/{case.case_id}").says
    assert "the record was corrected" not in titles(visitor)


def test_what_is_overdue_says_since_when_and_no_days_that_are_left(
    visitor: Visitor, world: World, now: dt.datetime
) -> None:
    case = opened(world, now - 60 * DAY)
    page = visitor.get("/cases")
    assert f"{case.number} · Overdue" in page.says
    assert "due in" not in page.says
    page = visitor.get(f"/cases/{case.case_id}")
    assert "Overdue" in page.says
    assert "in 0 days" not in page.says
    assert "Answer due" in page.says


@pytest.mark.parametrize(("language", "label"), [("zh-CN", "已答复"), ("zh-HK", "已答覆")])
def test_an_answer_is_not_called_a_read(
    visitor: Visitor, desk: Desk, world: World, now: dt.datetime, language: str, label: str
) -> None:
    case = opened(world, now)
    desk.get(f"/admin/cases/{case.case_id}")
    desk.post(f"/admin/cases/{case.case_id}/answer", outcome="informed", text="A person has decided it.")
    visitor.language = language
    page = visitor.get(f"/cases/{case.case_id}")
    assert label in page.says
    assert "已读取" not in page.says
    assert "已讀取" not in page.says
