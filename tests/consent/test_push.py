"""An authority brings records by its own key: its own items, a result for each record; nobody else may."""

import datetime as dt
import json
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from consent.clients import ClientClass, Standing
from dataspace import jwk, spaces
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.spaces import Record
from dataspace.web import push
from dataspace.web.shell import services
from tests import factories
from tests.consent.third_party import ThirdParty
from tests.factories import OTHER_PERSON, PERSON

AS_OF = "2026-05-01T08:00:00+08:00"


@pytest.fixture
def person(app: Flask, now: dt.datetime) -> Holder:
    return factories.holder(now)


@pytest.fixture
def police(person: Holder, app: Flask, now: dt.datetime) -> ThirdParty:
    degree = factories.item(now)
    foreign = factories.item(now, "p.tax.income", ("year",))
    foreign.authority = factories.text("税务机关")
    made = factories.party(now, "police", name="示例机关")
    made.client.client_class = ClientClass.AUTHORITY
    factories.source(now, degree, kind="push", client_id="police")
    db.session.commit()
    return ThirdParty(made, app.test_client())


def record(**said: Any) -> dict[str, Any]:
    return {"identifier": PERSON, "item": "p.edu.degree", "as_of": AS_OF, "rows": [{"school": "示例大学"}]} | said


def send(by: ThirdParty, body: Any, token: str | None = None) -> TestResponse:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {by.assertion() if token is None else token}"}
    return by.http.post("/api/v1/records", data=content, headers=headers, content_type="application/json")


def test_each_record_has_a_result_and_what_is_good_is_kept(police: ThirdParty, person: Holder) -> None:
    answer = send(
        police, {"records": [record(), record(item="p.tax.income"), record(identifier=OTHER_PERSON), "x"]}
    )  # fmt: skip
    assert answer.status_code == 200
    assert answer.json == {
        "counts": {"added": 1, "rejected": 3},
        "results": [
            {"number": 1, "outcome": "added"},
            {"number": 2, "outcome": "rejected", "reason": "foreign_item", "field": ""},
            {"number": 3, "outcome": "rejected", "reason": "unknown_holder", "field": ""},
            {"number": 4, "outcome": "rejected", "reason": "not_a_record", "field": ""},
        ],
    }
    (held,) = spaces.holdings(person.space_id, vault=services().vault)
    assert held.record.source_id == "example"
    assert send(police, {"records": [record()]}).json["counts"] == {"unchanged": 1}


BODIES: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 400),
    "not JSON": (b"{", 400),
    "no object": (b"[]", 400),
    "no records": (b'{"records": []}', 400),
    "a name twice": (b'{"records": [], "records": [{}]}', 400),
    "too many": (b'{"records": [%s]}' % b",".join([b"{}"] * 1001), 400),
    "too much": (b" " * (push.MAX_BYTES + 1), 413),
    "very deep": (b"[" * 100_000, 400),
    "not UTF-8": (b'{"records": ["\xff"]}', 400),
}


@pytest.mark.parametrize("case", BODIES)
def test_what_is_no_batch_is_refused(case: str, police: ThirdParty) -> None:
    body, status = BODIES[case]
    assert send(police, body).status_code == status
    assert db.session.query(Record).count() == 0


def test_only_an_authority_with_its_own_key_in_good_standing_and_a_source_may(
    police: ThirdParty, app: Flask, now: dt.datetime
) -> None:
    batch = {"records": [record()]}
    assert police.http.post("/api/v1/records", json=batch).status_code == 401
    assert send(police, batch, "nonsense").status_code == 401
    stranger = jwk.SigningKey(kid="police-1", alg="ES256", private_key=jwk.generate_key("ES256"))
    assert send(police, batch, police.assertion(key=stranger)).status_code == 401
    once = police.assertion()
    assert [send(police, batch, once).status_code for _ in range(2)] == [200, 401]
    bank = ThirdParty(factories.party(now, "bank"), app.test_client())
    db.session.commit()
    assert send(bank, batch).status_code == 401
    bank.party.client.client_class = ClientClass.AUTHORITY
    db.session.commit()
    assert send(bank, batch).status_code == 404, "an authority that brings nothing"
    police.party.client.standing = Standing.SUSPENDED
    db.session.commit()
    assert send(police, batch).status_code == 401
