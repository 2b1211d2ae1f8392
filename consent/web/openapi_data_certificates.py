"""What the OpenAPI description says of certificates over delivered data."""

from consent.certificate_issue import MAX_LIVING
from consent.certificate_standing import Why
from consent.data_certificates import Stage
from consent.status_lists import SIZE, Status
from consent.web.certificate_api import MAX_CASE_NO, MAX_NAME, PATH
from consent.web.openapi_answers import JSON, PROBLEM, answer, problems, refusal, with_proof
from consent.web.openapi_data import BOUND, STATED
from consent.web.openapi_schemas import MOMENT, TEXT, Schema, reasons, record, ref

NUMBER: Schema = {"type": "string", "pattern": "^crt_[0-9a-f]{24}$"}


def schemas() -> dict[str, Schema]:
    """What is sent and answered."""
    return {
        "CertificateRequest": record({"item": _line(MAX_NAME)}),
        "UseRequest": record({"case_no": _line(MAX_CASE_NO)}),
        "Certificate": record(_members()),
        "NewCertificate": record(_members() | {"certificate": {"type": "string", "description": "RFC 9901."}}),
        "Certificates": record(
            {"certificates": {"type": "array", "items": ref("Certificate"), "maxItems": MAX_LIVING}}
        ),
    }


def paths() -> Schema:
    """The addresses."""
    of_one = [{"name": "certificate_id", "in": "path", "required": True, "schema": NUMBER}]
    return {
        PATH: {"get": _list(), "post": _make()},
        f"{PATH}/{{certificate_id}}": {"parameters": of_one, "get": _show()},
        f"{PATH}/{{certificate_id}}/uses": {"parameters": of_one, "post": _use()},
    }


def _line(longest: int) -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": longest, "pattern": r"^[ -~\u4e00-\u9fff]+$"}


def _members() -> dict[str, Schema]:
    index: Schema = {"type": "integer", "minimum": 0, "exclusiveMaximum": SIZE}
    return {
        "certificate_id": NUMBER,
        "item": TEXT,
        "fields": {"type": "array", "items": TEXT},
        "delivery_id": {"type": ["string", "null"], "description": "The read that made it, in the holder's log."},
        "stage": {"enum": [stage.value for stage in Stage if stage is not Stage.NEW]},
        "status": {"enum": [status.name.lower() for status in Status]},
        "why": {"enum": [None, *(why.value for why in Why)], "description": "Why it is not valid."},
        "uses": {"type": "integer", "minimum": 0},
        "issued_at": MOMENT,
        "expires_at": MOMENT,
        "status_list": record({"idx": index, "uri": {"type": "string", "format": "uri"}}),
    }


def _make() -> Schema:
    return {
        "operationId": "makeCertificate",
        "tags": ["certificates"],
        "summary": "Have a certificate made over one granted item: a read of it, which counts.",
        "parameters": STATED,
        "requestBody": {"required": True, "content": {JSON: {"schema": ref("CertificateRequest")}}},
        "security": [BOUND],
        "responses": with_proof(
            {
                "201": answer("The certificate, with everything that it can show.", JSON, ref("NewCertificate")),
                "400": answer("The body is not as described.", PROBLEM, ref("Problem")),
                "409": answer("There is nothing to certify, or too many already.", PROBLEM, ref("Problem")),
                **_refusals(413, 429),
            }
        ),
    }


def _list() -> Schema:
    return {
        "operationId": "listCertificates",
        "tags": ["certificates"],
        "summary": "The newest certificates that you have had made from this consent.",
        "security": [BOUND],
        "responses": with_proof({"200": answer("Newest first.", JSON, ref("Certificates")), **_refusals()}),
    }


def _show() -> Schema:
    return {
        "operationId": "showCertificate",
        "tags": ["certificates"],
        "summary": "What became of one.",
        "security": [BOUND],
        "responses": with_proof({"200": answer("As it is now.", JSON, ref("Certificate")), **_refusals(404)}),
    }


def _use() -> Schema:
    return {
        "operationId": "useCertificate",
        "tags": ["certificates"],
        "summary": "Report that it has served a decision; its holder sees it, and it outlives the consent then.",
        "requestBody": {"required": True, "content": {JSON: {"schema": ref("UseRequest")}}},
        "security": [BOUND],
        "responses": with_proof(
            {
                "201": answer("The certificate, used.", JSON, ref("Certificate")),
                "400": answer("The body is not as described.", PROBLEM, ref("Problem")),
                "409": answer("It is frozen, revoked, expired or superseded.", PROBLEM, ref("Problem")),
                **_refusals(404, 413, 429),
            }
        ),
    }


def _refusals(*statuses: int) -> Schema:
    return {
        "401": refusal("The token or its proof has to be another one.", reasons(401)),
        "403": refusal("The consent does not allow this.", reasons(403)),
        **problems(*statuses),
    }
