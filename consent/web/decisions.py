"""The decisive taps: agree, refuse, go back to the third party; and the page between us and it."""

import datetime as dt

from flask import redirect, render_template, request, url_for
from flask_babel import get_locale
from werkzeug.wrappers import Response

from consent import lifecycle, overview
from consent.documents import Shown
from consent.oauth import answers, authorization, par, tokens
from consent.oauth.response_modes import Answer
from consent.records import Consent, Reason, State, facts_of, why_inactive
from consent.web import way_back, words
from consent.web.context import registry
from consent.web.steps import CONFIRM, FIRST
from consent.web.visits import (
    Visit,
    answered,
    decided_page,
    demand_fresh_sign_in,
    demand_guardian,
    demand_same_actor,
    fits,
    meet,
    open_request,
    resting,
)
from consent.web.way_back import Told
from dataspace import clock, holders
from dataspace.db import db
from dataspace.errors import Conflict
from dataspace.web.shell import LANGUAGES, allow_form_action, services

REFUSED = "The holder did not agree."  # error_description is for the third party: plain ASCII (RFC 6749 4.1.2.1)


def agree(handle: str) -> Response:
    """Give. On a request with several screens only after all of them are answered."""
    if request.form.get("decision") == "refuse":  # from a browser that does not know formaction
        return refuse(handle)
    now = clock.now()
    visit = open_request(handle, now)
    demand_same_actor(visit)
    if request.form.get("decision") != "agree":
        return redirect(url_for("consent_page.start", handle=handle), 303)
    visit, missing = _answered(visit)
    if missing is not None:
        return redirect(visit.url(missing), 303)
    demand_fresh_sign_in(visit, now)
    demand_guardian(visit)
    if len(visit.progress.steps) > 1 and request.form.get("seen") != visit.progress.mark:
        return redirect(url_for("consent_page.confirm", handle=handle, changed=""), 303)
    try:
        return _give(visit, now)
    except Conflict:
        db.session.rollback()
        decided_page(handle)


def refuse(handle: str, *, opened: bool = True) -> Response:
    """Refuse, also what was only seen in a list. Who cannot decide at all goes back without a record."""
    now = clock.now()
    visit = meet(handle, now)
    if visit.row.consent_id is not None:
        return redirect(url_for("consent_page.waiting", handle=handle), 303)
    if not visit.addressed:
        return redirect(url_for("consent_page.start", handle=handle), 303)
    try:
        consent_id = None
        if fits(visit) and resting(visit, now) is None:  # whoever refused it already only goes back
            demand_same_actor(visit)
            consent = lifecycle.refuse(
                visit.ask, visit.actor, _shown(visit, "refused", opened=opened), now, registry=registry()
            )
            consent_id = consent.consent_id
        return _send_away(visit, consent_id, now)
    except Conflict:
        db.session.rollback()
        decided_page(handle)


def look_anyway(handle: str) -> Response:
    """The holder wants to see a request in spite of an earlier refusal (check C-20)."""
    now = clock.now()
    visit = meet(handle, now)
    demand_same_actor(visit)
    par.look_anyway(visit.row, visit.acting, now)
    db.session.commit()
    return redirect(url_for("consent_page.start", handle=handle), 303)


def waiting(handle: str) -> str | Response:
    """For who prepared a consent of a company: whom it waits for; and the way on when it is decided."""
    now = clock.now()
    visit = meet(handle, now)
    if visit.row.consent_id is None:
        return redirect(url_for("consent_page.start", handle=handle), 303)
    consent = lifecycle.get(visit.row.consent_id)
    inactive = why_inactive(facts_of(consent.consent_id), now)
    names = holders.profiles(overview.approvers(consent, now), vault=services().vault)
    allow_return(visit)
    return render_template(
        "consent/waiting.html",
        visit=visit,
        party=visit.client.name(visit.locale),
        waits=inactive is not None and inactive.reason == Reason.PENDING,
        given=inactive is None,
        why=words.why(inactive.reason) if inactive else "",
        approvers=[p.name for p in names.values()],
        until=overview.approval_lapses(consent),
        consent_id=consent.consent_id,
        mine=_prepared_here(visit, consent),
    )


def return_to_client(handle: str) -> Response:
    """Go back to the third party with what the second person decided."""
    now = clock.now()
    visit = meet(handle, now)
    consent_id = visit.row.consent_id
    if consent_id is None:
        return redirect(url_for("consent_page.start", handle=handle), 303)
    consent = lifecycle.get(consent_id)
    inactive = why_inactive(facts_of(consent_id), now)
    if not _prepared_here(visit, consent) or (inactive is not None and inactive.reason == Reason.PENDING):
        return redirect(url_for("consent_page.waiting", handle=handle), 303)
    try:
        if inactive is not None:
            return _send_away(visit, consent_id, now)
        return _send_back(visit, consent, now)
    except Conflict:
        db.session.rollback()
        decided_page(handle)


def answer_again(handle: str) -> Response:
    """Bring the client the answer that got lost on the way to it."""
    now = clock.now()
    found = answered(handle, now, lock=True)
    if found is None:
        decided_page(handle)
    answer = answers.once_more(found.row, found.consent, found.actor, now, registry=registry())
    if answer is None:
        db.session.rollback()
        decided_page(handle)
    db.session.commit()
    consent_id = found.consent.consent_id
    return way_back.go(answer, Told(handle=handle, outcome="given", party=found.party, consent_id=consent_id))


def done(handle: str) -> str:
    """One second of what happened, then the third party; shown once."""
    page = way_back.page_between(handle)
    if page is None:
        decided_page(handle)
    return page


def let_through(visit: Visit, now: dt.datetime) -> str | None:
    """A person whom a sign-in client knows already passes without being asked again; None when there is to ask."""
    if "consent" in str(visit.row.parameters.get("prompt") or "").split():
        return None
    known = authorization.earlier_consent(visit.row, visit.actor, now)
    if known is None:
        return None
    try:
        answer = _code(visit, known, now)
    except Conflict:
        db.session.rollback()
        decided_page(visit.handle)
    # A page, not a redirect: a form (whom to act for) may have led here, see consent.web.way_back.
    return way_back.lead_on(answer, _told(visit, "known"), wait=0)


def allow_return(visit: Visit) -> None:
    """Let the forms of this page end at the third party: needed only when the answer does not fit into the cookie."""
    way = answers.way_back(visit.row)
    if way is not None:
        allow_form_action(way.origin)


def _answered(visit: Visit) -> tuple[Visit, str | None]:
    """The visit with the answers of this form, and the first screen that is still open."""
    progress = visit.progress
    one_screen = progress.steps == (FIRST,)
    progress = progress.first_screen(request.form) if one_screen else progress.answered(CONFIRM)
    return visit.with_progress(progress), progress.open_step()


def _give(visit: Visit, now: dt.datetime) -> Response:
    shown = _shown(visit, "given")
    choices = visit.progress.decided()
    if visit.replaces is not None:
        replaced = visit.replaces.consent_id
        consent = lifecycle.replace(replaced, visit.ask, choices, visit.actor, shown, now, registry=registry())
        tokens.end_of_consent(replaced, now)
        return _send_back(visit, consent, now)
    consent = lifecycle.give(visit.ask, choices, visit.actor, shown, now, registry=registry())
    if consent.state == State.PENDING_APPROVAL:
        par.wait_for_approval(visit.row, consent.consent_id, now)
        db.session.commit()
        return redirect(url_for("consent_page.waiting", handle=visit.handle), 303)
    return _send_back(visit, consent, now)


def _send_back(visit: Visit, consent: Consent, now: dt.datetime) -> Response:
    return way_back.go(_code(visit, consent, now), _told(visit, "given", consent.consent_id))


def _code(visit: Visit, consent: Consent, now: dt.datetime) -> Answer:
    """The answer with the code. Consent, code and the end of the request are one transaction.

    The end comes first: of two taps at once one gets no further, also where both would issue the same code.
    """
    par.finish(visit.row, now, consent_id=consent.consent_id)
    answer = answers.with_code(visit.row, consent, visit.actor, now, registry=registry())
    db.session.commit()
    return answer


def _send_away(visit: Visit, consent_id: str | None, now: dt.datetime) -> Response:
    answer = answers.with_error(visit.row, "access_denied", REFUSED, now, registry=registry())
    par.finish(visit.row, now, consent_id=consent_id)
    db.session.commit()
    return way_back.go(answer, _told(visit, "refused", consent_id or ""))


def _told(visit: Visit, outcome: str, consent_id: str = "") -> Told:
    party = visit.client.name(visit.locale)
    return Told(handle=visit.handle, outcome=outcome, party=party, consent_id=consent_id)


def _shown(visit: Visit, decision: str, *, opened: bool = True) -> Shown:
    """The text of everything that the screens said, in the language they were read in (check C-26).

    What was refused without being ``opened`` says so: the rest is what was asked, and nobody has read it.
    """
    text = render_template(
        "consent/notice.txt",
        visit=visit,
        asking=visit.asking(),
        given=visit.given() if decision == "given" else None,
        progress=visit.progress,
        opened=opened,
    )
    return Shown(
        text=text,
        language=LANGUAGES.get(str(get_locale()), "zh-Hans"),
        requested_at=visit.row.created_at,
        opened_at=visit.row.opened_at or visit.row.created_at,
        screens=(visit.progress.screens or (FIRST,)) if opened else (),
    )


def _prepared_here(visit: Visit, consent: Consent) -> bool:
    return consent.space_id == visit.actor.space_id and consent.person_id == visit.actor.person_id
