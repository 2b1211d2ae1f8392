"""Introspection: the truth of the moment, for the client that a token belongs to and for nobody else."""

import datetime as dt
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from consent import clients, endings
from consent.client_options import ClientOptions
from consent.clients import Profile
from consent.keys import KeyUse
from consent.oauth import resources
from consent.oauth.tokens import Token
from dataspace import clock, jose
from dataspace.db import db
from tests import factories
from tests.conftest import ISSUER
from tests.consent.third_party import ThirdParty, tokens_for

INACTIVE = {"active": False}


@pytest.fixture
def bank(world: factories.World, client: FlaskClient) -> ThirdParty:
    return ThirdParty(world.party, client)


def test_a_live_token(bank: ThirdParty, world: factories.World) -> None:
    body = tokens_for(bank, world.actor, scope="openid")
    answer = bank.introspect(body["access_token"])
    said = answer.json
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert said["active"] is True
    assert (said["iss"], said["client_id"], said["token_type"]) == (ISSUER, "bank", "DPoP")
    assert said["exp"] - said["iat"] == 300
    assert said["cnf"] == {"jkt": bank.jkt}
    assert said["authorization_details"] == body["authorization_details"]
    assert (said["grant_id"], said["consent_version"]) == (body["grant_id"], 1)
    assert said["sub"] == jose.unverified_claims(jose.read(body["id_token"]))["sub"]
    assert said["acr"] == world.actor.acr


def test_a_refresh_token_lives_as_long_as_the_consent(bank: ThirdParty, world: factories.World) -> None:
    body = tokens_for(bank, world.actor, give=world.consent)
    said = bank.introspect(body["refresh_token"]).json
    assert said["exp"] == int(world.consent.expires_at.timestamp())


def test_a_hint_changes_nothing(bank: ThirdParty, world: factories.World) -> None:
    token = tokens_for(bank, world.actor)["access_token"]
    for hint in ("refresh_token", "access_token", "nonsense"):
        assert bank.introspect(token, token_type_hint=hint).json["active"] is True


@pytest.mark.parametrize("ended", ["withdrawn", "revoked", "suspended", "expired", "erased", "token expired"])
def test_a_token_is_dead_with_its_consent(bank: ThirdParty, world: factories.World, ended: str) -> None:
    now = clock.now()
    body = tokens_for(bank, world.actor, give=world.consent)
    if ended == "withdrawn":
        endings.withdraw(world.consent.consent_id, world.actor, now, registry=factories.registry())
    elif ended == "revoked":
        admin = factories.supervisor(factories.administrator(now), now)
        endings.revoke(
            world.consent.consent_id, admin, now, reason_code="complaint", text="", registry=factories.registry()
        )
    elif ended == "suspended":
        clients.suspend("bank", now, actor_id="adm", reason_code="complaint", text="")
    elif ended == "expired":
        world.consent.expires_at = now
    elif ended == "erased":
        world.person.closed_at = now
    else:
        db.session.execute(update(Token).values(expires_at=now))
    db.session.commit()
    assert bank.introspect(body["access_token"]).json == INACTIVE
    assert bank.introspect(body["refresh_token"]).json == INACTIVE


def test_nobody_hears_about_the_tokens_of_others(bank: ThirdParty, world: factories.World, client: FlaskClient) -> None:
    token = tokens_for(bank, world.actor)["access_token"]
    other = factories.party(clock.now(), "shop", profile=Profile.LOGIN, method="client_secret_basic")
    db.session.commit()
    assert ThirdParty(other, client).introspect(token).json == INACTIVE


# RFC 9701


def ask(third: ThirdParty, token: str, accept: str | None) -> TestResponse:
    headers = {} if accept is None else {"Accept": accept}
    return third.http.post("/oauth/introspect", data=third.credentials() | {"token": token}, headers=headers)


def claims_of(answer: TestResponse) -> dict[str, Any]:
    """The claims of a signed answer, verified by our key."""
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/token-introspection+jwt")
    assert answer.headers["Cache-Control"] == "no-store"
    token = jose.read(answer.get_data(as_text=True))
    key = factories.registry().keyring.verification_key(token.header["kid"], purpose=KeyUse.TOKENS, now=clock.now())
    return jose.verify(
        token, [key], algorithms={"ES256", "PS256"}, expected_typ="token-introspection+jwt", expected_iss=ISSUER,
        expected_aud="bank", now=clock.now(),
    ).claims  # fmt: skip


SIGNED: dict[str, tuple[dict[str, str], str | None]] = {
    "rfc9701 4 accept": ({}, "application/token-introspection+jwt"),
    "rfc9701 4 accept among others": ({}, "application/json;q=0.5, Application/Token-Introspection+JWT;q=1"),
    "rfc9701 6 registered PS256": ({"introspection_signed_response_alg": "PS256"}, None),
    "rfc9701 6 registered": ({"introspection_signed_response_alg": "ES256"}, None),
    "rfc9701 6 registered, json accepted": ({"introspection_signed_response_alg": "ES256"}, "application/json"),
}


@pytest.mark.parametrize(("registered", "accept"), SIGNED.values(), ids=list(SIGNED))
def test_a_signed_answer(
    bank: ThirdParty, world: factories.World, registered: dict[str, Any], accept: str | None
) -> None:
    bank.party.client.options = ClientOptions(**registered).to_document()
    db.session.commit()
    token = tokens_for(bank, world.actor)["access_token"]
    answer = ask(bank, token, accept)
    alg = registered.get("introspection_signed_response_alg", "ES256")  # FAPI 2.0 section 5.4.1: never RS256
    assert jose.read(answer.get_data(as_text=True)).header["alg"] == alg
    said = claims_of(answer)
    assert said.keys() == {"iss", "aud", "iat", "token_introspection"}  # RFC 9701 section 5: no sub, no exp
    assert said["token_introspection"]["active"] is True
    assert said["token_introspection"]["cnf"] == {"jkt": bank.jkt}
    bank.revoke(token)
    assert claims_of(ask(bank, token, accept))["token_introspection"] == INACTIVE


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/jwt"])
def test_plain_json_for_everybody_else(bank: ThirdParty, world: factories.World, accept: str | None) -> None:
    answer = ask(bank, tokens_for(bank, world.actor)["access_token"], accept)
    assert answer.mimetype == "application/json"
    assert answer.json["active"] is True


# RFC 7662 section 2.1, RFC 9701 section 5: a resource server asks


@pytest.fixture
def ledger(world: factories.World, client: FlaskClient) -> ThirdParty:
    """The client that introspects tokens for a resource of its own."""
    party = factories.party(clock.now(), "ledger", profile=Profile.LOGIN, method="client_secret_basic")
    for uri, client_id in (("https://ledger.example", "ledger"), ("https://other.example", None)):
        resources.add(uri, "opaque", client_id, clock.now(), issuer=ISSUER)
    db.session.commit()
    return ThirdParty(party, client)


MEANT: dict[str, tuple[Any, str, str | None]] = {
    "for it": ("https://ledger.example", "access_token", "https://ledger.example"),
    "for it among others": (["https://ledger.example", ISSUER], "access_token", "https://ledger.example"),
    "for another": ("https://other.example", "access_token", None),
    "for us": (ISSUER, "access_token", None),
    "for nobody named": ("", "access_token", None),
    "a refresh token is nobody else's business": ("https://ledger.example", "refresh_token", None),
}


@pytest.mark.parametrize(("asked", "which", "audience"), MEANT.values(), ids=list(MEANT))
def test_a_resource_server_hears_of_tokens_meant_for_it(
    bank: ThirdParty, ledger: ThirdParty, world: factories.World, asked: Any, which: str, audience: str | None
) -> None:
    said = ledger.introspect(tokens_for(bank, world.actor, resource=asked)[which]).json
    if audience is None:
        assert said == INACTIVE
    else:
        assert (said["active"], said["aud"], said["client_id"]) == (True, audience, "bank")


def test_a_resource_server_gives_no_token_of_others_back(
    bank: ThirdParty, ledger: ThirdParty, world: factories.World
) -> None:
    token = tokens_for(bank, world.actor, resource="https://ledger.example")["access_token"]
    answer = ledger.revoke(token)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_grant")
    assert ledger.introspect(token).json["active"] is True


@pytest.mark.parametrize("token", ["dsa_at_unknown", "x", "dsa_at_" + "ü" * 40, "\udcff"])
def test_unknown_tokens(bank: ThirdParty, token: str) -> None:
    sent = token.encode("utf-8", "replace").decode()
    assert bank.introspect(sent).json == INACTIVE


def test_what_it_needs(bank: ThirdParty, world: factories.World, client: FlaskClient) -> None:
    assert bank.introspect("").json["error"] == "invalid_request"
    anonymous = client.post("/oauth/introspect", data={"token": tokens_for(bank, world.actor)["access_token"]})
    assert (anonymous.status_code, anonymous.json["error"]) == (401, "invalid_client")
    assert anonymous.headers["WWW-Authenticate"].startswith("Basic ")


def test_a_client_never_sees_a_clock_of_the_past(bank: ThirdParty, world: factories.World) -> None:
    said = bank.introspect(tokens_for(bank, world.actor)["access_token"]).json
    assert dt.datetime.fromtimestamp(said["auth_time"], dt.UTC) <= clock.now()
