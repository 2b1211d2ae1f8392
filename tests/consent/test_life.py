"""The life of a consent after it was given: less of it, rest, ends, reminders, the duty to delete."""

import datetime as dt
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from consent import amendments, deletions, endings, history, lifecycle, pauses, reminders
from consent.deletions import SignedStatement
from consent.due_dates import due
from consent.records import (
    Consent,
    ConsentEvent,
    ConsentVersion,
    Event,
    Reason,
    State,
    facts_of,
    why_inactive,
)
from dataspace import mandates
from dataspace.days import CHINA
from dataspace.db import db
from dataspace.errors import Conflict, NotAllowed, NotFound
from dataspace.holders import HolderKind
from dataspace.mandates import Actor, Capacity
from tests import factories

DAY = dt.timedelta(days=1)
DEGREE, SKILL, HOBBY = "p.edu.degree", "p.work.skill", "p.life.hobby"


@dataclass
class Life:
    """One person's consent to one required and two optional items, and everybody who may do something to it."""

    consent: Consent
    actor: Actor
    supervisor: Actor
    now: dt.datetime

    @property
    def consent_id(self) -> str:
        return self.consent.consent_id

    @property
    def reason(self) -> Reason | None:
        inactive = why_inactive(facts_of(self.consent_id), self.now)
        return inactive.reason if inactive else None

    @property
    def granted(self) -> list[str]:
        version = db.session.get_one(ConsentVersion, (self.consent_id, self.consent.version))
        return [i["item"] for i in version.granted]

    def does(self, change: Callable[..., Any], *what: Any, by: Actor | None = None, **more: Any) -> Any:
        return change(self.consent_id, *what, by or self.actor, self.now, registry=factories.registry(), **more)

    def steps_in(self, change: Callable[..., Any]) -> Any:
        return self.does(change, by=self.supervisor, reason_code="fraud", text="核查中")

    def events(self) -> list[ConsentEvent]:
        own = select(ConsentEvent).filter_by(consent_id=self.consent_id).order_by(ConsentEvent.seq)
        return list(db.session.scalars(own))

    def kinds(self) -> list[str]:
        return [e.kind.removeprefix("consent:") for e in self.events()][3:]

    def documents(self) -> list[dict[str, Any]]:
        own = select(ConsentVersion).filter_by(consent_id=self.consent_id).order_by(ConsentVersion.version)
        return [json.loads(v.document) for v in db.session.scalars(own)]


@pytest.fixture
def life(app: Flask, now: dt.datetime) -> Life:
    person = factories.holder(now)
    items = [factories.item(now, i) for i in (DEGREE, SKILL, HOBBY)]
    factories.party(now)
    row = factories.purpose(now, required=items[:1], optional=items[1:], default_duration_days=90)
    by = factories.actor(person, now)
    consent = factories.consent(factories.ask(row, now), by, now)
    admin = factories.administrator(now)
    db.session.commit()
    return Life(consent, by, factories.supervisor(admin, now), now)


# Resting


def test_a_pause_stops_every_read_until_it_is_resumed(life: Life) -> None:
    assert life.does(pauses.pause).state == State.PAUSED
    assert life.reason == Reason.PAUSED
    assert life.does(pauses.resume).state == State.ACTIVE
    assert life.reason is None
    assert life.kinds() == ["paused", "resumed"]


def test_a_paused_consent_that_was_suspended_is_paused_when_it_is_reinstated(life: Life) -> None:
    life.does(pauses.pause)
    assert life.steps_in(pauses.suspend).state == State.PAUSED_SUSPENDED
    assert life.reason == Reason.SUSPENDED
    assert life.steps_in(pauses.reinstate).state == State.PAUSED
    assert life.reason == Reason.PAUSED


def test_who_is_suspended_may_be_paused_and_stays_suspended_when_it_is_resumed(life: Life) -> None:
    life.steps_in(pauses.suspend)
    assert life.does(pauses.pause).state == State.PAUSED_SUSPENDED
    assert life.does(pauses.resume).state == State.SUSPENDED
    assert life.steps_in(pauses.reinstate).state == State.ACTIVE
    assert [(e.reason_code, e.text) for e in life.events() if e.kind == Event.SUSPENDED] == [("fraud", "核查中")]


def test_only_an_administrator_suspends_and_nobody_rests_what_has_ended(life: Life) -> None:
    with pytest.raises(NotAllowed):
        life.does(pauses.suspend, reason_code="fraud", text="x")
    life.does(pauses.pause)
    life.now += 90 * DAY
    with pytest.raises(Conflict):
        life.does(pauses.resume)
    life.does(endings.withdraw)
    for change in (pauses.pause, pauses.resume, reminders.keep):
        with pytest.raises(Conflict):
            life.does(change)
    with pytest.raises(Conflict):
        life.steps_in(pauses.suspend)


# Less of it


def test_an_item_is_withdrawn_in_a_new_version_linked_to_the_one_before(life: Life) -> None:
    life.now += DAY
    amended = life.does(amendments.withdraw_item, SKILL)
    assert (amended.state, amended.version, life.granted) == (State.ACTIVE, 2, [DEGREE, HOBBY])
    before, after = life.documents()
    first = db.session.get_one(ConsentVersion, (life.consent_id, 1))
    assert after["previous_version_digest"] == f"sha-256:{first.digest}"
    assert {k for k in after if after[k] != before[k]} == {"version", "previous_version_digest", "created_at", "items"}
    fields = ["school", "major", "level"]
    change = {"attribute": f"items/{SKILL}", "kind": "removed", "before": fields, "after": None}
    assert life.events()[-1].changes == [change]


@pytest.mark.parametrize(
    ("first", "item_id", "why"), [((), DEGREE, "required_item"), ((SKILL, HOBBY), DEGREE, "required_item")]
)
def test_without_a_required_item_everything_is_withdrawn(
    life: Life, first: tuple[str, ...], item_id: str, why: str
) -> None:
    for other in first:
        life.does(amendments.withdraw_item, other)
    assert life.does(amendments.withdraw_item, item_id).state == State.WITHDRAWN
    assert (life.events()[-1].kind, life.events()[-1].reason_code) == (Event.WITHDRAWN, why)


def test_the_last_item_goes_with_everything(life: Life) -> None:
    row = factories.purpose(life.now, code="other", optional=[factories.item(life.now, "p.one")])
    life.consent = factories.consent(factories.ask(row, life.now), life.actor, life.now)
    assert life.does(amendments.withdraw_item, "p.one").state == State.WITHDRAWN
    assert life.events()[-1].reason_code == "last_item"


def test_an_item_that_is_not_given_cannot_be_withdrawn(life: Life) -> None:
    life.does(amendments.withdraw_item, SKILL)
    for item_id in (SKILL, "p.unknown", ""):
        with pytest.raises(NotFound):
            life.does(amendments.withdraw_item, item_id)
    stranger = factories.actor(factories.holder(life.now, factories.LEGAL_REP, "李伟强"), life.now)
    with pytest.raises(NotFound):
        life.does(amendments.withdraw_item, HOBBY, by=stranger)


def test_the_end_is_brought_forward_and_never_put_off(life: Life) -> None:
    end = life.now + 7 * DAY
    assert life.does(amendments.shorten, end).expires_at == end
    assert life.documents()[-1]["use"]["expires_at"] == end.replace(microsecond=0).isoformat().replace("+00:00", "Z")
    (change,) = life.events()[-1].changes or []
    assert (change["attribute"], change["kind"]) == ("use/expires_at", "shorter")
    for wrong in (end, end + DAY, life.now, life.now - DAY):
        with pytest.raises(NotAllowed):
            life.does(amendments.shorten, wrong)
    life.now = end
    assert life.reason == Reason.EXPIRED
    with pytest.raises(Conflict):
        life.does(amendments.shorten, end + DAY)


def test_what_rests_can_be_made_less(life: Life) -> None:
    life.does(pauses.pause)
    life.steps_in(pauses.suspend)
    assert life.does(amendments.withdraw_item, SKILL).state == State.PAUSED_SUSPENDED
    assert life.does(amendments.shorten, life.now + DAY).state == State.PAUSED_SUSPENDED


# Everything


def another(life: Life, client_id: str, code: str) -> Consent:
    if client_id != "bank":
        factories.party(life.now, client_id)
    row = factories.purpose(life.now, client_id, code, optional=[factories.item(life.now, f"p.{client_id}.{code}")])
    return factories.consent(factories.ask(row, life.now), life.actor, life.now)


def test_everything_of_one_client_is_stopped_and_nothing_else(life: Life) -> None:
    second, shop = another(life, "bank", "second"), another(life, "shop", "third")
    how = {"registry": factories.registry()}
    assert endings.withdraw_all(life.actor, life.now, client_id="bank", **how) == 2
    for consent in (life.consent, second, shop):
        db.session.refresh(consent)
    assert [c.state for c in (life.consent, second, shop)] == ["withdrawn", "withdrawn", "active"]
    assert endings.withdraw_all(life.actor, life.now, client_id="bank", **how) == 0


def test_everything_is_stopped_whatever_state_it_is_in_with_the_wish_for_deletion(life: Life) -> None:
    shop = another(life, "shop", "third")
    life.does(pauses.pause)
    life.steps_in(pauses.suspend)
    registry = factories.registry()
    assert endings.withdraw_all(life.actor, life.now, ask_deletion=True, registry=registry) == 2
    assert life.kinds()[-2:] == ["withdrawn", "deletion_requested"]
    assert deletions.of_consent(shop.consent_id) is not None


def test_what_time_has_ended_is_not_said_to_be_stopped(life: Life) -> None:
    life.now += 90 * DAY
    assert endings.withdraw_all(life.actor, life.now, registry=factories.registry()) == 0


# A company


@pytest.fixture
def company(app: Flask, now: dt.datetime) -> tuple[Life, Actor]:
    """A consent that an agent prepared and the legal representative approved; the agent."""
    body = factories.company(now)
    agent, head = factories.holder(now, factories.AGENT, "周敏"), factories.holder(now, factories.LEGAL_REP, "李伟强")
    power, grade = factories.item(now, "e.energy.power"), factories.item(now, "e.tax.grade")
    factories.party(now)
    row = factories.purpose(now, required=[power], optional=[grade], kinds=[HolderKind.LEGAL_ENTITY.value])
    first = factories.actor(agent, now, on_behalf_of=factories.mandate(body, agent, Capacity.AGENT, now))
    mandate = factories.mandate(body, head, Capacity.LEGAL_REPRESENTATIVE, now)
    second = factories.actor(head, now, on_behalf_of=mandate)
    consent = factories.consent(factories.ask(row, now), first, now)
    lifecycle.approve(consent.consent_id, second, now, registry=factories.registry())
    admin = factories.administrator(now)
    return Life(consent, second, factories.supervisor(admin, now), now), first


def test_an_agent_may_reduce_and_not_enlarge(company: tuple[Life, Actor]) -> None:
    life, agent = company
    life.does(pauses.pause, by=agent)
    with pytest.raises(NotAllowed):
        life.does(pauses.resume, by=agent)
    assert life.does(pauses.resume).state == State.ACTIVE
    life.does(amendments.withdraw_item, "e.tax.grade", by=agent)
    life.does(amendments.shorten, life.now + DAY, by=agent)
    life.does(reminders.keep, by=agent)
    assert life.does(endings.withdraw, by=agent).state == State.WITHDRAWN


def test_an_amended_consent_still_ends_with_the_mandate_it_was_given_under(company: tuple[Life, Actor]) -> None:
    life, agent = company
    life.does(amendments.withdraw_item, "e.tax.grade")
    assert life.consent.mandate_id == agent.mandate_id is not None
    mandates.end(life.consent.mandate_id, life.now)
    db.session.flush()
    assert life.reason == Reason.MANDATE_ENDED


# Told in good time


def swept(life: Life, sweep: Callable[..., int]) -> int:
    return sweep(life.now, registry=factories.registry())


def test_c_41_the_holder_is_reminded_90_days_after_the_last_touch(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now, max_duration_days=400, default_duration_days=400)
    life = Life(world.consent, world.actor, world.actor, now)
    life.now += 90 * DAY - dt.timedelta(seconds=1)
    assert swept(life, reminders.remind) == 0
    life.now += dt.timedelta(seconds=1)
    assert [swept(life, reminders.remind) for _ in range(2)] == [1, 0]
    life.now += 90 * DAY
    assert [swept(life, reminders.remind) for _ in range(2)] == [1, 0]
    life.now += 80 * DAY
    life.does(reminders.keep)
    life.now += 89 * DAY
    assert swept(life, reminders.remind) == 0
    assert life.kinds() == ["reminded", "reminded", "reconfirmed"]


def test_nobody_is_reminded_of_what_is_suspended_or_over(life: Life) -> None:
    life.steps_in(pauses.suspend)
    life.now += 90 * DAY
    assert swept(life, reminders.remind) == 0


def test_an_end_after_more_than_30_days_is_announced_once_7_days_ahead(life: Life) -> None:
    life.now += 83 * DAY - dt.timedelta(seconds=1)
    assert swept(life, reminders.announce_ends) == 0
    life.now += dt.timedelta(seconds=1)
    assert [swept(life, reminders.announce_ends) for _ in range(2)] == [1, 0]
    life.does(amendments.withdraw_item, SKILL)
    life.does(amendments.shorten, life.now + DAY)
    assert swept(life, reminders.announce_ends) == 0
    life.now += 7 * DAY
    assert swept(life, reminders.announce_ends) == 0
    assert life.kinds() == ["expiry_announced", "item_withdrawn", "shortened"]


def test_a_short_consent_and_one_that_was_shortened_to_days_have_no_announcement(life: Life) -> None:
    life.does(amendments.shorten, life.now + 30 * DAY)
    life.now += 29 * DAY
    assert swept(life, reminders.announce_ends) == 0


# The duty to delete


@pytest.mark.parametrize(
    ("asked", "end"),
    [
        ("2026-11-25T02:00:00+00:00", "2026-12-17"),  # a Wednesday; 15 working days on is Wednesday 16 December
        ("2026-11-27T18:00:00+00:00", "2026-12-19"),  # Saturday in China by then
        ("2026-11-29T00:00:00+00:00", "2026-12-19"),
    ],
)
def test_the_duty_to_delete_is_due_after_15_working_days(asked: str, end: str) -> None:
    found = due(dt.datetime.fromisoformat(asked))
    assert found.astimezone(CHINA).isoformat() == f"{end}T00:00:00+08:00"


def stated(life: Life, client_id: str = "bank") -> SignedStatement:
    return SignedStatement(
        client_id=client_id, consent_id=life.consent_id, deleted_at=life.now, signed="header.body.signature"
    )


def test_a_confirmation_ends_the_duty_and_the_first_one_stays(life: Life) -> None:
    life.does(endings.withdraw, ask_deletion=True)
    registry = factories.registry()
    first = deletions.confirm(stated(life), life.now, registry=registry)
    assert (first.statement, first.confirmed_at) == ("header.body.signature", life.now)
    assert deletions.confirm(stated(life), life.now + DAY, registry=registry).confirmed_at == life.now
    life.now += 90 * DAY
    assert swept(life, deletions.sweep) == 0
    assert life.kinds() == ["withdrawn", "deletion_requested", "deletion_confirmed"]


def test_a_duty_that_nobody_confirms_is_overdue_once_and_can_be_confirmed_late(life: Life) -> None:
    life.does(endings.withdraw, ask_deletion=True)
    found = deletions.of_consent(life.consent_id)
    assert found is not None
    assert found.due_at is not None
    life.now = found.due_at - dt.timedelta(seconds=1)
    assert (swept(life, deletions.sweep), deletions.overdue(life.now, 10)) == (0, [])
    life.now = found.due_at
    assert [swept(life, deletions.sweep) for _ in range(2)] == [1, 0]
    assert [(d.consent_id, c.client_id) for d, c in deletions.overdue(life.now, 10)] == [(life.consent_id, "bank")]
    deletions.confirm(stated(life), life.now, registry=factories.registry())
    assert deletions.overdue(life.now, 10) == []
    assert life.kinds()[-2:] == ["deletion_overdue", "deletion_confirmed"]


def test_deletion_is_confirmed_by_its_client_and_only_of_what_has_ended(life: Life) -> None:
    with pytest.raises(Conflict):
        deletions.confirm(stated(life), life.now, registry=factories.registry())
    db.session.rollback()
    life.does(endings.withdraw)
    with pytest.raises(NotFound):
        deletions.confirm(stated(life, "shop"), life.now, registry=factories.registry())
    assert deletions.confirm(stated(life), life.now, registry=factories.registry()).requested_at is None


# The record


def test_versions_stay_as_they_are_and_events_are_a_chain(life: Life) -> None:
    life.does(pauses.pause)
    life.does(amendments.withdraw_item, SKILL)
    kept = [json.dumps(d) for d in life.documents()]
    life.does(amendments.shorten, life.now + 20 * DAY)
    life.does(amendments.withdraw_item, HOBBY)
    life.does(pauses.resume)
    assert [json.dumps(d) for d in life.documents()][:2] == kept
    assert [d["version"] for d in life.documents()] == [1, 2, 3, 4]
    events = life.events()
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert all(after.previous_digest == before.digest for before, after in itertools.pairwise(events))
    document, _digest = history.current_document(life.consent)
    assert document == life.documents()[-1]
