"""Client authentication: assertions, secrets, and where the keys come from while clients rotate them."""

import base64
import contextlib
import datetime as dt
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from consent.oauth import client_auth, replay
from consent.oauth.client_auth import ClientKeys, InvalidClient, VerifiedAssertion
from dataspace import jose
from dataspace.db import db
from tests.listening import serving

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "client_auth.json").read_text())
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
SECONDS = int(NOW.timestamp())
ISSUER = "https://as.example/proxy"
TOKEN_ENDPOINT = f"{ISSUER}/token"
CLIENT = "bank"
PRIVATE = {alg: jose.generate_key(alg) for alg in ("ES256", "EdDSA", "PS256", "RS256")}
MISSING = object()


def jwk(alg: str, kid: str | None = "k1") -> dict[str, Any]:
    return jose.public_jwk(PRIVATE[alg], kid=kid, alg=alg, use="sig")


def sign(alg: str = "ES256", *, kid: str | None = "k1", typ: str | None = "JWT", **changes: Any) -> str:
    """An assertion that :func:`verify` accepts; ``changes`` to its claims, MISSING to leave one out."""
    claims = {"iss": CLIENT, "sub": CLIENT, "aud": ISSUER, "jti": "a-jti", "iat": SECONDS, "exp": SECONDS + 60}
    claims = {name: value for name, value in (claims | changes).items() if value is not MISSING}
    key = jose.SigningKey(kid=kid, alg=alg, private_key=PRIVATE[alg])
    return jose.sign_bytes(json.dumps(claims).encode(), key, typ=typ)


def verify(assertion: Any, **changes: Any) -> VerifiedAssertion:
    expected = {"client_keys": [jwk("ES256")], "client_id": CLIENT, "expected_audience": ISSUER, "now": NOW}
    return client_auth.verify_assertion(assertion, **(expected | changes))


@pytest.mark.parametrize("alg", sorted(client_auth.ALGORITHMS))
def test_a_good_assertion(alg: str) -> None:
    verified = verify(sign(alg), client_keys=[jwk(alg)])
    assert verified == VerifiedAssertion(client_id=CLIENT, jti="a-jti", expires_at=NOW + dt.timedelta(seconds=60))


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "application/jwt", "client-authentication+jwt"])
def test_types_of_an_assertion(typ: str | None) -> None:
    assert verify(sign(typ=typ))


GOOD = sign()
HEAD, BODY, TAIL = GOOD.split(".")
UNSECURED = jose.b64encode(json.dumps({"alg": "none"}).encode())
LOGIN = {"token_endpoint": TOKEN_ENDPOINT}
REFUSED: dict[str, tuple[Any, dict[str, Any]]] = {
    "another issuer": (sign(iss="other"), {}),
    "no issuer": (sign(iss=MISSING), {}),
    "another subject": (sign(sub="other"), {}),
    "no subject": (sign(sub=MISSING), {}),
    "of another client": (sign(iss="other", sub="other"), {}),
    "no audience": (sign(aud=MISSING), {}),
    "audience is the token endpoint": (sign(aud=TOKEN_ENDPOINT), {}),
    "audience with a slash": (sign(aud=ISSUER + "/"), {}),
    "audience in a list": (sign(aud=[ISSUER]), {}),
    "audience among others": (sign(aud=[ISSUER, TOKEN_ENDPOINT]), {}),
    "audience null": (sign(aud=None), {}),
    "login: another endpoint": (sign(aud=f"{ISSUER}/par"), LOGIN),
    "login: two audiences": (sign(aud=[ISSUER, TOKEN_ENDPOINT]), LOGIN),
    "login: no audience in a list": (sign(aud=[]), LOGIN),
    "login: audience an object": (sign(aud={"iss": ISSUER}), LOGIN),
    "no exp": (sign(exp=MISSING), {}),
    "expired": (sign(exp=SECONDS), {}),
    "exp as text": (sign(exp=str(SECONDS + 60)), {}),
    "too long": (sign(exp=SECONDS + 5 * 60 + 31), {}),
    "exp after every calendar": (sign(exp=10**30), {}),
    "issued over 60 s ahead": (sign(iat=SECONDS + 61, exp=SECONDS + 120), {}),
    "valid over 60 s ahead": (sign(nbf=SECONDS + 61, exp=SECONDS + 120), {}),
    "no jti": (sign(jti=MISSING), {}),
    "empty jti": (sign(jti=""), {}),
    "jti a number": (sign(jti=7), {}),
    "endless jti": (sign(jti="j" * 257), {}),
    "RS256 of a data client": (sign("RS256"), {"client_keys": [jwk("RS256")]}),
    "a DPoP proof": (sign(typ="dpop+jwt"), {}),
    "a request object": (sign(typ="oauth-authz-req+jwt"), {}),
    "another key": (sign(), {"client_keys": [jose.public_jwk(jose.generate_key("ES256"), kid="k1")]}),
    "unknown kid": (sign(kid="k2"), {}),
    "no keys": (sign(), {"client_keys": []}),
    "signature of another": (f"{HEAD}.{BODY}.{sign(jti='b').split('.')[2]}", {}),
    "not signed": (f"{UNSECURED}.{BODY}.", {}),
    "nothing": (None, {}),
    "empty": ("", {}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_assertions_are_refused(case: str) -> None:
    assertion, changes = REFUSED[case]
    with pytest.raises(InvalidClient) as caught:
        verify(assertion, **changes)
    assert (caught.value.code, caught.value.status) == ("invalid_client", 401)


def test_clocks_that_are_a_little_ahead() -> None:
    assert verify(sign(iat=SECONDS + 10, nbf=SECONDS + 10))
    assert verify(sign(exp=SECONDS + 310)), "five minutes by a clock that is 10 s ahead"
    assert dt.timedelta(seconds=10) <= client_auth.SKEW <= dt.timedelta(seconds=60)


def test_libraries_of_login_clients_may_name_the_token_endpoint() -> None:
    for audience in (ISSUER, TOKEN_ENDPOINT, [ISSUER], [TOKEN_ENDPOINT]):
        assert verify(sign(aud=audience), **LOGIN)
    rs256 = {"client_keys": [jwk("RS256")], "algorithms": client_auth.LOGIN_ALGORITHMS}
    assert verify(sign("RS256"), **rs256)


def test_the_name_in_an_assertion() -> None:
    assert client_auth.unverified_client_id(sign(sub="whoever")) == "whoever"
    for bad in (sign(sub=MISSING), sign(sub=""), sign(sub=["a"]), sign(sub="a\0b"), sign(sub="客"), "x.y.z", None):
        with pytest.raises(InvalidClient):
            client_auth.unverified_client_id(bad)


@given(st.text() | st.binary() | st.none() | st.integers())
def test_garbage_in_place_of_an_assertion(garbage: Any) -> None:
    for read in (verify, client_auth.unverified_client_id):
        with pytest.raises(InvalidClient):
            read(garbage)


# Secrets


def basic(pair: str | bytes) -> str:
    return "Basic " + base64.b64encode(pair.encode() if isinstance(pair, str) else pair).decode()


def test_basic_credentials_of_the_rfc() -> None:
    vector = VECTORS["basic"]
    presented = client_auth.parse_basic(vector["authorization"])
    assert (presented.client_id, presented.secret) == (vector["client_id"], vector["secret"])
    assert vector["secret"] not in repr(presented)


@pytest.mark.parametrize(
    ("authorization", "client_id", "secret"),
    [
        (basic("a%3Ab:c%3Ad"), "a:b", "c:d"),
        (basic("my+app:p%2Bq%25+r"), "my app", "p+q% r"),
        (basic("a:b:c"), "a", "b:c"),
        (basic("a:b").replace("Basic", "bAsIc"), "a", "b"),
        (basic("a:b").replace(" ", "  "), "a", "b"),
    ],
)
def test_both_parts_are_form_urldecoded(authorization: str, client_id: str, secret: str) -> None:
    presented = client_auth.parse_basic(authorization)
    assert (presented.client_id, presented.secret) == (client_id, secret)


MALFORMED = [
    None,
    7,
    "",
    "Basic",
    "Basic ",
    "Bearer abc",
    "Basic !!!",
    "Basic YQ",
    basic("a"),
    basic(":b"),
    basic("a:"),
]
MALFORMED += [basic(b"\xff:b"), basic("a:%FF"), basic("a%00:b"), basic("a:b\n"), basic("客:b"), basic("a" * 257 + ":b")]


@pytest.mark.parametrize("authorization", MALFORMED)
def test_malformed_credentials(authorization: Any) -> None:
    with pytest.raises(InvalidClient):
        client_auth.parse_basic(authorization)


@given(st.text() | st.binary().map(basic) | st.text().map(basic))
def test_garbage_in_place_of_credentials(garbage: str) -> None:
    with contextlib.suppress(InvalidClient):
        assert client_auth.parse_basic(garbage).client_id


def test_secrets_are_compared_by_digest() -> None:
    digest = client_auth.secret_digest("dsc_secret")
    client_auth.check_secret("dsc_secret", expected_digest=digest)
    for secret, expected in [
        ("dsc_secre", digest),
        ("", digest),
        ("\ud800", digest),
        ("dsc_secret", None),
        ("-", None),
    ]:
        with pytest.raises(InvalidClient):
            client_auth.check_secret(secret, expected_digest=expected)


# Where the keys come from


@dataclass
class ThirdParty:
    client_id: str = CLIENT
    jwks: dict[str, Any] | None = None
    jwks_uri: str | None = None


class KeyServer(ThreadingHTTPServer):
    """A client's own server: what it publishes, and how often it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Published)
        self.document: Any = {"keys": [jwk("ES256")]}
        self.asked = 0
        self.down = False

    @property
    def client(self) -> ThirdParty:
        return ThirdParty(jwks_uri=f"http://127.0.0.1:{self.server_port}/jwks")


class Published(BaseHTTPRequestHandler):
    server: KeyServer

    def do_GET(self) -> None:
        self.server.asked += 1
        body = json.dumps(self.server.document).encode()
        self.send_response(503 if self.server.down else 200)
        self.send_header("Content-Type", "application/jwk-set+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[KeyServer]:
    server = KeyServer()
    with serving(server):
        yield server


@pytest.fixture
def keys() -> ClientKeys:
    return ClientKeys(allow_loopback=True)


def kids(keys: ClientKeys, client: ThirdParty, kid: str | None = "k1", after: float = 0) -> list[str | None]:
    """The kids that the client's keys have, ``after`` so many seconds."""
    return [key.kid for key in keys.of(client, kid=kid, now=NOW + dt.timedelta(seconds=after))]


def test_registered_keys_need_no_fetching(keys: ClientKeys) -> None:
    assert kids(keys, ThirdParty(jwks={"keys": [jwk("ES256"), jwk("PS256", "k2")]})) == ["k1", "k2"]
    assert kids(keys, ThirdParty(jwks={"keys": [jwk("ES256", "k3")]})) == ["k3"], "registered anew"


def test_registered_keys_that_are_not_for_us_are_left_out(keys: ClientKeys) -> None:
    foreign = jwk("RS256", "e1") | {"use": "enc", "alg": "RSA-OAEP"}
    assert kids(keys, ThirdParty(jwks={"keys": [foreign, jwk("ES256")]})) == ["k1"]


def test_a_client_without_keys(keys: ClientKeys) -> None:
    for client in (ThirdParty(), ThirdParty(jwks={}), ThirdParty(jwks={"keys": [{"kty": "oct", "k": "AA"}]})):
        with pytest.raises(InvalidClient):
            kids(keys, client)


def test_fetched_keys_are_kept_for_ten_minutes(keys: ClientKeys, server: KeyServer) -> None:
    for after in (0, 1, 599):
        assert kids(keys, server.client, after=after) == ["k1"]
    assert server.asked == 1
    kids(keys, server.client, after=600)
    assert server.asked == 2


def test_a_new_key_is_found_at_once_an_old_one_soon_forgotten(keys: ClientKeys, server: KeyServer) -> None:
    kids(keys, server.client)
    server.document = {"keys": [jwk("ES256", "k2")]}
    assert kids(keys, server.client, "k1", after=60) == ["k1"]
    assert kids(keys, server.client, "k2", after=60) == ["k2"]
    assert kids(keys, server.client, "k1", after=61) == ["k2"]


def test_a_strangers_kids_make_us_fetch_once_in_a_while(keys: ClientKeys, server: KeyServer) -> None:
    for second in range(60):
        assert kids(keys, server.client, f"unknown-{second}", after=second) == ["k1"]
    assert server.asked == 2


def test_a_key_without_a_kid_is_no_reason_to_fetch(keys: ClientKeys, server: KeyServer) -> None:
    server.document = {"keys": [jwk("ES256", None)]}
    for second in (0, 40, 80):
        kids(keys, server.client, "whatever", after=second)
        kids(keys, server.client, None, after=second)
    assert server.asked == 1


def test_keys_outlive_an_outage_of_an_hour(keys: ClientKeys, server: KeyServer) -> None:
    kids(keys, server.client)
    server.down = True
    assert kids(keys, server.client, after=3599) == ["k1"]
    with pytest.raises(InvalidClient, match="answered 503"):
        kids(keys, server.client, after=3600 + 30)
    server.down = False
    assert kids(keys, server.client, after=3600 + 61) == ["k1"]


@pytest.mark.parametrize(
    "document", [[], {}, {"keys": []}, {"keys": [{"kty": "oct", "k": "AA"}]}, {"keys": "x" * 70_000}]
)
def test_bad_documents(keys: ClientKeys, server: KeyServer, document: Any) -> None:
    server.document = document
    for after in (0, 1, 29):
        with pytest.raises(InvalidClient):
            kids(keys, server.client, after=after)
    assert server.asked == 1


def test_addresses_inside_are_not_fetched(server: KeyServer) -> None:
    with pytest.raises(InvalidClient):
        kids(ClientKeys(allow_loopback=False), server.client)
    assert server.asked == 0


def test_of_many_at_once_one_fetches(keys: ClientKeys, server: KeyServer) -> None:
    ready, found = threading.Barrier(8), []

    def ask(after: float) -> None:
        ready.wait()
        found.append(kids(keys, server.client, after=after))

    threads = [threading.Thread(target=ask, args=(n / 1000,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [["k1"]] * 8
    assert server.asked == 1


def test_only_so_many_clients_are_kept(keys: ClientKeys) -> None:
    for n in range(client_auth.CACHE_SIZE + 50):
        keys.of(ThirdParty(f"client-{n}", jwks={"keys": [jwk("ES256")]}), kid="k1", now=NOW)
    assert len(keys) == client_auth.CACHE_SIZE


def accept(keys: ClientKeys, client: ThirdParty, assertion: str, after: float = 0) -> VerifiedAssertion:
    now = NOW + dt.timedelta(seconds=after)
    return client_auth.accept_assertion(assertion, client, keys, expected_audience=ISSUER, now=now)


def test_an_assertion_is_accepted_once(app: Flask, keys: ClientKeys) -> None:
    client = ThirdParty(jwks={"keys": [jwk("ES256")]})
    assert accept(keys, client, GOOD).jti == "a-jti"
    db.session.commit()
    with pytest.raises(InvalidClient):
        accept(keys, client, GOOD)
    with pytest.raises(InvalidClient):
        accept(keys, client, sign(exp=SECONDS + 61))
    assert accept(keys, client, sign(jti="b-jti"))
    assert replay.sweep(NOW + dt.timedelta(seconds=59)) == 0
    assert replay.sweep(NOW + dt.timedelta(seconds=60)) == 2
    with pytest.raises(InvalidClient, match="expired"):
        accept(keys, client, GOOD, after=60)


def test_two_clients_may_choose_the_same_jti(app: Flask, keys: ClientKeys) -> None:
    for name in ("bank", "other"):
        client = ThirdParty(name, jwks={"keys": [jwk("ES256")]})
        assert accept(keys, client, sign(iss=name, sub=name)).client_id == name


def test_a_client_rotates_its_key_while_it_works(app: Flask, keys: ClientKeys, server: KeyServer) -> None:
    assert accept(keys, server.client, sign(jti="1"))
    server.document = {"keys": [jwk("EdDSA", "k2")]}
    assert accept(keys, server.client, sign("EdDSA", kid="k2", jti="2", exp=SECONDS + 90), after=40)
    with pytest.raises(InvalidClient):
        accept(keys, server.client, sign(jti="3", exp=SECONDS + 90), after=41)


@pytest.mark.parametrize("bad", ["", "a.b", "a.b.c", None])
def test_malformed_assertions_fetch_nothing(keys: ClientKeys, server: KeyServer, bad: Any) -> None:
    with pytest.raises(InvalidClient):
        accept(keys, server.client, bad)
    assert server.asked == 0
