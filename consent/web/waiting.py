"""Requests that wait for the holder, with no browser sent here; and the code by which one lets somebody ask.

Opening one leads to the same consent page as everybody's. Refusing needs no look at it.
"""

import datetime as dt
from dataclasses import dataclass

from flask import Blueprint, g, redirect, render_template, session, url_for
from flask.blueprints import BlueprintSetupState
from flask_babel import format_timedelta, get_locale
from werkzeug.wrappers import Response

from consent import person_codes
from consent.clients import Client
from consent.oauth import waiting
from consent.oauth.par import AuthorizationRequest
from consent.web import decisions
from consent.web.context import registry
from consent.web.party import Party
from consent.web.visits import acting_as
from dataspace import clock
from dataspace.catalogue import in_language
from dataspace.db import db
from dataspace.mandates import Actor
from dataspace.web.limits import limited
from dataspace.web.shell import ask_language
from dataspace.web.signin import browser_secret, require_holder, the_actor
from dataspace.web.values import plain

bp = Blueprint("waiting", __name__, url_prefix="/requests")
PLACE = "home"  # of the navigation, from where the page is reached
_NUMBER = "requests_waiting"
_SLOT = "person_code"  # of the session: the code is shown to the browser that has made it, and kept nowhere else


@bp.record_once
def _fill_navigation(state: BlueprintSetupState) -> None:
    state.app.extensions.setdefault("place_numbers", {})[PLACE] = number


@dataclass(frozen=True, kw_only=True)
class Card:
    """One request that waits. ``left``: how long still, in words."""

    handle: str
    party: Party
    purpose: str
    message: str
    until: dt.datetime
    left: str


@bp.get("")
@require_holder
def index() -> str:
    """What waits for the holder, and the code that still waits for a third party."""
    now, actor = clock.now(), the_actor()
    return render_template(
        "waiting/index.html",
        cards=[_card(row, client, now) for row, client in waiting.of(actor, now, index=registry().index)],
        acting=acting_as(actor),
        code=_code(actor, now),
    )


@bp.post("/code")
@limited("20/minute")
@require_holder
def make_code() -> Response:
    """A fresh code; the one before counts no more."""
    now, actor = clock.now(), the_actor()
    code = person_codes.make(actor, now, index=registry().index)
    db.session.commit()
    session[_SLOT] = {"code": code, "acting": acting_as(actor), "until": (now + person_codes.LIFE).isoformat()}
    return redirect(url_for("waiting.index"), 303)


@bp.post("/<handle>/open")
@require_holder
def open_one(handle: str) -> Response:
    """On to the consent page, in this browser from now on."""
    row = _opened(handle)
    ask_language(row.parameters.get("ui_locales", ""))
    db.session.commit()
    return redirect(url_for("consent_page.start", handle=handle), 303)


@bp.post("/<handle>/refuse")
@require_holder
def refuse(handle: str) -> Response:
    """Refuse at once."""
    _opened(handle)
    return decisions.refuse(handle, opened=False)


def number(actor: Actor, now: dt.datetime) -> int:
    """How many wait; looked up once a page, which may show it twice."""
    if _NUMBER not in g:
        g.setdefault(_NUMBER, len(waiting.of(actor, now, index=registry().index)))
    found: int = g.get(_NUMBER)
    return found


def _opened(handle: str) -> AuthorizationRequest:
    """Raises NotFound, with a page: it waits no more, or for somebody else."""
    now = clock.now()
    row = waiting.find(handle, the_actor(), now, index=registry().index)
    waiting.open_in_browser(row, browser=browser_secret(), now=now)
    return row


def _card(row: AuthorizationRequest, client: Client, now: dt.datetime) -> Card:
    locale = str(get_locale() or "zh_Hans")
    return Card(
        handle=row.handle,
        party=Party.of(client, locale),
        purpose=plain(in_language(row.asked.purpose_text, locale)),
        message=row.parameters["binding_message"],
        until=row.expires_at,
        left=format_timedelta(row.expires_at - now, granularity="minute"),
    )


def _code(actor: Actor, now: dt.datetime) -> dict[str, object] | None:
    """The code that this browser has made for this holder, as long as nobody has used it."""
    kept = session.get(_SLOT)
    if not isinstance(kept, dict) or kept["acting"] != acting_as(actor):
        return None
    if not person_codes.is_open(kept["code"], now, index=registry().index):
        session.pop(_SLOT)
        return None
    return {"code": kept["code"], "until": dt.datetime.fromisoformat(kept["until"])}
