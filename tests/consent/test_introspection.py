"""Introspection: the truth of the moment, for the client that a token belongs to and for nobody else."""

import datetime as dt

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from consent import clients, lifecycle
from consent.clients import Profile
from consent.oauth.tokens import Token
from dataspace import clock, jose
from dataspace.db import db
from tests import factories
from tests.conftest import ISSUER
from tests.consent.third_party import ThirdParty, tokens_for

INACTIVE = {"active": False}


@pytest.fixture
def world(app: Flask) -> factories.World:
    return factories.world(clock.now())


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
        lifecycle.withdraw(world.consent.consent_id, world.actor, now)
    elif ended == "revoked":
        admin = factories.supervisor(factories.administrator(now), now)
        lifecycle.revoke(world.consent.consent_id, admin, now, reason_code="complaint", text="")
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
