"""Random lives of reads by law against a simple model: cases, deadlines, powers that change, and the clock both ways.

Nothing that is held back is shown before its deadline, nothing is held back beyond it, no line is lost or made twice,
and no deadline moves. ``DATASPACE_LAW=2000`` tries that many lives.
"""

import datetime as dt
import os
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
from flask import Flask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import func, select, text

from consent import power_files, powers, statutory_admission
from consent.history import Registry
from consent.oauth import bindings, statutory_tokens, validator
from consent.powers import Decision, State
from consent.statutory_admission import Refused
from consent.statutory_terms import Demand
from dataspace import accesses, by_law, clock, disclosure, extracts
from dataspace.accesses import Access
from dataspace.by_law import DeferredAccess, LawCase
from dataspace.db import db
from dataspace.entries import WaitingEntry
from dataspace.holders import Holder
from dataspace.mandates import Actor
from dataspace.messages import Message, Notice
from dataspace.permission import ReadRefused
from tests import factories
from tests.consent.authority import REASON, Authority, administrators, entry

LIVES = int(os.environ.get("DATASPACE_LAW", "25"))
BEGIN = clock.now()
DAY = dt.timedelta(days=1)
MOST = 30  # days, as the power says
JUMPS = [dt.timedelta(minutes=1), DAY, 4 * DAY, 9 * DAY, 31 * DAY, -DAY, -12 * DAY]
DEMAND = Demand(
    power_id="tax-audit", holder_kind="natural_person", unverified_identifier=factories.PERSON, case_no="", reason="x",
    items=(), defer_days=0,
)  # fmt: skip
steps = st.sampled_from


@dataclass
class Scene:
    person: Holder
    admins: tuple[Actor, Actor]


@dataclass
class Model:
    """What is expected of one case: lines of it, and the earliest moment at which any may be seen."""

    deadline: dt.datetime | None
    lines: int = 0
    may_show: bool = False
    shown: bool = False  # the holder knows of it, for good


class Lives(RuleBasedStateMachine):
    scene: ClassVar[Scene]
    now: dt.datetime
    cases: dict[str, Model]
    loose: int  # lines of attempts that belong to no case
    secrets: dict[str, str]

    @initialize()
    def begins(self) -> None:
        for table in ("statutory_tokens", "deferred_accesses", "law_cases", "law_days", "powers", "accesses",
                      "messages", "evidence_waiting"):  # fmt: skip
            db.session.execute(text(f"DELETE FROM {table}"))
        db.session.expunge_all()
        self.now, self.cases, self.loose, self.secrets = BEGIN, {}, 0, {}
        self.enter_a_version()

    @property
    def registry(self) -> Registry:
        return factories.registry()

    @rule(limit=st.integers(1, 4))
    def enter_a_version(self, limit: int = 4) -> None:
        first, second = self.scene.admins
        (entered,) = power_files.enter(
            [entry(case_limit=limit, day_limit=100)], self.now, actor_id=first.person_id, text="x"
        )
        power = powers.get(entered.power_id, entered.version)
        if entered.new:
            decision = Decision(power.power_id, power.version, second, REASON)
            powers.approve(decision, self.now, expected_digest=power.digest)
        db.session.commit()

    @rule(what=steps(["resume", "suspend", "end"]))
    def decide(self, what: str) -> None:
        power = powers.versions("tax-audit")[0]
        possible = {
            "suspend": (State.IN_FORCE,), "resume": (State.SUSPENDED,), "end": (State.IN_FORCE, State.SUSPENDED),
        }[what]  # fmt: skip
        if powers.state(power, self.now) in possible:
            getattr(powers, what)(Decision(power.power_id, power.version, self.scene.admins[0], REASON), self.now)
            db.session.commit()

    @rule(number=steps("12"), days=steps([3, 10, MOST, 0, MOST + 1]), item=steps([None, None, None, "p.none"]))
    def demand(self, number: str, days: int, item: str | None) -> None:
        case_no = f"税稽〔2026〕{number}号"
        demand = replace(DEMAND, case_no=case_no, defer_days=days, items=(item,) if item else ())
        known, lines = self.cases.get(case_no), self.lines()
        try:
            admitted = statutory_admission.admit(
                demand, client_id="tax", in_good_standing=True, now=self.now, index=self.registry.index
            )
        except Refused:
            db.session.commit()
            assert self.lines() == lines + 1
            if known is not None:
                self.written(known)
            else:
                self.loose += 1
            return
        if known is None:
            known = self.cases[case_no] = Model(deadline=self.now + days * DAY if days else None, may_show=not days)
        assert admitted.case.hidden_until == known.deadline
        self.secrets[case_no] = bindings.new_secret(statutory_tokens.PREFIX)
        statutory_tokens.store(
            self.secrets[case_no], self.now, case_id=admitted.case.case_id, power_id=admitted.power.power_id,
            power_version=admitted.power.version, client_id="tax", jkt=None, x5t=None, items=admitted.items,
            expires_at=self.now + 3650 * DAY,
        )  # fmt: skip
        db.session.commit()

    @rule(number=steps("12"), wanted=steps([None, None, "p.none"]))
    def read(self, number: str, wanted: str | None) -> None:
        case_no = f"税稽〔2026〕{number}号"
        if case_no not in self.secrets:
            return
        bound, before = statutory_tokens.find(self.secrets[case_no]), self.held_back(case_no)
        assert bound is not None
        permission = validator.permission_by_law(bound, self.now)
        reason = powers.why_void(bound, self.now)
        try:
            if reason is None:
                extracts.read(permission, [wanted] if wanted else None, self.now, vault=self.registry.vault)
            else:
                accesses.record_refused(permission, [], reason, self.now)
        except ReadRefused as refused:
            accesses.record_refused(permission, [], refused.reason, self.now)
        db.session.commit()
        self.written(self.cases[case_no])
        assert not self.cases[case_no].shown or self.held_back(case_no) == before, "known once, known for good"

    @rule(number=steps("12"), days=steps([3, 10, MOST]))
    def read_and_read_again_later(self, number: str, days: int) -> None:
        """The way that most lives should go."""
        self.demand(number, days, None)
        self.read(number, None)
        self.a_deadline_is_near(number, 0)
        self.time_passes(-2 * DAY)
        self.read(number, None)

    @rule()
    def sweep(self) -> None:
        for case_no, model in self.cases.items():
            self.seen_at(model)
            is_due = model.deadline is not None and self.now >= model.deadline  # now, and not only once before
            model.shown = model.shown or (is_due and self.held_back(case_no) > 0)
        while disclosure.sweep(self.now, 2):
            db.session.commit()
        late = select(func.count()).select_from(DeferredAccess).where(DeferredAccess.shown_at <= self.now)
        assert db.session.scalar(late) == 0, "nothing is held back beyond its day"

    @rule(number=steps("12"), minutes=steps([-1, 0, 1]))
    def a_deadline_is_near(self, number: str, minutes: int) -> None:
        model = self.cases.get(f"税稽〔2026〕{number}号")
        if model is not None and model.deadline is not None:
            self.now = model.deadline + dt.timedelta(minutes=minutes)
            self.sweep()

    @rule(jump=steps(JUMPS))
    def time_passes(self, jump: dt.timedelta) -> None:
        self.now += jump

    def written(self, model: Model) -> None:
        model.lines += 1
        self.seen_at(model)

    def seen_at(self, model: Model) -> None:
        """From the deadline on a line may be shown, whatever the clock says afterwards."""
        model.may_show = model.may_show or model.deadline is None or self.now >= model.deadline

    def held_back(self, case_no: str) -> int:
        of_case = select(func.count()).select_from(DeferredAccess)
        of_case = of_case.join(LawCase, LawCase.case_id == DeferredAccess.case_id)
        return db.session.scalar(of_case.where(LawCase.case_no == case_no)) or 0

    def lines(self) -> int:
        return sum(db.session.scalar(select(func.count()).select_from(t)) or 0 for t in (Access, DeferredAccess))

    @invariant()
    def nothing_is_shown_early_and_nothing_is_lost(self) -> None:
        shown = dict(db.session.execute(select(Access.reference_no, func.count()).group_by(Access.reference_no)).all())
        for case_no, model in self.cases.items():
            if not model.may_show:
                of_case = select(func.count()).select_from(Access).join(LawCase, LawCase.case_id == Access.case_id)
                assert not db.session.scalar(of_case.where(LawCase.case_no == case_no))
            elif model.deadline is None:
                assert shown.get(case_no, 0) >= model.lines
        assert self.lines() == sum(model.lines for model in self.cases.values()) + self.loose
        assert db.session.scalar(select(func.count()).select_from(WaitingEntry)) == self.lines()

    @invariant()
    def no_deadline_moves(self) -> None:
        for case in db.session.scalars(select(LawCase).order_by(LawCase.case_id)):
            assert case.hidden_until == self.cases[case.case_no].deadline
            assert case.hidden_until is None or case.hidden_until <= case.opened_at + MOST * DAY

    @invariant()
    def who_is_told_was_told_in_time(self) -> None:
        told = set(db.session.scalars(select(Message.about).where(Message.kind == Notice.LAW_DISCLOSED)))
        cases = by_law.cases(list(told))
        assert all(self.cases[case.case_no].may_show for case in cases.values())


@pytest.fixture
def scene(app: Flask) -> Scene:
    person = factories.holder(BEGIN)
    factories.record(person, factories.item(BEGIN), [{"school": "示例大学", "major": "会计", "level": "本科"}], BEGIN)
    Authority.registered(app.test_client(), BEGIN)
    return Scene(person=person, admins=administrators(BEGIN))


def test_no_sequence_shows_a_hidden_read_early_or_later_than_its_day(scene: Scene) -> None:
    db.session.commit()
    Lives.scene = scene
    run_state_machine_as_test(
        Lives,
        settings=settings(
            max_examples=LIVES,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            report_multiple_bugs=False,
        ),
    )
