"""Browsers that somebody has signed in with before, so that a sign-in with another one is told.

A signed cookie of its own, which survives signing out: digests of the last few people, nothing that says who they are.
"""

import datetime as dt
import hashlib

from flask import Response, after_this_request, request
from itsdangerous import BadSignature, URLSafeSerializer

from dataspace import messages
from dataspace.messages import Group, Notice
from dataspace.web.shell import services

LIFE = dt.timedelta(days=400)  # browsers keep no cookie for longer
PEOPLE = 5  # a family at one computer


def note_sign_in(person_id: str, now: dt.datetime) -> None:
    """Tell the person when this browser is new to her, in this transaction; know it from now on."""
    if _digest(person_id) not in _people():
        messages.send_to_person(person_id, Notice.NEW_BROWSER, Group.SECURITY, now)
    remember(person_id)


def remember(person_id: str) -> None:
    """Know this browser from now on."""
    mine = _digest(person_id)
    people = [mine, *(digest for digest in _people() if digest != mine)][:PEOPLE]

    @after_this_request
    def give(response: Response) -> Response:
        response.set_cookie(
            _cookie(), _signer().dumps(people), max_age=LIFE, secure=services().settings.secure, httponly=True,
            samesite="Lax",
        )  # fmt: skip
        return response


def _cookie() -> str:
    return "__Host-known" if services().settings.secure else "known"


def _people() -> list[str]:
    try:
        found = _signer().loads(request.cookies.get(_cookie(), ""))
    except BadSignature:
        return []
    return found if isinstance(found, list) else []


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(services().settings.secret_key, salt="known-browser")


def _digest(person_id: str) -> str:
    return hashlib.sha256(person_id.encode()).hexdigest()[:22]
