"""Cases of a holder: open one, see what became of it, take it back, say that the answer does not satisfy."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import get_locale, lazy_gettext
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from consent import cases, clients, lifecycle
from consent.cases import About, Case, CaseEventKind, CaseKind, CaseState, InvalidCaseText, Outcome, Step
from consent.web import reads
from consent.web.words import Label
from dataspace import accesses, catalogue, clock
from dataspace.corrections import Correction
from dataspace.db import db
from dataspace.errors import NotFound
from dataspace.mandates import Capacity
from dataspace.web.limits import limited
from dataspace.web.shell import services
from dataspace.web.signin import require_holder, the_actor
from dataspace.web.values import plain

bp = Blueprint("cases", __name__, url_prefix="/cases")

KINDS: dict[str, Label] = {
    CaseKind.COMPLAINT: lazy_gettext("I did not agree to this"),
    CaseKind.CORRECTION: lazy_gettext("A value is wrong"),
    CaseKind.DELETION: lazy_gettext("Data should be deleted"),
    CaseKind.EXPLANATION: lazy_gettext("I want a decision explained"),
    CaseKind.KIN: lazy_gettext("A relative of mine has died"),
}
STATES: dict[str, tuple[Label, str]] = {
    CaseState.OPEN: (lazy_gettext("Waits for an answer"), "waiting"),
    CaseState.FORWARDED: (lazy_gettext("Passed on"), "waiting"),
    CaseState.ANSWERED: (lazy_gettext("Has an answer"), "good"),
    CaseState.WITHDRAWN: (lazy_gettext("Taken back"), "ended"),
}
EVENTS: dict[str, tuple[Label, str]] = {
    CaseEventKind.OPENED: (lazy_gettext("Opened"), ""),
    CaseEventKind.FORWARDED: (lazy_gettext("Passed on"), ""),
    CaseEventKind.ANSWERED: (lazy_gettext("Has an answer"), "good"),
    CaseEventKind.REOPENED: (lazy_gettext("Opened again"), "caution"),
    CaseEventKind.WITHDRAWN: (lazy_gettext("Taken back"), ""),
}
OUTCOMES: dict[str, Label] = {
    Outcome.UPHELD: lazy_gettext("You are right"),
    Outcome.PARTLY: lazy_gettext("You are right in part"),
    Outcome.REJECTED: lazy_gettext("It stays as it is"),
    Outcome.INFORMED: lazy_gettext("Explained"),
}
ASKS: dict[str, Label] = {
    CaseKind.COMPLAINT: lazy_gettext("What was not agreed to?"),
    CaseKind.CORRECTION: lazy_gettext("What is wrong, and what should it be?"),
    CaseKind.DELETION: lazy_gettext("What should be deleted, and why?"),
    CaseKind.EXPLANATION: lazy_gettext("Which decision should be explained?"),
    CaseKind.KIN: lazy_gettext("Who has died, how are you related, which documents say so, and what do you need?"),
}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a case is about, in words: a line of the log, an authorization, a data item; all may be missing."""

    line: reads.Line | None
    party: str
    consent_id: str
    item: str

    @classmethod
    def of(cls, about: About, space_id: str, locale: str) -> "Subject":
        """Raises NotFound when it is not of this space."""
        line, party, consent_id = None, "", about.consent_id or ""
        if about.access_id is not None:
            line = reads.lines([accesses.line_of(space_id, about.access_id)], locale)[0]
            party, consent_id = line.party, line.consent_id
        elif about.consent_id:
            found = lifecycle.of_space(about.consent_id, space_id)
            party = plain(clients.get(found.client_id).name(locale))
        item = catalogue.current([about.item_id]).get(about.item_id) if about.item_id else None
        return cls(line=line, party=party, consent_id=consent_id, item=item.label(locale) if item else "")


@bp.get("")
@require_holder
def index() -> str:
    """All cases of the space, newest first."""
    page = cases.all_of_space(the_actor().space_id, min(max(request.args.get("page", 1, type=int), 1), 10_000))
    links = {n: url_for("cases.index", page=page.number + n) for n in (-1, 1) if 1 <= page.number + n <= page.pages}
    return render_template(
        "cases/index.html", page=page, cases=[view(case) for case in page.rows], links=links, kinds=KINDS
    )


@bp.get("/new")
@require_holder
def new() -> str:
    """The form for one case; what it is about stands in the address."""
    return _form(_about(request.args))


@bp.post("")
@require_holder
@limited("20/hour")
def create() -> Response | tuple[str, int]:
    """Open a case."""
    about, actor, text = _about(request.form), the_actor(), request.form.get("text", "")
    try:
        case = cases.open_case(_kind(request.form), about, text, actor, clock.now(), vault=services().vault)
    except InvalidCaseText as error:
        return _form(about, typed=text, error=_(error.sentence)), error.status
    db.session.commit()
    flash(_("Your case has the number %(number)s.", number=case.number))
    return redirect(url_for("cases.show", case_id=case.case_id), 303)


@bp.get("/<case_id>")
@require_holder
def show(case_id: str) -> str:
    """One case: what it is about, what was written, by when an answer is due."""
    return _page(cases.of_space(case_id, the_actor().space_id))


@bp.post("/<case_id>/withdraw")
@require_holder
def withdraw(case_id: str) -> Response:
    """It is settled."""
    cases.withdraw(case_id, the_actor(), clock.now(), vault=services().vault)
    db.session.commit()
    flash(_("Taken back."))
    return redirect(url_for("cases.show", case_id=case_id), 303)


@bp.post("/<case_id>/reopen")
@require_holder
@limited("20/hour")
def reopen(case_id: str) -> Response | tuple[str, int]:
    """The answer does not satisfy."""
    text, actor = request.form.get("text", ""), the_actor()
    try:
        cases.reopen(case_id, text, actor, clock.now(), vault=services().vault)
    except InvalidCaseText as error:
        return _page(cases.of_space(case_id, actor.space_id), typed=text, error=_(error.sentence)), error.status
    db.session.commit()
    flash(_("Opened again. You will get another answer."))
    return redirect(url_for("cases.show", case_id=case_id), 303)


def view(case: Case) -> dict[str, Any]:
    """A case in words, for holders and administrators alike."""
    now = clock.now()
    label, tone = STATES[case.state]
    waits = case.state in cases.WAITING
    return {
        "case": case,
        "kind": str(KINDS[case.kind]),
        "label": str(_("Overdue")) if case.is_overdue(now) else str(label),
        "tone": "danger" if case.is_overdue(now) else tone,
        "waits": waits,
        "days_left": max(-(-(case.due_at - now).total_seconds() // 86400), 0) if waits else 0,
    }


def history(steps: list[Step], *, own: str = "") -> list[dict[str, Any]]:
    """The steps of a case as a timeline, newest first. ``own``: the person who reads."""
    return [
        {
            "at": step.at,
            "text": EVENTS[step.kind][0]
            if step.outcome is None
            else f"{EVENTS[step.kind][0]}: {OUTCOMES[step.outcome]}",
            "who": _who(step, own),
            "note": step.text,
            "tone": EVENTS[step.kind][1],
        }
        for step in reversed(steps)
    ]


def correction(case: Case, steps: list[Step]) -> tuple[Correction, bool] | None:
    """The corrected record that came for it, or since, and whether the answer says that it was wrong."""
    came = cases.correction_of(case)
    answers = [step.outcome for step in steps if step.outcome]
    decided = case.state == CaseState.ANSWERED and answers[-1] in cases.CORRECTED
    return (came, decided) if came is not None else None


def subject(case: Case, locale: str) -> Subject:
    """What a stored case is about."""
    about = About(consent_id=case.consent_id, access_id=case.access_id, item_id=case.item_id)
    return Subject.of(about, case.space_id, locale)


def _who(step: Step, own: str) -> str:
    if step.capacity == Capacity.ADMINISTRATOR:
        return str(_("Administrator"))
    return str(_("You") if step.actor_id == own else _("Holder"))


def _form(about: About, *, typed: str = "", error: str = "") -> str:
    kind = _kind(request.values)
    return render_template(
        "cases/new.html",
        kind=kind.value,
        title=KINDS[kind],
        ask=ASKS[kind],
        about=about,
        subject=Subject.of(about, the_actor().space_id, str(get_locale())),
        typed=typed,
        error=error,
    )


def _page(case: Case, *, typed: str = "", error: str = "") -> str:
    steps = cases.steps(case, vault=services().vault)
    return render_template(
        "cases/case.html",
        seen=view(case),
        subject=subject(case, str(get_locale())),
        history=history(steps, own=the_actor().person_id),
        correction=correction(case, steps),
        may_withdraw=cases.possible(case, CaseEventKind.WITHDRAWN),
        may_reopen=cases.possible(case, CaseEventKind.REOPENED),
        typed=typed,
        error=error,
    )


def _kind(values: Any) -> CaseKind:
    """Raises NotFound."""
    try:
        return CaseKind(values.get("kind", ""))
    except ValueError:
        raise NotFound("no such kind of case") from None


def _about(values: Any) -> About:
    """What the address or the form names, unchecked. Raises NotFound for what cannot be a line."""
    line = values.get("line", "")
    if line and not (line.isascii() and line.isdigit() and len(line) <= 18):
        raise NotFound("no such line")
    return About(
        consent_id=plain(values.get("consent", ""))[:40] or None,
        access_id=int(line) if line else None,
        item_id=plain(values.get("item", ""))[:60] or None,
    )
