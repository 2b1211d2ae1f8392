"""Three scenarios of the demonstration to their end: only compared (7b), only looked at (4), an answer only (2)."""

import datetime as dt
import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from consent import scenarios
from consent.clients import Client
from consent.installation import EVERYTHING
from dataspace import catalogue, clock, demonstration, jwk, spaces
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.web.shell import services
from tests import factories
from tests.consent.third_party import ThirdParty, tokens_for
from tests.documents import ROOT

FOLDER = ROOT / "demonstration"
People = dict[str, Holder]


@pytest.fixture
def people(app: Flask, now: dt.datetime) -> People:
    """The demonstration, loaded."""
    catalogue.load([FOLDER / "catalogue"], now)
    contents = demonstration.read(FOLDER, now.date())
    found, _new = demonstration.add_holders(contents, now, vault=services().vault, index=services().index)
    demonstration.add_records(contents.records, found, now, vault=services().vault)
    scenarios.load([FOLDER / "scenarios.toml"], now, actor_id="adm", here=EVERYTHING)
    db.session.commit()
    return found


def lent(http: FlaskClient, holder: Holder, client_id: str, code: str) -> tuple[ThirdParty, str]:
    """The third party of a scenario with an access token, after everything was given."""
    key = jwk.SigningKey(kid="k-1", alg="ES256", private_key=jwk.generate_key("ES256"))
    client = db.session.get_one(Client, client_id)
    client.jwks = {"keys": [jwk.public_jwk(key.private_key, kid=key.kid, alg=key.alg)]}
    client.redirect_uris = [factories.REDIRECT_URI]
    db.session.commit()
    third = ThirdParty(factories.Party(client=client, key=key), http)
    details = json.dumps([{"type": "data_space_access", "purpose": code}])
    answer = tokens_for(third, factories.actor(holder, clock.now()), authorization_details=details)
    return third, str(answer["access_token"])


def own_rows(holder: Holder, item: str, fields: tuple[str, ...]) -> list[dict[str, Any]]:
    (held,) = spaces.holdings(holder.space_id, vault=services().vault, item_ids=[item])
    return [{f: row.get(f) for f in fields} for row in held.rows]


def test_7b_the_papers_of_a_company_are_compared_and_nothing_leaves(people: People, client: FlaskClient) -> None:
    company = people["yuehai-pearl"]
    bank, access = lent(client, company, "hongkong-bank", "verify-company-data")
    power = own_rows(company, "e.energy.power", ("month", "kwh"))[-3:]
    forged = [power[0] | {"kwh": power[0]["kwh"] + 1}]
    for rows, match in ((power, True), (forged, False)):
        path = "/api/v1/comparisons"
        headers = {"Authorization": f"DPoP {access}", "DPoP": bank.proof("POST", path, access_token=access)}
        body = {"items": [{"item": "e.energy.power", "rows": rows}]}
        answer = client.post(path, json=body, headers=headers)
        assert answer.json["items"][0]["match"] is match, answer.text
        assert str(power[0]["kwh"]) not in answer.text
    refused = bank.read(access)
    assert refused.json["code"] == "item_verify_only"


def test_4_a_hospital_looks_once(people: People, client: FlaskClient) -> None:
    hospital, access = lent(client, people["he-meiling"], "peoples-hospital", "cross-hospital-visit")
    answer = hospital.read(access)
    assert {i["delivery"] for i in answer.json["items"]} == {"view_only"}
    assert answer.headers["Cache-Control"] == "no-store"
    assert hospital.read(access).json["code"] == "quota_exhausted"


def test_2_a_landlord_gets_an_answer_and_not_the_months_behind_it(people: People, client: FlaskClient) -> None:
    landlord, access = lent(client, people["chen-jiayi"], "anju-rental", "tenant-check")
    items = {i["item"]: i for i in landlord.read(access).json["items"]}
    answer = items["p.social.months6"]
    assert answer["delivery"] == "derived"
    assert set(answer["fields"]) == {"answer", "as_of"}
