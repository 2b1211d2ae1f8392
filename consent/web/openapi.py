"""What the data API and the APIs beside it take and answer, as OpenAPI 3.1: the document at /openapi.json.

What happens in the browser in between is described by the specifications, and all that a pushed request may say by the
metadata. Each operation is one function; schemas and answers have files of their own.
"""

from typing import Any

from consent.oauth import grant_management, introspection, security_events
from consent.oauth.forms import FORM
from consent.oauth.metadata import SCHEMA_PATH
from consent.web import openapi_data as data
from consent.web import openapi_data_certificates as certificates
from consent.web import openapi_registration as registration
from consent.web.openapi_answers import JSON, PROBLEM, answer, oauth, problems, token_refusals, with_proof
from consent.web.openapi_schemas import Schema, ref, schemas

VERSION = "1"
BOUND: Schema = {"dpop_token": [], "dpop_proof": []}
# How a client authenticates in a request without a form.
BY_PROGRAM: list[Schema] = [{"client_secret_basic": []}, {"client_assertion": []}, {}]
BY_CERTIFICATE: Schema = {
    "name": "client_id", "in": "query", "schema": {"type": "string"}, "description": "Beside a client certificate.",
}  # fmt: skip


def document(issuer: str) -> dict[str, Any]:
    """The description, with addresses under the issuer."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Data space authorization service",
            "version": VERSION,
            "summary": "Reading lent data, and managing what one was granted.",
            "description": (
                "How to come by an access token is told by /.well-known/oauth-authorization-server, and what "
                f"authorization_details may say by {SCHEMA_PATH}. Every refusal of a read is in the holder's log."
            ),
        },
        "servers": [{"url": issuer}],
        "tags": [
            {"name": "data", "description": "Reading what a holder has lent."},
            {"name": "certificates", "description": "SD-JWT VC over what was delivered (RFC 9901)."},
            {"name": "grants", "description": "Grant Management for OAuth 2.0."},
            {"name": "tokens", "description": "RFC 9126, RFC 6749, RFC 7662, RFC 9701, RFC 7009."},
            {"name": "registration", "description": "RFC 7591, RFC 7592."},
            {"name": "sign-in", "description": "OpenID Connect Core section 5.3."},
        ],
        "paths": _paths(),
        "components": {
            "schemas": schemas() | data.schemas() | registration.schemas() | certificates.schemas(),
            "securitySchemes": _security_schemes(),
        },
    }


def _paths() -> dict[str, Any]:
    return {
        **data.paths(),
        "/api/v1/records": {"post": _bring()},
        "/api/v1/deliveries/{delivery_id}/proof": {
            "parameters": [_in_path("delivery_id", {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,40}$"})],
            "get": _prove(),
        },
        **certificates.paths(),
        "/oauth/grants": {"get": _no_grant()},
        "/oauth/grants/{grant_id}": {
            "parameters": [_in_path("grant_id", {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,40}$"})],
            "get": _query_grant(),
            "delete": _give_grant_back(),
        },
        "/oauth/par": {"post": _push()},
        "/oauth/device_authorization": {"post": _ask_at_a_counter()},
        "/oauth/backchannel": {"post": _ask_somebody_elsewhere()},
        "/oauth/token": {"post": _exchange()},
        "/oauth/introspect": {"post": _introspect()},
        "/oauth/revoke": {"post": _revoke()},
        security_events.PATH: {"post": _fetch_events()},
        "/userinfo": {"get": _user_info("get"), "post": _user_info("post")},
        **registration.paths(),
    }


def _security_schemes() -> dict[str, Schema]:
    return {
        "dpop_token": {"type": "http", "scheme": "dpop", "description": "An access token bound to a key (RFC 9449)."},
        "dpop_proof": {
            "type": "apiKey",
            "in": "header",
            "name": "DPoP",
            "description": "A proof for this request and this token, new each time.",
        },
        "bearer_token": {"type": "http", "scheme": "bearer", "description": "RFC 6750; of a sign-in only."},
        "initial_token": {
            "type": "http",
            "scheme": "bearer",
            "description": "From the operator, for one registration.",
        },
        "registration_token": {
            "type": "http",
            "scheme": "bearer",
            "description": "From the last answer about a client.",
        },
        "client_assertion": {
            "type": "http",
            "scheme": "bearer",
            "description": "A client assertion (RFC 7523), where the body is no form.",
        },
        "client_secret_basic": {"type": "http", "scheme": "basic", "description": "RFC 6749 section 2.3.1."},
    }


def _in_path(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


# Data


def _bring() -> Schema:
    return {
        "operationId": "bringRecords",
        "tags": ["data"],
        "summary": "An authority brings records of its own items; each has a result. Again, they change nothing.",
        "requestBody": {"required": True, "content": {JSON: {"schema": ref("RecordsRequest")}}},
        "security": [{"client_assertion": []}],
        "responses": {
            "200": answer("What became of each record.", JSON, ref("RecordsResult")),
            "400": answer("The body is not as described.", PROBLEM, ref("Problem")),
            "401": answer("No authority that is known by its own key.", PROBLEM, ref("Problem")),
            **problems(404, 413, 429),
        },
    }


# Grants


def _no_grant() -> Schema:
    return {
        "operationId": "noGrant",
        "tags": ["grants"],
        "summary": "The address in the metadata; a grant has its id behind it.",
        "security": [BOUND],
        "responses": with_proof({"404": oauth("No grant is named."), **token_refusals(), **problems()}),
    }


def _query_grant() -> Schema:
    return {
        "operationId": "queryGrant",
        "tags": ["grants"],
        "summary": "What is granted, as the holder left it.",
        "security": [{**BOUND, "dpop_token": [grant_management.QUERY]}],
        "responses": with_proof({"200": answer("The grant.", JSON, ref("Grant")), **_grant_refusals()}),
    }


def _give_grant_back() -> Schema:
    return {
        "operationId": "giveGrantBack",
        "tags": ["grants"],
        "summary": "End the grant and every token of it.",
        "security": [{**BOUND, "dpop_token": [grant_management.REVOKE]}],
        "responses": with_proof({"204": {"description": "It has ended."}, **_grant_refusals()}),
    }


def _grant_refusals() -> Schema:
    unknown = answer("The grant is unknown, ended, or not the token's.", JSON, ref("OAuthError"))
    unknown["content"][PROBLEM] = {"schema": ref("Problem")}  # an address of another form
    return {"404": unknown, **token_refusals(), **problems()}


# Tokens


def _push() -> Schema:
    return {
        "operationId": "pushRequest",
        "tags": ["tokens"],
        "summary": "Say what to ask the holder; send the browser to /authorize with the answer.",
        **_client_call("PushedRequest"),
        "responses": with_proof(
            {
                "201": answer("To be opened in a browser soon.", JSON, ref("PushedAnswer")),
                **_client_refusals(),
                **problems(429),
            }
        ),
    }


def _ask_at_a_counter() -> Schema:
    return {
        "operationId": "askAtACounter",
        "tags": ["tokens"],
        "summary": "Say what to ask the holder, who opens it by the code that is answered (RFC 8628).",
        **_client_call("DeviceRequest"),
        "responses": with_proof(
            {
                "200": answer("Codes to show, and to fetch the answer with.", JSON, ref("DeviceAnswer")),
                **_client_refusals(),
                **problems(429),
            }
        ),
    }


def _ask_somebody_elsewhere() -> Schema:
    refusals = _client_refusals()
    return {
        "operationId": "askSomebodyElsewhere",
        "tags": ["tokens"],
        "summary": "Say what to ask whom; the request waits on the holder's page (OpenID Connect CIBA Core).",
        **_client_call("BackchannelRequest"),
        "responses": with_proof(
            {
                "200": answer("What to fetch the answer with.", JSON, ref("BackchannelAnswer")),
                **refusals,
                "403": refusals["400"] | {"description": "Several requests to this person wait already."},
                **problems(429),
            }
        ),
    }


def _exchange() -> Schema:
    return {
        "operationId": "exchange",
        "tags": ["tokens"],
        "summary": "A code or a refresh token for an access token, and what was granted.",
        **_client_call("TokenRequest"),
        "responses": with_proof({"200": answer("Tokens.", JSON, ref("Tokens")), **_client_refusals(), **problems(429)}),
    }


def _introspect() -> Schema:
    told = answer("What the token is worth now.", JSON, {"oneOf": [ref("ActiveToken"), ref("InactiveToken")]})
    signed = {"type": "string", "description": "A JWT with the same in token_introspection (RFC 9701)."}
    told["content"][introspection.MEDIA_TYPE] = {"schema": signed}
    return {
        "operationId": "introspect",
        "tags": ["tokens"],
        "summary": "Ask about a token of one's own, or for one's own resource.",
        **_client_call("TokenQuestion"),
        "responses": {"200": told, **_client_refusals()},
    }


def _revoke() -> Schema:
    return {
        "operationId": "revoke",
        "tags": ["tokens"],
        "summary": "Give a token back; with a refresh token all that it has brought.",
        **_client_call("TokenQuestion"),
        "responses": {
            "200": answer("It is worth nothing now, or was unknown.", JSON, ref("Nothing")),
            **_client_refusals(),
        },
    }


def _fetch_events() -> Schema:
    return {
        "operationId": "fetchEvents",
        "tags": ["grants"],
        "summary": "What became of consents, as Security Event Tokens (RFC 8936); acknowledge what you have.",
        "parameters": [BY_CERTIFICATE],
        "requestBody": {"required": True, "content": {JSON: {"schema": ref("EventsRequest")}}},
        "security": [*BY_PROGRAM],
        "responses": {
            "200": answer("Tokens by their jti, until you acknowledge them.", JSON, ref("Events")),
            **_client_refusals(),
            **problems(413, 429),
        },
    }


def _prove() -> Schema:
    later = problems(404, 429)
    later["503"]["description"] = "Not in the log yet: Retry-After says when to come again. Or nothing can be read now."
    return {
        "operationId": "proveDelivery",
        "tags": ["data"],
        "summary": "That the log of evidence has a delivery to you, also when its consent has ended. It is no read.",
        "parameters": [BY_CERTIFICATE],
        "security": [*BY_PROGRAM],
        "responses": {
            "200": answer("For verify_delivery.py and verify_inclusion.py.", JSON, ref("Evidence")),
            **{status: refusal for status, refusal in _client_refusals().items() if status != "413"},
            **later,
        },
    }


def _client_call(schema: str) -> Schema:
    return {
        "requestBody": {"required": True, "content": {FORM: {"schema": ref(schema)}}},
        "security": [{"client_secret_basic": []}, {}],  # the other methods are in the body
    }


def _client_refusals() -> Schema:
    return {
        "400": oauth("The request is wrong, or the token is another client's."),
        "401": oauth("The client did not authenticate.", challenged=True),
        **problems(413),
    }


# Sign-in


def _user_info(method: str) -> Schema:
    told = answer("Claims, as the scope and the holder's consent tell.", JSON, ref("UserInfo"))
    signed = {"type": "string", "description": "A JWT with them, for a client that has registered so."}
    told["content"]["application/jwt"] = {"schema": signed}
    said: Schema = {
        "operationId": f"userInfoBy{method.capitalize()}",
        "tags": ["sign-in"],
        "summary": "Who signed in.",
        "security": [{"bearer_token": ["openid"]}, {**BOUND, "dpop_token": ["openid"]}],
        "responses": {
            "200": told,
            "400": oauth("More than one token, or a broken form.", challenged=True),
            **token_refusals(),
            **problems(*((413,) if method == "post" else ())),
        },
    }
    with_proof(said["responses"])
    if method == "post":
        form: Schema = {"type": "object", "properties": {"access_token": {"type": "string"}}}
        said["requestBody"] = {"content": {FORM: {"schema": form}}, "description": "The token, if not in the header."}
        said["security"].append({})
    return said
