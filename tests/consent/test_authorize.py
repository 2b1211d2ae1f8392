"""The authorization endpoint: from a third party's link to the consent page, and where errors go."""

import datetime as dt
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from consent import clients
from consent.clients import Profile
from consent.oauth import answers, par
from consent.oauth.par import AuthorizationRequest
from consent.records import Consent
from dataspace import clock
from dataspace.db import db
from dataspace.errors import Conflict, NotAllowed
from tests import factories
from tests.conftest import ISSUER, make_settings
from tests.consent.third_party import DETAILS, LEFT_OUT, ThirdParty, opened, parameters_of
from tests.consent.visitor import Visitor
from wsgi import create_app


@pytest.fixture
def bank(world: factories.World, client: FlaskClient) -> ThirdParty:
    return ThirdParty(world.party, client)


@pytest.fixture
def shop(world: factories.World, client: FlaskClient) -> ThirdParty:
    party = factories.party(clock.now(), "shop", profile=Profile.LOGIN, method="client_secret_basic", name="示例商店")
    db.session.commit()
    return ThirdParty(party, client)


def row() -> AuthorizationRequest:
    return db.session.scalars(select(AuthorizationRequest)).one()


def test_a_pushed_request_leads_to_the_consent_page(bank: ThirdParty) -> None:
    answer = bank.http.get(bank.authorize_url())
    assert (answer.status_code, answer.location) == (303, f"/consent/{row().handle}")
    assert row().opened_at is not None


def test_it_may_be_opened_again_by_this_browser_and_by_no_other(app: Flask, bank: ThirdParty) -> None:
    url = bank.authorize_url()
    assert bank.http.get(url).location == bank.http.get(url).location
    other = app.test_client().get(url)
    assert other.status_code == 400
    assert "invalid_request_uri" in other.text


def test_what_stands_beside_a_request_uri_is_ignored(bank: ThirdParty) -> None:
    url = bank.authorize_url() + "&" + urlencode({"redirect_uri": "https://evil.example/", "scope": "everything"})
    assert bank.http.get(url).location == f"/consent/{row().handle}"
    assert row().parameters["redirect_uri"] == factories.REDIRECT_URI


@pytest.mark.parametrize("changes", [{}, {"client_id": "shop"}, {"client_id": "nobody"}, {"client_id": ""}])
def test_a_request_uri_belongs_to_its_client_and_lives_ninety_seconds(
    shop: ThirdParty, bank: ThirdParty, changes: dict[str, str]
) -> None:
    uri = bank.push().json["request_uri"]
    if not changes:
        db.session.execute(AuthorizationRequest.__table__.update().values(expires_at=clock.now()))
        db.session.commit()
    answer = bank.http.get("/authorize?" + urlencode({"client_id": "bank", "request_uri": uri} | changes))
    assert (answer.status_code, answer.location) == (400, None)
    assert "base-uri 'none'" in answer.headers["Content-Security-Policy"]


def test_a_suspended_client_is_told_on_a_page_of_ours(bank: ThirdParty) -> None:
    url = bank.authorize_url()
    clients.suspend("bank", clock.now(), actor_id="adm", reason_code="complaint", text="")
    db.session.commit()
    answer = bank.http.get(url)
    assert answer.status_code == 400
    assert "client_suspended" in answer.text


def test_a_data_request_does_not_pass_through_the_browser(bank: ThirdParty) -> None:
    said = parameters_of(bank.http.get("/authorize?" + urlencode(bank.request())).location)
    assert (said["error"], said["iss"], said["state"]) == ("invalid_request", ISSUER, "a state & more")


# Plain sign-in: the same checks at /authorize


def test_a_sign_in_needs_no_push(shop: ThirdParty) -> None:
    answer = shop.http.get(shop.authorize_url(max_age="60", prompt="login"))
    assert (answer.status_code, answer.location) == (303, f"/consent/{row().handle}")
    assert (row().asked.kind, row().asked.scope) == ("login", ("openid", "profile"))
    assert (row().parameters["max_age"], row().parameters["prompt"]) == ("60", "login")


def test_a_sign_in_by_post_becomes_a_get_that_brings_the_cookie(shop: ThirdParty) -> None:
    posted = shop.http.post("/authorize", data=shop.request())
    assert posted.status_code == 303
    assert "Set-Cookie" not in posted.headers
    assert shop.http.get(posted.location).location == f"/consent/{row().handle}"


TO_THE_CLIENT: dict[str, tuple[dict[str, Any], str]] = {
    "no openid": ({"scope": "profile"}, "invalid_scope"),
    "no scope": ({"scope": LEFT_OUT}, "invalid_scope"),
    "the implicit flow": ({"response_type": "id_token"}, "unsupported_response_type"),
    "no response type": ({"response_type": LEFT_OUT}, "invalid_request"),
    "an answer in the fragment": ({"response_mode": "fragment"}, "invalid_request"),
    "no challenge": ({"code_challenge": LEFT_OUT}, "invalid_request"),
    "a plain challenge": ({"code_challenge_method": "plain"}, "invalid_request"),
    "a request object that is none": ({"request": "e30.e30."}, "invalid_request_object"),
    "a request by reference": ({"request_uri": "https://shop.example/request"}, "request_uri_not_supported"),
    "a registration": ({"registration": "{}"}, "registration_not_supported"),
    "prompt none and login": ({"prompt": "none login"}, "invalid_request"),
    "a max_age that is none": ({"max_age": "soon"}, "invalid_request"),
    "a long nonce": ({"nonce": "n" * 600}, "invalid_request"),
    "data": ({"authorization_details": json.dumps(DETAILS)}, "invalid_authorization_details"),
}
ON_A_PAGE: dict[str, dict[str, Any]] = {
    "no client": {"client_id": LEFT_OUT},
    "an unknown client": {"client_id": "nobody"},
    "a client of strange letters": {"client_id": "客户"},
    "no redirect URI": {"redirect_uri": LEFT_OUT},
    "a redirect URI off by one character": {"redirect_uri": factories.REDIRECT_URI + "x"},
    "a redirect URI with a query": {"redirect_uri": factories.REDIRECT_URI + "?x=y"},
    "a redirect URI that is a script": {"redirect_uri": "javascript:alert(1)"},
    "a control character": {"state": "a\rb"},
    "markup": {"redirect_uri": "https://evil.example/<script>alert(1)</script>"},
}


@pytest.mark.wire
@pytest.mark.parametrize("by_form", [False, True])
@pytest.mark.parametrize(("changes", "error"), TO_THE_CLIENT.values(), ids=TO_THE_CLIENT.keys())
def test_errors_for_the_client(shop: ThirdParty, changes: dict[str, Any], error: str, by_form: bool) -> None:
    answer = _ask(shop, shop.request(**changes), by_form=by_form)
    assert answer.status_code == 303
    assert answer.location.startswith(factories.REDIRECT_URI + "?")
    said = parameters_of(answer.location)
    assert (said["error"], said["iss"], said["state"]) == (error, ISSUER, "a state & more")
    assert db.session.scalar(select(func.count()).select_from(AuthorizationRequest)) == 0


@pytest.mark.wire
@pytest.mark.parametrize("by_form", [False, True])
@pytest.mark.parametrize("changes", ON_A_PAGE.values(), ids=ON_A_PAGE.keys())
def test_errors_for_nobody_but_the_person(shop: ThirdParty, changes: dict[str, Any], by_form: bool) -> None:
    answer = _ask(shop, shop.request(**changes), by_form=by_form)
    assert (answer.status_code, answer.mimetype, answer.location) == (400, "text/html", None)
    assert "<script>" not in answer.text


def test_a_parameter_twice_is_refused(shop: ThirdParty) -> None:
    answer = shop.http.get(shop.authorize_url() + "&state=another")
    assert answer.status_code == 400
    assert "more than once" in answer.text


def _ask(third: ThirdParty, parameters: dict[str, str], *, by_form: bool) -> TestResponse:
    if by_form:
        return third.http.post("/authorize", data=parameters)
    return third.http.get("/authorize?" + urlencode(parameters))


# Without a page


def test_prompt_none_without_a_signed_in_person(shop: ThirdParty) -> None:
    said = parameters_of(shop.http.get(shop.authorize_url(prompt="none")).location)
    assert (said["error"], said["iss"], said["state"]) == ("login_required", ISSUER, "a state & more")
    assert row().finished_at is not None


def test_prompt_none_with_a_person_whom_the_client_does_not_know(shop: ThirdParty, world: factories.World) -> None:
    visitor = Visitor(shop.http).sign_in(world.person, clock.now())
    said = parameters_of(visitor.send("GET", shop.authorize_url(prompt="none")).location)
    assert said["error"] == "consent_required"


def test_prompt_none_with_a_person_whom_the_client_knows(shop: ThirdParty, world: factories.World) -> None:
    factories.sign_in_consent("shop", world.actor, clock.now())
    visitor = Visitor(shop.http).sign_in(world.person, clock.now())
    said = parameters_of(visitor.send("GET", shop.authorize_url(prompt="none")).location)
    assert "id_token" in shop.token(said["code"]).json
    more = shop.authorize_url(prompt="none", scope="openid profile offline_access")
    assert parameters_of(visitor.send("GET", more).location)["error"] == "consent_required"


def test_prompt_none_with_a_sign_in_that_is_too_old(shop: ThirdParty, world: factories.World) -> None:
    factories.sign_in_consent("shop", world.actor, clock.now())
    visitor = Visitor(shop.http).sign_in(world.person, clock.now() - dt.timedelta(minutes=10))
    old, fine = (shop.authorize_url(prompt="none", max_age=seconds) for seconds in ("300", "900"))
    assert parameters_of(visitor.send("GET", old).location)["error"] == "login_required"
    assert "code" in parameters_of(visitor.send("GET", fine).location)


def test_prompt_none_for_data_is_never_enough(bank: ThirdParty, world: factories.World) -> None:
    visitor = Visitor(bank.http).sign_in(world.person, clock.now())
    said = parameters_of(visitor.send("GET", bank.authorize_url(prompt="none")).location)
    assert said["error"] == "consent_required"


# The whole way


def test_from_the_link_to_the_data_and_back(bank: ThirdParty, world: factories.World) -> None:
    visitor = Visitor(bank.http).sign_in(world.person, clock.now())
    visitor.page = visitor.get(bank.authorize_url())
    done = visitor.tap("Agree")
    said = parameters_of(next(url for _words, url in done.links if url.startswith(factories.REDIRECT_URI)))
    assert (said["iss"], said["state"]) == (ISSUER, "a state & more")
    body = bank.token(said["code"]).json
    read = bank.read(body["access_token"])
    assert read.json["consent"]["id"] == body["grant_id"] != world.consent.consent_id


# Answers


def test_an_answer_keeps_the_query_of_the_redirect_uri(app: Flask, client: FlaskClient) -> None:
    now = clock.now()
    world = factories.world(now)
    uri = "https://bank.example/cb?keep=%7Ea+b"
    world.party.client.redirect_uris = [uri]
    db.session.commit()
    request = opened(ThirdParty(world.party, client), redirect_uri=uri)
    url = answers.with_error(request, "access_denied", 'not "agreed"\n', now, registry=factories.registry()).url
    assert url.startswith(uri + "&error=access_denied&")
    said = parameters_of(url)
    assert said["error_description"] == "not 'agreed''"
    assert (said["iss"], said["state"], said["keep"]) == (ISSUER, "a state & more", "~a b")


def test_a_code_needs_an_active_consent_of_the_same_client(bank: ThirdParty, world: factories.World) -> None:
    now = clock.now()
    request = opened(bank)
    world.consent.client_id, kept = "bank2", world.consent.client_id
    with pytest.raises(NotAllowed):
        answers.with_code(request, world.consent, world.actor, now, registry=factories.registry())
    world.consent.client_id, world.consent.state = kept, "withdrawn"
    with pytest.raises(Conflict):
        answers.with_code(request, world.consent, world.actor, now, registry=factories.registry())
    db.session.rollback()


def test_a_code_carries_no_scope_that_the_consent_does_not_name(shop: ThirdParty, world: factories.World) -> None:
    now = clock.now()
    shop.http.get(shop.authorize_url(scope="openid profile offline_access"))
    consent: Consent = factories.sign_in_consent("shop", world.actor, now)
    answer = answers.with_code(row(), consent, world.actor, now, registry=factories.registry())
    db.session.commit()
    body = shop.token(answer.fields["code"]).json
    assert body["scope"] == "openid profile"
    assert "refresh_token" not in body


def test_requests_that_are_too_old_are_swept_away(bank: ThirdParty) -> None:
    bank.push()
    assert par.sweep(clock.now()) == 0
    assert par.sweep(clock.now() + dt.timedelta(minutes=2)) == 1


def test_a_browser_that_asks_too_often_is_slowed_down(database_url: str) -> None:
    app = create_app(make_settings(database_url, rate_limits=True))
    http = app.test_client()
    statuses = [http.get("/authorize").status_code for _ in range(121)]
    with app.app_context():
        db.engine.dispose()
    assert statuses == [400] * 120 + [429]
