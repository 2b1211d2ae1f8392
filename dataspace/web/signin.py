"""Who is asking: sign-in by passkey, whom the person acts for, and what views demand of the actor.

The cookie of the browser carries the secret of the sign-in (``signin``), the secret that ties ceremonies to this
browser (``browser``), the language, and nothing else of ours; it is emptied at every sign-out, and at every sign-in
except for the browser's secret.
"""

import datetime as dt
import secrets
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, ParamSpec, TypeVar
from urllib.parse import urlsplit

from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    current_app,
    jsonify,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response as AnyResponse

from dataspace import ceremonies, clock, holders, passkeys, signins
from dataspace.ceremonies import Purpose, RelyingParty
from dataspace.db import db
from dataspace.errors import DomainError, NotAllowed
from dataspace.mandates import Actor, Capacity
from dataspace.web import known_browsers
from dataspace.web.faces import CITIZEN, behind, dressed, face_of
from dataspace.web.limits import limited
from dataspace.web.shell import ASKED_LANGUAGE, services, this_page, wants_page

HOME = "/"
bp = Blueprint("signin", __name__)
P = ParamSpec("P")
R = TypeVar("R")


class SignInNeeded(DomainError):
    code = "sign_in_needed"
    sentence = "Sign in to continue."
    status = 401


class SignInTooOld(SignInNeeded):
    code = "sign_in_again"
    sentence = "Sign in once more to confirm that it is you."


def init_signin(app: Flask) -> None:
    """Register the sign-in pages, and give every page the actor."""
    app.register_blueprint(bp)
    app.context_processor(_actor_context)
    app.after_request(_note_visit)


# Who is asking


def current_actor() -> Actor | None:
    """The signed-in person of this request and whom the person acts for; one query a request."""
    known = _known()
    if "actor" not in known:
        known["actor"] = _find_actor()
    found: Actor | None = known["actor"]
    return found


def the_actor() -> Actor:
    """The actor; without one, browsers are sent to the sign-in page and programs get 401."""
    actor = current_actor()
    if actor is None:
        ask_sign_in(SignInNeeded())
    return actor


def require_actor(view: Callable[P, R]) -> Callable[P, R]:
    """Only for people who are signed in, in any capacity."""

    @wraps(view)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        the_actor()
        return view(*args, **kwargs)

    return wrapped


def require_holder(view: Callable[P, R]) -> Callable[P, R]:
    """Only for people who act for a holder: themselves or a body, not as administrator."""

    @wraps(view)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        if the_actor().capacity is Capacity.ADMINISTRATOR:
            raise NotAllowed("an administrator acts for no holder")
        return view(*args, **kwargs)

    return wrapped


def require_administrator(view: Callable[P, R]) -> Callable[P, R]:
    """Only for people who act as administrator."""

    @wraps(view)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        if the_actor().capacity is not Capacity.ADMINISTRATOR:
            raise NotAllowed("not acting as administrator")
        return view(*args, **kwargs)

    return wrapped


def require_fresh(actor: Actor, now: dt.datetime, *, max_age: dt.timedelta) -> None:
    """Ask for the passkey again when the last time was longer ago than ``max_age``."""
    if not signins.is_fresh(actor, now, max_age=max_age):
        ask_sign_in(SignInTooOld())


def ask_sign_in(error: SignInNeeded) -> NoReturn:
    """Send a browser to the sign-in page, from where it comes back to this page; raise ``error`` for programs."""
    if not wants_page():
        raise error
    # What was posted cannot be posted again by a redirect: after a POST the person starts from home.
    abort(redirect(url_for("signin.sign_in", next=this_page()), 303))


def local_path(unverified: str | None) -> str | None:
    """The path when it leads to a page of ours, else None (an open redirect lends our name to others)."""
    if not unverified or not unverified.startswith("/") or len(unverified) > 4000:
        return None
    # Browsers drop tabs and line breaks and read a backslash as a slash: "/\t/evil" would become "//evil".
    if "\\" in unverified or any(ord(c) <= 0x20 or ord(c) == 0x7F for c in unverified):
        return None
    try:
        parts = urlsplit(unverified)
    except ValueError:
        return None
    return None if parts.scheme or parts.netloc or unverified.startswith("//") else unverified


# What the ceremonies need of the browser


def party() -> RelyingParty:
    """Who we are to authenticators."""
    return RelyingParty.of(services().settings)


def browser_secret() -> str:
    """A secret of this browser: a ceremony is finished where it was begun.

    The page makes it, not the first challenge: of two challenges at once each would set a cookie of its own.
    """
    return str(session.setdefault("browser", secrets.token_urlsafe(32)))


def posted_json() -> dict[str, Any]:
    """The JSON object of the request. Raises BadRequest."""
    try:
        body = request.get_json(silent=True)
    except RecursionError:  # json raises it for thousands of nested brackets, and Flask lets it through
        body = None
    if not isinstance(body, dict):
        raise BadRequest("not a JSON object")
    return body


def taken_ceremony(
    body: dict[str, Any], now: dt.datetime, *, expected_purpose: Purpose, expected_person_id: str | None = None
) -> ceremonies.TakenCeremony:
    """The ceremony that the posted answer belongs to, used up for good. Raises CeremonyOver."""
    taken = ceremonies.take(
        str(body.get("ceremony", "")),
        now,
        expected_purpose=expected_purpose,
        expected_browser=browser_secret(),
        expected_person_id=expected_person_id,
    )
    db.session.commit()  # before the answer is verified: a wrong answer must not leave the challenge usable
    return taken


def enter(verified: passkeys.VerifiedSignIn, now: dt.datetime, next_path: str) -> str:
    """Sign the person in, in an emptied session; returns where to go: ``next_path``, or whom to act for first.

    Who is still signed in here and only proves it again goes on for whom she acted, if she still may, and is not asked.
    """
    browser, before = browser_secret(), session.get("signin")
    asked_language = session.get(ASKED_LANGUAGE)
    found = signins.choices(verified.person_id, now)
    acting = _acted_for(verified.person_id, found)
    if verified.replaces_all:  # an enrolment: this browser's sign-in goes as well
        tell_ended(signins.end_all(verified.person_id, now), now)
    renewed = signins.renew(before, verified, now, acting=acting or found[0]) if isinstance(before, str) else None
    leave(now)  # after renewing, the old secret names no sign-in any more
    if asked_language:
        session[ASKED_LANGUAGE] = asked_language
    session["browser"] = browser  # an authorization request that was opened before the sign-in stays this browser's
    session["signin"] = renewed or signins.start(verified, now)
    session["several"] = len(found) > 1
    goes_on = renewed is not None and acting is not None
    if len(found) == 1 or goes_on or behind(next_path):  # a door asks by itself, among fewer
        return next_path
    return url_for("signin.act_as", next=next_path)


def _acted_for(person_id: str, choices: list[signins.Choice]) -> signins.Choice | None:
    """For whom this person, still signed in here, acts; None for anybody else, and when she no longer may."""
    actor = current_actor()
    if actor is None or actor.person_id != person_id:
        return None
    return next((c for c in choices if c.key == (actor.mandate_id or actor.capacity)), None)


def leave(now: dt.datetime) -> None:
    """End the sign-in of this browser, if any, and empty its session but for the language."""
    if isinstance(session.get("signin"), str):
        tell_ended(signins.end(session["signin"], now), now)
    language = session.get("language")
    session.clear()
    _known().clear()
    if language:
        session["language"] = language


def tell_ended(signin_ids: list[str], now: dt.datetime) -> None:
    """Tell whoever built on these sign-ins that they are over, in the same transaction.

    That is whoever installed ``app.extensions["signins_ended"]``: a function of their ids and ``now``.
    """
    told: Callable[[list[str], dt.datetime], None] | None = current_app.extensions.get("signins_ended")
    if signin_ids and told is not None:
        told(signin_ids, now)


# Pages


@bp.get("/signin")
def sign_in() -> str:
    """The sign-in page; also for those signed in, who may have to prove it again."""
    browser_secret()
    next_path = local_path(request.args.get("next"))
    look = {} if current_actor() else dressed(behind(next_path) or CITIZEN)
    return render_template("signin/sign_in.html", next=next_path, **look)


@bp.post("/signin/options")
@limited("60/minute")
def begin() -> Response:
    """A challenge for this browser."""
    begun = passkeys.begin_sign_in(clock.now(), party=party(), browser=browser_secret())
    db.session.commit()
    return jsonify(ceremony=begun.ceremony_id, publicKey=begun.options)


@bp.post("/signin/verify")
@limited("20/minute")
def finish() -> Response:
    """Check the authenticator's answer and sign the person in."""
    now = clock.now()
    body = posted_json()
    taken = taken_ceremony(body, now, expected_purpose=Purpose.SIGN_IN)
    verified = passkeys.finish_sign_in(taken, body.get("credential"), now, party=party())
    known_browsers.note_sign_in(verified.person_id, now)
    go_to = enter(verified, now, local_path(request.args.get("next")) or HOME)
    db.session.commit()
    return jsonify(next=go_to)


@bp.post("/signout")
def sign_out() -> AnyResponse:
    """Sign out."""
    leave(clock.now())
    db.session.commit()
    return redirect(url_for("signin.sign_in"), 303)


@bp.get("/act-as")
@require_actor
def act_as() -> str | AnyResponse:
    """Whom to act for; goes on by itself when there is nothing to choose."""
    actor = the_actor()
    found = signins.choices(actor.person_id, clock.now())
    next_path = local_path(request.args.get("next")) or HOME
    session["several"] = len(found) > 1
    if len(found) == 1 and actor.capacity is found[0].capacity:
        return redirect(next_path, 303)
    names = holders.profiles({c.holder_id for c in found if c.holder_id}, vault=services().vault)
    current = actor.mandate_id or actor.capacity.value
    page = {"choices": found, "names": names, "current": current, "next": next_path, "switch_url": ""}
    return render_template("signin/act_as.html", **page)


@bp.post("/act-as")
@require_actor
def choose() -> AnyResponse:
    """Act for somebody else from now on."""
    signins.act_as(the_actor(), request.form.get("choice", ""), clock.now())
    db.session.commit()
    return redirect(local_path(request.form.get("next")) or HOME, 303)


def _known() -> dict[str, Any]:
    """What this request has found out; not in ``g``, which outlives it when an application context surrounds it."""
    found: dict[str, Any] = request.environ.setdefault("dataspace.signin", {})
    return found


def _find_actor() -> Actor | None:
    secret = session.get("signin")
    if not isinstance(secret, str):
        return None
    now = clock.now()
    visit = signins.visit(secret, now, idle=services().settings.session_idle)
    if visit is None:
        return None
    if visit.unseen:
        _known()["unseen"] = (visit.actor.signin_id, now)
    return visit.actor


def _note_visit(response: Response) -> Response:
    """Note that the person was here, when the view has committed or failed already."""
    unseen = _known().pop("unseen", None)
    if unseen is not None:
        try:
            db.session.rollback()  # what a view did not commit is not ours to commit
            signins.seen(*unseen)
            db.session.commit()
        except SQLAlchemyError:
            db.session.rollback()  # the answer is complete; the next request notes it
    return response


def _actor_context() -> dict[str, object]:
    """For templates; an error page must also come out when the database is gone."""
    known = _known()
    if "context" not in known:
        try:
            known["context"] = _describe(current_actor())
        except SQLAlchemyError:
            db.session.rollback()
            known["context"] = _describe(None)
    found: dict[str, object] = known["context"]
    return found


def _describe(actor: Actor | None) -> dict[str, object]:
    if actor is None:
        return {"actor": None, "actor_name": "", "holder_name": "", "switch_url": "", **face_of(None)}
    names = holders.profiles({actor.person_id, actor.holder_id} - {""}, vault=services().vault)
    return {
        "actor": actor,
        "actor_name": names[actor.person_id].name if actor.person_id in names else "",
        "holder_name": names[actor.holder_id].name if actor.holder_id in names else "",
        "switch_url": url_for("signin.act_as", next=this_page()) if session.get("several") else "",
        **face_of(actor.capacity),
    }
