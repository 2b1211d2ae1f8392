"""The token endpoint: exchange of a code, refresh, and what both refuse."""

import copy
import datetime as dt
import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, func, select

from consent import clients, endings
from consent.clients import Profile
from consent.oauth import codes, tokens
from consent.oauth.codes import AuthorizationCode
from consent.oauth.tokens import Token
from dataspace import clock, jose, jwk
from dataspace.db import db
from tests import factories
from tests.conftest import ISSUER
from tests.consent.third_party import LEFT_OUT, ThirdParty, code_for, proof_key, tokens_for

SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def bank(world: factories.World, client: FlaskClient) -> ThirdParty:
    return ThirdParty(world.party, client)


@pytest.fixture
def shop(world: factories.World, client: FlaskClient, now: dt.datetime) -> ThirdParty:
    """A client for plain sign-in."""
    party = factories.party(now, "shop", profile=Profile.LOGIN, method="client_secret_basic", name="示例商店")
    db.session.commit()
    return ThirdParty(party, client)


def test_a_code_brings_bound_tokens_and_what_was_granted(bank: ThirdParty, world: factories.World) -> None:
    code, consent = code_for(bank, world.actor)
    answer = bank.token(code)
    body = answer.json
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    assert body["access_token"].startswith("dsa_at_")
    assert body["refresh_token"].startswith("dsa_rt_")
    assert (body["token_type"], body["expires_in"]) == ("DPoP", 300)
    assert (body["grant_id"], body["consent_version"]) == (consent.consent_id, 1)
    assert body["authorization_details"] == [
        {
            "type": "data_space_access",
            "purpose": "loan-review",
            "items": [
                {"item": "p.edu.degree", "item_version": 1, "fields": ["school", "major", "level"], "delivery": "raw"}
            ],
            "not_before": int(consent.not_before.timestamp()),
            "expires_at": int(consent.expires_at.timestamp()),
        }
    ]
    assert "id_token" not in body


def test_only_what_the_holder_left_is_granted(app: Flask, client: FlaskClient, now: dt.datetime) -> None:
    world = factories.world(now)
    other = factories.item(now, "p.work.qualification", ("name",))
    world.purpose.items = [*world.purpose.items, {"item": other.item_id, "fields": ["name"], "necessity": "optional",
                                                  "reason": factories.text("用于审核")}]  # fmt: skip
    db.session.commit()
    bank = ThirdParty(world.party, client)
    narrowed = factories.consent(factories.ask(world.purpose, now), world.actor, now, items=["p.edu.degree"])
    body = tokens_for(bank, world.actor, give=narrowed)
    assert [i["item"] for i in body["authorization_details"][0]["items"]] == ["p.edu.degree"]


def test_nothing_is_stored_in_clear(bank: ThirdParty, world: factories.World) -> None:
    code, _consent = code_for(bank, world.actor)
    body = bank.token(code).json
    secrets = [code, body["access_token"], body["refresh_token"]]
    for table in (AuthorizationCode, Token):
        for row in db.session.execute(select(table.__table__)).all():
            assert not any(secret in str(value) for secret in secrets for value in row)


def test_an_access_token_never_outlives_the_consent(bank: ThirdParty, world: factories.World, now: dt.datetime) -> None:
    world.consent.expires_at = now + 100 * SECOND
    db.session.commit()
    body = tokens_for(bank, world.actor, give=world.consent)
    assert body["expires_in"] <= 100


def statements(action: Callable[[], Any]) -> list[str]:
    """The statements that an action sends to the database."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        action()
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    return seen


def test_few_statements(bank: ThirdParty, world: factories.World) -> None:
    code, _consent = code_for(bank, world.actor)
    body: dict[str, Any] = {}
    assert len(statements(lambda: body.update(bank.token(code).json))) == 6
    assert len(statements(lambda: bank.refresh(body["refresh_token"]))) == 5
    assert len(statements(lambda: bank.introspect(body["access_token"]))) == 3
    # The proof is remembered while the token is found, and a line of the log goes with its entry.
    assert len(statements(lambda: bank.read(body["access_token"]))) == 3


@pytest.mark.parametrize("case", ["code", "refresh token", "refused grant", "refused client", "pushed request"])
def test_breaks_10_no_store(bank: ThirdParty, world: factories.World, case: str) -> None:
    """RFC 6749 section 5.1: neither tokens nor errors stay in a cache; error_description has no quotes (5.2)."""
    code, _consent = code_for(bank, world.actor)
    if case == "refresh token":
        answer = bank.refresh(bank.token(code).json["refresh_token"])
    elif case == "pushed request":
        answer = bank.push()
    else:
        sent = {"refused grant": {"code": 'a"code\\'}, "refused client": {"client_assertion": '"'}}.get(case, {})
        answer = bank.token(code, **sent)
    expected = {"refused grant": (400, "invalid_grant"), "refused client": (401, "invalid_client")}
    if case in expected:
        assert (answer.status_code, answer.json["error"]) == expected[case]
        assert not set('"\\\r\n') & set(answer.json.get("error_description", ""))
    else:
        assert answer.status_code in (200, 201)
    assert (answer.mimetype, answer.headers["Cache-Control"]) == ("application/json", "no-store")


# A code, once


def test_breaks_12_a_second_use_of_a_code_ends_what_the_first_has_brought(
    bank: ThirdParty, world: factories.World
) -> None:
    code, _consent = code_for(bank, world.actor)
    first = bank.token(code).json
    refreshed = bank.refresh(first["refresh_token"]).json
    second = bank.token(code)
    assert (second.status_code, second.json["error"]) == (400, "invalid_grant")
    for token in (first["access_token"], refreshed["access_token"]):
        assert bank.read(token).status_code == 401
    assert bank.refresh(first["refresh_token"]).json["error"] == "invalid_grant"


def test_a_second_use_is_known_even_when_the_code_is_swept_away(
    bank: ThirdParty, world: factories.World, now: dt.datetime
) -> None:
    code, _consent = code_for(bank, world.actor)
    first = bank.token(code).json
    assert tokens.sweep(now + 2 * dt.timedelta(hours=1)) >= 1
    assert db.session.scalar(select(func.count()).select_from(AuthorizationCode)) == 0
    db.session.commit()
    assert bank.token(code).json["error"] == "invalid_grant"
    assert bank.refresh(first["refresh_token"]).json["error"] == "invalid_grant"


def test_breaks_12_of_several_uses_at_once_one_wins_and_nobody_keeps_anything(
    app: Flask, bank: ThirdParty, world: factories.World
) -> None:
    code, _consent = code_for(bank, world.actor)
    gate = threading.Barrier(4)

    def redeem(_n: int) -> Any:
        mine = copy.copy(bank)
        mine.http = app.test_client()
        gate.wait()
        return mine.token(code)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(redeem, range(4)))
    assert sorted(a.status_code for a in answers) == [200, 400, 400, 400]
    assert {a.json["error"] for a in answers if a.status_code == 400} == {"invalid_grant"}
    (won,) = (a.json for a in answers if a.status_code == 200)
    assert bank.read(won["access_token"]).status_code == 401
    assert bank.refresh(won["refresh_token"]).json["error"] == "invalid_grant"


def test_a_refusal_does_not_use_the_code_up(bank: ThirdParty, world: factories.World) -> None:
    code, _consent = code_for(bank, world.actor)
    assert bank.token(code, code_verifier="x" * 43).status_code == 400
    assert bank.token(code, redirect_uri=factories.REDIRECT_URI + "/").status_code == 400
    assert bank.token(code, proof=LEFT_OUT).status_code == 400
    assert bank.token(code).status_code == 200


def test_another_client_gets_nothing_for_a_code(
    bank: ThirdParty, world: factories.World, client: FlaskClient, now: dt.datetime
) -> None:
    thief = ThirdParty(factories.party(now, "thief"), client, verifier=bank.verifier)
    db.session.commit()
    code, _consent = code_for(bank, world.actor)
    assert thief.token(code).json["error"] == "invalid_grant"
    first = bank.token(code).json
    assert thief.token(code).json["error"] == "invalid_grant"
    assert thief.refresh(first["refresh_token"]).json["error"] == "invalid_grant"
    assert bank.read(first["access_token"]).status_code == 200


def test_a_code_is_dead_after_sixty_seconds(bank: ThirdParty, world: factories.World, now: dt.datetime) -> None:
    code, _consent = code_for(bank, world.actor, at=now - 61 * SECOND, give=world.consent)
    assert bank.token(code).json == {"error": "invalid_grant", "error_description": "the code has expired"}
    assert codes.LIFE <= 60 * SECOND


@pytest.mark.parametrize("early", [True, False])
def test_codes_and_tokens_die_with_the_consent(bank: ThirdParty, world: factories.World, early: bool) -> None:
    code, consent = code_for(bank, world.actor)
    refresh_token = "" if early else bank.token(code).json["refresh_token"]
    endings.withdraw(consent.consent_id, world.actor, consent.created_at + SECOND, registry=factories.registry())
    db.session.commit()
    refused = bank.token(code) if early else bank.refresh(refresh_token)
    assert refused.json == {"error": "invalid_grant", "error_description": "consent_withdrawn"}
    assert db.session.scalar(select(func.count()).select_from(Token)) == (0 if early else 2)


def test_a_suspended_client_gets_no_tokens(bank: ThirdParty, world: factories.World, now: dt.datetime) -> None:
    code, _consent = code_for(bank, world.actor)
    clients.suspend("bank", now, actor_id="adm", reason_code="complaint", text="")
    db.session.commit()
    assert bank.token(code).json["error_description"] == "client_suspended"


def test_a_code_is_bound_to_the_key_that_was_proved_at_par(bank: ThirdParty, world: factories.World) -> None:
    code, _consent = code_for(bank, world.actor, proof=bank.proof("POST", "/oauth/par"))
    refused = bank.token(code, proof=bank.proof("POST", "/oauth/token", key=proof_key()))
    assert refused.json == {"error": "invalid_dpop_proof", "error_description": "another key"}
    assert bank.token(code).status_code == 200


def test_a_code_is_bound_to_the_announced_key(bank: ThirdParty, world: factories.World) -> None:
    code, _consent = code_for(bank, world.actor, dpop_jkt=bank.jkt)
    assert bank.token(code, proof=bank.proof("POST", "/oauth/token", key=proof_key())).status_code == 400
    assert bank.token(code).status_code == 200


# Refresh


def test_refreshing(bank: ThirdParty, world: factories.World) -> None:
    first = tokens_for(bank, world.actor)
    answer = bank.refresh(first["refresh_token"])
    assert answer.status_code == 200
    assert "refresh_token" not in answer.json  # not rotated for clients that are bound to a key (FAPI 2.0)
    assert answer.json["access_token"] != first["access_token"]
    assert answer.json["authorization_details"] == first["authorization_details"]
    assert bank.read(answer.json["access_token"]).status_code == 200
    assert bank.refresh(first["refresh_token"]).status_code == 200


@pytest.mark.parametrize("profile", list(Profile))
def test_breaks_13_refresh_token_bound_to_its_client(
    bank: ThirdParty, shop: ThirdParty, world: factories.World, profile: Profile
) -> None:
    """The thief authenticates, and even proves the very key of the first client."""
    owner = bank if profile is Profile.DATA else shop
    method = "private_key_jwt" if profile is Profile.DATA else "client_secret_basic"
    first = tokens_for(owner, world.actor, scope="openid offline_access")
    party = factories.party(clock.now(), "thief", profile=profile, method=method)
    db.session.commit()
    thief = ThirdParty(party, owner.http, proof_key=owner.proof_key)
    answer = thief.refresh(first["refresh_token"])
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_grant")
    assert owner.refresh(first["refresh_token"]).status_code == 200


def test_a_refresh_needs_a_proof_and_binds_to_its_key(bank: ThirdParty, world: factories.World) -> None:
    first = tokens_for(bank, world.actor)
    refused = bank.refresh(first["refresh_token"], proof=LEFT_OUT)
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_request")
    new_key = proof_key()
    answer = bank.refresh(first["refresh_token"], proof=bank.proof("POST", "/oauth/token", key=new_key))
    assert (answer.status_code, answer.json["token_type"]) == (200, "DPoP")
    token = answer.json["access_token"]
    assert bank.read(token).status_code == 401, "by the key of before"
    assert bank.read(token, proof=bank.proof("GET", "/api/v1/data", access_token=token, key=new_key)).status_code == 200
    assert bank.read(first["access_token"]).status_code == 200


def test_a_purpose_asked_by_its_scope_alone(bank: ThirdParty, world: factories.World) -> None:
    body = tokens_for(bank, world.actor, scope="loan-review", authorization_details=LEFT_OUT)
    assert (body["scope"], body["authorization_details"][0]["purpose"]) == ("loan-review", "loan-review")
    assert bank.read(body["access_token"]).status_code == 200
    fresh = bank.refresh(body["refresh_token"], scope="loan-review")
    assert (fresh.status_code, fresh.json["scope"]) == (200, "loan-review")


def test_an_access_token_refreshes_nothing(bank: ThirdParty, world: factories.World) -> None:
    assert bank.refresh(tokens_for(bank, world.actor)["access_token"]).json["error"] == "invalid_grant"


def test_breaks_13_a_scope_is_not_widened(shop: ThirdParty, world: factories.World) -> None:
    first = tokens_for(shop, world.actor, scope="openid offline_access")
    assert first["scope"] == "openid offline_access"
    narrower = shop.refresh(first["refresh_token"], scope="openid")
    assert narrower.json["scope"] == "openid"
    assert shop.refresh(first["refresh_token"], scope="openid profile").json["error"] == "invalid_scope"


# Plain sign-in


def test_an_id_token(shop: ThirdParty, world: factories.World, now: dt.datetime) -> None:
    body = tokens_for(shop, world.actor)
    assert body["token_type"] == "Bearer"
    assert "refresh_token" not in body
    assert "authorization_details" not in body
    keys = shop.http.get("/oauth/jwks").json["keys"]
    verified = jose.verify(
        body["id_token"],
        keys,
        algorithms={"RS256"},
        expected_typ="JWT",
        expected_iss=ISSUER,
        expected_aud="shop",
        now=clock.now(),
    )
    claims = verified.claims
    assert verified.header["kid"] in {key["kid"] for key in keys}
    assert claims["nonce"] == "a nonce"
    assert claims["exp"] - claims["iat"] == 300
    assert claims["auth_time"] == int(world.actor.auth_time.timestamp())
    assert claims["acr"] == world.actor.acr
    assert claims["amr"] == ["pop", "user", "mfa"]
    assert "name" not in claims
    at_hash = jwk.b64encode(hashlib.sha256(body["access_token"].encode()).digest()[:16])
    assert claims["at_hash"] == at_hash
    info = shop.http.get("/userinfo", headers={"Authorization": f"Bearer {body['access_token']}"})
    assert info.json == {"sub": claims["sub"], "name": "陈嘉怡"}


@pytest.mark.parametrize("alg", ["ES256", "PS256"])
def test_the_algorithm_of_an_id_token_is_the_clients(
    shop: ThirdParty, world: factories.World, now: dt.datetime, alg: str
) -> None:
    shop.party.client.id_token_signed_response_alg = alg
    db.session.commit()
    assert jose.read(tokens_for(shop, world.actor)["id_token"]).header["alg"] == alg


def test_a_data_client_gets_id_tokens_of_fapi_algorithms_only(bank: ThirdParty, world: factories.World) -> None:
    body = tokens_for(bank, world.actor, scope="openid")
    assert jose.read(body["id_token"]).header["alg"] == "ES256"


def test_a_sign_in_client_may_prove_a_key_and_gets_bound_tokens(shop: ThirdParty, world: factories.World) -> None:
    code, _consent = code_for(shop, world.actor)
    body = shop.token(code, proof=shop.proof("POST", "/oauth/token")).json
    assert body["token_type"] == "DPoP"
    bearer = shop.http.get("/userinfo", headers={"Authorization": f"Bearer {body['access_token']}"})
    assert bearer.status_code == 401
    proof = shop.proof("GET", "/userinfo", access_token=body["access_token"])
    headers = {"Authorization": f"DPoP {body['access_token']}", "DPoP": proof}
    assert shop.http.get("/userinfo", headers=headers).status_code == 200


def test_a_sign_in_token_reads_no_data(shop: ThirdParty, world: factories.World) -> None:
    body = tokens_for(shop, world.actor)
    refused = shop.read(body["access_token"], scheme="Bearer", proof=LEFT_OUT)
    assert (refused.status_code, refused.json["code"]) == (403, "insufficient_scope")


# Housekeeping


def test_the_sweep_removes_what_is_long_dead(bank: ThirdParty, world: factories.World, now: dt.datetime) -> None:
    tokens_for(bank, world.actor)
    assert tokens.sweep(now) == 0
    assert tokens.sweep(now + dt.timedelta(hours=2)) == 2  # the code and the access token
    assert tokens.sweep(now + dt.timedelta(days=40), limit=1) == 1  # the refresh token
    assert tokens.sweep(now + dt.timedelta(days=40)) == 0


def test_a_database_that_fails_leaves_nothing_half_done(app: Flask, bank: ThirdParty, world: factories.World) -> None:
    code, _consent = code_for(bank, world.actor)
    with db.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE tokens RENAME TO elsewhere")
    failed = bank.token(code)
    assert (failed.status_code, failed.mimetype) == (503, "application/problem+json")
    with db.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO tokens")
    assert bank.token(code).status_code == 200
