"""The answers of the OpenAPI description: bodies, headers and refusals, each put together in one way."""

from consent.oauth import nonces
from consent.web.openapi_schemas import Schema, ref

JSON, PROBLEM = "application/json", "application/problem+json"


def answer(description: str, media_type: str, schema: Schema) -> Schema:
    """An answer with a body; Cache-Control always says whether to keep it."""
    no_store: Schema = {"required": True, "schema": {"type": "string"}}
    return {
        "description": description,
        "headers": {"Cache-Control": no_store},
        "content": {media_type: {"schema": schema}},
    }


def with_proof(responses: Schema) -> Schema:
    """Answers to who sends a proof: they bring the nonce for the next one (RFC 9449 section 8.2)."""
    nonce = {"schema": {"type": "string"}, "description": "For the next DPoP proof (RFC 9449 section 8.2)."}
    for said in responses.values():
        said.setdefault("headers", {})[nonces.HEADER] = nonce
    return responses


def challenge() -> Schema:
    """The WWW-Authenticate header."""
    return {"required": True, "schema": {"type": "string"}, "description": "RFC 9449 section 7.1, RFC 6750 section 3."}


def refusal(description: str, codes: list[str]) -> Schema:
    """A read that is refused, for one of these reasons."""
    schema = {"allOf": [ref("Problem"), {"properties": {"code": {"enum": codes}}}]}
    said = answer(description, PROBLEM, schema)
    said["headers"]["WWW-Authenticate"] = challenge()
    return said


def oauth(description: str, *, challenged: bool = False) -> Schema:
    """A refusal in OAuth's own form (RFC 6749 section 5.2)."""
    said = answer(description, JSON, ref("OAuthError"))
    if challenged:
        said["headers"]["WWW-Authenticate"] = challenge()
    return said


def token_refusals() -> Schema:
    """At an address of the authorization server that is opened by an access token."""
    missing = answer("No token, or it has to be another one.", JSON, {"oneOf": [ref("OAuthError"), ref("Nothing")]})
    missing["headers"]["WWW-Authenticate"] = challenge()
    return {"401": missing, "403": oauth("The token lacks the scope.", challenged=True)}


def problems(*statuses: int) -> Schema:
    """What an address may answer that knows nothing of the request yet."""
    said = {
        404: "There is nothing at this address.",
        413: "The body is too large.",
        429: "Too many requests; Retry-After says when to come again.",
        503: "Nothing can be stored now.",
    }
    return {str(status): answer(said[status], PROBLEM, ref("Problem")) for status in (*statuses, 503)}
