"""The screen at the counter: a QR code with its letters, and what the patient has agreed to show.

Settings from the environment: COUNTER_ISSUER (the authorization service), COUNTER_CLIENT_ID and COUNTER_KEYS (a file).
Serve it with one worker: ``granian --interface wsgi --factory examples.hospital.counter:create_counter``.
"""

import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import segno
from flask import Blueprint, Flask, abort, current_app, redirect, render_template, url_for
from werkzeug.wrappers import Response

from examples.bank import keys
from examples.bank.fapi import Begun, DataSpaceClient, OAuthRefused

ASKED = [{"type": "data_space_access", "purpose": "cross-hospital-visit"}]
WAITING, HURRIED = "authorization_pending", "slow_down"
bp = Blueprint("counter", __name__)


@dataclass
class Visit:
    """One patient at the counter. ``ended``: the word with which the service ended it, empty while it goes on."""

    begun: Begun
    pause: int  # seconds between two questions
    asked_at: float = 0.0
    ended: str = ""


def create_counter(environ: Mapping[str, str] = os.environ) -> Flask:
    """Build the counter. Raises KeyError when COUNTER_ISSUER is missing."""
    app = Flask(__name__)
    signing, proof = keys.load(Path(environ.get("COUNTER_KEYS", "var/hospital-keys.json")))
    client_id = environ.get("COUNTER_CLIENT_ID", "peoples-hospital")
    app.extensions["spaces"] = DataSpaceClient(
        environ["COUNTER_ISSUER"], client_id, "", signing_key=signing, proof_key=proof
    )
    app.extensions["visits"] = {}
    app.register_blueprint(bp)
    return app


@bp.get("/healthz")
def healthz() -> str:
    return "ok"


@bp.get("/")
def home() -> str:
    return render_template("counter.html", visit=None)


@bp.post("/visits")
def begin() -> Response:
    """Ask, and show the code."""
    begun = _spaces().begin(ASKED)
    number = secrets.token_urlsafe(8)
    current_app.extensions["visits"][number] = Visit(begun, begun.interval)
    return redirect(url_for("counter.show", number=number), 303)


@bp.get("/visits/<number>")
def show(number: str) -> str:
    """The code while the patient decides; then what may be seen, once: nothing of it is kept here."""
    visit: Visit = current_app.extensions["visits"].get(number) or abort(404)
    body = None if visit.ended else _look(visit)
    qr = segno.make(visit.begun.address, micro=False, error="m").svg_data_uri(scale=6, border=2)
    return render_template("counter.html", visit=visit, body=body, qr=qr)


def _look(visit: Visit) -> dict[str, Any] | None:
    """Ask whether it is decided, not more often than the service wants; and read at once when it is."""
    if time.monotonic() - visit.asked_at < visit.pause:
        return None
    visit.asked_at = time.monotonic()
    try:
        token = _spaces().fetch(visit.begun)
    except OAuthRefused as error:
        visit.pause += visit.begun.interval if error.error == HURRIED else 0
        visit.ended = "" if error.error in (WAITING, HURRIED) else error.error
        return None
    except httpx.HTTPError:
        return None  # the patient waits, and so do we
    answer = _spaces().get(_spaces().data_url, token["access_token"])
    visit.ended = "seen" if answer.status_code == 200 else "unreadable"
    body: dict[str, Any] | None = answer.json() if answer.status_code == 200 else None
    return body


def _spaces() -> DataSpaceClient:
    spaces: DataSpaceClient = current_app.extensions["spaces"]
    return spaces
