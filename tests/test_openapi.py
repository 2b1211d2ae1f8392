"""The OpenAPI description is valid, whole and true: generated and real requests against the application itself."""

import datetime as dt
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hypothesis
import jsonschema
import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks as openapi_checks
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR
from sqlalchemy import select, update

from consent import clients, endings, interventions, worker
from consent.client_options import CIBA, DEVICE_CODE
from consent.clients import ClientClass, Profile
from consent.oauth import initial_access, introspection
from consent.oauth.forms import FORM
from consent.oauth.tokens import Token
from consent.records import ConsentVersion
from dataspace import clock, spaces
from dataspace.accesses import Access
from dataspace.db import db
from dataspace.permission import SENSITIVE_MAX_AGE
from dataspace.web.shell import services
from tests import factories
from tests.conftest import ISSUER, make_settings
from tests.consent import certified
from tests.consent.third_party import ThirdParty, code_for, tokens_for
from tests.documents import INTEGRATORS, blocks
from wsgi import create_app

pytestmark = pytest.mark.wire

DESCRIBED = re.compile(
    r"/api/|/userinfo|/oauth/(grants|par|device_authorization|backchannel|token|introspect|revoke|events|register)"
)
SCOPE = "openid grant_management_query grant_management_revoke"
CHECKS = [
    schemathesis.checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
]
SCHEMA = "/api/v1/items/{item_id}/{version}/schema.json"
OPERATIONS = [
    ("GET", "/api/v1/data"),
    ("GET", "/api/v1/data/{item_id}"),
    ("POST", "/api/v1/comparisons"),
    ("GET", SCHEMA),
    ("GET", "/api/v1/certificates"),
    ("POST", "/api/v1/certificates"),
    ("GET", "/api/v1/certificates/{certificate_id}"),
    ("POST", "/api/v1/certificates/{certificate_id}/uses"),
    ("POST", "/api/v1/records"),
    ("GET", "/api/v1/deliveries/{delivery_id}/proof"),
    ("GET", "/oauth/grants"),
    ("GET", "/oauth/grants/{grant_id}"),
    ("DELETE", "/oauth/grants/{grant_id}"),
    ("POST", "/oauth/par"),
    ("POST", "/oauth/device_authorization"),
    ("POST", "/oauth/backchannel"),
    ("POST", "/oauth/token"),
    ("POST", "/oauth/introspect"),
    ("POST", "/oauth/revoke"),
    ("POST", "/oauth/events"),
    ("GET", "/userinfo"),
    ("POST", "/userinfo"),
    ("POST", "/oauth/register"),
    ("GET", "/oauth/register/{client_id}"),
    ("PUT", "/oauth/register/{client_id}"),
    ("DELETE", "/oauth/register/{client_id}"),
]
IDS = [" ".join(one) for one in OPERATIONS]
CLIENT_CALLS = "oauth/(par|device_authorization|backchannel|token|introspect|revoke)"
BY_CLIENT = [one for one in OPERATIONS if re.search(CLIENT_CALLS, one[1])]
BY_PROGRAM = [one for one in OPERATIONS if re.search("events|records|proof", one[1])]
BY_ITSELF = [one for one in OPERATIONS if "register" in one[1]]
BY_TOKEN = [one for one in OPERATIONS if one not in [*BY_CLIENT, *BY_ITSELF, *BY_PROGRAM, ("GET", SCHEMA)]]


@dataclass
class Scene:
    """A bank with a live grant, and the description as the application serves it."""

    app: Flask
    bank: ThirdParty
    world: factories.World
    body: dict[str, Any]  # of the token response
    schema: Any

    def operation(self, method: str, path: str) -> Any:
        return self.schema[path][method]

    def credentials(self, method: str, path: str) -> dict[str, str]:
        """The headers of a call with the live token: every call has a proof of its own."""
        token = self.body["access_token"]
        return {"Authorization": f"DPoP {token}", "DPoP": self.bank.proof(method, path, access_token=token)}

    def call(self, method: str, path: str, *, body: dict[str, str] | None = None, **how: Any) -> Any:
        """A real call, checked against the description; ``how``: path_parameters, query, headers to replace ours."""
        operation = self.operation(method, path)
        if body is not None:
            how |= {"body": self.bank.credentials() | body, "media_type": FORM}
        else:
            sent = path.format(**how.get("path_parameters", {}))
            how["headers"] = how.get("headers", self.credentials(method, sent))
        return operation.Case(**how).call_and_validate(checks=CHECKS)


@pytest.fixture
def scene(app: Flask, client: FlaskClient) -> Scene:
    world = factories.world(clock.now())
    bank = ThirdParty(world.party, client)
    world.party.client.client_class = ClientClass.AUTHORITY  # it brings records as well
    factories.source(clock.now(), world.item, kind="push", client_id=bank.client_id)
    db.session.commit()
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    return Scene(app, bank, world, tokens_for(bank, world.actor, scope=SCOPE), schema)


# Valid and whole


def test_it_is_openapi_3_1(client: FlaskClient) -> None:
    answer = client.get("/openapi.json")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    OPENAPI_31_VALIDATOR.validate(answer.json)
    assert answer.json["servers"] == [{"url": ISSUER}]


def test_every_route_of_these_apis_is_described_and_no_other(app: Flask, client: FlaskClient) -> None:
    served = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        if DESCRIBED.match(rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    paths = client.get("/openapi.json").json["paths"]
    described = {(m.upper(), path) for path, item in paths.items() for m in item if m != "parameters"}
    assert described == served == set(OPERATIONS)


def test_every_part_is_used_and_every_reference_leads_somewhere(client: FlaskClient) -> None:
    document = client.get("/openapi.json").json
    used = set(re.findall(r"'#/components/schemas/(\w+)'", str(document)))
    assert used == set(document["components"]["schemas"])
    operations = [o for item in document["paths"].values() for m, o in item.items() if m != "parameters"]
    assert len({o["operationId"] for o in operations}) == len(operations)
    schemes = {name for o in operations for way in o["security"] for name in way}
    assert schemes == set(document["components"]["securitySchemes"])
    assert {tag for o in operations for tag in o["tags"]} == {tag["name"] for tag in document["tags"]}


def test_certificates_where_a_proxy_asks_for_them(database_url: str) -> None:
    app = create_app(make_settings(database_url, **certified.SETTINGS))
    with app.app_context():
        document = app.test_client().get("/openapi.json").json
        db.session.remove()
    OPENAPI_31_VALIDATOR.validate(document)
    assert [server["url"] for server in document["servers"]] == [ISSUER, certified.ALIAS]
    assert document["components"]["securitySchemes"]["client_certificate"]["type"] == "mutualTLS"
    read, token = document["paths"]["/api/v1/data"]["get"], document["paths"]["/oauth/token"]["post"]
    assert read["security"][1:] == [{"certificate_token": [], "client_certificate": []}]
    assert {"client_certificate": []} in token["security"]
    manage = document["paths"]["/oauth/grants/{grant_id}"]["delete"]["security"]
    assert manage[1]["certificate_token"] == ["grant_management_revoke"]
    registering = document["paths"]["/oauth/register"]["post"]["security"]
    assert not any("client_certificate" in way for way in registering)


EXAMPLES = {"access_token": "Tokens", "created_at": "Grant", "code": "Problem", "schema": "Delivery"}


@pytest.mark.parametrize(("member", "name"), EXAMPLES.items(), ids=EXAMPLES.values())
def test_the_examples_of_the_guide_are_of_the_described_form(client: FlaskClient, member: str, name: str) -> None:
    components = client.get("/openapi.json").json["components"]
    shown = [json.loads(b.text) for b in blocks(INTEGRATORS) if b.language == "json"]
    (example,) = [one for one in shown if member in one]
    jsonschema.validate(example, {"$ref": f"#/components/schemas/{name}", "components": components})


# Real requests: every answer that the description names has been seen


def test_every_described_read(scene: Scene) -> None:
    assert scene.call("GET", "/api/v1/data").status_code == 200
    assert scene.call("GET", "/api/v1/data", query={"items": ["p.edu.degree"]}).status_code == 200
    one = {"item_id": "p.edu.degree"}
    answer = scene.call("GET", "/api/v1/data/{item_id}", path_parameters=one)
    assert answer.json()["items"][0]["status"] == "delivered"
    (record,) = spaces.holdings(scene.world.person.space_id, vault=services().vault)
    db.session.delete(record.record)
    db.session.commit()
    answer = scene.call("GET", "/api/v1/data/{item_id}", path_parameters=one)
    assert answer.json()["items"][0]["status"] == "missing"
    assert scene.call("GET", "/api/v1/data/{item_id}", path_parameters={"item_id": "p.other"}).status_code == 403
    assert scene.call("GET", "/api/v1/data", headers={}).status_code == 401


@pytest.mark.parametrize("query", ["?items=", "?items=,", "?items=a&items=b", "?items=" + "a," * 61], ids=len)
def test_a_query_that_cannot_be_meant_counts_no_read(scene: Scene, query: str) -> None:
    headers = scene.credentials("GET", "/api/v1/data")
    answer = scene.bank.http.get("/api/v1/data" + query, headers=headers)
    assert (answer.status_code, answer.json["code"]) == (400, "invalid_request")
    scene.operation("GET", "/api/v1/data").validate_response(answer)
    assert list(db.session.execute(select(Access.outcome, Access.read_no))) == [("refused", None)]


def test_a_read_of_several_rows(scene: Scene, now: dt.datetime) -> None:
    many = factories.item(now, "p.tax.income", fields=("month", "amount"), many=True, period_field="month")
    rows = [{"month": "2026-01", "amount": 1200}, {"month": "2026-02", "amount": None}]
    factories.record(scene.world.person, many, rows, now)
    factories.purpose(now, code="income", required=[many])
    db.session.commit()
    details = json.dumps([{"type": "data_space_access", "purpose": "income", "reference_no": "LN-7"}])
    scene.body = tokens_for(scene.bank, scene.world.actor, authorization_details=details)
    assert len(scene.call("GET", "/api/v1/data").json()["items"][0]["rows"]) == 2
    told = scene.call("POST", "/oauth/introspect", body={"token": scene.body["access_token"]}).json()
    assert told["authorization_details"][0]["reference_no"] == "LN-7"


def test_every_described_answer_about_a_proof(scene: Scene) -> None:
    path = "/api/v1/deliveries/{delivery_id}/proof"
    delivery_id = scene.call("GET", "/api/v1/data").json()["delivery_id"]

    def call(delivery_id: str, token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token or scene.bank.assertion()}"}
        case = scene.operation("GET", path).Case(path_parameters={"delivery_id": delivery_id}, headers=headers)
        return case.call_and_validate(checks=CHECKS[1:])  # that it is not there yet is 503

    assert call(delivery_id, "x").status_code == 401
    assert call("dlv_other").status_code == 404
    answer = call(delivery_id)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "no_proof_yet", ["2"])
    worker.sequence(clock.now(), registry=factories.registry(), files=None)
    assert call(delivery_id).json()["statement"]["delivery_id"] == delivery_id


def test_every_described_comparison(scene: Scene, now: dt.datetime) -> None:
    purpose = factories.purpose(now, code="compare", required=[scene.world.item])
    purpose.items = [i | {"delivery": "verify_only"} for i in purpose.items]
    db.session.commit()
    details = json.dumps([{"type": "data_space_access", "purpose": "compare"}])
    scene.body = tokens_for(scene.bank, scene.world.actor, authorization_details=details)

    def compare(item: str, row: dict[str, Any]) -> Any:
        path = "/api/v1/comparisons"
        body = {"items": [{"item": item, "rows": [row]}]}
        case = scene.operation("POST", path).Case(
            body=body, media_type="application/json", headers=scene.credentials("POST", path)
        )
        return case.call_and_validate(checks=CHECKS)

    row = {"school": "示例大学", "major": "会计", "level": None}
    assert compare("p.edu.degree", row).json()["items"][0]["match"] is True
    assert compare("p.edu.degree", {"school": "x"}).status_code == 400
    assert compare("p.other", row).status_code == 403
    (record,) = spaces.holdings(scene.world.person.space_id, vault=services().vault)
    db.session.delete(record.record)
    db.session.commit()
    assert compare("p.edu.degree", row).json()["items"][0]["status"] == "missing"


def test_every_described_schema_of_an_item(scene: Scene) -> None:
    described = scene.call("GET", SCHEMA, path_parameters={"item_id": "p.edu.degree", "version": 1}).json()
    assert described["items"]["properties"].keys() == {"school", "major", "level"}
    assert scene.call("GET", SCHEMA, path_parameters={"item_id": "p.edu.degree", "version": 2}).status_code == 404


@pytest.mark.parametrize("reason", ["consent_withdrawn", "client_suspended", "insufficient_user_authentication"])
def test_every_described_refusal_of_a_read(scene: Scene, now: dt.datetime, reason: str) -> None:
    consent_id = scene.body["grant_id"]
    if reason == "consent_withdrawn":
        endings.withdraw(consent_id, scene.world.actor, now, registry=factories.registry())
    elif reason == "client_suspended":
        clients.suspend("bank", now, actor_id="adm", reason_code=interventions.SUSPEND[0], text="")
    else:
        version = db.session.get_one(ConsentVersion, (consent_id, 1))
        version.granted = [item | {"sensitive": True} for item in version.granted]
        db.session.execute(update(Token).values(auth_time=now - 2 * SENSITIVE_MAX_AGE))
    db.session.commit()
    answer = scene.call("GET", "/api/v1/data")
    assert answer.json()["code"] == reason
    assert answer.status_code == (401 if reason.startswith("insufficient") else 403)


def test_every_described_call_of_a_grant(scene: Scene) -> None:
    ours = {"grant_id": scene.body["grant_id"]}
    path = "/oauth/grants/{grant_id}"
    assert scene.call("GET", "/oauth/grants").status_code == 404
    assert scene.call("GET", path, path_parameters={"grant_id": "cns_other"}).status_code == 404
    assert scene.call("GET", path, path_parameters=ours).json()["claims"] == ["sub"]
    assert scene.call("GET", path, path_parameters=ours, headers={}).status_code == 401
    assert scene.call("DELETE", path, path_parameters=ours).status_code == 204
    assert scene.call("DELETE", path, path_parameters=ours).status_code == 404
    scene.body = tokens_for(scene.bank, scene.world.actor)
    ours = {"grant_id": scene.body["grant_id"]}
    assert scene.call("GET", path, path_parameters=ours).status_code == 403


def test_every_described_answer_on_the_way_to_a_token(scene: Scene) -> None:
    asked = {name: value for name, value in scene.bank.request().items() if name != "client_id"}
    pushed = scene.call("POST", "/oauth/par", body=asked)
    assert pushed.status_code == 201
    assert scene.call("POST", "/oauth/par", body=asked | {"scope": "all"}).status_code == 400
    assert scene.call("POST", "/oauth/par", body=asked | {"client_assertion": "x"}).status_code == 401
    code, _consent = code_for(scene.bank, scene.world.actor, scope="openid")
    grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": factories.REDIRECT_URI}
    grant["code_verifier"] = scene.bank.verifier
    for status in (200, 400):
        proof = {"DPoP": scene.bank.proof("POST", "/oauth/token")}
        assert scene.call("POST", "/oauth/token", body=grant, headers=proof).status_code == status
    assert scene.call("POST", "/oauth/token", body=grant | {"client_assertion": "x"}).status_code == 401


def test_every_described_answer_at_a_counter(scene: Scene) -> None:
    path, asked = (
        "/oauth/device_authorization",
        {"authorization_details": scene.bank.request()["authorization_details"]},
    )
    assert scene.call("POST", path, body=asked).status_code == 400, "not registered for it"
    scene.bank.registers(grant_types=["authorization_code", DEVICE_CODE])
    begun = scene.call("POST", path, body=asked)
    assert begun.status_code == 200
    assert scene.call("POST", path, body=asked | {"client_assertion": "x"}).status_code == 401
    grant = {"grant_type": DEVICE_CODE, "device_code": begun.json()["device_code"]}
    assert scene.call("POST", "/oauth/token", body=grant).json()["error"] == "authorization_pending"


def test_every_described_answer_to_who_asks_somebody_elsewhere(scene: Scene) -> None:
    path, about = "/oauth/backchannel", {"scope": "openid", "binding_message": "W4SC"}
    asked = about | {"authorization_details": scene.bank.request()["authorization_details"]}
    known = asked | {"id_token_hint": scene.body["id_token"]}
    assert scene.call("POST", path, body=known).status_code == 400, "not registered for it"
    scene.bank.registers(grant_types=["authorization_code", CIBA], backchannel_token_delivery_mode="poll")
    begun = scene.call("POST", path, body=asked | {"login_hint": "BCDF-GHJK"})
    assert begun.status_code == 200
    assert [scene.call("POST", path, body=known).status_code for _ in range(4)] == [200, 200, 200, 403]
    assert scene.call("POST", path, body=known | {"client_assertion": "x"}).status_code == 401
    grant = {"grant_type": CIBA, "auth_req_id": begun.json()["auth_req_id"]}
    assert scene.call("POST", "/oauth/token", body=grant).json()["error"] == "authorization_pending"


def test_every_described_call_about_a_token(scene: Scene, now: dt.datetime) -> None:
    token = {"token": scene.body["access_token"]}
    assert scene.call("POST", "/oauth/introspect", body=token).json()["active"] is True
    signed = {"Accept": introspection.MEDIA_TYPE}
    answer = scene.call("POST", "/oauth/introspect", body=token, headers=signed)
    assert answer.headers["content-type"] == [introspection.MEDIA_TYPE]
    assert scene.call("POST", "/oauth/introspect", body={"token": "x"}).json() == {"active": False}
    assert scene.call("POST", "/oauth/introspect", body=token | {"client_assertion": "x"}).status_code == 401
    assert scene.call("POST", "/oauth/introspect", body={"token": ""}).status_code == 400
    assert scene.call("POST", "/oauth/introspect", body={"token": "x" * 300_000}).status_code == 413
    assert scene.call("POST", "/oauth/revoke", body={"token": ""}).status_code == 400
    other = ThirdParty(factories.party(now, "other"), scene.bank.http)
    db.session.commit()
    assert scene.call("POST", "/oauth/revoke", body=other.credentials() | token).status_code == 400
    assert scene.call("POST", "/oauth/revoke", body=token).json() == {}
    assert scene.call("POST", "/oauth/introspect", body=token).json() == {"active": False}


def test_every_described_answer_of_userinfo(scene: Scene) -> None:
    for method in ("GET", "POST"):
        assert "sub" in scene.call(method, "/userinfo").json()
        assert scene.call(method, "/userinfo", headers={}).status_code == 401
    scene.world.party.client.options = {"userinfo_signed_response_alg": "ES256"}
    db.session.commit()
    case = scene.operation("GET", "/userinfo").Case(headers=scene.credentials("GET", "/userinfo"))
    signed = case.call_and_validate(checks=CHECKS[:-1])  # all but the schema: the body is a JWT
    assert signed.headers["content-type"] == ["application/jwt"]
    bearer = {"Authorization": f"Bearer {scene.body['access_token']}"}
    assert scene.call("GET", "/userinfo", headers=bearer).status_code == 401
    scene.body = tokens_for(scene.bank, scene.world.actor)
    assert scene.call("GET", "/userinfo").status_code == 403


def test_every_described_call_of_a_registration(scene: Scene, now: dt.datetime) -> None:
    """Each answer is replaced by the next; what was registered comes back as it went."""
    path = "/oauth/register/{client_id}"
    metadata = {"redirect_uris": [factories.REDIRECT_URI], "client_name": "Shop", "client_name#zh-Hans": "商店"}

    def call(method: str, where: str, token: str, **how: Any) -> Any:
        case = scene.operation(method, where).Case(headers={"Authorization": f"Bearer {token}"}, **how)
        return case.call_and_validate(checks=CHECKS)

    initial = initial_access.issue(Profile.LOGIN, now, actor_id="command")
    db.session.commit()
    json_body = {"body": metadata, "media_type": "application/json"}
    assert call("POST", "/oauth/register", "x", **json_body).status_code == 401
    wrong = json_body | {"body": metadata | {"redirect_uris": ["http://rp.example"]}}
    assert call("POST", "/oauth/register", initial, **wrong).status_code == 400
    told = call("POST", "/oauth/register", initial, **json_body)
    assert told.status_code == 201
    client_id, token = told.json()["client_id"], told.json()["registration_access_token"]
    where = {"path_parameters": {"client_id": client_id}}
    assert call("GET", path, "x", **where).status_code == 401
    assert call("GET", path, token, **where).json()["client_name#zh-Hans"] == "商店"
    assert call("PUT", path, token, **where, **json_body).status_code == 400
    changed = json_body | {"body": metadata | {"client_id": client_id}}
    told = call("PUT", path, token, **where, **changed)
    assert told.status_code == 200
    assert call("DELETE", path, token, **where).status_code == 401
    assert call("DELETE", path, told.json()["registration_access_token"], **where).status_code == 204


def test_every_described_answer_of_the_events(scene: Scene, now: dt.datetime) -> None:
    scene.bank.registers(consent_events_delivery="poll")
    endings.withdraw(scene.body["grant_id"], scene.world.actor, now, registry=factories.registry())
    db.session.commit()

    def call(body: Any, token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token or scene.bank.assertion()}"}
        case = scene.operation("POST", "/oauth/events").Case(headers=headers, body=body, media_type="application/json")
        return case.call_and_validate(checks=CHECKS)

    (jti,) = call({"maxEvents": 5, "returnImmediately": True}).json()["sets"]
    assert call({"ack": [jti]}).json() == {"sets": {}, "moreAvailable": False}
    assert call({"ack": "x"}).status_code == 400
    assert call({}, "x").status_code == 401
    assert call({"ack": ["x" * 300_000]}).status_code == 413


# Generated requests


def generated(
    scene: Scene, method: str, path: str, mode: GenerationMode, sent: Callable[[Any], dict[str, str]]
) -> set[int]:
    """The statuses that generated requests are answered with; ``sent``: the headers of a case."""
    statuses = set()
    operation = scene.operation(method, path)

    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    @hypothesis.settings(
        max_examples=10, phases=[Phase.generate], suppress_health_check=list(HealthCheck), derandomize=True
    )
    def check(case: Any) -> None:
        headers = sent(case)
        for name in ("Authorization", "DPoP"):
            case.headers.pop(name, None)
        response = case.call(headers=headers)
        case.validate_response(response, checks=CHECKS)
        statuses.add(response.status_code)

    check()
    return statuses


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(("method", "path"), BY_TOKEN, ids=[" ".join(one) for one in BY_TOKEN])
def test_generated_requests_with_a_live_token(scene: Scene, method: str, path: str, mode: GenerationMode) -> None:
    def sent(case: Any) -> dict[str, str]:
        return scene.credentials(case.method, case.formatted_path)

    statuses = generated(scene, method, path, mode, sent)
    # What is made wrong may be the very headers, so that 401 is all there is.
    assert mode is GenerationMode.NEGATIVE or 401 not in statuses


@pytest.mark.parametrize(("method", "path"), BY_TOKEN, ids=[" ".join(one) for one in BY_TOKEN])
def test_generated_requests_without_a_token(scene: Scene, method: str, path: str) -> None:
    assert 401 in generated(scene, method, path, GenerationMode.POSITIVE, lambda _case: {})


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(("method", "path"), BY_CLIENT, ids=[" ".join(one) for one in BY_CLIENT])
@pytest.mark.parametrize("authenticated", [True, False])
def test_generated_requests_of_a_client(
    scene: Scene, method: str, path: str, mode: GenerationMode, authenticated: bool
) -> None:
    def sent(case: Any) -> dict[str, str]:
        if authenticated and isinstance(case.body, dict):
            for name in ("client_secret", "client_id"):
                case.body.pop(name, None)
            case.body |= scene.bank.credentials()
        return {}

    statuses = generated(scene, method, path, mode, sent)
    if mode is GenerationMode.POSITIVE and not authenticated:
        assert statuses <= {400, 401}
    elif mode is GenerationMode.POSITIVE:
        assert statuses & {200, 400}
        assert 401 not in statuses


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(("method", "path"), BY_PROGRAM, ids=[" ".join(one) for one in BY_PROGRAM])
def test_generated_requests_of_a_program(scene: Scene, method: str, path: str, mode: GenerationMode) -> None:
    def sent(case: Any) -> dict[str, str]:
        case.query.clear()  # another client_id than that of the assertion
        return {"Authorization": f"Bearer {scene.bank.assertion()}"}

    statuses = generated(scene, method, path, mode, sent)
    known = 404 if "{" in path else 200
    assert mode is GenerationMode.NEGATIVE or known in statuses <= {known, 400}


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(("method", "path"), BY_ITSELF, ids=[" ".join(one) for one in BY_ITSELF])
def test_generated_requests_of_who_registers(
    scene: Scene, now: dt.datetime, method: str, path: str, mode: GenerationMode
) -> None:
    def sent(_case: Any) -> dict[str, str]:
        token = initial_access.issue(Profile.LOGIN, now, actor_id="command")
        db.session.commit()
        return {"Authorization": f"Bearer {token}"}

    generated(scene, method, path, mode, sent)
