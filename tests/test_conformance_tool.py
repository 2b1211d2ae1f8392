"""`python -m tools.conformance`: what the foundation's suite is configured with works here."""

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from joserfc import jwt
from joserfc.jwk import ECKey

from consent.oauth import identity
from consent.purposes import Purpose
from dataspace import clock
from dataspace.db import db
from tests import factories
from tests.conftest import ISSUER, make_settings
from tests.consent.certified import SETTINGS
from tests.consent.test_claims import FIELDS
from tests.consent.third_party import challenge
from tools import conformance
from wsgi import create_app

BASE = "https://suite.example/test/a/here"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture
def written(app: Flask, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """The configurations by name, where a proxy tells of certificates."""
    for item_id, fields in FIELDS.items():
        factories.item(clock.now(), item_id, fields)
    db.session.commit()
    settings = app.extensions["dataspace"].settings
    with create_app(make_settings(settings.database_url, **SETTINGS)).app_context():
        for _again in range(2):  # new keys, the same clients
            paths = conformance.prepare(tmp_path, BASE)
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    return {path.stem: json.loads(path.read_text("utf-8")) for path in paths}


def pushed(app: Flask, client: dict[str, Any], **changes: Any) -> tuple[int, dict[str, Any]]:
    """An answer of the pushed request endpoint to what the suite sends."""
    key = ECKey.import_key(client["jwks"]["keys"][0])
    now = int(clock.now().timestamp())
    header = {"alg": "ES256", "kid": key.kid}
    about = {"iss": client["client_id"], "aud": ISSUER, "nbf": now, "exp": now + 60}
    asked = {
        "client_id": client["client_id"], "response_type": "code", "redirect_uri": f"{BASE}/callback",
        "scope": client["scope"], "code_challenge": challenge("v" * 43), "code_challenge_method": "S256",
    } | changes  # fmt: skip
    if "-signing-" in client["client_id"]:
        asked = {"request": jwt.encode(header, about | asked | {"response_mode": "jwt"}, key, algorithms=["ES256"])}
    proof = about | {"sub": client["client_id"], "jti": f"j-{len(changes)}-{client['scope']}"}
    credentials = {"client_assertion_type": ASSERTION, "client_assertion": jwt.encode(header, proof, key)}
    answer = app.test_client().post("/oauth/par", data=asked | credentials)
    return answer.status_code, answer.json


def test_every_combination_is_configured(written: dict[str, dict[str, Any]]) -> None:
    combinations = [f"{a}-{s}{j}" for a in ("jwt", "mtls") for s in ("dpop", "mtls") for j in ("", "-signing")]
    names = {f"{name}-{kind}" for name in combinations for kind in ("openid", "oauth")}
    assert written.keys() == names | {"login", "dynamic"}
    assert all(("mtls2" in written[name]) == ("mtls" in name) for name in names)
    assert {name for name in names if "8443" in written[name]["resource"]["resourceUrl"]} == {
        name for name in names if "-mtls" in name
    }


@pytest.mark.parametrize("name", ["jwt-dpop-openid", "jwt-dpop-oauth", "jwt-dpop-signing-openid"])
def test_the_clients_ask_by_scope_and_by_details(app: Flask, written: dict[str, dict[str, Any]], name: str) -> None:
    found = written[name]
    assert pushed(app, found["client"])[0] == 201
    details = found["resource"]["richAuthorizationRequest"]
    if "signing" not in name:
        details = json.dumps(details)
    assert pushed(app, found["client2"], authorization_details=details)[0] == 201


def test_the_purpose_lets_every_claim_be_told(written: dict[str, dict[str, Any]]) -> None:
    purpose = db.session.get(Purpose, (written["jwt-dpop-oauth"]["client"]["client_id"], "conformance"))
    assert (purpose.mode, purpose.frequency) == ("one_time", None)  # rules cap how often, also of the suite
    assert purpose.max_reads >= 100
    told = {(item["item"], name) for item in purpose.items for name in item["fields"]}
    assert told == {source[:2] for source in identity.SOURCES.values()} | {(identity.IDENTITY, "name")}
