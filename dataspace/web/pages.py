"""The pages of one's own space: the first page, and my data.

What the first page says of authorizations comes from whoever installed functions of actor and time that return it:
``app.extensions["home_numbers"]`` (figure, label, address), ``app.extensions["home_given"]`` (address, third party,
purpose). The data space itself knows no consents.
"""

import datetime as dt
from collections.abc import Callable

import orjson
from flask import Blueprint, current_app, redirect, render_template, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from dataspace import clock, messages, portable, spaces
from dataspace.errors import NotFound
from dataspace.mandates import Actor, Capacity
from dataspace.web import tables, values
from dataspace.web.limits import limited
from dataspace.web.passkeys import FRESH
from dataspace.web.shell import services
from dataspace.web.signin import current_actor, require_fresh, require_holder, the_actor

HomeNumbers = Callable[[Actor, dt.datetime], list[tuple[int, str, str]]]
HomeGiven = Callable[[Actor, dt.datetime], list[tuple[str, str, str]]]
bp = Blueprint("home", __name__)


@bp.get("/")
def index() -> str | Response:
    """For whom I am here, three numbers, and the way to everything; a welcome for those not signed in."""
    actor = current_actor()
    if actor is None:
        return render_template("home/welcome.html")
    if actor.capacity is Capacity.ADMINISTRATOR:
        return redirect(url_for("admin.index"), 303)
    numbers: HomeNumbers | None = current_app.extensions.get("home_numbers")
    given: HomeGiven | None = current_app.extensions.get("home_given")
    now = clock.now()
    return render_template(
        "home/index.html",
        numbers=numbers(actor, now) if numbers else [],
        given=given(actor, now) if given else [],
        unread=messages.unread(actor.space_id),
    )


@bp.get("/data")
@require_holder
def data() -> str:
    """My data: every record of the space, its source and as-of time."""
    locale = str(get_locale())
    held = spaces.holdings(the_actor().space_id, vault=services().vault)
    return render_template(
        "home/data.html",
        groups=_by_source([(h.item.authority_name(locale), h.item.label(locale), h) for h in held]),
        total=len(held),
    )


@bp.get("/data/<item_id>")
@require_holder
def item(item_id: str) -> str:
    """One record: its values, hidden until tapped."""
    locale, found = str(get_locale()), _held(item_id)
    return render_template(
        "home/item.html",
        item_id=found.item.item_id,
        label=found.item.label(locale),
        source=found.item.authority_name(locale),
        system=values.plain(found.item.system),
        as_of=found.record.latest_as_of,
        received_at=found.record.received_at,
        covers=values.covers(found.item, found.rows),
        pairs=values.pairs(found.item, found.rows, found.item.field_ids(), locale),
        left_out=values.left_out(found.item, found.rows),
        sensitive=found.item.sensitive,
        record_id=found.record.record_id,
    )


@bp.get("/data/<item_id>/item.json")
@limited("60/hour")
@require_holder
def item_json(item_id: str) -> Response:
    """One record as a file for programs."""
    document = portable.document(_taken(item_id), issuer=services().settings.issuer)
    return _file(orjson.dumps(document, option=orjson.OPT_INDENT_2), f"{item_id}.json", "application/json")


@bp.get("/data/<item_id>/item.csv")
@limited("60/hour")
@require_holder
def item_csv(item_id: str) -> Response:
    """One record as a table for spreadsheets, in the reader's language."""
    columns = (str(_("Source")), str(_("System")), str(_("As of")), str(_("Format")), str(_("Version")))
    table = portable.table(_taken(item_id), str(get_locale()), provenance=columns)
    content = tables.MARK + "".join(tables.line(cells) for cells in table)
    return _file(content.encode(), f"{item_id}.csv", "text/csv")


def _held(item_id: str) -> spaces.Held:
    """The record of one item in the space. Raises NotFound."""
    held = spaces.holdings(the_actor().space_id, vault=services().vault, item_ids=[item_id])
    if not held:
        raise NotFound("the space holds no such record")
    return held[0]


def _taken(item_id: str) -> spaces.Held:
    """The record, for its holder to take along; what is sensitive needs a fresh sign-in. Raises NotFound."""
    found = _held(item_id)
    if portable.is_sensitive(found.item):
        require_fresh(the_actor(), clock.now(), max_age=FRESH)
    return found


def _file(content: bytes, name: str, mimetype: str) -> Response:
    response = Response(content, mimetype=mimetype)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _by_source(entries: list[tuple[str, str, spaces.Held]]) -> dict[str, list[tuple[str, spaces.Held]]]:
    groups: dict[str, list[tuple[str, spaces.Held]]] = {}
    for source, label, held in entries:
        groups.setdefault(source, []).append((label, held))
    return groups
