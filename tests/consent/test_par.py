"""Pushed authorization requests: what is stored, and the table of what is refused before a person sees anything."""

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, text

from consent import clients
from consent.clients import Profile
from consent.oauth import par, request_checks, requests
from consent.oauth.par import AuthorizationRequest
from dataspace import clock
from dataspace.db import db
from tests import factories
from tests.conftest import ISSUER
from tests.consent.third_party import DETAILS, LEFT_OUT, ThirdParty, challenge, proof_key

pytestmark = pytest.mark.wire

FORM = "application/x-www-form-urlencoded"
RAR = "invalid_authorization_details"


@pytest.fixture
def world(app: Flask) -> factories.World:
    now = clock.now()
    world = factories.world(now, max_reads=5)
    factories.party(now, "mart")
    for client_id, code, approved_at in (
        ("bank", "second", now),
        ("bank", "proposed", None),
        ("mart", "of-another", now),
    ):
        factories.purpose(now, client_id, code, required=[world.item], approved_at=approved_at)
    db.session.commit()
    return world


@pytest.fixture
def bank(world: factories.World, client: FlaskClient) -> ThirdParty:
    return ThirdParty(world.party, client)


def details(**changes: Any) -> str:
    return json.dumps([DETAILS[0] | changes])


def asking(**changes: Any) -> dict[str, str]:
    return {"authorization_details": details(**changes)}


def stored() -> int:
    return db.session.scalar(select(func.count()).select_from(AuthorizationRequest)) or 0


def test_a_request_is_stored_under_a_name_that_nobody_guesses(bank: ThirdParty) -> None:
    answer = bank.push()
    assert answer.status_code == 201
    assert answer.json["request_uri"].startswith("urn:ietf:params:oauth:request_uri:")
    assert answer.json["expires_in"] == 90
    assert answer.headers["Cache-Control"] == "no-store"
    row = db.session.scalars(select(AuthorizationRequest)).one()
    assert answer.json["request_uri"] not in json.dumps(row.parameters) + row.uri_digest
    assert row.parameters == {
        "redirect_uri": factories.REDIRECT_URI, "state": "a state & more", "nonce": "a nonce", "scope": "",
        "code_challenge": challenge(bank.verifier),
    }  # fmt: skip
    assert row.asked.purpose_code == "loan-review"
    assert row.jkt is None


def test_a_proof_or_an_announced_key_binds_the_request(bank: ThirdParty) -> None:
    assert bank.push(proof=bank.proof("POST", "/oauth/par")).status_code == 201
    assert bank.push(dpop_jkt=bank.jkt).status_code == 201
    assert bank.push(dpop_jkt=bank.jkt, proof=bank.proof("POST", "/oauth/par")).status_code == 201
    assert {row.jkt for row in db.session.scalars(select(AuthorizationRequest))} == {bank.jkt}


@pytest.mark.parametrize("scope", ["loan-review", "openid loan-review offline_access"])
def test_a_scope_stands_for_all_that_is_registered_for_a_purpose(bank: ThirdParty, scope: str) -> None:
    whole = json.dumps([{"type": DETAILS[0]["type"], "purpose": "loan-review"}])
    for asked in (LEFT_OUT, whole):
        assert bank.push(scope=scope, authorization_details=asked).status_code == 201
    by_scope, by_details = db.session.scalars(select(AuthorizationRequest).order_by(AuthorizationRequest.created_at))
    assert by_scope.asked == by_details.asked
    assert (by_scope.asked.purpose_code, by_scope.asked.scope) == ("loan-review", tuple(scope.split()))


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "two purposes": ({"authorization_details": json.dumps(DETAILS * 2)}, RAR, "exactly one purpose"),
    "an unregistered purpose": (asking(purpose="snooping"), RAR, "snooping"),
    "an unregistered item": (asking(items=[{"item": "p.tax.income"}]), RAR, "p.tax.income"),
    "an unregistered field": (
        asking(items=[{"item": "p.edu.degree", "fields": ["cert_no"]}]),
        RAR, "cert_no",
    ),
    "longer than the cap": (asking(duration={"days": 91}), RAR, "cap of 90"),
    "more reads than the cap": (
        asking(use={"mode": "periodic", "max_reads": 6}), RAR, "cap of 5",
    ),
    "another type": (asking(type="payment"), RAR, "type"),
    "details that are no JSON": ({"authorization_details": "[{"}, RAR, "not JSON"),
    "details nested without end": ({"authorization_details": "[" * 9000}, RAR, "nested too deeply"),
    "details nested deeply": ({"authorization_details": "[" * 900 + "]" * 900}, RAR, "authorization_details"),
    "no details": ({"authorization_details": LEFT_OUT}, RAR, "missing"),
    "large details": (asking(reference_no="x" * 17_000), RAR, "too large"),
    "an unknown scope": ({"scope": "openid everything"}, "invalid_scope", "not known"),
    "an unknown scope alone": (
        {"scope": "everything", "authorization_details": LEFT_OUT}, "invalid_scope", "not known",
    ),
    "the scope of a purpose that is not approved": (
        {"scope": "proposed", "authorization_details": LEFT_OUT}, "invalid_scope", "not known",
    ),
    "the scope of another client's purpose": (
        {"scope": "of-another", "authorization_details": LEFT_OUT}, "invalid_scope", "not known",
    ),
    "the scopes of two purposes": (
        {"scope": "loan-review second", "authorization_details": LEFT_OUT}, "invalid_scope", "not known",
    ),
    "a scope and details of two purposes": ({"scope": "second"}, "invalid_scope", "different purposes"),
    "no redirect URI": ({"redirect_uri": LEFT_OUT}, "invalid_request", "redirect_uri is missing"),
    "a redirect URI off by one character": (
        {"redirect_uri": factories.REDIRECT_URI + "/"}, "invalid_request", "not registered",
    ),
    "a redirect URI with a query": (
        {"redirect_uri": factories.REDIRECT_URI + "?a=b"}, "invalid_request", "not registered",
    ),
    "a redirect URI in other letters": (
        {"redirect_uri": factories.REDIRECT_URI.upper()}, "invalid_request", "not registered",
    ),
    "a request_uri": ({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, "invalid_request", "request_uri"),
    "a request object that is none": ({"request": "e30.e30."}, "invalid_request_object", ""),
    "no response type": ({"response_type": LEFT_OUT}, "invalid_request", "response_type"),
    "the implicit flow": ({"response_type": "token"}, "unsupported_response_type", "code"),
    "the hybrid flow": ({"response_type": "code id_token"}, "unsupported_response_type", "code"),
    "a fragment": ({"response_mode": "fragment"}, "invalid_request", "response_mode"),
    "no challenge": ({"code_challenge": LEFT_OUT}, "invalid_request", "code_challenge"),
    "a plain challenge": ({"code_challenge_method": "plain"}, "invalid_request", "S256"),
    "a challenge without method": ({"code_challenge_method": LEFT_OUT}, "invalid_request", "S256"),
    "a short challenge": ({"code_challenge": "abc"}, "invalid_request", "SHA-256"),
    "a long state": ({"state": "s" * (request_checks.MAX_STATE + 1)}, "invalid_request", "state"),
    "a long nonce": ({"nonce": "n" * (request_checks.MAX_NONCE + 1)}, "invalid_request", "nonce"),
    "a control character": ({"state": "a\x00b"}, "invalid_request", "control"),
    "a line break in the nonce": ({"nonce": "a\nb"}, "invalid_request", "control"),
    "prompt none and login": ({"prompt": "none login"}, "invalid_request", "prompt"),
    "an unknown prompt": ({"prompt": "shout"}, "invalid_request", "prompt"),
    "a negative max_age": ({"max_age": "-1"}, "invalid_request", "max_age"),
    "max_age in other digits": ({"max_age": "٣"}, "invalid_request", "max_age"),
    "a thumbprint that is none": ({"dpop_jkt": "key"}, "invalid_request", "thumbprint"),
    "another client's id": ({"client_id": "shop"}, "invalid_client", "another client"),
    "a second way to authenticate": ({"client_secret": "dsc_x"}, "invalid_request", "more than one"),
    "no authentication": (
        {"client_assertion": LEFT_OUT, "client_assertion_type": LEFT_OUT}, "invalid_client", "no client authentication",
    ),
    "an assertion without its type": ({"client_assertion_type": LEFT_OUT}, "invalid_client", "client_assertion_type"),
    "an assertion that is none": ({"client_assertion": "a.b.c"}, "invalid_client", ""),
}  # fmt: skip


def test_c02_two_purposes_are_refused_when_the_request_is_pushed(bank: ThirdParty) -> None:
    two = [DETAILS[0], DETAILS[0] | {"purpose": "second"}]
    answer = bank.push(authorization_details=json.dumps(two))
    assert (answer.status_code, answer.json["error"]) == (400, RAR)
    assert "exactly one purpose" in answer.json["error_description"]
    assert stored() == 0


@pytest.mark.parametrize("name", ["label", "labels", "group", "text", "purpose_text", "reason"])
def test_c03_a_client_writes_no_label_and_no_text_of_its_own(bank: ThirdParty, name: str) -> None:
    item = {"item": "p.edu.degree", name: "Free money"}
    for changes in ({"items": [item]}, {name: "Free money"}):
        answer = bank.push(**asking(**changes))
        assert (answer.status_code, answer.json["error"]) == (400, RAR)
    assert stored() == 0


@pytest.mark.parametrize(("changes", "error", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(bank: ThirdParty, changes: dict[str, Any], error: str, said: str) -> None:
    answer = bank.push(**changes)
    assert answer.json["error"] == error, answer.json
    assert answer.status_code == (401 if error == "invalid_client" else 400)
    assert said in answer.json.get("error_description", "")
    assert answer.headers["Cache-Control"] == "no-store"
    assert stored() == 0


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"aud": f"{ISSUER}/oauth/par"}, "another audience"),
        ({"aud": [ISSUER]}, "another audience"),
        ({"aud": "https://elsewhere.example"}, "another audience"),
        ({"exp": 1_000_000_000}, "expired"),
        ({"iat": 4_000_000_000}, "issued in the future"),
        ({"iss": "shop"}, "another issuer"),
        ({"sub": "nobody"}, "unknown client"),
        ({"jti": LEFT_OUT}, "jti"),
    ],
)
def test_assertions_that_prove_nothing(bank: ThirdParty, claims: dict[str, Any], said: str) -> None:
    answer = bank.push(client_assertion=bank.assertion(**claims))
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_client")
    assert said in answer.json["error_description"]


def test_an_assertion_of_another_key(bank: ThirdParty) -> None:
    assert bank.push(client_assertion=bank.assertion(key=proof_key())).status_code == 401


def test_an_assertion_counts_once_even_when_the_request_was_refused(bank: ThirdParty) -> None:
    assertion = bank.assertion()
    assert bank.push(client_assertion=assertion, scope="everything").json["error"] == "invalid_scope"
    again = bank.push(client_assertion=assertion)
    assert again.json == {"error": "invalid_client", "error_description": "jti was used before"}


def test_a_proof_counts_once(bank: ThirdParty) -> None:
    proof = bank.proof("POST", "/oauth/par")
    assert bank.push(proof=proof).status_code == 201
    assert bank.push(proof=proof).json["error"] == "invalid_dpop_proof"


def test_a_proof_for_another_address(bank: ThirdParty) -> None:
    assert bank.push(proof=bank.proof("POST", "/oauth/token")).json["error"] == "invalid_dpop_proof"


def test_a_proof_of_another_key_than_the_announced_one(bank: ThirdParty) -> None:
    other = bank.proof("POST", "/oauth/par", key=proof_key())
    assert bank.push(dpop_jkt=bank.jkt, proof=other).json["error"] == "invalid_dpop_proof"


def test_a_suspended_client_asks_nothing(bank: ThirdParty) -> None:
    clients.suspend("bank", clock.now(), actor_id="adm", reason_code="complaint", text="")
    db.session.commit()
    assert bank.push().json == {"error": "unauthorized_client", "error_description": "client_suspended"}


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "application/json", 400),
        (b"", "", 400),
        (b"a=1", "text/plain", 400),
        (b"", FORM, 401),
        (b"client_id=bank&client_id=bank", FORM, 400),
        (b"scope=a&scope=b&client_assertion=x", FORM, 400),
        (b"state=%ff%fe", FORM, 400),
        (b"state=\xff\xfe", FORM, 400),
        (b"state=%zz", FORM, 400),
        (b"state=%00", FORM, 400),
        (b"&".join(b"p%d=1" % n for n in range(100)), FORM, 400),
        (b"state=" + b"s" * 30_000, FORM, 400),
        (b"state=" + b"s" * 1_000_000, FORM, 413),
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/oauth/par", "/oauth/token", "/oauth/introspect", "/oauth/revoke"])
def test_bodies_that_are_no_form(
    app: Flask, client: FlaskClient, path: str, body: bytes, content_type: str, status: int
) -> None:
    answer = client.post(path, data=body, content_type=content_type or None)
    missing_grant = path == "/oauth/token" and status == 401
    assert answer.status_code == (400 if missing_grant else status)
    if status != 413:
        assert answer.mimetype == "application/json"
        assert answer.json["error"] == ("invalid_client" if answer.status_code == 401 else "invalid_request")


@pytest.mark.parametrize("path", ["/oauth/par", "/oauth/token", "/oauth/introspect", "/oauth/revoke"])
def test_only_post(app: Flask, client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 405


@pytest.mark.parametrize("accept", ["*/*", "application/json", None])
def test_programs_never_get_a_page(app: Flask, client: FlaskClient, accept: str | None) -> None:
    headers = {"Accept": accept} if accept else {}
    large = client.post("/oauth/token", data=b"a=" + b"x" * 1_000_000, content_type=FORM, headers=headers)
    wrong = client.get("/oauth/token", headers=headers)
    assert [(r.status_code, r.mimetype) for r in (large, wrong)] == [
        (413, "application/problem+json"), (405, "application/problem+json"),
    ]  # fmt: skip


def test_parameters_in_the_address_do_not_count(bank: ThirdParty) -> None:
    answer = bank.http.post("/oauth/par?" + "client_id=bank&response_type=code", data={}, content_type=FORM)
    assert answer.json["error"] == "invalid_client"


def test_a_sign_in_client_may_push_and_asks_only_to_sign_in(world: factories.World, client: FlaskClient) -> None:
    party = factories.party(clock.now(), "shop", profile=Profile.LOGIN, method="client_secret_post")
    db.session.commit()
    shop = ThirdParty(party, client)
    assert shop.push().status_code == 201
    assert shop.push(scope="profile").json["error"] == "invalid_scope"
    assert shop.push(scope="openid colour").status_code == 201  # what is not known is left out
    assert shop.push(authorization_details=details()).json["error"] == "invalid_authorization_details"
    assert shop.push(client_secret="dsc_wrong").json == {"error": "invalid_client", "error_description": "wrong secret"}
    kept = [row.parameters["scope"] for row in db.session.scalars(select(AuthorizationRequest))]
    assert sorted(kept) == ["openid", "openid profile"]


def test_a_client_authenticates_only_as_registered(world: factories.World, client: FlaskClient) -> None:
    party = factories.party(clock.now(), "shop", profile=Profile.LOGIN, method="client_secret_basic")
    db.session.commit()
    shop = ThirdParty(party, client)
    sent = shop.request() | {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                             "client_assertion": shop.assertion()}  # fmt: skip
    assert client.post("/oauth/par", data=sent).json["error"] == "invalid_client"
    assert shop.push().status_code == 201


@pytest.mark.parametrize("registered", ["client_secret_basic", "client_secret_post"])
def test_breaks_11_a_secret_counts_in_the_header_and_in_the_form(
    world: factories.World, client: FlaskClient, registered: str
) -> None:
    party = factories.party(clock.now(), "shop", profile=Profile.LOGIN, method=registered)
    db.session.commit()
    shop = ThirdParty(party, client)
    sent = shop.request()
    pair = base64.b64encode(f"{quote('shop')}:{quote(party.secret or '')}".encode()).decode()
    header = {"Authorization": f"Basic {pair}"}
    in_form = {"client_id": "shop", "client_secret": party.secret}
    assert client.post("/oauth/par", data=sent, headers=header).status_code == 201
    assert client.post("/oauth/par", data=sent | in_form).status_code == 201
    both = client.post("/oauth/par", data=sent | in_form, headers=header)
    assert (both.status_code, both.json["error"]) == (400, "invalid_request")
    wrong = client.post("/oauth/par", data=sent | in_form | {"client_secret": "dsc_wrong"})
    assert (wrong.status_code, wrong.json["error"]) == (401, "invalid_client")


def test_a_database_that_is_gone_is_said_and_nothing_is_stored(bank: ThirdParty) -> None:
    db.session.execute(text("ALTER TABLE purposes RENAME TO elsewhere"))
    db.session.commit()
    answer = bank.push()
    assert (answer.status_code, answer.mimetype, answer.json["code"]) == (
        503,
        "application/problem+json",
        "unavailable",
    )
    db.session.execute(text("ALTER TABLE elsewhere RENAME TO purposes"))
    db.session.commit()
    assert stored() == 0


def test_the_list_names_every_check_once() -> None:
    rules = [rule for rule, _endpoints in requests.CHECKS]
    assert len(rules) == len(set(rules))
    assert par.PUSHED.total_seconds() < 600  # FAPI 2.0 section 5.3.2.2
