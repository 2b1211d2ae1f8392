"""The guides are true: the settings, commands, endpoints, reasons, lifetimes, tables and states that they name."""

import datetime as dt
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from flask import Flask

from consent import terms
from consent.oauth import client_auth, codes, dpop, id_tokens, par, tokens
from consent.records import APPROVAL_LAPSES, Reason
from dataspace import passkeys, signins
from dataspace.db import db
from dataspace.settings import PREFIX, REQUIRED, Settings
from dataspace.web import guard, shell
from tests.documents import DOCUMENTS, INTEGRATORS, OPERATORS, README, ROOT, blocks, rows
from tools import state_picture
from tools.machines import MACHINES, Machine

pytestmark = pytest.mark.wire

# For operators


def test_every_setting_is_explained_and_no_other() -> None:
    table = rows(OPERATORS, PREFIX + r"\w+")
    assert set(table) == {PREFIX + name.upper() for name in Settings.__dataclass_fields__}
    assert {name for name, cells in table.items() if cells[0] == "required"} == {PREFIX + n.upper() for n in REQUIRED}


def test_the_defaults_of_the_settings_are_those_of_the_code() -> None:
    for name, cells in rows(OPERATORS, PREFIX + r"\w+").items():
        default = Settings.__dataclass_fields__[name.removeprefix(PREFIX).lower()].default
        if cells[0] == "required" or name == f"{PREFIX}MODE":
            continue
        if cells[0] == "none":
            assert not default, name
            continue
        if isinstance(default, dt.timedelta):
            default = int(default.total_seconds())
        assert cells[0].strip("`") == str(default).replace("True", "true").replace("False", "false"), name


def commands_of(path: Path) -> list[str]:
    """Every line of the shell blocks that runs one of our commands, continued lines joined."""
    text = "\n".join(block.text for block in blocks(path) if block.language == "sh").replace("\\\n", " ")
    return [line.partition("--app wsgi ")[2] for line in text.splitlines() if "flask --app wsgi " in line]


COMMANDS = sorted({line for path in DOCUMENTS for line in commands_of(path)})


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_in_the_documents_exists_with_its_options(app: Flask, line: str) -> None:
    words = shlex.split(line, comments=True)
    command: click.Command = app.cli
    path: list[str] = []
    with app.app_context():
        while isinstance(command, click.Group):
            name = words.pop(0)
            path.append(name)
            found = command.get_command(click.Context(command), name)
            assert found is not None, f"flask {' '.join(path)}"
            command = found
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known
    helped = app.test_cli_runner().invoke(args=[*path, "--help"])
    assert helped.exit_code == 0, helped.output


def test_every_command_group_of_ours_is_in_the_operators_guide(app: Flask) -> None:
    ours = {name for name in app.cli.commands if name not in ("run", "shell", "routes", "db")}
    assert ours <= {line.split()[0] for line in commands_of(OPERATORS)}
    for group in ours:
        command = app.cli.commands[group]
        for name in command.commands if isinstance(command, click.Group) else ():
            assert any(line.startswith(f"{group} {name}") for line in commands_of(OPERATORS)), f"{group} {name}"


def test_the_log_fields_are_those_of_the_code() -> None:
    named = set(rows(OPERATORS, "at|level|what|where|" + "|".join(shell.JsonLines.FIELDS)))
    assert named == {"at", "level", "what", "where", *shell.JsonLines.FIELDS}


# For integrators


def test_every_endpoint_in_the_guide_exists(app: Flask) -> None:
    known = {
        (method, re.sub(r"<[^>]+>", "…", str(rule)))
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }
    named = re.findall(r"`(GET|POST) (/[^`\s?]*)", INTEGRATORS.read_text("utf-8"))
    assert len(named) >= 12
    for method, path in named:
        assert (method, re.sub(r"<[^>]+>", "…", path)) in known, f"{method} {path}"


def test_every_reason_of_the_data_api_is_in_the_guide() -> None:
    table = set(rows(INTEGRATORS, "[a-z_]+"))
    # Only an active consent has tokens: these are never heard at the data API.
    unheard = {Reason.REFUSED, Reason.REJECTED, Reason.LAPSED, Reason.PENDING}
    assert {reason.value for reason in Reason} - unheard <= table
    assert {"missing_token", *guard.SENTENCES} - {"consent_pending"} <= table


def test_the_answer_in_the_guide_has_the_form_of_the_one_that_was_tried() -> None:
    tried, shown = (
        next(json.loads(b.text) for b in blocks(path) if b.language == "json" and "gd-dsa-delivery" in b.text)
        for path in (README, INTEGRATORS)
    )
    assert list(shown) == list(tried)
    for part in ("consent", "items"):
        assert form(shown[part]) == form(tried[part])


def form(value: Any) -> Any:
    """The names in a document, without its values and without the fields of the item."""
    if isinstance(value, dict):
        return {name: None if name == "fields" else form(inner) for name, inner in value.items()}
    return [form(inner) for inner in value if isinstance(inner, dict)] if isinstance(value, list) else None


def test_every_member_of_the_schema_is_in_the_guide_with_its_cap() -> None:
    table = rows(INTEGRATORS, r"[a-z_]+(\[?\]?\.[a-z_]+)*")
    for name, schema in members(terms.SCHEMA["items"]):
        assert name in table, name
        for cap in ("maxItems", "maxLength", "maximum"):
            if cap in schema:
                assert f"{schema[cap]:,}".replace(",", " ") in " ".join(table[name]), f"{name}: {cap}"
        for word in schema.get("enum", []):
            assert f"`{word}`" in " ".join(table[name]), name


def members(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, inner in schema["properties"].items():
        yield f"{prefix}{name}", inner
        if inner.get("type") == "object":
            yield from members(inner, f"{prefix}{name}.")
        if inner.get("items", {}).get("type") == "object":
            yield from members(inner["items"], f"{prefix}{name}[].")


@pytest.mark.parametrize(
    ("what", "life"),
    [
        ("request_uri", par.PUSHED),
        ("authorization code", codes.LIFE),
        ("access token", tokens.ACCESS_LIFE),
        ("ID token", id_tokens.LIFE),
        ("client assertion", client_auth.LIFETIME),
        ("DPoP proof", dpop.MAX_AGE),
        ("reading time", par.READING),
        ("approval by a second person", APPROVAL_LAPSES),
        ("sign-in", signins.LIFE),
        ("enrolment code", passkeys.CODE_LIFE),
    ],
)
def test_the_lifetimes_of_the_guides_are_those_of_the_code(what: str, life: dt.timedelta) -> None:
    told = {**rows(INTEGRATORS, "[A-Za-z_ -]+"), **rows(OPERATORS, "[A-Za-z -]+")}[what][0]
    amount, unit = told.split()[:2]
    assert dt.timedelta(**{f"{unit.rstrip('s')}s": int(amount)}) == life, told


# Data model and states


def test_the_tables_of_the_data_model_exist() -> None:
    named = set(re.findall(r"`([a-z_]+)`", (ROOT / "docs/data-model.md").read_text("utf-8").split("##", 1)[1]))
    assert set(db.metadata.tables) <= named


def test_the_pictures_and_the_tables_of_the_states_are_up_to_date() -> None:
    hint = "run python -m tools.state_picture"
    for machine in MACHINES:
        drawn = (state_picture.IMAGES / machine.file).read_text("utf-8")
        assert drawn == state_picture.picture(machine), hint
    text = state_picture.PAGE.read_text("utf-8")
    assert text == state_picture.page(text), hint


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.about)
def test_every_state_and_event_is_explained(machine: Machine) -> None:
    rest = state_picture.PAGE.read_text("utf-8").partition(f"# The states of {machine.about}\n")[2]
    text = rest.partition(state_picture.BEGIN.format(machine.about))[0]
    assert {s for s in type(machine.new) if f"`{s}`" not in text} == set()
    assert {e for e in machine.events if f"`{e}`" not in text} == set()
    assert set(machine.places) == set(type(machine.new)) - {machine.new}
