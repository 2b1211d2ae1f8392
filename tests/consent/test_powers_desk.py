"""Powers to read by law: entered by one administrator or by command, approved by another; all on record."""

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from consent import powers
from consent.interventions import OperatorEvent
from consent.powers import Power, State, fits
from dataspace import clock, holders
from dataspace.db import db
from tests import factories
from tests.consent.authority import Bureau, administrators
from tests.consent.desk import Desk

WHY = {"ground": "authority_decision", "text": "Decision 2026-17"}
FILE = Path(__file__).parents[2] / "demonstration/powers.toml"
TEXT = FILE.read_text("utf-8").replace('client = "tax-bureau"', 'client = "tax"').replace(
    '  { item = "p.social.insurance", fields = ["city", "employer", "status"] },\n', ""
)  # fmt: skip


@pytest.fixture
def bureau(client: FlaskClient, app: Flask) -> Bureau:
    bureau = Bureau.opened(client, clock.now(), id="other")
    item = factories.item(clock.now(), "p.tax.income", ("year", "income_band", "tax_paid"), period_field="year")
    item.sensitive = True
    db.session.commit()
    return bureau


def desk_of(bureau: Bureau, number: int, app: Flask) -> Desk:
    person = holders.get(bureau.admins[number].person_id)
    return Desk(app.test_client()).sign_in(person, clock.now())


@pytest.fixture
def first(bureau: Bureau, app: Flask) -> Desk:
    return desk_of(bureau, 0, app)


@pytest.fixture
def second(bureau: Bureau, app: Flask) -> Desk:
    return desk_of(bureau, 1, app)


def entered(desk: Desk, text: str = TEXT) -> None:
    desk.get("/admin/powers")
    desk.post("/admin/powers", powers=text, **WHY)
    assert "Another administrator has to approve it." in desk.says


def states() -> list[tuple[int, str]]:
    return [(p.version, powers.state(p, clock.now())) for p in powers.versions("tax-audit")]


def decide(desk: Desk, decision: str, version: int = 1, status: int = 303) -> None:
    desk.get(f"/admin/powers/tax-audit/{version}")
    power = powers.get("tax-audit", version)
    desk.post(f"/admin/powers/tax-audit/{version}", status, decision=decision, digest=power.digest, **WHY)


def test_one_enters_and_another_approves(bureau: Bureau, first: Desk, second: Desk) -> None:
    entered(first)
    assert states() == [(1, State.WAITING)]
    case = {"power": "tax-audit", "case_no": "示税稽〔2026〕17号"}
    assert bureau.tax.demands(**case).status_code == 400, "it allows nothing yet"
    first.get("/admin/powers/tax-audit/1")
    assert "You have entered this." in first.says
    second.get("/admin/powers/tax-audit/1")
    for words in ("Checking a declaration of income tax", "Field tax_paid", "36", "yes", "60 days"):
        assert words in second.says, words
    decide(second, "approve")
    assert "It counts from the day that it names." in second.says
    assert bureau.tax.demands(**case).status_code == 200
    second.get("/admin/activity")
    assert "A power to read by law was approved" in second.says
    events = db.session.scalars(select(OperatorEvent).filter_by(subject="tax-audit").order_by(OperatorEvent.event_id))
    assert [(e.kind, e.text) for e in events] == [
        ("power:entered", "1: Decision 2026-17"),
        ("power:approved", "1: Decision 2026-17"),
    ]


def test_who_has_entered_it_cannot_approve_it(first: Desk) -> None:
    entered(first)
    first.get("/admin/powers")
    digest = powers.get("tax-audit", 1).digest
    first.post("/admin/powers/tax-audit/1", 403, decision="approve", digest=digest, **WHY)
    assert states() == [(1, State.WAITING)]


def test_what_was_not_looked_at_is_not_approved(first: Desk, second: Desk) -> None:
    entered(first)
    second.get("/admin/powers/tax-audit/1")
    second.post("/admin/powers/tax-audit/1", 409, decision="approve", digest="0" * 64, **WHY)
    decide(second, "refuse")
    decide_again = {"decision": "approve", "digest": powers.get("tax-audit", 1).digest}
    second.get("/admin/powers")
    second.post("/admin/powers/tax-audit/1", 409, **decide_again, **WHY)
    assert states() == [(1, State.REFUSED)]


def test_a_new_version_waits_and_then_takes_over(bureau: Bureau, first: Desk, second: Desk) -> None:
    entered(first)
    decide(second, "approve")
    first.get("/admin/powers")
    first.post("/admin/powers", powers=TEXT, **WHY)
    assert "Nothing was changed." in first.says
    entered(second, TEXT.replace("case_limit = 5", "case_limit = 1"))
    assert states() == [(2, State.WAITING), (1, State.IN_FORCE)]
    decide(first, "approve", 2)
    assert states() == [(2, State.IN_FORCE), (1, State.OVER)]


def test_suspending_resuming_and_ending_need_a_reason_and_one_person(first: Desk, second: Desk) -> None:
    entered(first)
    decide(second, "approve")
    first.get("/admin/powers/tax-audit/1")
    first.post("/admin/powers/tax-audit/1", 400, decision="suspend", ground="", text="")
    assert "Choose a reason" in first.says
    decide(first, "suspend")
    assert states() == [(1, State.SUSPENDED)]
    decide(first, "suspend", status=409)
    decide(first, "resume")
    decide(first, "end")
    assert states() == [(1, State.OVER)]
    for decision in ("resume", "suspend", "end"):
        first.get("/admin/powers")
        first.post("/admin/powers/tax-audit/1", 409, decision=decision, **WHY)
    first.post("/admin/powers/tax-audit/1", 404, decision="extend", **WHY)


def test_hidden_cases_are_counted_at_the_desk_without_whom_they_are_about(bureau: Bureau, first: Desk) -> None:
    token = bureau.tax.token_for_case(power="other", defer_days=10)
    bureau.tax.read(token)
    first.get("/admin/powers")
    assert "税稽〔2026〕17号" in first.says
    assert bureau.person.holder_id not in first.page
    assert factories.PERSON not in first.page


def test_what_cannot_be_had(first: Desk) -> None:
    first.get("/admin/powers/nothing/1", 404)
    first.get("/admin/powers/tax-audit/99999999999999", 404)
    for nonsense in ("", "[", "\x00", "x = 1", "powers = 1"):
        first.get("/admin/powers")
        first.post("/admin/powers", 400, powers=nonsense, **WHY)
        assert "Nothing was entered." in first.says


WRONG = {
    'client = "tax"': ('client = "nobody"', "is not in the registry"),
    'client = "tax" ': ('client = "bank"', "is no authority that reads data"),
    'item = "p.tax.income"': ('item = "p.none"', "is not in the catalogue"),
    '"income_band", "tax_paid"]': ('"income_band", "paid"]', "is no field of this item"),
    'holder_kinds = ["natural_person"]': ('holder_kinds = ["legal_entity"]', "is not about these kinds of holders"),
    'valid_until = "2028-12-31"': ('valid_until = "2025-12-31"', "must be later than valid_from"),
    'valid_until = "2028-12-31" ': ('valid_until = "2099-12-31"', "by five years at most"),
    'valid_from = "2026-01-01"': ('valid_from = "2026-13-01"', "is no moment"),
    "days = 60": ("days = 181", "must be at most 180"),
    "case_limit = 5": ("case_limit = 0", "must be at least 1"),
    'case_number = "示税稽〔####〕#+号"': ('case_number = "any case"', "does not have the required form"),
    'id = "tax-audit"': ('id = "other"', "is a power of another authority"),
}


@pytest.mark.wire
@pytest.mark.parametrize("said", WRONG)
def test_a_file_with_an_error_is_refused_whole(bureau: Bureau, app: Flask, tmp_path: Path, said: str) -> None:
    factories.party(clock.now())
    police = factories.party(clock.now(), "police", grant_types=["authorization_code", "client_credentials"])
    police.client.client_class = "authority"
    bureau.power.client_id = "police"
    db.session.commit()
    instead, problem = WRONG[said]
    path = tmp_path / "powers.toml"
    path.write_text(TEXT.replace(said.strip(), instead), "utf-8")
    for command in ("check", "load"):
        answer = app.test_cli_runner().invoke(args=["powers", command, str(path)])
        assert answer.exit_code == 1
        assert problem in answer.output
    assert db.session.scalars(select(Power.power_id)).all() == ["other"]


def test_what_is_loaded_by_command_waits_for_one_administrator(
    bureau: Bureau, app: Flask, first: Desk, tmp_path: Path
) -> None:
    path = tmp_path / "powers.toml"
    path.write_text(TEXT, "utf-8")
    runner = app.test_cli_runner()
    assert "1 powers, nothing wrong." in runner.invoke(args=["powers", "check", str(path)]).output
    assert "tax-audit 1: waits for approval" in runner.invoke(args=["powers", "load", str(path)]).output
    assert "tax-audit 1: known already" in runner.invoke(args=["powers", "load", str(path)]).output
    decide(first, "approve")
    listed = runner.invoke(args=["powers", "list"]).output
    assert "in_force" in listed
    assert "tax-audit" in listed


def test_there_are_no_powers(app: Flask) -> None:
    assert "nobody reads by law" in app.test_cli_runner().invoke(args=["powers", "list"]).output


@pytest.mark.parametrize(
    ("case_no", "pattern", "fit"),
    [
        ("税稽〔2026〕17号", "税稽〔####〕#+号", True),
        ("税稽〔2026〕号", "税稽〔####〕#+号", False),
        ("税稽〔2026〕12345678901号", "税稽〔####〕#+号", False),
        ("税稽〔26〕17号", "税稽〔####〕#+号", False),
        ("GD-0042", "@@-####", True),
        ("gd-0042", "@@-####", False),
        ("GD-0042\n", "@@-####", False),
        ("a+b.1", "a+b.#", True),
        ("aab.1", "a+b.#", False),
        ("١٢", "##", False),
    ],
)
def test_the_form_of_case_numbers(case_no: str, pattern: str, fit: bool) -> None:
    assert fits(case_no, pattern) is fit


def test_only_administrators_get_there(app: Flask) -> None:
    administrators(clock.now())
    db.session.commit()
    assert app.test_client().get("/admin/powers").status_code == 401
