"""OpenID Connect Core as a relying party meets it: who signs in, how recently, and what the ID token says of it.

``test_breaks_NN`` are the mistakes that most first implementations make, by their number in the list that we keep.
"""

import datetime as dt
import hashlib
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask.testing import FlaskClient

from consent import keys
from consent.clients import Profile
from consent.keys import KeyUse
from consent.oauth.id_tokens import LIFE
from dataspace import clock, jose, jwk
from dataspace.db import db
from dataspace.web.shell import services
from tests import factories
from tests.conftest import ISSUER
from tests.consent.relying_party import (
    answer_of,
    arrive,
    asks_to_sign_in,
    claims_of,
    sign_in_again,
    signed_in,
    user_info,
)
from tests.consent.third_party import LEFT_OUT, ThirdParty, parameters_of, tokens_for
from tests.consent.visitor import Visitor

pytestmark = pytest.mark.wire


def login_client(http: FlaskClient, client_id: str = "shop", host: str = "bank.example", **options: Any) -> ThirdParty:
    party = factories.party(
        clock.now(), client_id, profile=Profile.LOGIN, method="client_secret_basic", name="示例商店",
        redirect_uris=[f"https://{host}/callback"],
    )  # fmt: skip
    party.client.options = options
    db.session.commit()
    return ThirdParty(party, http)


@pytest.fixture
def shop(world: factories.World, client: FlaskClient) -> ThirdParty:
    return login_client(client)


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor(app.test_client())


# What the ID token says


@pytest.mark.parametrize("alg", ["RS256", "ES256", "PS256"])
def test_breaks_01_08_every_algorithm_of_id_tokens_verifies_with_its_kid(
    shop: ThirdParty, world: factories.World, alg: str
) -> None:
    shop.party.client.id_token_signed_response_alg = alg
    db.session.commit()
    body = signed_in(shop, world.person, acr_values="urn:other urn:dataspace:acr:passkey")
    claims = claims_of(shop, body["id_token"])
    header = jose.read(body["id_token"]).header
    assert (header["alg"], bool(header["kid"])) == (alg, True)
    assert claims["at_hash"] == jwk.b64encode(hashlib.sha256(body["access_token"].encode()).digest()[:16])
    assert (claims["nonce"], claims["acr"]) == ("a nonce", "urn:dataspace:acr:passkey")
    assert claims["amr"] == ["pop", "user", "mfa"]  # RFC 8176


def test_breaks_01_an_unregistered_algorithm_is_rs256(shop: ThirdParty, world: factories.World) -> None:
    assert jose.read(signed_in(shop, world.person)["id_token"]).header["alg"] == "RS256"


def test_breaks_08_no_nonce_no_claim(shop: ThirdParty, world: factories.World) -> None:
    body = signed_in(shop, world.person, nonce=LEFT_OUT)
    assert "nonce" not in claims_of(shop, body["id_token"])


def test_breaks_08_the_key_set_has_each_kid_once_and_nothing_private(shop: ThirdParty) -> None:
    published = shop.http.get("/oauth/jwks").json["keys"]
    assert len({key["kid"] for key in published}) == len(published)
    assert not any(jwk.PRIVATE_MEMBERS & key.keys() for key in published)


def test_a_refreshed_id_token_is_of_the_same_sign_in(shop: ThirdParty, world: factories.World) -> None:
    body = signed_in(shop, world.person, scope="openid offline_access")
    first = claims_of(shop, body["id_token"])
    again = shop.refresh(body["refresh_token"]).json
    second = claims_of(shop, again["id_token"])
    kept = ("iss", "sub", "aud", "auth_time", "acr", "amr")
    assert {name: first[name] for name in kept} == {name: second[name] for name in kept}
    assert "nonce" not in second  # section 12.2
    assert second["at_hash"] != first["at_hash"]


def test_a_refresh_for_less_than_openid_brings_no_id_token(shop: ThirdParty, world: factories.World) -> None:
    body = signed_in(shop, world.person, scope="openid offline_access")
    assert "id_token" not in shop.refresh(body["refresh_token"], scope="offline_access").json


# POST as well as GET


def test_breaks_02_a_request_by_post(shop: ThirdParty, world: factories.World, visitor: Visitor) -> None:
    visitor.sign_in(world.person, clock.now())
    posted = visitor.send("POST", "/authorize", data=shop.request())
    assert posted.status_code == 303
    visitor.get(posted.location)
    answer = answer_of(visitor.tap("Agree"))
    assert (answer["state"], answer["iss"]) == ("a state & more", ISSUER)


def test_breaks_02_userinfo_by_get_and_by_post_in_header_and_body(shop: ThirdParty, world: factories.World) -> None:
    body = signed_in(shop, world.person)
    token, sub = body["access_token"], claims_of(shop, body["id_token"])["sub"]
    header = {"Authorization": f"Bearer {token}"}
    answers = [
        user_info(shop, token),
        shop.http.post("/userinfo", headers=header),
        shop.http.post("/userinfo", data={"access_token": token}),
    ]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert all(answer.json["sub"] == sub for answer in answers)


# How recent


def test_breaks_03_auth_time_with_max_age(shop: ThirdParty, world: factories.World, visitor: Visitor) -> None:
    """A sign-in that is recent enough goes on; one that is not is asked for anew, and both say when it was."""
    before = clock.now() - dt.timedelta(minutes=10)
    visitor.sign_in(world.person, before)
    arrive(shop, visitor, max_age="3600")
    first = shop.token(answer_of(visitor.tap("Agree"))["code"]).json
    assert claims_of(shop, first["id_token"])["auth_time"] == int(before.timestamp())
    arrive(shop, visitor, max_age="300")
    started = int(clock.now().timestamp())
    page = sign_in_again(visitor, world.person)
    second = shop.token(answer_of(page)["code"]).json
    assert claims_of(shop, second["id_token"])["auth_time"] >= started


ANEW: dict[str, dict[str, str]] = {
    "prompt login": {"prompt": "login"},
    "prompt select_account": {"prompt": "select_account"},
    "prompt login and consent": {"prompt": "login consent"},
    "max_age zero": {"max_age": "0"},
    "max_age": {"max_age": "59"},
}


@pytest.mark.parametrize("asked", ANEW.values(), ids=ANEW.keys())
def test_breaks_03_a_fresh_sign_in_is_forced(
    shop: ThirdParty, world: factories.World, visitor: Visitor, asked: dict[str, str]
) -> None:
    factories.sign_in_consent("shop", world.actor, clock.now())
    visitor.sign_in(world.person, clock.now() - dt.timedelta(minutes=1))
    arrive(shop, visitor, **asked)
    assert asks_to_sign_in(visitor)
    page = sign_in_again(visitor, world.person)
    if "consent" in asked.get("prompt", ""):
        page = visitor.tap("Agree")
    assert "code" in answer_of(page)


def test_a_registered_max_age_counts_where_the_request_names_none(
    world: factories.World, client: FlaskClient, visitor: Visitor
) -> None:
    strict = login_client(client, default_max_age=30, require_auth_time=True, default_acr_values=["urn:x"])
    visitor.sign_in(world.person, clock.now() - dt.timedelta(minutes=1))
    assert arrive(strict, visitor, max_age="3600").offers("Agree")
    arrive(strict, visitor)
    assert asks_to_sign_in(visitor)
    sign_in_again(visitor, world.person)
    body = strict.token(answer_of(visitor.tap("Agree"))["code"]).json
    assert {"auth_time", "acr"} <= claims_of(strict, body["id_token"]).keys()


# Without a page, and whom


def test_breaks_04_prompt_none_with_a_session(shop: ThirdParty, world: factories.World, visitor: Visitor) -> None:
    factories.sign_in_consent("shop", world.actor, clock.now())
    visitor.sign_in(world.person, clock.now())
    answer = visitor.send("GET", shop.authorize_url(prompt="none"))
    body = shop.token(parameters_of(answer.location)["code"]).json
    hinted = visitor.send("GET", shop.authorize_url(prompt="none", id_token_hint=body["id_token"]))
    assert "code" in parameters_of(hinted.location)


def test_breaks_04_prompt_none_without_a_session_is_a_redirect(shop: ThirdParty) -> None:
    answer = shop.http.get(shop.authorize_url(prompt="none"))
    assert answer.status_code == 303
    assert parameters_of(answer.location)["error"] == "login_required"


def hint_for(third: ThirdParty, world: factories.World, *, at: dt.timedelta = dt.timedelta(0)) -> str:
    """An ID token of the world's person for this client, as old as wanted."""
    issued = clock.now() - at
    sub = claims_of(third, tokens_for(third, world.actor)["id_token"])["sub"]
    return id_token(third, sub=sub, iat=int(issued.timestamp()), exp=int((issued + LIFE).timestamp()))


def id_token(third: ThirdParty, *, key: jwk.SigningKey | None = None, typ: str = "JWT", **changes: Any) -> str:
    """An ID token of ours as we would have signed it, or not quite."""
    now = int(clock.now().timestamp())
    claims = {"iss": ISSUER, "aud": third.client_id, "sub": "somebody", "iat": now, "exp": now + 300}
    ours = keys.Keyring(services().vault).signing_key(KeyUse.ID_TOKEN, clock.now(), "RS256")
    return jose.sign({k: v for k, v in (claims | changes).items() if v is not LEFT_OUT}, key or ours, typ=typ)


def test_breaks_04_a_hint_of_another_person_without_a_page(
    shop: ThirdParty, world: factories.World, visitor: Visitor
) -> None:
    other = factories.holder(clock.now(), factories.OTHER_PERSON, "梁志文")
    factories.sign_in_consent("shop", factories.actor(other, clock.now()), clock.now())
    visitor.sign_in(other, clock.now())
    answer = visitor.send("GET", shop.authorize_url(prompt="none", id_token_hint=hint_for(shop, world)))
    assert parameters_of(answer.location)["error"] == "login_required"


def test_breaks_04_a_hint_of_another_person_asks_to_sign_in_anew(
    shop: ThirdParty, world: factories.World, visitor: Visitor
) -> None:
    other = factories.holder(clock.now(), factories.OTHER_PERSON, "梁志文")
    visitor.sign_in(other, clock.now() - dt.timedelta(minutes=1))
    arrive(shop, visitor, id_token_hint=hint_for(shop, world, at=dt.timedelta(hours=2)))  # expired: no matter
    page = sign_in_again(visitor, world.person)
    assert "code" in answer_of(visitor.tap("Agree") if page.offers("Agree") else page)


def test_whoever_is_still_somebody_else_goes_back_without_a_code(
    shop: ThirdParty, world: factories.World, visitor: Visitor
) -> None:
    other = factories.holder(clock.now(), factories.OTHER_PERSON, "梁志文")
    visitor.sign_in(other, clock.now() - dt.timedelta(minutes=1))
    arrive(shop, visitor, id_token_hint=hint_for(shop, world))
    page = sign_in_again(visitor, other)
    assert "another person" in page.says
    answer = answer_of(page)
    assert (answer["error"], answer["state"], answer["iss"]) == ("login_required", "a state & more", ISSUER)


HINTS: dict[str, dict[str, Any]] = {
    "another client's": {"aud": "bank"},
    "of another issuer": {"iss": "https://other.example"},
    "of another type": {"typ": "logout+jwt"},
    "without a subject": {"sub": LEFT_OUT},
    "without an expiry, as userinfo": {"exp": LEFT_OUT},
}


@pytest.mark.parametrize("changes", HINTS.values(), ids=HINTS.keys())
def test_a_hint_that_is_no_id_token_of_ours_for_this_client(shop: ThirdParty, changes: dict[str, Any]) -> None:
    answer = shop.http.get(shop.authorize_url(id_token_hint=id_token(shop, **changes)))
    assert (answer.status_code, parameters_of(answer.location)["error"]) == (303, "invalid_request")


@pytest.mark.parametrize("hint", ["garbage", "e30.e30.", "a.b.c", "..", "é"])
def test_a_hint_that_is_garbage(shop: ThirdParty, hint: str) -> None:
    answer = shop.http.get(shop.authorize_url(id_token_hint=hint))
    assert (answer.status_code, parameters_of(answer.location)["error"]) == (303, "invalid_request")


def test_a_hint_that_somebody_else_has_signed(shop: ThirdParty) -> None:
    ours = shop.http.get("/oauth/jwks").json["keys"]
    kid = next(key["kid"] for key in ours if key["alg"] == "ES256")
    forged = jwk.SigningKey(kid=kid, alg="ES256", private_key=jwk.generate_key("ES256"))
    answer = shop.http.get(shop.authorize_url(id_token_hint=id_token(shop, key=forged)))
    assert parameters_of(answer.location)["error"] == "invalid_request"


# Whom a client knows


SECTORS: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "two hosts": ({}, {"host": "club.example"}, False),
    "one host": ({}, {}, True),
    "one sector": (
        {"sector_identifier_uri": "https://group.example/uris"},
        {"host": "club.example", "sector_identifier_uri": "https://group.example/uris"},
        True,
    ),
    "a sector and its host": (
        {"sector_identifier_uri": "https://group.example/uris"}, {"host": "group.example"}, True,
    ),
    "both public": ({"subject_type": "public"}, {"host": "club.example", "subject_type": "public"}, True),
    "one public": ({"subject_type": "public"}, {}, False),
}  # fmt: skip


@pytest.mark.parametrize(("one", "other", "same"), SECTORS.values(), ids=SECTORS.keys())
def test_who_shares_a_name_for_a_person(
    world: factories.World, client: FlaskClient, one: dict[str, Any], other: dict[str, Any], same: bool
) -> None:
    names = []
    for client_id, how in (("one", one), ("other", other)):
        third = login_client(client, client_id, **how)
        uri = f"https://{how.get('host', 'bank.example')}/callback"
        names.append(subject_at(third, world, uri))
    assert (names[0] == names[1]) is same
    assert world.person.holder_id not in names


def subject_at(third: ThirdParty, world: factories.World, redirect_uri: str) -> str:
    """The same in ID token, userinfo, introspection and the consent's document."""
    visitor = Visitor(third.http.application.test_client()).sign_in(world.person, clock.now())
    arrive(third, visitor, redirect_uri=redirect_uri)
    done = visitor.tap("Agree")
    link = next(href for _words, href in done.links if href.startswith(redirect_uri))
    body = third.token(parameters_of(link)["code"], redirect_uri=redirect_uri).json
    token = body["access_token"]
    told = {
        claims_of(third, body["id_token"])["sub"],
        user_info(third, token).json["sub"],
        third.introspect(token).json["sub"],
    }
    assert len(told) == 1
    return str(told.pop())


def test_clients_that_read_data_never_share_the_public_name(world: factories.World, client: FlaskClient) -> None:
    bank, shop = ThirdParty(world.party, client), login_client(client, subject_type="public")
    world.party.client.options = {"subject_type": "public"}
    db.session.commit()
    told = {
        claims_of(third, tokens_for(third, world.actor, scope="openid")["id_token"])["sub"] for third in (bank, shop)
    }
    assert len(told) == 2


# Parameters that change nothing


HARMLESS: dict[str, dict[str, str]] = {
    "an unknown one": {"foo": "bar"},
    "login_hint": {"login_hint": "chen.jiayi@example.com"},
    "display": {"display": "touch"},
    "an unknown display": {"display": "hologram"},
    "ui_locales": {"ui_locales": "fr-CA xx"},
    "claims_locales": {"claims_locales": "en zh-Hans"},
    "acr_values that we do not know": {"acr_values": "1 2"},
    "an empty prompt": {"prompt": ""},
}


@pytest.mark.parametrize("changes", HARMLESS.values(), ids=HARMLESS.keys())
def test_parameters_that_do_no_harm(shop: ThirdParty, world: factories.World, changes: dict[str, str]) -> None:
    claims = claims_of(shop, signed_in(shop, world.person, **changes)["id_token"])
    assert claims["acr"] == "urn:dataspace:acr:passkey"


LANGUAGES = {"zh-Hant": "zh-Hant", "fr zh-HK": "zh-Hant", "zh-CN en": "zh-Hans", "fr": "en", "": "en"}


@pytest.mark.parametrize(("tags", "shown"), LANGUAGES.items(), ids=lambda text: text or "none")
def test_the_pages_speak_the_language_that_is_asked_for(
    shop: ThirdParty, world: factories.World, visitor: Visitor, tags: str, shown: str
) -> None:
    arrive(shop, visitor, **({"ui_locales": tags} if tags else {}))
    assert asks_to_sign_in(visitor)
    assert f'<html lang="{shown}"' in visitor.page.html
    page = sign_in_again(visitor, world.person)
    assert f'<html lang="{shown}"' in page.html
    assert f'<html lang="{shown}"' in visitor.get("/").html
    arrive(shop, visitor)
    assert '<html lang="en"' in visitor.page.html  # one visit, not for ever


def test_what_the_person_chose_goes_before_what_is_asked_for(
    shop: ThirdParty, world: factories.World, visitor: Visitor
) -> None:
    visitor.sign_in(world.person, clock.now())
    with visitor.client.session_transaction() as session:
        session["language"] = "zh_Hans"
    assert '<html lang="zh-Hans"' in arrive(shop, visitor, ui_locales="zh-Hant").html


# Errors, and where they go


NEGATIVES: dict[str, tuple[dict[str, Any], str]] = {
    "05 no response_type": ({"response_type": LEFT_OUT}, "invalid_request"),
    "05 another response_type": ({"response_type": "code id_token"}, "unsupported_response_type"),
    "05 no openid": ({"scope": "profile email"}, "invalid_scope"),
    "05 an unknown prompt": ({"prompt": "shout"}, "invalid_request"),
    "04 none beside login": ({"prompt": "none login"}, "invalid_request"),
    "03 a negative max_age": ({"max_age": "-1"}, "invalid_request"),
    "06 registration": ({"registration": "{}"}, "registration_not_supported"),
    "ui_locales without end": ({"ui_locales": "en " * 100}, "invalid_request"),
    "08 a nonce without end": ({"nonce": "n" * 501}, "invalid_request"),
}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("changes", "error"), NEGATIVES.values(), ids=NEGATIVES.keys())
def test_breaks_05_errors_go_to_the_client_when_it_is_known(
    shop: ThirdParty, changes: dict[str, Any], error: str, method: str
) -> None:
    said = _said(shop, method, shop.request(**changes))
    assert (said["error"], said["state"], said["iss"]) == (error, "a state & more", ISSUER)


SHOWN: dict[str, dict[str, Any]] = {
    "05 an unknown client": {"client_id": "nobody"},
    "05 no client": {"client_id": LEFT_OUT},
    "05 no redirect_uri": {"redirect_uri": LEFT_OUT},
    "07 a redirect_uri that begins with a registered one": {"redirect_uri": factories.REDIRECT_URI + "/more"},
    "07 an added query": {"redirect_uri": factories.REDIRECT_URI + "?foo=bar"},
    "07 an added fragment": {"redirect_uri": factories.REDIRECT_URI + "#part"},
    "07 another case": {"redirect_uri": factories.REDIRECT_URI.upper()},
    "07 an added port": {"redirect_uri": factories.REDIRECT_URI.replace(".example", ".example:443")},
}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("changes", SHOWN.values(), ids=SHOWN.keys())
def test_breaks_05_07_errors_are_shown_when_nobody_vouches_for_the_address(
    shop: ThirdParty, changes: dict[str, Any], method: str
) -> None:
    parameters = shop.request(**changes)
    answer = _ask(shop, method, parameters)
    assert (answer.status_code, answer.mimetype, answer.location) == (400, "text/html", None)


def _said(third: ThirdParty, method: str, parameters: dict[str, str]) -> dict[str, str]:
    answer = _ask(third, method, parameters)
    assert answer.status_code == 303, answer.text
    assert answer.location.startswith(f"{factories.REDIRECT_URI}?")
    return parameters_of(answer.location)


def _ask(third: ThirdParty, method: str, parameters: dict[str, str]) -> Any:
    if method == "POST":
        return third.http.post("/authorize", data=parameters)
    return third.http.get(f"/authorize?{urlencode(parameters)}")
