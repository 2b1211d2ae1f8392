"""Examples of the OAuth and OpenID specifications, run through our functions and endpoints.

Signed ones are also checked with another implementation, so that no byte that was copied wrong can stay.
"""

import base64
import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Any

import jwt as pyjwt
import pytest
from authlib.oidc.core.util import create_half_hash
from cryptography import x509
from flask.testing import FlaskClient
from joserfc import jwk as other_jwk
from joserfc import jwt as other_jwt

from consent import terms
from consent.oauth import resources
from consent.oauth.grants import S256Challenge
from dataspace import clock, jose
from dataspace.db import db
from tests import factories
from tests.conftest import ISSUER
from tests.consent.third_party import ThirdParty, code_for, tokens_for

pytestmark = pytest.mark.wire

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "oauth.json").read_text("utf-8"))
SIGNED = [*VECTORS["request_objects"], *VECTORS["id_tokens"]]
ISSUED = dt.datetime.fromtimestamp(1311281000, dt.UTC)  # while the ID tokens of the examples are valid


@pytest.fixture
def bank(world: factories.World, client: FlaskClient) -> ThirdParty:
    return ThirdParty(world.party, client)


@pytest.mark.parametrize("vector", SIGNED, ids=lambda v: v["source"])
def test_signed_examples_hold_for_us_and_for_others(vector: dict[str, Any]) -> None:
    token, key, claims = vector["token"], vector["jwk"], vector["claims"]
    ours = jose.verify(
        token,
        [key],
        algorithms={"RS256"},
        expected_typ=None,
        expected_iss=claims["iss"],
        expected_aud=claims["aud"],
        now=ISSUED,
    )
    assert ours.claims == claims
    assert other_jwt.decode(token, other_jwk.import_key(key), algorithms=["RS256"]).claims == claims
    options: Any = {"verify_exp": False, "verify_aud": False}
    assert pyjwt.decode(token, pyjwt.PyJWK(key | {"alg": "RS256"}).key, algorithms=["RS256"], options=options) == claims
    with pytest.raises(jose.InvalidToken):
        jose.verify_bytes(token[:-6] + "AAAAAA", [key], algorithms={"RS256"}, expected_typ=None)


@pytest.mark.parametrize("vector", VECTORS["request_objects"], ids=lambda v: v["source"])
def test_a_request_object_of_the_examples_is_not_signed_as_fapi_wants(vector: dict[str, Any]) -> None:
    with pytest.raises(jose.InvalidToken, match="algorithm"):
        jose.verify_bytes(vector["token"], [vector["jwk"]], algorithms={"PS256", "ES256", "EdDSA"}, expected_typ=None)
    with pytest.raises(jose.InvalidToken, match="typ"):
        jose.verify_bytes(vector["token"], [vector["jwk"]], algorithms={"RS256"}, expected_typ="oauth-authz-req+jwt")


def test_hashes_in_id_tokens() -> None:
    for vector, bearer, claim in zip(
        VECTORS["id_tokens"][1:], ("access_token", "code"), ("at_hash", "c_hash"), strict=True
    ):
        assert create_half_hash(vector[bearer], "RS256").decode() == vector["claims"][claim]
        half = hashlib.sha256(vector[bearer].encode()).digest()[:16]
        assert jose.b64encode(half) == vector["claims"][claim]


def test_the_challenge_of_pkce(bank: ThirdParty, world: factories.World) -> None:
    vector = VECTORS["pkce"]
    assert S256Challenge.CODE_CHALLENGE_METHODS["S256"](vector["verifier"], vector["challenge"])
    code, _consent = code_for(bank, world.actor, give=world.consent, code_challenge=vector["challenge"])
    assert bank.token(code, code_verifier=vector["challenge"]).json["error"] == "invalid_grant"
    assert bank.token(code, code_verifier=vector["verifier"]).status_code == 200


def test_the_thumbprint_of_a_certificate() -> None:
    vector = VECTORS["certificate"]
    der = base64.b64decode(vector["der"])
    certificate = x509.load_der_x509_certificate(der)
    certificate.verify_directly_issued_by(certificate)
    assert jose.public_jwk(certificate.public_key()) == vector["jwk"]
    assert jose.b64encode(hashlib.sha256(der).digest()) == vector["x5t#S256"]


DETAILS = VECTORS["authorization_details"]["document"]


@pytest.mark.parametrize("document", [DETAILS, *([d] for d in DETAILS)], ids=["both", *(d["type"] for d in DETAILS)])
def test_details_of_other_types_are_refused(bank: ThirdParty, document: list[dict[str, Any]]) -> None:
    text = json.dumps(document)
    with pytest.raises(terms.InvalidTerms):
        terms.parse(text)
    answer = bank.push(authorization_details=text)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_authorization_details")


def test_an_access_token_has_the_members_of_the_example(bank: ThirdParty, world: factories.World) -> None:
    uri, example = "https://ledger.example/api", VECTORS["access_token"]
    resources.add(uri, "jwt", None, clock.now(), issuer=ISSUER)
    db.session.commit()
    token = jose.read(tokens_for(bank, world.actor, resource=uri, scope="openid")["access_token"])
    assert token.header["typ"].lower() == example["header"]["typ"].lower()
    assert example["header"].keys() <= token.header.keys()
    claims = jose.unverified_claims(token)
    assert kinds(example["claims"]).items() <= kinds(claims).items()


def test_introspection_has_the_members_of_the_example(bank: ThirdParty, world: factories.World) -> None:
    example = VECTORS["introspection"]
    token = tokens_for(bank, world.actor, scope="openid")["access_token"]
    said = kinds(bank.introspect(token).json)
    told = kinds(example["active"])
    assert {name: kind for name, kind in told.items() if name in said and said[name] is not kind} == {}
    assert told.keys() - said.keys() == {"username", "extension_field"}  # no names, and no extension of that kind
    assert bank.introspect("mF_9.B5f-4.1JqM").json == example["inactive"]


def kinds(document: dict[str, Any]) -> dict[str, type]:
    return {name: type(value) for name, value in document.items()}
