"""What the token endpoint refuses: one line each, with the code that the specification gives it.

After every refusal the right request still succeeds, and nothing was issued in between.
"""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from consent.oauth.tokens import Token
from dataspace import clock, jwk
from dataspace.db import db
from tests import factories
from tests.conftest import ISSUER
from tests.consent.third_party import LEFT_OUT, ThirdParty, code_for, proof_key

pytestmark = pytest.mark.wire

PATH = "/oauth/token"
OTHER_KEY = proof_key()


@pytest.fixture
def bank(world: factories.World, client: FlaskClient) -> ThirdParty:
    return ThirdParty(world.party, client)


FORM: dict[str, tuple[dict[str, Any], str]] = {
    "no grant type": ({"grant_type": LEFT_OUT}, "invalid_request"),
    "an empty grant type": ({"grant_type": ""}, "invalid_request"),
    "passwords": ({"grant_type": "password"}, "unsupported_grant_type"),
    "client credentials": ({"grant_type": "client_credentials"}, "unauthorized_client"),
    "a grant type with a line break": ({"grant_type": "a\r\nb"}, "invalid_request"),
    "a grant type with quotes": ({"grant_type": '"code"\\'}, "unsupported_grant_type"),
    "a grant type of Chinese letters": ({"grant_type": "授权码"}, "unsupported_grant_type"),
    "no code": ({"code": LEFT_OUT}, "invalid_request"),
    "an unknown code": ({"code": "dsa_ac_unknown"}, "invalid_grant"),
    "a code with a NUL": ({"code": "dsa_ac_\x00"}, "invalid_request"),
    "a long code": ({"code": "c" * 20_000}, "invalid_grant"),
    "no redirect URI": ({"redirect_uri": LEFT_OUT}, "invalid_grant"),
    "a redirect URI off by one character": ({"redirect_uri": factories.REDIRECT_URI[:-1]}, "invalid_grant"),
    "a redirect URI with a slash more": ({"redirect_uri": factories.REDIRECT_URI + "/"}, "invalid_grant"),
    "no verifier": ({"code_verifier": LEFT_OUT}, "invalid_request"),
    "a wrong verifier": ({"code_verifier": "v" * 43}, "invalid_grant"),
    "a short verifier": ({"code_verifier": "v" * 42}, "invalid_request"),
    "a long verifier": ({"code_verifier": "v" * 129}, "invalid_request"),
    "a verifier of strange letters": ({"code_verifier": "ü" * 43}, "invalid_request"),
    "no authentication": ({"client_assertion": LEFT_OUT, "client_assertion_type": LEFT_OUT}, "invalid_client"),
    "only a client_id": (
        {"client_assertion": LEFT_OUT, "client_assertion_type": LEFT_OUT, "client_id": "bank"}, "invalid_client",
    ),
    "a secret": (
        {"client_assertion": LEFT_OUT, "client_assertion_type": LEFT_OUT, "client_id": "bank", "client_secret": "x"},
        "invalid_client",
    ),
    "a secret beside the assertion": ({"client_secret": "x"}, "invalid_request"),
    "another client's id": ({"client_id": "bank2"}, "invalid_client"),
    "another assertion type": ({"client_assertion_type": "urn:x"}, "invalid_client"),
    "an empty assertion": ({"client_assertion": "", "client_assertion_type": "urn:x"}, "invalid_client"),
    "a huge assertion": ({"client_assertion": "a." * 9_000}, "invalid_client"),
    "an unsigned assertion": ({"client_assertion": "eyJhbGciOiJub25lIn0.e30."}, "invalid_client"),
}  # fmt: skip
ASSERTIONS: dict[str, dict[str, Any]] = {
    "for the token endpoint": {"aud": ISSUER + PATH},
    "for a list of audiences": {"aud": [ISSUER, "https://evil.example"]},
    "for somebody else": {"aud": "https://evil.example"},
    "for nobody": {"aud": LEFT_OUT},
    "expired": {"exp": 1_700_000_000},
    "without end": {"exp": LEFT_OUT},
    "valid for a year": {"exp": int(clock.now().timestamp()) + 31_536_000},
    "from the future": {"iat": int(clock.now().timestamp()) + 7_200},
    "not valid yet": {"nbf": int(clock.now().timestamp()) + 7_200},
    "of another issuer": {"iss": "bank2"},
    "of another subject": {"sub": "bank2"},
    "without identifier": {"jti": LEFT_OUT},
    "with a number as identifier": {"jti": 7},
    "with a DPoP proof's type": {"typ": "dpop+jwt"},
    "signed by another key": {"key": OTHER_KEY},
    "signed under another algorithm": {
        "key": jwk.SigningKey(kid="bank-1", alg="RS256", private_key=jwk.generate_key("RS256"))
    },
}
PROOFS: dict[str, Callable[[ThirdParty], Any]] = {
    "empty": lambda _bank: "",
    "not a token": lambda _bank: "a.b.c",
    "two in one header": lambda bank: f"{bank.proof('POST', PATH)}, {bank.proof('POST', PATH)}",
    "for another address": lambda bank: bank.proof("POST", "/oauth/par"),
    "for another host": lambda bank: bank.proof("POST", PATH, htu="https://evil.example/oauth/token"),
    "for another method": lambda bank: bank.proof("GET", PATH),
    "too old": lambda bank: bank.proof("POST", PATH, iat=int(clock.now().timestamp()) - 120),
    "from the future": lambda bank: bank.proof("POST", PATH, iat=int(clock.now().timestamp()) + 120),
    "without time": lambda bank: bank.proof("POST", PATH, iat=LEFT_OUT),
    "without identifier": lambda bank: bank.proof("POST", PATH, jti=LEFT_OUT),
    "without address": lambda bank: bank.proof("POST", PATH, htu=LEFT_OUT),
    "without method": lambda bank: bank.proof("POST", PATH, htm=LEFT_OUT),
    "of the assertion's kind": lambda bank: bank.assertion(),
}


def check_refused(bank: ThirdParty, world: factories.World, error: str, **sent: Any) -> None:
    code, _consent = code_for(bank, world.actor, give=world.consent)
    answer = bank.token(code, **sent)
    assert answer.json["error"] == error, answer.json
    assert answer.status_code == (401 if error == "invalid_client" else 400)
    assert (answer.mimetype, answer.headers["Cache-Control"]) == ("application/json", "no-store")
    said = answer.json.get("error_description", "")
    assert said.isascii()
    assert not set('"\\\r\n') & set(said)
    assert ("WWW-Authenticate" in answer.headers) == (answer.status_code == 401)
    assert db.session.scalar(select(func.count()).select_from(Token)) == 0
    assert bank.token(code).status_code == 200


@pytest.mark.parametrize(("changes", "error"), FORM.values(), ids=FORM.keys())
def test_forms(bank: ThirdParty, world: factories.World, changes: dict[str, Any], error: str) -> None:
    check_refused(bank, world, error, **changes)


@pytest.mark.parametrize("changes", ASSERTIONS.values(), ids=ASSERTIONS.keys())
def test_assertions(bank: ThirdParty, world: factories.World, changes: dict[str, Any]) -> None:
    check_refused(bank, world, "invalid_client", client_assertion=bank.assertion(**changes))


def test_an_assertion_counts_once(bank: ThirdParty, world: factories.World) -> None:
    used = bank.assertion()
    assert bank.push(client_assertion=used).status_code == 201
    check_refused(bank, world, "invalid_client", client_assertion=used)


@pytest.mark.parametrize("proof", PROOFS.values(), ids=PROOFS.keys())
def test_proofs(bank: ThirdParty, world: factories.World, proof: Callable[[ThirdParty], Any]) -> None:
    check_refused(bank, world, "invalid_dpop_proof", proof=proof(bank))


def test_a_proof_counts_once(bank: ThirdParty, world: factories.World) -> None:
    used = bank.proof("POST", PATH)
    assert bank.token("unknown", code_verifier="v" * 42, proof=used).status_code == 400
    code, _consent = code_for(bank, world.actor, give=world.consent)
    assert bank.token(code, code_verifier="v" * 43, proof=used).json["error"] == "invalid_grant"
    assert bank.token(code, proof=used).status_code == 200  # it had not been looked at before
    code, _consent = code_for(bank, world.actor, give=world.consent)
    assert bank.token(code, proof=used).json["error"] == "invalid_dpop_proof"
