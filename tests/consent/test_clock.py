"""The clock is set back: what has ended stays ended, nothing counts twice, and a withdrawal is taken at any time.

For a browser and a client the clock is the real one; for them everything has happened at a time that is still to come.
"""

import datetime as dt
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from consent import endings, lifecycle, receipts, worker
from consent.keys import Keyring, KeyUse, NoKey, ServerKey
from consent.oauth.tokens import Kind, Token
from consent.records import Reason, State, facts_of, why_inactive
from dataspace import clock, mandates, signins
from dataspace.accesses import Access
from dataspace.db import db
from dataspace.mandates import Capacity
from dataspace.permission import ReadRefused
from dataspace.web.shell import services
from tests import factories
from tests.consent import reading
from tests.consent.third_party import ThirdParty, code_for, tokens_for
from tests.consent.visitor import Visitor

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


@pytest.fixture
def before(app: Flask, now: dt.datetime) -> dt.datetime:
    """A moment before there were any keys: the clock was set back by ten days."""
    db.session.execute(update(ServerKey).values(created_at=now + 10 * DAY, active_from=now + 10 * DAY))
    db.session.commit()
    return now


def swept(now: dt.datetime) -> None:
    worker.run_once(now, registry=factories.registry())


def reason(consent_id: str, now: dt.datetime) -> str | None:
    inactive = why_inactive(facts_of(consent_id), now)
    return inactive.reason if inactive else None


def test_a_withdrawal_is_taken_although_no_key_was_there_yet(client: FlaskClient, before: dt.datetime) -> None:
    world = factories.world(before + 10 * DAY)
    with pytest.raises(NoKey):
        Keyring(services().vault).signing_key(KeyUse.TOKENS, before)
    visitor = Visitor(client).sign_in(world.person, before)
    visitor.get(f"/authorizations/{world.consent.consent_id}")
    page = visitor.tap("Stop the authorization")
    assert "Stopped. From now on nothing can be read." in page.says
    assert db.session.get_one(type(world.consent), world.consent.consent_id).state == State.WITHDRAWN
    receipt = receipts.latest(world.consent.consent_id)
    assert receipt is not None
    said = receipts.signed(receipt, vault=services().vault)
    assert said.content["kind"] == "withdrawn"
    for later in (before, before + 11 * DAY):
        assert reason(world.consent.consent_id, later) == Reason.WITHDRAWN


@pytest.mark.parametrize("end", ["withdrawn", "everything", "at a counter", "given back", "revoked"])
def test_every_way_to_end_a_consent_is_open_before_there_were_keys(before: dt.datetime, end: str) -> None:
    world = factories.world(before + 10 * DAY)
    admin = factories.supervisor(factories.administrator(before), before)
    consent_id, registry = world.consent.consent_id, factories.registry()
    ways: dict[str, Callable[[], object]] = {
        "withdrawn": lambda: endings.withdraw(consent_id, world.actor, before, ask_deletion=True, registry=registry),
        "everything": lambda: endings.withdraw_all(world.actor, before, registry=registry),
        "at a counter": lambda: endings.withdraw_at_counter(consent_id, admin, before, text="x", registry=registry),
        "given back": lambda: endings.give_back(consent_id, "bank", before, registry=registry),
        "revoked": lambda: endings.revoke(consent_id, admin, before, reason_code="fraud", text="x", registry=registry),
    }
    ways[end]()
    db.session.commit()
    assert reason(consent_id, before + 20 * DAY) in (Reason.WITHDRAWN, Reason.INVALIDATED)


def test_what_was_given_at_a_time_to_come_is_not_readable_yet(world: factories.World, now: dt.datetime) -> None:
    given = factories.consent(factories.ask(world.purpose, now + DAY), world.actor, now + DAY)
    assert reason(given.consent_id, now) == Reason.NOT_YET_VALID
    with pytest.raises(ReadRefused, match=Reason.NOT_YET_VALID):
        reading.read(reading.token_for(given, now), None, now)


def test_a_consent_whose_end_was_written_down_does_not_live_again(world: factories.World, now: dt.datetime) -> None:
    consent_id, token = world.consent.consent_id, reading.token_for(world.consent, now)
    swept(now + 40 * DAY)
    assert reason(consent_id, now) == Reason.EXPIRED
    with pytest.raises(ReadRefused, match=Reason.EXPIRED):
        reading.read(token, None, now)


def test_an_approval_that_lapsed_is_not_given_again(app: Flask, now: dt.datetime) -> None:
    agent, head = office(now)
    consent = factories.consent(factories.ask(company_purpose(now), now), agent, now)
    swept(now + 4 * DAY)
    with pytest.raises(lifecycle.Conflict):
        lifecycle.approve(consent.consent_id, head, now, registry=factories.registry())


def office(now: dt.datetime) -> tuple[mandates.Actor, mandates.Actor]:
    body = factories.company(now)
    people = (
        (factories.holder(now, factories.AGENT, "周敏"), Capacity.AGENT),
        (factories.holder(now, factories.LEGAL_REP, "李伟强"), Capacity.LEGAL_REPRESENTATIVE),
    )
    agent, head = (
        factories.actor(person, now, on_behalf_of=factories.mandate(body, person, capacity, now))
        for person, capacity in people
    )
    return agent, head


def company_purpose(now: dt.datetime) -> factories.Purpose:
    factories.party(now)
    licence = factories.item(now, "e.reg.licence", ("uscc",))
    return factories.purpose(now, required=[licence], kinds=["legal_entity"])


@pytest.mark.parametrize("how", ["ended", "by time"])
def test_a_mandate_that_has_ended_does_not_count_again(app: Flask, now: dt.datetime, how: str) -> None:
    _agent, head = office(now)
    consent = factories.consent(factories.ask(company_purpose(now), now), head, now)
    assert head.mandate_id is not None
    mandate = db.session.get_one(mandates.Mandate, head.mandate_id)
    if how == "ended":
        mandates.end(mandate.mandate_id, now + DAY)
    else:
        mandate.valid_until = now + DAY
    db.session.commit()
    swept(now + 2 * DAY)
    db.session.refresh(mandate)
    assert (mandate.ended_at, mandate.in_force(now)) == (now + DAY, False)
    assert mandates.of_agent(head.person_id, now) == []
    assert reason(consent.consent_id, now) == Reason.MANDATE_ENDED
    secret = signins.start(signins.VerifiedSignIn(person_id=head.person_id, passkey_id="pk", at=now), now)
    visit = signins.visit(secret, now, idle=HOUR)
    assert visit is not None
    with pytest.raises(signins.NotAllowed):
        signins.act_as(visit.actor, mandate.mandate_id, now)


def test_codes_and_tokens_whose_end_was_written_down_do_not_live_again(
    world: factories.World, client: FlaskClient
) -> None:
    bank = ThirdParty(world.party, client)
    body = tokens_for(bank, world.actor)
    code, _consent = code_for(bank, world.actor)
    assert bank.read(body["access_token"]).status_code == 200
    later = clock.now() + dt.timedelta(minutes=6)
    swept(later)
    db.session.commit()
    assert bank.token(code).json["error"] == "invalid_grant"
    assert bank.introspect(body["access_token"]).json == {"active": False}
    assert bank.read(body["access_token"]).json["code"] == "invalid_token"
    assert bank.refresh(body["refresh_token"]).status_code == 200, "it has not ended"
    endings.withdraw(body["grant_id"], world.actor, clock.now(), registry=factories.registry())
    db.session.commit()
    assert bank.read(body["access_token"]).json["code"] == Reason.WITHDRAWN, "the reason is told all the same"
    swept(clock.now() + 40 * DAY - HOUR / 2)
    left = select(func.count()).select_from(Token).where(Token.kind == Kind.REFRESH, Token.revoked_at.is_(None))
    assert db.session.scalar(left) == 0
    assert bank.refresh(body["refresh_token"]).json["error"] == "invalid_grant"


def test_reads_are_counted_whatever_time_it_is(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now, max_reads=2)
    token = reading.token_for(world.consent, now)
    for moment in (now + 2 * DAY, now + DAY):
        reading.read(token, None, moment)
    with pytest.raises(ReadRefused, match=Reason.QUOTA_EXHAUSTED):
        reading.read(token, None, now)
    numbers = select(Access.read_no).where(Access.read_no.is_not(None)).order_by(Access.access_id)
    assert list(db.session.scalars(numbers)) == [1, 2]


@pytest.fixture
def world(app: Flask, now: dt.datetime) -> factories.World:
    return factories.world(now)
