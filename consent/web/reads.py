"""Who read my data: every answered and refused read, newest first; and the same as a file, for people or programs."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import orjson
from flask import Response, render_template, request, stream_with_context, url_for
from flask_babel import get_locale, to_user_timezone
from flask_babel import gettext as _

from consent import overview, powers
from consent.asks import Texts
from consent.clients import Client
from consent.powers import Power
from consent.web import asking, explanation, words
from consent.web.days import between
from dataspace import accesses
from dataspace.accesses import Access, Action, Outcome, Wanted
from dataspace.catalogue import in_language
from dataspace.web import tables
from dataspace.web.limits import limited
from dataspace.web.signin import the_actor
from dataspace.web.values import plain

BATCH = 500
FILTERS = ("client", "outcome", "basis", "consent", "since", "until")
BASES = {"consent": False, "law": True}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One read in words."""

    at: dt.datetime
    party: str
    purpose: str
    items: list[str]
    answered: bool
    result: str
    reason: str
    because: str  # where on the page of explanation the reason stands; empty for an answered read
    reference_no: str
    consent_id: str  # empty of a read by law
    access_id: int
    by_law: bool = False
    law: str = ""  # which law and article; empty when it named none that gives it anything
    case_id: str = ""  # where the holder reads more about it

    @property
    def day(self) -> dt.date:
        """The day in the reader's time zone."""
        local: dt.datetime = to_user_timezone(self.at)
        return local.date()


def page() -> str:
    """Reads by day; filtered by third party, outcome, authorization; older ones page by page."""
    actor, locale = the_actor(), str(get_locale())
    chosen = _filters()
    log = accesses.log_of(actor.space_id, chosen, before=request.args.get("before", type=key))
    found = lines(log.rows, locale)
    here: dict[str, Any] = {k: v for k, v in request.args.items() if k in FILTERS and v}
    return render_template(
        "dashboard/reads.html",
        days=[(day, list(group)) for day, group in groupby(found, key=lambda line: line.day)],
        clients=[(c.client_id, plain(c.name(locale))) for c in overview.asked_by(actor.space_id)],
        chosen=chosen,
        filtered=chosen != Wanted(),
        basis=next((name for name, by_law in BASES.items() if by_law == chosen.by_law), ""),
        since=request.args.get("since", "") if chosen.since else "",
        until=request.args.get("until", "") if chosen.until else "",
        older=url_for("dashboard.reads", **here, before=log.older) if log.older else "",
        newest=url_for("dashboard.reads", **here) if request.args.get("before") else "",
        export=url_for("dashboard.reads_csv", **here),
        export_json=url_for("dashboard.reads_json", **here),
    )


@limited("20/minute")
def export() -> Response:
    """The same lines as a CSV file, sent as they are read."""
    actor, locale = the_actor(), str(get_locale())
    rows = csv_rows(actor.space_id, locale, _filters())
    response = Response(stream_with_context(rows), mimetype="text/csv")
    response.headers["Content-Disposition"] = "attachment; filename=reads.csv"
    return response


@limited("20/minute")
def export_json() -> Response:
    """The same lines as JSON: an array of objects, sent as they are read; times are UTC (RFC 3339)."""
    actor, locale = the_actor(), str(get_locale())
    response = Response(stream_with_context(_objects(actor.space_id, locale, _filters())), mimetype="application/json")
    response.headers["Content-Disposition"] = "attachment; filename=reads.json"
    return response


def lines(rows: list[Access], locale: str) -> list[Line]:
    """Reads in words; two queries for all of them, one more when some are by law."""
    asked = {i for row in rows for i in row.item_ids}
    known, unknown = asking.labels(asked, locale), str(_("something unknown"))
    # What a refused caller asked for may be no item at all; its own words are not shown.
    labels = {i: known.get(i, unknown) for i in asked}
    parties = overview.parties_of({row.consent_id for row in rows if row.consent_id})
    by_law = powers.named({(row.power_id, row.power_version or 0) for row in rows if row.power_id is not None})
    return [
        _line(row, labels, parties.get(row.consent_id), locale)
        if row.power_id is None
        else _line_by_law(row, labels, by_law.get((row.power_id, row.power_version or 0)), locale)
        for row in rows
    ]


def _filters() -> Wanted:
    outcome = request.args.get("outcome", "")
    since, until = between(request.args.get("since", ""), request.args.get("until", ""))
    return Wanted(
        client_id=plain(request.args.get("client", ""))[:80] or None,
        outcome=outcome if outcome in list(Outcome) else None,
        by_law=BASES.get(request.args.get("basis", "")),
        consent_id=plain(request.args.get("consent", ""))[:40] or None,
        since=since,
        until=until,
    )


def key(text: str) -> int:
    """A row number that the database can compare with. Raises ValueError."""
    number = int(text)
    if not 0 <= number < 2**63:
        raise ValueError("no row number")
    return number


def _line(row: Access, labels: dict[str, str], known: tuple[Texts, Texts] | None, locale: str) -> Line:
    answered = row.outcome == Outcome.ANSWERED
    return Line(
        at=row.at,
        # Whom a holder shows a certificate is nobody that we know by more than the name that she has written.
        party=plain(in_language(known[0], locale) if known and row.action != Action.SHOW else row.recipient),
        purpose=plain(in_language(known[1], locale) if known else row.purpose),
        items=[labels[i] for i in dict.fromkeys(row.item_ids)],
        answered=answered,
        result=_result(row),
        reason="" if answered else words.why(row.reason or ""),
        because="" if answered else explanation.place(row.reason or ""),
        reference_no=plain(row.reference_no or ""),
        consent_id=row.consent_id,
        access_id=row.access_id,
    )


def _line_by_law(row: Access, labels: dict[str, str], known: tuple[Power, Client] | None, locale: str) -> Line:
    """The same of a read that rests on a law, or claims to."""
    texts = (known[1].legal_name, known[0].purpose) if known is not None else None
    line = _line(row, labels, texts, locale)
    law = article(known[0], locale) if known is not None else ""
    return replace(line, by_law=True, law=law, case_id=row.case_id or "")


def article(power: Power, locale: str) -> str:
    """Law and article in one line, in the reader's language."""
    law, number = in_language(power.law, locale), in_language(power.article, locale)
    return str(_("%(law)s, %(article)s", law=plain(law), article=plain(number)))


def _result(row: Access) -> str:
    if row.outcome != Outcome.ANSWERED:
        return str(_("Refused"))
    if row.continues is not None:
        return str(_("Next page of the same read"))
    if row.action == Action.SHOW:
        return str(_("Certificate shown"))
    return str(_("Compared") if row.action == Action.COMPARE else _("Read"))


def csv_rows(space_id: str, locale: str, chosen: Wanted) -> Iterator[str]:
    """The reads of a space in words, as lines of CSV with a head."""
    head = (_("Time"), _("Who"), _("What for"), _("Data"), _("Result"), _("Why"), _("Case number"), _("Rests on"))
    yield tables.MARK + tables.line(head)
    comma = str(_(", "))
    for batch in _batches(space_id, locale, chosen):
        yield "".join(tables.line(_cells(line, comma)) for line in batch)


def _objects(space_id: str, locale: str, chosen: Wanted) -> Iterator[bytes]:
    between = b"["
    for batch in _batches(space_id, locale, chosen):
        for line in batch:
            yield between + orjson.dumps(_object(line))
            between = b",\n"
    yield b"[]" if between == b"[" else b"]"


def _batches(space_id: str, locale: str, chosen: Wanted) -> Iterator[list[Line]]:
    before = None
    while True:
        log = accesses.log_of(space_id, chosen, before=before, size=BATCH)
        yield lines(log.rows, locale)
        if log.older is None:
            return
        before = log.older


def _object(line: Line) -> dict[str, Any]:
    return {
        "at": line.at,
        "who": line.party,
        "what_for": line.purpose,
        "data": line.items,
        "answered": line.answered,
        "result": line.result,
        "why": line.reason or None,
        "case_number": line.reference_no or None,
        "by_law": line.law if line.by_law else None,
    }


def _cells(line: Line, comma: str) -> tuple[str, ...]:
    at = to_user_timezone(line.at).strftime("%Y-%m-%d %H:%M:%S")
    rests_on = (line.law or str(_("Law"))) if line.by_law else str(_("Authorization"))
    items = comma.join(line.items)
    return (at, line.party, line.purpose, items, line.result, line.reason, line.reference_no, rests_on)
