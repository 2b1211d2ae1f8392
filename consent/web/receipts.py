"""Receipts in their holder's hands: the page, the files; and what it takes to check them without us."""

import threading
from urllib.parse import urlencode

import segno
from flask import Blueprint, Response, current_app, jsonify, redirect, render_template, url_for
from flask.blueprints import BlueprintSetupState
from flask_babel import format_datetime, get_locale
from werkzeug.wrappers import Response as AnyResponse

from consent import lifecycle, programs, receipts
from consent.keys import JWKS_MAX_AGE, KeyUse
from consent.receipts import Receipt, Signed
from consent.web import receipt_pdf, words
from consent.web.context import registry
from consent.web.receipt_view import ReceiptView
from dataspace import clock, jose
from dataspace.errors import NotFound
from dataspace.web.limits import limited
from dataspace.web.shell import LANGUAGES, services
from dataspace.web.signin import require_holder, the_actor

bp = Blueprint("receipts", __name__)
ONE_AT_A_TIME = "receipts.one_at_a_time"


@bp.record_once
def _make_room(state: BlueprintSetupState) -> None:
    """The font takes 100 MB while a PDF is made: a process makes one at a time."""
    state.app.extensions[ONE_AT_A_TIME] = threading.Lock()


@bp.get("/authorizations/<consent_id>/receipt")
@require_holder
def latest(consent_id: str) -> AnyResponse:
    """The newest receipt of an authorization."""
    consent = lifecycle.of_space(consent_id, the_actor().space_id)
    receipt = receipts.latest(consent.consent_id)
    if receipt is None:
        raise NotFound("no receipt")
    return redirect(url_for("receipts.page", receipt_id=receipt.receipt_id), 303)


@bp.get("/receipts/<receipt_id>")
@require_holder
def page(receipt_id: str) -> str:
    """One receipt in words, for reading and printing."""
    row, signed = _own(receipt_id)
    return render_template(
        "dashboard/receipt.html",
        receipt=ReceiptView.of(signed.content, _locale()),
        digest=row.digest,
        in_log=receipts.in_log(row),
        qr=segno.make(_check_url(row), micro=False, error="m").svg_data_uri(scale=4, border=4, light="#fff"),
    )


@bp.get("/receipts/<receipt_id>/receipt.json")
@require_holder
def as_json(receipt_id: str) -> Response:
    """The readable file: what the receipt says, the signature over it, and the proof that the public log has it."""
    row, signed = _own(receipt_id)
    return _file(signed.file_with(receipts.evidence_of(row)), "application/json", f"{receipt_id}.json")


@bp.get("/receipts/<receipt_id>/receipt.jws")
@require_holder
def as_jws(receipt_id: str) -> Response:
    """The compact JWS, for programs; ``proof.json`` is beside it."""
    _row, signed = _own(receipt_id)
    return _file(signed.compact.encode(), "application/jose", f"{receipt_id}.jws")


@bp.get("/receipts/<receipt_id>/proof.json")
@require_holder
def proof(receipt_id: str) -> Response:
    """That it is in the log of evidence; there within two seconds."""
    row, _signed = _own(receipt_id)
    return _file(jose.canonical(receipts.proof_of(row)), "application/json", f"{receipt_id}-proof.json")


@bp.get("/receipts/<receipt_id>/receipt.pdf")
@limited("30/minute")
@require_holder
def as_pdf(receipt_id: str) -> Response:
    """For paper, with a QR code that leads to the check; as a file it carries the signed one."""
    row, signed = _own(receipt_id)
    return _file(_pdf(row, signed), "application/pdf", f"{receipt_id}.pdf")


@bp.get("/receipts/programs/<name>")
@limited("60/minute")
def program(name: str) -> Response:
    """One of the programs that check without us, or all in one, to be kept by whoever wants to check."""
    content = programs.read(name)
    return _file(content, "application/zip" if name == programs.ALL else "text/x-python", name)


@bp.get("/receipts/keys")
def keys() -> Response:
    """Every key that ever signed a receipt, as a JWK set (RFC 7517): receipts verify as long as somebody keeps them."""
    response = jsonify(registry().keyring.public_jwk_set(clock.now(), purpose=KeyUse.RECORDS))
    response.headers["Cache-Control"] = f"public, max-age={int(JWKS_MAX_AGE.total_seconds())}"
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


def links(consent_id: str) -> list[tuple[str, str, str, str]]:
    """(address, what happened, when, icon) of every receipt of a consent, newest first."""
    return [_link(row) for row in receipts.of_consent(consent_id)]


def _pdf(row: Receipt, signed: Signed) -> bytes:
    """A receipt on paper, in the reader's language."""
    locale = _locale()
    view = ReceiptView.of(signed.content, locale)
    with current_app.extensions[ONE_AT_A_TIME]:
        return receipt_pdf.write(
            view,
            digest=row.digest,
            check_url=_check_url(row),
            language=LANGUAGES[locale],
            file=signed.file_with(receipts.evidence_of(row)),
        )


def _own(receipt_id: str) -> tuple[Receipt, Signed]:
    row = receipts.of_space(receipt_id, the_actor().space_id)
    return row, receipts.signed(row, vault=services().vault)


def _link(row: Receipt) -> tuple[str, str, str, str]:
    happened = str(words.EVENTS[row.kind][0])
    return url_for("receipts.page", receipt_id=row.receipt_id), happened, format_datetime(row.issued_at), "shield"


def _check_url(row: Receipt) -> str:
    # Ours by setting, not by the request's Host header: it is printed.
    query = urlencode({"receipt": row.receipt_id, "digest": row.digest})
    return f"{registry().issuer}/check?{query}"


def _file(body: bytes, media_type: str, name: str) -> Response:
    response = Response(body, mimetype=media_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _locale() -> str:
    return str(get_locale() or "zh_Hans")
