"""Revocation: a client gives back its tokens; the holder's consent stays."""

import pytest
from flask.testing import FlaskClient

from consent.records import State
from dataspace import clock
from dataspace.db import db
from tests import factories
from tests.consent.third_party import LEFT_OUT, ThirdParty, tokens_for


@pytest.fixture
def bank(world: factories.World, client: FlaskClient) -> ThirdParty:
    return ThirdParty(world.party, client)


def test_an_access_token_alone(bank: ThirdParty, world: factories.World) -> None:
    body = tokens_for(bank, world.actor, give=world.consent)
    answer = bank.revoke(body["access_token"])
    assert (answer.status_code, answer.json) == (200, {})
    assert bank.read(body["access_token"]).status_code == 401
    assert bank.refresh(body["refresh_token"]).status_code == 200
    db.session.refresh(world.consent)
    assert world.consent.state == State.ACTIVE


def test_a_refresh_token_with_all_that_it_brought(bank: ThirdParty, world: factories.World) -> None:
    body = tokens_for(bank, world.actor)
    fresh = bank.refresh(body["refresh_token"]).json["access_token"]
    assert bank.revoke(body["refresh_token"], token_type_hint="access_token").status_code == 200
    assert bank.refresh(body["refresh_token"]).json["error"] == "invalid_grant"
    assert [bank.read(t).status_code for t in (body["access_token"], fresh)] == [401, 401]


def test_another_consents_tokens_stay(bank: ThirdParty, world: factories.World) -> None:
    first, second = tokens_for(bank, world.actor), tokens_for(bank, world.actor)
    bank.revoke(first["refresh_token"])
    assert bank.read(second["access_token"]).status_code == 200


@pytest.mark.parametrize("hint", [LEFT_OUT, "access_token", "refresh_token", "nonsense"])
@pytest.mark.parametrize("token", ["dsa_at_unknown", "x", "a.b.c"])
def test_an_unknown_token_is_no_error(bank: ThirdParty, token: str, hint: str) -> None:
    answer = bank.revoke(token, token_type_hint=hint)
    assert (answer.status_code, answer.json) == (200, {})


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense"])
@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_a_hint_changes_nothing(bank: ThirdParty, world: factories.World, which: str, hint: str) -> None:
    body = tokens_for(bank, world.actor)
    assert bank.revoke(body[which], token_type_hint=hint).status_code == 200
    assert bank.introspect(body[which]).json == {"active": False}
    assert bank.introspect(body["access_token"]).json == {"active": False}
    assert bank.introspect(body["refresh_token"]).json["active"] is (which == "access_token")


def test_a_second_time_is_no_error(bank: ThirdParty, world: factories.World) -> None:
    token = tokens_for(bank, world.actor)["refresh_token"]
    assert [bank.revoke(token).status_code for _ in range(2)] == [200, 200]


def test_only_ones_own(bank: ThirdParty, world: factories.World, client: FlaskClient) -> None:
    body = tokens_for(bank, world.actor)
    other = factories.party(clock.now(), "thief")
    db.session.commit()
    assert ThirdParty(other, client).revoke(body["access_token"]).json["error"] == "invalid_grant"
    assert client.post("/oauth/revoke", data={"token": body["access_token"]}).status_code == 401
    assert bank.revoke("").json["error"] == "invalid_request"
    assert bank.read(body["access_token"]).status_code == 200
