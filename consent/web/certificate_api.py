"""Certificates for programs: a client has one made, looks at it, reports its use; and what is needed to check one.

A client calls with the access token of the consent. Keys, status lists and the metadata of the issuer are public.
"""

from typing import Any

import orjson
from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState

from consent import certificate_issue, certificate_standing, certificate_status, data_certificates, status_lists
from consent.data_certificates import By, DataCertificate, Step
from consent.keys import JWKS_MAX_AGE, KeyUse
from consent.web.context import registry
from dataspace import clock, jose
from dataspace.accesses import Action, FrequencyExceeded, QuotaExhausted
from dataspace.db import db
from dataspace.delivery import stamp
from dataspace.errors import DomainError, NotFound
from dataspace.permission import Permission, ReadRefused
from dataspace.web import guard, stated
from dataspace.web.limits import limited
from dataspace.web.shell import csrf, services

PATH = "/api/v1/certificates"
MAX_NAME, MAX_CASE_NO = 60, 80
bp = Blueprint("certificate_api", __name__)
bp.register_error_handler(DomainError, guard.refused)


@bp.record_once
def _without_csrf(_state: BlueprintSetupState) -> None:
    csrf.exempt(bp)


class InvalidBody(DomainError):
    code = "invalid_request"
    sentence = "The body is a JSON object with what the description of this address names, and nothing else."


@bp.post(PATH)
@limited("120/minute")
def make() -> Response:
    """Have a certificate made over one granted item; a read of it."""
    guard.begin(Action.READ)
    now = clock.now()
    item_id = _text(_body({"item"}), "item", MAX_NAME)
    guard.begin(Action.READ, [item_id])
    permission = _of_consent(stated.permission([item_id], now))
    try:
        made = certificate_issue.for_client(permission, item_id, now, key=_key_of_proof(), registry=registry())
    except QuotaExhausted:
        raise ReadRefused("quota_exhausted", permission=permission) from None
    except FrequencyExceeded as error:
        raise ReadRefused(error.code, permission=permission, until=error.until) from None
    body = _described(made.certificate) | {"certificate": made.issued.show()}
    db.session.commit()
    response = _json(body, 201)
    response.headers["Location"] = f"{PATH}/{made.certificate.certificate_id}"
    return response


@bp.get(PATH)
def index() -> Response:
    """The newest certificates that this client has had made from the consent of its token."""
    permission = _permission()
    db.session.commit()  # the proof stays used
    found = data_certificates.of_consent(permission.consent_id, made_by=By.CLIENT)
    return _json({"certificates": [_described(certificate) for certificate in found]})


@bp.get(f"{PATH}/<certificate_id>")
def show(certificate_id: str) -> Response:
    """What became of one."""
    permission = _permission()
    db.session.commit()  # the proof stays used
    return _json(_described(_own(certificate_id, permission)))


@bp.post(f"{PATH}/<certificate_id>/uses")
@limited("120/minute")
def use(certificate_id: str) -> Response:
    """Report that a certificate has served a decision; the holder sees it."""
    now, body = clock.now(), _body({"case_no"})
    case_no = _text(body, "case_no", MAX_CASE_NO)
    certificate = _own(certificate_id, _permission())
    data_certificates.append(
        certificate_id, Step.USED, now, by=By.CLIENT, note={"case_no": case_no}, vault=services().vault
    )
    db.session.commit()
    db.session.refresh(certificate)
    return _json(_described(certificate), 201)


@bp.get("/certificates/status/<list_id>")
@limited("600/minute")
def status(list_id: str) -> Response:
    """A status list, computed anew with every fetch: what is frozen or revoked now is in it now.

    Whoever keeps it asks whether it still holds; for how long a reader may do without asking, it says itself (ttl).
    """
    published = certificate_status.publish(list_id, clock.now(), registry=registry())
    response = Response(published.token, mimetype=f"application/{status_lists.TYP}")
    response.headers["Cache-Control"] = "public, no-cache"
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.set_etag(published.tag, weak=True)
    response.make_conditional(request)
    return response


@bp.get("/certificates/keys")
def keys() -> Response:
    """Every key that ever signed a certificate or a status list (RFC 7517)."""
    return _published(registry().keyring.public_jwk_set(clock.now(), purpose=KeyUse.CERTIFICATES))


@bp.get("/.well-known/jwt-vc-issuer")
def issuer() -> Response:
    """JWT VC issuer metadata (SD-JWT VC section 5)."""
    name = registry().issuer
    return _published({"issuer": name, "jwks_uri": f"{name}/certificates/keys"})


def _permission() -> Permission:
    """That of this request, if it is of a consent. Raises ReadRefused."""
    return _of_consent(guard.permission(clock.now()))


def _of_consent(permission: Permission) -> Permission:
    """A certificate is made of what a holder has given. Raises ReadRefused."""
    if permission.law is not None:
        raise ReadRefused("insufficient_scope", permission=permission, detail="a read by law")
    return permission


def _own(certificate_id: str, permission: Permission) -> DataCertificate:
    """One that this client has had made from the consent of its token. Raises NotFound."""
    certificate = data_certificates.get(certificate_id)
    if (certificate.consent_id, certificate.made_by) != (permission.consent_id, By.CLIENT):
        raise NotFound("another's certificate")
    return certificate


def _described(certificate: DataCertificate) -> dict[str, Any]:
    standing = certificate_standing.standing(certificate.certificate_id, clock.now())
    uri = certificate_issue.status_uri(registry().issuer, certificate.list_id)
    return {
        "certificate_id": certificate.certificate_id,
        "item": certificate.item_id,
        "fields": certificate.field_ids,
        "delivery_id": certificate.delivery_id,
        "stage": certificate.stage,
        "status": standing.status.name.lower(),
        "why": standing.why,
        "uses": certificate.uses,
        "issued_at": stamp(certificate.issued_at),
        "expires_at": stamp(certificate.expires_at),
        "status_list": {"idx": certificate.status_index, "uri": uri},
    }


def _key_of_proof() -> dict[str, Any] | None:
    """The public key that the guard has just found the token bound to; None for one that is bound to a certificate."""
    if not request.headers.get("Authorization", "").lower().startswith("dpop "):
        return None  # a proof beside it was not looked at
    key = jose.public_key(jose.read(request.headers["DPoP"]).header.get("jwk"))
    return jose.public_jwk(key.key)  # its public members, and nothing else that the client has put there


def _body(names: set[str]) -> dict[str, Any]:
    try:
        body = orjson.loads(request.get_data())
    except orjson.JSONDecodeError:
        raise InvalidBody("not JSON") from None
    if not isinstance(body, dict) or set(body) != names:
        raise InvalidBody("other members")
    return body


def _text(body: dict[str, Any], name: str, longest: int) -> str:
    value = body[name]
    if not isinstance(value, str) or not 0 < len(value) <= longest or not value.isprintable():
        raise InvalidBody(f"{name} is not a short text")
    return value


def _json(body: Any, status_code: int = 200) -> Response:
    return Response(orjson.dumps(body), status_code, mimetype="application/json")


def _published(body: Any) -> Response:
    response = _json(body)
    response.headers["Cache-Control"] = f"public, max-age={int(JWKS_MAX_AGE.total_seconds())}"
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response
