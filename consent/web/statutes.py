"""Reads by law in words: what the holder is told in place of being asked, and the numbers for everybody."""

import datetime as dt
from collections.abc import Collection
from typing import Any

import orjson
from flask import Blueprint, Response, render_template, request, url_for
from flask_babel import get_locale
from sqlalchemy import select

from consent import powers
from consent.clients import Client
from consent.powers import Power, State
from consent.web import asking, reads, words
from dataspace import accesses, by_law, clock
from dataspace.accesses import Wanted
from dataspace.by_law import LawCase
from dataspace.catalogue import in_language
from dataspace.db import db
from dataspace.errors import NotFound
from dataspace.web.signin import require_holder, the_actor
from dataspace.web.values import plain

bp = Blueprint("statutes", __name__)
SHOWN = dt.timedelta(days=400)  # of which numbers are published


@bp.get("/by-law/<case_id>")
@require_holder
def case(case_id: str) -> str:
    """One case: who reads, by which law, what, why, since when the holder knows, and where to object."""
    found = known([plain(case_id)[:40]], the_actor().space_id, clock.now()).get(plain(case_id)[:40])
    if found is None:
        raise NotFound("no case of this space that is shown")
    about, power, client = found
    locale, before = str(get_locale()), request.args.get("before", type=reads.key)
    log = accesses.log_of(about.space_id, Wanted(case_id=about.case_id), before=before)
    older = url_for("statutes.case", case_id=about.case_id, before=log.older) if log.older else ""
    return render_template(
        "statutes/case.html",
        case=about,
        power=power_view(power, client, locale),
        lines=reads.lines(log.rows, locale),
        older=older,
    )


@bp.get("/transparency")
def transparency() -> str:
    """Who may read by law, and how often it has been done: numbers, and nothing about persons."""
    locale, now = str(get_locale()), clock.now()
    in_force = [
        power_view(power, client, locale)
        for power, client in powers.everything()
        if powers.state(power, now) in (State.IN_FORCE, State.SUSPENDED)
    ]
    return render_template("statutes/transparency.html", powers=in_force, months=_months(locale, now))


@bp.get("/transparency.json")
def transparency_json() -> Response:
    """The same numbers for programs."""
    now = clock.now()
    found = [
        {"month": m.month, "authority": m.client_id, "reads": m.reads, "told_later": m.hidden, "refused": m.refused}
        for m in by_law.months(now - SHOWN)
    ]
    return Response(orjson.dumps({"months": found}), mimetype="application/json")


def known(case_ids: Collection[str], space_id: str, now: dt.datetime) -> dict[str, tuple[LawCase, Power, Client]]:
    """Cases of a space that its holder may see, each with its power and authority, in one query."""
    if not case_ids:
        return {}
    found = db.session.execute(
        select(LawCase, Power, Client)
        .join(Power, (Power.power_id == LawCase.power_id) & (Power.version == LawCase.power_version))
        .join(Client, Client.client_id == LawCase.client_id)
        .where(LawCase.case_id.in_(set(case_ids)), LawCase.space_id == space_id)
        .order_by(LawCase.case_id)
    )
    return {case.case_id: (case, power, client) for case, power, client in found if case.hides(now) is None}


def power_view(power: Power, client: Client, locale: str) -> dict[str, Any]:
    """A power in the reader's language."""
    labels = asking.labels({item["item"] for item in power.items}, locale)
    return {
        "party": plain(client.name(locale)),
        "article": reads.article(power, locale),
        "sentence": plain(in_language(power.sentence, locale)),
        "purpose": plain(in_language(power.purpose, locale)),
        "objection": plain(in_language(power.objection, locale)),
        "kinds": [str(words.HOLDER_KINDS[kind]) for kind in power.holder_kinds],
        "items": [labels.get(item["item"], item["item"]) for item in power.items],
        "deferral": plain(in_language(power.deferral["law"], locale)) if power.deferral else "",
        "days": power.deferral_days,
        "until": power.valid_until,
        "power": power,
    }


def _months(locale: str, now: dt.datetime) -> list[tuple[str, str, by_law.Month]]:
    """(month, authority, its numbers), the latest month first."""
    found = by_law.months(now - SHOWN)
    ids = {month.client_id for month in found}
    names = {
        client.client_id: plain(client.name(locale))
        for client in db.session.scalars(select(Client).where(Client.client_id.in_(ids)).order_by(Client.client_id))
    }
    return [(month.month, names.get(month.client_id, ""), month) for month in found]
