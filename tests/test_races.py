"""Two processes at the same moment: what must happen once happens once, and what has ended does not live on.

Each race is run several times as it comes. On PostgreSQL the decisive ones are also run past a lock that is held until
both processes wait for it: then both have looked before either has written, which is the worst order there is.
"""

import dataclasses
import datetime as dt
import json
import os
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from consent import endings, keys, worker
from consent.asks import Ask
from consent.client_options import CIBA, DEVICE_CODE
from consent.keys import KeyUse
from consent.oauth import replay
from consent.oauth.bindings import digest_of
from consent.oauth.codes import AuthorizationCode
from consent.oauth.par import AuthorizationRequest
from consent.records import Consent
from dataspace import accesses, clock, jose
from dataspace.accesses import Access
from dataspace.by_law import LawCase, LawDay
from dataspace.db import db, new_id
from dataspace.errors import Conflict
from dataspace.mandates import Actor
from dataspace.permission import Permission, ReadRefused
from dataspace.web.shell import services
from tests import factories, withdrawals
from tests.arena import Answer, Arena, Request, arena
from tests.conftest import fresh_database, make_settings
from tests.consent.authority import Authority, administrators, approved
from tests.consent.third_party import DETAILS, LEFT_OUT, ThirdParty, code_for, tokens_for
from tests.consent.visitor import Visitor, delivered
from tests.withdrawals import BEGUN, CONFIRMED, Board, Read
from wsgi import create_app

TRIALS = 8
FEW, MANY, BATCH = 200, 400, 25  # withdrawals on SQLite, on PostgreSQL, and between two preparations
TOKEN, DATA = "/oauth/token", "/api/v1/data"
UNTIL = dt.timedelta(hours=2)


@pytest.fixture(scope="module")
def ring(
    server_url: str | None, empty_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Flask, Arena, factories.World]]:
    with fresh_database(server_url, empty_template, tmp_path_factory.mktemp("races")) as url:
        app = create_app(make_settings(url))
        with app.app_context():
            world = factories.world(clock.now(), max_reads=1)
            with arena(url) as processes:
                yield app, processes, world
            db.session.remove()
            db.engine.dispose()


@pytest.fixture
def app(ring: tuple[Flask, Arena, factories.World]) -> Flask:
    return ring[0]


@pytest.fixture
def both(ring: tuple[Flask, Arena, factories.World]) -> Arena:
    return ring[1]


@pytest.fixture
def world(ring: tuple[Flask, Arena, factories.World]) -> factories.World:
    return ring[2]


@pytest.fixture
def bank(app: Flask, world: factories.World) -> ThirdParty:
    return ThirdParty(world.party, app.test_client())


@pytest.fixture
def held(server_url: str | None) -> None:
    if server_url is None:
        pytest.skip("needs PostgreSQL: SQLite locks the database, not a row")


def post(bank: ThirdParty, path: str, **form: Any) -> Request:
    """A request with the bank's credentials, a fresh assertion and a fresh proof."""
    return Request(method="POST", path=path, data=bank.credentials() | form, headers=bank.headers(path))


def exchange(bank: ThirdParty, code: str) -> Request:
    return post(
        bank, TOKEN, grant_type="authorization_code", code=code, redirect_uri=factories.REDIRECT_URI,
        code_verifier=bank.verifier,
    )  # fmt: skip


def renew(bank: ThirdParty, refresh_token: str) -> Request:
    return post(bank, TOKEN, grant_type="refresh_token", refresh_token=refresh_token)


def read(bank: ThirdParty, token: str) -> Request:
    proof = bank.proof("GET", DATA, access_token=token)
    return Request(method="GET", path=DATA, headers={"Authorization": f"DPoP {token}", "DPoP": proof})


def withdraw(_app: Flask, *, consent_id: str, actor: Actor) -> None:
    endings.withdraw(consent_id, actor, clock.now(), registry=factories.registry())
    db.session.commit()


def is_alive(bank: ThirdParty, token: str) -> bool:
    found: bool = bank.introspect(token).json["active"]
    return found


# One code, two exchanges (RFC 6749 section 4.1.2, RFC 9700 section 4.5, ASVS 10.4.2)


def check_one_exchange(bank: ThirdParty, answers: list[Answer]) -> None:
    """One was answered; the other was not, and has told on it."""
    won, lost = sorted(answers, key=lambda a: a.status)
    assert (won.status, lost.status, lost.body["error"]) == (200, 400, "invalid_grant")
    assert not is_alive(bank, won.body["access_token"])
    assert not is_alive(bank, won.body["refresh_token"])
    assert bank.read(won.body["access_token"]).status_code == 401
    assert bank.refresh(won.body["refresh_token"]).json["error"] == "invalid_grant"


def test_a_code_that_two_exchange_at_once_is_exchanged_once_and_what_it_brought_dies(
    both: Arena, bank: ThirdParty, world: factories.World
) -> None:
    for _trial in range(TRIALS):
        code, _consent = code_for(bank, world.actor)
        check_one_exchange(bank, both.race(exchange(bank, code), exchange(bank, code)))


def test_a_code_that_two_have_found_unused_is_exchanged_once(
    both: Arena, bank: ThirdParty, world: factories.World, held: None
) -> None:
    code, _consent = code_for(bank, world.actor)
    row = sa.select(AuthorizationCode.digest).filter_by(digest=digest_of(code)).with_for_update()
    check_one_exchange(bank, both.race_past_a_lock(row, exchange(bank, code), exchange(bank, code)))


# One signed message, two requests (RFC 7523 section 3, RFC 9449 section 11.1)


def test_an_assertion_at_two_processes_is_accepted_by_one(both: Arena, bank: ThirdParty) -> None:
    for _trial in range(TRIALS):
        pushed = post(bank, "/oauth/par", **bank.request())
        assert sorted(a.status for a in both.race(pushed, pushed)) == [201, 401]


def test_a_proof_at_two_processes_is_accepted_by_one(both: Arena, bank: ThirdParty, world: factories.World) -> None:
    for _trial in range(TRIALS):
        code, _consent = code_for(bank, world.actor)
        seen = read(bank, bank.token(code).json["access_token"])
        answers = sorted(both.race(seen, seen), key=lambda a: a.status)
        assert [a.status for a in answers] == [200, 401]
        assert answers[1].body["code"] == "invalid_dpop_proof"


# What withdrawal ends


def check_nothing_lives(bank: ThirdParty, consent_id: str, *issued: str) -> None:
    """After a withdrawal no token of the consent is good for anything, whenever it was issued."""
    for token in issued:
        assert not is_alive(bank, token)
        refused = bank.read(token).json["code"]
        assert refused in ("consent_withdrawn", "invalid_token")
    assert db.session.scalar(sa.select(Consent.state).filter_by(consent_id=consent_id)) == "withdrawn"
    db.session.rollback()


@pytest.mark.parametrize("order", ["as it comes", "both have looked"])
def test_no_token_outlives_a_withdrawal_that_runs_beside_its_renewal(
    both: Arena, bank: ThirdParty, world: factories.World, order: str, request: pytest.FixtureRequest
) -> None:
    if order == "both have looked":
        request.getfixturevalue("held")
    for _trial in range(TRIALS if order == "as it comes" else 1):
        body = tokens_for(bank, world.actor)
        jobs = (
            renew(bank, body["refresh_token"]),
            partial(withdraw, consent_id=body["grant_id"], actor=world.actor),
        )
        row = sa.select(Consent.consent_id).filter_by(consent_id=body["grant_id"]).with_for_update()
        answers = both.race(*jobs) if order == "as it comes" else both.race_past_a_lock(row, *jobs)
        renewed: Answer = answers[0]
        assert renewed.status in (200, 400)
        late = [renewed.body["access_token"]] if renewed.status == 200 else []
        check_nothing_lives(bank, body["grant_id"], body["access_token"], body["refresh_token"], *late)
        assert bank.refresh(body["refresh_token"]).json["error"] == "invalid_grant"


def test_no_token_outlives_a_withdrawal_that_runs_beside_its_exchange(
    both: Arena, bank: ThirdParty, world: factories.World
) -> None:
    for _trial in range(TRIALS):
        code, consent = code_for(bank, world.actor)
        consent_id = consent.consent_id
        exchanged, _none = both.race(exchange(bank, code), partial(withdraw, consent_id=consent_id, actor=world.actor))
        assert exchanged.status in (200, 400)
        issued = [exchanged.body[n] for n in ("access_token", "refresh_token")] if exchanged.status == 200 else []
        check_nothing_lives(bank, consent_id, *issued)


def test_a_read_beside_a_withdrawal_is_answered_and_logged_or_refused(
    both: Arena, bank: ThirdParty, world: factories.World
) -> None:
    for _trial in range(TRIALS):
        body = tokens_for(bank, world.actor)
        consent_id = body["grant_id"]
        answer, _none = both.race(
            read(bank, body["access_token"]), partial(withdraw, consent_id=consent_id, actor=world.actor)
        )
        logged = db.session.scalars(sa.select(Access.outcome).filter_by(consent_id=consent_id)).all()
        assert (answer.status, logged) in ((200, ["answered"]), (403, ["refused"]))
        assert bank.read(body["access_token"]).json["code"] == "consent_withdrawn"


def test_of_two_reads_where_one_is_left_one_is_answered(both: Arena, bank: ThirdParty, world: factories.World) -> None:
    for _trial in range(TRIALS):
        token = tokens_for(bank, world.actor)["access_token"]
        answers = both.race(read(bank, token), read(bank, token))
        assert sorted((a.status, a.body.get("code")) for a in answers) == [(200, None), (403, "quota_exhausted")]


def compare(_app: Flask, *, permission: Permission) -> str:
    try:
        accesses.record_answered(permission, ["p.energy.home"], clock.now(), action=accesses.Action.COMPARE)
    except ReadRefused as refused:
        db.session.rollback()
        return refused.reason
    db.session.commit()
    return "answered"


@pytest.mark.parametrize("order", ["as it comes", "both have looked"])
def test_of_two_comparisons_where_one_is_left_of_the_day_one_is_answered(
    both: Arena, world: factories.World, order: str, request: pytest.FixtureRequest
) -> None:
    if order == "both have looked":
        request.getfixturevalue("held")
    permission = Permission(
        client_id="bank", recipient="岭南示例银行", consent_id=new_id("cns"), consent_version=1,
        space_id=world.person.space_id, purpose="审核", reference_no=None, items=(), max_reads=None,
        auth_time=clock.now(), acr="",
    )  # fmt: skip
    for _earlier in range(accesses.COMPARISONS_A_DAY - 1):
        accesses.record_answered(permission, ["p.energy.home"], clock.now(), action=accesses.Action.COMPARE)
    db.session.commit()
    two = [partial(compare, permission=permission)] * 2
    table = sa.text("LOCK TABLE accesses IN SHARE MODE")  # may be read, but not written
    answers = both.race(*two) if order == "as it comes" else both.race_past_a_lock(table, *two)
    assert sorted(answers) == ["answered", "too_many_comparisons"]


@pytest.fixture(scope="module")
def tax(ring: tuple[Flask, Arena, factories.World]) -> Authority:
    now = clock.now()
    tax = Authority.registered(ring[0].test_client(), now)
    approved(administrators(now), now, case_limit=1, day_limit=1000)
    return tax


def test_of_two_reads_by_law_where_one_is_left_one_is_answered(both: Arena, tax: Authority) -> None:
    for trial in range(TRIALS):
        token = tax.token_for_case(case_no=f"税稽〔2026〕{trial}号")
        answers = both.race(read(tax, token), read(tax, token))
        assert sorted((a.status, a.body.get("code")) for a in answers) == [(200, None), (403, "case_limit_reached")]
    db.session.rollback()
    assert db.session.scalars(sa.select(LawDay.reads)).all() == [TRIALS], "what was refused counts for no day"


def test_two_who_open_one_case_at_once_open_one(both: Arena, tax: Authority) -> None:
    for trial in range(TRIALS):
        number = f"税稽〔2027〕{trial}号"
        demands = [post(tax, TOKEN, **tax.demand(case_no=number, defer_days=days)) for days in (1, 30)]
        answers = both.race(*demands)
        assert [a.status for a in answers] == [200, 200]
        told = {a.body["authorization_details"][0]["notice_at"] for a in answers}
        db.session.rollback()
        case = db.session.scalars(sa.select(LawCase).filter_by(case_no=number)).one()
        assert case.hidden_until is not None
        assert told == {int(case.hidden_until.timestamp())}, "whoever came first has said until when"


# Thousands of withdrawals, each with readers at it (DATASPACE_WITHDRAWALS says how many)


def test_no_read_that_starts_after_a_withdrawal_was_confirmed_is_answered(
    ring: tuple[Flask, Arena, factories.World],
    server_url: str | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    app, _both, world = ring
    wanted = int(os.environ.get("DATASPACE_WITHDRAWALS", FEW if server_url is None else MANY))
    ask = dataclasses.replace(factories.ask(world.purpose, clock.now()), max_reads=None)
    met, reads = 0, 0
    with arena(app.config["SQLALCHEMY_DATABASE_URI"], 1 + withdrawals.READERS) as everybody:
        for begin in range(0, wanted, BATCH):
            batch = min(BATCH, wanted - begin)
            found = run_batch(everybody, ask, world.actor, Board(tmp_path / "board", batch))
            met, reads = met + found[0], reads + found[1]
    with capsys.disabled():
        print(f"\n{wanted} withdrawals, {met} of them beside a read that was under way; {reads} reads")
    assert met > wanted / 2


def run_batch(everybody: Arena, ask: Ask, actor: Actor, board: Board) -> tuple[int, int]:
    """How many withdrawals met a read that was under way, and how many reads there were."""
    racers = 1 + withdrawals.READERS
    shares = [len(range(n, board.trials, racers)) for n in range(racers)]
    prepared = everybody.race(*(partial(withdrawals.prepare, trials=n, ask=ask, actor=actor) for n in shares))
    trials = list(chain.from_iterable(prepared))
    board.wipe()
    _none, *by_reader = everybody.race(
        partial(withdrawals.withdraw_each, trials=trials, board=board, actor=actor),
        *(partial(withdrawals.read_each, trials=trials, board=board, reader=n) for n in range(withdrawals.READERS)),
    )
    with board.rows() as rows:
        begun, confirmed = list(rows[BEGUN]), list(rows[CONFIRMED])
    for reads in by_reader:
        check_reads(reads, confirmed)
    every = list(chain.from_iterable(by_reader))
    met = {r.trial for r in every if r.started < confirmed[r.trial] and r.ended > begun[r.trial]}
    return len(met), len(every)


def check_reads(reads: list[Read], confirmed: list[int]) -> None:
    """What one reader has seen: answers, and from some moment on, which is not after the confirmation, none."""
    over: set[int] = set()
    for read in reads:
        assert read.refused in ("", "consent_withdrawn")
        assert read.refused or (read.trial not in over and read.started < confirmed[read.trial])
        if read.refused:
            over.add(read.trial)
    assert over == set(range(len(confirmed)))


# One request, two browsers; one browser, two tabs


def test_a_pushed_request_that_two_browsers_open_belongs_to_one(both: Arena, bank: ThirdParty) -> None:
    for _trial in range(TRIALS):
        url = bank.authorize_url()
        answers = both.race(Request(method="GET", path=url), Request(method="GET", path=url))
        assert sorted(a.status for a in answers) == [303, 400]


def test_agreeing_in_two_tabs_at_once_gives_one_consent_and_one_code(
    app: Flask, both: Arena, bank: ThirdParty, world: factories.World
) -> None:
    visitor = Visitor(app.test_client()).sign_in(world.person, clock.now())
    for _trial in range(TRIALS // 2):
        visitor.get(bank.authorize_url())
        before = counted(Consent), counted(AuthorizationCode)
        tap = tap_of(visitor, "Agree")
        answers = both.race(tap, tap)
        assert (counted(Consent), counted(AuthorizationCode)) == (before[0] + 1, before[1] + 1)
        assert all(a.status < 500 for a in answers)


def tap_of(visitor: Visitor, text: str) -> Request:
    """The tap on a button of the visitor's page, with the visitor's cookie."""
    button, cookie = visitor.page.button(text), visitor.client.get_cookie("session")
    assert button.form is not None
    assert cookie is not None
    said = {button.attributes["name"]: button.attributes["value"]} if "name" in button.attributes else {}
    return Request(
        method="POST", path=button.attributes.get("formaction", button.form.action), data=delivered(button.form) | said,
        headers={"Cookie": f"session={cookie.value}", "Accept": "text/html", "Accept-Language": "en"},
    )  # fmt: skip


def test_a_code_at_a_counter_that_two_open_belongs_to_one_and_its_answer_is_fetched_once(
    app: Flask, both: Arena, bank: ThirdParty, world: factories.World
) -> None:
    bank.registers(grant_types=["authorization_code", "refresh_token", DEVICE_CODE])
    two = [Visitor(app.test_client()).sign_in(world.person, clock.now()) for _ in range(2)]
    with two[1].client.session_transaction() as session:
        session["browser"] = "of somebody else"
    for _trial in range(TRIALS // 2):
        asked = {"authorization_details": json.dumps(DETAILS)}
        begun = bank.post("/oauth/device_authorization", asked, proof=LEFT_OUT).json
        for visitor in two:
            visitor.get(f"/device?user_code={begun['user_code']}")
        answers = both.race(*(tap_of(visitor, "The codes are the same") for visitor in two))
        assert sorted(a.status for a in answers) == [303, 409]
        won = next(i for i, answer in enumerate(answers) if answer.status == 303)
        two[won].get(answers[won].location)
        two[won].tap("Agree")
        form = {"grant_type": DEVICE_CODE, "device_code": begun["device_code"]}
        check_one_exchange(bank, both.race(post(bank, TOKEN, **form), post(bank, TOKEN, **form)))


def test_a_code_that_two_clients_bring_lets_one_ask_and_two_devices_decide_once(
    app: Flask, both: Arena, bank: ThirdParty, world: factories.World
) -> None:
    bank.registers(grant_types=["authorization_code", "refresh_token", CIBA], backchannel_token_delivery_mode="poll")
    two = [Visitor(app.test_client()).sign_in(world.person, clock.now()) for _ in range(2)]
    with two[1].client.session_transaction() as session:
        session["browser"] = "of another device"
    for _trial in range(TRIALS // 2):
        two[0].get("/requests")
        two[0].tap(next(b.text for b in two[0].page.buttons if b.text.startswith("Make")))
        code = two[0].page.says.split("Your code ")[1].split(" ")[0]
        asked = {
            "authorization_details": json.dumps(DETAILS), "scope": "openid", "login_hint": code, "binding_message": "W",
        }  # fmt: skip
        begun = both.race(*(post(bank, "/oauth/backchannel", **asked) for _ in range(2)))
        assert [a.status for a in begun] == [200, 200]
        for visitor in two:
            assert len([b for b in visitor.get("/requests").buttons if b.text == "Open"]) == 1
        answers = both.race(*(tap_of(visitor, "Open") for visitor in two))
        assert [a.status for a in answers] == [303, 303]
        pages = [visitor.get(answer.location) for visitor, answer in zip(two, answers, strict=True)]
        assert sorted(page.status for page in pages) == [200, 410], "where it was opened last it is open"
        before = counted(Consent)
        winner = two[0] if pages[0].status == 200 else two[1]
        answers = both.race(*(tap_of(winner, "Agree") for _ in range(2)))
        assert all(a.status < 500 for a in answers)
        assert counted(Consent) == before + 1, "decided once"


def counted(model: type[Any]) -> int:
    found = db.session.scalar(sa.select(sa.func.count()).select_from(model)) or 0
    db.session.rollback()
    return found


# Housekeeping


def sweep(_app: Flask, *, now: dt.datetime) -> dict[str, int]:
    return worker.run_once(now, registry=factories.registry())


def test_two_workers_sweep_each_row_once_and_nothing_that_is_alive(
    both: Arena, bank: ThirdParty, world: factories.World
) -> None:
    now = clock.now()
    long_ago = now - UNTIL
    sweep(bank.http.application, now=now)
    for n in range(3 * worker.BATCH):
        replay.remember("dpop", "key", str(n), long_ago)
    codes = [code_for(bank, world.actor)[0] for _ in range(5)]
    for model in (AuthorizationCode, AuthorizationRequest):
        db.session.execute(sa.update(model).values(expires_at=long_ago))
    db.session.commit()
    alive = tokens_for(bank, world.actor)["refresh_token"]
    first, second = both.race(partial(sweep, now=now), partial(sweep, now=now))
    swept = {name: first[name] + second[name] for name in first}
    assert swept["replay"] == 3 * worker.BATCH
    assert min(swept["tokens"], swept["requests"]) >= len(codes)
    assert (counted(AuthorizationCode), counted(AuthorizationRequest)) == (1, 1)
    assert is_alive(bank, alive)


# Keys


def rotate(_app: Flask, *, now: dt.datetime) -> str:
    try:
        keys.rotate(now, services().vault)
        db.session.commit()
    except (Conflict, sa.exc.IntegrityError) as error:
        db.session.rollback()
        return type(error).__name__
    return "rotated"


def sign(_app: Flask, *, now: dt.datetime) -> str:
    return jose.sign({"n": 1}, factories.registry().keyring.signing_key(KeyUse.TOKENS, now), typ="JWT")


def published(_app: Flask, *, now: dt.datetime) -> dict[str, Any]:
    return factories.registry().keyring.public_jwk_set(now)


def quiet() -> dt.datetime:
    """A moment at which no rotation is under way."""
    started = db.session.scalar(sa.select(sa.func.max(keys.ServerKey.active_from)))
    db.session.rollback()
    assert started is not None
    return max(clock.now(), started) + dt.timedelta(seconds=1)


def test_what_is_signed_during_a_rotation_verifies_everywhere(both: Arena, app: Flask) -> None:
    now = quiet()
    before = published(app, now=now)
    token, outcome = both.race(partial(sign, now=now), partial(rotate, now=now))
    assert outcome == "rotated"
    later = now + keys.RING_AGE
    with_next = published(app, now=later)
    assert check_signed(token, before) == check_signed(token, with_next)
    # The relying party that looked right after the rotation knows the key that signs once it has taken over.
    handed_over = now + keys.OVERLAP
    fresh, everywhere = both.race(partial(sign, now=handed_over), partial(published, now=handed_over))
    assert check_signed(fresh, with_next) == check_signed(fresh, everywhere) != check_signed(token, before)
    assert check_signed(token, everywhere)


def test_of_two_rotations_at_once_one_happens(both: Arena, app: Flask) -> None:
    now = quiet()
    count = len(published(app, now=now)["keys"])
    outcomes = both.race(partial(rotate, now=now), partial(rotate, now=now))
    assert sorted(outcomes)[1:] == ["rotated"]
    uses = sum(len(algs) for algs in keys.ALGORITHMS.values())
    assert len(published(app, now=now + keys.RING_AGE)["keys"]) <= count + uses


def check_signed(token: str, published: dict[str, Any]) -> str:
    """The kid that verifies it."""
    found = jose.verify_bytes(token, published["keys"], algorithms={"ES256"}, expected_typ="JWT")
    return str(found.header["kid"])
