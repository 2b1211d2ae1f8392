"""An item that is computed here from another one: read, compared, certified and shown before it is given."""

import datetime as dt
import hashlib
import json
from typing import Any

import pytest
import rfc8785
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from consent.web import asking
from dataspace import clock, spaces
from dataspace.accesses import Access
from dataspace.catalogue import DataItem
from dataspace.db import db
from dataspace.web.shell import services
from tests import factories
from tests.consent.test_token import statements
from tests.consent.third_party import ThirdParty, tokens_for

ANSWER, BEHIND = "p.social.months3", "p.social.paid"
LAST = [
    (clock.now().astimezone(dt.timezone(dt.timedelta(hours=8))).replace(day=1) - dt.timedelta(days=d))
    for d in (1, 32, 63)
]
MONTHS = sorted(f"{day:%Y-%m}" for day in LAST)


@pytest.fixture
def bank(app: Flask, client: FlaskClient, now: dt.datetime) -> ThirdParty:
    """A bank that asks for the answer and a degree; the space holds months and the degree, and no answer."""
    person = factories.holder(now)
    paid = factories.item(now, BEHIND, ("month", "base"), many=True, period_field="month")
    answer = factories.item(now, ANSWER, ("answer", "as_of"))
    answer.derived, answer.derivation = True, {"rule": "continuous_months", "from": BEHIND, "months": 3}
    degree = factories.item(now)
    factories.record(person, paid, [{"month": m, "base": 12345} for m in MONTHS], now)
    factories.record(person, degree, [{"school": "示例大学", "major": "会计", "level": None}], now)
    found = ThirdParty(factories.party(now), client)
    factories.purpose(now, required=[answer, degree])
    db.session.commit()
    return found


def token(bank: ThirdParty, **detail: Any) -> str:
    person = db.session.scalars(select(factories.Holder)).one()
    details = [{"type": "data_space_access", "purpose": "loan-review", **detail}]
    by = factories.actor(person, clock.now())
    return str(tokens_for(bank, by, authorization_details=json.dumps(details))["access_token"])


def test_the_answer_leaves_and_names_what_it_was_computed_from(bank: ThirdParty) -> None:
    access, record = token(bank), db.session.scalars(select(spaces.Record).filter_by(item_id=BEHIND)).one()
    answer = bank.read(access)
    item, degree = answer.json["items"]
    assert "12345" not in answer.text
    assert (item["item"], item["delivery"], item["status"], degree["status"]) == (
        ANSWER, "derived", "delivered", "delivered",
    )  # fmt: skip
    assert item["fields"] == {"answer": True, "as_of": MONTHS[-1]}
    assert item["period"] == {"from": MONTHS[0], "to": MONTHS[-1]}
    assert item["source"]["record_digest"] == f"sha-256:{record.digest}"
    assert item["derivation"] == {"rule": "continuous_months", "from": BEHIND, "months": 3, "from_version": 1}
    (line,) = db.session.scalars(select(Access))
    assert line.record_ids is not None
    assert (record.record_id in line.record_ids, line.item_ids) == (True, [ANSWER, "p.edu.degree"])
    assert line.response_digest == hashlib.sha256(rfc8785.dumps(answer.json)).hexdigest()
    usual = len(statements(lambda: bank.read(access, "/api/v1/data/p.edu.degree")))
    assert len(statements(lambda: bank.read(access))) == usual + 2, "the catalogue, and the record behind it"
    # With a page of one row there is no next one.
    paged = bank.read(access, f"/api/v1/data/{ANSWER}?limit=1")
    assert (paged.json["items"][0]["page"]["of"], "Link" in paged.headers) == (1, False)


def test_what_is_not_there_is_missing_and_what_a_source_says_of_it_does_not_count(
    bank: ThirdParty, now: dt.datetime
) -> None:
    access, person = token(bank), db.session.scalars(select(factories.Holder)).one()
    item, paid = (db.session.get_one(DataItem, (name, 1)) for name in (ANSWER, BEHIND))
    factories.record(person, item, [{"answer": False, "as_of": "2020-01"}], now)
    db.session.commit()
    assert bank.read(access, f"/api/v1/data/{ANSWER}").json["items"][0]["fields"]["answer"] is True
    factories.record(person, paid, [], now)
    db.session.commit()
    assert bank.read(access, f"/api/v1/data/{ANSWER}").json["items"][0]["fields"]["answer"] is False
    (record,) = db.session.scalars(select(spaces.Record).filter_by(item_id=BEHIND, superseded_at=None))
    record.superseded_at = now
    db.session.commit()
    missing = bank.read(access, f"/api/v1/data/{ANSWER}").json["items"][0]
    assert (missing["status"], missing["empty"]) == ("missing", ["answer", "as_of"])
    assert missing["source"]["authority"] == item.authority


def test_an_answer_that_became_sensitive_is_decided_on_again(bank: ThirdParty) -> None:
    access, item = token(bank), db.session.get_one(DataItem, (ANSWER, 1))
    columns = {c.name: getattr(item, c.name) for c in DataItem.__table__.columns}
    db.session.add(DataItem(**(columns | {"version": 2, "digest": "2" * 64, "sensitive": True})))
    db.session.commit()
    assert bank.read(access, f"/api/v1/data/{ANSWER}").json["code"] == "item_regraded"
    assert [i["status"] for i in bank.read(access).json["items"]] == ["regraded", "delivered"]


def test_it_is_compared_certified_and_shown_like_any_other(bank: ThirdParty, now: dt.datetime) -> None:
    row = {"answer": True, "as_of": MONTHS[-1]}
    access = token(bank, items=[{"item": ANSWER, "delivery": "verify_only"}, {"item": "p.edu.degree"}])
    path = "/api/v1/comparisons"
    headers = {"Authorization": f"DPoP {access}", "DPoP": bank.proof("POST", path, access_token=access)}
    compared = bank.http.post(path, json={"items": [{"item": ANSWER, "rows": [row]}]}, headers=headers)
    assert compared.json["items"][0]["match"] is True, compared.text
    access, path = token(bank), "/api/v1/certificates"
    headers = {"Authorization": f"DPoP {access}", "DPoP": bank.proof("POST", path, access_token=access)}
    made = bank.http.post(path, json={"item": ANSWER}, headers=headers)
    assert (made.status_code, made.json["fields"]) == (201, ["answer", "as_of"])
    purpose, party = db.session.scalars(select(factories.Purpose)).one(), bank.party.client
    person = db.session.scalars(select(factories.Holder)).one()
    with bank.http.application.test_request_context():
        asked = factories.ask(purpose, now)
        shown = asking.look(asked, party, "en", space_id=person.space_id, vault=services().vault)
    assert shown.items[0].held
    assert MONTHS[-1] in str(shown.items[0].preview)
    assert "12345" not in str(shown)
