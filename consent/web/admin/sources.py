"""Sources as administrators see them: how good each is, what it could not bring; and the lineage of a delivery."""

from typing import Any

from flask import render_template, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _

from consent import received
from consent.web import origins
from consent.web.admin import labels
from dataspace import accesses, catalogue, clock, lineage
from dataspace.catalogue import in_language
from dataspace.errors import NotFound
from dataspace.sources import quality, registry
from dataspace.web.values import plain


def index() -> str:
    """Every source, and how complete, fresh and wrong what it brought in 30 days was; three queries."""
    now, locale = clock.now(), str(get_locale())
    found = quality.overview(now)
    items = catalogue.current({row.item_id for row in found if row.item_id})
    return render_template(
        "admin/sources.html",
        sources=[(source, in_language(source.name, locale)) for source in registry.all_sources()],
        rows=[
            (
                row,
                items[row.item_id].label(locale) if row.item_id in items else _("something unknown"),
                row.item_id in items and row.is_late(items[row.item_id].frequency, now),
            )
            for row in found
        ],
        kinds=labels.SOURCE_KINDS,
    )


def show(source_id: str) -> str:
    """One source, and the latest records that were not taken."""
    source = registry.get(plain(source_id)[:40])
    return render_template(
        "admin/source.html",
        source=source,
        name=in_language(source.name, str(get_locale())),
        rejections=quality.rejections(source.source_id),
        kinds=labels.SOURCE_KINDS,
        reasons=labels.REJECTIONS,
    )


def delivery() -> str:
    """What one delivery was made of, or who received one version or a field of it, by the number that is given."""
    number, locale = plain(request.args.get("number", "")).strip()[:40], str(get_locale())
    found: dict[str, Any] = {}
    try:
        if number.startswith("dlv_"):
            line = lineage.delivery(number)
            left = received.allowed([line])
            found = {
                "lines": [line],
                "origins": [
                    origins.view(o, locale) | {"fields": origins.fields(o, line, left, locale)}
                    for o in lineage.origins(line.record_ids or [])
                ],
            }
        elif number.startswith("rec_"):
            origin = lineage.origin(number)
            field, page = origins.recipients(origin)
            left = received.allowed(page.lines)
            found = {
                "lines": page.lines,
                "origins": [origins.view(origin, locale)],
                "fields": {line.access_id: origins.fields(origin, line, left, locale) for line in page.lines},
                "choices": origins.choices(origin, locale),
                "field": field,
                "older": url_for("admin.delivery", number=number, field=field or None, before=page.older)
                if page.older
                else "",
            }
    except NotFound:
        found = {}
    return render_template("admin/delivery.html", number=number, found=found, answered=accesses.Outcome.ANSWERED)
