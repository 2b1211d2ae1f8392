"""Reads by law: a power that two have made, one case about one holder, the same gate and log as every read."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from consent import clients, evidence, powers
from consent.oauth.statutory_tokens import StatutoryToken
from dataspace import accesses, clock
from dataspace.accesses import Access
from dataspace.by_law import LawDay
from dataspace.db import db
from dataspace.entries import WaitingEntry
from dataspace.messages import Message, Notice
from tests import factories
from tests.consent.authority import Authority, Bureau, approved
from tests.consent.third_party import LEFT_OUT, ThirdParty


@pytest.fixture
def bureau(app: Flask, client: FlaskClient) -> Bureau:
    return Bureau.opened(client, clock.now())


def log() -> list[Access]:
    return list(db.session.scalars(select(Access).order_by(Access.access_id)))


def outcomes() -> list[tuple[str, str | None]]:
    return [(line.outcome, line.reason) for line in log()]


def notices() -> list[str]:
    return list(db.session.scalars(select(Message.kind).order_by(Message.message_id)))


def test_a_read_by_law_goes_through_the_gate_and_into_the_log(bureau: Bureau) -> None:
    answer = bureau.tax.demands()
    assert answer.status_code == 200
    assert answer.json["token_type"] == "DPoP"
    assert "refresh_token" not in answer.json
    (detail,) = answer.json["authorization_details"]
    assert (detail["power"], detail["version"], detail["case_no"]) == ("tax-audit", 1, "税稽〔2026〕17号")
    assert "notice_at" not in detail
    assert factories.PERSON not in answer.text
    read = bureau.tax.read(answer.json["access_token"])
    assert read.status_code == 200
    (item,) = read.json["items"]
    assert item["fields"] == {"school": "示例大学", "level": "本科"}, "what the power does not name stays"
    assert item["withheld"] == ["major"]
    assert "consent" not in read.json
    law = "中华人民共和国税收征收管理法 第五十四条"
    assert read.json["by_law"] == {"power": "tax-audit", "version": 1, "law": law}
    (line,) = log()
    assert (line.outcome, line.consent_id, line.consent_version) == ("answered", "", 0)
    assert (line.power_id, line.power_version, line.client_id) == ("tax-audit", 1, "tax")
    assert (line.reference_no, line.purpose) == ("税稽〔2026〕17号", "核查纳税申报")
    assert line.record_ids
    assert line.response_digest
    assert notices() == [Notice.LAW_READ]


def test_its_entry_is_in_the_log_of_evidence_and_says_under_which_power(bureau: Bureau) -> None:
    bureau.tax.read(bureau.tax.token_for_case())
    (line,) = log()
    entry = accesses.entry_of(line)
    assert entry is not None
    assert entry.statement["power_id"] == "tax-audit"
    assert entry.statement["case_id"] == line.case_id
    assert db.session.get(WaitingEntry, entry.key) is not None or evidence.proof_of(entry)


def test_the_holder_is_told_once_a_day_for_each_case(bureau: Bureau) -> None:
    token = bureau.tax.token_for_case()
    for _ in range(3):
        assert bureau.tax.read(token).status_code == 200
    bureau.tax.read(bureau.tax.token_for_case(case_no="税稽〔2026〕18号"))
    assert notices() == [Notice.LAW_READ, Notice.LAW_READ]


def test_what_is_asked_for_can_be_less_than_the_power_names(bureau: Bureau) -> None:
    now = clock.now()
    factories.item(now, "p.tax.income", ("year",))
    items = [{"item": "p.edu.degree", "fields": ["school"]}, {"item": "p.tax.income", "fields": ["year"]}]
    approved(bureau.admins, now, items=items)
    token = bureau.tax.token_for_case(items=["p.tax.income"])
    read = bureau.tax.read(token)
    assert [i["item"] for i in read.json["items"]] == ["p.tax.income"]
    assert bureau.tax.read(token, "/api/v1/data/p.edu.degree").json["code"] == "item_not_granted"
    assert outcomes() == [("answered", None), ("refused", "item_not_granted")]


def suspend(bureau: Bureau, now: dt.datetime) -> None:
    powers.suspend(bureau.decision(), now)


def end(bureau: Bureau, now: dt.datetime) -> None:
    powers.end(bureau.decision(), now)


def replace(bureau: Bureau, now: dt.datetime) -> None:
    approved(bureau.admins, now, day_limit=100)


def suspend_client(_bureau: Bureau, now: dt.datetime) -> None:
    clients.suspend("tax", now, actor_id="adm", reason_code="complaint", text="")


def close(bureau: Bureau, now: dt.datetime) -> None:
    bureau.person.closed_at = now


def expire(bureau: Bureau, now: dt.datetime) -> None:
    bureau.power.valid_until = now


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (suspend, "power_suspended"),
        (end, "power_ended"),
        (replace, "power_ended"),
        (expire, "power_ended"),
        (suspend_client, "client_suspended"),
        (close, "space_closed"),
    ],
)
def test_the_very_next_read_is_refused_with_its_reason(
    bureau: Bureau, change: Callable[[Bureau, dt.datetime], None], reason: str
) -> None:
    token = bureau.tax.token_for_case()
    assert bureau.tax.read(token).status_code == 200
    change(bureau, clock.now())
    db.session.commit()
    refused = bureau.tax.read(token)
    assert (refused.status_code, refused.json["code"]) == (403, reason)
    assert "items" not in refused.json
    assert outcomes() == [("answered", None), ("refused", reason)]


def test_a_suspended_power_goes_on_when_it_is_resumed(bureau: Bureau) -> None:
    token = bureau.tax.token_for_case()
    suspend(bureau, clock.now())
    db.session.commit()
    assert bureau.tax.demands().json["error"] == "invalid_authorization_details"
    powers.resume(bureau.decision(), clock.now())
    db.session.commit()
    assert bureau.tax.read(token).status_code == 200


OUTSIDE: dict[str, dict[str, Any]] = {
    "an item that it does not name": {"items": ["p.tax.income"]},
    "another form of case number": {"case_no": "2026-17"},
    "a case number with something behind it": {"case_no": "税稽〔2026〕17号之二"},
    "a notice later than it allows": {"defer_days": 31},
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_demand_outside_the_power_is_refused_and_stands_in_the_log(bureau: Bureau, name: str) -> None:
    answer = bureau.tax.demands(**OUTSIDE[name])
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_authorization_details")
    (line,) = log()
    assert (line.outcome, line.reason, line.power_id) == ("refused", "outside_power", "tax-audit")
    assert notices() == [Notice.READ_REFUSED]
    assert db.session.scalar(select(StatutoryToken)) is None


def test_a_power_is_not_about_other_kinds_of_holders(bureau: Bureau) -> None:
    company = factories.company(clock.now())
    db.session.commit()
    holder = {"kind": "legal_entity", "identifier": factories.COMPANY}
    assert bureau.tax.demands(holder=holder).status_code == 400
    assert [(line.space_id, line.reason) for line in log()] == [(company.space_id, "outside_power")]


def test_without_a_power_nothing_is_had_and_nothing_is_learnt(bureau: Bureau, client: FlaskClient) -> None:
    other = Authority.registered(client, clock.now(), "police")
    known = other.demands()
    nobody = other.demands(holder={"kind": "natural_person", "identifier": factories.LEGAL_REP})
    assert known.json == nobody.json, "whether there is such a holder"
    assert [(line.client_id, line.reason) for line in log()] == [("police", "power_ended")], "and yet she sees it"


def test_a_holder_without_a_space(bureau: Bureau) -> None:
    answer = bureau.tax.demands(holder={"kind": "natural_person", "identifier": factories.LEGAL_REP})
    assert answer.json["error_description"] == "there is no data space of this holder"
    assert log() == []


BROKEN: dict[str, dict[str, Any]] = {
    "no case": {"case_no": LEFT_OUT},
    "no reason": {"reason": LEFT_OUT},
    "an empty reason": {"reason": "   "},
    "a reason of two lines": {"reason": "a\nb"},
    "half a character": {"reason": "\ud800"},
    "no holder": {"holder": LEFT_OUT},
    "a holder without a kind": {"holder": {"identifier": factories.PERSON}},
    "the type of a consent": {"type": "data_space_access"},
    "an unknown member": {"purpose": "x"},
    "a number as a case": {"case_no": 17},
    "a notice before now": {"defer_days": -1},
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_demand_that_is_not_in_order(bureau: Bureau, name: str) -> None:
    answer = bureau.tax.demands(**BROKEN[name])
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_authorization_details")
    assert log() == []


def test_the_grant_is_for_nothing_else(bureau: Bureau, client: FlaskClient) -> None:
    tax = bureau.tax
    assert tax.asks({}).json["error"] == "invalid_authorization_details"
    assert tax.asks({"scope": "openid"}).json["error"] == "invalid_scope"
    assert tax.asks({"resource": "https://elsewhere.example"}).json["error"] == "invalid_target"
    assert tax.asks({"authorization_details": "[]"}, proof=LEFT_OUT).json["error"] == "invalid_request"
    bank = ThirdParty(factories.party(clock.now()), client)
    db.session.commit()
    answer = bank.post("/oauth/token", {"grant_type": "client_credentials"})
    assert answer.json["error"] == "unauthorized_client"


def test_no_certificate_is_made_of_what_is_read_by_law(bureau: Bureau) -> None:
    token, path = bureau.tax.token_for_case(), "/api/v1/certificates"
    headers = {"Authorization": f"DPoP {token}", "DPoP": bureau.tax.proof("POST", path, access_token=token)}
    answer = bureau.tax.http.post(path, json={"item": "p.edu.degree"}, headers=headers)
    assert (answer.status_code, answer.json["code"]) == (403, "insufficient_scope")
    assert outcomes() == [("refused", "insufficient_scope")]


def test_a_token_is_held_by_its_key_and_is_good_for_its_case(bureau: Bureau) -> None:
    token = bureau.tax.token_for_case()
    assert bureau.tax.read(token, scheme="Bearer", proof=LEFT_OUT).json["code"] == "invalid_token"
    assert bureau.tax.read(token, "/api/v1/data?case_no=17").json["code"] == "case_mismatch"
    stranger = Authority(bureau.tax.party, bureau.tax.http)
    assert stranger.read(token).json["code"] == "invalid_dpop_proof"
    assert [reason for _outcome, reason in outcomes()] == ["invalid_token", "case_mismatch", "invalid_dpop_proof"]


def test_a_token_dies_after_minutes_and_when_it_is_given_back(bureau: Bureau) -> None:
    first, second = bureau.tax.token_for_case(), bureau.tax.token_for_case()
    assert bureau.tax.introspect(first).json["authorization_details"][0]["power"] == "tax-audit"
    assert bureau.tax.revoke(first).status_code == 200
    assert bureau.tax.introspect(first).json == {"active": False}
    assert bureau.tax.read(first).json["code"] == "invalid_token"
    db.session.execute(update(StatutoryToken).values(expires_at=clock.now()))
    db.session.commit()
    assert bureau.tax.introspect(second).json == {"active": False}
    assert bureau.tax.read(second).json["code"] == "invalid_token"


def test_nobody_else_hears_of_a_token(bureau: Bureau, client: FlaskClient) -> None:
    token = bureau.tax.token_for_case()
    other = Authority.registered(client, clock.now(), "police")
    assert other.introspect(token).json == {"active": False}
    assert other.revoke(token).status_code == 400
    assert bureau.tax.read(token).status_code == 200


def test_a_case_and_a_day_have_their_share(app: Flask, client: FlaskClient) -> None:
    bureau = Bureau.opened(client, clock.now(), case_limit=2, day_limit=3)
    first, second = bureau.tax.token_for_case(), bureau.tax.token_for_case(case_no="税稽〔2026〕18号")
    tries = [bureau.tax.read(token).json.get("code", "read") for token in (first, first, first, second, second)]
    assert tries == ["read", "read", "case_limit_reached", "read", "day_limit_reached"]
    anew = bureau.tax.token_for_case()
    assert bureau.tax.read(anew).json["code"] == "day_limit_reached"
    day = db.session.scalars(select(LawDay)).one()
    assert (day.reads, day.refused, day.hidden) == (3, 3, 0)
