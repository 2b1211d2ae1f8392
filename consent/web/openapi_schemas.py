"""The schemas of the OpenAPI description: every body that the described addresses answer or take, once.

What the code checks or tells by a constant stands here by that constant, so that the two cannot drift apart.
"""

from typing import Any

from consent import claims, statutory_terms
from consent.client_options import GRANT_TYPES
from consent.clients import AuthMethod, Profile
from consent.oauth.ciba_request import MAX_MESSAGE
from consent.oauth.client_auth import ASSERTION_TYPE
from consent.oauth.request_checks import FOR_A_BROWSER, MAX_NONCE, MAX_STATE, SCOPES
from consent.oauth.resources import MAX_NAMED
from consent.oauth.response_modes import ResponseMode
from consent.oauth.security_events import ERRORS, MAX_TOLD
from consent.terms import SCHEMA as ASKED
from consent.terms import TYPE
from dataspace.sources.incoming import Reason
from dataspace.sources.schema import MAX_ROWS
from dataspace.sources.storing import Outcome
from dataspace.web import guard, push

Schema = dict[str, Any]

_ASKED = ASKED["items"]["properties"]
_ASKED_ITEM = _ASKED["items"]["items"]["properties"]
TEXT: Schema = {"type": "string"}
SECONDS: Schema = {"type": "integer", "description": "Seconds since 1970-01-01T00:00:00Z."}
MOMENT: Schema = {"type": "string", "format": "date-time"}
MONTH: Schema = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}$"}
HEX: Schema = {"type": "string", "pattern": "^([0-9a-f]{2})+$"}
SCOPE: Schema = {"type": "string", "description": "Names, separated by spaces (RFC 6749 section 3.3)."}
NAMES: Schema = {"type": "array", "items": TEXT}
ITEM_ID: Schema = _ASKED_ITEM["item"]
FIELDS: Schema = {"type": "array", "items": _ASKED_ITEM["fields"]["items"]}
DELIVERY: Schema = {
    "enum": ["raw", "derived", "view_only", "verify_only"],
    "description": (
        "derived: an answer that was computed; view_only: no copy may be kept, nothing is signed; "
        "verify_only: compared."
    ),
}
PERIOD = ("from", "to")  # both inclusive


def ref(name: str) -> Schema:
    """A reference to a schema of this file."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(required: dict[str, Schema], optional: dict[str, Schema] | None = None, **more: Any) -> Schema:
    """An object that may have no other members."""
    properties = required | (optional or {})
    said: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return said | ({"required": list(required)} if required else {}) | more


def schemas() -> dict[str, Schema]:
    """Every schema by its name."""
    return {
        "GrantedDetails": {"type": "array", "items": _granted_detail(), "description": "As granted (RFC 9396)."},
        "LawDetails": {"type": "array", "items": _law_detail(), "description": "What is read by law (RFC 9396)."},
        "Problem": _problem(),
        "OAuthError": record({"error": TEXT}, {"error_description": {"type": "string", "maxLength": 300}}),
        "Nothing": {"type": "object", "maxProperties": 0},
        "Evidence": _evidence(),
        "RecordsRequest": _records_request(),
        "RecordsResult": _records_result(),
        "Grant": _grant(),
        "ActiveToken": _active_token(),
        "InactiveToken": record({"active": {"const": False}}),
        "TokenQuestion": _token_question(),
        "UserInfo": _user_info(),
        "AuthorizationDetails": ASKED,
        "PushedRequest": _pushed_request(),
        "DeviceRequest": _device_request(),
        "DeviceAnswer": record(
            dict.fromkeys(("device_code", "user_code", "verification_uri", "verification_uri_complete"), TEXT)
            | {name: {"type": "integer", "minimum": 1} for name in ("expires_in", "interval")}
        ),
        "BackchannelRequest": _backchannel_request(),
        "BackchannelAnswer": record(
            {"auth_req_id": TEXT} | {name: {"type": "integer", "minimum": 1} for name in ("expires_in", "interval")}
        ),
        "PushedAnswer": record({"request_uri": TEXT, "expires_in": {"type": "integer", "minimum": 1}}),
        "TokenRequest": _token_request(),
        "Tokens": _tokens(),
        "EventsRequest": _events_request(),
        "Events": record({"sets": _by_jti(TEXT), "moreAvailable": {"type": "boolean"}}),
    }


JTI: Schema = {"type": "string", "pattern": "^[!-~]*$"}


def _by_jti(schema: Schema) -> Schema:
    return {
        "type": "object",
        "additionalProperties": schema,
        "propertyNames": JTI,
        "description": "By the jti of a token.",
    }


def _events_request() -> Schema:
    """RFC 8936 section 2.2."""
    error: Schema = {"type": "object", "properties": {"err": {"enum": list(ERRORS)}, "description": TEXT}}
    said: dict[str, Schema] = {
        "maxEvents": {"type": "integer", "minimum": 0, "maximum": 1_000_000},
        "returnImmediately": {"type": "boolean", "description": "The answer comes at once in any case."},
        "ack": {"type": "array", "items": JTI, "maxItems": MAX_TOLD},
        "setErrs": _by_jti(error | {"required": ["err"]}),
    }
    return {"type": "object", "properties": said}


def _evidence() -> Schema:
    said: dict[str, Schema] = {
        "entry": HEX | {"description": "SHA-256 of salt and statement in canonical form (RFC 8785)."},
        "statement": {"type": "object", "description": "The line of the access log, as it was stated."},
        "salt": HEX,
        "proof": {"type": "string", "description": "C2SP tlog-proof, with the checkpoint that it leads to."},
    }
    return record(said)


def _problem() -> Schema:
    """RFC 9457; the one form of every refusal that is not OAuth's own."""
    said: dict[str, Schema] = {
        "type": {"const": "about:blank"},
        "title": {"type": "string", "description": "A sentence in English."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "code": {"type": "string", "description": "What programs look at; new ones may come."},
        "reference": {"type": "string", "description": "Names this answer in the log of the service."},
    }
    return record(said, {"since": MOMENT | {"description": "Since when the reason holds, if it is known."}})


def reasons(status: int) -> list[str]:
    """The codes that the data API answers with this status."""
    told = {"missing_token", *guard.TOKEN_REASONS} if status == 401 else {*guard.SENTENCES} - guard.TOKEN_REASONS
    return sorted(told)


def _granted_detail() -> Schema:
    item = record(
        {"item": ITEM_ID, "item_version": {"type": "integer", "minimum": 1}, "fields": FIELDS, "delivery": DELIVERY},
        {"period": record(dict.fromkeys(PERIOD, MONTH))},
    )
    return record(
        {
            "type": {"const": TYPE},
            "purpose": _ASKED["purpose"],
            "items": {"type": "array", "items": item},
            "not_before": SECONDS,
            "expires_at": SECONDS,
        },
        {"max_reads": {"type": "integer", "minimum": 1}, "reference_no": _ASKED["reference_no"]},
    )


def _law_detail() -> Schema:
    item = record({"item": ITEM_ID, "item_version": {"type": "integer"}, "fields": NAMES, "delivery": TEXT},
                  {"period": record(dict.fromkeys(PERIOD, MONTH))})  # fmt: skip
    return record(
        {
            "type": {"const": statutory_terms.TYPE},
            "power": TEXT,
            "version": {"type": "integer", "minimum": 1},
            "case_no": TEXT,
            "items": {"type": "array", "items": item},
        },
        {"notice_at": SECONDS | {"description": "When the holder is told, where that is later."}},
    )


def _records_request() -> Schema:
    brought = record(
        {"identifier": TEXT, "item": TEXT, "as_of": TEXT, "rows": {"type": "array", "maxItems": MAX_ROWS}},
        {"corrects": {"type": "boolean"}, "case": {"type": "string"}},
    )
    return record({"records": {"type": "array", "minItems": 1, "maxItems": push.MAX_RECORDS, "items": brought}})


def _records_result() -> Schema:
    number: Schema = {"type": "integer"}
    outcomes: Schema = {"enum": [outcome.value for outcome in Outcome]}
    reason: Schema = {"enum": [reason.value for reason in Reason]}
    result = record({"number": number, "outcome": outcomes}, {"reason": reason, "field": {"type": "string"}})
    counts: Schema = {"type": "object", "propertyNames": outcomes, "additionalProperties": number}
    return record({"counts": counts, "results": {"type": "array", "items": result}})


def _grant() -> Schema:
    return record(
        {"created_at": SECONDS, "last_updated_at": SECONDS, "expires_at": SECONDS},
        {
            "scopes": {"type": "array", "items": record({"scope": SCOPE})},
            "claims": NAMES,
            "authorization_details": ref("GrantedDetails"),
        },
    )


def _active_token() -> Schema:
    """RFC 7662 section 2.2 and what other specifications add; more members may come."""
    said: dict[str, Schema] = {
        "active": {"const": True},
        "iss": TEXT,
        "aud": {"oneOf": [TEXT, NAMES]},
        "client_id": TEXT,
        "sub": TEXT,
        "token_type": {"enum": ["Bearer", "DPoP"]},
        "iat": SECONDS,
        "exp": SECONDS,
        "auth_time": SECONDS,
        "acr": TEXT,
        "grant_id": TEXT,
        "consent_version": {"type": "integer", "minimum": 1},
    }
    bound: Schema = {"type": "object", "properties": {"jkt": TEXT}, "description": "RFC 9449, RFC 8705."}
    optional = {"scope": SCOPE, "cnf": bound, "authorization_details": ref("GrantedDetails")}
    granted = {"type": "object", "properties": said | optional, "required": list(said)}
    by_law = {name: said[name] for name in ("active", "iss", "aud", "client_id", "token_type", "iat", "exp")}
    return {"oneOf": [granted, record(by_law | {"authorization_details": ref("LawDetails")}, {"cnf": bound})]}


def _credentials() -> dict[str, Schema]:
    """What authenticates a client in the body, if nothing in the header does."""
    methods = ", ".join(AuthMethod)
    return {
        "client_id": TEXT | {"description": f"One of {methods} authenticates the client."},
        "client_secret": TEXT,
        "client_assertion_type": {"const": ASSERTION_TYPE},
        "client_assertion": TEXT | {"description": "A JWT (RFC 7523); its aud is the issuer."},
    }


def _token_question() -> Schema:
    hint: Schema = {"type": "string", "description": "Not needed: every token is found without it."}
    asked = {"token": {"type": "string", "minLength": 1}, "token_type_hint": hint}
    return {"type": "object", "properties": asked | _credentials(), "required": ["token"]}


def _pushed_request() -> Schema:
    """RFC 9126 section 2.1, RFC 9396 section 2, RFC 8707 section 2; what else is known is told by the metadata."""
    scopes = " ".join(SCOPES[Profile.DATA])
    details: Schema = {"type": "string", "contentMediaType": "application/json"}
    return {
        "type": "object",
        "properties": {
            "response_type": {"const": "code"},
            "response_mode": {"enum": list(ResponseMode)},
            "redirect_uri": TEXT,
            "code_challenge": {"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$"},
            "code_challenge_method": {"const": "S256"},
            "authorization_details": details | {"contentSchema": ref("AuthorizationDetails")},
            "scope": SCOPE | {"description": f"Of a client that reads data: {scopes}, the code of one purpose."},
            "resource": {"type": "array", "items": {"type": "string", "format": "uri"}, "maxItems": MAX_NAMED},
            "state": {"type": "string", "maxLength": MAX_STATE},
            "nonce": {"type": "string", "maxLength": MAX_NONCE},
            "grant_management_action": {"enum": ["create", "replace"]},
            "grant_id": TEXT,
            "request": TEXT | {"description": "All of it in one signed JWT (RFC 9101)."},
            **_credentials(),
        },
        "anyOf": [
            {"required": ["response_type", "redirect_uri", "code_challenge", "code_challenge_method"]},
            {"required": ["request"]},
        ],
    }


def _device_request() -> Schema:
    """RFC 8628 section 3.1: what would be pushed, without the way through a browser."""
    pushed = _pushed_request()["properties"]
    return {"type": "object", "properties": {n: said for n, said in pushed.items() if n not in FOR_A_BROWSER}}


def _backchannel_request() -> Schema:
    """CIBA Core section 7.1."""
    own: dict[str, Schema] = {
        "login_hint": TEXT | {"description": "A code that the holder has made and read out."},
        "id_token_hint": TEXT | {"description": "An ID token of yours, of an earlier agreement; it may have expired."},
        "binding_message": {"type": "string", "minLength": 1, "maxLength": MAX_MESSAGE},
        "requested_expiry": {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"},
    }
    return {"type": "object", "properties": _device_request()["properties"] | own}


def _token_request() -> Schema:
    code = {"redirect_uri": TEXT, "code": TEXT, "code_verifier": TEXT, "device_code": TEXT, "auth_req_id": TEXT}
    properties = {"grant_type": {"enum": list(GRANT_TYPES)}, **code, "refresh_token": TEXT, "scope": SCOPE}
    properties["resource"] = {"type": "array", "items": {"type": "string", "format": "uri"}, "maxItems": MAX_NAMED}
    properties["authorization_details"] = TEXT | {
        "description": f"JSON of type {statutory_terms.TYPE}, for reads by law."
    }
    return {"type": "object", "properties": properties | _credentials(), "required": ["grant_type"]}


def _tokens() -> Schema:
    """RFC 6749 section 5.1, and which consent in which version they are of."""
    required: dict[str, Schema] = {
        "access_token": TEXT,
        "token_type": {"enum": ["Bearer", "DPoP"]},
        "expires_in": {"type": "integer", "minimum": 0},
        "grant_id": TEXT,
        "consent_version": {"type": "integer", "minimum": 1},
    }
    details = ref("GrantedDetails")
    optional = {"refresh_token": TEXT, "id_token": TEXT, "scope": SCOPE, "authorization_details": details}
    by_law = {name: required[name] for name in ("access_token", "token_type", "expires_in")}
    by_law["authorization_details"] = ref("LawDetails")
    return {"oneOf": [record(required, optional), record(by_law)]}


def _user_info() -> Schema:
    """OpenID Connect Core section 5.1; what there is no value for is left out."""
    special: dict[str, Schema] = {"address": {"type": "object"}, "updated_at": SECONDS}
    offered = {n: special.get(n, {"type": "boolean"} if n.endswith("_verified") else TEXT) for n in claims.OFFERED}
    return record({"sub": TEXT}, offered)
