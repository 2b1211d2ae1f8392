"""Requests to somebody who is elsewhere (OpenID Connect CIBA Core 1.0): the client polls, the holder finds it."""

import datetime as dt
import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from consent import endings, lifecycle, person_codes, short_codes
from consent.client_options import CIBA, DEFAULT_GRANT_TYPES, ClientOptions, flaws
from consent.clients import Profile, Standing
from consent.installation import Installation
from consent.oauth import ciba, ciba_request, par
from consent.oauth.par import AuthorizationRequest
from consent.person_codes import PersonCode
from consent.records import Consent, ConsentNotice, State
from dataspace import clock
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.mandates import Capacity
from dataspace.sealing import unseal
from dataspace.web.shell import services
from tests import factories
from tests.consent.fetched import error_of, later, newest
from tests.consent.third_party import DETAILS, LEFT_OUT, ThirdParty, proof_key, tokens_for
from tests.consent.visitor import Visitor

COMPANY_KINDS = ("natural_person", "legal_entity")
OPTIONS = {"grant_types": [*DEFAULT_GRANT_TYPES, CIBA], "backchannel_token_delivery_mode": "poll"}
PAGE = "/requests"


class Caller(ThirdParty):
    """A third party on the telephone."""

    def asks(self, *, proof: Any = LEFT_OUT, **changes: Any) -> TestResponse:
        asked = {"authorization_details": json.dumps(DETAILS), "scope": "openid", "binding_message": "W4SC"}
        return self.post("/oauth/backchannel", asked, proof=proof, **changes)

    def polls(self, begun: dict[str, Any], /, **changes: Any) -> TestResponse:
        form = {"grant_type": CIBA, "auth_req_id": begun["auth_req_id"]}
        return self.post("/oauth/token", form, **changes)


def caller_of(party: factories.Party, http: FlaskClient) -> Caller:
    party.client.options = OPTIONS
    db.session.commit()
    return Caller(party, http)


@pytest.fixture
def world(app: Flask) -> factories.World:
    return factories.world(clock.now(), holder_kinds=COMPANY_KINDS)


@pytest.fixture
def caller(world: factories.World, client: FlaskClient) -> Caller:
    return caller_of(world.party, client)


@pytest.fixture
def phone(app: Flask, world: factories.World) -> Visitor:
    return Visitor(app.test_client()).sign_in(world.person, clock.now())


def code_of(visitor: Visitor) -> str:
    """The code that the page shows after the tap."""
    visitor.get(PAGE)
    button = next(b.text for b in visitor.page.buttons if b.text.startswith("Make"))
    visitor.tap(button)
    code = visitor.page.says.split("Your code ")[1].split(" ")[0]
    assert short_codes.in_groups(code) == code
    return code


@pytest.fixture
def begun(caller: Caller, phone: Visitor) -> dict[str, Any]:
    """A request that waits for the person with the phone, who has made a code for it."""
    answer = caller.asks(login_hint=code_of(phone))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


def other_person(app: Flask) -> Visitor:
    other = factories.holder(clock.now(), factories.OTHER_PERSON, "另一人")
    db.session.commit()
    return Visitor(app.test_client()).sign_in(other, clock.now())


# From the code to the tokens


def test_let_in_by_a_code_opened_agreed_and_fetched_once(begun: dict[str, Any], caller: Caller, phone: Visitor) -> None:
    assert (begun["expires_in"], begun["interval"]) == (45 * 60, 5)
    assert error_of(caller.polls(begun)) == (400, "authorization_pending")
    page = phone.get(PAGE)
    assert "Lingnan Example Bank" in page.says
    assert "W4SC" in page.says
    assert "44 minutes" in page.says or "45 minutes" in page.says
    assert phone.tap("Open").offers("Agree")
    done = phone.tap("Agree")
    assert "You have agreed" in done.says
    assert factories.REDIRECT_URI not in done.html
    body = caller.polls(begun)
    assert body.status_code == 200, body.text
    assert body.json["token_type"] == "DPoP"
    assert body.json["refresh_token"]
    assert body.json["id_token"]
    assert body.json["grant_id"] == newest().consent_id
    token = body.json["access_token"]
    assert caller.read(token).status_code == 200
    assert error_of(caller.polls(begun)) == (400, "invalid_grant"), "it counts once"
    assert caller.read(token).status_code == 401, "and what it brought dies with its second use"
    assert "Nothing waits for you" in phone.get(PAGE).says


def test_only_digests_are_kept(begun: dict[str, Any], phone: Visitor) -> None:
    code = code_of(phone)
    kept = [*db.session.scalars(select(AuthorizationRequest)), *db.session.scalars(select(PersonCode))]
    stored = " ".join(str(value) for row in kept for value in vars(row).values())
    assert len(kept) == 2
    assert begun["auth_req_id"] not in stored
    assert code not in stored
    assert code.replace("-", "") not in stored


def text_of(consent: Consent) -> str:
    """What was shown before the decision, as it is kept."""
    notice = db.session.scalars(select(ConsentNotice).filter_by(consent_id=consent.consent_id)).one()
    key = services().vault.key(consent.space_id)
    return unseal(key, notice.sealed, identity=f"{notice.consent_id}:1").decode()


def test_the_record_names_the_way_and_the_word(begun: dict[str, Any], phone: Visitor) -> None:
    phone.get(PAGE)
    phone.tap("Open")
    phone.tap("Agree")
    text = text_of(newest())
    assert "It waited for you on your page of requests. The word to compare: W4SC" in text
    assert "did not open it" not in text


def test_refused_at_once_is_access_denied_and_a_record(begun: dict[str, Any], caller: Caller, phone: Visitor) -> None:
    phone.get(PAGE)
    assert "You have refused" in phone.tap("Refuse").says
    assert newest().state == State.REFUSED
    assert "You refused it there and did not open it" in text_of(newest())
    assert error_of(caller.polls(begun)) == (400, "access_denied")
    assert error_of(caller.polls(begun)) == (400, "access_denied")


def test_nobody_answers_in_time(begun: dict[str, Any], caller: Caller, phone: Visitor) -> None:
    page = phone.get(PAGE)
    later(ciba_request.WAITS)
    assert error_of(caller.polls(begun)) == (400, "expired_token")
    par.sweep(clock.now())
    db.session.commit()
    assert error_of(caller.polls(begun)) == (400, "expired_token"), "it is remembered for a while"
    assert page.offers("Open")
    assert phone.tap("Open").status == 404
    assert "Nothing waits for you" in phone.get(PAGE).says


def test_opening_does_not_put_the_end_off(begun: dict[str, Any], caller: Caller, phone: Visitor) -> None:
    later(ciba_request.WAITS - dt.timedelta(minutes=1))
    phone.get(PAGE)
    phone.tap("Open")
    later(dt.timedelta(minutes=1))
    assert phone.tap("Agree").status == 410
    assert error_of(caller.polls(begun)) == (400, "expired_token")


def test_who_asks_too_often_is_slowed_down(begun: dict[str, Any], caller: Caller) -> None:
    assert error_of(caller.polls(begun)) == (400, "authorization_pending")
    assert error_of(caller.polls(begun)) == (400, "slow_down")
    later(dt.timedelta(seconds=6))
    assert error_of(caller.polls(begun)) == (400, "slow_down"), "ten seconds by now"
    later(dt.timedelta(seconds=16))
    assert error_of(caller.polls(begun)) == (400, "authorization_pending")


def test_withdrawn_before_it_was_fetched(
    begun: dict[str, Any], caller: Caller, phone: Visitor, world: factories.World
) -> None:
    phone.get(PAGE)
    phone.tap("Open")
    phone.tap("Agree")
    endings.withdraw(newest().consent_id, world.actor, clock.now(), registry=factories.registry())
    db.session.commit()
    assert error_of(caller.polls(begun)) == (400, "invalid_grant")


def test_it_is_bound_to_the_key_that_was_proved_first(caller: Caller, phone: Visitor) -> None:
    begun = caller.asks(login_hint=code_of(phone), proof=None).json
    phone.get(PAGE)
    phone.tap("Open")
    phone.tap("Agree")
    other = caller.proof("POST", "/oauth/token", key=proof_key())
    assert error_of(caller.polls(begun, proof=other)) == (400, "invalid_dpop_proof")
    assert error_of(caller.polls(begun, proof=LEFT_OUT)) == (400, "invalid_request")
    assert caller.polls(begun).status_code == 200


def test_another_client_gets_nothing_and_slows_nobody_down(
    begun: dict[str, Any], caller: Caller, client: FlaskClient
) -> None:
    mart = caller_of(factories.party(clock.now(), "mart"), client)
    assert error_of(mart.polls(begun)) == (400, "invalid_grant")
    assert error_of(caller.polls(begun)) == (400, "authorization_pending")


def test_no_secret_of_another_kind_is_an_auth_req_id(begun: dict[str, Any], caller: Caller, phone: Visitor) -> None:
    pushed = caller.push().json["request_uri"]
    assert error_of(caller.polls({"auth_req_id": pushed})) == (400, "invalid_grant")
    phone.get(PAGE)
    phone.tap("Open")
    phone.tap("Agree")
    assert error_of(caller.token(begun["auth_req_id"])) == (400, "invalid_grant"), "nor is it an authorization code"
    assert caller.polls(begun).status_code == 200


# Whom it reaches, and what the client learns of that


def hint(caller: Caller, world: factories.World) -> str:
    """The ID token of a consent that the person gave before."""
    found: str = tokens_for(caller, world.actor, scope="openid")["id_token"]
    return found


def test_whom_the_client_knows_finds_it_waiting(
    caller: Caller, world: factories.World, phone: Visitor, app: Flask
) -> None:
    begun = caller.asks(id_token_hint=hint(caller, world)).json
    assert "Nothing waits for you" in other_person(app).get(PAGE).says
    assert "W4SC" in phone.get(PAGE).says
    phone.tap("Open")
    phone.tap("Agree")
    assert caller.polls(begun).status_code == 200


def test_a_code_that_nobody_has_made_is_answered_like_one_that_somebody_has(
    caller: Caller, phone: Visitor, app: Flask
) -> None:
    code = code_of(phone)
    known, again, unknown = (caller.asks(login_hint=hint) for hint in (code, code, "BCDF-GHJK"))
    assert {answer.status_code for answer in (known, again, unknown)} == {200}
    for answer in (again, unknown):
        assert answer.json.keys() == known.json.keys()
        assert answer.json | {"auth_req_id": ""} == known.json | {"auth_req_id": ""}
        assert error_of(caller.polls(answer.json)) == (400, "authorization_pending")
    rows = db.session.scalars(select(AuthorizationRequest)).all()
    assert sorted(row.addressee == ciba.NOBODY for row in rows) == [False, True, True]
    assert phone.get(PAGE).says.count("W4SC") == 1, "a code is good for one request"
    later(ciba_request.WAITS)
    assert {error_of(caller.polls(a.json)) for a in (known, again, unknown)} == {(400, "expired_token")}


def test_an_old_code_and_one_in_whose_place_is_another_reach_nobody(caller: Caller, phone: Visitor) -> None:
    replaced, old = code_of(phone), code_of(phone)
    for row in db.session.scalars(select(PersonCode)):
        row.expires_at = clock.now()
    db.session.commit()
    for code in (replaced, old):
        assert caller.asks(login_hint=code).status_code == 200
    page = phone.get(PAGE)
    assert "Nothing waits for you" in page.says
    assert "Your code" not in page.says
    assert person_codes.sweep(clock.now()) == 1


def test_a_code_is_typed_as_people_type(caller: Caller, phone: Visitor) -> None:
    caller.asks(login_hint=code_of(phone).lower().replace("-", " "))
    assert "W4SC" in phone.get(PAGE).says


def test_one_that_was_refused_waits_no_more_unless_the_holder_lets_it(
    caller: Caller, world: factories.World, phone: Visitor
) -> None:
    known = hint(caller, world)
    caller.asks(id_token_hint=known)
    phone.get(PAGE)
    phone.tap("Refuse")
    assert caller.asks(id_token_hint=known).status_code == 200, "which tells the client nothing"
    assert "Nothing waits for you" in phone.get(PAGE).says
    caller.asks(login_hint=code_of(phone))
    assert "W4SC" in phone.get(PAGE).says


def test_nobody_is_pestered(caller: Caller, world: factories.World) -> None:
    known = hint(caller, world)
    for _ in range(ciba.AT_ONCE):
        assert caller.asks(id_token_hint=known).status_code == 200
    assert error_of(caller.asks(id_token_hint=known)) == (403, "access_denied")
    later(ciba_request.WAITS)
    assert caller.asks(id_token_hint=known).status_code == 200


def test_a_suspended_client_asks_nobody(begun: dict[str, Any], caller: Caller, phone: Visitor) -> None:
    caller.party.client.standing = Standing.SUSPENDED
    db.session.commit()
    assert "Nothing waits for you" in phone.get(PAGE).says
    assert error_of(caller.asks(login_hint="x"))[1] in ("unauthorized_client", "invalid_client")


def test_nobody_else_opens_or_refuses_it(begun: dict[str, Any], caller: Caller, app: Flask, phone: Visitor) -> None:
    other = other_person(app)
    assert phone.get(PAGE).offers("Open")
    handle = db.session.scalars(select(AuthorizationRequest)).one().handle
    for way in ("open", "refuse"):
        form = other.get(PAGE).button("Make a code").form
        assert form is not None
        form.action = f"{PAGE}/{handle}/{way}"
        assert other.tap("Make a code").status == 404
    assert other.get(f"/consent/{handle}").status == 410
    assert error_of(caller.polls(begun)) == (400, "authorization_pending")


def test_a_person_who_switches_meanwhile_answers_for_nobody_else(
    begun: dict[str, Any], caller: Caller, phone: Visitor, world: factories.World
) -> None:
    now = clock.now()
    company = factories.company(now)
    rep = factories.mandate(company, world.person, Capacity.LEGAL_REPRESENTATIVE, now)
    db.session.commit()
    phone.get(PAGE)
    page = phone.tap("Open")
    start = phone.path
    phone.sign_in(world.person, now, acting=rep)
    refused = phone.get(start)
    assert refused.status == 403
    assert "This request waits for somebody else" in refused.says
    phone.page = page
    assert phone.tap("Agree").status == 403
    phone.page = page
    assert "This request waits for somebody else" in phone.tap("Refuse").says
    assert error_of(caller.polls(begun)) == (400, "authorization_pending")


def test_opened_on_another_device_it_goes_on_there(
    begun: dict[str, Any], phone: Visitor, app: Flask, world: Any
) -> None:
    desk = Visitor(app.test_client()).sign_in(world.person, clock.now())
    with desk.client.session_transaction() as session:
        session["browser"] = "another browser"
    phone.get(PAGE)
    phone.tap("Open")
    desk.get(PAGE)
    assert desk.tap("Open").offers("Agree")
    assert phone.tap("Agree").status == 410, "where it was opened before it is over"
    assert "You have agreed" in desk.tap("Agree").says


@pytest.fixture
def office(app: Flask) -> tuple[Holder, Visitor, Visitor]:
    """A company, its clerk and its head."""
    now = clock.now()
    company = factories.company(now)
    clerk = factories.holder(now, factories.AGENT, "周敏")
    head = factories.holder(now, factories.LEGAL_REP, "李伟强")
    agent = factories.mandate(company, clerk, Capacity.AGENT, now)
    rep = factories.mandate(company, head, Capacity.LEGAL_REPRESENTATIVE, now)
    db.session.commit()
    visitors = [Visitor(app.test_client()).sign_in(p, now, acting=m) for p, m in ((clerk, agent), (head, rep))]
    return company, visitors[0], visitors[1]


def test_a_request_to_a_company_waits_for_everybody_who_acts_for_it(
    caller: Caller, office: tuple[Holder, Visitor, Visitor]
) -> None:
    _company, clerk, head = office
    begun = caller.asks(login_hint=code_of(clerk)).json
    assert "W4SC" in clerk.get(PAGE).says
    assert "W4SC" in head.get(PAGE).says
    head.tap("Open")
    head.tap("Agree")
    assert caller.polls(begun).status_code == 200
    assert "Nothing waits for you" in clerk.get(PAGE).says


@pytest.mark.parametrize(("decision", "outcome"), [("Agree", 200), ("Refuse", 400)])
def test_prepared_by_one_and_decided_by_another_while_the_client_waits(
    decision: str, outcome: int, caller: Caller, office: tuple[Holder, Visitor, Visitor]
) -> None:
    _company, clerk, head = office
    begun = caller.asks(login_hint=code_of(clerk)).json
    clerk.get(PAGE)
    clerk.tap("Open")
    waiting = clerk.tap("Agree")
    assert "Waiting for approval" in waiting.says
    assert "Nothing waits for you" in head.get(PAGE).says, "as a request; the prepared authorization waits elsewhere"
    later(ciba_request.WAITS)
    assert error_of(caller.polls(begun)) == (400, "authorization_pending")
    head.get(f"/authorizations/{newest().consent_id}/approve")
    head.tap(decision)
    assert caller.polls(begun).status_code == outcome


# What is refused


def test_how_long_it_waits(caller: Caller) -> None:
    for wished, granted in (("60", 300), ("3600", 3600), ("999999999", 72 * 3600)):
        assert caller.asks(login_hint="x", requested_expiry=wished).json["expires_in"] == granted


Wrong = Callable[[Caller], TestResponse]
OTHER_PURPOSE = json.dumps([DETAILS[0] | {"purpose": "other"}])
NOT_ALLOWED, NOT_SHOWN = "invalid_authorization_details", "invalid_binding_message"


def asking(**changes: Any) -> Wrong:
    return lambda caller: caller.asks(**({"login_hint": "x"} | changes))


REFUSED: dict[str, tuple[Wrong, int, str]] = {
    "no authentication": (lambda c: c.asks(**dict.fromkeys(c.credentials(), LEFT_OUT)), 401, "invalid_client"),
    "another client_id": (asking(client_id="mart"), 401, "invalid_client"),
    "no hint": (asking(login_hint=LEFT_OUT), 400, "invalid_request"),
    "two hints": (asking(id_token_hint="y"), 400, "invalid_request"),
    "a hint in a token": (asking(login_hint=LEFT_OUT, login_hint_token="x"), 400, "invalid_request"),
    "a hint that is no ID token": (asking(login_hint=LEFT_OUT, id_token_hint="x"), 400, "invalid_request"),
    "no openid": (asking(scope=LEFT_OUT), 400, "invalid_scope"),
    "an unknown scope": (asking(scope="openid all"), 400, "invalid_scope"),
    "no message": (asking(binding_message=LEFT_OUT), 400, NOT_SHOWN),
    "a long message": (asking(binding_message="A" * 21), 400, NOT_SHOWN),
    "a message with a link": (asking(binding_message="evil.example/x"), 400, NOT_SHOWN),
    "a message that turns round": (asking(binding_message="A\u202eB"), 400, NOT_SHOWN),
    "a message of spaces": (asking(binding_message="  "), 400, NOT_SHOWN),
    "no number": (asking(requested_expiry="soon"), 400, "invalid_request"),
    "no time at all": (asking(requested_expiry="0"), 400, "invalid_request"),
    "a redirect_uri": (asking(redirect_uri=factories.REDIRECT_URI), 400, "invalid_request"),
    "a response_type": (asking(response_type="code"), 400, "invalid_request"),
    "a challenge": (asking(code_challenge="x"), 400, "invalid_request"),
    "prompt": (asking(prompt="none"), 400, "invalid_request"),
    "a pushed request": (asking(request_uri="urn:x"), 400, "invalid_request"),
    "over-asking": (asking(authorization_details=OTHER_PURPOSE), 400, NOT_ALLOWED),
    "nothing asked": (asking(authorization_details=LEFT_OUT), 400, NOT_ALLOWED),
    "no auth_req_id": (lambda c: c.polls({"auth_req_id": LEFT_OUT}), 400, "invalid_request"),
    "an unknown auth_req_id": (lambda c: c.polls({"auth_req_id": "dsa_cr_" + "x" * 43}), 400, "invalid_grant"),
    "no auth_req_id of ours": (lambda c: c.polls({"auth_req_id": "x"}), 400, "invalid_grant"),
}  # fmt: skip


@pytest.mark.wire
@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, caller: Caller) -> None:
    send, status, error = REFUSED[name]
    assert error_of(send(caller)) == (status, error)
    assert db.session.scalar(select(AuthorizationRequest)) is None


def test_a_hint_of_another_client_is_refused(caller: Caller, world: factories.World, client: FlaskClient) -> None:
    known = hint(caller, world)
    mart = caller_of(factories.party(clock.now(), "mart"), client)
    assert error_of(mart.asks(id_token_hint=known))[1] in ("invalid_request", "invalid_authorization_details")
    assert db.session.scalar(select(AuthorizationRequest).where(AuthorizationRequest.addressee.is_not(None))) is None


def test_a_refused_request_leaves_the_code_as_it_was(caller: Caller, phone: Visitor) -> None:
    code = code_of(phone)
    caller.asks(login_hint=code, binding_message=LEFT_OUT)
    caller.asks(login_hint=code)
    assert "W4SC" in phone.get(PAGE).says


def test_only_registered_data_clients_may(world: factories.World, client: FlaskClient) -> None:
    assert error_of(Caller(world.party, client).asks(login_hint="x")) == (400, "unauthorized_client")
    assert error_of(Caller(world.party, client).polls({"auth_req_id": "x"})) == (400, "unauthorized_client")
    shop = factories.party(clock.now(), "shop", profile=Profile.LOGIN, method="client_secret_basic")
    signs_in = caller_of(shop, client)
    answer = signs_in.asks(login_hint="x", authorization_details=LEFT_OUT)
    assert error_of(answer) == (400, "unauthorized_client"), "a sign-in out of the blue is bait"


def test_the_way_of_delivery_goes_with_the_grant() -> None:
    here = Installation(loopback=False, certificates=False)
    for options in (
        ClientOptions(grant_types=("authorization_code", CIBA)),
        ClientOptions(backchannel_token_delivery_mode="poll"),
    ):
        assert [name for name, _said in flaws(options, here=here)] == ["backchannel_token_delivery_mode"]
    assert [*flaws(ClientOptions.from_document(OPTIONS), here=here)] == []


# Signed requests


FOR_A_BROWSER = dict.fromkeys(
    ("client_id", "response_type", "redirect_uri", "state", "code_challenge", "code_challenge_method"), LEFT_OUT
)


def asks_signed(caller: Caller, /, around: dict[str, str] | None = None, **changes: Any) -> TestResponse:
    inside = {"scope": "openid", "binding_message": "W4SC", "login_hint": "x", "jti": secrets.token_hex(8)}
    request = caller.request_object(**(FOR_A_BROWSER | inside | changes))
    return caller.post("/oauth/backchannel", {"request": request} | (around or {}), proof=LEFT_OUT)


def test_a_signed_request_counts_alone(caller: Caller, phone: Visitor) -> None:
    code = code_of(phone)
    assert asks_signed(caller, {"binding_message": "other"}, login_hint=code).status_code == 200
    assert "W4SC" in phone.get(PAGE).says


@pytest.mark.parametrize("claim", ciba_request.SIGNED_CLAIMS)
def test_a_signed_request_says_who_when_and_once(claim: str, caller: Caller) -> None:
    assert error_of(asks_signed(caller, **{claim: LEFT_OUT})) == (400, "invalid_request_object")


def test_a_signed_request_counts_once(caller: Caller) -> None:
    assert asks_signed(caller, jti="once").status_code == 200
    assert error_of(asks_signed(caller, jti="once")) == (400, "invalid_request_object")


def test_who_has_registered_to_sign_must_and_with_that(caller: Caller) -> None:
    caller.registers(backchannel_authentication_request_signing_alg="PS256")
    assert error_of(caller.asks(login_hint="x")) == (400, "invalid_request")
    assert error_of(asks_signed(caller)) == (400, "invalid_request_object")
    caller.registers(backchannel_authentication_request_signing_alg=caller.party.key.alg)
    assert asks_signed(caller).status_code == 200
    assert caller.push().status_code == 201, "other requests are as before"


def test_earlier_consent_is_no_answer(caller: Caller, world: factories.World, phone: Visitor) -> None:
    """A live consent to the same does not let the client have another without the person."""
    begun = caller.asks(id_token_hint=hint(caller, world)).json
    assert lifecycle.get(newest().consent_id).state == State.ACTIVE
    assert error_of(caller.polls(begun)) == (400, "authorization_pending")


# Where it is seen


def test_the_first_page_and_the_navigation_say_how_many_wait(begun: dict[str, Any], phone: Visitor) -> None:
    for path in ("/", "/authorizations"):
        page = phone.get(path)
        assert "Home : 1" in page.says
    assert any(
        words.startswith("Requests that wait for you") and words.endswith("1") for words, _ in phone.get("/").links
    )
    phone.get(PAGE)
    phone.tap("Refuse")
    assert "Home : 1" not in phone.get("/").says


def test_nobody_is_sent_back_to_who_waits_elsewhere(caller: Caller, world: factories.World, phone: Visitor) -> None:
    """The pages from which others return to the third party."""
    caller.asks(login_hint=code_of(phone))
    phone.get(PAGE)
    phone.tap("Refuse")
    begun = caller.asks(login_hint=code_of(phone)).json
    phone.get(PAGE)
    resting = phone.tap("Open")
    assert "You refused this already" in resting.says
    assert not resting.offers("Return to Lingnan Example Bank")
    assert "sees it on its own screen" in phone.tap("End this; Lingnan Example Bank sees it there").says
    assert error_of(caller.polls(begun)) == (400, "access_denied")
