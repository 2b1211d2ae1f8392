"""authorization_details (RFC 9396): published, refused, and told as granted wherever a client hears of them."""

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from flask.testing import FlaskClient

from consent import lifecycle
from consent.documents import Choices
from consent.oauth import metadata, resources
from consent.terms import TYPE
from dataspace import clock, jose
from dataspace.db import db
from tests import factories
from tests.conftest import ISSUER
from tests.consent.third_party import DETAILS, ThirdParty, code_for, tokens_for

pytestmark = pytest.mark.wire

LEDGER = "https://ledger.example"  # takes JWT access tokens


@pytest.fixture
def bank(world: factories.World, client: FlaskClient) -> ThirdParty:
    return ThirdParty(world.party, client)


def test_the_schema_is_published(client: FlaskClient) -> None:
    answer = client.get(metadata.SCHEMA_PATH)
    assert (answer.status_code, answer.mimetype) == (200, "application/schema+json")
    schema = json.loads(answer.data)
    assert schema["$id"] == ISSUER + metadata.SCHEMA_PATH
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(DETAILS, schema)
    said = client.get("/.well-known/oauth-authorization-server").json
    assert said["authorization_details_types_supported"][0] == TYPE


def test_every_type_that_is_advertised_has_its_schema(client: FlaskClient) -> None:
    said = client.get("/.well-known/oauth-authorization-server").json
    for kind in said["authorization_details_types_supported"]:
        schema = json.loads(client.get(f"/.well-known/authorization-details/{kind}").data)
        assert schema["$id"] == f"{ISSUER}/.well-known/authorization-details/{kind}"
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["items"]["properties"]["type"] == {"const": kind}
    assert client.get("/.well-known/authorization-details/payment_initiation").status_code == 404


REFUSED: dict[str, Any] = {
    "rfc9396 5 unknown type": [{"type": "payment_initiation", "purpose": "loan-review"}],
    "rfc9396 5 no type": [{"purpose": "loan-review"}],
    "rfc9396 5 unknown member": [DETAILS[0] | {"actions": ["read"]}],
    "rfc9396 5 wrong type of a member": [DETAILS[0] | {"purpose": 7}],
    "rfc9396 2 no array": DETAILS[0],
    "rfc9396 2 empty": [],
    "rfc9396 2 no objects": ["data_space_access"],
    "rfc9396 2.2 another location": [DETAILS[0] | {"locations": ["https://other.example"]}],
    "rfc9396 2.2 another location beside ours": [DETAILS[0] | {"locations": [ISSUER, "https://other.example"]}],
    "two purposes": [DETAILS[0], DETAILS[0] | {"purpose": "marketing"}],
    "unregistered purpose": [DETAILS[0] | {"purpose": "marketing"}],
    "unregistered item": [DETAILS[0] | {"items": [{"item": "p.tax.income"}]}],
    "unregistered field": [DETAILS[0] | {"items": [{"item": "p.edu.degree", "fields": ["photo"]}]}],
    "item named twice": [DETAILS[0] | {"items": [{"item": "p.edu.degree"}] * 2}],
    "longer than the cap": [DETAILS[0] | {"duration": {"days": 91}}],
    "another use": [DETAILS[0] | {"use": {"mode": "one_time"}}],
}


@pytest.mark.parametrize("details", REFUSED.values(), ids=list(REFUSED))
def test_what_is_refused_at_the_pushed_request(bank: ThirdParty, details: Any) -> None:
    answer = bank.push(authorization_details=json.dumps(details))
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_authorization_details")
    assert answer.json["error_description"]


@pytest.mark.parametrize("text", ["", "[", "null", "[" * 5_000, '[{"type": "data_space_access", "purpose": NaN}]'])
def test_what_is_no_document(bank: ThirdParty, text: str) -> None:
    answer = bank.push(authorization_details=text)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_authorization_details")


@pytest.mark.parametrize("locations", [[ISSUER], [f"{ISSUER}/"], []])
def test_our_own_location_may_be_named(bank: ThirdParty, locations: list[str]) -> None:
    details = [DETAILS[0] | {"locations": locations}]
    assert bank.push(authorization_details=json.dumps(details)).status_code == 201


def test_the_token_request_brings_none_and_the_code_lives(bank: ThirdParty, world: factories.World) -> None:
    code, _consent = code_for(bank, world.actor)
    answer = bank.token(code, authorization_details=json.dumps(DETAILS))
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_authorization_details")
    body = bank.token(code).json
    again = bank.refresh(body["refresh_token"], authorization_details=json.dumps(DETAILS))
    assert (again.status_code, again.json["error"]) == (400, "invalid_authorization_details")


def test_wherever_a_client_hears_of_them_they_are_as_granted(bank: ThirdParty, world: factories.World) -> None:
    """The holder leaves one of two items and a shorter time: that is what every answer says, and no more."""
    now = clock.now()
    resources.add(LEDGER, "jwt", None, now, issuer=ISSUER)
    other = factories.item(now, "p.work.qualification")
    entry = world.purpose.items[0] | {"item": other.item_id, "necessity": "optional"}
    world.purpose.items = [*world.purpose.items, entry]
    db.session.commit()
    scope = "grant_management_query"
    asked = replace(factories.ask(world.purpose, now, duration_days=30), scope=(scope,))
    left = Choices(items=("p.edu.degree",), duration_days=7)
    given = lifecycle.give(
        asked, left, world.actor, factories.shown(now), now, registry=factories.registry()
    )  # fmt: skip
    db.session.commit()
    body = tokens_for(bank, world.actor, give=given, scope=scope, resource=[ISSUER, LEDGER])
    (detail,) = body["authorization_details"]
    assert (detail["type"], detail["purpose"]) == (TYPE, "loan-review")
    assert [i["item"] for i in detail["items"]] == ["p.edu.degree"]
    assert detail["expires_at"] - detail["not_before"] == 7 * 24 * 3600
    assert bank.introspect(body["access_token"]).json["authorization_details"] == [detail]
    assert bank.refresh(body["refresh_token"]).json["authorization_details"] == [detail]
    path = f"/oauth/grants/{given.consent_id}"
    proof = bank.proof("GET", path, access_token=body["access_token"])
    headers = {"Authorization": f"DPoP {body['access_token']}", "DPoP": proof}
    assert bank.http.get(path, headers=headers).json["authorization_details"] == [detail]
    jwt = bank.refresh(body["refresh_token"], resource=LEDGER).json["access_token"]
    assert jose.unverified_claims(jose.read(jwt))["authorization_details"] == [detail]
