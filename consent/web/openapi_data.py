"""What the OpenAPI description says of the data API: what is delivered, and what is compared."""

from consent.web.openapi_answers import JSON, PROBLEM, answer, problems, refusal, with_proof
from consent.web.openapi_schemas import (
    DELIVERY,
    FIELDS,
    ITEM_ID,
    MOMENT,
    MONTH,
    PERIOD,
    TEXT,
    Schema,
    reasons,
    record,
    ref,
)
from dataspace import comparisons, delivery, derivations
from dataspace.delivery import schema_address
from dataspace.walks import MAX_LIMIT
from dataspace.web import answers, api, items, stated

DIGEST: Schema = {"type": "string", "pattern": "^sha-256:[0-9a-f]{64}$"}
LANGUAGES: dict[str, Schema] = dict.fromkeys(("zh_hans", "zh_hant", "en"), TEXT)
MONTHS: Schema = {"oneOf": [record(dict.fromkeys(PERIOD, MONTH)), {"type": "null"}]}
CLASSIFICATION = record({"rule_set": TEXT, "class": TEXT, "level": {"type": "integer"}})
ITEM_SCHEMA: Schema = {
    "type": "string",
    "format": "uri-reference",
    "description": "Where the JSON Schema of this version stands: of rows, and in its items of fields.",
}
DERIVATION: Schema = {
    "type": "object",
    "required": ["rule", "from", "from_version"],
    "properties": {
        "rule": {"enum": list(derivations.RULES)},
        "from": ITEM_ID,
        "from_version": {"type": "integer", "minimum": 1},
        "on": {"type": "string", "format": "date", "description": "The day, where the answer depends on it."},
    },
    "description": "How it was computed here, from the record whose digest and time source and as_of name.",
}
BOUND: Schema = {"dpop_token": [], "dpop_proof": []}
STATED: list[Schema] = [
    {
        "name": name,
        "in": "query",
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": stated.MAX_CASE_NO,
            "pattern": r"^[ -~\u4e00-\u9fff]+$",
        },
        "description": description,
    }
    for name, description in (
        ("purpose", "The code of the purpose that it is read for; refused if the consent is for another."),
        (
            "case_no",
            "The case that it is read for, for the log; refused if the consent is for another, or demands one.",
        ),
    )
]
PAGED: list[Schema] = [
    {
        "name": "limit",
        "in": "query",
        "description": "Rows of a page; not with cursor.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
    },
    {"name": "cursor", "in": "query", "description": "From the Link of the last page.", "schema": {"type": "string"}},
]
NO_KEY = "application/jose was asked for, and there is no key to encrypt to."
UNCHANGED: Schema = {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}}


def schemas() -> dict[str, Schema]:
    """Every schema by its name."""
    return {
        "Delivery": _delivery_like(delivery.SCHEMA, "DeliveredItem"),
        "DeliveredItem": {"oneOf": [_delivered(), _missing(), _regraded()]},
        "ComparisonRequest": {k: v for k, v in comparisons.REQUEST_SCHEMA.items() if k != "$schema"},
        "Comparison": _delivery_like(comparisons.SCHEMA, "ComparedItem"),
        "ComparedItem": _compared(),
    }


def paths() -> Schema:
    """The addresses."""
    version: Schema = {"type": "integer", "minimum": 1, "maximum": items.MAX_VERSION}
    of_one = [_in_path("item_id", ITEM_ID)]
    return {
        "/api/v1/data": {"get": _read_all()},
        "/api/v1/data/{item_id}": {"parameters": of_one, "get": _read_one()},
        "/api/v1/comparisons": {"post": _compare()},
        schema_address("{item_id}", "{version}"): {
            "parameters": [*of_one, _in_path("version", version)],
            "get": _describe(),
        },
    }


def _in_path(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _read_all() -> Schema:
    named: Schema = {"type": "array", "items": ITEM_ID, "minItems": 1, "maxItems": api.MAX_ITEMS}
    return {
        "operationId": "readAll",
        "tags": ["data"],
        "summary": "All granted items, or those that are named.",
        "parameters": [
            {"name": "items", "in": "query", "style": "form", "explode": False, "schema": named},
            *STATED,
            UNCHANGED,
        ],
        "security": [BOUND],
        "responses": with_proof(_read_responses()),
    }


def _read_one() -> Schema:
    return {
        "operationId": "readOne",
        "tags": ["data"],
        "summary": "One granted item, whole or page by page; the address of the next page is in Link.",
        "parameters": [*PAGED, *STATED, UNCHANGED],
        "security": [BOUND],
        "responses": with_proof(_read_responses()),
    }


def _read_responses() -> Schema:
    return {
        "200": _signed_or_plain("The items; one read of max_reads, however many they are.", "Delivery"),
        "304": {"description": "Nothing has changed since the answer with this ETag; a read all the same."},
        "400": answer("The query cannot have been meant, or there is no key to encrypt to.", PROBLEM, ref("Problem")),
        "401": refusal("The token or its proof has to be another one.", reasons(401)),
        "403": refusal("The consent does not allow this read.", reasons(403)),
        "406": answer(NO_KEY, PROBLEM, ref("Problem")),
        **problems(404),
    }


def _signed_or_plain(description: str, schema: str) -> Schema:
    """JSON, or a signed token of it, or an encrypted one; nothing else for clients that registered for encryption."""
    said = answer(description, JSON, ref(schema))
    for media_type in (answers.JWT, answers.JOSE):
        said["content"][media_type] = {"schema": {"type": "string"}}
    return said


def _compare() -> Schema:
    body = {"required": True, "content": {JSON: {"schema": ref("ComparisonRequest")}}}
    return {
        "operationId": "compare",
        "tags": ["data"],
        "summary": "Compare values with items that may only be compared; nothing but match or no match leaves.",
        "parameters": STATED,
        "requestBody": body,
        "security": [BOUND],
        "responses": with_proof(
            {
                "200": _signed_or_plain("Per item: match or no match; one read of max_reads.", "Comparison"),
                "400": answer("The body is not as described.", PROBLEM, ref("Problem")),
                "401": refusal("The token or its proof has to be another one.", reasons(401)),
                "403": refusal("The consent does not allow this comparison.", reasons(403)),
                "406": answer(NO_KEY, PROBLEM, ref("Problem")),
                **problems(413),
            }
        ),
    }


def _describe() -> Schema:
    return {
        "operationId": "describeItem",
        "tags": ["data"],
        "summary": "The JSON Schema of one version of an item: of its rows. It never changes.",
        "security": [{}],
        "responses": {
            "200": answer("A schema (draft 2020-12).", items.MEDIA_TYPE, {"type": "object"}),
            **problems(404, 429),
        },
    }


def _delivery_like(schema: str, item: str) -> Schema:
    return record(
        {
            "schema": {"const": schema},
            "delivery_id": {"type": "string", "description": "Names this read in the holder's access log."},
            "reference_no": {"type": ["string", "null"]},
            "items": {"type": "array", "items": ref(item)},
        },
        {
            "consent": record({"id": TEXT, "version": {"type": "integer", "minimum": 1}}),
            "salt": {
                "type": "string",
                "description": "Of a read: random, so that nobody can guess the answer's digest.",
            },
            "by_law": record({"power": TEXT, "version": {"type": "integer", "minimum": 1}, "law": TEXT}),
        },
        oneOf=[{"required": ["consent"]}, {"required": ["by_law"]}],
    )


def _item_head(status: str) -> dict[str, Schema]:
    return {
        "item": ITEM_ID,
        "item_version": {"type": "integer", "minimum": 1},
        "schema": ITEM_SCHEMA,
        "delivery": DELIVERY,
        "status": {"const": status},
        "withheld": FIELDS | {"description": "Fields of the item that were not granted."},
        "empty": FIELDS | {"description": "Granted fields without a value."},
    }


def _described() -> dict[str, Schema]:
    """What the catalogue says of an item of which nothing leaves."""
    source = record({"authority": record(LANGUAGES), "system": TEXT})
    return {"source": source, "as_of": {"type": "null"}, "period": MONTHS, "classification": CLASSIFICATION}


def _regraded() -> Schema:
    why = "The item became sensitive; the holder has to decide again. Named and classified as of today."
    return record(_item_head("regraded") | _described(), description=why)


def _missing() -> Schema:
    return record(_item_head("missing") | _described(), description="The holder's space has no such record.")


SILENT: Schema = {
    "description": "Since when the source is silent although it should not be: this is its last good version.",
    "oneOf": [MOMENT, {"type": "null"}],
}


def _delivered() -> Schema:
    row: Schema = {
        "type": "object",
        "propertyNames": FIELDS["items"],
        "additionalProperties": {"type": ["string", "integer", "number", "boolean", "null"]},
    }
    said = _item_head("delivered") | {
        "source": record(
            {"authority": record(LANGUAGES), "system": TEXT, "record_digest": DIGEST, "silent_since": SILENT}
        ),
        "as_of": MOMENT,
        "period": MONTHS,
        "classification": CLASSIFICATION,
    }
    number: Schema = {"type": "integer", "minimum": 0}
    suppressed = {"type": "integer", "minimum": 1, "description": "Rows of an aggregate over too few, left out."}
    page = record({"from": number, "to": number, "of": number, "first_delivery_id": TEXT})
    rows = {"fields": row, "rows": {"type": "array", "items": row}, "page": page}
    rows |= {"derivation": DERIVATION, "suppressed": suppressed}
    return record(said, rows, oneOf=[{"required": ["fields"]}, {"required": ["rows"]}])


def _compared() -> Schema:
    said: dict[str, Schema] = {
        "item": ITEM_ID,
        "item_version": {"type": "integer", "minimum": 1},
        "schema": ITEM_SCHEMA,
        "delivery": {"const": "verify_only"},
        "status": {"enum": ["compared", "missing"]},
        "source": record({"authority": record(LANGUAGES), "system": TEXT}),
        "as_of": {"oneOf": [MOMENT, {"type": "null"}]},
        "period": MONTHS,
        "classification": CLASSIFICATION,
    }
    match = {"type": "boolean", "description": "Whether every row that was sent is in the record."}
    return record(said, {"match": match, "derivation": DERIVATION})
