"""The commands for clients, scenarios and keys: what they print, what they record, how they refuse."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import select

from consent import clients
from consent.clients import Client, ClientEvent
from consent.interventions import OperatorEvent
from consent.records import Reason, facts_of, why_inactive
from dataspace import jwk
from dataspace.db import db
from tests import factories
from tests.consent import test_scenarios

Run = Callable[..., Result]


@pytest.fixture
def run(app: Flask) -> Run:
    def invoke(*args: str, status: int = 0) -> Result:
        answer = app.test_cli_runner().invoke(args=args)
        assert answer.exit_code == status, answer.output
        assert "Traceback" not in answer.output
        db.session.expire_all()
        return answer

    return invoke


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return write_keys(tmp_path / "keys.json", "k1")


def write_keys(path: Path, kid: str, **more: str) -> Path:
    key = jwk.public_jwk(jwk.generate_key("ES256"), kid=kid, alg="ES256")
    path.write_text(json.dumps({"keys": [key | more]}))
    return path


REGISTER = ("clients", "register", "--client-id", "shop", "--name", "示例商店", "--contact", "95588",
            "--redirect-uri", "https://shop.example/a", "--redirect-uri", "https://shop.example/b")  # fmt: skip


def test_register_a_data_client_by_options(run: Run, key_file: Path) -> None:
    answer = run(*REGISTER, "--name-en", "Shop", "--uscc", "91440099MA9T00042L", "--jwks", str(key_file))
    assert answer.stdout == "client_id: shop\n"
    shop = clients.get("shop")
    assert shop.legal_name == {"zh_hans": "示例商店", "zh_hant": "示例商店", "en": "Shop"}
    assert shop.redirect_uris == ["https://shop.example/a", "https://shop.example/b"]
    assert (shop.profile, shop.token_endpoint_auth_method) == ("data", "private_key_jwt")
    noted = db.session.scalars(select(ClientEvent)).one()
    assert (noted.kind, noted.actor_id) == ("client:registered", "command")


def test_register_a_login_client_prints_its_secret_once(run: Run) -> None:
    answer = run(*REGISTER, "--profile", "login")
    lines = answer.stdout.splitlines()
    assert lines[0] == "client_id: shop"
    secret = lines[1].removeprefix("client_secret: ")
    assert secret.startswith("dsc_")
    assert secret not in run("clients", "show", "shop").output
    before = clients.get("shop").secret_digest
    assert before is not None
    assert secret not in before
    assert run("clients", "secret", "shop").stdout.startswith("client_secret: dsc_")
    assert clients.get("shop").secret_digest != before


def test_register_from_a_file(run: Run, tmp_path: Path, key_file: Path) -> None:
    path = test_scenarios.written(tmp_path, test_scenarios.GOOD.split("[[purposes]]")[0])
    assert run("clients", "register", "--file", str(path), "--jwks", str(key_file)).stdout == "client_id: bank\n"
    assert clients.get("bank").uscc == "91440099MA9T00034R"
    answer = run("clients", "register", "--file", str(path), "--jwks", str(key_file), status=1)
    assert "changed in the meantime" in answer.output or "client_id is taken" in answer.output


def test_what_is_refused_ends_with_one_sentence(run: Run, tmp_path: Path, key_file: Path) -> None:
    private = write_keys(tmp_path / "private.json", "k1", d="AAAA")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(test_scenarios.GOOD.replace("91440099MA9T00034R", "91440099MA9T00034W"), "utf-8")
    for args, status, says in (
        (REGISTER, 1, "private_key_jwt needs jwks or jwks_uri"),
        ((*REGISTER, "--jwks", str(private)), 1, "private.json is not a JWK set of public keys"),
        ((*REGISTER, "--jwks", str(broken)), 1, "broken.json is not JSON"),
        ((*REGISTER, "--jwks", str(key_file), "--uscc", "91440099MA9T00042M"), 1, "not a valid unified social credit"),
        ((*REGISTER, "--jwks", str(key_file), "--jwks-uri", "https://shop.example/jwks"), 1, "not both"),
        ((*REGISTER, "--jwks-uri", "http://shop.example/jwks"), 1, "not https"),
        ((*REGISTER, "--jwks", str(key_file), "--auth-method", "client_secret_basic"), 1, "private_key_jwt"),
        ((*REGISTER, "--auth-method", "tls_client_auth", "--tls-san-dns", "shop.example"), 1, "not offered here"),
        ((*REGISTER, "--jwks", str(key_file), "--certificate-bound"), 1, "certificates are not offered here"),
        (("clients", "register"), 2, "Give --file, or --client-id, --name, --contact, --redirect-uri."),
        (("clients", "register", "--file", str(wrong)), 1, "bank: uscc: is not a valid unified social credit code"),
        (("clients", "register", "--file", str(key_file)), 1, "keys.json: line 1"),
        (("clients", "show", "nobody"), 1, "no such client"),
        (("clients", "secret", "nobody"), 1, "no such client"),
        (("clients", "keys", "nobody", "--jwks", str(key_file)), 1, "no such client"),
        (("clients", "suspend", "nobody", "--reason-code", "other", "--text", "x"), 1, "no such client"),
        (("clients", "suspend", "nobody", "--reason-code", "fun", "--text", "x"), 2, "'fun' is not one of"),
        (("clients", "suspend", "nobody", "--reason-code", "other", "--text", " "), 1, "no text"),
    ):
        answer = run(*args, status=status)
        assert says in answer.output, (args, answer.output)
    assert not db.session.scalars(select(Client)).all()


def test_suspend_and_reinstate(run: Run, now: dt.datetime) -> None:
    consent_id = factories.world(now).consent.consent_id
    later = now + dt.timedelta(minutes=1)
    suspend = ("clients", "suspend", "bank", "--reason-code", "security_incident", "--text", "Keys leaked")
    run(*suspend)
    inactive = why_inactive(facts_of(consent_id), later)
    assert inactive is not None
    assert inactive.reason == Reason.CLIENT_SUSPENDED
    assert "suspended" in run("clients", "list", "--standing", "suspended").output
    assert "client is suspended" in run(*suspend, status=1).output
    run("clients", "reinstate", "bank", "--reason-code", "resolved", "--text", "New keys")
    assert why_inactive(facts_of(consent_id), later) is None
    assert run("clients", "list", "--standing", "suspended").output == ""
    events = [
        (e.kind, e.actor_id, e.reason_code, e.text)
        for e in db.session.scalars(select(ClientEvent).order_by(ClientEvent.event_id))
    ]
    assert events[1:] == [
        ("client:suspended", "command", "security_incident", "Keys leaked"),
        ("client:reinstated", "command", "resolved", "New keys"),
    ]


def test_give_keys_and_redirect_uris(run: Run, now: dt.datetime, tmp_path: Path) -> None:
    factories.world(now)
    run("clients", "keys", "bank", "--jwks", str(write_keys(tmp_path / "new.json", "new-key")))
    run("clients", "redirect-uris", "bank", "http://localhost:9001/callback", "https://bank.example/b")
    bank = clients.get("bank")
    assert bank.jwks is not None
    assert [k["kid"] for k in bank.jwks["keys"]] == ["new-key"]
    assert bank.redirect_uris == ["http://localhost:9001/callback", "https://bank.example/b"]
    run("clients", "redirect-uris", "bank", "http://bank.example/b", status=1)
    shown = run("clients", "show", "bank").output
    for word in (
        "岭南示例银行",
        "91440099MA9T00034R",
        "new-key",
        "https://bank.example/b",
        "loan-review",
        "client:changed",
    ):
        assert word in shown
    assert "bank " in run("clients", "list").output


def test_load_scenarios(run: Run, now: dt.datetime, tmp_path: Path) -> None:
    factories.item(now, "p.edu.degree", ("school", "level"))
    factories.item(now, "p.tax.income", ("year",), many=True, period_field="year")
    db.session.commit()
    path = test_scenarios.written(tmp_path, test_scenarios.GOOD)
    assert "clients: 1 added, 0 changed, 0 unchanged" in run("scenarios", "load", str(path)).output
    assert "purposes: 0 added, 0 changed, 1 unchanged" in run("scenarios", "load", str(tmp_path)).output
    test_scenarios.written(tmp_path, test_scenarios.GOOD.replace('"level"', '"grade"'))
    answer = run("scenarios", "load", str(path), status=1)
    assert "scenarios.toml: tenant-check: items[1].fields[2]: is no field of this item" in answer.output
    run("scenarios", "load", str(tmp_path / "absent.toml"), status=2)


def test_keys(run: Run) -> None:
    run("keys", "generate")
    assert "All keys are there" in run("keys", "generate").output
    listed = run("keys", "list").output.splitlines()
    assert len(listed) == 8
    assert all("current" in line for line in listed)
    assert "signs from" in run("keys", "rotate", "--text", "yearly").output
    assert len(run("keys", "list").output.splitlines()) == 16
    assert "a rotation is under way" in run("keys", "rotate", status=1).output
    last = db.session.scalars(select(OperatorEvent).order_by(OperatorEvent.event_id.desc())).first()
    assert last is not None
    assert (last.kind, last.actor_id, last.text) == ("keys:rotated", "command", "yearly")


def test_every_command_explains_itself(app: Flask, run: Run) -> None:
    for group in ("clients", "scenarios", "keys", "wrapping-keys"):
        command = app.cli.commands[group]
        for name in command.commands:  # type: ignore[attr-defined]
            lines = run(group, name, "--help").output.splitlines()
            assert lines[2].strip(), name
