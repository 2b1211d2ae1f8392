"""Request objects: by value, pushed or through the browser, and by reference; what counts, and what is refused."""

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from consent import clients
from consent.clients import Profile
from consent.installation import EVERYTHING
from consent.oauth.par import AuthorizationRequest
from dataspace import clock, jose, jwk
from dataspace.db import db
from tests import factories
from tests.conftest import ISSUER, make_settings
from tests.consent.third_party import DETAILS, LEFT_OUT, ThirdParty, challenge, parameters_of
from tests.listening import serving
from wsgi import create_app

pytestmark = pytest.mark.wire

INVALID = "invalid_request_object"
Make = Callable[[ThirdParty], str]


@pytest.fixture
def bank(world: factories.World, client: FlaskClient) -> ThirdParty:
    bank = ThirdParty(world.party, client)
    bank.registers(require_signed_request_object=True)
    return bank


@pytest.fixture
def shop(world: factories.World, client: FlaskClient) -> ThirdParty:
    party = factories.party(clock.now(), "shop", profile=Profile.LOGIN, method="client_secret_basic", name="示例商店")
    db.session.commit()
    return ThirdParty(party, client)


def signing_key(alg: str, kid: str | None = None) -> jwk.SigningKey:
    return jwk.SigningKey(kid=kid, alg=alg, private_key=jwk.generate_key(alg))


def at(seconds: int) -> int:
    return int(clock.now().timestamp()) + seconds


def made(**changes: Any) -> Make:
    """An object with ``changes``; what has to be made anew for every request is a function."""
    return lambda third: third.request_object(**{n: v() if callable(v) else v for n, v in changes.items()})


def by_hand(header: dict[str, Any], signature: str = "", **changes: Any) -> Make:
    """An object with a header and a signature that no library would make."""

    def make(third: ThirdParty) -> str:
        payload = jose.read(third.request_object(**changes)).payload
        return f"{jwk.b64encode(orjson.dumps(header))}.{jwk.b64encode(payload)}.{signature}"

    return make


unsigned = by_hand({"alg": "none"})


def stored() -> list[AuthorizationRequest]:
    return list(db.session.scalars(select(AuthorizationRequest).order_by(AuthorizationRequest.created_at)))


def ask(third: ThirdParty, **parameters: Any) -> TestResponse:
    """What a browser brings to /authorize: these parameters and the client's name."""
    return third.http.get("/authorize?" + urlencode({"client_id": third.client_id} | parameters))


def refusal(answer: TestResponse) -> dict[str, str]:
    """What the client is told through the browser."""
    assert answer.status_code == 303, answer.text
    assert answer.location.startswith(f"{factories.REDIRECT_URI}?"), answer.location
    return parameters_of(answer.location)


# Pushed, by a data client (FAPI 2.0 Message Signing)


GOOD: dict[str, Make] = {
    "as it should be": made(),
    "typ JWT": made(typ="JWT"),
    "typ in full and in capitals": made(typ="application/OAUTH-AUTHZ-REQ+JWT"),
    "no typ": made(typ=None),
    "several audiences": made(aud=["https://elsewhere.example", ISSUER]),
    "nbf 8 seconds ahead": made(nbf=lambda: at(8)),
    "iat 10 seconds ahead": made(iat=lambda: at(10)),
    "nbf 59 minutes ago": made(nbf=lambda: at(-59 * 60), exp=lambda: at(30)),
    "an hour to live": made(nbf=lambda: at(0), exp=lambda: at(3600)),
    "no iat": made(iat=LEFT_OUT),
    "details as text": made(authorization_details=orjson.dumps(DETAILS).decode()),
    "max_age as a number": made(max_age=300),
    "a list of one resource": made(resource=[ISSUER]),
    "what we do not know": made(other={"a": [1]}, another=None, third=True, fourth=1.5),
    "another subject": made(sub="somebody"),
}


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD.keys())
def test_a_signed_request_is_pushed(bank: ThirdParty, make: Make) -> None:
    answer = bank.push_object(make(bank))
    assert answer.status_code == 201, answer.text
    row = stored()[0]
    assert row.asked.purpose_code == "loan-review"
    assert row.parameters["redirect_uri"] == factories.REDIRECT_URI
    assert (row.parameters["state"], row.parameters["nonce"]) == ("a state & more", "a nonce")
    opened = ask(bank, request_uri=answer.json["request_uri"])
    assert opened.location == f"/consent/{row.handle}"


BAD: dict[str, tuple[Make, str]] = {
    "not a token": (lambda _: "nonsense", INVALID),
    "encrypted": (lambda _: "e30.e30.e30.e30.e30", INVALID),
    "too long": (made(state="s" * 13_000), INVALID),
    "a short signature": (by_hand({"alg": "ES256"}, "AAAA"), INVALID),
    "unsigned": (unsigned, INVALID),
    "unsigned, in capitals": (by_hand({"alg": "NONE"}), INVALID),
    "a symmetric signature": (by_hand({"alg": "HS256"}, "AAAA"), INVALID),
    "an algorithm that is a number": (by_hand({"alg": 5}, "AAAA"), INVALID),
    "no algorithm": (by_hand({}, "AAAA"), INVALID),
    "a critical extension": (by_hand({"alg": "ES256", "crit": ["exp"]}, "AAAA"), INVALID),
    "RS256": (made(key=lambda: signing_key("RS256", "bank-1")), INVALID),
    "another key": (made(key=lambda: signing_key("ES256", "bank-1")), INVALID),
    "a kid that is not known": (made(key=lambda: signing_key("ES256", "bank-2")), INVALID),
    "a DPoP proof": (made(typ="dpop+jwt"), INVALID),
    "a client assertion by its type": (made(typ="client-authentication+jwt"), INVALID),
    "a client assertion by its subject": (made(sub="bank"), INVALID),
    "a client assertion": (lambda third: third.assertion(), INVALID),
    "no iss": (made(iss=LEFT_OUT), INVALID),
    "another iss": (made(iss="mart"), INVALID),
    "no aud": (made(aud=LEFT_OUT), INVALID),
    "another aud": (made(aud="https://elsewhere.example"), INVALID),
    "the pushed request's address as aud": (made(aud=f"{ISSUER}/oauth/par"), INVALID),
    "aud a list of others": (made(aud=["https://elsewhere.example"]), INVALID),
    "no client_id": (made(client_id=LEFT_OUT), INVALID),
    "another client_id": (made(client_id="mart"), INVALID),
    "no exp": (made(exp=LEFT_OUT), INVALID),
    "no nbf": (made(nbf=LEFT_OUT), INVALID),
    "expired": (made(exp=lambda: at(-1)), INVALID),
    "exp as text": (made(exp="soon"), INVALID),
    "exp after the end of time": (made(exp=10**15), INVALID),
    "nbf 61 seconds ahead": (made(nbf=lambda: at(61)), INVALID),
    "iat 61 seconds ahead": (made(iat=lambda: at(61)), INVALID),
    "nbf 61 minutes ago": (made(nbf=lambda: at(-61 * 60), exp=lambda: at(-1 * 60)), INVALID),
    "nbf 61 minutes ago, long to live": (made(nbf=lambda: at(-61 * 60), exp=lambda: at(60)), INVALID),
    "exp 61 minutes after nbf": (made(exp=lambda: at(61 * 60)), INVALID),
    "jti a number": (made(jti=5), INVALID),
    "jti empty": (made(jti=""), INVALID),
    "jti long": (made(jti="j" * 300), INVALID),
    "an object inside": (made(request="e30.e30."), INVALID),
    "a reference inside": (made(request_uri="urn:ietf:params:oauth:request_uri:x"), INVALID),
    "a control character": (made(state="a\x00b"), INVALID),
    "no redirect_uri": (made(redirect_uri=LEFT_OUT), "invalid_request"),
    "another redirect_uri": (made(redirect_uri="https://evil.example/"), "invalid_request"),
    "a list of redirect_uris": (made(redirect_uri=[factories.REDIRECT_URI]), "invalid_request"),
    "no response_type": (made(response_type=LEFT_OUT), "invalid_request"),
    "another response_type": (made(response_type="token"), "unsupported_response_type"),
    "no challenge": (made(code_challenge=LEFT_OUT), "invalid_request"),
    "a plain challenge": (made(code_challenge_method="plain"), "invalid_request"),
    "a response_mode in the fragment": (made(response_mode="fragment"), "invalid_request"),
    "a registration": (made(registration={}), "registration_not_supported"),
    "no details": (made(authorization_details=LEFT_OUT), "invalid_authorization_details"),
    "details that are none": (made(authorization_details={"type": 1}), "invalid_authorization_details"),
}


@pytest.mark.parametrize(("make", "error"), BAD.values(), ids=BAD.keys())
def test_a_wrong_object_is_refused(bank: ThirdParty, make: Make, error: str) -> None:
    outside = bank.request()  # right, and of no weight
    answer = bank.push_object(make(bank), **outside)
    assert (answer.status_code, answer.json["error"]) == (400, error)
    assert stored() == []


def test_only_what_is_inside_counts(bank: ThirdParty) -> None:
    outside = {"nonce": "outside", "state": "outside", "max_age": "1", "grant_id": "x", "scope": "everything"}
    assert bank.push_object(bank.request_object(state=LEFT_OUT), **outside).status_code == 201
    assert stored()[0].parameters == {
        "redirect_uri": factories.REDIRECT_URI, "nonce": "a nonce", "scope": "",
        "code_challenge": challenge(bank.verifier),
    }  # fmt: skip


def test_an_object_with_a_jti_is_pushed_once(bank: ThirdParty) -> None:
    request = bank.request_object(jti="j-1")
    assert bank.push_object(request).status_code == 201
    again = bank.push_object(request)
    assert (again.status_code, again.json) == (400, {"error": INVALID, "error_description": "jti was used before"})
    assert bank.push_object(bank.request_object(jti="j-2")).status_code == 201


def test_whoever_registered_to_sign_must(bank: ThirdParty) -> None:
    answer = bank.push()
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")
    bank.registers(require_signed_request_object=False)
    assert bank.push().status_code == 201


@pytest.mark.parametrize(("registered", "status"), [("", 201), ("PS256", 201), ("ES256", 400), ("RS256", 400)])
def test_the_registered_algorithm_is_the_only_one(bank: ThirdParty, registered: str, status: int) -> None:
    key = signing_key("PS256", "p-1")
    public = jwk.public_jwk(key.private_key, kid="p-1")
    bank.party.client.jwks = {"keys": [*bank.party.client.jwks["keys"], public]}  # type: ignore[index]
    bank.registers(request_object_signing_alg=registered)
    assert bank.push_object(bank.request_object(key=key)).status_code == status


def test_the_key_of_an_object_binds_nothing_but_dpop_jkt_inside_does(bank: ThirdParty) -> None:
    assert bank.push_object(bank.request_object(dpop_jkt=bank.jkt)).status_code == 201
    assert stored()[0].jkt == bank.jkt


# By value through the browser, by a login client (OpenID Connect Core section 6.1)


def test_what_is_inside_wins_and_the_rest_comes_from_outside(shop: ThirdParty) -> None:
    request = shop.request_object(state="inside", nonce=LEFT_OUT, max_age=60, scope="openid")
    outside = shop.request(state="outside", max_age="1", redirect_uri="https://evil.example/")
    assert ask(shop, **outside, request=request).status_code == 303
    kept = stored()[0].parameters
    assert (kept["state"], kept["nonce"], kept["max_age"], kept["scope"]) == ("inside", "a nonce", "60", "openid")
    assert kept["redirect_uri"] == factories.REDIRECT_URI


@pytest.mark.parametrize("by_form", [False, True])
def test_everything_may_stand_inside(shop: ThirdParty, by_form: bool) -> None:
    sent = {"client_id": "shop", "request": shop.request_object()}
    answer = shop.http.post("/authorize", data=sent) if by_form else ask(shop, **sent)
    assert answer.status_code == 303
    assert stored()[0].parameters["state"] == "a state & more"


def test_a_browser_may_reload(shop: ThirdParty) -> None:
    request = shop.request_object(jti="j-1")
    assert [ask(shop, request=request).status_code for _ in range(2)] == [303, 303]
    assert len(stored()) == 2


@pytest.mark.parametrize("left_out", ["iss", "aud", "exp", "nbf", "iat", "client_id"])
def test_a_login_client_may_leave_out_what_openid_connect_does_not_ask_for(shop: ThirdParty, left_out: str) -> None:
    assert "/consent/" in ask(shop, request=shop.request_object(**{left_out: LEFT_OUT})).location


DISAGREEING: dict[str, tuple[Make, dict[str, str], str]] = {
    "another response_type": (made(), {"response_type": "token"}, INVALID),
    "another client inside": (made(client_id="bank"), {}, INVALID),
    "another iss": (made(iss="bank"), {}, INVALID),
    "another aud": (made(aud="https://elsewhere.example"), {}, INVALID),
    "expired": (made(exp=lambda: at(-1)), {}, INVALID),
    "another key": (made(key=lambda: signing_key("ES256")), {}, INVALID),
    "a scope without openid outside": (made(), {"scope": "profile"}, "invalid_scope"),
    "a scope without openid inside": (made(scope="profile"), {}, "invalid_scope"),
    "both": (made(), {"request_uri": "https://shop.example/r"}, "invalid_request"),
    "a registration outside": (made(), {"registration": "{}"}, "registration_not_supported"),
}


@pytest.mark.parametrize(("make", "changes", "error"), DISAGREEING.values(), ids=DISAGREEING.keys())
def test_errors_go_to_the_client(shop: ThirdParty, make: Make, changes: dict[str, str], error: str) -> None:
    said = refusal(ask(shop, **shop.request(**changes), request=make(shop)))
    assert (said["error"], said["iss"], said["state"]) == (error, ISSUER, "a state & more")
    assert stored() == []


def test_where_errors_go_is_believed_once_it_is_verified(shop: ThirdParty) -> None:
    """And before that only what stands outside (RFC 9101 section 10.3)."""
    forged = shop.request_object(key=signing_key("ES256"), response_mode="form_post")
    assert ask(shop, request=forged).status_code == 400
    expired = shop.request_object(exp=at(-1))
    assert ask(shop, request=expired).status_code == 400
    outside = {"redirect_uri": factories.REDIRECT_URI, "state": "outside"}
    assert refusal(ask(shop, request=forged, **outside))["state"] == "outside"
    wrong = shop.request_object(prompt="none login", state="inside")
    assert refusal(ask(shop, request=wrong, **outside, prompt="login"))["state"] == "inside"
    elsewhere = shop.request_object(redirect_uri="https://evil.example/")
    assert ask(shop, request=elsewhere, **outside).status_code == 400


UNSIGNED: dict[str, tuple[str, Make, str]] = {
    "registered none, unsigned": ("none", unsigned, ""),
    "registered none, unsigned and expired": ("none", by_hand({"alg": "none"}, exp=1), INVALID),
    "registered none, unsigned of another": ("none", by_hand({"alg": "none"}, iss="bank"), INVALID),
    "registered none, unsigned with a signature": ("none", by_hand({"alg": "none"}, "AAAA"), INVALID),
    "registered none, signed": ("none", made(), INVALID),
    "registered ES256, unsigned": ("ES256", unsigned, INVALID),
    "registered ES256, signed with it": ("ES256", made(), ""),
    "registered PS256, signed with ES256": ("PS256", made(), INVALID),
    "registered nothing, signed": ("", made(), ""),
    "registered nothing, unsigned": ("", unsigned, ""),
    "registered nothing, unsigned and expired": ("", by_hand({"alg": "none"}, exp=1), INVALID),
}


@pytest.mark.parametrize(("registered", "make", "error"), UNSIGNED.values(), ids=UNSIGNED.keys())
def test_unsigned_objects_are_for_login_clients_that_did_not_register_to_sign(
    shop: ThirdParty, registered: str, make: Make, error: str
) -> None:
    shop.registers(request_object_signing_alg=registered)
    clients.check(shop.party.client, here=EVERYTHING)  # all of these can be registered
    answer = ask(shop, **shop.request(), request=make(shop))
    if error:
        assert refusal(answer)["error"] == error
    else:
        assert answer.location == f"/consent/{stored()[0].handle}"


@pytest.mark.parametrize("registered", ["", "none"])
def test_a_login_client_that_must_sign(shop: ThirdParty, registered: str) -> None:
    shop.registers(require_signed_request_object=True, request_object_signing_alg=registered)
    assert refusal(ask(shop, **shop.request()))["error"] == "invalid_request"
    assert refusal(ask(shop, **shop.request(), request=unsigned(shop)))["error"] == INVALID
    assert shop.push().json["error"] == "invalid_request"
    shop.registers(request_object_signing_alg="")
    ask(shop, **shop.request(), request=shop.request_object(nonce=LEFT_OUT))
    assert "nonce" not in stored()[0].parameters


def test_a_login_client_that_must_push(shop: ThirdParty) -> None:
    shop.registers(require_pushed_authorization_requests=True)
    assert refusal(ask(shop, **shop.request()))["error"] == "invalid_request"
    assert ask(shop, request=shop.request_object()).status_code == 400
    assert shop.push().status_code == 201
    pushed = shop.push_object()
    assert ask(shop, request_uri=pushed.json["request_uri"]).status_code == 303


# By reference (OpenID Connect Core section 6.2)


class Publisher(ThreadingHTTPServer):
    """The client's web server: ``files``: path -> (content type, body)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Files)
        self.files: dict[str, tuple[str, str]] = {}
        self.asked: list[tuple[str, str]] = []

    def publish(self, body: str, content_type: str = "application/oauth-authz-req+jwt", path: str = "/request") -> str:
        self.files[path] = (content_type, body)
        return f"http://127.0.0.1:{self.server_port}{path}"


class Files(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        publisher = self.server
        assert isinstance(publisher, Publisher)
        publisher.asked.append((self.path, self.headers["Accept"]))
        content_type, body = publisher.files.get(self.path, ("text/plain", ""))
        self.send_response(302 if self.path == "/moved" else 200 if self.path in publisher.files else 404)
        if self.path == "/moved":
            self.send_header("Location", "/request")
        if content_type:
            self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode("latin-1"))

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    server = Publisher()
    with serving(server):
        yield server


TYPES = [
    "application/oauth-authz-req+jwt",
    "Application/JWT",
    "application/jose",
    "text/plain; charset=utf-8",
    "text/html",
]


@pytest.mark.parametrize("content_type", TYPES)
def test_an_object_by_reference(shop: ThirdParty, publisher: Publisher, content_type: str) -> None:
    uri = publisher.publish(shop.request_object(state="inside") + "\n", content_type)
    shop.registers(request_uris=[uri])
    answer = ask(shop, **shop.request(), request_uri=uri)
    assert answer.location == f"/consent/{stored()[0].handle}"
    assert stored()[0].parameters["state"] == "inside"
    assert publisher.asked == [("/request", "application/oauth-authz-req+jwt")]


@pytest.mark.parametrize(("registered", "sent"), [("#abc", ""), ("", "#abc"), ("#abc", "#def"), ("#abc", "#abc")])
def test_a_fragment_tells_that_the_contents_changed(
    shop: ThirdParty, publisher: Publisher, registered: str, sent: str
) -> None:
    uri = publisher.publish(shop.request_object())
    shop.registers(request_uris=[uri + registered])
    assert "/consent/" in ask(shop, **shop.request(), request_uri=uri + sent).location
    assert publisher.asked[0][0] == "/request"


def test_contents_may_change_from_one_request_to_the_next(shop: ThirdParty, publisher: Publisher) -> None:
    uri = publisher.publish(shop.request_object(state="one"))
    shop.registers(request_uris=[uri])
    ask(shop, **shop.request(), request_uri=uri)
    publisher.publish(shop.request_object(state="two"))
    ask(shop, **shop.request(), request_uri=uri)
    assert [row.parameters["state"] for row in stored()] == ["one", "two"]


def test_an_unsigned_object_by_reference(shop: ThirdParty, publisher: Publisher) -> None:
    uri = publisher.publish(unsigned(shop))
    shop.registers(request_uris=[uri])
    assert "/consent/" in ask(shop, **shop.request(), request_uri=uri).location
    shop.registers(request_uris=[uri], request_object_signing_alg="ES256")
    assert refusal(ask(shop, **shop.request(), request_uri=uri))["error"] == INVALID


FETCHED: dict[str, tuple[str, str, str]] = {
    "not there": ("/nothing", "", "invalid_request_uri"),
    "moved": ("/moved", "", "invalid_request_uri"),
    "another content type": ("/request", "application/json", "invalid_request_uri"),
    "no content type": ("/request", "", "invalid_request_uri"),
}


@pytest.mark.parametrize(("path", "content_type", "error"), FETCHED.values(), ids=FETCHED.keys())
def test_what_cannot_be_fetched(
    shop: ThirdParty, publisher: Publisher, path: str, content_type: str, error: str
) -> None:
    uri = publisher.publish(shop.request_object(), content_type).replace("/request", path)
    shop.registers(request_uris=[uri])
    assert refusal(ask(shop, **shop.request(), request_uri=uri))["error"] == error
    assert stored() == []


CONTENTS: dict[str, tuple[Make, str]] = {
    "too long": (lambda _: "x" * 17_000, "invalid_request_uri"),
    "not ASCII": (lambda _: "\xff", "invalid_request_uri"),
    "empty": (lambda _: "", INVALID),
    "another key": (made(key=lambda: signing_key("ES256")), INVALID),
    "a reference inside": (made(request_uri="https://shop.example/r"), INVALID),
}


@pytest.mark.parametrize(("make", "error"), CONTENTS.values(), ids=CONTENTS.keys())
def test_what_is_fetched_and_wrong(shop: ThirdParty, publisher: Publisher, make: Make, error: str) -> None:
    uri = publisher.publish(make(shop))
    shop.registers(request_uris=[uri])
    said = refusal(ask(shop, **shop.request(), request_uri=uri))
    assert (said["error"], said["iss"], said["state"]) == (error, ISSUER, "a state & more")


ADDRESSES: dict[str, tuple[str, str, str]] = {
    "none registered": ("", "/request", "request_uri_not_supported"),
    "longer": ("/request", "/request2", "invalid_request_uri"),
    "with a query": ("/request", "/request?x=y", "invalid_request_uri"),
    "a folder": ("/request", "/request/", "invalid_request_uri"),
    "more than 512 characters": ("/request", f"/request#{'f' * 520}", "invalid_request_uri"),
}


@pytest.mark.parametrize(("registered", "sent", "error"), ADDRESSES.values(), ids=ADDRESSES.keys())
def test_only_registered_addresses_are_fetched(
    shop: ThirdParty, publisher: Publisher, registered: str, sent: str, error: str
) -> None:
    base = publisher.publish(shop.request_object()).removesuffix("/request")
    shop.registers(request_uris=[base + registered] if registered else [])
    assert refusal(ask(shop, **shop.request(), request_uri=base + sent))["error"] == error
    assert publisher.asked == []


def test_no_reference_leads_inside(shop: ThirdParty, publisher: Publisher, database_url: str) -> None:
    uri = publisher.publish(shop.request_object())
    inside = "https://10.0.0.1/request"
    shop.registers(request_uris=[uri, inside])
    strict = create_app(make_settings(database_url, fetch_loopback=False)).test_client()
    for address in (uri, inside):
        answer = strict.get("/authorize?" + urlencode(shop.request(request_uri=address)))
        assert refusal(answer)["error"] == "invalid_request_uri"
    assert publisher.asked == []


def test_keys_may_lie_behind_an_address(shop: ThirdParty, publisher: Publisher) -> None:
    key = signing_key("ES256", "k-1")
    keys = {"keys": [jwk.public_jwk(key.private_key, kid=key.kid)]}
    shop.party.client.jwks = None
    shop.party.client.jwks_uri = publisher.publish(orjson.dumps(keys).decode(), "application/json", "/jwks")
    db.session.commit()
    assert "/consent/" in ask(shop, request=shop.request_object(key=key)).location
    said = refusal(ask(shop, **shop.request(), request=shop.request_object()))
    assert said["error"] == INVALID
    assert [path for path, _accept in publisher.asked] == ["/jwks"]  # a stranger cannot make us fetch at will


def test_a_client_without_keys_signs_nothing(shop: ThirdParty) -> None:
    request = shop.request_object()
    shop.party.client.jwks = None
    db.session.commit()
    assert refusal(ask(shop, **shop.request(), request=request))["error"] == INVALID


def test_the_metadata_tells(client: FlaskClient, app: Flask) -> None:
    for name in ("oauth-authorization-server", "openid-configuration"):
        document = client.get(f"/.well-known/{name}").json
        assert document["request_parameter_supported"] is True
        assert document["request_uri_parameter_supported"] is True
        assert document["require_request_uri_registration"] is True
        assert document["require_signed_request_object"] is False
        assert document["request_object_signing_alg_values_supported"] == ["ES256", "EdDSA", "PS256", "RS256", "none"]
        assert not [key for key in document if key.startswith("request_object_encryption")]


# What breaks most first implementations


ERRORS: dict[str, tuple[dict[str, Any], bool]] = {
    "scope": ({"scope": "profile"}, True),
    "response_type": ({"response_type": "token"}, True),
    "no client": ({"client_id": "nobody"}, False),
    "no redirect_uri": ({"redirect_uri": LEFT_OUT}, False),
    "another redirect_uri": ({"redirect_uri": "https://evil.example/"}, False),
    "another redirect_uri and another mistake": ({"redirect_uri": "https://evil.example/", "scope": "x"}, False),
}


@pytest.mark.parametrize(("changes", "to_the_client"), ERRORS.values(), ids=ERRORS.keys())
def test_breaks_05_errors_go_to_the_client_or_onto_a_page_and_are_never_json(
    shop: ThirdParty, changes: dict[str, Any], to_the_client: bool
) -> None:
    answer = ask(shop, **shop.request(**changes) if "client_id" not in changes else changes)
    if to_the_client:
        assert refusal(answer)["error"]
    else:
        assert (answer.status_code, answer.mimetype, answer.location) == (400, "text/html", None)
        assert ("unknown client" if "client_id" in changes else "redirect_uri") in answer.text


@pytest.mark.parametrize("name", ["request", "request_uri", "registration"])
def test_breaks_06_request_and_request_uri_are_never_ignored(shop: ThirdParty, name: str) -> None:
    assert refusal(ask(shop, **shop.request(), **{name: "https://shop.example/nonsense"}))["error"]
    assert stored() == []


@pytest.mark.parametrize("tail", ["/", "/more", "?added=query", "?", "#", "x", "/../callback", "%20"])
@pytest.mark.parametrize("inside", [False, True])
def test_breaks_07_redirect_uris_are_compared_character_by_character(shop: ThirdParty, tail: str, inside: bool) -> None:
    uri = factories.REDIRECT_URI + tail
    sent = {"request": shop.request_object(redirect_uri=uri)} if inside else shop.request(redirect_uri=uri)
    assert ask(shop, **sent).status_code == 400
    assert stored() == []


@pytest.mark.parametrize(("seconds", "accepted"), [(-5, True), (10, True), (61, False), (300, False)])
@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_breaks_18_clocks_of_assertions_and_request_objects(
    bank: ThirdParty, claim: str, seconds: int, accepted: bool
) -> None:
    answer = bank.push_object(bank.request_object(**{claim: at(seconds)}))
    assert (answer.status_code, answer.json.get("error")) == ((201, None) if accepted else (400, INVALID))
    bank.registers(require_signed_request_object=False)
    answer = bank.push(client_assertion=bank.assertion(**{claim: at(seconds)}))
    assert (answer.status_code, answer.json.get("error")) == ((201, None) if accepted else (401, "invalid_client"))


def test_breaks_20_a_request_uri_is_bound_to_its_client_and_no_parameter_of_par(
    bank: ThirdParty, shop: ThirdParty
) -> None:
    uri = bank.push_object().json["request_uri"]
    inside = bank.push_object(bank.request_object(request_uri=uri))
    assert (inside.status_code, inside.json["error"]) == (400, INVALID)
    beside = bank.push_object(bank.request_object(), request_uri=uri)
    assert (beside.status_code, beside.json["error"]) == (400, "invalid_request")
    assert bank.http.get("/oauth/par").status_code == 405
    assert ask(shop, request_uri=uri).status_code == 400
    assert "/consent/" in ask(bank, request_uri=uri).location


def test_breaks_21_what_stands_beside_a_request_uri_is_ignored(bank: ThirdParty) -> None:
    uri = bank.push_object().json["request_uri"]
    beside = {"state": "x", "redirect_uri": "https://evil.example/", "request": "nonsense", "response_mode": "fragment"}
    assert ask(bank, request_uri=uri, **beside).location == f"/consent/{stored()[0].handle}"
    assert stored()[0].parameters["redirect_uri"] == factories.REDIRECT_URI


PKCE: dict[str, dict[str, Any]] = {
    "missing": {"code_challenge": LEFT_OUT, "code_challenge_method": LEFT_OUT},
    "no method, which means plain": {"code_challenge_method": LEFT_OUT},
    "plain": {"code_challenge_method": "plain"},
    "too short": {"code_challenge": "abc"},
}


@pytest.mark.parametrize("changes", PKCE.values(), ids=PKCE.keys())
def test_breaks_25_pkce_is_missing_or_plain_or_wrong(
    bank: ThirdParty, shop: ThirdParty, changes: dict[str, Any]
) -> None:
    answer = bank.push_object(bank.request_object(**changes))
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")
    answer = ask(shop, **shop.request(**changes))  # for whom it is optional, but not in another form
    assert (
        "/consent/" in answer.location if changes == PKCE["missing"] else refusal(answer)["error"] == "invalid_request"
    )
    assert bank.push_object().status_code == 201


def test_breaks_26_unpushed_and_unsigned_are_refused_for_data_and_fine_for_login(
    bank: ThirdParty, shop: ThirdParty
) -> None:
    signed = bank.request_object()
    for sent in (bank.request(), bank.request(request=signed), bank.request(request_uri="https://bank.example/r")):
        assert refusal(ask(bank, **sent))["error"] == "invalid_request"
    assert ask(bank, request=signed).status_code == 400
    assert bank.push().json["error"] == "invalid_request"
    assert bank.push_object(unsigned(bank)).json["error"] == INVALID
    assert stored() == []
    assert "/consent/" in ask(shop, **shop.request()).location
    assert shop.push().status_code == 201
