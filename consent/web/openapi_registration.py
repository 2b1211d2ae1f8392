"""Registration in the OpenAPI description: where clients register, and the address of each (RFC 7591, RFC 7592)."""

from typing import Any

from consent import client_names
from consent.client_options import CHOICES, KINDS
from consent.clients import AuthMethod
from consent.oauth.registration import NOT_FOR_CLIENTS, PATH
from consent.web.openapi_answers import JSON, answer, oauth, problems
from consent.web.openapi_schemas import NAMES, SECONDS, TEXT, Schema, ref

KIND_SCHEMAS: dict[Any, Schema] = {
    str: TEXT,
    bool: {"type": "boolean"},
    int | None: {"type": "integer"},
    tuple[str, ...]: NAMES,
}


def schemas() -> dict[str, Schema]:
    """The metadata of a client, as it sends it and as it is answered."""
    return {"ClientMetadata": _metadata(), "RegisteredClient": _registered()}


def paths() -> dict[str, Any]:
    """The two addresses."""
    in_path = {"name": "client_id", "in": "path", "required": True, "schema": TEXT}
    return {
        PATH: {"post": _register()},
        f"{PATH}/{{client_id}}": {"parameters": [in_path], "get": _read(), "put": _replace(), "delete": _delete()},
    }


def _metadata() -> Schema:
    """RFC 7591 section 2 and what other specifications add. Members that are not named here are left out."""
    known = {name: _option(name, kind) for name, kind in KINDS.items()}
    name = {client_names.MEMBER: TEXT | {"description": "With a language tag too, as in client_name#zh-Hant."}}
    own: dict[str, Schema] = {
        "client_id": TEXT,
        "redirect_uris": {"type": "array", "items": TEXT, "minItems": 1},
        "token_endpoint_auth_method": {"enum": list(AuthMethod)},
        "jwks": {"type": "object", "properties": {"keys": {"type": "array"}}},
        "jwks_uri": TEXT,
        "id_token_signed_response_alg": TEXT,
        "response_types": {"const": ["code"]},
    }
    return {"type": "object", "properties": name | own | known, "required": ["redirect_uris"]}


def _option(name: str, kind: Any) -> Schema:
    """One member of the options, with the values that it may have."""
    schema = KIND_SCHEMAS[kind]
    return {"enum": list(CHOICES[name])} if kind is str and name in CHOICES else schema


def _registered() -> Schema:
    said: dict[str, Schema] = {"client_id": TEXT, "scope": TEXT, "client_secret": TEXT}
    said |= dict.fromkeys(NOT_FOR_CLIENTS, TEXT) | {"client_id_issued_at": SECONDS, "client_secret_expires_at": SECONDS}
    required = ["client_id", "client_id_issued_at", "registration_access_token", "registration_client_uri"]
    return {"allOf": [ref("ClientMetadata"), {"type": "object", "properties": said, "required": required}]}


def _register() -> Schema:
    return {
        "operationId": "register",
        "summary": "Register one client, with an initial access token from the operator.",
        **_call("initial_token", body=True),
        "responses": {"201": _told("Its metadata as registered, and its secrets."), **_refusals(400, 413)},
    }


def _read() -> Schema:
    return {
        "operationId": "readClient",
        "summary": "What is registered.",
        **_call("registration_token"),
        "responses": {"200": _told("Its metadata."), **_refusals()},
    }


def _replace() -> Schema:
    return {
        "operationId": "replaceClient",
        "summary": "All metadata anew; the registration access token is a new one.",
        **_call("registration_token", body=True),
        "responses": {"200": _told("Its metadata as registered now."), **_refusals(400, 413)},
    }


def _delete() -> Schema:
    return {
        "operationId": "deleteClient",
        "summary": "End the client, and every consent that was given to it.",
        **_call("registration_token"),
        "responses": {"204": {"description": "It is gone."}, **_refusals()},
    }


def _call(token: str, *, body: bool = False) -> Schema:
    said: Schema = {"tags": ["registration"], "security": [{token: []}]}
    if body:
        said["requestBody"] = {"required": True, "content": {JSON: {"schema": ref("ClientMetadata")}}}
    return said


def _told(description: str) -> Schema:
    return answer(description, JSON, ref("RegisteredClient"))


def _refusals(*statuses: int) -> Schema:
    """A token that does not fit, an address of another form, and what else of ``statuses`` is possible."""
    said = {"401": oauth("The token does not fit.", challenged=True), **problems(404, 429)}
    if 400 in statuses:
        said["400"] = oauth("The metadata is wrong; the description names the member.")
    return said | problems(*(s for s in statuses if s != 400))
