"""Items that may only be compared, only be looked at, or that are an answer: from the request to the data API."""

import datetime as dt
import hashlib
import json
from typing import Any

import pytest
import rfc8785
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK
from sqlalchemy import select
from werkzeug.test import TestResponse

from consent import history
from consent.admission import admit
from consent.terms import InvalidTerms, parse
from dataspace import clock, comparisons
from dataspace.accesses import COMPARISONS_A_DAY, Access
from dataspace.db import db
from tests import factories
from tests.consent.third_party import ThirdParty, tokens_for

PATH = "/api/v1/comparisons"
ROWS = [{"month": "2026-03", "kwh": 120}, {"month": "2026-04", "kwh": 95}, {"month": "2026-05", "kwh": None}]


@pytest.fixture
def bank(app: Flask, client: FlaskClient, now: dt.datetime) -> ThirdParty:
    """A bank whose purpose compares the electricity and reads the degree; the sixth item has no record."""
    person = factories.holder(now)
    power = factories.item(now, "p.energy.home", ("month", "kwh"), many=True, period_field="month")
    power.fields = [power.fields[0], power.fields[1] | {"masked": True}]
    degree = factories.item(now)
    none = factories.item(now, "p.work.none", ("title",))
    factories.record(person, power, ROWS, now)
    factories.record(person, degree, [{"school": "示例大学", "major": "会计", "level": None}], now)
    found = ThirdParty(factories.party(now), client)
    row = factories.purpose(now, required=[power, degree, none])
    row.items = [i | ({"delivery": "verify_only"} if i["item"] != degree.item_id else {}) for i in row.items]
    db.session.commit()
    return found


def token(bank: ThirdParty, details: dict[str, Any] | None = None) -> str:
    person = db.session.scalars(select(factories.Holder)).one()
    detail = {"type": "data_space_access", "purpose": "loan-review"} | (details or {})
    by = factories.actor(person, clock.now())
    return str(tokens_for(bank, by, authorization_details=json.dumps([detail]))["access_token"])


def compare(bank: ThirdParty, access: str, *claims: tuple[str, list[dict[str, Any]]]) -> TestResponse:
    headers = {"Authorization": f"DPoP {access}", "DPoP": bank.proof("POST", PATH, access_token=access)}
    body = {"items": [{"item": item, "rows": rows} for item, rows in claims]}
    return bank.http.post(PATH, json=body, headers=headers)


def log() -> list[tuple[str, str, str | None]]:
    return [(a.action, a.outcome, a.reason) for a in db.session.scalars(select(Access).order_by(Access.access_id))]


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (ROWS, True),
        (ROWS[:1], True),
        ([{"month": " 2026-03", "kwh": 120}], True),  # white space around a text is not what it says
        ([{"month": "2026-03", "kwh": 121}], False),
        ([{"month": "2026-03", "kwh": "120"}], False),
        ([{"month": "2026-03", "kwh": True}], False),
        ([{"month": "2026-05", "kwh": 0}], False),
        ([ROWS[0], {"month": "2026-06", "kwh": 1}], False),
    ],
)
def test_the_answer_is_match_or_no_match_and_no_value(bank: ThirdParty, rows: Any, *, match: bool) -> None:
    answer = compare(bank, token(bank), ("p.energy.home", rows), ("p.work.none", [{"title": "x"}]))
    assert answer.status_code == 200, answer.text
    first, second = answer.json["items"]
    assert (first["status"], first["match"], first["delivery"]) == ("compared", match, "verify_only")
    assert (second["status"], second["classification"]["level"], "match" in second) == ("missing", 3, False)
    assert "sha-256" not in answer.text  # the digest of the record would be a second thing to compare with
    assert not {"fields", "rows"} & set(first)
    assert "no-store" in answer.headers["Cache-Control"]
    assert log() == [("compare", "answered", None)]


@pytest.mark.parametrize(("rows", "match"), [(ROWS, True), (ROWS[:1], True), ([*ROWS, ROWS[0] | {"kwh": 1}], False)])
def test_digests_are_as_good_as_values(bank: ThirdParty, rows: Any, *, match: bool) -> None:
    access, nonce = token(bank), "n" * 22
    claim: dict[str, Any] = {"item": "p.energy.home", "nonce": nonce}
    claim["digests"] = [hashlib.sha256(rfc8785.dumps({"nonce": nonce, "row": row})).hexdigest() for row in rows]
    headers = {"Authorization": f"DPoP {access}", "DPoP": bank.proof("POST", PATH, access_token=access)}
    answer = bank.http.post(PATH, json={"items": [claim]}, headers=headers)
    assert answer.json["items"][0]["match"] is match
    (line,) = db.session.scalars(select(Access))
    assert line.response_digest == hashlib.sha256(rfc8785.dumps(answer.json)).hexdigest()


@pytest.mark.parametrize(
    "claim",
    [
        {"nonce": "n" * 22},
        {"digests": ["0" * 64]},
        {"nonce": "n" * 21, "digests": ["0" * 64]},
        {"nonce": "n" * 22, "digests": []},
        {"nonce": "n" * 22, "digests": ["0" * 63]},
        {"nonce": "n" * 22, "digests": ["0" * 64], "rows": ROWS},
        {"nonce": "n" * 22, "rows": ROWS},
        {},
    ],
)
def test_half_a_digest_is_refused(claim: dict[str, Any]) -> None:
    with pytest.raises(comparisons.InvalidClaims):
        comparisons.parse(json.dumps({"items": [{"item": "p.energy.home"} | claim]}).encode())


def test_it_is_never_answered_with_values(bank: ThirdParty) -> None:
    access = token(bank)
    everything = bank.read(access)
    assert [i["item"] for i in everything.json["items"]] == ["p.edu.degree"]
    for query in ("?items=p.energy.home", "?items=p.edu.degree,p.energy.home", "/p.energy.home"):
        path = f"/api/v1/data{query}"
        proof = bank.proof("GET", path.split("?", maxsplit=1)[0], access_token=access)
        refused = bank.read(access, path, proof=proof)
        assert (refused.status_code, refused.json["code"]) == (403, "item_verify_only")
        assert "120" not in str(refused.json | {"reference": ""}), "a reference is a number of its own"
    assert log()[1:] == [("read", "refused", "item_verify_only")] * 3


def test_what_may_be_read_is_no_oracle(bank: ThirdParty) -> None:
    refused = compare(bank, token(bank), ("p.edu.degree", [{"school": "示例大学", "major": "会计", "level": None}]))
    assert (refused.status_code, refused.json["code"]) == (403, "item_not_granted")


@pytest.mark.parametrize("row", [{"kwh": 120}, {"month": "2026-03"}, {"month": "2026-03", "kwh": 120, "more": 1}])
def test_a_row_names_every_granted_field(bank: ThirdParty, row: dict[str, Any]) -> None:
    refused = compare(bank, token(bank), ("p.energy.home", [row]))
    assert (refused.status_code, refused.json["code"]) == (400, "invalid_request")
    assert log() == [("compare", "refused", "invalid_request")]


def test_comparing_counts_like_reading(bank: ThirdParty) -> None:
    access = token(bank, {"use": {"mode": "periodic", "max_reads": 1}})
    assert compare(bank, access, ("p.energy.home", ROWS)).status_code == 200
    refused = compare(bank, access, ("p.energy.home", ROWS))
    assert (refused.status_code, refused.json["code"]) == (403, "quota_exhausted")


def test_guessing_ends_after_a_days_comparisons(bank: ThirdParty) -> None:
    access = token(bank)
    answers = [compare(bank, access, ("p.energy.home", [{"month": "2026-03", "kwh": n}])) for n in range(21)]
    assert [a.status_code for a in answers] == [200] * COMPARISONS_A_DAY + [403]
    assert answers[-1].json["code"] == "too_many_comparisons"
    assert log()[-1] == ("compare", "refused", "too_many_comparisons")


def test_only_the_granted_period_is_compared(bank: ThirdParty) -> None:
    items = [{"item": "p.energy.home", "period": {"months": 1}}]
    refused = compare(bank, token(bank, {"items": items}), ("p.energy.home", ROWS[:1]))
    assert refused.json["items"][0]["match"] is False


TWICE = b'{"items":[{"item":"a","rows":[{"x":1}]},{"item":"a","rows":[{"x":1}]}]}'
FRACTION = b'{"items":[{"item":"a","rows":[{"x":1.5}]}]}'


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"items":[]}', b"\xff", FRACTION, b"[" * 2000, TWICE])
def test_another_body_is_refused_and_who_holds_a_token_has_a_line(bank: ThirdParty, body: bytes) -> None:
    refused = bank.http.post(PATH, data=body, headers={"Authorization": "DPoP x"})
    assert (refused.status_code, refused.json["code"], log()) == (401, "invalid_token", [])
    access = token(bank)
    proof = bank.proof("POST", PATH, access_token=access)
    for code, line in (("invalid_request", "invalid_request"), ("invalid_dpop_proof", "invalid_dpop_proof")):
        # The second time the proof is used up already, by a request that was refused for its body.
        refused = bank.http.post(PATH, data=body, headers={"Authorization": f"DPoP {access}", "DPoP": proof})
        assert (refused.json["code"], log()[-1]) == (code, ("compare", "refused", line))


@given(st.binary(max_size=200))
def test_parsing_promises_one_family_of_errors(body: bytes) -> None:
    with pytest.raises(comparisons.InvalidClaims):
        comparisons.parse(body)


# What is asked, granted and told


def test_a_client_may_ask_to_compare_where_it_may_read_and_not_the_other_way(
    bank: ThirdParty, now: dt.datetime
) -> None:
    def asked(item: str, delivery: str) -> str:
        items = [{"item": item, "delivery": delivery}]
        detail = {"type": "data_space_access", "purpose": "loan-review", "items": items}
        return admit(parse(json.dumps([detail])), client_id="bank", scope=(), now=now).items[0].delivery

    assert asked("p.edu.degree", "verify_only") == "verify_only"
    assert asked("p.edu.degree", "raw") == "raw"
    for item, delivery in (("p.energy.home", "raw"), ("p.energy.home", "derived"), ("p.edu.degree", "derived")):
        with pytest.raises(InvalidTerms, match=f"delivery {delivery} of item {item}"):
            asked(item, delivery)


def test_the_form_stands_in_the_document_and_in_what_the_client_is_told(bank: ThirdParty) -> None:
    access = token(bank)
    consent = db.session.scalars(select(factories.Consent)).one()
    document, _digest = history.current_document(consent)
    assert {i["item_id"]: i["delivery"] for i in document["items"]} == {
        "p.energy.home": "verify_only", "p.edu.degree": "raw", "p.work.none": "verify_only",
    }  # fmt: skip
    (told,) = bank.introspect(access).json["authorization_details"]
    assert {i["item"]: i["delivery"] for i in told["items"]}["p.energy.home"] == "verify_only"


def test_what_may_only_be_looked_at_is_read_once_whole_and_unsigned(
    app: Flask, client: FlaskClient, now: dt.datetime
) -> None:
    """Encrypted it may be, to a key of who looks: what is in it is the plain answer, which proves nothing to others."""
    world = factories.world(now, mode="view_once", max_reads=7)
    bank, private = ThirdParty(world.party, client), JWK.generate(kty="EC", crv="P-256")
    keys = world.party.client.jwks["keys"]
    world.party.client.jwks = {"keys": [*keys, json.loads(private.export_public()) | {"use": "enc"}]}
    db.session.commit()
    access = tokens_for(bank, world.actor, give=world.consent)["access_token"]
    for path, accept in (("", "application/jwt"), ("/p.edu.degree?limit=1", "application/json")):
        refused = bank.read(access, f"/api/v1/data{path}", Accept=accept)
        assert (refused.status_code, refused.json["code"]) == (403, "view_only")
    answer = bank.read(access, Accept="application/jose")
    assert (answer.mimetype, answer.headers["Cache-Control"]) == ("application/jose", "no-store")
    jwe = JWE(algs=["ECDH-ES", "A256GCM"])
    jwe.deserialize(answer.text, private)
    assert jwe.jose_header["cty"] == "json"
    assert json.loads(jwe.payload)["items"][0]["delivery"] == "view_only"
    assert bank.read(access).json["code"] == "quota_exhausted"
    assert log() == [("read", "refused", "view_only")] * 2 + [
        ("read", "answered", None), ("read", "refused", "quota_exhausted"),
    ]  # fmt: skip


def test_a_derived_item_delivers_its_answer_only(app: Flask, client: FlaskClient, now: dt.datetime) -> None:
    world = factories.world(now)
    answer = factories.item(now, "p.social.months6", ("answer", "as_of"))
    answer.derived = True
    factories.record(world.person, answer, [{"answer": True, "as_of": "2026-10", "base": 9000}], now)
    row = factories.purpose(now, code="rent", required=[answer])
    given = factories.consent(factories.ask(row, now), world.actor, now)
    db.session.commit()
    bank = ThirdParty(world.party, client)
    (item,) = bank.read(tokens_for(bank, world.actor, give=given)["access_token"]).json["items"]
    assert item["delivery"] == "derived"
    assert item["fields"] == {"answer": True, "as_of": "2026-10"}
