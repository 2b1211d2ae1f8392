"""A client says with its own signature that it has deleted: kept as signed, shown to the holder, refused when wrong."""

import datetime as dt
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from consent import deletions, endings
from consent.deletions import Deletion
from consent.records import ConsentEvent, Event
from dataspace import jose, jwk
from dataspace.db import db
from tests import factories
from tests.conftest import ISSUER
from tests.consent.third_party import ThirdParty, proof_key
from tests.consent.visitor import Visitor
from tests.factories import World

TYP = "deletion-statement+jwt"


@pytest.fixture
def world(app: Flask, now: dt.datetime) -> World:
    made = factories.world(now)
    endings.withdraw(made.consent.consent_id, made.actor, now, ask_deletion=True, registry=factories.registry())
    db.session.commit()
    return made


@pytest.fixture
def bank(world: World, app: Flask) -> ThirdParty:
    return ThirdParty(world.party, app.test_client())


def statement(world: World, now: dt.datetime, *, key: jwk.SigningKey | None = None, typ: str = TYP, **said: Any) -> str:
    """What the bank signs; None leaves a claim out."""
    seconds = int(now.timestamp())
    claims = {"iss": "bank", "aud": ISSUER, "iat": seconds, "grant_id": world.consent.consent_id, "deleted_at": seconds}
    claims = {name: value for name, value in (claims | said).items() if value is not None}
    return jose.sign(claims, key or world.party.key, typ=typ)


def send(bank: ThirdParty, text: str | bytes) -> TestResponse:
    return bank.http.post("/oauth/deletions", data=text, content_type=f"application/{TYP}")


def test_the_statement_is_kept_as_signed_and_the_holder_sees_it(
    world: World, bank: ThirdParty, app: Flask, now: dt.datetime
) -> None:
    signed = statement(world, now)
    answer = send(bank, signed)
    assert (answer.status_code, answer.json["grant_id"]) == (200, world.consent.consent_id)
    assert answer.headers["Cache-Control"] == "no-store"
    kept = deletions.of_consent(world.consent.consent_id)
    assert kept is not None
    assert (kept.statement, kept.confirmed_at is not None) == (signed, True)
    page = Visitor(app.test_client()).sign_in(world.person, now).get(f"/authorizations/{world.consent.consent_id}")
    assert "deleted" in page.says
    again = send(bank, statement(world, now + dt.timedelta(seconds=1)))
    assert again.json == answer.json
    assert db.session.query(ConsentEvent).filter_by(kind=Event.DELETION_CONFIRMED).count() == 1


WRONG: dict[str, tuple[dict[str, Any], int, str]] = {
    "another kind of message": ({"typ": "JWT"}, 400, "invalid_request"),
    "a key that is not registered": ({"key": proof_key()}, 400, "invalid_request"),
    "an unknown client": ({"iss": "nobody"}, 401, "invalid_client"),
    "another audience": ({"aud": "https://other.example"}, 400, "invalid_request"),
    "no time": ({"iat": None}, 400, "invalid_request"),
    "no grant": ({"grant_id": None}, 400, "invalid_request"),
    "a grant that is a number": ({"grant_id": 7}, 400, "invalid_request"),
    "an unknown grant": ({"grant_id": "cns_none"}, 400, "invalid_grant_id"),
    "a time that is a text": ({"deleted_at": "today"}, 400, "invalid_request"),
    "a time to come": ({"deleted_at": 4_000_000_000}, 400, "invalid_request"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_statement_is_refused_and_nothing_is_kept(
    world: World, bank: ThirdParty, now: dt.datetime, case: str
) -> None:
    changes, status, error = WRONG[case]
    answer = send(bank, statement(world, now, **changes))
    assert (answer.status_code, answer.json["error"]) == (status, error), answer.text
    assert db.session.query(Deletion).filter(Deletion.confirmed_at.is_not(None)).count() == 0


@pytest.mark.parametrize("body", [b"", b"a.b.c", b"\xff\xfe", b"." * 9000, b"{}"])
def test_nonsense_is_refused(bank: ThirdParty, body: bytes) -> None:
    assert send(bank, body).status_code in (400, 401)


def test_a_grant_that_goes_on_is_not_deleted(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    answer = send(ThirdParty(world.party, app.test_client()), statement(world, now))
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_grant_id")
