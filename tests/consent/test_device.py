"""A code on another screen (RFC 8628): a counter shows it, the person decides on a telephone, the counter polls."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from consent import endings, short_codes
from consent.client_options import DEFAULT_GRANT_TYPES, DEVICE_CODE
from consent.clients import Profile, Standing
from consent.oauth import par
from consent.oauth.par import AuthorizationRequest
from consent.records import ConsentNotice
from dataspace import clock
from dataspace.db import db
from dataspace.mandates import Capacity
from dataspace.sealing import unseal
from dataspace.web.shell import services
from tests import factories
from tests.conftest import ISSUER
from tests.consent.fetched import error_of, later, newest
from tests.consent.third_party import DETAILS, LEFT_OUT, ThirdParty, proof_key
from tests.consent.visitor import Visitor

COMPANY_KINDS = ("natural_person", "legal_entity")
SECOND = dt.timedelta(seconds=1)


class Counter(ThirdParty):
    """A third party with a screen at a counter."""

    def begins(self, *, proof: Any = LEFT_OUT, **changes: Any) -> TestResponse:
        asked = {"authorization_details": json.dumps(DETAILS), "scope": "openid", "nonce": "n-1"}
        return self.post("/oauth/device_authorization", asked, proof=proof, **changes)

    def polls(self, begun: dict[str, Any], /, **changes: Any) -> TestResponse:
        form = {"grant_type": DEVICE_CODE, "device_code": begun["device_code"]}
        return self.post("/oauth/token", form, **changes)


def counter_of(party: factories.Party, http: FlaskClient) -> Counter:
    party.client.options = {"grant_types": [*DEFAULT_GRANT_TYPES, DEVICE_CODE]}
    db.session.commit()
    return Counter(party, http)


@pytest.fixture
def world(app: Flask) -> factories.World:
    return factories.world(clock.now(), holder_kinds=COMPANY_KINDS)


@pytest.fixture
def counter(world: factories.World, client: FlaskClient) -> Counter:
    return counter_of(world.party, client)


@pytest.fixture
def begun(counter: Counter) -> dict[str, Any]:
    answer = counter.begins()
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


@pytest.fixture
def phone(app: Flask, world: factories.World) -> Visitor:
    return Visitor(app.test_client()).sign_in(world.person, clock.now())


def scans(visitor: Visitor, begun: dict[str, Any]) -> Visitor:
    """Open what the QR code holds."""
    visitor.get(begun["verification_uri_complete"].removeprefix(ISSUER))
    return visitor


def test_the_answer_has_what_section_3_2_demands_and_only_digests_are_kept(begun: dict[str, Any]) -> None:
    assert begun["verification_uri"] == f"{ISSUER}/device"
    assert begun["verification_uri_complete"] == f"{ISSUER}/device?user_code={begun['user_code']}"
    assert (begun["expires_in"], begun["interval"]) == (45 * 60, 5)
    assert short_codes.in_groups(begun["user_code"]) == begun["user_code"]
    row = db.session.scalars(select(AuthorizationRequest)).one()
    stored = " ".join(str(value) for value in vars(row).values())
    assert begun["device_code"] not in stored
    assert begun["user_code"].replace("-", "") not in stored


def test_scanned_compared_agreed_and_fetched_once(
    begun: dict[str, Any], counter: Counter, phone: Visitor, world: factories.World
) -> None:
    assert error_of(counter.polls(begun)) == (400, "authorization_pending")
    page = scans(phone, begun).page
    assert begun["user_code"] in page.says
    assert "Lingnan Example Bank asks you at a counter" in page.says
    assert "Did somebody send you this code" in page.says
    page = phone.tap("The codes are the same")
    assert page.response.status_code == 200
    done = phone.tap("Agree")
    assert "sees it on its own screen" in done.says
    assert factories.REDIRECT_URI not in done.html
    body = counter.polls(begun)
    assert body.status_code == 200, body.text
    assert body.json["token_type"] == "DPoP"
    assert body.json["refresh_token"]
    assert body.json["id_token"]
    assert body.json["grant_id"] == newest().consent_id
    token = body.json["access_token"]
    assert counter.read(token).status_code == 200
    assert error_of(counter.polls(begun)) == (400, "invalid_grant"), "a device code counts once"
    assert counter.read(token).status_code == 401, "and what it brought dies with its second use"


def test_the_record_says_that_it_was_a_code(begun: dict[str, Any], phone: Visitor) -> None:
    scans(phone, begun).tap("The codes are the same")
    phone.tap("Agree")
    notice = db.session.scalars(select(ConsentNotice).filter_by(consent_id=newest().consent_id)).one()
    key = services().vault.key(newest().space_id)
    text = unseal(key, notice.sealed, identity=f"{notice.consent_id}:1").decode()
    assert "You opened it with a code from another screen, and compared the code." in text


def test_refused_at_the_page_is_access_denied(begun: dict[str, Any], counter: Counter, phone: Visitor) -> None:
    scans(phone, begun).tap("The codes are the same")
    assert "sees it on its own screen" in phone.tap("Refuse").says
    assert error_of(counter.polls(begun)) == (400, "access_denied")
    assert error_of(counter.polls(begun)) == (400, "access_denied")


def test_typing_the_code_leads_to_the_same_page(begun: dict[str, Any], phone: Visitor) -> None:
    phone.get("/device")
    page = phone.tap("Continue", user_code=begun["user_code"].lower().replace("-", " "))
    assert begun["user_code"] in page.says
    assert phone.tap("The codes are the same").response.status_code == 200


def test_who_is_not_signed_in_comes_back_to_the_code(begun: dict[str, Any], app: Flask) -> None:
    path = begun["verification_uri_complete"].removeprefix(ISSUER)
    answer = Visitor(app.test_client()).send("GET", path)
    assert (answer.status_code, urlsplit(answer.location).path) == (303, "/signin")
    assert begun["user_code"] in answer.location


def test_whoever_comes_second_is_told_that_it_is_taken(
    begun: dict[str, Any], counter: Counter, phone: Visitor, app: Flask
) -> None:
    other = factories.holder(clock.now(), factories.OTHER_PERSON, "另一人")
    db.session.commit()
    second = Visitor(app.test_client()).sign_in(other, clock.now())
    with second.client.session_transaction() as session:
        session["browser"] = "another browser"
    scans(second, begun)
    scans(phone, begun).tap("The codes are the same")
    page = second.tap("The codes are the same")
    assert page.response.status_code == 409
    assert "Somebody else has opened this request already" in page.says
    handle = db.session.scalars(select(AuthorizationRequest)).one().handle
    assert second.get(f"/consent/{handle}").response.status_code == 410
    assert scans(phone, begun).tap("The codes are the same").offers("Agree"), "the first one may scan it again"


@pytest.mark.parametrize("code", ["BCDF-GHJK", "x", "BCDFGHJKL", "\u0000", "ＢＣＤＦ", "%"])
def test_a_code_that_opens_nothing(code: str, begun: dict[str, Any], phone: Visitor) -> None:
    pages = [phone.get(f"/device?{urlencode({'user_code': code})}")]
    scans(phone, begun)
    pages.append(phone.tap("The codes are the same", user_code=code))
    for page in pages:
        assert page.response.status_code == 404
        assert "This code is not known, or it is too old" in page.says


def test_a_finished_request_and_a_suspended_client_open_nothing(
    begun: dict[str, Any], counter: Counter, phone: Visitor
) -> None:
    counter.party.client.standing = Standing.SUSPENDED
    db.session.commit()
    assert scans(phone, begun).page.response.status_code == 404
    counter.party.client.standing = Standing.GOOD
    db.session.commit()
    scans(phone, begun).tap("The codes are the same")
    phone.tap("Refuse")
    assert scans(phone, begun).page.response.status_code == 404


def test_a_code_that_nobody_opens_expires(begun: dict[str, Any], counter: Counter, phone: Visitor) -> None:
    later(par.SHOWN)
    assert scans(phone, begun).page.response.status_code == 404
    assert error_of(counter.polls(begun)) == (400, "expired_token")
    par.sweep(clock.now())
    db.session.commit()
    assert error_of(counter.polls(begun)) == (400, "expired_token"), "also when it is swept away"


def test_reading_ends_when_the_client_stops_waiting(begun: dict[str, Any], counter: Counter, phone: Visitor) -> None:
    later(par.SHOWN - SECOND)
    page = scans(phone, begun).tap("The codes are the same")
    row = db.session.scalars(select(AuthorizationRequest)).one()
    par.keep_choices(row, {}, clock.now() + par.READING)
    assert row.expires_at == row.created_at + par.AT_COUNTER
    later(par.AT_COUNTER)
    assert page.offers("Agree")
    assert phone.tap("Agree").response.status_code == 410
    assert error_of(counter.polls(begun)) == (400, "expired_token")


def test_an_answer_that_is_not_fetched_expires(begun: dict[str, Any], counter: Counter, phone: Visitor) -> None:
    scans(phone, begun).tap("The codes are the same")
    phone.tap("Agree")
    row = db.session.scalars(select(AuthorizationRequest)).one()
    assert row.finished_at is not None
    assert row.expires_at == row.finished_at + par.COLLECTED


def test_who_asks_too_often_is_slowed_down(begun: dict[str, Any], counter: Counter) -> None:
    assert error_of(counter.polls(begun)) == (400, "authorization_pending")
    assert error_of(counter.polls(begun)) == (400, "slow_down")
    later(dt.timedelta(seconds=6))
    assert error_of(counter.polls(begun)) == (400, "slow_down"), "ten seconds by now"
    later(dt.timedelta(seconds=16))
    assert error_of(counter.polls(begun)) == (400, "authorization_pending")


def test_withdrawn_before_it_was_fetched(
    begun: dict[str, Any], counter: Counter, phone: Visitor, world: factories.World
) -> None:
    scans(phone, begun).tap("The codes are the same")
    phone.tap("Agree")
    endings.withdraw(newest().consent_id, world.actor, clock.now(), registry=factories.registry())
    db.session.commit()
    assert error_of(counter.polls(begun)) == (400, "invalid_grant")


def test_a_second_person_of_a_company_approves_and_the_counter_still_waits(
    begun: dict[str, Any], counter: Counter, app: Flask
) -> None:
    now = clock.now()
    company = factories.company(now)
    clerk = factories.holder(now, factories.AGENT, "周敏")
    head = factories.holder(now, factories.LEGAL_REP, "李伟强")
    agent = factories.mandate(company, clerk, Capacity.AGENT, now)
    rep = factories.mandate(company, head, Capacity.LEGAL_REPRESENTATIVE, now)
    db.session.commit()
    visitor = Visitor(app.test_client()).sign_in(clerk, now, acting=agent)
    scans(visitor, begun).tap("The codes are the same")
    assert "Waiting for approval" in visitor.tap("Agree").says
    waiting = visitor.path
    later(par.AT_COUNTER)
    assert error_of(counter.polls(begun)) == (400, "authorization_pending")
    second = Visitor(app.test_client()).sign_in(head, now, acting=rep)
    second.get(f"/authorizations/{newest().consent_id}/approve")
    second.tap("Agree")
    assert counter.polls(begun).status_code == 200, "nobody has to come back to a browser"
    page = visitor.get(waiting)
    assert "This was already decided" in page.says


def test_the_code_is_bound_to_the_key_that_was_proved_first(counter: Counter, phone: Visitor) -> None:
    begun = counter.begins(proof=None).json
    scans(phone, begun).tap("The codes are the same")
    phone.tap("Agree")
    other = counter.proof("POST", "/oauth/token", key=proof_key())
    assert error_of(counter.polls(begun, proof=other)) == (400, "invalid_dpop_proof")
    assert error_of(counter.polls(begun, proof=LEFT_OUT)) == (400, "invalid_request")
    assert counter.polls(begun).status_code == 200


def test_another_client_gets_nothing_and_slows_nobody_down(
    begun: dict[str, Any], counter: Counter, client: FlaskClient
) -> None:
    mart = counter_of(factories.party(clock.now(), "mart"), client)
    assert mart.polls(begun).status_code == 400
    assert error_of(counter.polls(begun)) == (400, "authorization_pending")


def test_a_device_code_is_no_authorization_code(begun: dict[str, Any], counter: Counter, phone: Visitor) -> None:
    """It has no verifier and no redirect URI that could protect it at the other grant."""
    scans(phone, begun).tap("The codes are the same")
    phone.tap("Agree")
    for changes in ({}, {"code_verifier": LEFT_OUT, "redirect_uri": LEFT_OUT}):
        assert error_of(counter.token(begun["device_code"], **changes)) == (400, "invalid_grant")
    assert counter.polls(begun).status_code == 200


OTHER_PURPOSE = json.dumps([DETAILS[0] | {"purpose": "other"}])
Wrong = Callable[[Counter], TestResponse]
REFUSED: dict[str, tuple[Wrong, int, str]] = {
    "no authentication": (lambda c: c.begins(**dict.fromkeys(c.credentials(), LEFT_OUT)), 401, "invalid_client"),
    "another client_id": (lambda c: c.begins(client_id="mart"), 401, "invalid_client"),
    "a redirect_uri": (lambda c: c.begins(redirect_uri=factories.REDIRECT_URI), 400, "invalid_request"),
    "a foreign redirect_uri": (lambda c: c.begins(redirect_uri="https://evil.example/"), 400, "invalid_request"),
    "a response_type": (lambda c: c.begins(response_type="code"), 400, "invalid_request"),
    "prompt": (lambda c: c.begins(prompt="none"), 400, "invalid_request"),
    "a pushed request": (lambda c: c.begins(request_uri="urn:x"), 400, "invalid_request"),
    "over-asking": (lambda c: c.begins(authorization_details=OTHER_PURPOSE), 400, "invalid_authorization_details"),
    "nothing asked": (lambda c: c.begins(authorization_details=LEFT_OUT), 400, "invalid_authorization_details"),
    "an unknown scope": (lambda c: c.begins(scope="all"), 400, "invalid_scope"),
    "no device_code": (lambda c: c.polls({"device_code": LEFT_OUT}), 400, "invalid_request"),
    "an unknown device_code": (lambda c: c.polls({"device_code": "dsa_dc_" + "x" * 43}), 400, "expired_token"),
    "no device_code at all": (lambda c: c.polls({"device_code": "x"}), 400, "expired_token"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, counter: Counter) -> None:
    send, status, error = REFUSED[name]
    assert error_of(send(counter)) == (status, error)
    assert db.session.scalar(select(AuthorizationRequest)) is None


def test_a_request_uri_is_no_device_code(counter: Counter) -> None:
    pushed = counter.push().json["request_uri"]
    assert error_of(counter.polls({"device_code": pushed})) == (400, "expired_token")


def test_only_registered_data_clients_may(world: factories.World, client: FlaskClient) -> None:
    assert error_of(Counter(world.party, client).begins()) == (400, "unauthorized_client")
    assert error_of(Counter(world.party, client).polls({"device_code": "dsa_dc_x"})) == (400, "unauthorized_client")
    shop = factories.party(clock.now(), "shop", profile=Profile.LOGIN, method="client_secret_basic")
    signs_in = counter_of(shop, client)
    answer = signs_in.begins(scope="openid", authorization_details=LEFT_OUT)
    assert error_of(answer) == (400, "unauthorized_client"), "a sign-in by a code on a screen is bait"
