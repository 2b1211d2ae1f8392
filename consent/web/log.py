"""The log of evidence, served as C2SP tlog-tiles says: checkpoint, tiles, entries; and the key to check it with.

Everything but the checkpoint never changes and may be kept by whoever is on the way.
"""

import datetime as dt
import gzip
from pathlib import Path

from flask import Blueprint, Response, current_app, request

from consent import cosignatures, evidence, worker
from consent.evidence import FIRST
from consent.log_files import LogFiles
from consent.merkle import ENTRIES, Tile
from consent.web.context import registry
from dataspace import clock
from dataspace.errors import NotFound
from dataspace.web.shell import services

bp = Blueprint("log", __name__, url_prefix="/log")
LATER = f"/<int(min={FIRST + 1}):number>"  # logs after the first
WITNESSES = "witnesses"  # of the application: whom the settings name
FOR_EVER = "public, max-age=31536000, immutable"
A_MOMENT = "public, max-age=1"  # "prevent caching beyond a few seconds"; a proof is there within two
TEXT, BYTES = "text/plain; charset=utf-8", "application/octet-stream"


@bp.get("/checkpoint", defaults={"number": FIRST})
@bp.get(f"{LATER}/checkpoint")
def checkpoint(number: int) -> Response:
    """The signed head of the log, with its cosignatures: held back until it has them, but for seconds only."""
    return _answer(evidence.published(number).note, TEXT, A_MOMENT)


@bp.get("/cosigned", defaults={"number": FIRST})
@bp.get(f"{LATER}/cosigned")
def cosigned(number: int) -> Response:
    """The newest head that enough witnesses have cosigned, also while they are silent and the log goes on."""
    found = evidence.cosigned(number)
    if found is None:
        raise NotFound("no checkpoint is cosigned")
    return _answer(found.note, TEXT, A_MOMENT)


@bp.get("/tile/<level>/<path:where>", defaults={"number": FIRST})
@bp.get(f"{LATER}/tile/<level>/<path:where>")
def tile(level: str, where: str, number: int) -> Response:
    """A tile of the Merkle tree or a bundle of entries, whole or partial."""
    found = Tile.at(level, where)
    if found is None:
        raise NotFound("not the path of a tile")
    content = evidence.content_of(found, number)
    if found.level != ENTRIES:
        return _answer(content, BYTES, FOR_EVER)
    packed = request.accept_encodings.quality("gzip") > 0
    response = _answer(gzip.compress(content, 6, mtime=0) if packed else content, BYTES, FOR_EVER)
    response.headers["Vary"] = "Accept-Encoding"
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    return response


@bp.get("/key", defaults={"number": FIRST})
@bp.get(f"{LATER}/key")
def key(number: int) -> Response:
    """The verifier key of the log (signed-note): what a reader has to know, once, to check all the rest."""
    return _answer(f"{evidence.head(number).verifier}\n".encode(), TEXT, A_MOMENT)


def sequence() -> int:
    """Bring the log up to date, and its files if they are wanted; returns how many entries. Raises SweepFailed."""
    files = log_files(evidence.growing())
    hold = cosignatures.HOLD if current_app.extensions[WITNESSES] else dt.timedelta()
    quorum = services().settings.witness_quorum
    return worker.sequence(clock.now(), registry=registry(), files=files, hold=hold, quorum=quorum)


def log_files(number: int) -> LogFiles | None:
    """Where this log is published as files, if it is."""
    folder = services().settings.log_directory
    return LogFiles(Path(folder), number) if folder else None


def cosign() -> int:
    """Show the head of the log to the witnesses that are due; returns how many have cosigned. Raises SweepFailed."""
    asked, settings = current_app.extensions[WITNESSES], services().settings
    return worker.cosign(clock.now(), asked, quorum=settings.witness_quorum, allow_loopback=settings.fetch_loopback)


def _answer(body: bytes, media_type: str, caching: str) -> Response:
    response = Response(body, content_type=media_type)
    response.headers["Cache-Control"] = caching
    response.headers["Access-Control-Allow-Origin"] = "*"  # there is nothing in it that not everybody may read
    response.add_etag()
    response.make_conditional(request)
    return response
