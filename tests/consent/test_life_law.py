"""Random lives of a consent against a simple model: holder, client, administrator, registrar, catalogue, and the clock.

Nothing is ever readable that the model does not allow, everything that it allows is; no event is lost, no version
changes. ``DATASPACE_LAW=2000`` tries that many lives.
"""

import dataclasses
import datetime as dt
import itertools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from flask import Flask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from consent import amendments, clients, deletions, endings, lifecycle, pauses, regrading, reminders
from consent.asks import Ask
from consent.clients import Client
from consent.deletions import SignedStatement
from consent.documents import Choices, stamp
from consent.purposes import Purpose
from consent.records import Consent, ConsentEvent, ConsentVersion, Event, State, fold
from dataspace import catalogue, clock, jose, mandates
from dataspace.accesses import Access
from dataspace.catalogue import DataItem
from dataspace.db import db
from dataspace.errors import Conflict, NotAllowed, NotFound
from dataspace.frequency import Frequency
from dataspace.holders import Holder, HolderKind
from dataspace.mandates import Actor, Capacity, Mandate
from dataspace.permission import ReadRefused
from tests import factories
from tests.consent import reading

LIVES = int(os.environ.get("DATASPACE_LAW", "60"))
BEGIN = clock.now()  # a moment after the server got its keys: the clock also jumps to before that
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
JUMPS = [HOUR, 10 * HOUR, DAY, 3 * DAY, 20 * DAY, 95 * DAY, -HOUR, -DAY, -20 * DAY]
ITEMS = ("e.a", "e.b", "e.c")  # the first is required
steps = st.sampled_from


@dataclass
class Scene:
    """A company with an agent and a legal representative, its records, a bank, what it asks, and an administrator."""

    body: Holder
    people: dict[bool, Holder]  # the agent, and who decides alone
    supervisor: Actor
    purpose: Purpose


@dataclass
class Model:
    """What a reader of the rules would expect, in as few words as possible."""

    granted: set[str]
    begins: dt.datetime
    ends: dt.datetime
    max_reads: int | None
    frequency: Frequency | None
    pending: bool
    since: dt.datetime
    end: State | None = None
    paused: bool = False
    suspended: bool = False
    client_suspended: bool = False
    reads: int = 0
    window: dt.datetime | None = None
    in_window: int = 0
    mandate_until: dt.datetime | None = None
    mandate_ended: bool = False
    regraded: set[str] = field(default_factory=set)  # what became sensitive after it was given
    kept: dict[int, str] = field(default_factory=dict)

    @property
    def live(self) -> bool:
        return self.end is None and not self.pending

    @property
    def state(self) -> State:
        resting = {(True, True): State.PAUSED_SUSPENDED, (True, False): State.PAUSED, (False, True): State.SUSPENDED}
        if self.end is not None or self.pending:
            return self.end or State.PENDING_APPROVAL
        return resting.get((self.paused, self.suspended), State.ACTIVE)

    def active(self, now: dt.datetime) -> bool:
        rests = self.paused or self.suspended or self.client_suspended or self.mandate_over(now)
        in_time = self.begins <= now < self.ends
        return self.live and not rests and in_time and (self.max_reads is None or self.reads < self.max_reads)

    def mandate_over(self, now: dt.datetime) -> bool:
        """Also that of a guardian, which ends on a birthday."""
        return self.mandate_ended or (self.mandate_until is not None and self.mandate_until <= now)

    def readable(self, now: dt.datetime) -> set[str]:
        if not self.active(now) or (self.frequency is not None and self.used(now) >= self.frequency.n):
            return set()
        return self.granted - self.regraded

    def used(self, now: dt.datetime) -> int:
        """Reads of the day; the latest one that was read in, when the clock is behind it."""
        assert self.frequency is not None
        start = self.frequency.window(now).start
        return self.in_window if self.window is not None and self.window >= start else 0

    def read(self, now: dt.datetime) -> None:
        self.reads += 1
        if self.frequency is not None:
            start = self.frequency.window(now).start
            self.in_window = self.used(now) + 1
            self.window = max(self.window or start, start)


class Lives(RuleBasedStateMachine):
    """Everybody at once."""

    scene: ClassVar[Scene]
    now: dt.datetime
    consent: Consent
    token: str
    model: Model
    actors: dict[bool, Actor]  # the agent, and who decides alone

    @initialize(
        company=steps([False, False, True]), given=st.sets(steps(ITEMS[1:])), days=st.integers(1, 90),
        max_reads=steps([None, 1, 3]), a_day=steps([None, 1, 2]), mandate=steps([None, None, 2, 40]),
    )  # fmt: skip
    def begins(self, **how: Any) -> None:
        self.now = BEGIN
        for item in catalogue.current(ITEMS).values():
            if item.sensitive:
                self.grade(item, sensitive=False)
        self.give(**how)

    @precondition(lambda self: self.model.end is not None)
    @rule(
        company=steps([False, False, True]), given=st.sets(steps(ITEMS[1:])), days=st.integers(1, 90),
        max_reads=steps([None, 1, 3]), a_day=steps([None, 1, 2]), mandate=steps([None, None, 2, 40]),
    )  # fmt: skip
    def is_given_again(self, **how: Any) -> None:
        """So that a life that ended early is not the end of what is tried."""
        self.check_log()
        self.give(**how)

    def give(
        self, company: bool, given: set[str], days: int, max_reads: int | None, a_day: int | None, mandate: int | None
    ) -> None:
        """``company``: an agent prepares it; ``mandate``: for how many days the mandate lasts."""
        self.appoint(company, None if mandate is None else self.now + mandate * DAY)
        if db.session.get_one(Client, "bank").standing != "good":
            clients.reinstate("bank", self.now, actor_id="adm", reason_code="resolved", text="x")
        ask, granted = self.asks(max_reads, a_day), {ITEMS[0], *given}
        by = self.actors[company]
        choices = Choices(items=tuple(sorted(granted)), duration_days=days)
        self.consent = lifecycle.give(ask, choices, by, factories.shown(self.now), self.now, registry=self.registry)
        self.token = reading.token_for(self.consent, self.now)
        db.session.commit()
        self.model = Model(
            granted=granted, begins=self.now, ends=self.now + days * DAY, max_reads=max_reads, pending=company,
            frequency=Frequency.of(ask.frequency), since=self.now,
            mandate_until=None if mandate is None else self.now + mandate * DAY,
        )  # fmt: skip

    def appoint(self, company: bool, until: dt.datetime | None) -> None:
        """Fresh mandates, of which that of the person who agrees lasts ``until`` then."""
        capacities = {True: Capacity.AGENT, False: Capacity.LEGAL_REPRESENTATIVE}
        self.actors = {}
        for agent, person in self.scene.people.items():
            mandate = factories.mandate(self.scene.body, person, capacities[agent], self.now)
            mandate.valid_until = until if agent == company else None
            self.actors[agent] = factories.actor(person, self.now, on_behalf_of=mandate)

    def grade(self, item: DataItem, *, sensitive: bool) -> None:
        """The next version of an item."""
        columns = {c.name: getattr(item, c.name) for c in DataItem.__table__.columns}
        impact = factories.text("可能影响您的权益") if sensitive else None
        following = {"version": item.version + 1, "sensitive": sensitive, "impact": impact}
        db.session.add(DataItem(**columns | following | {"digest": f"{item.item_id}{item.version + 1}".ljust(64, "0")}))
        db.session.commit()

    # The clock

    @rule(jump=steps(JUMPS))
    def time_passes(self, jump: dt.timedelta) -> None:
        self.now += jump

    @rule(second=steps([-1, 0, 1]))
    def the_clock_is_set_to_its_beginning(self, second: int) -> None:
        """What was seen ended meanwhile must not live again."""
        self.now = self.model.begins + dt.timedelta(seconds=second)

    @rule(second=steps([-1, 0, 1]))
    def its_end_comes(self, second: int) -> None:
        self.now = self.model.ends + dt.timedelta(seconds=second)

    # The reader

    @rule(wanted=st.none() | steps(ITEMS))
    def reads(self, wanted: str | None) -> None:
        allowed = self.model.readable(self.now)
        expected = allowed if wanted is None else allowed & {wanted}
        try:
            delivery = reading.read(self.token, None if wanted is None else [wanted], self.now)
        except ReadRefused as refused:
            refusal = refused.reason
        else:
            refusal = ""
        assert bool(refusal) == (not expected), refusal
        if refusal:
            return
        assert {d.item_id for d in delivery.items if not d.regraded} == expected
        assert delivery.permission.consent_version == max(self.model.kept)
        self.model.read(self.now)

    # The holder

    @rule(by_agent=st.booleans())
    def is_paused(self, by_agent: bool) -> None:
        allowed = self.model.live and not self.model.paused
        if self.does(lambda: pauses.pause(*self.by(by_agent), registry=self.registry), allowed):
            self.model.paused = True

    @rule(by_agent=st.booleans())
    def is_resumed(self, by_agent: bool) -> None:
        allowed = not by_agent and self.model.live and self.model.paused and self.now < self.model.ends
        if self.does(lambda: pauses.resume(*self.by(by_agent), registry=self.registry), allowed):
            self.model.paused = False

    @rule(item=steps([*ITEMS[1:] * 3, ITEMS[0]]), by_agent=st.booleans())
    def stops_an_item(self, item: str, by_agent: bool) -> None:
        model = self.model
        everything = item == ITEMS[0] or model.granted == {item}
        allowed = model.end is None and self.now < model.ends and item in model.granted
        allowed = allowed and (everything or model.live)

        def change() -> None:
            consent_id, by, now = self.by(by_agent)
            amendments.withdraw_item(consent_id, item, by, now, registry=self.registry)

        if self.does(change, allowed):
            if everything:
                model.end = State.WITHDRAWN
            else:
                model.granted = model.granted - {item}

    @rule(days=st.integers(-1, 60), by_agent=st.booleans())
    def shortens(self, days: int, by_agent: bool) -> None:
        end = self.now + days * DAY
        allowed = self.model.live and self.now < end < self.model.ends

        def change() -> None:
            consent_id, by, now = self.by(by_agent)
            amendments.shorten(consent_id, end, by, now, registry=self.registry)

        if self.does(change, allowed):
            self.model.ends = end

    @rule(given=st.sets(steps(ITEMS[1:])), days=st.integers(1, 90), max_reads=steps([None, 2]), a_day=steps([None, 1]))
    def agrees_anew(self, given: set[str], days: int, max_reads: int | None, a_day: int | None) -> None:
        ask, granted = self.asks(max_reads, a_day), {ITEMS[0], *given}
        choices = Choices(items=tuple(sorted(granted)), duration_days=days)
        shown = factories.shown(self.now)

        def change() -> None:
            lifecycle.replace(
                self.consent.consent_id, ask, choices, self.actors[False], shown, self.now, registry=self.registry
            )

        if self.does(change, self.model.active(self.now)):
            self.under_the_mandate_of_the_head()
            self.model.regraded = set()
            self.model.granted, self.model.max_reads = granted, max_reads
            self.model.begins, self.model.ends = self.now, self.now + days * DAY
            self.model.frequency = Frequency.of(ask.frequency)

    def under_the_mandate_of_the_head(self) -> None:
        held = db.session.get_one(Mandate, self.actors[False].mandate_id)
        self.model.mandate_until, self.model.mandate_ended = held.valid_until, held.ended_at is not None

    @rule(item=steps(ITEMS), by_agent=st.booleans())
    def keeps_a_regraded_item(self, item: str, by_agent: bool) -> None:
        model = self.model
        allowed = not by_agent and model.live and not model.suspended and self.now < model.ends
        allowed = allowed and item in model.granted & model.regraded

        def change() -> None:
            consent_id, by, now = self.by(by_agent)
            regrading.keep(consent_id, item, by, now, notice="text", registry=self.registry)

        if self.does(change, allowed):
            model.regraded = model.regraded - {item}

    @rule(by_agent=st.booleans())
    def keeps_it(self, by_agent: bool) -> None:
        allowed = self.model.live and not self.model.suspended
        self.does(lambda: reminders.keep(*self.by(by_agent), registry=self.registry), allowed)

    @rule(agree=st.booleans(), by_agent=st.booleans())
    def second_person_decides(self, agree: bool, by_agent: bool) -> None:
        model = self.model
        change = lifecycle.approve if agree else lifecycle.reject
        allowed = model.end is None and model.pending and not by_agent and self.now < model.since + 72 * HOUR
        allowed = allowed and not model.mandate_over(self.now) and not (agree and model.granted & model.regraded)
        if self.does(lambda: change(*self.by(by_agent), registry=self.registry), allowed):
            model.pending = False
            if agree:
                model.begins, model.ends = self.now, self.now + (model.ends - model.begins)
            else:
                model.end = State.REJECTED

    # The client

    @rule()
    def client_confirms_deletion(self) -> None:
        stated = SignedStatement(
            client_id="bank", consent_id=self.consent.consent_id, deleted_at=self.now, signed="a.b.c"
        )
        over = {State.WITHDRAWN, State.EXPIRED, State.EXHAUSTED, State.INVALIDATED}
        self.does(lambda: deletions.confirm(stated, self.now, registry=self.registry), self.model.end in over)

    # The administrator

    @rule(suspend=st.booleans())
    def supervisor_steps_in(self, suspend: bool) -> None:
        change, model = pauses.suspend if suspend else pauses.reinstate, self.model

        def step_in() -> None:
            by, reason = self.scene.supervisor, {"reason_code": "fraud", "text": "x"}
            change(self.consent.consent_id, by, self.now, **reason, registry=self.registry)

        if self.does(step_in, model.live and model.suspended != suspend):
            model.suspended = suspend

    @rule()
    def client_is_suspended_or_reinstated(self) -> None:
        change = clients.reinstate if self.model.client_suspended else clients.suspend
        self.does(lambda: change("bank", self.now, actor_id="adm", reason_code="fraud", text="x"), True)
        self.model.client_suspended = not self.model.client_suspended

    # The registrar and the catalogue

    @precondition(lambda self: self.model.end is None)
    @rule(goes_back=st.booleans())
    def mandate_ends(self, goes_back: bool) -> None:
        """That under which it was given: nothing can be read, approved or replaced any more, even if time goes back."""
        assert self.consent.mandate_id is not None
        mandates.end(self.consent.mandate_id, self.now)
        db.session.commit()
        self.model.mandate_ended = True
        if goes_back:
            self.now = self.model.begins

    @rule(item_id=steps(ITEMS))
    def item_becomes_sensitive(self, item_id: str) -> None:
        """Nothing of it leaves before the holder has decided on it again; what is given from now on has a step."""
        item = catalogue.current([item_id])[item_id]
        if not item.sensitive:
            self.grade(item, sensitive=True)
            self.model.regraded = self.model.regraded | {item_id}

    # How it ends: one rule for all, so that most lives are longer than a few steps

    @rule(how=steps(["withdrawn", "withdrawn, to be deleted", "given back", "revoked"]), by_agent=st.booleans())
    def is_ended(self, how: str, by_agent: bool) -> None:
        consent_id, by, now = self.by(by_agent)

        def end() -> None:
            if how == "given back":
                endings.give_back(consent_id, "bank", now, registry=self.registry)
            elif how == "revoked":
                reason = {"reason_code": "fraud", "text": "x"}
                endings.revoke(consent_id, self.scene.supervisor, now, **reason, registry=self.registry)
            else:
                endings.withdraw(consent_id, by, now, ask_deletion="deleted" in how, registry=self.registry)

        if self.does(end, self.model.end is None):
            self.model.end = State.INVALIDATED if how == "revoked" else State.WITHDRAWN

    # The worker

    @rule()
    def worker_passes(self) -> None:
        for sweep in (endings.sweep, reminders.announce_ends, reminders.remind, deletions.sweep):
            sweep(self.now, registry=self.registry)
        mandates.note_ends(self.now)
        db.session.commit()
        model = self.model
        model.mandate_ended = model.mandate_over(self.now)
        if model.live and self.now >= model.ends:
            model.end = State.EXPIRED
        elif model.live and model.max_reads is not None and model.reads >= model.max_reads:
            model.end = State.EXHAUSTED
        elif model.end is None and model.pending and self.now >= model.since + 72 * HOUR:
            model.end = State.LAPSED

    # What always holds

    @invariant()
    def only_what_is_given_now_can_be_read(self) -> None:
        """A read that is taken back, so that looking uses nothing up."""
        if not hasattr(self, "model"):
            return
        try:
            found = {d.item_id for d in reading.attempt(self.token, None, self.now).items if not d.regraded}
        except ReadRefused:
            found = set()
        finally:
            db.session.rollback()
        assert found == self.model.readable(self.now)

    @invariant()
    def the_record_holds(self) -> None:
        if not hasattr(self, "model"):
            return
        db.session.expire_all()
        consent_id = self.consent.consent_id
        own = select(ConsentEvent).filter_by(consent_id=consent_id).order_by(ConsentEvent.seq)
        events = list(db.session.scalars(own))
        assert [e.seq for e in events] == list(range(1, self.consent.last_seq + 1))
        assert fold([Event(e.kind) for e in events]) == self.consent.state == self.model.state
        for before, after in itertools.pairwise([None, *events]):
            assert after is not None
            assert after.previous_digest == (before.digest if before else None)
            assert after.digest == digest_of(after)
        self.check_versions(consent_id)

    def check_versions(self, consent_id: str) -> None:
        found = select(ConsentVersion).filter_by(consent_id=consent_id).order_by(ConsentVersion.version)
        previous = None
        for version in db.session.scalars(found):
            said = json.loads(version.document)
            kept = self.model.kept.setdefault(version.version, f"{version.document}{version.signature}")
            assert kept == f"{version.document}{version.signature}"
            assert said["previous_version_digest"] == (f"sha-256:{previous}" if previous else None)
            previous = version.digest
        assert list(self.model.kept) == list(range(1, self.consent.version + 1))

    def teardown(self) -> None:
        if hasattr(self, "model"):
            self.check_log()
        db.session.rollback()

    def check_log(self) -> None:
        answered = select(Access).filter_by(consent_id=self.consent.consent_id, outcome="answered")
        assert len(list(db.session.scalars(answered))) == self.model.reads

    # In few words

    @property
    def registry(self) -> Any:
        return factories.registry()

    def by(self, agent: bool) -> tuple[str, Actor, dt.datetime]:
        return self.consent.consent_id, self.actors[agent], self.now

    def asks(self, max_reads: int | None, a_day: int | None) -> Ask:
        frequency = {"n": a_day, "unit": "day"} if a_day else None
        asked = factories.ask(self.scene.purpose, self.now)
        return dataclasses.replace(asked, max_reads=max_reads, frequency=frequency)

    def does(self, change: Callable[[], Any], allowed: bool) -> bool:
        """Do it and commit; it is refused exactly when it is not allowed."""
        try:
            change()
            db.session.commit()
        except (Conflict, NotAllowed, NotFound) as error:
            db.session.rollback()
            refusal = str(error)
        else:
            refusal = ""
        assert bool(refusal) == (not allowed), refusal
        return allowed


def digest_of(event: ConsentEvent) -> str:
    """The digest of an event, computed anew from what is stored."""
    names = (
        "consent_id", "seq", "kind", "actor_id", "capacity", "channel", "reason_code", "text", "changes",
        "previous_digest",
    )  # fmt: skip
    return jose.digest({name: getattr(event, name) for name in names} | {"at": stamp(event.at)})


@pytest.fixture
def scene(app: Flask) -> Scene:
    body, agent, head = (
        factories.company(BEGIN),
        factories.holder(BEGIN, factories.AGENT, "周敏"),
        factories.holder(BEGIN),
    )
    items = [factories.item(BEGIN, item_id, ("value",)) for item_id in ITEMS]
    for item in items:
        factories.record(body, item, [{"value": item.item_id}], BEGIN)
    factories.party(BEGIN)
    kinds = [HolderKind.LEGAL_ENTITY.value]
    row = factories.purpose(BEGIN, required=items[:1], optional=items[1:], kinds=kinds, default_duration_days=90)
    supervisor = factories.supervisor(factories.administrator(BEGIN), BEGIN)
    db.session.commit()
    return Scene(body=body, people={True: agent, False: head}, supervisor=supervisor, purpose=row)


def test_no_life_of_a_consent_lets_anybody_read_what_is_not_given_now(scene: Scene) -> None:
    Lives.scene = scene
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        Lives,
        settings=settings(
            max_examples=LIVES,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=quiet,
            report_multiple_bugs=False,
        ),
    )
