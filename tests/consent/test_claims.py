"""What a sign-in tells of a person: by scope, by the claims parameter, as the consent page said, and logged."""

import datetime as dt
import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from consent import claims
from consent.clients import Profile
from consent.oauth import identity
from consent.purposes import Purpose
from dataspace import catalogue, clock, jose
from dataspace.accesses import Access
from dataspace.db import db
from dataspace.holders import Holder
from tests import factories
from tests.conftest import ISSUER
from tests.consent.relying_party import answer_of, arrive, claims_of, signed_in, user_info
from tests.consent.third_party import DETAILS, LEFT_OUT, ThirdParty, parameters_of, tokens_for
from tests.consent.visitor import Visitor

pytestmark = pytest.mark.wire

PASSKEY = "urn:dataspace:acr:passkey"
FIELDS = {
    identity.IDENTITY: ("name", "sex", "birth_date", "nationality_group", "id_no"),
    identity.CONTACT: ("email", "email_verified", "mobile", "mobile_verified", "postal_address"),
    identity.SELF: (
        "family_name", "given_name", "middle_name", "nickname", "preferred_username", "page", "picture", "website",
        "zoneinfo", "locale",
    ),
}  # fmt: skip
ROWS: dict[str, dict[str, Any]] = {
    identity.IDENTITY: {
        "name": "陈嘉怡", "sex": "女", "birth_date": "1990-03-15", "nationality_group": "汉族", "id_no": "440099",
    },
    identity.CONTACT: {
        "email": "chen.jiayi@example.com", "email_verified": True, "mobile": "+8610000000026",
        "mobile_verified": False, "postal_address": "示例市文明路12号",
    },
    identity.SELF: {
        "family_name": "陈", "given_name": "嘉怡", "middle_name": "Carrie", "nickname": "嘉嘉",
        "preferred_username": "jiayi", "page": "https://people.example/jiayi",
        "picture": "https://people.example/jiayi.jpg", "website": "https://jiayi.example/",
        "zoneinfo": "Asia/Shanghai", "locale": "zh-Hans-CN",
    },
}  # fmt: skip
EMAIL = {"email": "chen.jiayi@example.com", "email_verified": True}
PHONE = {"phone_number": "+8610000000026", "phone_number_verified": False}
ADDRESS = {"address": {"formatted": "示例市文明路12号"}}


@pytest.fixture
def world(app: Flask) -> factories.World:
    world = factories.world(clock.now())
    for item_id, fields in FIELDS.items():
        factories.record(world.person, factories.item(clock.now(), item_id, fields), [ROWS[item_id]], clock.now())
    db.session.commit()
    return world


@pytest.fixture
def shop(world: factories.World, client: FlaskClient) -> ThirdParty:
    party = factories.party(clock.now(), "shop", profile=Profile.LOGIN, method="client_secret_basic", name="示例商店")
    db.session.commit()
    return ThirdParty(party, client)


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor(app.test_client())


def told(third: ThirdParty, person: Holder, **changes: Any) -> dict[str, Any]:
    """What userinfo says, without the subject."""
    answer = user_info(third, signed_in(third, person, **changes)["access_token"])
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    assert found.pop("sub")
    return found


# By scope


BY_SCOPE: dict[str, tuple[str, dict[str, Any]]] = {
    "email": ("openid email", EMAIL),
    "phone": ("openid phone", PHONE),
    "address": ("openid address", ADDRESS),
    "another order": ("address email openid phone", EMAIL | PHONE | ADDRESS),
    "nothing": ("openid", {}),
    "an unknown one": ("openid pets", {}),
}


@pytest.mark.parametrize(("scope", "expected"), BY_SCOPE.values(), ids=BY_SCOPE.keys())
def test_breaks_09_scopes_and_types(
    shop: ThirdParty, world: factories.World, scope: str, expected: dict[str, Any]
) -> None:
    assert told(shop, world.person, scope=scope) == expected


def test_breaks_09_the_profile_is_complete(shop: ThirdParty, world: factories.World) -> None:
    found = told(shop, world.person, scope="openid profile")
    assert found.keys() == set(claims.SCOPES["profile"])
    assert (found["name"], found["gender"], found["birthdate"]) == ("陈嘉怡", "female", "1990-03-15")
    assert isinstance(found["updated_at"], int)
    assert dt.timedelta(hours=23) < clock.now() - dt.datetime.fromtimestamp(found["updated_at"], dt.UTC)


def test_breaks_09_scope_claims_are_not_in_the_id_token(shop: ThirdParty, world: factories.World) -> None:
    body = signed_in(shop, world.person, scope="openid profile email phone address")
    assert not claims_of(shop, body["id_token"]).keys() & set(claims.OFFERED)


SPOILED: dict[str, tuple[dict[str, Any], set[str]]] = {
    "no e-mail address": ({"email": None}, {"phone_number", "phone_number_verified", "address"}),
    "an empty one": ({"email": ""}, {"phone_number", "phone_number_verified", "address"}),
    "nobody knows whether it is verified": (
        {"email_verified": None},
        {"email", "phone_number", "phone_number_verified", "address"},
    ),
    "verified in words": (
        {"mobile_verified": "yes"},
        {"email", "email_verified", "phone_number", "address"},
    ),
    "nothing at all": (dict.fromkeys(FIELDS[identity.CONTACT]), set()),
}


@pytest.mark.parametrize(("row", "expected"), SPOILED.values(), ids=SPOILED.keys())
def test_breaks_09_what_is_not_there_is_absent(
    shop: ThirdParty, world: factories.World, row: dict[str, Any], expected: set[str]
) -> None:
    item = db.session.get_one(type(world.item), (identity.CONTACT, 1))
    factories.record(world.person, item, [ROWS[identity.CONTACT] | row], clock.now())
    db.session.commit()
    assert told(shop, world.person, scope="openid email phone address").keys() == expected


def test_whose_space_holds_nothing_is_known_by_name(shop: ThirdParty, world: factories.World) -> None:
    other = factories.holder(clock.now(), factories.OTHER_PERSON, "梁志文")
    db.session.commit()
    assert told(shop, other, scope="openid profile email phone address") == {"name": "梁志文"}


def test_a_record_that_changes_is_read_as_it_is_now(shop: ThirdParty, world: factories.World) -> None:
    token = signed_in(shop, world.person, scope="openid email")["access_token"]
    item = db.session.get_one(type(world.item), (identity.CONTACT, 1))
    factories.record(world.person, item, [ROWS[identity.CONTACT] | {"email": "new@example.com"}], clock.now())
    db.session.commit()
    assert user_info(shop, token).json["email"] == "new@example.com"


def test_every_read_is_in_the_holders_log(shop: ThirdParty, world: factories.World) -> None:
    told(shop, world.person, scope="openid email phone")
    row = db.session.scalars(select(Access)).one()
    assert (row.client_id, row.item_ids, row.space_id) == ("shop", [identity.CONTACT], world.person.space_id)


def test_a_narrower_refresh_tells_less(shop: ThirdParty, world: factories.World) -> None:
    body = signed_in(shop, world.person, scope="openid email phone offline_access")
    narrow = shop.refresh(body["refresh_token"], scope="openid phone").json
    assert user_info(shop, narrow["access_token"]).json.keys() == {"sub", *PHONE}


# By the claims parameter


def asking(userinfo: Any = LEFT_OUT, id_token: Any = LEFT_OUT) -> dict[str, str]:
    members = {"userinfo": userinfo, "id_token": id_token}
    return {"claims": json.dumps({name: value for name, value in members.items() if value is not LEFT_OUT})}


BY_NAME: dict[str, tuple[dict[str, str], set[str], set[str]]] = {
    "userinfo": (asking({"name": {"essential": True}}), {"name"}, set()),
    "voluntary": (asking({"email": None, "gender": {}}), {"email", "gender"}, set()),
    "id_token": (asking(id_token={"email": None, "name": {"essential": True}}), set(), {"email", "name"}),
    "both": (asking({"email": None}, {"phone_number": None}), {"email"}, {"phone_number"}),
    "with a value": (asking({"locale": {"value": "en"}}), {"locale"}, set()),
    "what we do not offer": (asking({"pet": {"essential": True}}, {"http://x.example/y": None}), set(), set()),
    "an unknown member": ({"claims": '{"verified_claims": {"email": null}}'}, set(), set()),
    "nothing": (asking({}, None), set(), set()),
    "what is always there": (asking(id_token={"auth_time": {"essential": True}, "acr": None}), set(), set()),
}


@pytest.mark.parametrize(("parameter", "in_userinfo", "in_id_token"), BY_NAME.values(), ids=BY_NAME.keys())
def test_claims_by_name(
    shop: ThirdParty, world: factories.World, parameter: dict[str, str], in_userinfo: set[str], in_id_token: set[str]
) -> None:
    body = signed_in(shop, world.person, scope="openid", **parameter)
    assert user_info(shop, body["access_token"]).json.keys() == {"sub"} | in_userinfo
    id_token = claims_of(shop, body["id_token"])
    assert id_token.keys() == {*claims.ALWAYS, "nonce", "at_hash", "sid"} | in_id_token
    assert "name" not in in_id_token or id_token["name"] == "陈嘉怡"


def test_scope_and_parameter_add_up(shop: ThirdParty, world: factories.World) -> None:
    body = signed_in(shop, world.person, scope="openid email offline_access", **asking({"name": None}))
    assert user_info(shop, body["access_token"]).json.keys() == {"sub", "name", *EMAIL}
    again = shop.refresh(body["refresh_token"]).json
    assert user_info(shop, again["access_token"]).json.keys() == {"sub", "name", *EMAIL}


MALFORMED: dict[str, str] = {
    "no JSON": "{",
    "a list": "[]",
    "a number": "1",
    "null": "null",
    "a member that is a list": '{"userinfo": ["email"]}',
    "a claim that is a text": '{"userinfo": {"email": "please"}}',
    "a claim that is true": '{"id_token": {"acr": true}}',
    "essential in words": '{"userinfo": {"email": {"essential": "yes"}}}',
    "values that are none": '{"id_token": {"acr": {"values": "x"}}}',
    "too deep": '{"userinfo": ' + "[" * 4000 + "]" * 4000 + "}",
    "too long": json.dumps({"userinfo": {f"claim-{n}": None for n in range(800)}}),
}


@pytest.mark.parametrize("parameter", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_claims_are_refused(shop: ThirdParty, parameter: str) -> None:
    answer = shop.http.get(shop.authorize_url(claims=parameter))
    said = parameters_of(answer.location)
    assert (answer.status_code, said["error"], said["state"]) == (303, "invalid_request", "a state & more")
    assert said["error_description"].startswith("claims")


ACR: dict[str, tuple[dict[str, Any], str | None]] = {
    "essential and ours": ({"essential": True, "value": PASSKEY}, None),
    "essential, one of which is ours": ({"essential": True, "values": ["1", PASSKEY]}, None),
    "essential, any": ({"essential": True}, None),
    "not essential": ({"values": ["1", "2"]}, None),
    "essential and not ours": ({"essential": True, "values": ["1", "2"]}, "unmet_authentication_requirements"),
    "essential and impossible": ({"essential": True, "values": []}, "unmet_authentication_requirements"),
}


@pytest.mark.parametrize(("wanted", "error"), ACR.values(), ids=ACR.keys())
def test_an_acr_that_is_asked_for(
    shop: ThirdParty, world: factories.World, wanted: dict[str, Any], error: str | None
) -> None:
    parameter = asking(id_token={"acr": wanted})
    if error is None:
        assert claims_of(shop, signed_in(shop, world.person, **parameter)["id_token"])["acr"] == PASSKEY
    else:
        assert parameters_of(shop.http.get(shop.authorize_url(**parameter)).location)["error"] == error


@pytest.mark.parametrize("place", ["userinfo", "id_token"])
def test_a_subject_that_is_asked_for(shop: ThirdParty, world: factories.World, visitor: Visitor, place: str) -> None:
    factories.sign_in_consent("shop", world.actor, clock.now())
    visitor.sign_in(world.person, clock.now())
    sub = claims_of(shop, signed_in(shop, world.person)["id_token"])["sub"]
    for value, expected in ((sub, "code"), ("somebody else", "error")):
        url = shop.authorize_url(prompt="none", **asking(**{place: {"sub": {"value": value}}}))
        said = parameters_of(visitor.send("GET", url).location)
        assert expected in said
        assert said.get("error") in (None, "login_required")


def test_a_subject_and_a_hint_that_differ_fit_nobody(
    shop: ThirdParty, world: factories.World, visitor: Visitor
) -> None:
    body = signed_in(shop, world.person)
    visitor.sign_in(world.person, clock.now())
    more = asking(id_token={"sub": {"value": "somebody else"}})
    url = shop.authorize_url(prompt="none", id_token_hint=body["id_token"], **more)
    assert parameters_of(visitor.send("GET", url).location)["error"] == "login_required"


# What the person agreed to


def test_the_page_names_what_leaves_and_the_consent_keeps_it(
    shop: ThirdParty, world: factories.World, visitor: Visitor
) -> None:
    visitor.sign_in(world.person, clock.now())
    page = arrive(shop, visitor, scope="openid email", **asking({"address": None}, {"name": None}))
    assert "They learn your name, your e-mail address, your postal address, a number that stands for you" in page.says
    assert "phone" not in page.says
    done = visitor.tap("Agree")
    detail = visitor.get(done.link("Look at the authorization"))
    assert "your e-mail address" in detail.says


def test_who_asks_for_more_than_was_agreed_asks_again(
    shop: ThirdParty, world: factories.World, visitor: Visitor
) -> None:
    visitor.sign_in(world.person, clock.now())
    arrive(shop, visitor, scope="openid email")
    visitor.tap("Agree")
    assert "code" in answer_of(arrive(shop, visitor, scope="openid email"))
    assert arrive(shop, visitor, scope="openid email", **asking({"name": None})).offers("Agree")
    said = parameters_of(visitor.send("GET", shop.authorize_url(scope="openid phone", prompt="none")).location)
    assert said["error"] == "consent_required"


# Of a client that reads data: what it may read anyway


@pytest.fixture
def desk(world: factories.World, client: FlaskClient) -> ThirdParty:
    """The bank, with a purpose that needs to know who somebody is; how to reach her is optional."""
    now = clock.now()
    items = {item_id: catalogue.current([item_id])[item_id] for item_id in FIELDS}
    factories.purpose(
        now, "bank", "know-you", required=[items[identity.IDENTITY], items[identity.SELF]],
        optional=[items[identity.CONTACT]],
    )  # fmt: skip
    db.session.commit()
    return ThirdParty(world.party, client)


EVERYTHING = {name: {"essential": True} if name in ("name", "email") else None for name in claims.OFFERED}


def info_of(third: ThirdParty, token: str) -> dict[str, Any]:
    """What userinfo tells for a bound token, without the subject."""
    headers = {"Authorization": f"DPoP {token}", "DPoP": third.proof("GET", "/userinfo", access_token=token)}
    found: dict[str, Any] = third.http.get("/userinfo", headers=headers).json
    assert found.pop("sub")
    return found


@pytest.mark.parametrize("scope", ["openid know-you", "know-you openid"])
def test_claims_tell_what_a_consent_to_data_grants(desk: ThirdParty, world: factories.World, scope: str) -> None:
    parameter = asking(EVERYTHING, EVERYTHING) | {"authorization_details": LEFT_OUT}
    body = tokens_for(desk, world.actor, scope=scope, **parameter)
    said, told_at_once = info_of(desk, body["access_token"]), claims_of(desk, body["id_token"])
    assert said.keys() == set(claims.OFFERED)
    assert (said["name"], said["email"], said["gender"]) == ("陈嘉怡", "chen.jiayi@example.com", "female")
    assert {name: told_at_once[name] for name in claims.OFFERED} == said
    read = db.session.scalars(select(Access).filter_by(consent_id=body["grant_id"])).all()
    assert [sorted(row.item_ids) for row in read] == [sorted(FIELDS)] * 2, "the ID token and userinfo"


def test_what_the_holder_leaves_out_no_claim_tells(desk: ThirdParty, world: factories.World) -> None:
    row = db.session.get(Purpose, ("bank", "know-you"))
    given = factories.consent(
        factories.ask(row, clock.now(), scope=("openid",)), world.actor, clock.now(),
        items=[identity.IDENTITY, identity.SELF],
    )  # fmt: skip
    details = json.dumps([DETAILS[0] | {"purpose": "know-you"}])
    parameter = asking(EVERYTHING, None) | {"authorization_details": details}
    body = tokens_for(desk, world.actor, give=given, scope="openid", **parameter)
    assert info_of(desk, body["access_token"]).keys() == set(claims.SCOPES["profile"])


def test_claims_of_a_limited_consent_use_it_up(desk: ThirdParty, world: factories.World) -> None:
    row = db.session.get(Purpose, ("bank", "know-you"))
    row.max_reads = 1
    db.session.commit()
    parameter = asking({"email": None}, None) | {"authorization_details": LEFT_OUT}
    body = tokens_for(desk, world.actor, scope="openid know-you", **parameter)
    assert info_of(desk, body["access_token"]).keys() == {"email"}
    proof = desk.proof("GET", "/userinfo", access_token=body["access_token"])
    headers = {"Authorization": f"DPoP {body['access_token']}", "DPoP": proof}
    refused = desk.http.get("/userinfo", headers=headers)
    assert (refused.status_code, refused.json["error_description"]) == (401, "quota_exhausted")


def test_who_reads_data_has_no_sid_unless_it_hears_of_signing_out(desk: ThirdParty, world: factories.World) -> None:
    asked = {"scope": "openid know-you", "authorization_details": LEFT_OUT}
    assert "sid" not in claims_of(desk, signed_in(desk, world.person, **asked)["id_token"])
    world.party.client.options = {"backchannel_logout_uri": "https://bank.example/logout"}
    db.session.commit()
    assert "sid" in claims_of(desk, signed_in(desk, world.person, **asked)["id_token"])


def test_a_client_that_reads_data_learns_nothing_else_by_claims(world: factories.World, client: FlaskClient) -> None:
    bank = ThirdParty(world.party, client)
    details = json.dumps(DETAILS)
    parameter = asking({"email": None}, {"name": None, "phone_number": None})
    body = tokens_for(bank, world.actor, scope="openid", authorization_details=details, **parameter)
    assert not claims_of(bank, body["id_token"]).keys() & set(claims.OFFERED)
    proof = bank.proof("GET", "/userinfo", access_token=body["access_token"])
    headers = {"Authorization": f"DPoP {body['access_token']}", "DPoP": proof}
    assert bank.http.get("/userinfo", headers=headers).json.keys() == {"sub"}


# Signed userinfo


@pytest.mark.parametrize("alg", ["RS256", "ES256", "PS256"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_signed_userinfo(shop: ThirdParty, world: factories.World, alg: str, method: str) -> None:
    shop.party.client.options = {"userinfo_signed_response_alg": alg}
    db.session.commit()
    body = signed_in(shop, world.person, scope="openid email")
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    answer = shop.http.open("/userinfo", method=method, headers=headers)
    assert (answer.status_code, answer.mimetype) == (200, "application/jwt")
    assert jose.read(answer.text).header["alg"] == alg
    said = claims_of(shop, answer.text)
    assert said == {"sub": said["sub"], "iss": ISSUER, "aud": "shop", **EMAIL}
    assert said["sub"] == claims_of(shop, body["id_token"])["sub"]


def test_what_discovery_promises(client: FlaskClient) -> None:
    promised = client.get("/.well-known/openid-configuration").json
    assert set(claims.OFFERED) | {"sub", "auth_time", "acr", "amr"} <= set(promised["claims_supported"])
    assert {"openid", "profile", "email", "address", "phone"} <= set(promised["scopes_supported"])
    assert promised["claims_parameter_supported"] is True
    assert promised["acr_values_supported"] == [PASSKEY]
    assert promised["userinfo_signing_alg_values_supported"][0] == "RS256"
    assert promised["subject_types_supported"] == ["pairwise", "public"]
    assert set(promised["prompt_values_supported"]) == {"none", "login", "consent", "select_account"}
    assert promised["display_values_supported"][0] == "page"
    assert promised["ui_locales_supported"] == ["zh-Hans", "zh-Hant", "en"]
