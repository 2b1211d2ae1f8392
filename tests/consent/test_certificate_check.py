"""A certificate at the page where anybody has checked what they hold: one sentence for each thing that can be wrong."""

import base64
import datetime as dt
import io
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from consent import certificate_check, data_certificates, worker
from consent.certificate_issue import TYP
from consent.data_certificates import By, DataCertificate, Step
from consent.keys import KeyUse
from consent.sd_jwt import SdJwt
from dataspace import clock, jose, jwk
from dataspace.db import Model, db
from dataspace.web.shell import services
from tests import factories
from tests.consent.certificate_bank import Bank, altered_disclosure, binding, flipped_signature, make_bank
from tests.consent.visitor import Page, Visitor


@pytest.fixture
def bank(app: Flask, client: FlaskClient) -> Bank:
    return make_bank(client)


@pytest.fixture
def anybody(app: Flask) -> Visitor:
    return Visitor(app.test_client())


def asked(visitor: Visitor, text: str) -> Page:
    visitor.get("/check")
    return visitor.tap("Check it", pasted=text)


def step(made: dict[str, Any], kind: Step, by: By = By.OFFICE) -> None:
    data_certificates.append(number(made), kind, clock.now(), by=by, vault=services().vault)
    db.session.commit()


def number(made: dict[str, Any]) -> str:
    found: str = SdJwt.read(made["certificate"]).unverified["certificate_no"]
    return found


def ours(purpose: KeyUse = KeyUse.CERTIFICATES) -> jwk.SigningKey:
    return factories.registry().keyring.signing_key(purpose, clock.now())


def anew(text: str, key: jwk.SigningKey, typ: str = TYP, **changes: Any) -> str:
    """The signed part with other claims, signed by a key, and everything that was shown."""
    signed, _tilde, rest = text.partition("~")
    claims = jose.unverified_claims(jose.read(signed))
    return f"{jose.sign(claims | changes, key, typ=typ)}~{rest}"


def test_a_good_one_says_whose_it_is_and_what_it_shows(bank: Bank, anybody: Visitor) -> None:
    made = bank.makes()
    part = SdJwt.read(made["certificate"]).show({"data": ["school"], "about": ["subject"]})
    says = asked(anybody, part).says
    for sentence in (
        "It is from here, and nothing that it shows was changed.",
        "At this moment it is neither frozen nor revoked.",
        "Our public log has no entry of it by now.",
        "nobody has proven to hold it",
        "Source Example authority",
        "Signed by http://localhost:8000",
        "Field school 示例大学",
        "Whose data it is 陈嘉怡",
        "6 more fields are not shown to you.",
    ):
        assert sentence in says
    assert "会计" not in says
    assert "It was used before" not in says
    worker.sequence(clock.now(), registry=factories.registry())
    step(made, Step.USED, By.RECEIVER)
    shown = part + binding(part, bank.proof_key, "n", "https://notary.example")
    wrapped = "\n".join(shown[i : i + 70] for i in range(0, len(shown), 70))
    anybody.get("/check")
    says = anybody.tap("Check it", file=(io.BytesIO(wrapped.encode()), "certificate.sd-jwt")).says
    assert "Whoever showed it has signed that it is their own, for https://notary.example." in says
    assert "is entry " in says
    assert "It was used before" in says


def test_what_became_of_it_has_a_sentence(bank: Bank, anybody: Visitor) -> None:
    made = bank.makes()
    text = made["certificate"]
    step(made, Step.FROZEN)
    frozen = asked(anybody, text).says
    assert "It is frozen: do not rely on it unless it is released again." in frozen
    assert "administrator" not in frozen, "whose doing it is is for its holder"
    step(made, Step.THAWED)
    assert "At this moment it is neither frozen nor revoked." in asked(anybody, text).says
    step(made, Step.REVOKED)
    assert "It was revoked, or has ended before its time." in asked(anybody, text).says
    past = int((clock.now() - dt.timedelta(days=1)).timestamp())
    over = asked(anybody, anew(text, ours(), exp=past)).says
    assert "Its time is over. Do not rely on it." in over
    assert "Genuine" in over
    unknown = asked(anybody, anew(text, ours(), certificate_no="crt_other")).says
    assert "We have no record of it any more" in unknown


FOREIGN = jwk.SigningKey(kid="theirs", alg="ES256", private_key=jwk.generate_key("ES256"))
MADE_UP = base64.urlsafe_b64encode(b'["c2FsdA","<b>wealth</b>","much"]').rstrip(b"=").decode()
TAMPERED: dict[str, tuple[Callable[[str, Bank], str], str]] = {
    "another value": (lambda text, _bank: altered_disclosure(text), "the field “Field school” was changed or added"),
    "a field more": (
        lambda text, _bank: f"{text}{MADE_UP}~",
        "the field “&lt;b&gt;wealth&lt;/b&gt;” was changed or added, or is shown twice.",
    ),
    "a field twice": (lambda text, _bank: f"{text}{text.split('~')[1]}~", "or is shown twice."),
    "a field that is none": (lambda text, _bank: f"{text}rubbish~", "the field “?” was changed or added"),
    "the signature": (lambda text, _bank: flipped_signature(text), "Our signature does not match"),
    "what was signed": (
        lambda text, _bank: anew(text, FOREIGN).split(".")[0] + "." + text.split(".", 1)[1],
        "It is signed, but not by us.",
    ),
    "another key": (lambda text, _bank: anew(text, FOREIGN), "It is signed, but not by us."),
    "a key for something else": (
        lambda text, _bank: anew(text, ours(KeyUse.TOKENS)), "It is signed, but not by us.",
    ),
    "another issuer": (
        lambda text, _bank: anew(text, ours(), iss="https://other.example"),
        "it names another issuer: https://other.example.",
    ),
    "another kind": (lambda text, _bank: anew(text, ours(), vct="urn:x"), "this is no certificate over data."),
    "claims that are none": (lambda text, _bank: anew(text, ours(), exp="soon"), "This is no certificate, or a part"),
    "cut off": (lambda text, _bank: text.partition("~")[0], "This is no certificate, or a part of it is missing"),
    "too long": (lambda text, _bank: text + "A" * certificate_check.MAX_BYTES, "This is no certificate, or a part"),
    "somebody else's": (
        lambda text, _bank: text + binding(text, FOREIGN, "n", "a"),
        "The signature of whoever showed it does not match",
    ),
    "shown with something else": (
        lambda text, bank: text + binding("something~", bank.proof_key, "n", "a"),
        "The signature of whoever showed it does not match",
    ),
    "the signature of whoever showed it": (lambda text, _bank: f"{text}e30.e30.e30", "of whoever showed it does not"),
}  # fmt: skip


def test_each_thing_that_is_wrong_has_its_sentence(bank: Bank, anybody: Visitor) -> None:
    text = bank.makes()["certificate"]
    for what, (change, sentence) in TAMPERED.items():
        anybody.get("/check")
        page = anybody.tap("Check it", file=(io.BytesIO(change(text, bank).encode()), "certificate.sd-jwt"))
        assert (page.status, sentence in page.html) == (200, True), what
        assert "Genuine" not in page.says, what
        assert "示例大学" not in page.says, what


def test_nothing_that_is_brought_breaks_it(bank: Bank) -> None:
    text, registry = bank.makes()["certificate"], factories.registry()

    @settings(max_examples=60, deadline=None)
    @given(where=st.integers(0, len(text) - 1), by=st.binary(max_size=3))
    def any_change(where: int, by: bytes) -> None:
        raw = text.encode()[:where] + by + text.encode()[where + 1 :]
        certificate_check.is_one(raw)
        found = certificate_check.check(raw, clock.now(), registry=registry)
        assert isinstance(found, certificate_check.Refusal) or b"".join(raw.split()) == text.encode()

    any_change()


def test_nothing_is_kept(bank: Bank, anybody: Visitor) -> None:
    text = bank.makes()["certificate"]

    def rows() -> list[int | None]:
        db.session.rollback()
        tables = Model.metadata.sorted_tables
        return [db.session.scalar(sa.select(sa.func.count()).select_from(table)) for table in tables]

    before = rows()
    asked(anybody, text)
    assert rows() == before
    assert db.session.scalars(sa.select(DataCertificate)).one().uses == 0
