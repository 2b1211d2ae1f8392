"""Where what was read came from, and who received a version of a record: pages of the holder."""

from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask_babel import get_locale

from consent.web import reads
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
    """One answered read: from which sources its data came, as of when, and how to prove that it was this."""
    line = accesses.line_of(the_actor().space_id, access_id)
    if line.outcome != Outcome.ANSWERED:
        raise NotFound("nothing left with this read")
    locale = str(get_locale())
    return render_template(
        "origins/read.html",
        line=reads.lines([line], locale)[0],
        access=line,
        origins=[view(o, locale) for o in lineage.origins(line.record_ids or [])],
    )


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
