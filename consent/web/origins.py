"""Where what was read came from, how to prove a read, and who received a version of a record: pages of the holder."""

from typing import Any

from flask import Blueprint, Response, render_template, request, url_for
from flask_babel import get_locale

from consent import evidence
from consent.web import proofs, reads
from dataspace import accesses, lineage
from dataspace.accesses import Outcome
from dataspace.errors import NotFound
from dataspace.lineage import Origin, Recipients
from dataspace.web.signin import require_holder, the_actor
from dataspace.web.values import plain

bp = Blueprint("origins", __name__)


@bp.get("/reads/<int(max=9223372036854775807):access_id>")
@require_holder
def read(access_id: int) -> str:
    """One line: of an answered read the sources of its data, of a refused one that nothing left; how to prove it."""
    line, locale = accesses.line_of(the_actor().space_id, access_id), str(get_locale())
    entry = accesses.entry_of(line)
    return render_template(
        "origins/read.html",
        line=reads.lines([line], locale)[0],
        access=line,
        answered=line.outcome == Outcome.ANSWERED,
        provable=entry is not None,
        in_log=entry is not None and evidence.has(entry),
        origins=[view(o, locale) for o in lineage.origins(line.record_ids or [])],
    )


@bp.get("/reads/<int(max=9223372036854775807):access_id>/proof.json")
@require_holder
def proof(access_id: int) -> Response:
    """That a line of one's own, answered or refused, stands in the log of evidence."""
    line = accesses.line_of(the_actor().space_id, access_id)
    return proofs.download(accesses.entry_of(line), line.delivery_id or f"read-{access_id}")


@bp.get("/versions/<record_id>")
@require_holder
def version(record_id: str) -> str:
    """One version of a record of one's own, and everybody who received it."""
    origin = lineage.origin(plain(record_id)[:40])
    if origin.record.space_id != the_actor().space_id:
        raise NotFound("a version of another space")
    locale, before = str(get_locale()), request.args.get("before", type=reads.key)
    received = lineage.recipients(origin.record, before=before)
    return render_template(
        "origins/version.html",
        origin=view(origin, locale),
        lines=reads.lines(received.lines, locale),
        older=_older(origin, received),
    )


def view(origin: Origin, locale: str) -> dict[str, Any]:
    """A version in the reader's language."""
    return {
        "label": origin.item.label(locale),
        "authority": origin.item.authority_name(locale),
        "source": origin.source_name(locale),
        "silent_since": origin.source.failing_since if origin.source else None,
        "corrected": origin.corrected,
        "case_number": origin.case_number,
        "record": origin.record,
    }


def _older(origin: Origin, received: Recipients) -> str:
    if received.older is None:
        return ""
    return url_for("origins.version", record_id=origin.record.record_id, before=received.older)
