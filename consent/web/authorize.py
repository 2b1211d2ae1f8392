"""The consent page: what a third party asks, screen by screen, and the decision.

GET shows, POST keeps a choice and leads to the next screen (303). A request with nothing sensitive that stays in the
country is one screen and one tap; each sensitive item and the transfer abroad have a screen of their own (PIPL 29, 39).
"""

import datetime as dt

from flask import Blueprint, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from consent.oauth import par
from consent.web import decisions
from consent.web.steps import ABROAD, CONFIRM, FIRST, ITEM, Progress
from consent.web.visits import Visit, demand_fresh_sign_in, demand_same_actor, open_request
from dataspace import clock
from dataspace.db import db

bp = Blueprint("consent_page", __name__, url_prefix="/consent/<handle>")
bp.add_url_rule("/agree", view_func=decisions.agree, methods=["POST"])
bp.add_url_rule("/refuse", view_func=decisions.refuse, methods=["POST"])
bp.add_url_rule("/look-anyway", view_func=decisions.look_anyway, methods=["POST"])
bp.add_url_rule("/waiting", view_func=decisions.waiting)
bp.add_url_rule("/return", view_func=decisions.return_to_client, methods=["POST"])
bp.add_url_rule("/answer-again", view_func=decisions.answer_again, methods=["POST"])
bp.add_url_rule("/done", view_func=decisions.done)


@bp.get("")
def start(handle: str) -> str:
    """The first screen: who, why, what, how long."""
    now = clock.now()
    visit = open_request(handle, now)
    if visit.ask.kind == "login":
        return decisions.let_through(visit, now) or _screen(visit, FIRST, "sign_in")
    return _screen(visit, FIRST, "first")


@bp.post("")
def choose(handle: str) -> Response:
    """Keep the answers of the first screen."""
    if request.form.get("decision") == "refuse":  # from a browser that does not know formaction
        return decisions.refuse(handle)
    now = clock.now()
    visit = _decisive(handle, now)
    progress = visit.progress.first_screen(request.form)
    par.keep_choices(visit.row, progress.to_choices(), now)
    return _go_on(visit, progress)


@bp.get("/item/<item_id>")
def item(handle: str, item_id: str) -> str:
    """One sensitive item: why it is needed, what it can mean, the very value."""
    visit = open_request(handle, clock.now())
    return _screen(visit, _known(visit, ITEM + item_id), "item", item_id=item_id)


@bp.post("/item/<item_id>")
def decide_item(handle: str, item_id: str) -> Response:
    """Keep the decision on one sensitive item."""
    now = clock.now()
    visit = _decisive(handle, now)
    step = _known(visit, ITEM + item_id)
    asked = {i.item_id: i for i in visit.ask.items}[item_id]
    progress = visit.progress.decide_item(asked, request.form)
    par.keep_choices(visit.row, progress.to_choices(), now)
    return _go_on(visit, progress, after=step)


@bp.get("/cross-border")
def abroad(handle: str) -> str:
    """The transfer abroad: who receives, where, under which filing, one's rights there."""
    visit = open_request(handle, clock.now())
    return _screen(visit, _known(visit, ABROAD), "abroad")


@bp.post("/cross-border")
def decide_abroad(handle: str) -> Response:
    """Keep the decision on the transfer abroad."""
    now = clock.now()
    visit = _decisive(handle, now)
    step = _known(visit, ABROAD)
    progress = visit.progress.decide_abroad(agree=request.form.get("decision") == "give")
    par.keep_choices(visit.row, progress.to_choices(), now)
    return _go_on(visit, progress, after=step)


@bp.get("/confirm")
def confirm(handle: str) -> str | Response:
    """What will be given, in one paragraph."""
    now = clock.now()
    visit = open_request(handle, now)
    _known(visit, CONFIRM)
    missing = visit.progress.open_step()
    if missing is not None:
        return redirect(visit.url(missing), 303)
    demand_fresh_sign_in(visit, now)
    return _screen(visit, CONFIRM, "confirm", asking=visit.given())


@bp.post("/more-time")
def more_time(handle: str) -> Response:
    """Read on: the time counts anew, and what is chosen so far is kept (check C-21)."""
    now = clock.now()
    visit = _decisive(handle, now)
    step = _known(visit, request.form.get("step", FIRST))
    par.keep_choices(visit.row, visit.progress.kept(step, request.form).to_choices(), now)
    db.session.commit()
    return redirect(visit.url(step), 303)


def _decisive(handle: str, now: dt.datetime) -> Visit:
    visit = open_request(handle, now)
    demand_same_actor(visit)
    return visit


def _known(visit: Visit, step: str) -> str:
    if step not in visit.progress.steps:
        abort(404)
    return step


def _go_on(visit: Visit, progress: Progress, after: str = FIRST) -> Response:
    """Commit, and lead to the screen that is next to be answered; one that stops everything is shown again."""
    db.session.commit()
    if progress.stops(after):
        return redirect(visit.url(after), 303)
    return redirect(visit.url(progress.open_step() or progress.steps[-1]), 303)


def _screen(visit: Visit, step: str, template: str, **context: object) -> str:
    steps = visit.progress.steps
    decisions.allow_return(visit)
    return render_template(
        f"consent/{template}.html",
        visit=visit,
        asking=context.pop("asking", None) or visit.asking(),
        progress=visit.progress,
        step=steps.index(step) + 1,
        steps=len(steps),
        stopping=visit.progress.stops(step),
        back_url=visit.url(steps[steps.index(step) - 1]) if steps.index(step) else "",
        refuse_url=url_for("consent_page.refuse", handle=visit.handle),
        **context,
    )
