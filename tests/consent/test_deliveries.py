"""What leaves the data API: signed, encrypted, unchanged, for a purpose and a case. Opened by another library."""

import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK, JWKSet
from jwcrypto.jws import JWS
from sqlalchemy import select
from werkzeug.test import TestResponse

from consent import history
from consent.purposes import Purpose
from consent.records import Consent
from dataspace import clock
from dataspace.accesses import Access
from dataspace.catalogue import DataItem
from dataspace.db import db
from dataspace.messages import Message, Notice
from tests import factories
from tests.conftest import ISSUER
from tests.consent.degree import degree_bank, granted
from tests.consent.third_party import ThirdParty

PATH = "/api/v1/data"


@pytest.fixture
def bank(app: Flask, client: FlaskClient) -> ThirdParty:
    return degree_bank(client)


def read(bank: ThirdParty, access: str, query: str = "", **headers: str) -> TestResponse:
    sent = {"Authorization": f"DPoP {access}", "DPoP": bank.proof("GET", PATH, access_token=access)}
    return bank.http.get(PATH + query, headers=sent | headers)


def verified(bank: ThirdParty, token: str) -> dict[str, Any]:
    """As jwcrypto sees it, with the keys that we publish."""
    jws = JWS()
    jws.deserialize(token)
    header = json.loads(jws.objects["protected"])
    assert (header["alg"], header["typ"]) == ("ES256", "delivery+jwt")
    jws.verify(JWKSet.from_json(bank.http.get("/receipts/keys").text).get_key(header["kid"]))
    claims: dict[str, Any] = json.loads(jws.payload)
    assert claims.keys() == {"iss", "aud", "iat", "jti", "delivery"}
    assert (claims["iss"], claims["aud"], claims["jti"]) == (ISSUER, bank.client_id, claims["delivery"]["delivery_id"])
    return claims


def log() -> list[tuple[str, str | None, str | None]]:
    rows = db.session.scalars(select(Access).order_by(Access.access_id))
    return [(row.outcome, row.reason, row.reference_no) for row in rows]


@pytest.mark.parametrize(
    "accept", ["application/jwt", "application/jwt, application/json;q=0.5", "application/jwt, */*;q=0.1"]
)
def test_signed_when_asked_for(bank: ThirdParty, accept: str) -> None:
    answer = read(bank, granted(bank), Accept=accept)
    assert (answer.status_code, answer.mimetype) == (200, "application/jwt")
    said = verified(bank, answer.text)["delivery"]
    plain = read(bank, granted(bank)).json
    assert said["items"] == plain["items"]
    assert said["items"][0]["fields"] == {"school": "示例大学", "major": "会计", "level": None}
    assert log()[0] == ("answered", None, None)


@pytest.mark.parametrize(
    "accept", ["", "*/*", "application/json", "text/html", "application/jwt;q=0.1, application/json"]
)
def test_plain_otherwise(bank: ThirdParty, accept: str) -> None:
    answer = read(bank, granted(bank), Accept=accept)
    assert (answer.status_code, answer.mimetype) == (200, "application/json")


def test_a_comparison_is_signed_as_well(bank: ThirdParty) -> None:
    access = granted(bank, items=[{"item": "p.edu.degree", "delivery": "verify_only"}])
    path = "/api/v1/comparisons"
    headers = {
        "Authorization": f"DPoP {access}",
        "DPoP": bank.proof("POST", path, access_token=access),
        "Accept": "application/jwt",
    }
    rows = [{"school": "示例大学", "major": "会计", "level": "本科"}]
    answer = bank.http.post(path, json={"items": [{"item": "p.edu.degree", "rows": rows}]}, headers=headers)
    assert verified(bank, answer.text)["delivery"]["items"][0]["match"] is False


def test_what_is_delivered_is_valid_by_the_published_schema(bank: ThirdParty) -> None:
    """Fields by what describes a row; a masked one may show its ends only, and nothing else."""
    item = db.session.scalars(select(DataItem)).one()
    rule = {"type": "string", "enum": ["示例大学"]}
    item.fields = [item.fields[0] | {"value": rule, "masked": True}, *item.fields[1:]]
    db.session.commit()
    (delivered,) = read(bank, granted(bank)).json["items"]
    answer = bank.http.get(delivered["schema"])
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    template = bank.http.get("/.well-known/oauth-protected-resource").json["item_schema_uri_template"]
    assert answer.json["$id"] == template.format(**delivered) == ISSUER + delivered["schema"]
    row = Draft202012Validator(answer.json["items"])
    row.validate(delivered["fields"] | {"school": "****"})
    assert not row.is_valid({"school": "别的大学"})
    assert not row.is_valid({"school": 7})
    assert not row.is_valid({"other": "x"})
    for version in ("2", "0", "99999999999", "x"):
        assert bank.http.get(f"/api/v1/items/p.edu.degree/{version}/schema.json").status_code == 404


# Encrypted


def with_key(bank: ThirdParty, key: JWK, **options: str) -> None:
    """The bank has a key for encryption beside the one that it signs with."""
    client = bank.party.client
    client.jwks = {"keys": [*client.jwks["keys"], json.loads(key.export_public()) | {"use": "enc"}]}
    bank.registers(**options)
    db.session.commit()


@pytest.mark.parametrize(
    ("alg", "enc", "key"),
    [
        ("ECDH-ES", "", {"kty": "EC", "crv": "P-256", "kid": "e1"}),
        ("ECDH-ES+A256KW", "A128CBC-HS256", {"kty": "EC", "crv": "P-256"}),
        ("RSA-OAEP-256", "A256GCM", {"kty": "RSA", "size": 2048, "kid": "r1"}),
    ],
)
@pytest.mark.parametrize("accept", ["application/jwt", "application/json", "*/*"])
def test_who_registered_for_encryption_gets_nothing_else(
    bank: ThirdParty, alg: str, enc: str, key: dict[str, Any], accept: str
) -> None:
    private = JWK.generate(**key)
    with_key(bank, private, data_encrypted_response_alg=alg, **({"data_encrypted_response_enc": enc} if enc else {}))
    answer = read(bank, granted(bank), Accept=accept)
    assert (answer.status_code, answer.mimetype) == (200, "application/jwt")
    assert "示例大学" not in answer.text
    jwe = JWE(algs=[alg, enc or "A256GCM"])
    jwe.deserialize(answer.text, private)
    assert jwe.jose_header["cty"] == "JWT"
    assert jwe.jose_header.get("kid") == key.get("kid")
    said = verified(bank, jwe.payload.decode())["delivery"]
    assert said["items"][0]["fields"]["school"] == "示例大学"


@pytest.mark.parametrize(
    ("alg", "key"),
    [
        ("ECDH-ES", {"kty": "EC", "crv": "P-256", "kid": "e1"}),
        ("ECDH-ES+A256KW", {"kty": "EC", "crv": "P-256", "alg": "ECDH-ES+A256KW"}),
        ("RSA-OAEP-256", {"kty": "RSA", "size": 2048}),
    ],
)
def test_a_request_may_ask_for_encryption(bank: ThirdParty, alg: str, key: dict[str, Any]) -> None:
    private = JWK.generate(**key)
    with_key(bank, private)
    answer = read(bank, granted(bank), Accept="application/jose, application/json;q=0.5")
    assert (answer.status_code, answer.mimetype) == (200, "application/jose")
    jwe = JWE(algs=[alg, "A256GCM"])
    jwe.deserialize(answer.text, private)
    assert (jwe.jose_header["alg"], jwe.jose_header["cty"]) == (alg, "JWT")
    assert verified(bank, jwe.payload.decode())["delivery"]["items"][0]["fields"]["school"] == "示例大学"
    assert read(bank, granted(bank), Accept="application/jose;q=0.5, application/json").mimetype == "application/json"


@pytest.mark.parametrize("key", [None, {"kty": "EC", "crv": "P-384"}, {"kty": "EC", "crv": "P-256", "alg": "RSA1_5"}])
def test_nothing_leaves_in_clear_where_encryption_was_asked_for(bank: ThirdParty, key: dict[str, Any] | None) -> None:
    if key:
        with_key(bank, JWK.generate(**key))
    answer = read(bank, granted(bank), Accept="application/jose, application/json;q=0.5, */*;q=0.1")
    assert (answer.status_code, answer.json["code"]) == (406, "no_encryption_key")
    assert log() == [("refused", "no_encryption_key", None)]


@pytest.mark.parametrize(
    "key",
    [
        None,
        {"kty": "EC", "crv": "P-384"},
        {"kty": "RSA", "size": 2048},
        {"kty": "EC", "crv": "P-256", "alg": "ECDH-ES+A256KW"},
    ],
    ids=["none", "curve", "kind", "algorithm"],
)
def test_without_a_key_that_fits_nothing_is_read(bank: ThirdParty, key: dict[str, Any] | None) -> None:
    if key:
        with_key(bank, JWK.generate(**key), data_encrypted_response_alg="ECDH-ES")
    else:
        bank.registers(data_encrypted_response_alg="ECDH-ES")
    answer = read(bank, granted(bank))
    assert (answer.status_code, answer.json["code"]) == (400, "no_encryption_key")
    assert log() == [("refused", "no_encryption_key", None)]
    told = select(Message.kind).filter_by(kind=Notice.READ_REFUSED)
    assert not db.session.scalar(told), "a slip of a program is nothing to be told of"


def test_a_key_whose_numbers_are_none_is_not_used(bank: ThirdParty) -> None:
    client = bank.party.client
    wrong = [{"kty": "EC", "crv": "P-256", "use": "enc", "x": "AA", "y": 7}, {"kty": "EC", "use": "enc"}]
    client.jwks = {"keys": [*client.jwks["keys"], *wrong]}
    bank.registers(data_encrypted_response_alg="ECDH-ES")
    assert read(bank, granted(bank)).json["code"] == "no_encryption_key"


# Conditional


def test_what_has_not_changed_is_not_sent_again(bank: ThirdParty) -> None:
    access = granted(bank)
    first = read(bank, access)
    tag = first.headers["ETag"]
    again = read(bank, access, **{"If-None-Match": tag})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    assert log() == [("answered", None, None)] * 2  # the holder sees that somebody looked
    person = db.session.scalars(select(factories.Holder)).one()
    item = db.session.scalars(select(factories.DataItem)).one()
    factories.record(person, item, [{"school": "示例大学", "major": "法律", "level": None}], clock.now())
    db.session.commit()
    changed = read(bank, access, **{"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.json["items"][0]["fields"]["major"] == "法律"
    assert changed.headers["ETag"] != tag


# For what


def test_the_purpose_and_the_case_that_are_named_have_to_be_those_of_the_consent(bank: ThirdParty) -> None:
    access = granted(bank, reference_no="LN-1")
    assert read(bank, access, "?purpose=loan-review&case_no=LN-1").status_code == 200
    for query, reason in [("?purpose=marketing", "purpose_mismatch"), ("?case_no=LN-2", "case_mismatch")]:
        refused = read(bank, access, query)
        assert (refused.status_code, refused.json["code"]) == (403, reason)
    assert log() == [
        ("answered", None, "LN-1"),
        ("refused", "purpose_mismatch", "LN-1"),
        ("refused", "case_mismatch", "LN-1"),
    ]


def test_a_consent_without_a_case_logs_the_one_that_is_named(bank: ThirdParty) -> None:
    access = granted(bank)
    assert read(bank, access, "?case_no=案号 7").json["reference_no"] == "案号 7"
    assert read(bank, access).status_code == 200
    assert log() == [("answered", None, "案号 7"), ("answered", None, None)]


def test_a_purpose_may_demand_that_every_read_names_a_case(bank: ThirdParty) -> None:
    """What was given under it keeps the demand; a consent for one case names it for every read."""
    purpose = db.session.scalars(select(Purpose)).one()
    purpose.case_required = True
    db.session.commit()
    access, of_a_case = granted(bank), granted(bank, reference_no="LN-1")
    purpose.case_required = False
    db.session.commit()
    refused = read(bank, access)
    assert (refused.status_code, refused.json["code"]) == (403, "case_required")
    path = "/api/v1/certificates"
    headers = {"Authorization": f"DPoP {access}", "DPoP": bank.proof("POST", path, access_token=access)}
    made = bank.http.post(path, json={"item": "p.edu.degree"}, headers=headers)
    assert made.json["code"] == "case_required"
    assert read(bank, access, "?case_no=LN-7").json["reference_no"] == "LN-7"
    assert read(bank, of_a_case).status_code == 200
    assert log() == [("refused", "case_required", None)] * 2 + [("answered", None, "LN-7"), ("answered", None, "LN-1")]
    (without, _of_a_case) = db.session.scalars(select(Consent).order_by(Consent.created_at, Consent.consent_id))
    use = history.current_document(without)[0]["use"]
    assert use["case_required"] is True


@pytest.mark.parametrize(
    "query", ["?case_no=", "?case_no=a&case_no=b", "?purpose=", "?case_no=a%0Ab", f"?case_no={'x' * 81}"]
)
def test_a_case_that_cannot_have_been_meant(bank: ThirdParty, query: str) -> None:
    refused = read(bank, granted(bank), query)
    assert (refused.status_code, refused.json["code"]) == (400, "invalid_request")
    assert log() == [("refused", "invalid_request", None)]


def test_times_and_the_algorithm_that_is_advertised(bank: ThirdParty) -> None:
    token = read(bank, granted(bank), Accept="application/jwt").text
    assert abs(verified(bank, token)["iat"] - clock.now().timestamp()) < 60
    advertised = bank.http.get("/.well-known/oauth-protected-resource").json["resource_signing_alg_values_supported"]
    assert advertised == ["ES256"]
