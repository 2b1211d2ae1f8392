"""Receipts: every event that a holder has to know of has one, with the whole content, signed, for the holder only."""

import datetime as dt
import hashlib

import pytest
from flask import Flask
from sqlalchemy import select

from consent import endings, history, lifecycle, receipt_words, receipts
from consent.keys import KeyUse
from consent.records import Consent, ConsentEvent, Event, State
from dataspace import jose
from dataspace.db import db
from dataspace.errors import NotFound
from dataspace.sealing import Unreadable
from dataspace.vault import DataKey
from tests import factories
from tests.consent.test_checks import too_long

DAY = dt.timedelta(days=1)
LANGUAGES = {"zh_hans", "zh_hant", "en"}


def said(consent: Consent) -> list[dict[str, object]]:
    """What the receipts of a consent say, oldest first."""
    vault = factories.registry().vault
    return [receipts.signed(r, vault=vault).content for r in reversed(receipts.of_consent(consent.consent_id))]


@pytest.mark.parametrize("event", sorted(set(Event) - receipts.WITHOUT))
def test_every_event_is_said_in_three_languages(event: Event) -> None:
    words = receipt_words.what(event, channel="page")
    assert set(words) == set(receipt_words.withdraw()) == LANGUAGES
    assert words != receipt_words.CHANGED
    for language, text in words.items():
        assert not too_long(text, english=language == "en"), text  # check C-06


def test_an_event_without_a_sentence_is_still_told() -> None:
    assert set(receipt_words.what("consent:unheard_of", channel="page")) == LANGUAGES


def test_c40_giving_changing_and_stopping_each_have_one(app: Flask, now: dt.datetime) -> None:
    world, registry = factories.world(now), factories.registry()
    consent, asked = world.consent, factories.ask(world.purpose, now)
    choices = factories.Choices(items=("p.edu.degree",), duration_days=7)
    lifecycle.replace(
        consent.consent_id, asked, choices, world.actor, factories.shown(now), now + DAY, registry=registry
    )
    endings.withdraw(consent.consent_id, world.actor, now + 2 * DAY, ask_deletion=True, registry=registry)
    found = said(consent)
    assert [(r["kind"], r["status"]) for r in found] == [
        ("given", "active"), ("replaced", "active"), ("withdrawn", "withdrawn"), ("deletion_requested", "withdrawn"),
    ]  # fmt: skip
    assert [r["consent"]["version"] for r in found] == [1, 2, 2, 2]  # type: ignore[index]
    assert [r["words"]["withdraw"] is not None for r in found] == [True, True, False, False]  # type: ignore[index]


def test_a_refusal_has_one(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    asked = factories.ask(world.purpose, now)
    refused = lifecycle.refuse(asked, world.actor, factories.shown(now), now, registry=factories.registry())
    (receipt,) = said(refused)
    assert (receipt["kind"], receipt["status"]) == ("refused", "refused")
    assert not any(item["chosen"] for item in receipt["consent"]["items"])  # type: ignore[index]


def test_what_time_ends_has_one(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    assert endings.sweep(now + 91 * DAY, registry=factories.registry()) == 1
    assert [r["kind"] for r in said(world.consent)] == ["given", "expired"]


def test_what_a_client_gives_back_is_not_told_as_stopped_by_the_holder(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    endings.give_back(world.consent.consent_id, "bank", now, registry=factories.registry())
    given_back = said(world.consent)[-1]
    assert given_back["words"]["what"] == receipt_words.GIVEN_BACK  # type: ignore[index]


def test_an_administrator_is_an_office_and_no_person(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    admin = factories.supervisor(factories.administrator(now), now)
    endings.revoke(
        world.consent.consent_id, admin, now, reason_code="fraud", text="查实冒用", registry=factories.registry()
    )
    event = said(world.consent)[-1]["event"]
    assert (event["actor_id"], event["capacity"]) == (None, "administrator")  # type: ignore[index]
    assert (event["reason_code"], event["text"]) == ("fraud", "查实冒用")  # type: ignore[index]


def test_it_holds_the_consent_the_text_and_the_event_as_they_are_kept(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    document, digest = history.current_document(world.consent)
    (receipt,) = said(world.consent)
    assert receipt["consent"] == document
    assert receipt["consent_digest"] == f"sha-256:{digest}" == f"sha-256:{jose.digest(document)}"
    assert receipt["notice"] == {"text": factories.shown(now).text, "digest": document["notice"]["digest"]}
    event = db.session.scalars(select(ConsentEvent).order_by(ConsentEvent.event_id.desc())).first()
    assert event is not None
    told = dict(receipt["event"])  # type: ignore[call-overload]
    assert told.pop("digest") == event.digest == jose.digest(told | {"consent_id": world.consent.consent_id})
    assert receipt["digests"] == {name: jose.digest(part) for name, part in receipts.parts(receipt).items()}


def test_it_is_signed_with_a_key_that_is_published_for_ever(app: Flask, now: dt.datetime) -> None:
    world, registry = factories.world(now), factories.registry()
    row = receipts.latest(world.consent.consent_id)
    assert row is not None
    signed = receipts.signed(row, vault=registry.vault)
    token = jose.read(signed.compact)
    key = registry.keyring.verification_key(token.header["kid"], purpose=KeyUse.RECORDS, now=now + 3650 * DAY)
    verified = jose.verify_bytes(token, key, algorithms={"ES256"}, expected_typ=receipts.TYP)
    assert verified.payload == signed.payload == jose.canonical(signed.content)
    assert row.digest == hashlib.sha256(signed.payload).hexdigest()
    assert receipts.issued(row.receipt_id, row.digest) is row
    assert receipts.issued(row.receipt_id, "0" * 64) is None


def test_it_belongs_to_its_space(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    row = receipts.latest(world.consent.consent_id)
    assert row is not None
    assert receipts.of_space(row.receipt_id, world.actor.space_id) is row
    for stranger in ("spc_another", ""):
        with pytest.raises(NotFound):
            receipts.of_space(row.receipt_id, stranger)


def test_it_is_erased_with_the_space_and_hinders_no_end(app: Flask, now: dt.datetime) -> None:
    world, registry = factories.world(now), factories.registry()
    db.session.get_one(DataKey, world.actor.space_id).wrapped = None
    db.session.flush()
    row = receipts.latest(world.consent.consent_id)
    assert row is not None
    assert b"bank" not in row.sealed
    with pytest.raises(Unreadable):
        receipts.signed(row, vault=registry.vault)
    endings.withdraw(world.consent.consent_id, world.actor, now, registry=registry)
    assert world.consent.state == State.WITHDRAWN
    assert receipts.latest(world.consent.consent_id) is row
