"""Reading with a token: everything that must hold, and what the holder sees of each attempt that fails."""

import datetime as dt
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from consent import clients, endings
from consent.oauth.replay import SeenJti
from consent.oauth.tokens import Token
from dataspace import clock, mandates, measured
from dataspace.accesses import Access, Outcome
from dataspace.db import db
from dataspace.measured import Measured
from tests import factories
from tests.consent.third_party import LEFT_OUT, ThirdParty, proof_key, tokens_for

PATH = "/api/v1/data"


@pytest.fixture
def bank(world: factories.World, client: FlaskClient) -> ThirdParty:
    return ThirdParty(world.party, client)


@pytest.fixture
def token(bank: ThirdParty, world: factories.World) -> str:
    return str(tokens_for(bank, world.actor, give=world.consent)["access_token"])


def log() -> list[tuple[str, str | None]]:
    """Outcome and reason of every attempt that the holder can see."""
    return [(a.outcome, a.reason) for a in db.session.scalars(select(Access).order_by(Access.access_id))]


def test_a_read(bank: ThirdParty, world: factories.World, token: str) -> None:
    answer = bank.read(token)
    assert answer.status_code == 200
    assert answer.json["items"][0]["fields"] == {"school": "示例大学", "major": "会计", "level": None}
    assert answer.json["consent"] == {"id": world.consent.consent_id, "version": 1}
    assert log() == [(Outcome.ANSWERED, None)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("withdraw", "consent_withdrawn"),
        ("revoke", "consent_invalidated"),
        ("expire", "consent_expired"),
        ("suspend", "client_suspended"),
        ("close", "space_closed"),
    ],
)
def test_the_very_next_read_is_refused_with_its_reason(
    bank: ThirdParty, world: factories.World, token: str, change: str, reason: str
) -> None:
    now = clock.now()
    assert bank.read(token).status_code == 200
    if change == "withdraw":
        endings.withdraw(world.consent.consent_id, world.actor, now, registry=factories.registry())
    elif change == "revoke":
        admin = factories.supervisor(factories.administrator(now), now)
        endings.revoke(
            world.consent.consent_id, admin, now, reason_code="complaint", text="", registry=factories.registry()
        )
    elif change == "expire":
        # The token goes at the same moment, and still the consent's reason is told.
        world.consent.expires_at = now
        db.session.execute(update(Token).values(expires_at=now))
    elif change == "suspend":
        clients.suspend("bank", now, actor_id="adm", reason_code="complaint", text="")
    else:
        world.person.closed_at = now
    db.session.commit()
    answer = bank.read(token)
    assert (answer.status_code, answer.json["code"]) == (403, reason)
    assert answer.json["since"] == now.replace(microsecond=0).isoformat().replace("+00:00", "Z")
    assert log() == [(Outcome.ANSWERED, None), (Outcome.REFUSED, reason)]


def test_the_end_of_a_mandate_ends_the_reading(app: Flask, client: FlaskClient) -> None:
    now = clock.now()
    body, person = factories.company(now), factories.holder(now, factories.LEGAL_REP, "李伟强")
    mandate = factories.mandate(body, person, mandates.Capacity.LEGAL_REPRESENTATIVE, now)
    power = factories.item(now, "e.energy.power", ("month", "kwh"))
    factories.record(body, power, [{"month": "2026-09", "kwh": 5}], now)
    bank = ThirdParty(factories.party(now), client)
    factories.purpose(now, required=[power], kinds=["legal_entity"])
    db.session.commit()
    token = tokens_for(bank, factories.actor(person, now, on_behalf_of=mandate))["access_token"]
    assert bank.read(token).status_code == 200
    mandates.end(mandate.mandate_id, clock.now())
    db.session.commit()
    assert bank.read(token).json["code"] == "mandate_ended"


@pytest.mark.parametrize("still_answered", [0, 3])
def test_for_how_long_reads_were_answered_after_a_withdrawal_is_measured_once(
    bank: ThirdParty, world: factories.World, token: str, still_answered: int
) -> None:
    """Not how long its third party was silent: it comes again after an hour."""
    assert bank.read(token).status_code == 200
    last = db.session.scalars(select(Access)).one()
    last.at -= dt.timedelta(hours=1)
    before = last.at - dt.timedelta(seconds=still_answered)
    endings.withdraw(world.consent.consent_id, world.actor, before, registry=factories.registry())
    db.session.commit()
    assert measured.times() == {}  # nobody has come yet: unknown
    assert [bank.read(token).json["code"] for _ in range(3)] == ["consent_withdrawn"] * 3
    times = measured.times()[Measured.READ_AFTER_WITHDRAWAL]
    assert (times.count, times.latest) == (1, still_answered)


WRONG_PROOFS: dict[str, dict[str, Any]] = {
    "another address": {"htu": "http://localhost:8000/api/v1/data/p.edu.degree"},
    "another host": {"htu": "http://evil.example/api/v1/data"},
    "another method": {"htm": "POST"},
    "another token": {"ath": "x" * 43},
    "no token": {"ath": LEFT_OUT},
    "an hour old": {"iat": 1_700_000_000},
    "no identifier": {"jti": LEFT_OUT},
    "another key": {"key": proof_key()},
}


@pytest.mark.parametrize("changes", WRONG_PROOFS.values(), ids=WRONG_PROOFS.keys())
def test_a_wrong_proof_is_shown_to_the_holder(bank: ThirdParty, token: str, changes: dict[str, Any]) -> None:
    answer = bank.read(token, proof=bank.proof("GET", PATH, access_token=token, **changes))
    assert (answer.status_code, answer.json["code"]) == (401, "invalid_dpop_proof")
    assert answer.headers["WWW-Authenticate"].startswith('DPoP error="invalid_dpop_proof"')
    assert log() == [(Outcome.REFUSED, "invalid_dpop_proof")]


def test_a_proof_counts_once(bank: ThirdParty, token: str) -> None:
    proof = bank.proof("GET", PATH, access_token=token)
    assert [bank.read(token, proof=proof).status_code for _ in range(2)] == [200, 401]
    assert log() == [(Outcome.ANSWERED, None), (Outcome.REFUSED, "invalid_dpop_proof")]


def test_a_proof_of_a_refused_read_counts_once_too(bank: ThirdParty, token: str) -> None:
    proof = bank.proof("GET", PATH + "/p.other", access_token=token)
    assert bank.read(token, PATH + "/p.other", proof=proof).json["code"] == "item_not_granted"
    assert bank.read(token, PATH + "/p.other", proof=proof).json["code"] == "invalid_dpop_proof"


def test_proofs_of_strangers_are_not_kept(bank: ThirdParty, token: str) -> None:
    kept = select(func.count()).select_from(SeenJti)
    before = db.session.scalar(kept)
    strangers = bank.proof("GET", PATH, access_token=token, key=proof_key())
    assert bank.read(token, proof=strangers).json["code"] == "invalid_dpop_proof"
    assert bank.read("nonsense").json["code"] == "invalid_token"
    assert db.session.scalar(kept) == before
    assert bank.read(token).status_code == 200
    assert db.session.scalar(kept) == before + 1


def test_a_bound_token_is_no_bearer_token(bank: ThirdParty, token: str) -> None:
    for proof in (LEFT_OUT, bank.proof("GET", PATH, access_token=token)):
        answer = bank.read(token, scheme="Bearer", proof=proof)
        assert (answer.status_code, answer.json["code"]) == (401, "invalid_token")
    assert log() == [(Outcome.REFUSED, "invalid_token")] * 2


def test_no_proof_and_two_proofs(bank: ThirdParty, token: str) -> None:
    assert bank.read(token, proof=LEFT_OUT).json["code"] == "invalid_dpop_proof"
    headers = [("Authorization", f"DPoP {token}")]
    headers += [("DPoP", bank.proof("GET", PATH, access_token=token)) for _ in range(2)]
    assert bank.http.get(PATH, headers=headers).json["code"] == "invalid_dpop_proof"


def test_tokens_that_read_nothing(bank: ThirdParty, world: factories.World) -> None:
    body = tokens_for(bank, world.actor, give=world.consent)
    for other in ("nonsense", body["refresh_token"], body["access_token"][:-1], body["access_token"] + "A", "ü"):
        answer = bank.read(other)
        assert (answer.status_code, answer.json["code"]) == (401, "invalid_token")
    db.session.execute(update(Token).values(expires_at=clock.now()))
    db.session.commit()
    assert bank.read(body["access_token"]).json["code"] == "invalid_token"
    assert log() == []  # nobody can say whose space these were for, or the token had simply run out


def test_a_limited_consent_is_used_up(app: Flask, client: FlaskClient) -> None:
    world = factories.world(clock.now(), max_reads=2)
    bank = ThirdParty(world.party, client)
    token = tokens_for(bank, world.actor)["access_token"]
    assert [bank.read(token).status_code for _ in range(3)] == [200, 200, 403]
    assert log()[-1] == (Outcome.REFUSED, "quota_exhausted")
    assert bank.introspect(token).json == {"active": False}


def test_withdrawing_one_consent_stops_nothing_else(bank: ThirdParty, world: factories.World, token: str) -> None:
    other = tokens_for(bank, world.actor)["access_token"]
    endings.withdraw(
        world.consent.consent_id, world.actor, clock.now() + dt.timedelta(seconds=1), registry=factories.registry()
    )
    db.session.commit()
    assert [bank.read(t).status_code for t in (token, other)] == [403, 200]
