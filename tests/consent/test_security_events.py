"""What a client is told of its consents: pushed and fetched, at once and later; a real receiver, another library."""

import base64
import datetime as dt
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import jwt
import pytest
from flask import Flask, current_app, request
from sqlalchemy import select

from consent import announcements, clients, endings, lifecycle, telling, worker
from consent.announcements import Announcement
from consent.clients import Profile
from consent.documents import Choices
from consent.oauth import security_events
from consent.records import Event
from dataspace import fetching, outbox
from dataspace.db import db
from dataspace.outbox import Channel
from tests import factories
from tests.conftest import ISSUER
from tests.consent.desk import Desk
from tests.consent.shop import Server, claims_of, receiver, wait_until
from tests.consent.third_party import ThirdParty
from tests.consent.visitor import Visitor
from tests.documents import INTEGRATORS, blocks
from tests.listening import serving

NOWHERE = "http://127.0.0.1:9/events"
SECOND = dt.timedelta(seconds=1)
PERSONAL = ("陈嘉怡", factories.PERSON, "hld_", "spc_", "LN-2026-0001")


def registers(world: factories.World, url: str = "") -> ThirdParty:
    """The bank wants to hear: pushed to ``url``, or by asking."""
    bank = ThirdParty(world.party, current_app.test_client())
    if url:
        bank.registers(consent_events_delivery="push", consent_events_uri=url)
    else:
        bank.registers(consent_events_delivery="poll")
    return bank


def withdraws(world: factories.World, now: dt.datetime, *, ask_deletion: bool = False) -> None:
    endings.withdraw(
        world.consent.consent_id, world.actor, now, ask_deletion=ask_deletion, registry=factories.registry()
    )
    db.session.commit()


def rows() -> list[Announcement]:
    db.session.rollback()
    db.session.expire_all()
    return list(db.session.scalars(select(Announcement).order_by(Announcement.notice_id)))


def channel(*, allow_loopback: bool = True) -> Channel:
    return security_events.channel(factories.registry(), allow_loopback=allow_loopback)


def deliver(now: dt.datetime, *, allow_loopback: bool = True) -> int:
    return worker.deliver(channel(allow_loopback=allow_loopback), now)


def verified(bank: ThirdParty, token: str) -> dict[str, Any]:
    """As PyJWT sees it, with the keys that we publish."""
    published = jwt.PyJWKSet.from_dict(bank.http.get("/oauth/jwks").json)
    header = jwt.get_unverified_header(token)
    assert header == {"alg": "ES256", "typ": "secevent+jwt", "kid": header["kid"]}
    required = ["iss", "aud", "iat", "jti", "events"]
    claims: dict[str, Any] = jwt.decode(
        token, published[header["kid"]], ["ES256"], audience=bank.client_id, issuer=ISSUER,
        options={"require": required},
    )  # fmt: skip
    assert {"sub", "exp"}.isdisjoint(claims)  # RFC 8417 sections 2.2.1 and 4.6: it is no other kind of token
    return claims


# What is told


def test_every_event_has_one_row_in_the_table() -> None:
    assert set(telling.TELLING) == set(Event)


def test_the_client_hears_of_a_withdrawal_at_once(app: Flask, world: factories.World, now: dt.datetime) -> None:
    with receiver(otherwise=202) as address:
        bank = registers(world, address.url)
        visitor = Visitor(app.test_client()).sign_in(world.person, now)
        visitor.get(f"/authorizations/{world.consent.consent_id}")
        visitor.tap("Stop the authorization")
        token = address.event()
        wait_until(lambda: rows()[0].delivered_at is not None)
    claims = verified(bank, token)
    assert claims.keys() == {"iss", "aud", "iat", "jti", "sub_id", "events"}
    assert claims["sub_id"]["format"] == "opaque"
    assert claims["sub_id"]["id"] != world.person.holder_id
    ((uri, body),) = claims["events"].items()
    assert uri == f"{ISSUER}/events/consent/withdrawn"
    since = body.pop("since")
    assert since == body.pop("at")
    assert body == {
        "grant_id": world.consent.consent_id,
        "consent_version": 1,
        "event_number": 4,
        "state": "withdrawn",
        "reason": "consent_withdrawn",
    }
    assert not [word for word in PERSONAL if word in json.dumps(claims, ensure_ascii=False)]
    assert [(row.attempts, row.due_at, row.problem) for row in rows()] == [(1, None, "")]


def test_the_person_does_not_wait_for_a_client_that_hangs(app: Flask, world: factories.World, now: dt.datetime) -> None:
    with receiver(otherwise=202) as address:
        address.hold.clear()
        registers(world, address.url)
        visitor = Visitor(app.test_client()).sign_in(world.person, now)
        visitor.get(f"/authorizations/{world.consent.consent_id}")
        page = visitor.tap("Stop the authorization")
        assert page.status == 200
        address.event()
        assert rows()[0].delivered_at is None
        address.hold.set()
        wait_until(lambda: rows()[0].delivered_at is not None)


def test_each_version_names_the_items_that_it_changes(app: Flask, now: dt.datetime) -> None:
    degree, tax = factories.item(now), factories.item(now, "p.tax.income", ("year",))
    bank, person = factories.party(now, consent_events_delivery="poll"), factories.holder(now)
    row = factories.purpose(now, required=[degree], optional=[tax])
    by, asked = factories.actor(person, now), factories.ask(row, now)
    given = factories.consent(asked, by, now, items=["p.edu.degree"])
    both = Choices(items=("p.edu.degree", "p.tax.income"), duration_days=7)
    lifecycle.replace(given.consent_id, asked, both, by, factories.shown(now), now, registry=factories.registry())
    endings.withdraw(given.consent_id, by, now, ask_deletion=True, registry=factories.registry())
    db.session.commit()
    told = [(r.kind, r.body["consent_version"], r.body["state"], r.body.get("items")) for r in rows()]
    assert told == [
        ("consent:given", 1, "active", {"added": ["p.edu.degree"], "removed": [], "changed": []}),
        ("consent:replaced", 2, "active", {"added": ["p.tax.income"], "removed": [], "changed": []}),
        ("consent:withdrawn", 2, "withdrawn", None),
        ("consent:deletion_requested", 2, "withdrawn", None),
    ]
    numbers = [r.body["event_number"] for r in rows()]
    assert numbers == sorted(set(numbers))
    assert bank.client.client_id == rows()[0].client_id


def test_the_end_by_time_is_told_too(world: factories.World, now: dt.datetime) -> None:
    registers(world)
    later = now + dt.timedelta(days=91)
    assert endings.sweep(later, registry=factories.registry()) == 1
    db.session.commit()
    (row,) = rows()
    assert (row.kind, row.body["state"], row.body["reason"]) == ("consent:expired", "expired", "consent_expired")


def test_who_has_not_registered_hears_nothing(world: factories.World, now: dt.datetime) -> None:
    withdraws(world, now)
    assert rows() == []


def test_what_did_not_happen_is_not_told(world: factories.World, now: dt.datetime) -> None:
    registers(world)
    endings.withdraw(world.consent.consent_id, world.actor, now, registry=factories.registry())
    db.session.rollback()
    assert rows() == []


# Pushed: RFC 8935


@pytest.mark.parametrize(
    ("status", "body", "problem", "again"),
    [
        (202, b"", "", False),
        (202, b"anything", "", False),
        (200, b"", "answered 200", True),
        (204, b"", "answered 204", True),
        (302, b"", "answered 302", True),
        (400, b"", "answered 400", True),
        (400, b"[]", "answered 400", True),
        (400, b'{"err": 7}', "answered 400", True),
        (400, b'{"err": "made up"}', "answered 400", True),
        (400, b'{"err": "invalid_key"}', "refused: invalid_key", True),
        (400, b'{"err": "authentication_failed", "description": "x"}', "refused: authentication_failed", True),
        (400, b'{"err": "invalid_audience"}', "refused: invalid_audience", False),
        (400, b'{"err": "invalid_request"}', "refused: invalid_request", False),
        (400, b'{"err": "' + b"x" * 10_000_000 + b'"}', "answered 400", True),
        (202, b"x" * 10_000_000, "", False),
        (500, b"", "answered 500", True),
    ],
    ids=lambda value: value[:40] if isinstance(value, bytes) else None,
)
def test_what_counts_as_taken(
    status: int, body: bytes, problem: str, again: bool, world: factories.World, now: dt.datetime
) -> None:
    with receiver(otherwise=status, body=body) as address:
        registers(world, address.url)
        withdraws(world, now)
        assert deliver(now) == 1
    (row,) = rows()
    assert (row.problem, row.due_at is not None, row.delivered_at == now) == (problem, again, problem == "")


@pytest.mark.parametrize(
    ("url", "loopback", "problem"),
    [
        (NOWHERE, True, "127.0.0.1: ConnectError"),
        (NOWHERE, False, "not https"),
        ("https://10.0.0.1/events", True, "10.0.0.1: not a public address"),
        ("https://169.254.169.254/latest", True, "169.254.169.254: not a public address"),
        ("https://[::ffff:127.0.0.1]/", False, "::ffff:127.0.0.1: not a public address"),
        ("file:///etc/passwd", True, "not a host name"),
    ],
    ids=["nobody there", "loopback not allowed", "a network inside", "metadata", "loopback", "another scheme"],
)
def test_the_guard_stands_before_it(
    url: str, loopback: bool, problem: str, world: factories.World, now: dt.datetime
) -> None:
    registers(world, url)
    withdraws(world, now)
    assert deliver(now, allow_loopback=loopback) == 1
    assert [row.problem for row in rows()] == [problem]


def test_it_is_tried_for_72_hours_and_then_a_dead_letter(app: Flask, world: factories.World, now: dt.datetime) -> None:
    assert sum(announcements.WAITS, dt.timedelta(0)) == dt.timedelta(hours=72)
    moment = now
    tries = len(announcements.WAITS) + 1
    with receiver(*[503] * tries, otherwise=202) as address:
        registers(world, address.url)
        withdraws(world, now)
        for wait in [*announcements.WAITS, None]:
            assert (deliver(moment), deliver(moment)) == (1, 0)
            (row,) = rows()
            if wait is None:
                break
            assert row.due_at == moment + wait
            moment += wait
        assert (row.attempts, row.due_at, moment) == (tries, None, now + dt.timedelta(hours=72))
        sent = [claims_of(address.event()) for _ in range(tries)]
        assert len({claims["jti"] for claims in sent}) == 1

        desk = Desk(app.test_client()).sign_in(factories.administrator(now), now)
        desk.get("/admin/undelivered")
        ((_since, name, what, consent, attempts, problem, _button),) = desk.rows()
        assert (name, what, consent) == ("Lingnan Example Bank", "Stopped", world.consent.consent_id)
        assert (attempts, problem) == (str(tries), "answered 503")
        desk.post("/admin/undelivered/again", notice=str(row.notice_id))
        assert "1 notice is sent again" in desk.says
        assert claims_of(address.event())["jti"] == sent[0]["jti"]
        wait_until(lambda: rows()[0].delivered_at is not None)
    desk.get("/admin/undelivered")
    assert "Every notice was taken" in desk.says
    assert desk.get("/admin/activity").status_code == 200
    assert "sent again" in desk.says


def test_all_of_a_client_are_sent_again_and_nothing_else(app: Flask, world: factories.World, now: dt.datetime) -> None:
    registers(world, NOWHERE)
    for n in range(3):
        announcements.verify("bank", now + n * SECOND)
    db.session.commit()
    for row in rows():
        row.due_at, row.problem = None, "answered 500"
    db.session.commit()
    desk = Desk(app.test_client()).sign_in(factories.administrator(now), now)
    desk.get("/admin/undelivered?client=bank")
    desk.post("/admin/undelivered/again", notice="9" * 30)
    assert "0 notices are sent again" in desk.says
    desk.get("/admin/undelivered?client=bank")
    desk.post("/admin/undelivered/again", client="bank")
    assert "3 notices are sent again" in desk.says


def test_an_address_that_was_taken_back(world: factories.World, now: dt.datetime) -> None:
    registers(world, NOWHERE)
    withdraws(world, now)
    clients.get("bank").options = {}
    db.session.commit()
    assert deliver(now) == 1
    assert [(row.problem, row.due_at) for row in rows()] == [("no address is registered any more", None)]


def test_a_test_notice_shows_whether_a_client_hears(app: Flask, world: factories.World, now: dt.datetime) -> None:
    desk = Desk(app.test_client()).sign_in(factories.administrator(now), now)
    desk.get("/admin/clients/bank")
    assert "Send a test notice" not in desk.says
    desk.post("/admin/clients/bank/verify", status=409)
    with receiver(otherwise=202) as address:
        bank = registers(world, address.url)
        desk.get("/admin/clients/bank")
        desk.post("/admin/clients/bank/verify")
        claims = verified(bank, address.event())
        wait_until(lambda: rows()[0].delivered_at is not None)
    assert claims["events"] == {f"{ISSUER}/events/verification": {}}
    assert "sub_id" not in claims


# Several at once, some of whom are down


def test_who_is_down_is_left_alone_and_the_rest_does_not_count_as_tried(
    world: factories.World, now: dt.datetime
) -> None:
    registers(world, NOWHERE)
    count = worker.LETTERS + 5
    for _ in range(count):
        announcements.verify("bank", now)
    db.session.commit()
    assert deliver(now) == worker.LETTERS
    assert deliver(now) == 0
    assert sorted(row.attempts for row in rows()) == [0] * (count - 1) + [1]
    assert {row.due_at for row in rows()} == {now + outbox.REST}
    late = now + dt.timedelta(hours=73)
    assert deliver(late) == worker.LETTERS
    assert deliver(late) == 0
    assert {row.due_at for row in rows()} == {None}
    assert len(announcements.given_up(limit=1000)) == count


@pytest.fixture
def crowd(app: Flask, now: dt.datetime) -> Iterator[tuple[int, int]]:
    """Clients that all are to be told at one moment: how many answer, how many hang."""
    answering, hanging = 40, 12
    with ExitStack() as stack:
        good, dead = (stack.enter_context(receiver(otherwise=202)) for _ in range(2))
        dead.hold.clear()
        for n in range(answering + hanging):
            url = dead.url if n % 4 == 3 and n // 4 < hanging else good.url
            factories.party(now, f"c{n}", profile=Profile.LOGIN, consent_events_delivery="push", consent_events_uri=url)
            announcements.verify(f"c{n}", now)
        db.session.commit()
        yield answering, hanging
        dead.hold.set()


def test_measured_how_many_hear_within_ten_seconds(
    crowd: tuple[int, int], now: dt.datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    answering, hanging = crowd
    began = time.monotonic()
    told: list[float] = []
    while deliver(now):
        took = time.monotonic() - began
        told += [took] * (sum(row.delivered_at is not None for row in rows()) - len(told))
    in_time = sum(seconds <= 10 for seconds in told)
    with capsys.disabled():
        print(f"\n{in_time} of {answering} reachable clients told within 10 s, {hanging} others hanging")
    assert len(told) == answering
    assert [row.problem for row in rows() if row.delivered_at is None] == ["127.0.0.1: ReadTimeout"] * hanging


def test_the_answer_is_not_read_to_its_end() -> None:
    with receiver(otherwise=400, body=b"x" * 10_000_000) as address:
        answer = fetching.post(address.url, b"{}", content_type="application/json", max_bytes=100, allow_loopback=True)
    assert answer == fetching.Answered(400, b"x" * 100)


# Fetched: RFC 8936


def asks(bank: ThirdParty, body: Any = None, **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    headers = headers or {"Authorization": f"Bearer {bank.assertion()}"}
    return bank.http.post("/oauth/events", data=raw, content_type="application/json", headers=headers)


def test_a_client_fetches_and_acknowledges(world: factories.World, now: dt.datetime) -> None:
    bank = registers(world)
    withdraws(world, now, ask_deletion=True)
    first = asks(bank, {"maxEvents": 1, "returnImmediately": True})
    assert (first.status_code, first.json["moreAvailable"]) == (200, True)
    assert first.headers["Cache-Control"] == "no-store"
    ((jti, token),) = first.json["sets"].items()
    claims = verified(bank, token)
    assert claims["jti"] == jti
    assert list(claims["events"]) == [f"{ISSUER}/events/consent/withdrawn"]
    assert list(asks(bank, {"maxEvents": 1}).json["sets"]) == [jti]  # until it is acknowledged
    second = asks(bank, {"ack": [jti]}).json
    assert second["moreAvailable"] is False
    ((other, token),) = second["sets"].items()
    assert list(claims_of(token)["events"]) == [f"{ISSUER}/events/consent/deletion_requested"]
    error = {other: {"err": "invalid_key", "description": "<b>"}}
    assert list(asks(bank, {"setErrs": error, "maxEvents": 0}).json["sets"]) == []
    taken, refused = rows()
    assert (taken.delivered_at is not None, taken.problem) == (True, "")
    assert (refused.delivered_at, refused.problem, refused.due_at) == (None, "refused: invalid_key", None)
    assert asks(bank, {"ack": [other]}).json == {"sets": {}, "moreAvailable": False}


def test_nobody_fetches_or_acknowledges_what_is_another_clients(world: factories.World, now: dt.datetime) -> None:
    bank = registers(world)
    withdraws(world, now)
    (row,) = rows()
    other = ThirdParty(factories.party(now, "other", consent_events_delivery="poll"), bank.http)
    db.session.commit()
    told = {"ack": [row.jti], "setErrs": {row.jti: {"err": "invalid_key"}}}
    assert asks(other, told).json == {"sets": {}, "moreAvailable": False}
    assert list(asks(bank).json["sets"]) == [row.jti]


def test_what_is_not_fetched_is_a_dead_letter_too_and_can_still_be_fetched(
    world: factories.World, now: dt.datetime
) -> None:
    bank = registers(world)
    withdraws(world, now)
    assert deliver(now + dt.timedelta(hours=71)) == 0
    assert deliver(now + dt.timedelta(hours=72)) == 1
    assert [row.problem for row in announcements.given_up()] == ["not fetched"]
    assert len(asks(bank).json["sets"]) == 1


def test_how_a_client_proves_itself(app: Flask, world: factories.World, now: dt.datetime) -> None:
    bank = registers(world)
    once = bank.assertion()
    assert asks(bank, Authorization=f"Bearer {once}").status_code == 200
    assert asks(bank, Authorization=f"Bearer {once}").status_code == 401
    assert asks(bank, Authorization="Bearer x").status_code == 401
    assert asks(bank, Authorization=f"Bearer {bank.assertion(aud='https://elsewhere.example')}").status_code == 401
    assert asks(bank, Authorization="Basic eDp5").status_code == 401
    assert asks(bank, Accept="*/*").status_code == 401
    shop = ThirdParty(
        factories.party(now, "shop", profile=Profile.LOGIN, method="client_secret_basic"), app.test_client()
    )
    db.session.commit()
    pair = base64.b64encode(f"shop:{shop.party.secret}".encode()).decode()
    assert asks(shop, Authorization=f"Basic {pair}").json == {"sets": {}, "moreAvailable": False}


@pytest.mark.parametrize(
    "body",
    [
        b"", b"x", b"[]", b"\xff", b'{"maxEvents": -1}', b'{"maxEvents": "1"}', b'{"maxEvents": true}',
        b'{"ack": "a"}', b'{"ack": [1]}', b'{"ack": ["\\u0000"]}', b'{"setErrs": []}', b'{"setErrs": {"a": "b"}}',
        json.dumps({"ack": ["a"] * 1001}).encode(), b"[" * 50_000,
    ],
    ids=lambda body: body[:20],
)  # fmt: skip
def test_what_cannot_be_meant(body: bytes, world: factories.World) -> None:
    answer = asks(registers(world), body or b" ")
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")


def test_an_acknowledgement_of_ten_megabytes_is_refused(world: factories.World, now: dt.datetime) -> None:
    bank = registers(world)
    withdraws(world, now)
    (row,) = rows()
    for padding in (b" " * 10_000_000, b', "' + b"x" * 10_000_000 + b'"'):
        answer = asks(bank, b'{"ack": ["' + row.jti.encode() + b'"' + padding + b"]}")
        assert answer.status_code == 413
    assert list(asks(bank).json["sets"]) == [row.jti], "it still waits"


def test_the_description_tells_the_truth(app: Flask, world: factories.World) -> None:
    told = app.test_client().get("/.well-known/consent-events").json
    assert told["delivery_methods_supported"] == ["urn:ietf:rfc:8935", "urn:ietf:rfc:8936"]
    assert told["poll_endpoint"] == f"{ISSUER}/oauth/events"
    assert f"{ISSUER}/events/verification" in told["events_supported"]
    heard = {f"{ISSUER}/events/{event.replace(':', '/')}" for event, who in telling.TELLING.items() if who.client}
    beside = {f"{ISSUER}/events/data/corrected", f"{ISSUER}/events/verification"}  # no events of a consent
    assert heard | beside == set(told["events_supported"])
    assert told["jwks_uri"] == f"{ISSUER}/oauth/jwks"


# The guide


@contextmanager
def published(document: Any) -> Iterator[str]:
    """A JSON document on the loopback, as a receiver elsewhere would fetch it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Quiet."""

    server = Server(("127.0.0.1", 0), Handler)
    with serving(server) as address:
        yield f"{address}/"


def test_the_receiver_of_the_guide_does_what_it_says(world: factories.World, now: dt.datetime) -> None:
    bank = registers(world)
    withdraws(world, now)
    (token,) = asks(bank).json["sets"].values()
    (code,) = (b.text for b in blocks(INTEGRATORS) if b.language == "python" and "/consent-events" in b.text)
    stopped: list[str] = []
    third_party = Flask("third-party")
    with published(bank.http.get("/oauth/jwks").json) as address:
        code = code.replace(f"{ISSUER}/oauth/jwks", address).replace("lingnan-bank", bank.client_id)
        names = {"app": third_party, "jwt": jwt, "request": request, "stop_using": stopped.append}
        exec(code, names)
        sent = {"data": token, "content_type": "application/secevent+jwt"}
        assert third_party.test_client().post("/consent-events", **sent).status_code == 202
    assert stopped == [world.consent.consent_id]
