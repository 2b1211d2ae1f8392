"""Tokens and keys against the examples of their RFCs, against another implementation, and against garbage."""

import base64
import contextlib
import datetime as dt
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwk as other_jwk
from joserfc import jws as other_jws

from dataspace import jose

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "jose.json").read_text())
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
ALGORITHMS = sorted(jose.ASYMMETRIC)
PRIVATE = {alg: jose.generate_key(alg) for alg in ALGORITHMS}
PUBLIC = {alg: jose.public_jwk(PRIVATE[alg], kid="k1", alg=alg, use="sig") for alg in ALGORITHMS}
EC_JWK = jose.public_jwk(PRIVATE["ES256"])
RSA_JWK = jose.public_jwk(PRIVATE["PS256"])


def signer(alg: str = "ES256", kid: str | None = "k1") -> jose.SigningKey:
    return jose.SigningKey(kid=kid, alg=alg, private_key=PRIVATE[alg])


def verify(token: Any, keys: Any = (PUBLIC["ES256"],), **changes: Any) -> jose.Verified:
    expectations = {
        "algorithms": {"ES256"},
        "expected_typ": "JWT",
        "expected_iss": "https://issuer.example",
        "expected_aud": "us",
        "now": NOW,
    }
    return jose.verify(token, keys, **(expectations | changes))


def claims(**changes: Any) -> dict[str, Any]:
    base = {"iss": "https://issuer.example", "aud": "us", "iat": NOW.timestamp(), "exp": NOW.timestamp() + 60}
    return {name: value for name, value in (base | changes).items() if value is not None}


def b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@pytest.mark.parametrize("vector", VECTORS["signatures"], ids=lambda v: v["source"])
def test_signatures_of_the_rfcs_verify(vector: dict[str, Any]) -> None:
    found = jose.verify_bytes(vector["token"], [vector["jwk"]], algorithms={vector["alg"]}, expected_typ=None)
    assert found.payload == vector["payload"].encode()
    spoilt = vector["token"][:-8] + "AAAAAAAA"[:-4] + vector["token"][-4:]
    with pytest.raises(jose.InvalidToken):
        jose.verify_bytes(spoilt, [vector["jwk"]], algorithms={vector["alg"]}, expected_typ=None)


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda v: v["source"])
def test_symmetric_unsecured_and_critical_tokens_of_the_rfcs_are_refused(vector: dict[str, Any]) -> None:
    keys = [EC_JWK, *([vector["jwk"]] if "jwk" in vector else [])]
    with pytest.raises(jose.InvalidToken):
        jose.verify_bytes(vector["token"], keys, algorithms={"HS256", "ES512", "none", "ES256"}, expected_typ=None)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize(
    "vector", [v for v in VECTORS["signatures"] + VECTORS["refused"] if "jwk" in v], ids=lambda v: v["source"]
)
def test_the_examples_are_true_to_their_source_says_another_implementation(vector: dict[str, Any]) -> None:
    """So what we refuse of them is refused for its algorithm, and not for a byte that was copied wrong."""
    registry = other_jws.JWSRegistry(algorithms=[vector["alg"]])
    read = other_jws.deserialize_compact(vector["token"], other_jwk.import_key(vector["jwk"]), registry=registry)
    assert read.payload == jose.read(vector["token"]).payload


@pytest.mark.parametrize("vector", VECTORS["thumbprints"], ids=lambda v: v["source"])
def test_thumbprints_of_the_rfcs(vector: dict[str, Any]) -> None:
    assert jose.thumbprint(vector["jwk"]) == vector["thumbprint"]
    assert jose.public_key(vector["jwk"]).thumbprint == vector["thumbprint"]


def test_canonical_form_of_the_rfc() -> None:
    vector = VECTORS["canonical"]
    assert jose.canonical(vector["document"]) == vector["canonical"].encode()
    assert jose.digest({"b": 1, "a": 2}) == jose.digest({"a": 2, "b": 1})
    assert jose.digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize("document", [float("nan"), {1: 2}, b"bytes", "\ud800", 2**60, {"\ud800": 1}])
def test_what_json_cannot_say_has_no_canonical_form(document: Any) -> None:
    with pytest.raises(jose.InvalidToken):
        jose.canonical(document)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # theirs: RFC 9864 would have us say Ed25519
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_signs_and_verifies_like_another_implementation(alg: str) -> None:
    theirs = other_jwk.import_key(PUBLIC[alg])
    ours = jose.sign_bytes(b"a payload", signer(alg), typ="x+jwt", headers={"extra": "1"})
    registry = other_jws.JWSRegistry(algorithms=[alg], strict_check_header=False)
    read = other_jws.deserialize_compact(ours, theirs, registry=registry)
    assert read.payload == b"a payload"
    assert read.protected == {"alg": alg, "kid": "k1", "typ": "x+jwt", "extra": "1"}

    private = other_jwk.import_key(
        jose.dump_private_key(PRIVATE[alg]), {"EC": "EC", "OKP": "OKP", "RSA": "RSA"}[PUBLIC[alg]["kty"]]
    )
    token = other_jws.serialize_compact({"alg": alg, "kid": "k1"}, b"theirs", private, registry=registry)
    assert jose.verify_bytes(token, [PUBLIC[alg]], algorithms={alg}, expected_typ=None).payload == b"theirs"
    assert jose.thumbprint(PUBLIC[alg]) == theirs.thumbprint()


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_private_keys_survive_storage(alg: str) -> None:
    again = jose.load_private_key(jose.dump_private_key(PRIVATE[alg]))
    assert jose.public_jwk(again) == jose.public_jwk(PRIVATE[alg])
    with pytest.raises(jose.InvalidToken):
        jose.load_private_key(b"not a key")


def test_headers_cannot_change_what_the_key_says() -> None:
    token = jose.sign({}, signer(), typ="JWT", headers={"alg": "none", "kid": "other", "typ": "x", "jwk": EC_JWK})
    assert jose.read(token).header == {"alg": "ES256", "kid": "k1", "typ": "JWT", "jwk": EC_JWK}


def test_a_good_token_is_read() -> None:
    found = verify(jose.sign(claims(), signer(), typ="JWT"))
    assert found.claims == claims()
    assert found.header["kid"] == "k1"
    assert found.key.thumbprint == jose.thumbprint(EC_JWK)


def test_every_form_of_keys_is_accepted() -> None:
    token = jose.sign(claims(), signer(), typ="application/JWT")
    prepared = jose.public_key(PUBLIC["ES256"])
    for keys in (prepared, [prepared], (prepared, PUBLIC["RS256"] | {"kid": "k2"}), [PUBLIC["ES256"]]):
        assert verify(token, keys).key == prepared


GOOD = jose.sign(claims(), signer(), typ="JWT")
HEAD, BODY, TAIL = GOOD.split(".")
REFUSED: dict[str, tuple[Any, dict[str, Any]]] = {
    "other algorithm than expected": (GOOD, {"algorithms": {"PS256"}}),
    "other typ": (GOOD, {"expected_typ": "at+jwt"}),
    "no typ": (jose.sign(claims(), signer(), typ=None), {}),
    "other issuer": (GOOD, {"expected_iss": "https://issuer.example/"}),
    "other audience": (GOOD, {"expected_aud": "them"}),
    "audience is a part only": (jose.sign(claims(aud="usa"), signer(), typ="JWT"), {}),
    "no issuer": (jose.sign(claims(iss=None), signer(), typ="JWT"), {}),
    "no audience": (jose.sign(claims(aud=None), signer(), typ="JWT"), {}),
    "required claim missing": (GOOD, {"required": ("jti",)}),
    "expired now": (GOOD, {"now": NOW + dt.timedelta(seconds=60)}),
    "expired, whatever the leeway": (GOOD, {"now": NOW + dt.timedelta(seconds=61), "leeway": dt.timedelta(hours=1)}),
    "issued in the future": (GOOD, {"now": NOW - SECOND}),
    "not valid yet": (jose.sign(claims(nbf=NOW.timestamp() + 1), signer(), typ="JWT"), {}),
    "exp is text": (jose.sign(claims(exp="never"), signer(), typ="JWT"), {}),
    "exp is true": (jose.sign(claims(exp=True), signer(), typ="JWT"), {}),
    "exp is beyond every calendar": (jose.sign(claims(exp=1e300), signer(), typ="JWT"), {}),
    "iat is null": (f"{HEAD}.{b64(b'{}')}.{TAIL}", {}),
    "claims are a list": (jose.sign_bytes(b"[]", signer(), typ="JWT"), {}),
    "claims are not JSON": (jose.sign_bytes(b"\xff", signer(), typ="JWT"), {}),
    "kid unknown": (jose.sign(claims(), signer(kid="k2"), typ="JWT"), {}),
    "kid is a number": (f"{b64(orjson.dumps({'alg': 'ES256', 'typ': 'JWT', 'kid': 1}))}.{BODY}.{TAIL}", {}),
    "alg is a list": (f"{b64(orjson.dumps({'alg': ['ES256'], 'typ': 'JWT'}))}.{BODY}.{TAIL}", {}),
    "header is a list": (f"{b64(b'[]')}.{BODY}.{TAIL}", {}),
    "signature of another": (f"{HEAD}.{BODY}.{jose.sign({}, signer(), typ='JWT').split('.')[2]}", {}),
    "signature empty": (f"{HEAD}.{BODY}.", {}),
    "signature padded": (f"{GOOD}==", {}),
    "payload with a foreign character": (f"{HEAD}.{BODY}!.{TAIL}", {}),
    "two parts": (f"{HEAD}.{BODY}", {}),
    "four parts": (f"{GOOD}.", {}),
    "whitespace around": (f" {GOOD}\n", {}),
    "too long": (jose.sign(claims(pad="x" * 16_384), signer(), typ="JWT"), {}),
    "not text": (GOOD.encode(), {}),
    "nothing": (None, {}),
    "key of another": (GOOD, {"keys": [jose.public_jwk(ec.generate_private_key(ec.SECP256R1()), kid="k1")]}),
    "key for another algorithm": (
        jose.sign(claims(), signer("PS256"), typ="JWT"),
        {"keys": [PUBLIC["RS256"]], "algorithms": jose.ASYMMETRIC},
    ),
    "no keys": (GOOD, {"keys": []}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_tokens_are_refused(case: str) -> None:
    token, changes = REFUSED[case]
    with pytest.raises(jose.InvalidToken):
        verify(token, **changes)


def test_only_a_missing_key_is_worth_another_look_at_the_keys() -> None:
    with pytest.raises(jose.UnknownKey):
        verify(jose.sign(claims(), signer(kid="k2"), typ="JWT"))
    with pytest.raises(jose.InvalidToken) as caught:
        verify(f"{HEAD}.{BODY}.{'A' * 86}")
    assert not isinstance(caught.value, jose.UnknownKey)


def test_leeway_is_for_clocks_that_are_ahead() -> None:
    token = jose.sign(claims(nbf=NOW.timestamp()), signer(), typ="JWT")
    early = NOW - dt.timedelta(seconds=10)
    assert verify(token, now=early, leeway=dt.timedelta(seconds=10))
    with pytest.raises(jose.InvalidToken):
        verify(token, now=early - SECOND, leeway=dt.timedelta(seconds=10))


def without(jwk: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in jwk.items() if name not in names}


def ec_point_off_the_curve() -> dict[str, Any]:
    return EC_JWK | {"x": b64(bytes(31) + b"\x05"), "y": b64(bytes(31) + b"\x06")}


def weak_rsa() -> dict[str, Any]:
    return jose.public_jwk(rsa.generate_private_key(public_exponent=65537, key_size=1024))


BAD_KEYS: dict[str, Any] = {
    "not an object": "key",
    "private EC": EC_JWK | {"d": b64(bytes(32))},
    "private RSA": RSA_JWK | {"p": "AQ"},
    "private member of RSA, null": RSA_JWK | {"d": None},
    "symmetric": {"kty": "oct", "k": b64(bytes(32))},
    "unknown kty": {"kty": "AKP", "pub": b64(bytes(32))},
    "kty missing": without(EC_JWK, "kty"),
    "kty is a list": EC_JWK | {"kty": ["EC"]},
    "other curve": EC_JWK | {"crv": "P-384"},
    "Ed448": {"kty": "OKP", "crv": "Ed448", "x": b64(bytes(57))},
    "x missing": without(EC_JWK, "x"),
    "x too short": EC_JWK | {"x": b64(bytes(31))},
    "x padded": EC_JWK | {"x": EC_JWK["x"] + "="},
    "x with a foreign character": EC_JWK | {"x": EC_JWK["x"] + "!"},
    "x is a number": EC_JWK | {"x": 5},
    "off the curve": ec_point_off_the_curve(),
    "weak RSA": weak_rsa(),
    "huge RSA": RSA_JWK | {"n": b64(b"\xff" * 2048)},
    "even RSA": RSA_JWK | {"n": b64(b"\xff" * 255 + b"\xfe")},
    "RSA with leading zero": RSA_JWK | {"n": b64(b"\0" + jose.b64decode(RSA_JWK["n"]))},
    "RSA exponent one": RSA_JWK | {"e": "AQ"},
    "RSA exponent huge": RSA_JWK | {"e": b64(b"\xff" * 200)},
    "for encryption": EC_JWK | {"use": "enc"},
    "for signing only": EC_JWK | {"key_ops": ["sign"]},
    "key_ops is text": EC_JWK | {"key_ops": "verify"},
    "alg of another family": EC_JWK | {"alg": "RS256"},
    "alg unknown": EC_JWK | {"alg": "ES384"},
    "alg symmetric": RSA_JWK | {"alg": "HS256"},
    "alg is a list": EC_JWK | {"alg": ["ES256"]},
    "kid is a number": EC_JWK | {"kid": 7},
    "kid too long": EC_JWK | {"kid": "k" * 257},
}


@pytest.mark.parametrize("case", BAD_KEYS)
def test_bad_keys_are_refused(case: str) -> None:
    with pytest.raises(jose.InvalidToken):
        jose.public_key(BAD_KEYS[case])
    with pytest.raises(jose.InvalidToken):
        jose.parse_jwk_set({"keys": [BAD_KEYS[case]]})


BAD_SETS: dict[str, Any] = {
    "not an object": [],
    "no keys": {},
    "empty": {"keys": []},
    "keys is an object": {"keys": {}},
    "one kid twice for one kind": {"keys": [EC_JWK | {"kid": "a"}, EC_JWK | {"kid": "a"}]},
    "21 keys": {"keys": [EC_JWK] * 21},
}


@pytest.mark.parametrize("case", BAD_SETS)
def test_bad_sets_are_refused(case: str) -> None:
    with pytest.raises(jose.InvalidToken):
        jose.parse_jwk_set(BAD_SETS[case])


def test_sets_of_others_may_hold_keys_that_are_not_for_us() -> None:
    document = VECTORS["jwk_set"]["document"]
    assert [key.kid for key in jose.parse_jwk_set(document, skip_foreign=True)] == ["2011-04-29"]
    with pytest.raises(jose.InvalidToken):
        jose.parse_jwk_set(document)
    for leaked in ("private EC", "private RSA", "symmetric", "weak RSA", "off the curve"):
        with pytest.raises(jose.InvalidToken):
            jose.parse_jwk_set({"keys": [BAD_KEYS[leaked]]}, skip_foreign=True)
    for foreign in ("unknown kty", "other curve", "Ed448", "for encryption", "for signing only", "alg unknown"):
        assert jose.parse_jwk_set({"keys": [BAD_KEYS[foreign]]}, skip_foreign=True) == ()


def test_what_a_verified_key_prints_holds_no_private_part() -> None:
    key = jose.SigningKey(kid="k1", alg="EdDSA", private_key=ed25519.Ed25519PrivateKey.generate())
    assert "private_key" not in repr(key)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
members = ["kty", "crv", "x", "y", "n", "e", "d", "k", "kid", "alg", "use", "key_ops", "typ", "crit", "jwk"]
likely = st.sampled_from(["EC", "OKP", "RSA", "P-256", "Ed25519", "ES256", "sig", "AQAB", EC_JWK["x"], "JWT", "k1"])
objects = st.dictionaries(st.sampled_from(members) | st.text(max_size=3), likely | json_values, max_size=8)


@given(st.text() | st.binary() | json_values)
def test_garbage_in_place_of_a_token(garbage: Any) -> None:
    with pytest.raises(jose.InvalidToken):
        verify(garbage)


@given(objects, st.binary(max_size=60), st.binary(max_size=70))
def test_garbage_in_the_parts_of_a_token(header: dict[str, Any], body: bytes, tail: bytes) -> None:
    head = json.dumps({"alg": "ES256", "typ": "JWT"} | header).encode()
    with pytest.raises(jose.InvalidToken):
        verify(".".join(map(b64, (head, body, tail))))


@given(objects)
def test_garbage_in_signed_claims(garbage: dict[str, Any]) -> None:
    times = dict(zip(("exp", "nbf", "iat", "aud"), garbage.values(), strict=False))
    token = jose.sign_bytes(json.dumps(claims() | times).encode(), signer(), typ="JWT")
    with contextlib.suppress(jose.InvalidToken):
        assert verify(token)


@given(objects | json_values)
def test_garbage_in_place_of_keys(garbage: Any) -> None:
    for read in (jose.public_key, lambda jwk: jose.parse_jwk_set({"keys": [jwk]}, skip_foreign=True)):
        with contextlib.suppress(jose.InvalidToken):
            read(garbage)


def test_keys_of_different_kinds_may_share_a_kid() -> None:
    assert len(jose.parse_jwk_set({"keys": [EC_JWK | {"kid": "a"}, RSA_JWK | {"kid": "a"}]})) == 2
