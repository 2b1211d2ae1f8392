"""What the data API answers with: plain JSON, or one token of it, signed, encrypted, or both.

``application/jwt`` asks for a signed JWT (RFC 7519). ``application/jose`` (RFC 7515 section 9.2.1) asks for encryption:
neither media type has a parameter that could tell a signed JWT from an encrypted one, and each is registered for both,
so that the second one was free. Whoever names ``application/jose`` first gets nothing in clear, whatever else it takes.

What may only be looked at is never signed: a signature is for showing to others what one was given. Who signs is
installed by ``wsgi``: this side knows no keys of clients.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from flask import Flask, Response, current_app, request

from dataspace.jwk import b64encode
from dataspace.permission import Permission, ReadRefused

EXTENSION = "answers"
JSON, JWT, JOSE = "application/json", "application/jwt", "application/jose"


class Packing(Protocol):
    """Makes one token of an answer."""

    def pack(self, body: dict[str, Any]) -> str: ...


class PackingFor(Protocol):
    """Finds what a token for this recipient needs, before anything is read.

    ``encrypted``: the request asks for it; a client may have registered for it as well.
    """

    def __call__(self, permission: Permission, now: dt.datetime, *, signed: bool, encrypted: bool) -> Packing: ...


@dataclass(frozen=True)
class Packed:
    """How an answer becomes a token, and as what it is sent."""

    packing: Packing
    media_type: str


def init_answers(app: Flask, packing_for: PackingFor) -> None:
    """Install what signs and encrypts in this application."""
    app.extensions[EXTENSION] = packing_for


def packing(permission: Permission, now: dt.datetime, *, looks_only: bool = False) -> Packed | None:
    """How this request is to be answered; None: as plain JSON. Found before anything is read.

    Who has registered for encryption never gets anything else. ``looks_only``: of what may not be kept. Raises
    ReadRefused (``view_only``).
    """
    accept = request.headers.get("Accept", "")  # most name neither, and need no weighing
    wanted = request.accept_mimetypes.best_match([JSON, JWT, JOSE]) if JWT in accept or JOSE in accept else JSON
    encrypted = wanted == JOSE or permission.encryption is not None
    if looks_only and wanted == JWT and not encrypted:
        raise ReadRefused("view_only", permission=permission)
    if not encrypted and wanted != JWT:
        return None
    found = current_app.extensions[EXTENSION](permission, now, signed=not looks_only, encrypted=wanted == JOSE)
    return Packed(found, JOSE if wanted == JOSE or looks_only else JWT)


def answer(body: dict[str, Any], packed: Packed | None) -> Response:
    """A body as it leaves."""
    if packed is None:
        return Response(orjson.dumps(body), mimetype=JSON)
    return Response(packed.packing.pack(body), mimetype=packed.media_type)


def tag(body: dict[str, Any]) -> str:
    """What changes exactly when the answer says something else (RFC 9110 section 8.8.3).

    No value is in it but the salted digests of the records: a tag may stand in the log of a proxy.
    """
    items = [{k: v for k, v in item.items() if k not in ("fields", "rows")} for item in body["items"]]
    rests_on = body.get("consent") or body["by_law"]
    said = orjson.dumps({"rests_on": rests_on, "items": items}, option=orjson.OPT_SORT_KEYS)
    return b64encode(hashlib.sha256(said).digest())
