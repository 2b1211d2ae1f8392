"""Purposes that a client proposes when it registers: an administrator looks before anybody is asked."""

import datetime as dt
import json
import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from consent import clients, proposals
from consent.clients import Client, Profile
from dataspace import jwk
from dataspace.db import db
from dataspace.errors import Conflict, NotFound
from tests import factories
from tests.consent.desk import Desk
from tests.consent.registrant import GONE, invitation, manage, metadata_of, public_keys, register, registered
from tests.consent.third_party import ThirdParty, tokens_for

pytestmark = pytest.mark.wire


def proposal(**changes: Any) -> dict[str, Any]:
    texts = factories.text("读者卡", "Reader card")
    said = {
        "code": "reader-card", "text": texts, "holder_kinds": ["natural_person"], "mode": "one_time", "max_reads": 1,
        "max_duration_days": 30, "default_duration_days": 7, "retention": {"text": texts}, "storage_location": texts,
        "items": [{"item": "p.edu.degree", "fields": ["level"], "necessity": "required", "reason": texts}],
        "third_parties": [], "automated_decision": "none",
    }  # fmt: skip
    return {name: value for name, value in (said | changes).items() if value is not GONE}


def reader(client: FlaskClient, now: dt.datetime, *proposed: dict[str, Any]) -> tuple[dict[str, Any], ThirdParty]:
    """A data client that registers by itself."""
    key = jwk.SigningKey(kid="k1", alg="ES256", private_key=jwk.generate_key("ES256"))
    keys = {"keys": [jwk.public_jwk(key.private_key, kid="k1", alg="ES256")]}
    told = registered(client, invitation(now, Profile.DATA), jwks=keys, redirect_uris=[factories.REDIRECT_URI],
                      grant_types=["authorization_code", "refresh_token"],
                      data_space_purposes=list(proposed))  # fmt: skip
    return told, ThirdParty(factories.Party(client=clients.get(told["client_id"]), key=key), client)


DETAILS = json.dumps([{"type": "data_space_access", "purpose": "reader-card"}])


def test_a_purpose_is_asked_for_only_when_it_is_approved(client: FlaskClient, now: dt.datetime) -> None:
    factories.item(now)
    told, third = reader(client, now, proposal())
    assert told["data_space_purposes"] == [proposal()]
    assert told["data_space_purposes_approved"] == []
    before = third.push(authorization_details=DETAILS)
    assert (before.status_code, before.json["error"]) == (400, "invalid_authorization_details")

    desk = Desk(client.application.test_client()).sign_in(factories.administrator(now), now)
    where = f"/admin/clients/{told['client_id']}"
    desk.get(where)
    assert "Reader card" in desk.says
    digest = re.search(r'name="digest" value="([^"]+)"', desk.page)
    assert digest
    reason = {"ground": "registration", "text": "File 17", "digest": digest[1]}
    desk.post(f"{where}/purposes/reader-card", 400, decision="approve", ground="registration", digest=digest[1])
    desk.post(f"{where}/purposes/reader-card", 409, decision="approve", **(reason | {"digest": "another"}))
    desk.get(where)
    desk.post(f"{where}/purposes/reader-card", decision="approve", **reason)
    assert "Purpose approved" in desk.says

    assert third.push(authorization_details=DETAILS).status_code == 201
    assert manage(client, "GET", told).json["data_space_purposes_approved"] == ["reader-card"]
    holder = factories.actor(factories.holder(now), now)
    assert "refresh_token" in tokens_for(third, holder, authorization_details=DETAILS)


def test_a_proposal_that_changes_is_not_the_one_that_was_seen(client: FlaskClient, now: dt.datetime) -> None:
    factories.item(now)
    told, _third = reader(client, now, proposal())
    seen = proposals.digest(proposals.pending(told["client_id"])[0])
    again = manage(client, "PUT", told, json=metadata_of(told, data_space_purposes=[proposal(max_reads=99)]))
    assert again.status_code == 200, again.text
    db.session.expire_all()
    reason = {"expected_digest": seen, "actor_id": "command", "reason_code": "other", "text": ""}
    with pytest.raises(Conflict):
        proposals.approve(told["client_id"], "reader-card", now, **reason)
    with pytest.raises(NotFound):
        proposals.refuse(told["client_id"], "another", now, **reason)


def test_what_is_approved_stays_as_it_is(client: FlaskClient, now: dt.datetime) -> None:
    factories.item(now)
    told, third = reader(client, now, proposal(), proposal(code="second"))
    (row, _second) = proposals.pending(told["client_id"])
    proposals.approve(told["client_id"], row.code, now, expected_digest=proposals.digest(row), actor_id="command",
                      reason_code="other", text="")  # fmt: skip
    db.session.commit()
    wider = manage(client, "PUT", told, json=metadata_of(told, data_space_purposes=[proposal(max_reads=99)]))
    assert (wider.status_code, wider.json["error"]) == (400, "invalid_client_metadata")
    less = manage(client, "PUT", told, json=metadata_of(told, data_space_purposes=GONE))
    assert less.status_code == 200
    assert [p["code"] for p in less.json["data_space_purposes"]] == ["reader-card"], "what was not decided is dropped"
    assert third.push(authorization_details=DETAILS).status_code == 201


BAD_PROPOSALS: dict[str, Any] = {
    "no list": {"code": "reader-card"},
    "not an object": ["reader-card"],
    "too many": [proposal(code=f"p{n}") for n in range(21)],
    "incomplete": [proposal(text=GONE)],
    "unknown member": [proposal(approved_at="now")],
    "approved by itself": [proposal(approved=True)],
    "no such item": [proposal(items=[proposal()["items"][0] | {"item": "p.edu.nothing"}])],
    "no such field": [proposal(items=[proposal()["items"][0] | {"fields": ["grades"]}])],
    "for ever": [proposal(max_duration_days=36500)],
    "twice": [proposal(), proposal()],
}


@pytest.mark.parametrize("proposed", BAD_PROPOSALS.values(), ids=BAD_PROPOSALS)
def test_a_bad_proposal_registers_nothing(client: FlaskClient, now: dt.datetime, proposed: Any) -> None:
    factories.item(now)
    token = invitation(now, Profile.DATA)
    answer = register(client, token, jwks=public_keys(), data_space_purposes=proposed)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_client_metadata")
    assert db.session.scalar(select(Client)) is None


def test_a_client_for_sign_in_proposes_nothing(client: FlaskClient, now: dt.datetime) -> None:
    factories.item(now)
    answer = register(client, invitation(now), data_space_purposes=[proposal()])
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_client_metadata")
