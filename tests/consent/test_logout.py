"""RP-initiated logout: who is asked, what ends, where the browser goes, and what is refused."""

import datetime as dt
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from sqlalchemy import select, update

from consent import clients, keys
from consent.keys import ServerKey
from consent.oauth.sessions import ClientSession
from dataspace import jose, jwk, signins
from dataspace.db import db
from dataspace.passkeys import VerifiedSignIn
from dataspace.settings import Settings
from dataspace.signins import SignIn
from tests import factories
from tests.conftest import ISSUER
from tests.consent.shop import AFTER, actor_of, claims_of, enter, open_shop
from tests.consent.third_party import LEFT_OUT, ThirdParty, code_for, parameters_of
from tests.consent.visitor import Visitor
from wsgi import create_app

STATE = "a state & more"
BACK = f"{AFTER}&{urlencode({'state': STATE})}"


@pytest.fixture
def visitor(app: Flask, now: dt.datetime) -> Visitor:
    """A person who is signed in here."""
    return Visitor(app.test_client()).sign_in(factories.holder(now), now)


@pytest.fixture
def shop(app: Flask) -> ThirdParty:
    return open_shop(app)


@pytest.fixture
def id_token(shop: ThirdParty, visitor: Visitor) -> str:
    """Of the present sign-in, issued to the shop."""
    return str(enter(shop, visitor)["id_token"])


def asked(**parameters: Any) -> str:
    return f"/oauth/logout?{urlencode({k: v for k, v in parameters.items() if v is not LEFT_OUT})}"


def signed_in(visitor: Visitor) -> bool:
    return visitor.send("GET", "/authorizations").status_code == 200


# Asking


def test_the_person_is_asked_and_the_client_gets_her_back(visitor: Visitor, id_token: str) -> None:
    page = visitor.get(asked(id_token_hint=id_token, post_logout_redirect_uri=AFTER, state=STATE))
    assert "Lingnan Example Bank asks to sign you out here." in page.says
    assert "You are signed in as 陈嘉怡." in page.says
    assert "another sign-in" not in page.says
    assert "form-action 'self' https://bank.example;" in page.response.headers["Content-Security-Policy"]
    assert id_token not in page.html.split("<main", 1)[1]
    assert signed_in(visitor)
    visitor.get(asked(id_token_hint=id_token, post_logout_redirect_uri=AFTER, state=STATE))
    answer = visitor.tap("Sign out").response
    assert (answer.status_code, answer.location) == (303, BACK)
    assert not signed_in(visitor)
    with visitor.client.session_transaction() as session:
        assert dict(session) == {}


def test_she_may_stay(visitor: Visitor, id_token: str) -> None:
    visitor.get(asked(id_token_hint=id_token, post_logout_redirect_uri=AFTER))
    page = visitor.tap("Stay signed in")
    assert "You are still signed in." in page.says
    assert signed_in(visitor)
    assert not db.session.scalars(select(ClientSession.ended_at).where(ClientSession.ended_at.is_not(None))).all()


@pytest.mark.parametrize(
    ("parameters", "goes"),
    [
        ({}, "/signed-out"),
        ({"state": STATE}, "/signed-out"),
        ({"client_id": "shop"}, "/signed-out"),
        ({"client_id": "shop", "post_logout_redirect_uri": AFTER}, AFTER),
        ({"client_id": "shop", "post_logout_redirect_uri": AFTER, "state": STATE}, BACK),
        ({"client_id": "shop", "post_logout_redirect_uri": AFTER, "logout_hint": "x", "ui_locales": "xx en"}, AFTER),
    ],
    ids=["nothing", "only a state", "only a client", "no state", "no hint", "hints that do not matter"],
)
@pytest.mark.parametrize("there", [True, False], ids=["signed in", "nobody there"])
def test_where_it_ends(parameters: dict[str, str], goes: str, there: bool, shop: ThirdParty, visitor: Visitor) -> None:
    if there:
        visitor.get(asked(**parameters))
        answer = visitor.send("POST", "/oauth/logout/confirm", data=form_of(visitor, "sign_out"))
    else:
        visitor.client.delete_cookie("session")
        answer = visitor.send("GET", asked(**parameters))
    assert (answer.status_code, answer.location) == (303, goes)
    assert not signed_in(visitor)


def test_the_page_after_all(visitor: Visitor) -> None:
    visitor.get(asked())
    assert "Somebody asks to sign you out here." in visitor.page.says
    assert "You are signed out" in visitor.tap("Sign out").says
    assert visitor.path == "/signed-out"


def test_by_post_from_another_site(app: Flask, shop: ThirdParty, visitor: Visitor, id_token: str) -> None:
    """Without our cookie, which SameSite=Lax keeps back; the GET that follows brings it."""
    sent = {"id_token_hint": id_token, "post_logout_redirect_uri": AFTER, "state": STATE, "unknown": "x" * 5000}
    answer = app.test_client().post("/oauth/logout", data=sent)
    assert answer.status_code == 303
    assert parameters_of(answer.location) == {name: value for name, value in sent.items() if name != "unknown"}
    visitor.get(answer.location)
    assert visitor.tap("Sign out").response.location == BACK


@pytest.mark.parametrize(
    ("ui_locales", "chosen", "title"),
    [
        ("zh-Hant", None, "zh-Hant"),
        ("fr zh-HK en", None, "zh-Hant"),
        ("fr", None, "en"),
        ("zh-Hans", "en", "en"),
    ],
    ids=["one", "the first that we speak", "none that we speak", "what she chose here counts more"],
)
def test_the_language_of_the_page(ui_locales: str, chosen: str | None, title: str, visitor: Visitor) -> None:
    if chosen:
        with visitor.client.session_transaction() as session:
            session["language"] = chosen
    assert f'<html lang="{title}"' in visitor.get(asked(ui_locales=ui_locales)).html


def test_confirming_needs_our_form(visitor: Visitor, id_token: str) -> None:
    answer = visitor.send("POST", "/oauth/logout/confirm", data={"decision": "sign_out"})
    assert answer.status_code == 400
    assert signed_in(visitor)


# The hint


def test_an_old_id_token_will_do(
    settings: Settings, visitor: Visitor, id_token: str, now: dt.datetime, shop: ThirdParty
) -> None:
    """Expired, and signed by a key that signs no more but is still published."""
    claims = claims_of(id_token)
    stale = signed(claims | {"iat": claims["iat"] - 90000, "exp": claims["iat"] - 86400}, now)
    db.session.execute(update(ServerKey).values(retire_at=now, remove_at=now + dt.timedelta(days=1)))
    keys.destroy_retired(now)
    db.session.commit()
    restarted = Visitor(create_app(settings).test_client())
    with visitor.client.session_transaction() as before, restarted.client.session_transaction() as session:
        session["signin"] = before["signin"]
    page = restarted.get(asked(id_token_hint=stale, post_logout_redirect_uri=AFTER))
    assert page.status == 200
    assert "another sign-in" not in page.says


def test_of_another_sign_in(app: Flask, visitor: Visitor, shop: ThirdParty, id_token: str, now: dt.datetime) -> None:
    """The same person somewhere else, or another person: she is told, and may sign out all the same."""
    for person in (actor_of(visitor).person_id, factories.holder(now, factories.OTHER_PERSON, "梁志文").holder_id):
        other = Visitor(app.test_client())
        secret = signins.start(VerifiedSignIn(person_id=person, passkey_id="pk", at=now), now)
        db.session.commit()
        with other.client.session_transaction() as session:
            session["signin"] = secret
        page = other.get(asked(id_token_hint=id_token, post_logout_redirect_uri=AFTER))
        assert "The service means another sign-in" in page.says
        assert other.tap("Sign out").response.location == AFTER
        assert not signed_in(other)
        assert signed_in(visitor)


def test_without_sid_the_subject_counts(visitor: Visitor, shop: ThirdParty, id_token: str, now: dt.datetime) -> None:
    claims = {name: value for name, value in claims_of(id_token).items() if name != "sid"}
    assert "another sign-in" not in visitor.get(asked(id_token_hint=signed(claims, now))).says
    assert "another sign-in" in visitor.get(asked(id_token_hint=signed(claims | {"sub": "x"}, now))).says


# What is refused


def signed(claims: dict[str, Any], now: dt.datetime, *, use: str = "id_token", typ: str = "JWT") -> str:
    key = factories.registry().keyring.signing_key(use, now)
    return jose.sign(claims, key, typ=typ)


def kid_of(token: str) -> str:
    return str(jose.read(token).header["kid"])


def refused_hints(id_token: str, now: dt.datetime) -> dict[str, str]:
    claims = claims_of(id_token)
    stranger = jwk.SigningKey(kid=kid_of(id_token), alg="ES256", private_key=jwk.generate_key("ES256"))
    return {
        "garbage": "x",
        "three parts of garbage": "a.b.c",
        "changed": f"{id_token[:-6]}AAAAAA",
        "a stranger's signature": jose.sign(claims, stranger, typ="JWT"),
        "not signed": f"eyJhbGciOiJub25lIn0.{id_token.split('.')[1]}.",
        "another issuer": signed(claims | {"iss": "https://other.example"}, now),
        "a key of another use": signed(claims, now, use="tokens"),
        "a logout token": signed(claims, now, typ="logout+jwt"),
        "no subject": signed({n: v for n, v in claims.items() if n != "sub"}, now),
        "an unknown client": signed(claims | {"aud": "nobody"}, now),
    }


HINTS = [
    "garbage", "three parts of garbage", "changed", "a stranger's signature", "not signed", "another issuer",
    "a key of another use", "a logout token", "no subject", "an unknown client",
]  # fmt: skip


@pytest.mark.parametrize("which", HINTS)
def test_hints_that_are_not_ours(
    which: str, visitor: Visitor, shop: ThirdParty, id_token: str, now: dt.datetime
) -> None:
    hints = refused_hints(id_token, now)
    assert list(hints) == HINTS
    is_refused(visitor, id_token_hint=hints[which], post_logout_redirect_uri=AFTER)


@pytest.mark.wire
@pytest.mark.parametrize(
    "parameters",
    [
        {"post_logout_redirect_uri": AFTER},
        {"client_id": "shop", "post_logout_redirect_uri": "https://evil.example/"},
        {"client_id": "shop", "post_logout_redirect_uri": f"{AFTER}&more=1"},
        {"client_id": "shop", "post_logout_redirect_uri": "https://bank.example/signed-out"},
        {"client_id": "shop", "post_logout_redirect_uri": f"{AFTER}/"},
        {"client_id": "shop", "post_logout_redirect_uri": factories.REDIRECT_URI},
        {"client_id": "nobody", "post_logout_redirect_uri": AFTER},
        {"client_id": "nobody"},
        {"client_id": "other", "post_logout_redirect_uri": AFTER},
        {"client_id": "other", "id_token_hint": "OURS"},
        {"client_id": "other", "id_token_hint": "OURS", "post_logout_redirect_uri": "https://other.example/"},
        {"client_id": "shop", "post_logout_redirect_uri": AFTER, "state": "s" * 1025},
        {"client_id": "shop", "state": "a\nb"},
        {"client_id": "shop", "ui_locales": "e" * 201},
        {"client_id": "stopped", "post_logout_redirect_uri": AFTER},
    ],
    ids=[
        "nobody named", "not registered", "more query", "less query", "more path", "an address for codes",
        "unknown client and address", "unknown client", "another client's address", "issued to another client",
        "issued to another client, its address", "long state", "control characters", "many languages",
        "suspended client",
    ],
)  # fmt: skip
def test_requests_that_are_wrong(
    parameters: dict[str, str], app: Flask, visitor: Visitor, id_token: str, now: dt.datetime
) -> None:
    open_shop(app, "other", post_logout_redirect_uris=("https://other.example/",))
    open_shop(app, "stopped")
    clients.suspend("stopped", now, actor_id="x", reason_code="inquiry", text="x")
    db.session.commit()
    is_refused(visitor, **{name: id_token if value == "OURS" else value for name, value in parameters.items()})


def is_refused(visitor: Visitor, **parameters: str) -> None:
    """By GET and by POST: a page of ours, nobody sent anywhere, nobody signed out."""
    for method, path, how in (("GET", asked(**parameters), {}), ("POST", "/oauth/logout", {"data": parameters})):
        answer = visitor.send(method, path, **how)
        assert (answer.status_code, answer.location) == (400, None)
        assert "This request cannot be answered" in answer.text
        assert signed_in(visitor)


@pytest.mark.parametrize(
    "changes",
    [{"post_logout_redirect_uri": "https://evil.example/"}, {"client_id": ""}, {"client_id": "nobody"}],
    ids=["another address", "nobody named", "unknown client"],
)
def test_the_form_is_checked_anew(changes: dict[str, str], visitor: Visitor, id_token: str) -> None:
    visitor.get(asked(id_token_hint=id_token, post_logout_redirect_uri=AFTER))
    answer = visitor.send("POST", "/oauth/logout/confirm", data=form_of(visitor, "sign_out") | changes)
    assert (answer.status_code, answer.location) == (400, None)
    assert signed_in(visitor)


def form_of(visitor: Visitor, decision: str) -> dict[str, str]:
    """What the form of the last page sends."""
    inputs = {e["name"]: e["value"] for e in visitor.page.forms["logout"].inputs}
    return inputs | {"decision": decision}


@pytest.mark.parametrize("body", [b"a=%zz", b"client_id=a&client_id=b", b"\xff=\xff"], ids=["escape", "twice", "bytes"])
def test_what_cannot_be_read(body: bytes, client: Any) -> None:
    assert client.post("/oauth/logout", data=body, content_type="application/x-www-form-urlencoded").status_code == 400
    assert client.get("/oauth/logout", environ_overrides={"QUERY_STRING": body.decode("latin-1")}).status_code == 400


# sid


def test_sid_is_one_per_sign_in_and_client(app: Flask, visitor: Visitor, shop: ThirdParty, now: dt.datetime) -> None:
    other = open_shop(app, "other")
    first, again, elsewhere = (claims_of(enter(t, visitor)["id_token"])["sid"] for t in (shop, shop, other))
    assert first == again
    assert first != elsewhere
    renew(visitor, now)
    assert claims_of(enter(shop, visitor)["id_token"])["sid"] == first
    visitor.get(asked())
    visitor.tap("Sign out")
    visitor.sign_in(factories.holder(now, factories.OTHER_PERSON, "梁志文"), now)
    assert claims_of(enter(shop, visitor)["id_token"])["sid"] not in (first, elsewhere)


def renew(visitor: Visitor, now: dt.datetime) -> None:
    """The same person proves the passkey once more in the same browser."""
    with visitor.client.session_transaction() as session:
        verified = VerifiedSignIn(person_id=actor_of(visitor).person_id, passkey_id="pk", at=now)
        (oneself, *_others) = signins.choices(verified.person_id, now)
        session["signin"] = signins.renew(session["signin"], verified, now, acting=oneself)
    db.session.commit()


def test_no_sid_without_openid(app: Flask, visitor: Visitor, now: dt.datetime) -> None:
    """Who only reads data has signed nobody in."""
    world_item = factories.item(now)
    bank = ThirdParty(factories.party(now), app.test_client())
    factories.purpose(now, required=[world_item])
    db.session.commit()
    assert "id_token" not in enter(bank, visitor)
    assert not db.session.scalars(select(ClientSession)).all()


def test_a_code_of_a_sign_in_that_has_just_ended_has_no_sid(
    visitor: Visitor, shop: ThirdParty, now: dt.datetime
) -> None:
    actor = actor_of(visitor)
    db.session.execute(update(SignIn).values(ended_at=now))
    code, _consent = code_for(shop, actor)
    assert "sid" not in claims_of(shop.token(code).json["id_token"])


# What lives on


def test_refresh_tokens_are_for_offline_access_and_stay(visitor: Visitor, shop: ThirdParty) -> None:
    assert "refresh_token" not in enter(shop, visitor)
    offline = enter(shop, visitor, scope="openid offline_access", prompt="consent")
    visitor.get(asked())
    visitor.tap("Sign out")
    later = shop.refresh(offline["refresh_token"])
    assert later.status_code == 200
    assert claims_of(later.json["id_token"])["sid"] == claims_of(offline["id_token"])["sid"]


def test_no_silent_answer_after_it(visitor: Visitor, shop: ThirdParty, id_token: str) -> None:
    assert "code=" in visitor.send("GET", shop.authorize_url(prompt="none")).location
    visitor.get(asked())
    visitor.tap("Sign out")
    assert "error=login_required" in visitor.send("GET", shop.authorize_url(prompt="none")).location


def test_it_is_announced(client: Any) -> None:
    published = client.get("/.well-known/openid-configuration").json
    assert published["end_session_endpoint"] == f"{ISSUER}/oauth/logout"
    assert published["backchannel_logout_supported"] is True
    assert published["backchannel_logout_session_supported"] is True
    assert "sid" in published["claims_supported"]
