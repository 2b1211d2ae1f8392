"""Metadata tells the truth: every member of the discovery documents, value by value, is done and not only said.

``@exercises`` names the members that a function puts to use. A member that nobody exercises fails the walk, and so does
an exercise of a member that is not advertised: neither document can grow or shrink unnoticed.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient

from consent.client_options import CIBA, CLIENT_CREDENTIALS, DEVICE_CODE
from consent.clients import AuthMethod, Client, Profile
from consent.oauth.response_modes import ResponseMode
from dataspace import clock, jose, jwk
from dataspace.db import db
from tests import factories
from tests.conftest import ISSUER
from tests.consent.authority import Authority, administrators, approved
from tests.consent.relying_party import arrive, asks_to_sign_in, claims_of, signed_in, user_info
from tests.consent.third_party import DETAILS, LEFT_OUT, ThirdParty, parameters_of, tokens_for
from tests.consent.visitor import Visitor, answer_of

pytestmark = pytest.mark.wire


@dataclass
class Truth:
    """One world with a data client and a relying party, and the document under examination."""

    world: factories.World
    app: Flask
    document: dict[str, Any]

    @property
    def http(self) -> FlaskClient:
        return self.app.test_client()

    def bank(self, **options: Any) -> ThirdParty:
        """The client that reads data."""
        bank = ThirdParty(self.world.party, self.http)
        bank.registers(**options)
        return bank

    def shop(self, method: str = AuthMethod.SECRET_BASIC, **options: Any) -> ThirdParty:
        """A fresh client that signs people in."""
        number = 1 + db.session.query(Client).count()
        party = factories.party(clock.now(), f"shop-{number}", profile=Profile.LOGIN, method=method, name="示例商店")
        shop = ThirdParty(party, self.http)
        shop.registers(**options)
        return shop

    def tax(self) -> Authority:
        """An authority that may read by law."""
        now = clock.now()
        tax = Authority.registered(self.http, now)
        approved(administrators(now), now)
        return tax

    def visitor(self) -> Visitor:
        return Visitor(self.http).sign_in(self.world.person, clock.now())

    def answered(self, third: ThirdParty, **changes: Any) -> dict[str, str]:
        """What comes back after the person has agreed, now or the time before."""
        visitor = self.visitor()
        page = visitor.get(third.authorize_url(**changes))
        return answer_of(visitor.tap("Agree") if page.offers("Agree") else page)


Exercise = Callable[[Truth, Any], None]
EXERCISES: dict[str, Exercise] = {}


def exercises(*members: str) -> Callable[[Exercise], Exercise]:
    def note(exercise: Exercise) -> Exercise:
        EXERCISES.update(dict.fromkeys(members, exercise))
        return exercise

    return note


# Addresses


@exercises("issuer")
def issuer(truth: Truth, value: str) -> None:
    assert value == ISSUER
    assert truth.http.get("/.well-known/oauth-authorization-server").json["issuer"] == value
    assert truth.answered(truth.shop())["iss"] == value


@exercises(
    "authorization_endpoint",
    "backchannel_authentication_endpoint",
    "device_authorization_endpoint",
    "end_session_endpoint",
    "grant_management_endpoint",
    "introspection_endpoint",
    "jwks_uri",
    "pushed_authorization_request_endpoint",
    "registration_endpoint",
    "revocation_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
)
def addresses(truth: Truth, value: str) -> None:
    """What each does is the matter of its own tests; here: something of ours answers, and nothing breaks."""
    path = urlsplit(value).path
    assert truth.http.options(path).status_code == 200
    answers = [truth.http.get(path), truth.http.post(path)]
    assert all(answer.status_code < 500 for answer in answers)
    assert {answer.status_code for answer in answers} - {404, 405}


# Requests


@exercises("response_types_supported")
def response_types(truth: Truth, value: list[str]) -> None:
    for response_type in value:
        assert "code" in truth.answered(truth.shop(), response_type=response_type)


@exercises("response_modes_supported")
def response_modes(truth: Truth, value: list[str]) -> None:
    shop = truth.shop(authorization_signed_response_alg="ES256")
    for mode in value:
        answer = truth.answered(shop, response_mode=mode)
        assert "code" in (shop.read_response(answer["response"]) if ResponseMode(mode).signed else answer)


@exercises("authorization_signing_alg_values_supported")
def signed_responses(truth: Truth, value: list[str]) -> None:
    for alg in value:
        shop = truth.shop(authorization_signed_response_alg=alg)
        response = truth.answered(shop, response_mode="jwt")["response"]
        assert jwt.get_unverified_header(response)["alg"] == alg
        assert "code" in shop.read_response(response)


@exercises("authorization_response_iss_parameter_supported")
def responses_say_who(truth: Truth, value: bool) -> None:
    visitor = truth.visitor()
    visitor.get(truth.shop().authorize_url())
    assert (value, answer_of(visitor.tap("Refuse"))["iss"]) == (True, ISSUER)


@exercises("code_challenge_methods_supported")
def challenges(truth: Truth, value: list[str]) -> None:
    bank = truth.bank()
    assert [bank.push(code_challenge_method=method).status_code for method in value] == [201] * len(value)
    assert bank.push(code_challenge_method="plain").status_code == 400


@exercises("require_pushed_authorization_requests")
def pushing_is_not_for_all(truth: Truth, value: bool) -> None:
    assert not value
    assert "code" in truth.answered(truth.shop())
    turned_away = truth.http.get("/authorize", query_string=truth.bank().request())
    assert "error=invalid_request" in turned_away.location, "but for whoever reads data"


@exercises("request_parameter_supported", "request_object_signing_alg_values_supported")
def request_objects(truth: Truth, value: list[str] | bool) -> None:
    assert value
    for alg in truth.document["request_object_signing_alg_values_supported"]:
        shop = truth.shop(AuthMethod.PRIVATE_KEY_JWT, request_object_signing_alg=alg)
        signing = with_key(shop, alg)
        inside = shop.request() | {"iss": shop.client_id, "aud": ISSUER, **lifetime()}
        signed = jwt.encode(inside, None, "none") if alg == "none" else jose.sign(inside, signing, typ="JWT")
        outside = {"client_id": shop.client_id, "response_type": "code", "scope": "openid profile", "request": signed}
        visitor = truth.visitor()
        visitor.get(f"/authorize?{urlencode(outside)}")
        assert "code" in answer_of(visitor.tap("Agree")), alg


@exercises("request_uri_parameter_supported", "require_request_uri_registration")
def request_uris(truth: Truth, value: bool) -> None:
    """That a registered one is fetched is told by the tests of request objects, with a server to fetch from."""
    assert value
    shop = truth.shop(request_uris=["https://bank.example/request.jwt"])
    query = shop.request() | {"request_uri": "https://bank.example/another.jwt"}
    answer = truth.http.get("/authorize", query_string=query)
    assert parameters_of(answer.location)["error"] == "invalid_request_uri"


@exercises("require_signed_request_object")
def signing_is_not_for_all(truth: Truth, value: bool) -> None:
    assert (value, truth.bank().push().status_code) == (False, 201)
    assert truth.bank(require_signed_request_object=True).push().status_code == 400


@exercises("prompt_values_supported")
def prompts(truth: Truth, value: list[str]) -> None:
    shop, seen = truth.shop(), {}
    for prompt in value:
        visitor = truth.visitor()
        page = arrive(shop, visitor, prompt=prompt)
        seen[prompt] = (
            "error" if page.response.location else "sign in" if asks_to_sign_in(visitor) else page.response.status_code
        )
    assert seen == {"none": "error", "login": "sign in", "consent": 200, "select_account": "sign in"}


@exercises("display_values_supported", "ui_locales_supported")
def displays_and_languages(truth: Truth, value: list[str]) -> None:
    shop = truth.shop()
    for display in truth.document["display_values_supported"]:
        assert "code" in truth.answered(shop, display=display)
    for tag in truth.document["ui_locales_supported"]:
        page = arrive(shop, truth.visitor(), ui_locales=tag)
        assert f'lang="{tag}"' in page.html


@exercises("acr_values_supported")
def sign_in_strengths(truth: Truth, value: list[str]) -> None:
    shop = truth.shop()
    for acr in value:
        body = signed_in(shop, truth.world.person, acr_values=acr)
        assert claims_of(shop, body["id_token"])["acr"] == acr


@exercises("scopes_supported")
def scopes(truth: Truth, value: list[str]) -> None:
    taken = set()
    for scope in value:
        answers = [third.push(scope=f"openid {scope}") for third in (truth.bank(), truth.shop())]
        taken |= {scope for answer in answers if answer.status_code == 201}
    assert taken == set(value)


@exercises("claims_parameter_supported", "claims_supported", "claim_types_supported")
def claims(truth: Truth, value: list[str] | bool) -> None:
    """Every claim is told where its facts are there, or is known to need facts that this person has not."""
    assert value in (True, ["normal"], truth.document["claims_supported"])
    shop = truth.shop()
    offered = truth.document["claims_supported"]
    scope = " ".join({"openid", "profile", "email", "phone", "address"} & set(truth.document["scopes_supported"]))
    asked = json.dumps({"userinfo": dict.fromkeys(offered), "id_token": dict.fromkeys(offered)})
    body = signed_in(shop, truth.world.person, scope=scope, claims=asked)
    told = claims_of(shop, body["id_token"]).keys() | user_info(shop, body["access_token"]).json.keys()
    assert told - set(offered) <= {"at_hash"}, "told, and not advertised"
    assert {"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "name"} <= told


# Rich requests and grants


@exercises("authorization_details_types_supported")
def types_of_details(truth: Truth, value: list[str]) -> None:
    by_consent = tokens_for(truth.bank(), truth.world.actor)
    by_law = truth.tax().demands().json
    assert [detail["type"] for body in (by_consent, by_law) for detail in body["authorization_details"]] == value
    assert truth.bank().push(authorization_details=json.dumps([DETAILS[0] | {"type": "other"}])).status_code == 400


@exercises("protected_resources")
def resources(truth: Truth, value: list[str]) -> None:
    for resource in value:
        assert truth.http.get("/.well-known/oauth-protected-resource").json["resource"] == resource
        bank = truth.bank()
        token = tokens_for(bank, truth.world.actor, resource=resource)["access_token"]
        assert bank.read(token).status_code == 200


@exercises("grant_management_actions_supported", "grant_management_action_required")
def grants(truth: Truth, value: list[str] | bool) -> None:
    assert set(truth.document["grant_management_actions_supported"]) == {"query", "revoke", "create", "replace"}
    bank = truth.bank()
    scope = "grant_management_query grant_management_revoke"
    given = tokens_for(bank, truth.world.actor, scope=scope, grant_management_action="create")
    replacing = {"grant_management_action": "replace", "grant_id": given["grant_id"]}
    assert bank.push(**replacing).status_code == 201
    for method, status in (("GET", 200), ("DELETE", 204)):
        path = f"/oauth/grants/{given['grant_id']}"
        proof = bank.proof(method, path, access_token=given["access_token"])
        headers = {"Authorization": f"DPoP {given['access_token']}", "DPoP": proof}
        assert truth.http.open(path, method=method, headers=headers).status_code == status
    assert bank.push().status_code == 201, "no action is required"


# To somebody who is elsewhere

TO_SOMEBODY = {
    "authorization_details": json.dumps(DETAILS), "scope": "openid", "login_hint": "BCDF-GHJK", "binding_message": "W4",
}  # fmt: skip


@exercises("backchannel_token_delivery_modes_supported")
def ways_of_delivery(truth: Truth, value: list[str]) -> None:
    assert value == ["poll"], "nothing is sent to a notification endpoint"
    bank = truth.bank(grant_types=["authorization_code", CIBA], backchannel_token_delivery_mode="poll")
    assert bank.post("/oauth/backchannel", TO_SOMEBODY, proof=LEFT_OUT).json["interval"] == 5


@exercises("backchannel_user_code_parameter_supported")
def no_code_of_the_person_beside_the_hint(truth: Truth, value: bool) -> None:
    assert value is False
    bank = truth.bank(grant_types=["authorization_code", CIBA], backchannel_token_delivery_mode="poll")
    assert bank.post("/oauth/backchannel", TO_SOMEBODY, proof=LEFT_OUT).status_code == 200, "no user_code is missed"


@exercises("backchannel_authentication_request_signing_alg_values_supported")
def signed_backchannel_requests(truth: Truth, value: list[str]) -> None:
    for alg in value:
        key = jwk.SigningKey(kid=f"b-{alg}", alg=alg, private_key=jwk.generate_key(alg))
        bank = truth.bank(
            grant_types=["authorization_code", CIBA],
            backchannel_token_delivery_mode="poll",
            backchannel_authentication_request_signing_alg=alg,
        )
        own = jwk.public_jwk(bank.party.key.private_key, kid=bank.party.key.kid, alg=bank.party.key.alg)
        bank.party.client.jwks = {"keys": [own, jwk.public_jwk(key.private_key, kid=key.kid, alg=alg)]}
        db.session.commit()
        now = int(clock.now().timestamp())
        about = {"iss": bank.client_id, "aud": ISSUER, "nbf": now, "iat": now, "exp": now + 60, "jti": f"once-{alg}"}
        inside = TO_SOMEBODY | {"authorization_details": DETAILS} | about
        request = jose.sign(inside, key, typ="oauth-authz-req+jwt")
        assert bank.post("/oauth/backchannel", {"request": request}, proof=LEFT_OUT).status_code == 200
        assert bank.post("/oauth/backchannel", TO_SOMEBODY, proof=LEFT_OUT).status_code == 400, "it signs"


# Tokens


@exercises("grant_types_supported")
def grant_types(truth: Truth, value: list[str]) -> None:
    assert set(value) == {"authorization_code", "refresh_token", DEVICE_CODE, CIBA, CLIENT_CREDENTIALS}
    bank = truth.bank(grant_types=value, backchannel_token_delivery_mode="poll")
    begun = bank.post("/oauth/device_authorization", {"authorization_details": json.dumps(DETAILS)}, proof=LEFT_OUT)
    asked = {"grant_type": DEVICE_CODE, "device_code": begun.json["device_code"]}
    assert bank.post("/oauth/token", asked).json["error"] == "authorization_pending", "the rest: test_device.py"
    begun = bank.post("/oauth/backchannel", TO_SOMEBODY, proof=LEFT_OUT)
    asked = {"grant_type": CIBA, "auth_req_id": begun.json["auth_req_id"]}
    assert bank.post("/oauth/token", asked).json["error"] == "authorization_pending", "the rest: test_ciba.py"
    assert bank.refresh(tokens_for(bank, truth.world.actor)["refresh_token"]).status_code == 200
    tax = truth.tax()
    assert tax.read(tax.token_for_case()).status_code == 200, "the rest: test_statutory.py"


@exercises(
    "token_endpoint_auth_methods_supported",
    "introspection_endpoint_auth_methods_supported",
    "revocation_endpoint_auth_methods_supported",
)
def client_authentication(truth: Truth, value: list[str]) -> None:
    for method in value:
        shop = truth.shop(method)
        token = tokens_for(shop, truth.world.actor)["access_token"]
        assert shop.introspect(token).json["active"] is True
        assert shop.revoke(token).status_code == 200
        assert shop.introspect(token).json == {"active": False}


@exercises(
    "token_endpoint_auth_signing_alg_values_supported",
    "introspection_endpoint_auth_signing_alg_values_supported",
    "revocation_endpoint_auth_signing_alg_values_supported",
)
def assertions(truth: Truth, value: list[str]) -> None:
    for alg in value:
        shop = truth.shop(AuthMethod.PRIVATE_KEY_JWT)
        signing = with_key(shop, alg)
        for path in ("/oauth/token", "/oauth/introspect", "/oauth/revoke", "/oauth/par"):
            answer = shop.post(path, {"token": "x"}, client_assertion=shop.assertion(key=signing))
            assert answer.status_code != 401, (path, alg)


@exercises("dpop_signing_alg_values_supported")
def proofs(truth: Truth, value: list[str]) -> None:
    for alg in value:
        bank = truth.bank()
        bank.proof_key = jwk.SigningKey(kid=None, alg=alg, private_key=jwk.generate_key(alg))
        assert bank.read(tokens_for(bank, truth.world.actor)["access_token"]).status_code == 200


@exercises("introspection_signing_alg_values_supported")
def signed_introspection(truth: Truth, value: list[str]) -> None:
    for alg in value:
        shop = truth.shop(introspection_signed_response_alg=alg)
        answer = shop.introspect(signed_in(shop, truth.world.person)["access_token"])
        assert answer.mimetype == "application/token-introspection+jwt"
        assert jwt.get_unverified_header(answer.text)["alg"] == alg


@exercises("id_token_signing_alg_values_supported")
def id_tokens(truth: Truth, value: list[str]) -> None:
    for alg in value:
        shop = truth.shop()
        shop.party.client.id_token_signed_response_alg = alg
        db.session.commit()
        id_token = signed_in(shop, truth.world.person)["id_token"]
        assert jwt.get_unverified_header(id_token)["alg"] == alg
        assert claims_of(shop, id_token)["aud"] == shop.client_id


@exercises("userinfo_signing_alg_values_supported")
def signed_userinfo(truth: Truth, value: list[str]) -> None:
    for alg in value:
        shop = truth.shop(userinfo_signed_response_alg=alg)
        answer = user_info(shop, signed_in(shop, truth.world.person)["access_token"])
        assert (answer.mimetype, jwt.get_unverified_header(answer.text)["alg"]) == ("application/jwt", alg)


@exercises("subject_types_supported")
def subjects(truth: Truth, value: list[str]) -> None:
    found = {}
    for kind in value:
        shop = truth.shop(subject_type=kind)
        found[kind] = claims_of(shop, signed_in(shop, truth.world.person)["id_token"])["sub"]
    assert len(set(found.values())) == 2


# Logout


@exercises("backchannel_logout_supported", "backchannel_logout_session_supported")
def logout(truth: Truth, value: bool) -> None:
    """That the notice arrives is told by the tests of back-channel logout; here: there is a session to end."""
    shop = truth.shop(backchannel_logout_uri="https://bank.example/logout")
    assert (value, "sid" in claims_of(shop, signed_in(shop, truth.world.person)["id_token"])) == (True, True)


# What the exercises share


def lifetime() -> dict[str, int]:
    now = int(clock.now().timestamp())
    return {"iat": now, "nbf": now, "exp": now + 60}


def with_key(third: ThirdParty, alg: str) -> jwk.SigningKey:
    """Register one fresh key of this algorithm for a client."""
    alg = "ES256" if alg == "none" else alg
    signing = jwk.SigningKey(kid=f"{third.client_id}-{alg}", alg=alg, private_key=jwk.generate_key(alg))
    third.party.client.jwks = {"keys": [jwk.public_jwk(signing.private_key, kid=signing.kid, alg=alg)]}
    db.session.commit()
    return signing


# The walk


@pytest.fixture
def document(world: factories.World, client: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/.well-known/openid-configuration").json
    return found


def test_every_member_is_exercised(document: dict[str, Any]) -> None:
    assert document.keys() - EXERCISES.keys() == set(), "advertised, and nobody tries it"
    assert EXERCISES.keys() - document.keys() == set(), "tried, and not advertised"


@pytest.mark.parametrize("member", sorted(EXERCISES))
def test_it_is_true(app: Flask, world: factories.World, document: dict[str, Any], member: str) -> None:
    EXERCISES[member](Truth(world, app, document), document[member])


def test_nothing_is_said_twice_or_of_nothing(document: dict[str, Any]) -> None:
    for name, value in document.items():
        assert value not in ([], "", {}, None), name
        assert not isinstance(value, list) or len(set(value)) == len(value), name


def test_breaks_15_members_are_registered_ones(document: dict[str, Any]) -> None:
    assert all(re.fullmatch(r"[a-z_]+(_supported|_endpoint|_uri|_required|_registration)?", name) for name in document)
    for tag in document["ui_locales_supported"]:
        assert re.fullmatch(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?", tag), "BCP 47"
    assert all(v.startswith(ISSUER) for n, v in document.items() if n.endswith(("_endpoint", "jwks_uri")))
