"""What the data API answers with: plain JSON, or one signed token of it, encrypted if the client registered so.

Who signs is installed by ``wsgi``: this side knows no keys of clients.
"""

import datetime as dt
import hashlib
from collections.abc import Callable
from typing import Any, Protocol

import orjson
from flask import Flask, Response, current_app, request

from dataspace.jwk import b64encode
from dataspace.permission import Permission

EXTENSION = "answers"
JSON, JWT = "application/json", "application/jwt"


class Packing(Protocol):
    """Makes one token of an answer."""

    def pack(self, body: dict[str, Any]) -> str: ...


PackingFor = Callable[[Permission, dt.datetime], Packing]


def init_answers(app: Flask, packing_for: PackingFor) -> None:
    """Install what signs and encrypts in this application."""
    app.extensions[EXTENSION] = packing_for


def packing(permission: Permission, now: dt.datetime) -> Packing | None:
    """How this request is to be answered; None: as plain JSON. Found before anything is read.

    Who has registered for encryption never gets anything else.
    """
    named = JWT in request.headers.get("Accept", "")  # most do not, and need no weighing
    wanted = named and request.accept_mimetypes.best_match([JSON, JWT]) == JWT
    if not wanted and permission.encryption is None:
        return None
    found: Packing = current_app.extensions[EXTENSION](permission, now)
    return found


def answer(body: dict[str, Any], packed: Packing | None) -> Response:
    """A body as it leaves."""
    if packed is None:
        return Response(orjson.dumps(body), mimetype=JSON)
    return Response(packed.pack(body), mimetype=JWT)


def tag(body: dict[str, Any]) -> str:
    """What changes exactly when the answer says something else (RFC 9110 section 8.8.3).

    No value is in it but the salted digests of the records: a tag may stand in the log of a proxy.
    """
    items = [{k: v for k, v in item.items() if k not in ("fields", "rows")} for item in body["items"]]
    rests_on = body.get("consent") or body["by_law"]
    said = orjson.dumps({"rests_on": rests_on, "items": items}, option=orjson.OPT_SORT_KEYS)
    return b64encode(hashlib.sha256(said).digest())
