"""The operator's commands, as an operator meets them: plain lines, status 1 without a trace when refused."""

import datetime as dt
import logging
import re
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from dataspace import holders, identifiers, mandates
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.web.shell import services

ROOT = Path(__file__).parents[2]
PERSON, OTHER = "440099199003150026", "440099198511200013"
BODY = "91440099MA9T000184"


@pytest.fixture
def run(app: Flask):
    """Run a command line of the application."""

    def run(*arguments: str) -> Result:
        result = app.test_cli_runner().invoke(args=list(arguments))
        db.session.rollback()  # the command's application context would have ended here
        return result

    return run


@pytest.fixture
def registered(run) -> None:
    for kind, identifier, name in (
        ("natural_person", PERSON, "陈嘉怡"),
        ("natural_person", OTHER, "李伟强"),
        ("legal_entity", BODY, "粤海明珠电子"),
    ):
        result = run("registrar", "register", "--kind", kind, "--identifier", identifier, "--name", name)
        assert result.exit_code == 0, result.output


def holder(text: str, now: dt.datetime) -> Holder:
    kind = "natural_person" if text != BODY else "legal_entity"
    return holders.by_identifier(identifiers.parse(kind, text, today=now.date()), index=services().index)


def refused(result: Result, sentence: str) -> None:
    assert result.exit_code == 1
    assert sentence in result.output
    assert "Traceback" not in result.output
    assert isinstance(result.exception, SystemExit)


@pytest.mark.wire
@pytest.mark.parametrize(
    "group", [["catalogue", "load"], ["catalogue", "show"], ["registrar"], ["registrar", "register"],
              ["registrar", "mandate"], ["registrar", "end-mandate"], ["registrar", "role"],
              ["registrar", "enrolment-code"], ["demonstration", "load"]]
)  # fmt: skip
def test_every_command_explains_itself(run, group: list[str]) -> None:
    result = run(*group, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_catalogue_load_and_show(run) -> None:
    assert run("catalogue", "show").output.strip() == "The catalogue is empty."
    folder = str(ROOT / "demonstration" / "catalogue")
    assert "45 loaded, 0 unchanged." in run("catalogue", "load", folder).output
    assert "0 loaded, 46 unchanged." in run("catalogue", "load", folder).output
    shown = run("catalogue", "show", "--language", "en").output
    assert re.search(r"p\.housing\.fund +v1 +SPI +L3 C sensitive +Housing provident fund ·", shown)
    assert len(shown.splitlines()) == 45


def test_a_wrong_catalogue_file_is_explained_and_loads_nothing(run, tmp_path: Path) -> None:
    text = (ROOT / "demonstration" / "catalogue" / "personal.toml").read_text(encoding="utf-8")
    (tmp_path / "personal.toml").write_text(text.replace("level = 3", "level = 9", 1), encoding="utf-8")
    rules = str(ROOT / "demonstration" / "catalogue" / "rule_set.toml")
    result = run("catalogue", "load", str(tmp_path), rules)
    refused(result, "personal.toml: p.identity.basic: level: must be at most 4")
    assert run("catalogue", "show").output.strip() == "The catalogue is empty."
    assert run("catalogue", "load", str(tmp_path / "none.toml")).exit_code == 2


def test_demonstration_loads_once_and_needs_the_catalogue(run) -> None:
    refused(run("demonstration", "load"), "load the catalogue first")
    run("catalogue", "load", str(ROOT / "demonstration" / "catalogue"))
    assert re.search(r"24 holders, 6 mandates and \d\d+ records are new\.", run("demonstration", "load").output)
    assert "0 holders, 0 mandates and 0 records are new." in run("demonstration", "load").output


def test_register_refuses_what_is_known_or_wrong(run, registered) -> None:
    arguments = ["registrar", "register", "--kind", "natural_person", "--name", "陈嘉怡", "--identifier"]
    refused(run(*arguments, PERSON), "identifier is registered already")
    wrong = run(*arguments, PERSON[:-1] + "0")
    refused(wrong, "person: wrong check digit")
    assert PERSON[:-1] not in wrong.output
    assert run(*arguments[:-1], "--identifier", PERSON, "--name", "a\nb").exit_code in (1, 2)


def test_a_mandate_begins_and_ends(run, registered, now: dt.datetime) -> None:
    pair = ["--principal", BODY, "--agent", OTHER]
    given = run("registrar", "mandate", *pair, "--capacity", "legal_representative", "--until", "2099-12-31")
    assert given.exit_code == 0, given.output
    later = now + dt.timedelta(minutes=1)
    (mandate,) = mandates.of_agent(holder(OTHER, now).holder_id, later)
    assert mandate.valid_until == dt.datetime(2099, 12, 31, 16, tzinfo=dt.UTC)  # the end of that day in China
    assert mandate.mandate_id in given.output
    assert f"{mandate.mandate_id} has ended" in run("registrar", "end-mandate", *pair).output
    db.session.expire_all()
    assert mandates.of_agent(holder(OTHER, now).holder_id, later) == []
    refused(run("registrar", "end-mandate", *pair), "This person has no mandate for this body.")


def test_a_mandate_needs_a_body_and_a_person(run, registered) -> None:
    swapped = ["--principal", PERSON, "--agent", BODY, "--capacity", "mandate"]
    refused(run("registrar", "mandate", *swapped), "a mandate lets a natural person act for")
    past = ["--principal", BODY, "--agent", PERSON, "--capacity", "mandate", "--until", "2020-01-01"]
    assert "is in the past" in run("registrar", "mandate", *past).output


def test_role_and_enrolment_code(run, registered, now: dt.datetime) -> None:
    assert run("registrar", "role", "--identifier", PERSON, "--role", "administrator").exit_code == 0
    assert holders.roles(holder(PERSON, now).holder_id) == {holders.Role.ADMINISTRATOR}
    code = run("registrar", "enrolment-code", "--identifier", PERSON)
    assert re.fullmatch(r"([0-9A-Z]{4}-)+[0-9A-Z]{4}\n", code.output)
    assert run("registrar", "enrolment-code", "--identifier", PERSON).output != code.output
    refused(run("registrar", "enrolment-code", "--identifier", BODY), "only a natural person")
    refused(run("registrar", "enrolment-code", "--identifier", "440099198807070086"), "no holder with this identifier")


def test_no_identifier_is_logged(run, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        run("registrar", "register", "--kind", "natural_person", "--identifier", PERSON, "--name", "陈嘉怡")
        run("registrar", "enrolment-code", "--identifier", PERSON)
        run("registrar", "enrolment-code", "--identifier", PERSON[:-1] + "0")
    assert PERSON[:-1] not in caplog.text


@pytest.mark.damages_log
def test_a_database_without_tables_is_explained(run) -> None:
    db.drop_all()
    result = run("catalogue", "show")
    refused(result, "The database refused")
    assert "SELECT" not in result.output
