"""The desk for cases: what waits, the longest due first; pass one on, answer it. The words are read here and nowhere
else, because they are written to whoever works here; records stay closed.
"""

from collections.abc import Callable

from flask import flash, redirect, render_template, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from consent import cases, deletions
from consent.cases import Case, CaseEventKind, CaseKind, CaseState, InvalidCaseText, Outcome
from consent.web import cases as words
from consent.web.admin import labels, lists
from dataspace import clock
from dataspace.db import db
from dataspace.errors import NotFound
from dataspace.web.shell import services
from dataspace.web.signin import the_actor

FILTERS = ("kind", "state", "number")
EVERYTHING = "all"
LATE = 50  # deletions that nobody has confirmed in time


def index() -> str:
    """What waits for an answer, the longest due first; filters in the address."""
    filters = {
        "kind": lists.argument("kind", one_of=CaseKind),
        "state": lists.argument("state", one_of=(*CaseState, EVERYTHING)),
        "number": lists.argument("number", 20),
    }
    page = cases.at_desk(filters["kind"], filters["state"], filters["number"], lists.page_number())
    waiting, overdue = cases.count_waiting(clock.now())
    return render_template(
        "admin/cases.html",
        cases=[words.view(case) for case in page.rows],
        page=page,
        links=lists.links("admin.cases", page, filters),
        filters=filters,
        kinds=list(words.KINDS.items()),
        states=[(EVERYTHING, _("All")), *((state, label) for state, (label, _tone) in words.STATES.items())],
        waiting=waiting,
        overdue=overdue,
        late=[(late, consent.client_id) for late, consent in deletions.overdue(clock.now(), LATE)],
    )


def show(case_id: str) -> str:
    """One case with everything that was written."""
    return _page(cases.get(case_id))


def forward(case_id: str) -> Response | tuple[str, int]:
    """Pass it on: the text says to whom."""
    text, actor, now = request.form.get("to", ""), the_actor(), clock.now()
    done = _("Passed on. The holder sees to whom.")
    return _step(case_id, "to", done, lambda: cases.forward(case_id, text, actor, now, vault=services().vault))


def answer(case_id: str) -> Response | tuple[str, int]:
    """Answer it; the holder sees the words."""
    try:
        outcome = Outcome(request.form.get("outcome", ""))
    except ValueError:
        raise NotFound("no such outcome") from None
    text, actor, now = request.form.get("text", ""), the_actor(), clock.now()
    done = _("Answered. The holder sees your words.")
    return _step(
        case_id, "text", done, lambda: cases.answer(case_id, outcome, text, actor, now, vault=services().vault)
    )


def _step(case_id: str, field: str, done: str, step: Callable[[], Case]) -> Response | tuple[str, int]:
    try:
        step()
    except InvalidCaseText as error:
        typed = {field: request.form.get(field, "")}
        return _page(cases.get(case_id), typed=typed, errors={field: _(error.sentence)}), error.status
    db.session.commit()
    flash(done)
    return redirect(url_for("admin.case", case_id=case_id), 303)


def _page(case: Case, *, typed: dict[str, str] | None = None, errors: dict[str, str] | None = None) -> str:
    return render_template(
        "admin/case.html",
        seen=words.view(case),
        subject=words.subject(case, str(get_locale())),
        holder=labels.people([case.holder_id]).get(case.holder_id),
        history=words.history(cases.steps(case, vault=services().vault)),
        correction=cases.correction_of(case),
        outcomes=list(words.OUTCOMES.items()),
        may_answer=cases.possible(case, CaseEventKind.ANSWERED),
        typed=typed or {},
        errors=errors or {},
    )
