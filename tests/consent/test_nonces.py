"""Server nonces for DPoP proofs (RFC 9449 sections 8 and 9): offered, or required where the settings say so."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from consent.oauth import nonces
from consent.oauth.nonces import WINDOW, Nonces
from dataspace import clock
from dataspace.accesses import Access
from dataspace.db import db
from dataspace.settings import Settings
from tests import factories
from tests.conftest import make_settings
from tests.consent.third_party import LEFT_OUT, ThirdParty, code_for, tokens_for
from wsgi import create_app

pytestmark = pytest.mark.wire

SECRET = "s" * 43
NOW = dt.datetime(2026, 3, 1, 12, 0, 30, tzinfo=dt.UTC)


def own(*, server: str = "here", secret: str = SECRET) -> Nonces:
    return Nonces(secret, server=server, required=True)


def test_every_process_with_the_settings_knows_them() -> None:
    assert own().knows(own().current(NOW), NOW)
    assert own().current(NOW) == own().current(NOW + dt.timedelta(seconds=20))


def test_they_change_every_minute_and_the_one_before_still_counts() -> None:
    given_now = own().current(NOW)
    assert len({own().current(NOW + n * WINDOW) for n in range(100)}) == 100
    assert own().knows(given_now, NOW + WINDOW)
    assert own().knows(given_now, NOW - WINDOW), "the clock of another machine is ahead"
    for later in (2 * WINDOW, -2 * WINDOW, dt.timedelta(days=1)):
        assert not own().knows(given_now, NOW + later)
    assert dt.timedelta(seconds=30) <= WINDOW <= dt.timedelta(minutes=5)


@pytest.mark.parametrize("other", [own(server="there"), own(secret="t" * 43)], ids=["another server", "another secret"])
def test_of_another_server(other: Nonces) -> None:
    assert not own().knows(other.current(NOW), NOW)


def test_the_two_servers_of_one_installation_have_their_own() -> None:
    settings = make_settings("sqlite://")
    authorization, resource = nonces.of_authorization_server(settings), nonces.of_resource_server(settings)
    assert authorization.current(NOW) != resource.current(NOW)
    assert not authorization.required


@given(st.none() | st.text() | st.integers() | st.binary() | st.lists(st.text()))
def test_garbage_in_place_of_a_nonce(garbage: Any) -> None:
    assert not own().knows(garbage, NOW)


# In the protocol


@pytest.fixture
def bank(world: factories.World, client: FlaskClient) -> ThirdParty:
    return ThirdParty(world.party, client)


@pytest.fixture
def strict(settings: Settings, bank: ThirdParty) -> Iterator[ThirdParty]:
    """The same bank before a server on the same data that requires nonces."""
    app = create_app(make_settings(settings.database_url, dpop_nonce="required"))
    with app.app_context():
        yield replace(bank, http=app.test_client())
        db.session.remove()
        db.engine.dispose()


def test_offered_with_every_answer_to_a_proof(bank: ThirdParty, world: factories.World) -> None:
    pushed = bank.push(proof=bank.proof("POST", "/oauth/par"))
    code, _consent = code_for(bank, world.actor)
    exchanged = bank.token(code)
    token = exchanged.json["access_token"]
    answers = [pushed, exchanged, bank.read(token), bank.read(token, "/api/v1/data/p.other")]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 403]
    given_out = [answer.headers.getlist("DPoP-Nonce") for answer in answers]
    assert [len(values) for values in given_out] == [1, 1, 1, 1]
    assert given_out[0] == given_out[1] != given_out[2] == given_out[3]


def test_nobody_else_is_bothered(bank: ThirdParty, world: factories.World) -> None:
    token = tokens_for(bank, world.actor)["access_token"]
    for answer in (bank.push(), bank.introspect(token), bank.revoke(token), bank.read(token, scheme="Bearer")):
        assert "DPoP-Nonce" not in answer.headers


def test_a_nonce_that_was_offered_is_taken(bank: ThirdParty, world: factories.World) -> None:
    code, _consent = code_for(bank, world.actor)
    nonce = bank.push(proof=bank.proof("POST", "/oauth/par")).headers["DPoP-Nonce"]
    exchanged = bank.token(code, proof=bank.proof("POST", "/oauth/token", nonce=nonce))
    assert exchanged.status_code == 200


WRONG: dict[str, Callable[[dt.datetime, Nonces, Nonces], Any]] = {
    "made up": lambda _now, _right, _other: "made-up",
    "empty": lambda _now, _right, _other: "",
    "a number": lambda _now, _right, _other: 7,
    "null": lambda _now, _right, _other: None,
    "of the other server": lambda now, _right, other: other.current(now),
    "of an hour ago": lambda now, right, _other: right.current(now - dt.timedelta(hours=1)),
    "of the next hour": lambda now, right, _other: right.current(now + dt.timedelta(hours=1)),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_breaks_19_a_wrong_nonce_is_refused_although_none_is_required(
    bank: ThirdParty, world: factories.World, settings: Settings, wrong: Callable[[dt.datetime, Nonces, Nonces], Any]
) -> None:
    now = clock.now()
    at_server, at_resource = nonces.of_authorization_server(settings), nonces.of_resource_server(settings)
    code, _consent = code_for(bank, world.actor)
    proof = bank.proof("POST", "/oauth/token", nonce=wrong(now, at_server, at_resource))
    refused = bank.token(code, proof=proof)
    assert (refused.status_code, refused.json["error"]) == (400, "use_dpop_nonce")
    proof = bank.proof("POST", "/oauth/token", nonce=refused.headers["DPoP-Nonce"])
    token = bank.token(code, proof=proof).json["access_token"]
    proof = bank.proof("GET", "/api/v1/data", access_token=token, nonce=wrong(now, at_resource, at_server))
    assert bank.read(token, proof=proof).json["code"] == "use_dpop_nonce"


def test_required_at_par(strict: ThirdParty) -> None:
    refused = strict.push(proof=strict.proof("POST", "/oauth/par"))
    assert (refused.status_code, refused.json["error"]) == (400, "use_dpop_nonce")
    nonce = refused.headers["DPoP-Nonce"]
    assert strict.push(proof=strict.proof("POST", "/oauth/par", nonce=nonce)).status_code == 201
    assert strict.push().status_code == 201, "a proof is not required here, so neither is a nonce"


def test_required_at_the_token_endpoint(strict: ThirdParty, bank: ThirdParty, world: factories.World) -> None:
    code, _consent = code_for(bank, world.actor)
    refused = strict.token(code)
    assert (refused.status_code, refused.json["error"]) == (400, "use_dpop_nonce")
    assert refused.headers["Cache-Control"] == "no-store"
    nonce = refused.headers["DPoP-Nonce"]
    first = strict.token(code, proof=strict.proof("POST", "/oauth/token", nonce=nonce))
    assert first.status_code == 200, "the code was not used up"
    assert strict.refresh(first.json["refresh_token"]).json["error"] == "use_dpop_nonce"
    again = strict.refresh(first.json["refresh_token"], proof=strict.proof("POST", "/oauth/token", nonce=nonce))
    assert again.status_code == 200


def test_required_by_the_data_api(strict: ThirdParty, bank: ThirdParty, world: factories.World) -> None:
    token = tokens_for(bank, world.actor)["access_token"]
    refused = strict.read(token)
    assert (refused.status_code, refused.json["code"]) == (401, "use_dpop_nonce")
    challenge = refused.headers["WWW-Authenticate"]
    assert challenge.startswith('DPoP error="use_dpop_nonce"')
    assert db.session.scalar(select(func.count()).select_from(Access)) == 0, (
        "the holder is not shown what is no attempt"
    )
    nonce = refused.headers["DPoP-Nonce"]
    proof = strict.proof("GET", "/api/v1/data", access_token=token, nonce=nonce)
    assert strict.read(token, proof=proof).status_code == 200
    assert strict.read(token, proof=proof).json["code"] == "invalid_dpop_proof", "a nonce may come twice, a jti may not"


@pytest.mark.parametrize("path", ["/userinfo", "/oauth/grants/{grant_id}"])
def test_required_wherever_a_token_opens(
    strict: ThirdParty, bank: ThirdParty, world: factories.World, path: str
) -> None:
    issued = tokens_for(bank, world.actor, scope="openid grant_management_query")
    path, token = path.format(**issued), issued["access_token"]
    refused = strict.read(token, path)
    assert (refused.status_code, refused.json["error"]) == (401, "use_dpop_nonce")
    challenge = refused.headers["WWW-Authenticate"]
    assert challenge.startswith("DPoP ")
    assert 'error="use_dpop_nonce"' in challenge
    nonce = refused.headers["DPoP-Nonce"]
    answer = strict.read(token, path, proof=strict.proof("GET", path, access_token=token, nonce=nonce))
    assert (answer.status_code, answer.headers["DPoP-Nonce"]) == (200, nonce)


def test_no_proof_at_all_is_another_mistake(strict: ThirdParty, bank: ThirdParty, world: factories.World) -> None:
    code, _consent = code_for(bank, world.actor)
    assert strict.token(code, proof=LEFT_OUT).json["error"] == "invalid_request"
