"""The consent record: its state machine, its versions, and the one function that says why it is inactive."""

import datetime as dt
import itertools
import json
from types import SimpleNamespace

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from consent import clients, endings, history, lifecycle
from consent.documents import Choices
from consent.records import (
    TRANSITIONS,
    Consent,
    ConsentEvent,
    ConsentVersion,
    Event,
    Reason,
    State,
    facts_of,
    fold,
    why_inactive,
)
from dataspace import jose, jwk, mandates
from dataspace.db import db
from dataspace.errors import Conflict, NotAllowed, NotFound
from dataspace.holders import HolderKind
from dataspace.mandates import Capacity
from tests import factories

NOW = dt.datetime(2026, 11, 23, 8, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
ENDED = {
    State.REFUSED, State.WITHDRAWN, State.EXPIRED, State.EXHAUSTED, State.TERMINATED, State.INVALIDATED,
    State.REJECTED, State.LAPSED,
}  # fmt: skip


def facts(**changes: object) -> SimpleNamespace:
    """An active consent, changed in some point."""
    values = {
        "state": State.ACTIVE, "state_since": NOW - DAY, "not_before": NOW - DAY, "expires_at": NOW + DAY,
        "max_reads": None, "reads": 0, "client_standing": "good", "client_standing_since": NOW - DAY,
        "space_closed_at": None, "mandate_id": None, "mandate_valid_until": None, "mandate_ended_at": None,
    }  # fmt: skip
    return SimpleNamespace(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"state": State.WITHDRAWN}, Reason.WITHDRAWN),
        ({"state": State.PAUSED}, Reason.PAUSED),
        ({"state": State.PAUSED, "expires_at": NOW}, Reason.EXPIRED),
        ({"state": State.SUSPENDED}, Reason.SUSPENDED),
        ({"state": State.PAUSED_SUSPENDED}, Reason.SUSPENDED),
        ({"state": State.PAUSED_SUSPENDED, "expires_at": NOW}, Reason.EXPIRED),
        ({"state": State.INVALIDATED}, Reason.INVALIDATED),
        ({"state": State.PENDING_APPROVAL}, Reason.PENDING),
        ({"state": State.PENDING_APPROVAL, "state_since": NOW - 3 * DAY}, Reason.LAPSED),
        ({"state": State.REFUSED}, Reason.REFUSED),
        ({"not_before": NOW + DAY}, Reason.NOT_YET_VALID),
        ({"expires_at": NOW}, Reason.EXPIRED),
        ({"expires_at": NOW + dt.timedelta(microseconds=1)}, None),
        ({"max_reads": 3, "reads": 2}, None),
        ({"max_reads": 3, "reads": 3}, Reason.QUOTA_EXHAUSTED),
        ({"client_standing": "suspended"}, Reason.CLIENT_SUSPENDED),
        ({"space_closed_at": NOW - DAY}, Reason.SPACE_CLOSED),
        ({"mandate_id": "m", "mandate_ended_at": NOW}, Reason.MANDATE_ENDED),
        ({"mandate_id": "m", "mandate_valid_until": NOW}, Reason.MANDATE_ENDED),
        ({"mandate_id": "m", "mandate_valid_until": NOW + DAY}, None),
        # What the holder decided is told before anything else.
        ({"state": State.WITHDRAWN, "client_standing": "suspended", "expires_at": NOW}, Reason.WITHDRAWN),
    ],
)
def test_why_inactive(changes: dict[str, object], reason: Reason | None) -> None:
    inactive = why_inactive(facts(**changes), NOW)
    assert (inactive.reason if inactive else None) == reason


@given(st.lists(st.sampled_from(list(Event)), max_size=30))
def test_nothing_follows_an_end_but_deletion(events: list[Event]) -> None:
    state = State.NEW
    for event in events:
        after = TRANSITIONS.get((state, event))
        if state in ENDED:
            assert after is None or (event.startswith("consent:deletion_") and after == state)
        state = after or state


def test_every_state_is_reachable_and_every_open_one_can_be_withdrawn() -> None:
    assert set(TRANSITIONS.values()) == set(State) - {State.NEW}
    for state in set(State) - ENDED - {State.NEW, State.REQUESTED}:
        assert TRANSITIONS[state, Event.WITHDRAWN] == State.WITHDRAWN


def events_of(consent: Consent) -> list[ConsentEvent]:
    return list(
        db.session.scalars(select(ConsentEvent).filter_by(consent_id=consent.consent_id).order_by(ConsentEvent.seq))
    )


def test_the_stored_state_is_the_fold_of_the_events(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    endings.withdraw(world.consent.consent_id, world.actor, now, ask_deletion=True, registry=factories.registry())
    events = events_of(world.consent)
    assert [e.kind for e in events] == [
        "consent:requested", "consent:page_opened", "consent:given", "consent:withdrawn", "consent:deletion_requested",
    ]  # fmt: skip
    assert fold([Event(e.kind) for e in events]) == world.consent.state == State.WITHDRAWN


def test_the_events_are_a_chain(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    endings.withdraw(world.consent.consent_id, world.actor, now, registry=factories.registry())
    events = events_of(world.consent)
    assert events[0].previous_digest is None
    for before, after in itertools.pairwise(events):
        assert after.previous_digest == before.digest


def test_a_version_is_signed_and_names_no_identifier(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    version = db.session.get_one(ConsentVersion, (world.consent.consent_id, 1))
    head, payload, signature = version.signature.split(".")
    assert payload == ""
    encoded = jwk.b64encode(version.document.encode())
    keys = list(factories.registry().keyring.public_jwk_set(now)["keys"])
    verified = jose.verify_bytes(
        f"{head}.{encoded}.{signature}", keys, algorithms=frozenset({"ES256"}), expected_typ="dsa-consent+json"
    )
    document = json.loads(verified.payload)
    assert document["consent_id"] == world.consent.consent_id
    assert document["items"][0]["chosen"] is True
    assert factories.PERSON not in version.document
    assert "陈嘉怡" not in version.document


def test_a_refusal_stays_on_record_and_gives_nothing(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    refused = lifecycle.refuse(
        factories.ask(world.purpose, now), world.actor, factories.shown(now), now, registry=factories.registry()
    )
    assert refused.state == State.REFUSED
    assert db.session.get_one(ConsentVersion, (refused.consent_id, 1)).granted == []
    inactive = why_inactive(facts_of(refused.consent_id), now)
    assert inactive is not None
    assert inactive.reason == Reason.REFUSED


@pytest.mark.parametrize(
    ("items", "days"),
    [((), 30), (("p.edu.degree", "p.other"), 30), (("p.edu.degree",), 31), (("p.edu.degree",), 0)],
)
def test_choices_outside_the_request_are_refused(
    app: Flask, now: dt.datetime, items: tuple[str, ...], days: int
) -> None:
    world = factories.world(now)
    with pytest.raises(NotAllowed):
        lifecycle.give(
            factories.ask(world.purpose, now), Choices(items=items, duration_days=days), world.actor,
            factories.shown(now), now, registry=factories.registry(),
        )  # fmt: skip


def test_a_consent_is_withdrawn_once_and_only_by_its_holder(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    stranger = factories.actor(factories.holder(now, factories.OTHER_PERSON, "梁志文"), now)
    with pytest.raises(NotFound):
        endings.withdraw(world.consent.consent_id, stranger, now, registry=factories.registry())
    endings.withdraw(world.consent.consent_id, world.actor, now, registry=factories.registry())
    with pytest.raises(Conflict):
        endings.withdraw(world.consent.consent_id, world.actor, now, registry=factories.registry())


def company_world(now: dt.datetime) -> tuple[Consent, mandates.Actor, mandates.Actor]:
    body = factories.company(now)
    agent, representative = (
        factories.holder(now, factories.AGENT, "周敏"),
        factories.holder(now, factories.LEGAL_REP, "李伟强"),
    )
    power = factories.item(now, "e.energy.power", ("month", "kwh"), many=True, period_field="month")
    factories.party(now)
    row = factories.purpose(now, required=[power], kinds=[HolderKind.LEGAL_ENTITY.value])
    first = factories.actor(agent, now, on_behalf_of=factories.mandate(body, agent, Capacity.AGENT, now))
    second = factories.actor(
        representative,
        now,
        on_behalf_of=factories.mandate(body, representative, Capacity.LEGAL_REPRESENTATIVE, now),
    )
    return factories.consent(factories.ask(row, now), first, now), first, second


def test_an_agent_prepares_and_another_person_approves(app: Flask, now: dt.datetime) -> None:
    consent, first, second = company_world(now)
    assert consent.state == State.PENDING_APPROVAL
    with pytest.raises(NotAllowed):
        lifecycle.approve(consent.consent_id, first, now, registry=factories.registry())
    later = now + dt.timedelta(hours=5)
    approved = lifecycle.approve(consent.consent_id, second, later, registry=factories.registry())
    assert (approved.state, approved.version) == (State.ACTIVE, 2)
    assert approved.expires_at == later + dt.timedelta(days=30)
    document, _digest = history.current_document(approved)
    assert [s["decision"] for s in document["approvals"]["steps"]] == ["agreed", "approved"]
    first_version = db.session.get_one(ConsentVersion, (consent.consent_id, 1))
    assert document["previous_version_digest"] == f"sha-256:{first_version.digest}"


def test_an_approval_lapses_after_72_hours(app: Flask, now: dt.datetime) -> None:
    consent, _first, second = company_world(now)
    with pytest.raises(Conflict):
        lifecycle.approve(consent.consent_id, second, now + dt.timedelta(hours=72), registry=factories.registry())
    assert endings.sweep(now + dt.timedelta(hours=72), registry=factories.registry()) == 1
    db.session.refresh(consent)
    assert consent.state == State.LAPSED


def test_a_suspended_client_stops_all_its_consents_and_resumes(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    clients.suspend("bank", now, actor_id="adm", reason_code="complaint", text="审查中")
    inactive = why_inactive(facts_of(world.consent.consent_id), now)
    assert inactive is not None
    assert inactive.reason == Reason.CLIENT_SUSPENDED
    clients.reinstate("bank", now, actor_id="adm", reason_code="cleared", text="已核查")
    assert why_inactive(facts_of(world.consent.consent_id), now) is None


def test_the_end_of_the_mandate_ends_what_was_given_through_it(app: Flask, now: dt.datetime) -> None:
    consent, _first, second = company_world(now)
    lifecycle.approve(consent.consent_id, second, now, registry=factories.registry())
    assert consent.mandate_id is not None
    mandates.end(consent.mandate_id, now)
    db.session.flush()
    inactive = why_inactive(facts_of(consent.consent_id), now)
    assert inactive is not None
    assert inactive.reason == Reason.MANDATE_ENDED


def test_the_sweep_writes_down_what_time_has_ended_once(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    later = now + dt.timedelta(days=31)
    assert endings.sweep(later, registry=factories.registry()) == 1
    assert endings.sweep(later, registry=factories.registry()) == 0
    db.session.refresh(world.consent)
    assert world.consent.state == State.EXPIRED
