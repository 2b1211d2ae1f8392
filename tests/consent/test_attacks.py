"""Attacks of RFC 9700 section 4 that cross the features: each is tried here as the attacker would.

What belongs to one feature alone is tried beside it; docs/security-checklist.md says where each item is.
"""

import ast
import hashlib
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from flask.testing import FlaskClient

from consent.clients import Profile
from dataspace import clock, jose
from dataspace.db import db
from examples.bank import keys as bank_keys
from examples.bank.fapi import DataSpaceClient, OAuthRefused
from tests import factories
from tests.conftest import ISSUER
from tests.consent.third_party import LEFT_OUT, ThirdParty, code_for, parameters_of, tokens_for
from tests.consent.visitor import Page, Visitor
from tests.documents import ROOT

pytestmark = pytest.mark.wire

ELSEWHERE = "https://evil.example"


@pytest.fixture
def bank(world: factories.World, client: FlaskClient) -> ThirdParty:
    return ThirdParty(world.party, client)


@pytest.fixture
def shop(world: factories.World, client: FlaskClient) -> ThirdParty:
    party = factories.party(clock.now(), "shop", profile=Profile.LOGIN, method="client_secret_basic", name="示例商店")
    db.session.commit()
    return ThirdParty(party, client)


# Section 4.1.3: the redirect URI is the registered one, character by character

NEARLY = [
    "https://bank.example/callback/", "https://bank.example/callback?", "https://bank.example/callback#",
    "https://bank.example/callback?next=/", "https://bank.example:443/callback", "https://BANK.example/callback",
    "https://bank.example/Callback", "https://bank.example/%63allback", "https://bank.example//callback",
    "https://bank.example/callback/../callback", "https://bank.example/callback;a", "https://bank.example./callback",
    "https://bank.example.evil.example/callback", "https://evil.example/https://bank.example/callback",
    "https://bank.example@evil.example/callback", "https://evil.example#@bank.example/callback",
    "https://bank.example\\.evil.example/callback", "http://bank.example/callback", "//bank.example/callback",
    "https://bank.example/callback ", " https://bank.example/callback", "https://bank.example/callback%0d%0aX:1",
    "javascript://bank.example/callback", "https://ｂank.example/callback", "https://bank.example/callback\x00",
]  # fmt: skip


@pytest.mark.parametrize("uri", NEARLY)
def test_4_1_an_address_that_is_nearly_the_registered_one_gets_nothing(shop: ThirdParty, uri: str) -> None:
    answer = shop.http.get("/authorize", query_string=shop.request(redirect_uri=uri))
    assert (answer.status_code, answer.location) == (400, None)
    assert shop.push(redirect_uri=uri).json["error"] == "invalid_request"


# Sections 4.2 and 4.3: nothing leaks by Referer or by the browser's history


def test_4_2_no_page_of_the_way_tells_its_address_or_loads_anything_from_elsewhere(
    bank: ThirdParty, world: factories.World
) -> None:
    visitor = Visitor(bank.http)
    pages = [visitor.get(bank.authorize_url())]  # the sign-in page
    visitor.sign_in(world.person, clock.now())
    pages.append(visitor.get(bank.authorize_url()))  # the consent page
    pages.append(visitor.tap("Agree"))  # the page that leads back, with the code
    pages.append(visitor.get("/authorize?client_id=nobody"))  # the error page
    for page in pages:
        assert page.response.headers["Referrer-Policy"] == "no-referrer"
        assert page.response.headers["Cache-Control"] == "no-store"
        assert not foreign(page, "src")
        links = [attributes["href"] for tag, attributes in page.tags if tag == "link" and "href" in attributes]
        assert not [link for link in links if urlsplit(link).netloc]
        policy = page.response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy or "default-src 'self'" in policy


def foreign(page: Page, attribute: str) -> list[str]:
    """Addresses of other sites in an attribute of the page's tags."""
    found = [attributes[attribute] for _tag, attributes in page.tags if attribute in attributes]
    return [address for address in found if urlsplit(address).netloc]


def test_4_3_an_answer_in_the_address_carries_no_token(
    shop: ThirdParty, world: factories.World, client: FlaskClient
) -> None:
    factories.sign_in_consent("shop", world.actor, clock.now())
    visitor = Visitor(client).sign_in(world.person, clock.now())
    answer = visitor.send("GET", shop.authorize_url(prompt="none"))
    assert set(parameters_of(answer.location)) == {"code", "state", "iss"}


def test_4_3_a_code_left_in_the_history_is_worth_nothing_once_it_was_used(
    bank: ThirdParty, world: factories.World
) -> None:
    code, _consent = code_for(bank, world.actor, give=world.consent)
    assert bank.token(code).status_code == 200
    assert bank.token(code).json["error"] == "invalid_grant"


# Section 4.4: mix-up of two servers


def test_4_4_every_answer_names_the_issuer_that_the_metadata_names(
    shop: ThirdParty, world: factories.World, client: FlaskClient
) -> None:
    issuer = client.get("/.well-known/oauth-authorization-server").json["issuer"]
    factories.sign_in_consent("shop", world.actor, clock.now())
    visitor = Visitor(client).sign_in(world.person, clock.now())
    for changes in ({}, {"scope": "profile"}, {"response_type": "token"}):
        answer = visitor.send("GET", shop.authorize_url(prompt="none", **changes))
        assert parameters_of(answer.location)["iss"] == issuer == ISSUER


# Section 4.5: a code of one transaction in another


def test_4_5_a_stolen_code_that_is_put_into_another_transaction_is_refused(
    bank: ThirdParty, world: factories.World
) -> None:
    stolen, _consent = code_for(bank, world.actor, give=world.consent)
    attackers = ThirdParty(bank.party, bank.http, proof_key=bank.proof_key)  # a session of the same client
    code_for(attackers, world.actor, give=world.consent)
    assert attackers.verifier != bank.verifier
    assert attackers.token(stolen).json["error"] == "invalid_grant"
    assert bank.token(stolen).status_code == 200


# Section 4.6: a token of one client at another


def test_4_6_an_id_token_vouches_for_its_access_token_and_names_its_client(
    shop: ThirdParty, world: factories.World
) -> None:
    given = factories.sign_in_consent("shop", world.actor, clock.now())
    body, other = (tokens_for(shop, world.actor, give=given) for _ in range(2))
    claims = jose.unverified_claims(jose.read(body["id_token"]))
    assert claims["aud"] == "shop"
    assert claims["nonce"] == "a nonce"
    assert claims["at_hash"] == left_half(body["access_token"]) != left_half(other["access_token"])


def left_half(token: str) -> str:
    """OpenID Connect Core section 3.1.3.6, for the algorithms with SHA-256."""
    return jose.b64encode(hashlib.sha256(token.encode()).digest()[:16])


# Section 4.8: a challenge that is stripped, or a verifier that is made up


@pytest.mark.parametrize("method", ["plain", "s256", "S512", "none", ""])
def test_4_8_there_is_no_way_down_from_s256(shop: ThirdParty, method: str) -> None:
    said = parameters_of(shop.http.get(shop.authorize_url(code_challenge_method=method)).location)
    assert said["error"] == "invalid_request"
    assert shop.push(code_challenge_method=method).json["error"] == "invalid_request"


def test_4_8_a_challenge_and_its_verifier_come_together_or_not_at_all(shop: ThirdParty, world: factories.World) -> None:
    bare = {"code_challenge": LEFT_OUT, "code_challenge_method": LEFT_OUT}
    signed_in = factories.sign_in_consent("shop", world.actor, clock.now())
    with_challenge, _ = code_for(shop, world.actor, give=signed_in)
    without, _ = code_for(shop, world.actor, give=signed_in, **bare)
    for answer in (shop.token(with_challenge, code_verifier=LEFT_OUT), shop.token(without)):
        assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")
    assert shop.token(with_challenge).status_code == 200
    assert shop.token(without, code_verifier=LEFT_OUT).status_code == 200


def test_4_8_the_metadata_offers_s256_alone(client: FlaskClient) -> None:
    document = client.get("/.well-known/oauth-authorization-server").json
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["response_types_supported"] == ["code"]
    assert not {"password", "implicit"} & set(document["grant_types_supported"])


# Section 4.9 and 4.10: a token that was stolen at another resource


def test_4_10_a_stolen_token_is_worth_nothing_without_its_key(bank: ThirdParty, world: factories.World) -> None:
    token = tokens_for(bank, world.actor, give=world.consent)["access_token"]
    thief = ThirdParty(bank.party, bank.http)  # another key
    assert thief.read(token).status_code == 401
    assert bank.http.get("/api/v1/data", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert bank.read(token).status_code == 200


# Section 4.11: no open redirector


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": f"{ELSEWHERE}/callback"},
        {"redirect_uri": f"{ELSEWHERE}/callback", "client_id": "nobody"},
        {"redirect_uri": f"{ELSEWHERE}/callback", "scope": "nonsense"},
        {"redirect_uri": f"{ELSEWHERE}/callback", "prompt": "none"},
        {"redirect_uri": f"{ELSEWHERE}/callback", "response_mode": "form_post"},
        {"redirect_uri": f"{ELSEWHERE}/callback", "state": f"{ELSEWHERE}"},
    ],
)
@pytest.mark.parametrize("by_form", [False, True])
def test_4_11_the_error_page_leads_nowhere_else(shop: ThirdParty, changes: dict[str, str], by_form: bool) -> None:
    sent = shop.request(**changes)
    answer = shop.http.post("/authorize", data=sent) if by_form else shop.http.get("/authorize", query_string=sent)
    page = Page(answer)
    assert (answer.status_code, answer.location, answer.headers.get("Refresh")) == (400, None, None)
    assert not [attributes for tag, attributes in page.tags if tag == "meta" and "http-equiv" in attributes]
    assert not [a for name in ("href", "action", "formaction", "src") for a in foreign(page, name)]


# Section 4.12: a form is never sent on


def test_4_12_every_redirect_of_ours_is_a_303() -> None:
    calls = [
        (path, node)
        for package in ("consent", "dataspace")
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "redirect"
    ]
    assert len(calls) > 20
    assert [f"{path.name}:{node.lineno}" for path, node in calls if status_of(node) != 303] == []


def status_of(call: ast.Call) -> Any:
    """The status that a call of redirect names."""
    named = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
    return next((node.value for node in [*call.args[1:2], *named] if isinstance(node, ast.Constant)), None)


# Section 4.16 and 4.17: frames, windows, other origins

PAGES = ("/", "/signin", "/authorize", "/consents", "/consent/req_unknown", "/admin/", "/nothing-here")
PROGRAMS = ("/oauth/par", "/oauth/token", "/oauth/introspect", "/oauth/revoke", "/userinfo", "/api/v1/data")


@pytest.mark.parametrize("path", PAGES)
def test_4_16_no_page_stands_in_a_frame_or_shares_its_window(client: FlaskClient, path: str) -> None:
    headers = client.get(path, headers={"Accept": "text/html"}).headers
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize("path", [*PAGES, *PROGRAMS])
def test_4_17_no_script_of_another_origin_reads_an_answer(client: FlaskClient, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        answer = client.open(path, method=method, headers={"Origin": ELSEWHERE})
        assert not [name for name, _value in answer.headers if name.lower().startswith("access-control")]


def test_4_17_no_script_of_ours_talks_to_other_windows() -> None:
    scripts = [path.read_text("utf-8") for path in sorted((ROOT / "static").rglob("*.js"))]
    assert scripts
    assert not re.search(r"postMessage|window\.opener|addEventListener\(.message.", "\n".join(scripts))


# The client's side, in the example that we hand out (RFC 9700 section 4.4.2, 4.7; ASVS 10.2 and 10.5)


@pytest.fixture
def example(tmp_path: Path) -> DataSpaceClient:
    """The bank of the examples, talking to a server that answers with another's metadata or with a token."""
    signing_key, proof_key = bank_keys.load(tmp_path / "keys.json")
    return DataSpaceClient(ISSUER, "bank", factories.REDIRECT_URI, signing_key=signing_key, proof_key=proof_key)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"code": "c", "state": "s"}, "wrong_issuer"),
        ({"code": "c", "state": "s", "iss": ELSEWHERE}, "wrong_issuer"),
        ({"code": "c", "state": "s", "iss": f"{ISSUER}/"}, "wrong_issuer"),
        ({"code": "c", "iss": ISSUER}, "wrong_state"),
        ({"code": "c", "state": "another", "iss": ISSUER}, "wrong_state"),
        ({"error": "access_denied", "state": "s", "iss": ISSUER}, "access_denied"),
    ],
)
def test_4_4_the_example_takes_no_answer_of_another_server_or_transaction(
    example: DataSpaceClient, answer: dict[str, str], error: str
) -> None:
    example.http = httpx.Client(transport=httpx.MockTransport(lambda _request: pytest.fail("nothing is sent")))
    with pytest.raises(OAuthRefused) as caught:
        example.finish(str(httpx.URL(factories.REDIRECT_URI, params=answer)), state="s", code_verifier="v" * 43)
    assert caught.value.error == error


def test_4_4_the_example_believes_no_metadata_of_another_issuer(example: DataSpaceClient) -> None:
    other = {"issuer": ELSEWHERE, "token_endpoint": f"{ISSUER}/oauth/token"}
    example.http = httpx.Client(transport=httpx.MockTransport(lambda _request: httpx.Response(200, json=other)))
    with pytest.raises(OAuthRefused) as caught:
        _ = example.metadata
    assert caught.value.error == "wrong_issuer"
