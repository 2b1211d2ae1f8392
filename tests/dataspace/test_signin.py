"""Sign-in as people meet it: pages, cookies, whom they act for, and everything that ends it."""

import datetime as dt
import json
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from flask import Flask, jsonify
from flask.testing import FlaskClient

from dataspace import mandates, passkeys, signins
from dataspace.db import db
from dataspace.errors import NotAllowed
from dataspace.holders import Holder, HolderRole
from dataspace.mandates import Actor, Capacity
from dataspace.passkeys import VerifiedSignIn
from dataspace.settings import Settings
from dataspace.signins import SignIn
from dataspace.web import signin as web
from examples.authenticator import Knobs, SoftAuthenticator
from tests import factories
from tests.authenticator import Browser, enrolled, path
from tests.conftest import make_settings
from wsgi import create_app

IDLE = dt.timedelta(minutes=60)
SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def app(app: Flask) -> Flask:
    """The application with a few pages that show what views get."""

    @app.get("/test/who")
    @web.require_actor
    def who() -> object:
        actor = web.the_actor()
        return jsonify(person=actor.person_id, holder=actor.holder_id, capacity=actor.capacity, signin=actor.signin_id)

    @app.get("/test/fresh")
    def fresh() -> object:
        now = dt.datetime.now(dt.UTC)
        web.require_fresh(web.the_actor(), now, max_age=dt.timedelta(minutes=10))
        return jsonify(ok=True)

    app.get("/test/holder", endpoint="test_holder")(web.require_holder(lambda: "ok"))
    app.get("/test/administrator", endpoint="test_administrator")(web.require_administrator(lambda: "ok"))
    app.post("/test/post", endpoint="test_post")(web.require_actor(lambda: "ok"))
    return app


@pytest.fixture
def person(app: Flask, now: dt.datetime) -> Holder:
    holder = factories.holder(now)
    db.session.commit()
    return holder


@pytest.fixture
def code(person: Holder, now: dt.datetime) -> str:
    issued = passkeys.issue_enrolment_code(person, now)
    db.session.commit()
    return issued


@pytest.fixture
def browser(client: FlaskClient, person: Holder) -> Browser:
    """Enrolled and signed in."""
    return enrolled(client, person)


def rep_of_company(person: Holder, now: dt.datetime) -> mandates.Mandate:
    mandate = factories.mandate(factories.company(now), person, Capacity.LEGAL_REPRESENTATIVE, now)
    db.session.commit()
    return mandate


def who(browser: Browser) -> dict[str, str] | None:
    response = browser.get_json("/test/who")
    found: dict[str, str] | None = response.get_json() if response.status_code == 200 else None
    return found


# Journeys


def test_enrol_then_sign_in(client: FlaskClient, person: Holder, code: str) -> None:
    browser = Browser(client)
    page = browser.get("/enrol").text
    assert 'name="code"' in page
    entered = browser.post("/enrol", code=code.lower().replace("-", " "), next="/authorize?x=1")
    assert (entered.status_code, entered.location) == (303, path("/enrol", next="/authorize?x=1"))
    assert "陈嘉怡" in browser.get("/enrol").text
    made = browser.make("/enrol", next="/authorize?x=1")
    assert (made.status_code, made.get_json()) == (200, {"next": "/authorize?x=1"})
    assert who(browser) == who(browser) | {"person": person.holder_id, "holder": person.holder_id, "capacity": "self"}
    assert browser.sign_out().status_code == 303
    assert who(browser) is None
    assert browser.sign_in(next="/space").get_json() == {"next": "/space"}
    assert who(browser) is not None


def test_the_first_passkey_leads_home_and_a_further_one_shows_them_all(
    client: FlaskClient, app: Flask, person: Holder, code: str, now: dt.datetime
) -> None:
    assert Browser(client).enrol(code).get_json() == {"next": "/"}
    second = passkeys.issue_enrolment_code(person, now)
    db.session.commit()
    assert Browser(app.test_client()).enrol(second).get_json() == {"next": "/passkeys"}


def test_the_sign_in_page(client: FlaskClient) -> None:
    page = client.get("/signin", headers={"Accept": "text/html", "Accept-Language": "en"}).text
    assert 'autocomplete="username webauthn"' in page
    assert "<noscript>" in page
    assert "passkey.js" in page
    assert "style=" not in page
    assert page.count("<script") == page.count("<script src=")


def test_the_script_is_served_under_our_policy(client: FlaskClient) -> None:
    policy = client.get("/signin").headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "connect-src 'self'" in policy
    assert client.get("/static/passkey.js", buffered=True).status_code == 200


def test_recovery_signs_out_everywhere_else(app: Flask, browser: Browser, person: Holder, now: dt.datetime) -> None:
    recovery = passkeys.issue_enrolment_code(person, now, recovery=True)
    db.session.commit()
    other = Browser(app.test_client())
    other.post("/enrol", code=recovery)
    assert "caution" in other.get("/enrol").text
    assert other.make("/enrol").status_code == 200
    assert who(browser) is None
    assert browser.sign_in().get_json()["code"] == "passkey_unknown"
    assert who(other) is not None


# Refusals over HTTP


def test_wrong_codes_are_all_refused_alike(client: FlaskClient, person: Holder, code: str, now: dt.datetime) -> None:
    browser = Browser(client)
    expired = passkeys.issue_enrolment_code(person, now - passkeys.CODE_LIFE)
    db.session.commit()
    for wrong in ("", "ABCD-1234-EFGH-5678", expired, code, "x" * 5000, "\x00", "😀"):
        answer = browser.post("/enrol", code=wrong)
        assert answer.status_code == 400
        assert 'id="error-code"' in answer.text
    for step in ("options", "verify"):
        answer = browser.post_json(f"/enrol/{step}")
        assert (answer.status_code, answer.get_json()["code"]) == (400, "enrolment_code_refused")


def test_a_used_code_is_refused(client: FlaskClient, app: Flask, code: str) -> None:
    assert Browser(client).enrol(code).status_code == 200
    assert Browser(app.test_client()).post("/enrol", code=code).status_code == 400


def test_a_challenge_is_used_up_by_a_wrong_answer(browser: Browser) -> None:
    begun = browser.begin()
    right = browser.device.get(begun["publicKey"], browser.origin)
    wrong = browser.device.get(begun["publicKey"], "http://elsewhere.example")
    assert browser.answer(begun, wrong).get_json()["code"] == "passkey_refused"
    assert browser.answer(begun, right).get_json()["code"] == "ceremony_over"


def test_an_answer_cannot_be_replayed(browser: Browser) -> None:
    begun = browser.begin()
    answer = browser.device.get(begun["publicKey"], browser.origin)
    assert browser.answer(begun, answer).status_code == 200
    assert browser.answer(begun, answer).get_json()["code"] == "ceremony_over"


def test_a_challenge_of_another_browser_is_refused(app: Flask, browser: Browser) -> None:
    other = Browser(app.test_client(), browser.device)
    begun = other.begin()
    answer = browser.device.get(begun["publicKey"], browser.origin)
    browser.sign_out()
    assert browser.answer(begun, answer).get_json()["code"] == "ceremony_over"


@pytest.mark.parametrize(
    ("knobs", "origin"),
    [
        (Knobs(user_verified=False), None),
        (Knobs(cross_origin=True), None),
        (Knobs(rp_id="example.org"), None),
        (Knobs(user_handle=b"x" * 32), None),
        (Knobs(sign_count=0), None),
        (Knobs(), "https://localhost:8000"),
    ],
)
def test_a_refused_sign_in_signs_nobody_in(browser: Browser, knobs: Knobs, origin: str | None) -> None:
    browser.sign_in()  # the device has counted once
    browser.sign_out()
    browser.origin = origin or browser.origin
    answer = browser.sign_in(knobs)
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")
    assert answer.get_json()["code"] == "passkey_refused"
    assert "origin" not in answer.text  # the detail is for the log
    assert who(browser) is None


BODIES = [b"", b"null", b"[]", b"7", b'"x"', b"{", b"\xff\xfe", b"[" * 100_000, b'{"ceremony": {"a": 1}}']


@pytest.mark.wire
@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize("url", ["/signin/verify", "/passkeys/verify"])
def test_malformed_json(browser: Browser, url: str, body: bytes) -> None:
    headers = {"Accept": "application/json", "X-CSRFToken": browser.csrf()}
    answer = browser.send("POST", url, data=body, content_type="application/json", headers=headers)
    assert answer.status_code == 400
    assert answer.mimetype == "application/problem+json"


def test_other_content_types_and_large_bodies(browser: Browser) -> None:
    headers = {"Accept": "application/json", "X-CSRFToken": browser.csrf()}
    answer = browser.send("POST", "/signin/verify", data="{}", content_type="text/plain", headers=headers)
    assert answer.status_code == 400
    large = json.dumps({"ceremony": "x" * 1_000_000})
    answer = browser.send("POST", "/signin/verify", data=large, content_type="application/json", headers=headers)
    assert answer.status_code in (400, 413)


POSTS = [
    "/signin/options", "/signin/verify", "/signout", "/act-as", "/enrol", "/enrol/options", "/enrol/verify",
    "/passkeys/options", "/passkeys/verify", "/passkeys/psk_x/name", "/passkeys/psk_x/remove",
]  # fmt: skip


@pytest.mark.wire
@pytest.mark.parametrize("url", POSTS)
def test_nothing_is_posted_without_the_token(browser: Browser, url: str) -> None:
    for headers in ({}, {"X-CSRFToken": "wrong"}):
        answer = browser.send("POST", url, json={}, headers={"Accept": "application/json"} | headers)
        assert (answer.status_code, answer.get_json()["code"]) == (400, "form_expired")
    assert who(browser) is not None


@pytest.mark.parametrize("url", ["/signout", "/signin/verify", "/signin/options", "/enrol/verify"])
def test_nothing_changes_by_get(client: FlaskClient, url: str) -> None:
    assert client.get(url).status_code == 405


# The session


def test_the_session_is_renewed_at_sign_in_but_for_the_language(client: FlaskClient, person: Holder, code: str) -> None:
    browser = Browser(client)
    browser.post("/language", language="en", back="/signin")
    with client.session_transaction() as session:
        session["planted"] = "by somebody else"
    browser.enrol(code)
    with client.session_transaction() as session:
        before = dict(session)
    assert before["language"] == "en"
    assert "planted" not in before
    assert "invitation" not in before
    browser.sign_in()
    with client.session_transaction() as session:
        assert session["language"] == "en"
        assert session["signin"] != before["signin"]
        assert session.get("csrf_token") != before.get("csrf_token", "")


def test_the_earlier_sign_in_of_the_browser_ends(browser: Browser) -> None:
    with browser.client.session_transaction() as session:
        earlier = session["signin"]
    browser.sign_in()
    browser.csrf()
    with browser.client.session_transaction() as session:
        session["signin"] = earlier
    assert who(browser) is None


def test_after_signing_out_the_old_cookie_is_worth_nothing(browser: Browser) -> None:
    with browser.client.session_transaction() as session:
        earlier = session["signin"]
    browser.sign_out()
    with browser.client.session_transaction() as session:
        assert "signin" not in session
        session["signin"] = earlier
    assert who(browser) is None


def test_only_the_digest_of_the_secret_is_stored(browser: Browser) -> None:
    with browser.client.session_transaction() as session:
        secret = session["signin"]
    assert secret.startswith("dss_")
    stored = str([vars(row) for row in db.session.scalars(db.select(SignIn))])
    assert secret not in stored


@pytest.mark.parametrize("secret", ["", "x", "dss_" + "A" * 43, 7, None, ["dss_x"], {"a": 1}])
def test_a_made_up_secret_is_nobody(client: FlaskClient, secret: object) -> None:
    with client.session_transaction() as session:
        session["signin"] = secret
    assert client.get("/test/who", headers={"Accept": "application/json"}).status_code == 401


# Where people are sent


GOOD_PATHS = ["/", "/space", "/authorize?client_id=a&request_uri=urn%3Ax", "/a/b?c=%E4%BD%A0", "/a#b"]
BAD_PATHS = [
    "", "space", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example",
    "https:evil.example", "javascript:alert(1)", "/\t/evil.example", "/\n/evil.example", "/\r/evil.example",
    " /space", "/spa ce", "\x00/space", "/\x7f", "http:///evil.example", "/" + "a" * 4000, "//[", "data:,x",
]  # fmt: skip


@pytest.mark.parametrize("unverified", GOOD_PATHS)
def test_a_path_of_ours_is_followed(browser: Browser, unverified: str) -> None:
    assert browser.sign_in(next=unverified).get_json()["next"] == unverified
    assert browser.post("/act-as", choice="self", next=unverified).location == unverified


@pytest.mark.wire
@pytest.mark.parametrize("unverified", BAD_PATHS)
def test_no_other_address_is_followed(browser: Browser, unverified: str) -> None:
    assert browser.sign_in(next=unverified).get_json()["next"] == "/"
    assert browser.post("/act-as", choice="self", next=unverified).location == "/"
    assert browser.get("/act-as", next=unverified).location == "/"
    assert 'data-verify="/signin/verify"' in browser.get("/signin", next=unverified).text


def test_browsers_are_sent_to_sign_in_and_programs_are_told(browser: Browser) -> None:
    browser.sign_out()
    page = browser.get("/test/who", a="1")
    assert (page.status_code, page.location) == (303, path("/signin", next="/test/who?a=1"))
    answer = browser.get_json("/test/who")
    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
    assert answer.get_json()["code"] == "sign_in_needed"
    posted = browser.post("/test/post")
    assert (posted.status_code, posted.location) == (303, "/signin")


def test_fresh_sign_in(browser: Browser) -> None:
    assert browser.get_json("/test/fresh").status_code == 200
    age(dt.timedelta(minutes=11))
    assert browser.get_json("/test/fresh").get_json()["code"] == "sign_in_again"
    assert browser.get("/test/fresh").location == path("/signin", next="/test/fresh")
    assert who(browser) is not None
    browser.sign_in()
    assert browser.get_json("/test/fresh").status_code == 200


def age(by: dt.timedelta) -> None:
    """Let the sign-ins have happened earlier."""
    for row in db.session.scalars(db.select(SignIn)):
        row.auth_time -= by
        row.created_at -= by
        row.last_seen_at -= by
        row.expires_at -= by
    db.session.commit()


# Acting for somebody


def test_with_one_choice_nobody_is_asked(browser: Browser) -> None:
    assert browser.sign_in(next="/space").get_json() == {"next": "/space"}
    assert browser.get("/act-as", next="/space").location == "/space"
    assert path("/act-as", next="/signin") not in browser.get("/signin").text


def test_acting_for_a_company(browser: Browser, person: Holder, now: dt.datetime) -> None:
    mandate = rep_of_company(person, now)
    browser.sign_out()
    assert browser.sign_in(next="/space").get_json() == {"next": path("/act-as", next="/space")}
    page = browser.get("/act-as", next="/space").text
    assert "粤海明珠电子" in page
    assert page.count('name="choice"') == 2
    assert 'face="citizen"' in page
    chosen = browser.post("/act-as", choice=mandate.mandate_id, next="/space")
    assert (chosen.status_code, chosen.location) == (303, "/space")
    found = who(browser)
    assert found is not None
    assert (found["holder"], found["capacity"]) == (mandate.principal_id, "legal_representative")
    page = browser.get("/passkeys").text
    assert 'face="business"' in page
    assert "粤海明珠电子" in page
    assert "陈嘉怡" in page
    assert browser.post("/act-as", choice="self").location == "/"
    assert who(browser) == found | {"holder": person.holder_id, "capacity": "self"}


def test_a_choice_that_one_does_not_have(browser: Browser, app: Flask, now: dt.datetime) -> None:
    other = factories.holder(now, factories.LEGAL_REP, "李伟强")
    mandate = rep_of_company(other, now)
    for choice in ("administrator", mandate.mandate_id, "", "mandate", "legal_representative"):
        assert browser.post("/act-as", choice=choice).status_code == 403
    assert who(browser) == who(browser) | {"capacity": "self"}


def test_a_mandate_that_ends_ends_the_sign_in(browser: Browser, person: Holder, now: dt.datetime) -> None:
    mandate = rep_of_company(person, now)
    browser.post("/act-as", choice=mandate.mandate_id)
    assert who(browser) is not None
    mandates.end(mandate.mandate_id, now)
    db.session.commit()
    assert who(browser) is None


def test_administrators(client: FlaskClient, now: dt.datetime) -> None:
    admin = factories.administrator(now)
    db.session.commit()
    browser = enrolled(client, admin)
    assert browser.get("/test/administrator").status_code == 403
    assert browser.get("/test/holder").status_code == 200
    browser.post("/act-as", choice="administrator")
    assert browser.get("/test/administrator").status_code == 200
    assert browser.get("/test/holder").status_code == 403
    assert 'face="admin"' in browser.get("/passkeys").text
    db.session.execute(sa.delete(HolderRole))
    db.session.commit()
    assert browser.get("/test/administrator").status_code == 303


# One's passkeys


def test_add_rename_and_remove_a_passkey(browser: Browser, person: Holder) -> None:
    old, browser.device = browser.device, SoftAuthenticator()
    assert browser.get("/passkeys/add").status_code == 200
    assert browser.make("/passkeys").get_json() == {"next": "/passkeys"}
    first, second = passkeys.passkeys_of(person.holder_id)
    assert browser.post(f"/passkeys/{second.passkey_id}/name", name="平板").location == "/passkeys"
    assert "平板" in browser.get("/passkeys").text
    assert "平板" in browser.get(f"/passkeys/{second.passkey_id}/remove").text
    assert browser.post(f"/passkeys/{first.passkey_id}/remove").location == "/passkeys"
    db.session.expire_all()
    assert [p.passkey_id for p in passkeys.passkeys_of(person.holder_id)] == [second.passkey_id]
    assert browser.sign_in().status_code == 200
    browser.device = old
    assert browser.sign_in().get_json()["code"] == "passkey_unknown"


def test_removing_a_passkey_ends_the_sign_ins_made_with_it(app: Flask, browser: Browser, person: Holder) -> None:
    lost, found = browser, Browser(app.test_client(), SoftAuthenticator())
    found.client.set_cookie("session", lost.client.get_cookie("session").value)  # type: ignore[union-attr]
    assert found.make("/passkeys").status_code == 200
    assert found.sign_in().status_code == 200
    lost.sign_in()
    first = passkeys.passkeys_of(person.holder_id)[0]
    assert found.post(f"/passkeys/{first.passkey_id}/remove").status_code == 303
    assert who(lost) is None
    assert who(found) is not None


def test_the_last_passkey_stays(browser: Browser, person: Holder) -> None:
    (only,) = passkeys.passkeys_of(person.holder_id)
    assert browser.post(f"/passkeys/{only.passkey_id}/remove").status_code == 409
    assert f"/passkeys/{only.passkey_id}/remove" not in browser.get("/passkeys").text
    page = browser.get(f"/passkeys/{only.passkey_id}/remove").text
    assert 'class="button danger"' not in page
    assert len(passkeys.passkeys_of(person.holder_id)) == 1


def test_passkeys_change_only_after_a_fresh_sign_in(browser: Browser, person: Holder) -> None:
    (only,) = passkeys.passkeys_of(person.holder_id)
    age(dt.timedelta(minutes=11))
    for step in ("options", "verify"):
        assert browser.post_json(f"/passkeys/{step}").get_json()["code"] == "sign_in_again"
    assert browser.post(f"/passkeys/{only.passkey_id}/remove").location == "/signin"
    assert browser.get("/passkeys/add").location == path("/signin", next="/passkeys/add")
    assert browser.get("/passkeys").status_code == 200


def test_the_passkeys_of_others_are_not_there(browser: Browser, app: Flask, now: dt.datetime) -> None:
    other = factories.holder(now, factories.OTHER_PERSON, "梁志文")
    db.session.commit()
    enrolled(app.test_client(), other)
    (theirs,) = passkeys.passkeys_of(other.holder_id)
    for suffix in ("name", "remove"):
        assert browser.post(f"/passkeys/{theirs.passkey_id}/{suffix}", name="x").status_code == 404
    assert browser.get(f"/passkeys/{theirs.passkey_id}/remove").status_code == 404


def test_a_bad_name_is_explained(browser: Browser, person: Holder) -> None:
    (only,) = passkeys.passkeys_of(person.holder_id)
    assert browser.post(f"/passkeys/{only.passkey_id}/name", name="a" * 61).status_code == 303
    assert 'class="notice danger"' in browser.get("/passkeys").text


@pytest.mark.parametrize("url", ["/passkeys", "/passkeys/add", "/passkeys/psk_x/remove", "/act-as"])
def test_strangers_are_sent_to_sign_in(client: FlaskClient, url: str) -> None:
    assert client.get(url, headers={"Accept": "text/html"}).location == path("/signin", next=url)


# What ends a sign-in, as domain functions


@pytest.fixture
def started(person: Holder, now: dt.datetime) -> str:
    return signins.start(VerifiedSignIn(person_id=person.holder_id, passkey_id="psk_x", at=now), now)


def actor_of(secret: str, now: dt.datetime) -> Actor:
    visit = signins.visit(secret, now, idle=IDLE)
    assert visit
    return visit.actor


def test_a_visit(person: Holder, started: str, now: dt.datetime) -> None:
    actor = actor_of(started, now)
    assert (actor.person_id, actor.holder_id, actor.space_id) == (person.holder_id, person.holder_id, person.space_id)
    assert (actor.capacity, actor.mandate_id, actor.auth_time) == (Capacity.SELF, None, now)
    assert actor.acr == "urn:dataspace:acr:passkey"


def test_a_visit_takes_one_query(started: str, now: dt.datetime) -> None:
    db.session.flush()
    statements: list[str] = []
    sa.event.listen(db.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    actor_of(started, now)
    assert len(statements) == 1


def test_idle_and_absolute_limits(started: str, now: dt.datetime) -> None:
    assert signins.visit(started, now + IDLE - SECOND, idle=IDLE)
    assert signins.visit(started, now + IDLE, idle=IDLE) is None
    moment = now
    while moment < now + signins.LIFE - dt.timedelta(minutes=30):
        moment += dt.timedelta(minutes=30)
        signins.seen(actor_of(started, moment - SECOND).signin_id, moment - SECOND)
    assert dt.timedelta(hours=12) == signins.LIFE
    assert signins.visit(started, now + signins.LIFE - SECOND, idle=IDLE)
    assert signins.visit(started, now + signins.LIFE, idle=IDLE) is None


def test_being_seen_is_noted_once_a_minute(started: str, now: dt.datetime) -> None:
    assert [signins.visit(started, now + s * SECOND, idle=IDLE).unseen for s in (0, 59, 60)] == [False, False, True]  # type: ignore[union-attr]
    signins.seen(actor_of(started, now).signin_id, now + 60 * SECOND)
    assert not signins.visit(started, now + 61 * SECOND, idle=IDLE).unseen  # type: ignore[union-attr]


def test_a_visit_is_noted_after_the_answer(browser: Browser) -> None:
    age(dt.timedelta(minutes=5))
    earlier = db.session.scalar(db.select(SignIn.last_seen_at))
    assert who(browser) is not None
    db.session.rollback()
    later = db.session.scalar(db.select(SignIn.last_seen_at))
    assert later - earlier >= dt.timedelta(minutes=5)


def test_an_ended_sign_in_is_over(person: Holder, started: str, now: dt.datetime) -> None:
    signins.end(started, now)
    assert signins.visit(started, now, idle=IDLE) is None
    signins.end("dss_unknown", now)


def test_ending_all_sign_ins_of_a_person(person: Holder, started: str, now: dt.datetime) -> None:
    other = factories.holder(now, factories.OTHER_PERSON, "梁志文")
    theirs = signins.start(VerifiedSignIn(person_id=other.holder_id, passkey_id="psk_y", at=now), now)
    signins.end_all(person.holder_id, now)
    assert signins.visit(started, now, idle=IDLE) is None
    assert signins.visit(theirs, now, idle=IDLE)


def test_a_closed_space_ends_it(person: Holder, started: str, now: dt.datetime) -> None:
    person.closed_at = now
    db.session.flush()
    assert signins.visit(started, now, idle=IDLE) is None


def test_choices_are_self_then_mandates_then_administration(person: Holder, started: str, now: dt.datetime) -> None:
    company, closed = factories.company(now), factories.holder(now, "92440099MA9T001225", "茶香", "unincorporated")  # type: ignore[arg-type]
    inside = factories.mandate(company, person, Capacity.AGENT, now)
    factories.mandate(closed, person, Capacity.AGENT, now)
    closed.closed_at = now
    lapsed = mandates.appoint(company, person, Capacity.LEGAL_REPRESENTATIVE, now - 2 * IDLE, now - IDLE)
    db.session.add(HolderRole(holder_id=person.holder_id, role="administrator", granted_at=now))
    db.session.flush()
    found = signins.choices(person.holder_id, now)
    assert [c.key for c in found] == ["self", inside.mandate_id, "administrator"]
    actor = actor_of(started, now)
    with pytest.raises(NotAllowed):
        signins.act_as(actor, lapsed.mandate_id, now)
    signins.act_as(actor, inside.mandate_id, now)
    acting = actor_of(started, now)
    assert (acting.capacity, acting.holder_id, acting.space_id, acting.mandate_id) == (
        Capacity.AGENT, company.holder_id, company.space_id, inside.mandate_id,
    )  # fmt: skip
    company.closed_at = now
    db.session.flush()
    assert signins.visit(started, now, idle=IDLE) is None


def test_acting_as_administrator_is_for_no_holder(now: dt.datetime, app: Flask) -> None:
    admin = factories.administrator(now)
    secret = signins.start(VerifiedSignIn(person_id=admin.holder_id, passkey_id="psk_x", at=now), now)
    signins.act_as(actor_of(secret, now), "administrator", now)
    actor = actor_of(secret, now)
    assert (actor.capacity, actor.holder_id, actor.space_id) == (Capacity.ADMINISTRATOR, "", "")


def test_freshness(person: Holder, started: str, now: dt.datetime) -> None:
    actor, limit = actor_of(started, now), dt.timedelta(minutes=10)
    assert signins.is_fresh(actor, now + limit, max_age=limit)
    assert not signins.is_fresh(actor, now + limit + SECOND, max_age=limit)
    assert not signins.is_fresh(actor, now - SECOND, max_age=limit)


def test_the_sweep_keeps_what_is_recent(person: Holder, started: str, now: dt.datetime) -> None:
    over = now + signins.LIFE + signins.KEPT
    assert signins.sweep(over - SECOND) == 0
    assert signins.sweep(over) == 1


# Rate limits


@pytest.fixture
def limited_settings(database_url: str) -> Settings:
    return make_settings(database_url, rate_limits=True)


@pytest.fixture
def limited_app(limited_settings: Settings) -> Iterator[Flask]:
    app = create_app(limited_settings)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def guess(app: Flask, address: str = "192.0.2.1") -> tuple[int, str | None]:
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = address
    answer = Browser(client).post("/enrol", code="ABCD-1234-EFGH-5678")
    return answer.status_code, answer.headers.get("Retry-After")


def test_guessing_codes_is_slowed_down(limited_app: Flask) -> None:
    assert [guess(limited_app)[0] for _ in range(11)] == [400] * 10 + [429]
    assert guess(limited_app) == (429, "60")
    assert guess(limited_app, "192.0.2.2")[0] == 400


def test_one_network_of_ipv6_counts_as_one(limited_app: Flask) -> None:
    assert [guess(limited_app, f"2001:db8::{n:x}")[0] for n in range(1, 12)] == [400] * 10 + [429]
    assert guess(limited_app, "2001:db8:0:1::1")[0] == 400


def test_applications_do_not_share_counters(limited_app: Flask, limited_settings: Settings, app: Flask) -> None:
    assert {guess(limited_app)[0] for _ in range(11)} == {400, 429}
    another = create_app(limited_settings)
    with another.app_context():
        assert guess(another)[0] == 400
        db.session.remove()
        db.engine.dispose()
    assert {guess(app)[0] for _ in range(11)} == {400}
