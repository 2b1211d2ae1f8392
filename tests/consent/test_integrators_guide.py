"""What the integrators' guide shows about grants, resources and step-up works as it stands there."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from consent import lifecycle
from consent.oauth import resources, tokens
from consent.records import ConsentVersion, State
from dataspace import clock, jose
from dataspace.db import db
from dataspace.permission import SENSITIVE_MAX_AGE
from tests import factories
from tests.conftest import ISSUER
from tests.consent.third_party import ThirdParty, tokens_for
from tests.documents import INTEGRATORS, blocks


def test_the_program_about_grants_runs(app: Flask, client: FlaskClient, capsys: pytest.CaptureFixture[str]) -> None:
    """With the README's functions, on an application without a network."""
    now = clock.now()
    world = factories.world(now)
    ledger = "https://ledger.example/api"
    resources.add(ledger, "jwt", None, now, issuer=ISSUER)
    db.session.commit()
    bank = ThirdParty(world.party, client)
    scope = "grant_management_query grant_management_revoke"
    token = tokens_for(bank, world.actor, scope=scope, resource=[ISSUER, ledger])
    version = db.session.get_one(ConsentVersion, (token["grant_id"], 1))
    version.granted = [item | {"sensitive": True} for item in version.granted]
    db.session.execute(update(tokens.Token).values(auth_time=now - 2 * SENSITIVE_MAX_AGE))
    db.session.commit()
    (program,) = [b for b in blocks(INTEGRATORS) if b.mark == "grants"]
    surroundings = {
        "ISSUER": ISSUER,
        "server": client.get("/.well-known/oauth-authorization-server").json,
        "token": token,
        "dpop": lambda method, url, access: bank.proof(method, url.removeprefix(ISSUER), access_token=access),
        "post": lambda url, **form: bank.post(url.removeprefix(ISSUER), form).json,
        "httpx": SimpleNamespace(request=lambda method, url, headers: _Answer(client, method, url, headers)),
    }
    exec(compile(program.text, str(INTEGRATORS), "exec"), surroundings)
    told = capsys.readouterr().out.splitlines()
    assert told[0] == ledger
    assert "'purpose': 'loan-review'" in told[1]
    assert "'max_age': '15552000'" in told[2]
    assert told[3:] == ["204"]
    assert lifecycle.get(token["grant_id"]).state == State.WITHDRAWN


class _Answer:
    """A response as httpx gives it."""

    def __init__(self, client: FlaskClient, method: str, url: str, headers: dict[str, str]) -> None:
        found = client.open(url.removeprefix(ISSUER), method=method, headers=headers)
        self.status_code, self.headers, self._json = found.status_code, found.headers, found.get_json(silent=True)

    def json(self) -> Any:
        return self._json


def test_the_claims_of_the_jwt_in_the_guide_are_those_of_one(app: Flask, client: FlaskClient) -> None:
    now = clock.now()
    world = factories.world(now)
    resources.add("https://ledger.example/api", "jwt", None, now, issuer=ISSUER)
    db.session.commit()
    token = tokens_for(ThirdParty(world.party, client), world.actor, resource="https://ledger.example/api")
    (shown,) = [
        d
        for d in (json.loads(b.text) for b in blocks(INTEGRATORS) if b.language == "json")
        if "jti" in d and "events" not in d
    ]
    claims = jose.unverified_claims(jose.read(token["access_token"]))
    assert list(shown) == list(claims)
    assert [type(value) for value in shown.values()] == [type(value) for value in claims.values()]
