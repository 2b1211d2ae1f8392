"""What happened lately, and counts per day."""

import datetime as dt
from typing import Any

from flask import render_template, url_for
from flask_babel import format_date, get_locale, to_user_timezone
from flask_babel import gettext as _
from sqlalchemy import Row

from consent import activity, supervision
from consent.activity import CLIENT_EVENTS, OPERATOR_EVENTS, Wanted
from consent.records import Event
from consent.supervision import Masked
from consent.web import grounds
from consent.web.admin import labels, lists
from consent.web.days import between, midnight
from dataspace import clock
from dataspace.catalogue import in_language
from dataspace.web.values import plain

DAYS = 30
KINDS = (*Event, *CLIENT_EVENTS, *OPERATOR_EVENTS)
FILTERS = ("kind", "client", "since", "until")


def index() -> str:
    """Events of consents, clients and the service, newest first, with charts of the last days."""
    filters = {name: lists.argument(name) for name in FILTERS} | {"kind": lists.argument("kind", one_of=KINDS)}
    since, until = between(filters["since"], filters["until"])
    wanted = Wanted(kind=filters["kind"], client=filters["client"], since=since, until=until)
    before = activity.parse_cursor(lists.argument("before"))
    feed = activity.latest(wanted, before)
    known = labels.people(row.actor_id for row in feed.rows)
    names = supervision.client_names({row.client_id for row in feed.rows if row.client_id})
    return render_template(
        "admin/activity.html",
        lines=[_line(row, known, names) for row in feed.rows],
        older=lists.address("admin.activity", filters, before=str(feed.older)) if feed.older else "",
        newest=lists.address("admin.activity", filters) if before else "",
        filters=filters,
        kinds=[(kind, labels.event(kind)[0]) for kind in KINDS],
        charts=_charts(clock.now()),
    )


def _line(row: Row[Any], known: dict[str, Masked], names: dict[str, dict[str, str]]) -> dict[str, Any]:
    text, tone = labels.event(row.kind)
    reason = [grounds.label(row.reason_code), plain(row.text)]
    client = names.get(row.client_id)
    return {
        "at": row.at,
        "text": text,
        "tone": tone,
        "consent_id": row.subject if row.source == "consent" else "",
        "page": _page(row),
        "subject": row.subject,
        "client_id": row.client_id,
        "client": plain(in_language(client, str(get_locale()))) if client else "",
        "who": labels.actor(row.actor_id, None, known),
        "note": " · ".join(filter(None, reason)),
    }


def _page(row: Row[Any]) -> str:
    """The page of the certificate or the record that something was done to; empty for anything else."""
    if row.kind.startswith("certificate:"):
        return url_for("admin.certificate", certificate_id=row.subject)
    return url_for("admin.record", record_id=row.subject) if row.kind == "record:erased" else ""


def _charts(now: dt.datetime) -> list[tuple[str, list[tuple[str, int]]]]:
    """(caption, [(day, number)]) for each chart, the oldest day first."""
    today = to_user_timezone(now).date()
    days = [today - dt.timedelta(days=DAYS - 1 - n) for n in range(DAYS)]
    counts = activity.per_day([(midnight(day), midnight(day + dt.timedelta(days=1))) for day in days])
    captions = {
        "given": _("Given"),
        "answered": _("Reads"),
        "withdrawn": _("Stopped by holders"),
        "refused": _("Refused by holders"),
        "revoked": _("Revoked by administrators"),
        "refused_reads": _("Refused reads"),
    }
    named = [format_date(day, "MM-dd") for day in days]
    return [(caption, list(zip(named, counts[key], strict=True))) for key, caption in captions.items()]
