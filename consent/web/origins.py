"""Where what was read came from, how to prove a read, and who received a version of a record: pages of the holder."""

from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, render_template, request, url_for
from flask_babel import get_locale

from consent import evidence, received
from consent.received import Allowed
from consent.web import proofs, reads
from dataspace import accesses, lineage
from dataspace.accesses import Access, Action, Outcome
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
    left = received.allowed([line])
    entry = accesses.entry_of(line)
    return render_template(
        "origins/read.html",
        line=reads.lines([line], locale)[0],
        access=line,
        answered=line.outcome == Outcome.ANSWERED,
        provable=entry is not None,
        in_log=entry is not None and evidence.has(entry),
        origins=[
            view(o, locale) | {"fields": fields(o, line, left, locale)} for o in lineage.origins(line.record_ids or [])
        ],
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
    """One version of a record of one's own, and everybody who received it, or one field of it."""
    origin = lineage.origin(plain(record_id)[:40])
    if origin.record.space_id != the_actor().space_id:
        raise NotFound("a version of another space")
    locale, (field, found) = str(get_locale()), recipients(origin)
    left = received.allowed(found.lines)
    lines = zip(reads.lines(found.lines, locale), found.lines, strict=True)
    return render_template(
        "origins/version.html",
        origin=view(origin, locale),
        choices=choices(origin, locale),
        field=field,
        lines=[replace(line, items=fields(origin, row, left, locale) or line.items) for line, row in lines],
        earlier=lineage.version_before(origin.record),
        older=url_for("origins.version", record_id=origin.record.record_id, field=field or None, before=found.older)
        if found.older
        else "",
    )


def choices(origin: Origin, locale: str) -> list[tuple[str, str]]:
    """The fields of a version, to choose one: (id, label)."""
    return [(one, origin.item.field_label(one, locale)) for one in origin.item.field_ids()]


def recipients(origin: Origin) -> tuple[str, Recipients]:
    """The field that the address names, empty for all, and who received it."""
    field, before = request.args.get("field", ""), request.args.get("before", type=reads.key)
    if field not in origin.item.field_ids():
        return "", lineage.recipients(origin.record, before=before)
    resting_on = received.allowing(origin.record.space_id, origin.record.item_id, field)
    return field, lineage.recipients(origin.record, resting_on=resting_on, before=before)


def fields(origin: Origin, line: Access, left: Allowed, locale: str) -> list[str]:
    """What the fields of a version are called that left with a line.

    None of a certificate that the holder has shown: which ones she chose, only the page of the certificate says.
    """
    if line.action == Action.SHOW:
        return []
    allowed = left.get(lineage.basis(line), {}).get(origin.record.item_id, ())
    return [origin.item.field_label(one, locale) for one in origin.item.field_ids() if one in allowed]


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
