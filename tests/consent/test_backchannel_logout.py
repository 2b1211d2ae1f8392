"""Back-channel logout: who hears, what it hears, at once and later; a real receiver and another library's eyes."""

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from flask import Flask
from sqlalchemy import select

from consent import clients, worker
from consent.oauth import backchannel, sessions
from consent.oauth.sessions import LogoutNotice
from dataspace import outbox, passkeys
from dataspace.db import db
from dataspace.holders import Holder
from examples.authenticator import SoftAuthenticator
from tests import factories
from tests.authenticator import Browser, enrolled
from tests.conftest import ISSUER, make_settings
from tests.consent.desk import Desk
from tests.consent.shop import actor_of, claims_of, enter, open_shop, receiver, wait_until
from tests.consent.third_party import ThirdParty
from tests.consent.visitor import Visitor
from wsgi import create_app

NOWHERE = "http://127.0.0.1:9/logout"
SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def person(app: Flask, now: dt.datetime) -> Holder:
    holder = factories.holder(now)
    db.session.commit()
    return holder


@pytest.fixture
def visitor(app: Flask, person: Holder, now: dt.datetime) -> Visitor:
    return Visitor(app.test_client()).sign_in(person, now)


def notices() -> list[LogoutNotice]:
    db.session.rollback()
    db.session.expire_all()
    return list(db.session.scalars(select(LogoutNotice).order_by(LogoutNotice.notice_id)))


def deliver(now: dt.datetime, *, allow_loopback: bool = True) -> int:
    channel = backchannel.channel(factories.registry(), allow_loopback=allow_loopback)
    return worker.deliver(channel, now)


def verified(third: ThirdParty, token: str, alg: str) -> dict[str, Any]:
    """As PyJWT sees it, with the keys that we publish."""
    published = jwt.PyJWKSet.from_dict(third.http.get("/oauth/jwks").json)
    header = jwt.get_unverified_header(token)
    assert header == {"alg": alg, "typ": "logout+jwt", "kid": header["kid"]}
    required = ["iss", "aud", "iat", "exp", "jti", "events"]
    claims: dict[str, Any] = jwt.decode(
        token, published[header["kid"]], [alg], audience=third.client_id, issuer=ISSUER, options={"require": required}
    )
    return claims


@pytest.mark.parametrize("alg", ["RS256", "ES256", "PS256"])
def test_the_client_hears_at_once(alg: str, app: Flask, visitor: Visitor) -> None:
    with receiver() as address:
        shop = open_shop(app, backchannel_logout_uri=address.url)
        shop.party.client.id_token_signed_response_alg = alg
        db.session.commit()
        id_token = claims_of(enter(shop, visitor)["id_token"])
        visitor.get("/oauth/logout")
        visitor.tap("Sign out")
        claims = verified(shop, address.token(), alg)
        wait_until(lambda: notices()[0].delivered_at is not None)
    assert claims.keys() == {"iss", "aud", "iat", "exp", "jti", "sub", "sid", "events"}
    assert (claims["sub"], claims["sid"]) == (id_token["sub"], id_token["sid"])
    assert claims["events"] == {"http://schemas.openid.net/event/backchannel-logout": {}}
    assert 0 < claims["exp"] - claims["iat"] <= 120
    (notice,) = notices()
    assert (notice.attempts, notice.due_at, notice.problem) == (1, None, "")


def test_the_person_does_not_wait_for_it(app: Flask, visitor: Visitor) -> None:
    with receiver() as address:
        address.hold.clear()  # it takes the token and does not answer
        enter(open_shop(app, backchannel_logout_uri=address.url), visitor)
        visitor.get("/oauth/logout")
        assert "You are signed out" in visitor.tap("Sign out").says
        address.token()
        assert notices()[0].delivered_at is None
        address.hold.set()
        wait_until(lambda: notices()[0].delivered_at is not None)
    assert notices()[0].attempts == 1


# Who hears, and when


def leaves(app: Flask, browser: Browser, person: Holder, now: dt.datetime) -> None:
    assert browser.sign_out().status_code == 303


def is_asked_by_a_client(app: Flask, browser: Browser, person: Holder, now: dt.datetime) -> None:
    assert browser.post("/oauth/logout/confirm", decision="sign_out").status_code == 303


def recovers(app: Flask, browser: Browser, person: Holder, now: dt.datetime) -> None:
    """With a recovery code, in another browser."""
    code = passkeys.issue_enrolment_code(person, now, recovery=True)
    db.session.commit()
    assert Browser(app.test_client()).enrol(code).status_code == 200


def loses_the_device(app: Flask, browser: Browser, person: Holder, now: dt.datetime) -> None:
    """And removes its passkey in another browser."""
    (lost,) = passkeys.passkeys_of(person.holder_id)
    code = passkeys.issue_enrolment_code(person, now)
    db.session.commit()
    other = Browser(app.test_client())
    assert other.enrol(code).status_code == 200
    assert other.post(f"/passkeys/{lost.passkey_id}/remove").status_code == 303


def lends_the_browser(app: Flask, browser: Browser, person: Holder, now: dt.datetime) -> None:
    """Somebody else signs in with it."""
    other = factories.holder(now, factories.OTHER_PERSON, "梁志文")
    code = passkeys.issue_enrolment_code(other, now)
    db.session.commit()
    browser.device = SoftAuthenticator()
    assert browser.enrol(code).status_code == 200


@pytest.mark.parametrize("how", [leaves, is_asked_by_a_client, recovers, loses_the_device, lends_the_browser])
def test_every_end_is_told(
    how: Callable[[Flask, Browser, Holder, dt.datetime], None], app: Flask, person: Holder, now: dt.datetime
) -> None:
    browser = enrolled(app.test_client(), person)
    with receiver() as address:
        shop = open_shop(app, backchannel_logout_uri=address.url)
        sid = claims_of(enter(shop, browser)["id_token"])["sid"]
        how(app, browser, person, now)
        assert verified(shop, address.token(), "RS256")["sid"] == sid
        wait_until(lambda: [n.delivered_at is not None for n in notices()] == [True])


def test_a_sign_in_that_is_renewed_goes_on(app: Flask, person: Holder, now: dt.datetime) -> None:
    browser = enrolled(app.test_client(), person)
    first = claims_of(enter(open_shop(app, backchannel_logout_uri=NOWHERE), browser)["id_token"])
    assert browser.sign_in().status_code == 200
    assert notices() == []
    sessions_now = db.session.scalars(select(sessions.ClientSession)).all()
    assert [(s.sid, s.ended_at) for s in sessions_now] == [(first["sid"], None)]
    assert actor_of(browser).signin_id == sessions_now[0].signin_id


def test_only_those_who_take_it_and_whom_the_person_has_entered(app: Flask, visitor: Visitor, now: dt.datetime) -> None:
    silent = open_shop(app, "silent")
    first, second = (open_shop(app, name, backchannel_logout_uri=NOWHERE) for name in ("first", "second"))
    open_shop(app, "stranger", backchannel_logout_uri=NOWHERE)
    for third in (silent, first, second, second):
        enter(third, visitor)
    elsewhere = Visitor(app.test_client()).sign_in(factories.holder(now, factories.OTHER_PERSON, "梁志文"), now)
    enter(first, elsewhere)
    assert sessions.end([actor_of(visitor).signin_id], now) == 2
    assert sessions.end([actor_of(visitor).signin_id], now) == 0
    db.session.commit()
    assert [n.client_id for n in notices()] == ["first", "second"]


# Trying


def told(app: Flask, visitor: Visitor, now: dt.datetime, url: str, name: str = "shop") -> None:
    """A notice that waits, as if the serving process had died before sending it."""
    enter(open_shop(app, name, backchannel_logout_uri=url), visitor)
    assert sessions.end([actor_of(visitor).signin_id], now) == 1
    db.session.commit()


def test_it_is_tried_again_later_and_then_given_up(app: Flask, visitor: Visitor, now: dt.datetime) -> None:
    moment = now
    with receiver(*[503] * backchannel.ATTEMPTS) as address:
        told(app, visitor, now, address.url)
        for attempt, wait in enumerate([*backchannel.WAITS, None], start=1):
            assert deliver(moment) == 1
            (notice,) = notices()
            assert (notice.attempts, notice.problem, notice.delivered_at) == (attempt, "answered 503", None)
            assert deliver(moment) == 0
            if wait is None:
                break
            assert notice.due_at == moment + wait
            assert deliver(moment + wait - SECOND) == 0
            moment += wait
        tokens = [claims_of(address.token()) for _ in range(backchannel.ATTEMPTS)]
    assert notice.due_at is None
    assert deliver(moment + dt.timedelta(days=9)) == 0
    assert len({t["jti"] for t in tokens}) == backchannel.ATTEMPTS
    assert tokens[-1]["iat"] - tokens[0]["iat"] == int((moment - now).total_seconds())


@pytest.mark.parametrize(
    ("status", "taken"),
    [(200, True), (204, True), (202, False), (302, False), (400, False), (404, False), (500, False)],
)
def test_what_counts_as_taken(status: int, taken: bool, app: Flask, visitor: Visitor, now: dt.datetime) -> None:
    with receiver(status) as address:
        told(app, visitor, now, address.url)
        assert deliver(now) == 1
    (notice,) = notices()
    assert (notice.delivered_at == now, notice.due_at is None) == (taken, taken)
    assert notice.problem == ("" if taken else f"answered {status}")


@pytest.mark.parametrize(
    ("url", "loopback", "problem"),
    [
        (NOWHERE, True, "127.0.0.1: ConnectError"),
        (NOWHERE, False, "not https"),
        ("https://10.0.0.1/logout", True, "10.0.0.1: not a public address"),
        ("https://169.254.169.254/latest", True, "169.254.169.254: not a public address"),
        ("https://[::1]/", False, "::1: not a public address"),
        ("ftp://bank.example/", True, "not https"),
    ],
    ids=["nobody there", "loopback not allowed", "a network inside", "metadata", "loopback", "another scheme"],
)
def test_the_guard_stands_before_it(
    url: str, loopback: bool, problem: str, app: Flask, visitor: Visitor, now: dt.datetime
) -> None:
    told(app, visitor, now, url)
    assert deliver(now, allow_loopback=loopback) == 1
    assert [n.problem for n in notices()] == [problem]


def test_a_suspended_client_hears_too(app: Flask, visitor: Visitor, now: dt.datetime) -> None:
    with receiver() as address:
        told(app, visitor, now, address.url)
        clients.suspend("shop", now, actor_id="x", reason_code="inquiry", text="x")
        db.session.commit()
        assert deliver(now) == 1
        assert address.token()


def test_an_address_that_was_taken_back(app: Flask, visitor: Visitor, now: dt.datetime) -> None:
    told(app, visitor, now, NOWHERE)
    clients.get("shop").options = {}
    db.session.commit()
    assert deliver(now) == 1
    assert [(n.problem, n.due_at) for n in notices()] == [("no address is registered any more", None)]


def test_one_slow_or_dead_client_keeps_nobody_waiting(app: Flask, visitor: Visitor, now: dt.datetime) -> None:
    with receiver() as good, receiver() as dead:
        dead.hold.clear()
        for name, url in (("dead", dead.url), ("good", good.url), ("gone", NOWHERE)):
            enter(open_shop(app, name, backchannel_logout_uri=url), visitor)
        sessions.end([actor_of(visitor).signin_id], now)
        db.session.commit()
        assert deliver(now) == 3
        dead.hold.set()
    assert {n.client_id: bool(n.problem) for n in notices()} == {"dead": True, "good": False, "gone": True}


def test_who_dies_with_a_notice_in_hand_loses_nothing(app: Flask, visitor: Visitor, now: dt.datetime) -> None:
    with receiver() as address:
        told(app, visitor, now, address.url)
        channel = backchannel.channel(factories.registry(), allow_loopback=True)
        assert len(outbox.claim(channel, now, 10)) == 1
        db.session.commit()
        assert deliver(now) == 0
        assert deliver(now + backchannel.WAITS[0]) == 1
        assert address.token()


def test_several_workers_at_once_send_each_once(app: Flask, person: Holder, now: dt.datetime) -> None:
    count = worker.LETTERS + 8
    with receiver() as address:
        open_shop(app, backchannel_logout_uri=address.url)
        for n in range(count):
            db.session.add(LogoutNotice(client_id="shop", sid=f"sid_{n}", subject="s", created_at=now, due_at=now))
        db.session.commit()

        def work() -> int:
            with app.app_context():
                return sum(iter(lambda: deliver(now), 0))

        with ThreadPoolExecutor(4) as pool:
            tried = [future.result() for future in [pool.submit(work) for _ in range(4)]]
        assert (sum(tried), deliver(now)) == (count, 0)
        assert {n.problem for n in notices()} == {""}
        received = [claims_of(address.token())["sid"] for _ in range(count)]
        assert address.received.empty()
    assert sorted(received) == sorted(f"sid_{n}" for n in range(count))
    assert all(n.delivered_at == now and n.attempts == 1 for n in notices())


def test_the_command_sends_what_waits(app: Flask, visitor: Visitor, now: dt.datetime) -> None:
    with receiver() as address:
        told(app, visitor, now, address.url)
        answer = app.test_cli_runner().invoke(args=["worker", "--once"])
        assert answer.exit_code == 0, answer.output
        assert "logout: 1" in answer.output.splitlines()
        assert address.token()


def test_administrators_see_what_was_not_taken(app: Flask, visitor: Visitor, now: dt.datetime) -> None:
    told(app, visitor, now, NOWHERE)
    desk = Desk(app.test_client()).sign_in(factories.administrator(now), now)
    desk.get("/admin/clients/shop")
    assert "Logout notices" not in desk.says
    deliver(now)
    desk.get("/admin/clients/shop")
    ((_since, attempts, problem, _next),) = desk.rows()
    assert (attempts, problem) == ("1", "127.0.0.1: ConnectError")


def test_without_a_database_the_worker_says_so(tmp_path: Any) -> None:
    empty = create_app(make_settings(f"sqlite:///{tmp_path}/empty.sqlite"))
    answer = empty.test_cli_runner().invoke(args=["worker", "--once"])
    assert answer.exit_code == 1
    assert "Some of the background work failed" in answer.output
