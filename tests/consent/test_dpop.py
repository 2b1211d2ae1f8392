"""Proofs of possession: the examples of RFC 9449, every step of its section 4.3 missed once, and garbage."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from consent.oauth import dpop, replay
from consent.oauth.dpop import InvalidProof, VerifiedProof
from consent.oauth.nonces import Nonces
from dataspace import jose
from dataspace.db import db

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "dpop.json").read_text())
NOW = dt.datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=dt.UTC)
SECONDS = NOW.timestamp()
URL = "https://as.example/proxy/api/v1/data"
TOKEN = "dst_0123456789abcdefghijklmnopqrstuvwxyz"
PRIVATE = {alg: jose.generate_key(alg) for alg in ("ES256", "EdDSA", "PS256", "RS256")}
JWK = jose.public_jwk(PRIVATE["ES256"])
JKT = jose.thumbprint(JWK)
MISSING = object()
OFFERED = Nonces("s" * 40, server="here", required=False)
REQUIRED = Nonces("s" * 40, server="here", required=True)


def prove(
    alg: str = "ES256", typ: str | None = "dpop+jwt", header: dict[str, Any] | None = None, **changes: Any
) -> str:
    """A proof for the request that :func:`verify` expects; ``changes`` to its claims, MISSING to leave one out."""
    claims = {"jti": "a-jti", "htm": "GET", "htu": URL, "iat": int(SECONDS), "ath": dpop.access_token_hash(TOKEN)}
    claims = {name: value for name, value in (claims | changes).items() if value is not MISSING}
    headers = {"jwk": jose.public_jwk(PRIVATE[alg])} | (header or {})
    headers = {name: value for name, value in headers.items() if value is not MISSING}
    key = jose.SigningKey(kid=None, alg=alg, private_key=PRIVATE[alg])
    return jose.sign_bytes(json.dumps(claims).encode(), key, typ=typ, headers=headers)


def verify(*headers: Any, **changes: Any) -> VerifiedProof:
    expected = {
        "method": "GET", "urls": (URL,), "nonces": OFFERED, "now": NOW, "access_token": TOKEN, "expected_jkt": JKT,
    }  # fmt: skip
    return dpop.verify_proof(list(headers), **(expected | changes))


@pytest.mark.parametrize("name", ["token_request", "refresh_request", "resource_request"])
def test_examples_of_the_rfc(name: str) -> None:
    vector = VECTORS[name]
    proof = dpop.verify_proof(
        [vector["proof"]],
        method=vector["method"],
        urls=(vector["url"],),
        nonces=OFFERED,
        now=dt.datetime.fromtimestamp(vector["iat"] + 30, dt.UTC),
        access_token=vector.get("access_token"),
        expected_jkt=VECTORS["jkt"],
    )
    assert (proof.jkt, proof.jti, proof.iat.timestamp()) == (VECTORS["jkt"], vector["jti"], vector["iat"])
    assert proof.key.jwk == VECTORS["jwk"]


@pytest.mark.parametrize("alg", sorted(dpop.ALGORITHMS))
def test_the_algorithms_of_fapi_are_accepted(alg: str) -> None:
    jkt = jose.thumbprint(jose.public_jwk(PRIVATE[alg]))
    assert verify(prove(alg), expected_jkt=jkt).jkt == jkt


def test_before_there_is_a_token_the_proof_says_which_key() -> None:
    proof = verify(prove(ath=MISSING), access_token=None, expected_jkt=None)
    assert proof.jkt == JKT
    assert proof.expires_at > proof.iat + dpop.MAX_AGE


GOOD = prove()
HEAD, BODY, TAIL = GOOD.split(".")
UNSECURED = jose.b64encode(json.dumps({"typ": "dpop+jwt", "alg": "none", "jwk": JWK}).encode())
OTHER_KEY = {"jwk": jose.public_jwk(jose.generate_key("ES256"))}
OTHER_KIND = {"jwk": jose.public_jwk(PRIVATE["EdDSA"])}
REFUSED: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "step 1: no header": ((), {}),
    "step 1: two headers": ((GOOD, prove(jti="b")), {}),
    "step 1: one header twice": ((GOOD, GOOD), {}),
    "step 1: two headers, joined by the server": ((f"{GOOD}, {prove(jti='b')}",), {}),
    "step 2: empty": (("",), {}),
    "step 2: two parts": ((f"{HEAD}.{BODY}",), {}),
    "step 2: not JSON": ((f"{HEAD}.AAAA.{TAIL}",), {}),
    "step 2: too long": ((prove(pad="x" * 16_384),), {}),
    "step 2: an unencoded payload": ((prove(header={"b64": False, "crit": ["b64"]}),), {}),
    "step 3: no jti": ((prove(jti=MISSING),), {}),
    "step 3: empty jti": ((prove(jti=""),), {}),
    "step 3: jti a number": ((prove(jti=7),), {}),
    "step 3: endless jti": ((prove(jti="j" * 257),), {}),
    "step 3: no htm": ((prove(htm=MISSING),), {}),
    "step 3: no htu": ((prove(htu=MISSING),), {}),
    "step 3: htu a list": ((prove(htu=[URL]),), {}),
    "step 3: no iat": ((prove(iat=MISSING),), {}),
    "step 3: iat as text": ((prove(iat=str(int(SECONDS))),), {}),
    "step 3: iat true": ((prove(iat=True),), {}),
    "step 3: no ath": ((prove(ath=MISSING),), {}),
    "step 3: no jwk": ((prove(header={"jwk": MISSING}),), {}),
    "step 4: no typ": ((prove(typ=None),), {}),
    "step 4: typ JWT": ((prove(typ="JWT"),), {}),
    "step 5: RS256": ((prove("RS256"),), {"expected_jkt": None}),
    "step 5: none": ((f"{UNSECURED}.{BODY}.",), {}),
    "step 6: another key than signed": ((prove(header=OTHER_KEY),), {"expected_jkt": None}),
    "step 6: signature of another proof": ((f"{HEAD}.{BODY}.{prove(jti='b').split('.')[2]}",), {}),
    "step 6: key for another algorithm": ((prove(header=OTHER_KIND),), {"expected_jkt": None}),
    "step 7: private key": ((prove(header={"jwk": JWK | {"d": "AAAA"}}),), {}),
    "step 7: symmetric key": ((prove(header={"jwk": {"kty": "oct", "k": "AAAA"}}),), {}),
    "step 8: another method": ((prove(htm="POST"),), {}),
    "step 8: lower case": ((prove(htm="get"),), {}),
    "step 9: another path": ((prove(htu=URL + "/"),), {}),
    "step 9: another host": ((prove(htu="https://evil.example/proxy/api/v1/data"),), {}),
    "step 9: without the proxy's prefix": ((prove(htu="https://as.example/api/v1/data"),), {}),
    "step 9: http": ((prove(htu=URL.replace("https", "http")),), {}),
    "step 10: a nonce of nobody": ((prove(nonce="made-up"),), {}),
    "step 10: no nonce where one is required": ((GOOD,), {"nonces": REQUIRED}),
    "step 10: an old nonce": ((prove(nonce=REQUIRED.current(NOW - dt.timedelta(minutes=5))),), {"nonces": REQUIRED}),
    "step 10: a nonce in a list": ((prove(nonce=[REQUIRED.current(NOW)]),), {"nonces": REQUIRED}),
    "step 11: too old": ((prove(iat=SECONDS - 60.5),), {}),
    "step 11: from the future": ((prove(iat=SECONDS + 10.5),), {}),
    "step 11: before all time": ((prove(iat=-1),), {}),
    "step 11: expired by its own word": ((prove(exp=SECONDS - 1),), {}),
    "step 12: another token": ((prove(ath=dpop.access_token_hash("another")),), {}),
    "step 12: ath in hexadecimal": ((prove(ath="00" * 32),), {}),
    "step 12: another key than the token's": ((GOOD,), {"expected_jkt": VECTORS["jkt"]}),
    "step 12: a binding that is no thumbprint": ((GOOD,), {"expected_jkt": "键"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_every_step_refuses(case: str) -> None:
    headers, changes = REFUSED[case]
    with pytest.raises(InvalidProof) as caught:
        verify(*headers, **changes)
    assert caught.value.code == ("use_dpop_nonce" if "step 10" in case else "invalid_dpop_proof")


@pytest.mark.parametrize("nonces", [OFFERED, REQUIRED])
def test_a_nonce_of_ours(nonces: Nonces) -> None:
    assert verify(prove(nonce=nonces.current(NOW)), nonces=nonces)


def test_the_window_of_time() -> None:
    for iat in (SECONDS - 60, SECONDS, SECONDS + 10):
        assert verify(prove(iat=iat))


@pytest.mark.parametrize(
    ("htu", "url"),
    [
        ("HTTPS://AS.Example/proxy/api/v1/data", URL),
        ("https://as.example:443/proxy/api/v1/data", URL),
        ("https://as.example/proxy/api/v1/data?item=1", URL),
        (URL, "https://as.example/proxy/api/v1/data?item=1&item=2"),
        ("https://as.example/proxy/api/v1/data#here", URL),
        ("https://as.example/pr%6fxy/%61pi/v1/data", URL),
        ("https://as.example/a%2fb", "https://as.example/a%2Fb"),
        ("https://as.example", "https://as.example/"),
        ("http://[::1]:80/token", "http://[::1]/token"),
        ("http://localhost:8000/token", "http://LOCALHOST:8000/token"),
    ],
)
def test_addresses_that_are_one(htu: str, url: str) -> None:
    assert verify(prove(htu=htu), urls=(url,))


@pytest.mark.parametrize(
    ("htu", "url"),
    [
        ("https://as.example/a%2Fb", "https://as.example/a/b"),
        ("https://as.example/A", "https://as.example/a"),
        ("https://as.example:8443/a", "https://as.example/a"),
        ("https://as.example:80/a", "https://as.example/a"),
        ("https://as.example./a", "https://as.example/a"),
        ("https://user@as.example/a", "https://as.example/a"),
        ("https://as.example\\@evil.example/a", "https://as.example/a"),
        ("https://as.exa\nmple/a", "https://as.example/a"),
        ("https://as.example/a/../b", "https://as.example/b"),
        ("//as.example/a", "https://as.example/a"),
        ("/a", "https://as.example/a"),
        ("ftp://as.example/a", "ftp://as.example/b"),
        ("https://[as.example/a", "https://as.example/a"),
        ("", "https://as.example/"),
        ("not a uri", "nor this"),
    ],
)
def test_addresses_that_are_two(htu: str, url: str) -> None:
    with pytest.raises(InvalidProof):
        verify(prove(htu=htu), urls=(url,))


def accept(proof: str, now: dt.datetime = NOW, **changes: Any) -> VerifiedProof:
    expected = {
        "method": "GET", "urls": (URL,), "nonces": OFFERED, "access_token": TOKEN, "expected_jkt": JKT, "now": now,
    }  # fmt: skip
    return dpop.accept_proof([proof], **(expected | changes))


def test_a_proof_is_accepted_once(app: Flask) -> None:
    proof = prove()
    assert accept(proof).jti == "a-jti"
    db.session.commit()
    with pytest.raises(InvalidProof):
        accept(proof)
    with pytest.raises(InvalidProof):
        accept(prove(iat=SECONDS + 1), NOW + dt.timedelta(seconds=1))  # another proof with the same jti
    assert accept(prove(jti="b-jti"))


def test_two_keys_may_choose_the_same_jti(app: Flask) -> None:
    accept(prove())
    assert accept(prove("EdDSA"), expected_jkt=None).jti == "a-jti"


def test_a_refused_proof_is_not_used_up(app: Flask) -> None:
    with pytest.raises(InvalidProof):
        accept(prove(), method="POST")
    assert accept(prove())


def test_a_proof_is_remembered_until_it_is_too_old(app: Flask) -> None:
    early = prove(iat=SECONDS + 10)  # the longest-lived one: its clock is ahead
    proof = accept(early)
    last = proof.iat + dpop.MAX_AGE
    assert replay.sweep(last) == 0
    with pytest.raises(InvalidProof, match="before"):
        accept(early, last)
    assert replay.sweep(proof.expires_at) == 1
    with pytest.raises(InvalidProof, match="too old"):
        accept(early, proof.expires_at)


json_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text(), max_size=2)


@given(st.text() | st.binary() | json_values)
def test_garbage_in_place_of_a_proof(garbage: Any) -> None:
    with pytest.raises(InvalidProof):
        verify(garbage)


@given(st.sampled_from(["jti", "htm", "htu", "iat", "ath", "exp", "nbf"]), json_values)
def test_garbage_in_signed_claims(name: str, garbage: Any) -> None:
    try:
        verify(prove(**{name: garbage}))
    except InvalidProof:
        return
    assert name in ("jti", "iat", "exp", "nbf")


@given(st.sampled_from(["jwk", "kid", "x5c", "crit", "cty"]), json_values | st.dictionaries(st.text(), json_values))
def test_garbage_in_the_header(name: str, garbage: Any) -> None:
    try:
        head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": JWK} | {name: garbage}
        verify(f"{jose.b64encode(json.dumps(head).encode())}.{BODY}.{TAIL}")
    except InvalidProof:
        return
    pytest.fail("the signature cannot hold")
