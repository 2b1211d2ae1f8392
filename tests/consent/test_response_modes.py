"""How answers travel: in the address, by a form, signed; from every page that sends somebody back."""

from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask.testing import FlaskClient

from consent import lifecycle
from consent.clients import Profile
from consent.oauth.response_modes import Answer, ResponseMode
from dataspace import clock, jose
from dataspace.db import db
from dataspace.mandates import Capacity
from tests import factories
from tests.conftest import ISSUER
from tests.consent.third_party import LEFT_OUT, ThirdParty, parameters_of
from tests.consent.visitor import Page, Visitor, answer_of, delivered

pytestmark = pytest.mark.wire

STATE = "a state & more"
MODES = [mode.value for mode in ResponseMode]
BY_FORM, SIGNED = {"form_post", "form_post.jwt"}, {"jwt", "query.jwt", "form_post.jwt"}


@pytest.fixture
def bank(world: factories.World, client: FlaskClient) -> ThirdParty:
    bank = ThirdParty(world.party, client)
    bank.registers(authorization_signed_response_alg="ES256")
    return bank


@pytest.fixture
def shop(world: factories.World, client: FlaskClient) -> ThirdParty:
    party = factories.party(clock.now(), "shop", profile=Profile.LOGIN, method="client_secret_basic", name="示例商店")
    shop = ThirdParty(party, client)
    shop.registers(authorization_signed_response_alg="ES256")
    return shop


@pytest.fixture
def visitor(world: factories.World, client: FlaskClient) -> Visitor:
    return Visitor(client).sign_in(world.person, clock.now())


def said(page: Page, mode: str, third: ThirdParty) -> dict[str, Any]:
    """What the client learns, after it has looked at how it came."""
    answer = answer_of(page)
    form_action = page.response.headers["Content-Security-Policy"].partition("form-action ")[2].partition(";")[0]
    assert form_action == ("'self' https://bank.example" if mode in BY_FORM else "'self'")
    assert any("form_post.js" in attributes.get("src", "") for _tag, attributes in page.tags) == (mode in BY_FORM)
    if mode in SIGNED:
        assert answer.keys() == {"response"}
        return third.read_response(answer["response"])
    return answer


# Every mode, every way back


@pytest.mark.parametrize("mode", MODES)
def test_agreeing(bank: ThirdParty, visitor: Visitor, mode: str) -> None:
    visitor.get(bank.authorize_url(response_mode=mode))
    answer = said(visitor.tap("Agree"), mode, bank)
    assert (answer["iss"], answer["state"]) == (ISSUER, STATE)
    assert "access_token" in bank.token(answer["code"]).json


@pytest.mark.parametrize("mode", MODES)
def test_refusing(bank: ThirdParty, visitor: Visitor, mode: str) -> None:
    visitor.get(bank.authorize_url(response_mode=mode))
    page = visitor.tap("Refuse")
    answer = said(page, mode, bank)
    assert (answer["error"], answer["iss"], answer["state"]) == ("access_denied", ISSUER, STATE)
    assert "Nothing was given." in page.says
    assert (
        page.button("Return to Lingnan Example Bank")
        if mode in BY_FORM
        else page.link("Return to Lingnan Example Bank")
    )


@pytest.mark.parametrize("mode", MODES)
def test_a_person_whom_the_client_knows(shop: ThirdParty, world: factories.World, visitor: Visitor, mode: str) -> None:
    factories.sign_in_consent("shop", world.actor, clock.now())
    db.session.commit()
    answer = said(visitor.get(shop.authorize_url(response_mode=mode)), mode, shop)
    assert "id_token" in shop.token(answer["code"]).json


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("known", [True, False])
def test_without_a_page(shop: ThirdParty, world: factories.World, visitor: Visitor, mode: str, known: bool) -> None:
    if known:
        factories.sign_in_consent("shop", world.actor, clock.now())
        db.session.commit()
    answer = said(visitor.get(shop.authorize_url(response_mode=mode, prompt="none")), mode, shop)
    assert (answer["iss"], answer["state"]) == (ISSUER, STATE)
    assert ("code" in answer, answer.get("error")) == (known, None if known else "consent_required")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("by_form", [False, True])
def test_a_wrong_request(shop: ThirdParty, mode: str, by_form: bool) -> None:
    wrong = shop.request(response_mode=mode, scope="profile")
    where: dict[str, Any] = {"data": wrong} if by_form else {"query_string": urlencode(wrong)}
    response = shop.http.open("/authorize", method="POST" if by_form else "GET", **where)
    assert response.status_code == (200 if mode in BY_FORM else 303)
    answer = said(Page(response), mode, shop)
    assert (answer["error"], answer["iss"], answer["state"]) == ("invalid_scope", ISSUER, STATE)


def test_after_an_approval_the_agent_returns_by_the_same_way(app: Flask, client: FlaskClient) -> None:
    now = clock.now()
    company = factories.company(now)
    agent, head = factories.holder(now, factories.AGENT, "周敏"), factories.holder(now, factories.LEGAL_REP, "李伟强")
    prepares = factories.mandate(company, agent, Capacity.AGENT, now)
    decides = factories.mandate(company, head, Capacity.LEGAL_REPRESENTATIVE, now)
    item = factories.item(now, "e.reg.licence")
    party = factories.party(now)
    factories.purpose(now, required=[item], kinds=("legal_entity",))
    db.session.commit()
    bank = ThirdParty(party, client)
    visitor = Visitor(client).sign_in(agent, now, acting=prepares)
    visitor.get(bank.authorize_url(response_mode="form_post"))
    waiting = visitor.tap("Agree")
    consent_id = waiting.link("Look at the authorization").rpartition("/")[2]
    by = factories.actor(head, now, on_behalf_of=decides)
    lifecycle.approve(consent_id, by, now, registry=factories.registry())
    db.session.commit()
    visitor.get(visitor.path)
    answer = said(visitor.tap("Return to Lingnan Example Bank"), "form_post", bank)
    assert (answer["iss"], answer["state"]) == (ISSUER, STATE)
    assert "access_token" in bank.token(answer["code"]).json


@pytest.mark.parametrize("mode", MODES)
def test_an_answer_too_long_for_the_cookie_goes_at_once(bank: ThirdParty, visitor: Visitor, mode: str) -> None:
    state = "ü" * 1024
    page = visitor.get(bank.authorize_url(response_mode=mode, state=state))
    assert "form-action 'self' https://bank.example;" in page.response.headers["Content-Security-Policy"]
    page = visitor.tap("Agree")
    assert page.status == (200 if mode in BY_FORM else 303)
    assert said(page, mode, bank)["state"] == state


def test_the_form_carries_nothing_of_ours(shop: ThirdParty, visitor: Visitor) -> None:
    page = visitor.get(shop.authorize_url(response_mode="form_post", prompt="none"))
    assert answer_of(page).keys() == {"error", "error_description", "state", "iss"}
    assert "<script>" not in page.html
    assert page.response.headers["Referrer-Policy"] == "no-referrer"
    assert page.response.headers["Cache-Control"] == "no-store"


def test_markup_in_a_state_stays_text(shop: ThirdParty, visitor: Visitor) -> None:
    state = '"><script>alert(1)</script>'
    page = visitor.get(shop.authorize_url(response_mode="form_post", prompt="none", state=state))
    assert answer_of(page)["state"] == state
    assert "<script>alert" not in page.html


# Signed responses


def test_a_signed_response_says_who_for_whom_and_how_long(shop: ThirdParty, visitor: Visitor) -> None:
    answer = answer_of(visitor.get(shop.authorize_url(response_mode="jwt", prompt="none")))
    token = jose.read(answer["response"])
    claims = jose.unverified_claims(token)
    assert token.header["alg"] == "ES256"
    assert (claims["iss"], claims["aud"]) == (ISSUER, "shop")
    assert 0 < claims["exp"] - clock.now().timestamp() <= 10 * 60


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", ""])
def test_a_signed_response_by_the_registered_algorithm(shop: ThirdParty, visitor: Visitor, alg: str) -> None:
    shop.registers(authorization_signed_response_alg=alg)
    answer = answer_of(visitor.get(shop.authorize_url(response_mode="jwt", prompt="none")))
    assert jose.read(answer["response"]).header["alg"] == (alg or "RS256")  # JARM section 3
    assert shop.read_response(answer["response"])["error"]


@pytest.mark.parametrize("registered", ["PS256", "ES256", "", "RS256"])
def test_a_data_client_keeps_to_fapi(bank: ThirdParty, visitor: Visitor, registered: str) -> None:
    bank.registers(authorization_signed_response_alg=registered)
    visitor.get(bank.authorize_url(response_mode="jwt"))
    answer = answer_of(visitor.tap("Refuse"))
    alg = registered if registered == "PS256" else "ES256"
    assert jose.read(answer["response"]).header["alg"] == alg
    assert bank.read_response(answer["response"])["error"] == "access_denied"


@pytest.mark.parametrize("alg", ["none", "HS256"])
def test_no_signed_response_by_what_is_no_signature(shop: ThirdParty, visitor: Visitor, alg: str) -> None:
    shop.registers(authorization_signed_response_alg=alg)
    answer = said(visitor.get(shop.authorize_url(response_mode="form_post.jwt")), "query", shop)
    assert (answer["error"], answer["iss"], answer["state"]) == ("invalid_request", ISSUER, STATE)


REFUSED_MODES: dict[str, str] = {
    "fragment": "fragment",
    "a signed fragment": "fragment.jwt",
    "unknown": "carrier_pigeon",
    "several": "query form_post",
    "in capitals": "FORM_POST",
}


@pytest.mark.parametrize("mode", REFUSED_MODES.values(), ids=REFUSED_MODES.keys())
def test_modes_that_are_refused(bank: ThirdParty, shop: ThirdParty, visitor: Visitor, mode: str) -> None:
    pushed = bank.push() if not mode else bank.post("/oauth/par", bank.request(response_mode=mode), proof=LEFT_OUT)
    assert (pushed.status_code, pushed.json["error"]) == (400, "invalid_request")
    answer = said(visitor.get(shop.authorize_url(response_mode=mode)), "query", shop)
    assert (answer["error"], answer["iss"], answer["state"]) == ("invalid_request", ISSUER, STATE)


def test_the_metadata_names_what_is_offered(client: FlaskClient, app: Flask) -> None:
    document = client.get("/.well-known/oauth-authorization-server").json
    assert document["response_modes_supported"] == MODES
    assert document["authorization_response_iss_parameter_supported"] is True
    published = {key["alg"] for key in client.get("/oauth/jwks").json["keys"]}
    assert set(document["authorization_signing_alg_values_supported"]) <= published


# What breaks most first implementations


@pytest.mark.parametrize(
    "changes", [{"scope": "profile"}, {"response_type": "token"}, {"code_challenge": LEFT_OUT}, {"prompt": "none"}]
)
def test_breaks_22_iss_in_error_responses(shop: ThirdParty, visitor: Visitor, changes: dict[str, Any]) -> None:
    answer = answer_of(visitor.get(shop.authorize_url(**changes)))
    assert answer["error"]
    assert answer["iss"] == ISSUER


def test_breaks_32_answers_after_post_are_303(shop: ThirdParty, bank: ThirdParty, visitor: Visitor) -> None:
    assert shop.http.post("/authorize", data=shop.request()).status_code == 303
    assert shop.http.post("/authorize", data=shop.request(scope="profile")).status_code == 303
    for tap in ("Agree", "Refuse"):
        page = visitor.get(bank.authorize_url())
        button = page.button(tap)
        assert button.form
        action = button.attributes.get("formaction", button.form.action)
        data = delivered(button.form) | {button.attributes["name"]: button.attributes["value"]}
        assert visitor.send("POST", action, data=data).status_code == 303


def test_breaks_33_no_cors_no_referer_no_frames(shop: ThirdParty, visitor: Visitor) -> None:
    headers = {"Origin": "https://elsewhere.example"}
    for answer in (
        shop.http.get(shop.authorize_url(), headers=headers),
        shop.http.get(shop.authorize_url(response_mode="form_post", scope="profile"), headers=headers),
        shop.http.get("/authorize", headers=headers),
        shop.http.options("/authorize", headers=headers | {"Access-Control-Request-Method": "GET"}),
    ):
        assert not [name for name, _value in answer.headers if name.lower().startswith("access-control")]
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("mode", MODES)
def test_breaks_29_a_second_redirect_uri_with_a_query(bank: ThirdParty, visitor: Visitor, mode: str) -> None:
    uri = f"{factories.REDIRECT_URI}?dummy1=lorem&dummy2=ipsum"
    bank.party.client.redirect_uris = [factories.REDIRECT_URI, uri]
    db.session.commit()
    visitor.get(bank.authorize_url(redirect_uri=uri, response_mode=mode))
    page = visitor.tap("Agree")
    if mode in BY_FORM:
        form = next(form for form in page.forms.values() if form.action == uri)
        answer = delivered(form)
    else:
        address = next(href for _words, href in page.links if href.startswith(f"{uri}&"))
        answer = parameters_of(address)
        assert (answer["dummy1"], answer["dummy2"]) == ("lorem", "ipsum")
    code = bank.read_response(answer["response"])["code"] if mode in SIGNED else answer["code"]
    assert bank.token(code).json["error"] == "invalid_grant"  # the other one of the two
    visitor.get(bank.authorize_url(redirect_uri=uri))
    address = next(href for _words, href in visitor.tap("Agree").links if href.startswith(f"{uri}&"))
    assert "access_token" in bank.token(parameters_of(address)["code"], redirect_uri=uri).json


def test_a_host_that_is_no_host_stays_out_of_the_policy() -> None:
    answer = Answer(redirect_uri="https://a;script-src*.example:99999/", fields={}, by_form=True)
    assert answer.origin == "https://ascript-src.example:99999"
