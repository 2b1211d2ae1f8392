"""Resource indicators (RFC 8707), access tokens as JWT (RFC 9068), and the command that registers resource servers."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from consent.clients import Profile
from consent.keys import KeyUse
from consent.oauth import resources
from consent.oauth.bindings import digest_of
from consent.oauth.tokens import Token
from dataspace import clock, jose
from dataspace.db import db
from tests import factories
from tests.conftest import ISSUER
from tests.consent.third_party import LEFT_OUT, ThirdParty, code_for, tokens_for

LEDGER = "https://ledger.example/api"  # takes JWT
ARCHIVE = "https://archive.example"  # takes opaque tokens


@pytest.fixture
def world(app: Flask) -> factories.World:
    now = clock.now()
    world = factories.world(now)
    resources.add(LEDGER, "jwt", None, now, issuer=ISSUER)
    resources.add(ARCHIVE, "opaque", None, now, issuer=ISSUER)
    db.session.commit()
    return world


@pytest.fixture
def bank(world: factories.World, client: FlaskClient) -> ThirdParty:
    return ThirdParty(world.party, client)


@pytest.fixture
def shop(world: factories.World, client: FlaskClient) -> ThirdParty:
    party = factories.party(clock.now(), "shop", profile=Profile.LOGIN, method="client_secret_basic")
    db.session.commit()
    return ThirdParty(party, client)


def kept(token: str) -> str:
    """The resource that is stored with a token."""
    found = db.session.scalar(select(Token.resource).where(Token.digest == digest_of(token)))
    assert found is not None
    return found


# RFC 8707 section 2: which values are taken

REFUSED: dict[str, Any] = {
    "rfc8707 2 relative": "/api/v1",
    "rfc8707 2 no scheme": "ledger.example",
    "rfc8707 2 fragment": f"{LEDGER}#part",
    "rfc8707 2 empty fragment": f"{LEDGER}#",
    "rfc8707 2 unknown": "https://other.example",
    "rfc8707 2 longer path": f"{LEDGER}/more",
    "rfc8707 2 other case": "https://LEDGER.example/api",
    "rfc8707 2 one of two unknown": [LEDGER, "https://other.example"],
    "rfc8707 2 no address": "https://[broken",
    "rfc8707 2 not ascii": "https://ledger.example/账",
    "rfc8707 2 too many": [f"https://r{n}.example" for n in range(5)],
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=list(REFUSED))
def test_refused_at_the_pushed_request(bank: ThirdParty, value: Any) -> None:
    answer = bank.push(resource=value)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_target")


@pytest.mark.parametrize("value", REFUSED.values(), ids=list(REFUSED))
def test_refused_at_the_token_endpoint_and_the_code_lives(bank: ThirdParty, world: factories.World, value: Any) -> None:
    code, _consent = code_for(bank, world.actor, resource=[LEDGER, ISSUER])
    answer = bank.token(code, resource=value)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_target")
    assert bank.token(code).status_code == 200


def test_refused_at_authorize_through_the_redirect(shop: ThirdParty) -> None:
    answer = shop.http.get(shop.authorize_url(resource="https://other.example"))
    assert answer.status_code == 303
    assert "error=invalid_target" in answer.headers["Location"]
    assert "iss=" in answer.headers["Location"]


@pytest.mark.parametrize("name", ["scope", "state", "redirect_uri", "grant_id"])
def test_no_other_parameter_may_be_repeated(bank: ThirdParty, name: str) -> None:
    answer = bank.push(**{name: ["a", "b"]})
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")


# RFC 8707 section 2.2: what the tokens are for

NARROWING: dict[str, tuple[Any, Any, list[str]]] = {
    "rfc8707 2.2 nothing asked": (LEFT_OUT, LEFT_OUT, [ISSUER]),
    "rfc8707 2.2 nothing asked, issuer named": (LEFT_OUT, ISSUER, [ISSUER]),
    "rfc3986 6.2.3 issuer with its empty path": (f"{ISSUER}/", LEFT_OUT, [ISSUER]),
    "rfc8707 2.2 one asked": (ARCHIVE, LEFT_OUT, [ARCHIVE]),
    "rfc8707 2.2 two asked": ([ISSUER, ARCHIVE], LEFT_OUT, [ISSUER, ARCHIVE]),
    "rfc8707 2.2 two asked, narrowed": ([ISSUER, ARCHIVE], ARCHIVE, [ARCHIVE]),
    "rfc8707 2.2 two asked, narrowed to us": ([ARCHIVE, ISSUER], ISSUER, [ISSUER]),
    "rfc8707 2 the same twice": ([ARCHIVE, ARCHIVE], LEFT_OUT, [ARCHIVE]),
}


@pytest.mark.parametrize(("asked", "named", "audience"), NARROWING.values(), ids=list(NARROWING))
def test_whom_a_token_is_for(
    bank: ThirdParty, world: factories.World, asked: Any, named: Any, audience: list[str]
) -> None:
    code, _consent = code_for(bank, world.actor, resource=asked)
    body = bank.token(code, resource=named).json
    said = bank.introspect(body["access_token"]).json["aud"]
    assert said == (audience[0] if len(audience) == 1 else audience)
    # The refresh token still stands for everything that was asked.
    again = bank.refresh(body["refresh_token"]).json
    assert kept(again["access_token"]) == kept(body["refresh_token"])
    read = bank.read(body["access_token"])
    assert read.status_code == (200 if ISSUER in audience else 401), read.text


@pytest.mark.parametrize("named", [LEDGER, [ISSUER, ARCHIVE], [ARCHIVE, LEDGER]])
def test_a_refresh_names_nothing_new(bank: ThirdParty, world: factories.World, named: Any) -> None:
    body = tokens_for(bank, world.actor, resource=ARCHIVE)
    answer = bank.refresh(body["refresh_token"], resource=named)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_target")
    assert bank.refresh(body["refresh_token"], resource=ARCHIVE).status_code == 200


def test_a_token_for_another_resource_reads_nothing_here(bank: ThirdParty, world: factories.World) -> None:
    token = tokens_for(bank, world.actor, resource=ARCHIVE, scope="openid")["access_token"]
    refused = bank.read(token)
    assert (refused.status_code, refused.json["code"]) == (401, "invalid_token")
    proof = bank.proof("GET", "/userinfo", access_token=token)
    user_info = bank.http.get("/userinfo", headers={"Authorization": f"DPoP {token}", "DPoP": proof})
    assert (user_info.status_code, user_info.json["error"]) == (401, "invalid_token")


def test_a_resource_that_was_removed_brings_no_more_tokens(bank: ThirdParty, world: factories.World) -> None:
    body = tokens_for(bank, world.actor, resource=LEDGER)
    resources.remove(LEDGER)
    db.session.commit()
    answer = bank.refresh(body["refresh_token"], resource=LEDGER)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_target")


# RFC 9068


def test_the_claims_of_a_jwt(bank: ThirdParty, world: factories.World) -> None:
    body = tokens_for(bank, world.actor, resource=LEDGER, scope="openid")
    token = jose.read(body["access_token"])
    key = factories.registry().keyring.verification_key(token.header["kid"], purpose=KeyUse.TOKENS, now=clock.now())
    said = jose.verify(
        token, [key], algorithms={"ES256"}, expected_typ="at+jwt", expected_iss=ISSUER, expected_aud=LEDGER,
        now=clock.now(), required=("exp", "iat", "jti", "sub", "client_id", "auth_time", "acr"),
    ).claims  # fmt: skip
    assert (said["client_id"], said["scope"], said["acr"]) == ("bank", "openid", world.actor.acr)
    assert said["sub"] == jose.unverified_claims(jose.read(body["id_token"]))["sub"]
    assert said["exp"] - said["iat"] == body["expires_in"] == 300
    assert said["cnf"] == {"jkt": bank.jkt}
    assert said["authorization_details"] == body["authorization_details"]
    assert said["grant_id"] == body["grant_id"]


FORM: dict[str, tuple[Any, bool]] = {
    "rfc9068 2 registered for jwt": (LEDGER, True),
    "opaque by default": (LEFT_OUT, False),
    "our own": (ISSUER, False),
    "registered for opaque": (ARCHIVE, False),
    "not all of them take a jwt": ([LEDGER, ARCHIVE], False),
    "ours among them": ([LEDGER, ISSUER], False),
}


@pytest.mark.parametrize(("asked", "is_jwt"), FORM.values(), ids=list(FORM))
def test_the_form_of_a_token(bank: ThirdParty, world: factories.World, asked: Any, is_jwt: bool) -> None:
    body = tokens_for(bank, world.actor, resource=asked)
    again = bank.refresh(body["refresh_token"]).json
    for token in (body["access_token"], again["access_token"]):
        assert (token.count(".") == 2) is is_jwt
        assert token.startswith("dsa_at_") is not is_jwt
    assert body["refresh_token"].startswith("dsa_rt_")
    assert body["access_token"] != again["access_token"]


def test_a_jwt_is_revoked_like_any_token(bank: ThirdParty, world: factories.World) -> None:
    token = tokens_for(bank, world.actor, resource=LEDGER)["access_token"]
    assert bank.introspect(token).json["active"] is True
    assert bank.revoke(token).status_code == 200
    assert bank.introspect(token).json == {"active": False}


def test_a_jwt_opens_nothing_at_our_own_api(bank: ThirdParty, world: factories.World) -> None:
    token = tokens_for(bank, world.actor, resource=LEDGER)["access_token"]
    assert (bank.read(token).status_code, bank.read(token).json["code"]) == (401, "invalid_token")


# RFC 9728


def test_metadata_of_the_resource(world: factories.World, client: FlaskClient) -> None:
    said = client.get("/.well-known/oauth-protected-resource").json
    assert said["resource"] == ISSUER
    assert said["resource_name"]
    assert said["resource_name#zh-Hans"]
    assert {"grant_management_query", "openid", "profile", "email"} <= set(said["scopes_supported"])
    assert said["bearer_methods_supported"] == ["header"]
    assert said["authorization_details_types_supported"] == ["data_space_access", "data_space_statutory_access"]
    assert client.get("/.well-known/oauth-authorization-server").json["protected_resources"] == [ISSUER]


# The command


def run(app: Flask, *arguments: str) -> tuple[int, str]:
    result = app.test_cli_runner().invoke(args=["resources", *arguments])
    return result.exit_code, result.output


def test_add_list_remove(app: Flask, world: factories.World) -> None:
    assert run(app, "add", "https://new.example", "--token-format", "jwt", "--client", "bank")[0] == 0
    assert "https://new.example" in run(app, "list")[1]
    assert resources.read_by("bank") == {"https://new.example"}
    assert run(app, "remove", "https://new.example")[0] == 0
    assert "https://new.example" not in run(app, "list")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "relative"], "absolute URI"),
        (["add", "https://a.example#x"], "absolute URI"),
        (["add", "https://a.example https://b.example"], "absolute URI"),
        (["add", ISSUER], "known already"),
        (["add", f"{ISSUER}/"], "known already"),
        (["add", LEDGER], "registered already"),
        (["add", "https://a.example", "--client", "nobody"], "no such client"),
        (["remove", "https://a.example"], "no such resource"),
    ],
)
def test_what_the_command_refuses(app: Flask, world: factories.World, arguments: list[str], said: str) -> None:
    code, output = run(app, *arguments)
    assert code == 1
    assert said in output
