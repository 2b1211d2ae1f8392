"""``POST /api/v1/records``: an authority brings records of its own items, as ``{"records": [...]}``, by its own key.

Who the caller is, is told by what ``wsgi`` installs; which items it may bring, by its source. Each record has a result
of its own in the answer; sent again, the same records change nothing.
"""

from collections import Counter
from collections.abc import Callable

import orjson
from flask import Blueprint, Flask, Response, current_app, request

from dataspace import clock
from dataspace.db import db
from dataspace.errors import DomainError
from dataspace.sources import registry
from dataspace.sources.incoming import NotJson, from_document, parse_json
from dataspace.sources.receiving import Reception
from dataspace.sources.storing import Verdict
from dataspace.web import shell
from dataspace.web.limits import limited
from dataspace.web.shell import services

EXTENSION = "push.authority"
MAX_RECORDS = 1000
MAX_BYTES = 4 * 1024 * 1024
bp = Blueprint("push", __name__, url_prefix="/api/v1")


class InvalidBatch(DomainError):
    code = "invalid_request"
    sentence = "Send JSON: an object with one to 1000 records, each name once."


def init_push(app: Flask, authority: Callable[[], str]) -> None:
    """Take records in this application. ``authority``: who sends the current request, a client id, or an error."""
    app.extensions[EXTENSION] = authority
    app.register_blueprint(bp)
    shell.csrf.exempt(bp)


@bp.post("/records")
@limited("600/minute")
def bring() -> Response:
    """Take what the source of the calling authority brings."""
    request.max_content_length = MAX_BYTES
    client_id: str = current_app.extensions[EXTENSION]()
    now = clock.now()
    source = registry.of_client(client_id)
    records = _records(request.get_data(cache=False))
    made = services()
    reception = Reception.of(source, now, vault=made.vault, index=made.index, demanded=made.demanded)
    db.session.commit()  # the assertion stays used whatever becomes of the records, and the batch begins anew
    verdicts = reception.take([from_document(n, record) for n, record in enumerate(records, start=1)], now)
    registry.heard(source.source_id, now)
    db.session.commit()
    counts = Counter(verdict.outcome.value for verdict in verdicts)
    body = {"counts": counts, "results": [_result(verdict) for verdict in verdicts]}
    return Response(orjson.dumps(body), mimetype="application/json")


def _records(body: bytes) -> list[object]:
    """Raises InvalidBatch."""
    try:
        said = parse_json(body)
    except NotJson as error:
        raise InvalidBatch(error.reason) from None
    records = said.get("records") if isinstance(said, dict) else None
    if not isinstance(records, list) or not 1 <= len(records) <= MAX_RECORDS:
        raise InvalidBatch
    return records


def _result(verdict: Verdict) -> dict[str, object]:
    found: dict[str, object] = {"number": verdict.place, "outcome": verdict.outcome}
    if verdict.reason is not None:
        found |= {"reason": verdict.reason, "field": verdict.field}
    return found
