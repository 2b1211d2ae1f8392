"""What authorities may read by law: enter powers, approve what somebody else has entered, suspend and end them.

Also which cases holders do not know of yet: number, authority and day, and nothing of whom they are about.
"""

from collections.abc import Callable

from flask import flash, redirect, render_template, request, url_for
from flask_babel import get_locale, lazy_gettext
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from consent import interventions, power_files, powers
from consent.clients import Client
from consent.interventions import Ground, ReasonMissing, Stated
from consent.powers import Decision, Power, State
from consent.web import grounds, statutes
from consent.web.admin import labels
from consent.web.words import Label
from dataspace import by_law, catalogue, clock
from dataspace.db import db
from dataspace.errors import InvalidFile, NotFound
from dataspace.web.passkeys import FRESH
from dataspace.web.signin import require_fresh, the_actor
from dataspace.web.values import plain

FILE = "powers"
STATES: dict[str, tuple[Label, str]] = {
    State.WAITING: (lazy_gettext("Waits for approval"), "waiting"),
    State.REFUSED: (lazy_gettext("Not approved"), "danger"),
    State.LATER: (lazy_gettext("Later"), "waiting"),
    State.IN_FORCE: (lazy_gettext("In force"), "good"),
    State.SUSPENDED: (lazy_gettext("Suspended"), "suspended"),
    State.OVER: (lazy_gettext("Over"), "quiet"),
}
# What can be decided in a state, each with its button.
POSSIBLE: dict[str, tuple[tuple[str, Label], ...]] = {
    State.WAITING: (("approve", lazy_gettext("Approve")), ("refuse", lazy_gettext("Do not approve"))),
    State.LATER: (("suspend", lazy_gettext("Suspend it")), ("end", lazy_gettext("End it for good"))),
    State.IN_FORCE: (("suspend", lazy_gettext("Suspend it")), ("end", lazy_gettext("End it for good"))),
    State.SUSPENDED: (("resume", lazy_gettext("Let it go on")), ("end", lazy_gettext("End it for good"))),
}
GROUNDS = (Ground.AUTHORITY_DECISION, Ground.LEGAL_DUTY, Ground.CLIENT_MISUSE, Ground.SECURITY_INCIDENT,
           Ground.CORRECTION, Ground.RESOLVED, Ground.OTHER)  # fmt: skip
DONE: dict[str, Label] = {
    "approve": lazy_gettext("Approved. It counts from the day that it names."),
    "refuse": lazy_gettext("Not approved. It allows nothing."),
    "suspend": lazy_gettext("Suspended. The very next read is refused."),
    "resume": lazy_gettext("It goes on."),
    "end": lazy_gettext("Ended for good. The very next read is refused."),
}

JUDGED: dict[str, Callable[..., Power]] = {"approve": powers.approve, "refuse": powers.refuse}
CHANGED: dict[str, Callable[..., Power]] = {"suspend": powers.suspend, "resume": powers.resume, "end": powers.end}


def index() -> str:
    """All powers, the form for new ones, and what is hidden now."""
    return _page()


def enter() -> Response | str | tuple[str, int]:
    """Enter powers for a stated reason; they wait for somebody else."""
    form, now, actor = request.form, clock.now(), the_actor()
    require_fresh(actor, now, max_age=FRESH)
    text = form.get("powers", "").replace("\r\n", "\n")
    try:
        entries = power_files.check(FILE, text.encode("utf-8", "replace"))
        reason = _reason()
    except InvalidFile as error:
        return _page(text=text, problems=error.problems), error.status
    except ReasonMissing as error:
        return _page(text=text, error=_(error.sentence)), error.status
    entered = power_files.enter(entries, now, actor_id=actor.person_id, text=reason.text)
    db.session.commit()
    if any(power.new for power in entered):
        flash(_("Entered. Another administrator has to approve it."))
    else:
        flash(_("All of this is known already. Nothing was changed."), "info")
    return redirect(url_for("admin.powers"), 303)


def show(power_id: str, version: int) -> str:
    """One version in full, and what can be decided about it."""
    return _one(powers.get(power_id, version))


def decide(power_id: str, version: int) -> Response | tuple[str, int]:
    """Approve, refuse, suspend, resume or end it, for a stated reason."""
    form, actor, now = request.form, the_actor(), clock.now()
    require_fresh(actor, now, max_age=FRESH)
    wanted = form.get("decision", "")
    if wanted not in DONE:
        raise NotFound("no such decision")
    try:
        decision = Decision(power_id, version, actor, _reason())
    except ReasonMissing as error:
        return _one(powers.get(power_id, version), error=_(error.sentence)), error.status
    if wanted in JUDGED:
        JUDGED[wanted](decision, now, expected_digest=form.get("digest", ""))
    else:
        CHANGED[wanted](decision, now)
    db.session.commit()
    flash(str(DONE[wanted]))
    return redirect(url_for("admin.power", power_id=power_id, version=version), 303)


def _reason() -> Stated:
    return interventions.state(request.form.get("ground", ""), request.form.get("text", ""), allowed=GROUNDS)


def _page(*, text: str = "", problems: list[str] | None = None, error: str = "") -> str:
    now, locale = clock.now(), str(get_locale())
    found = powers.everything()
    clients = {client.client_id: client for _power, client in found}
    return render_template(
        "admin/powers.html",
        rows=[(statutes.power_view(p, client, locale), *STATES[powers.state(p, now)]) for p, client in found],
        hidden=[(case, _name(clients.get(case.client_id), locale)) for case in by_law.hidden_cases(now)],
        powers=text,
        problems=problems or [],
        grounds=grounds.options(GROUNDS),
        form=request.form,
        error=error,
    )


def _one(power: Power, *, error: str = "") -> str:
    locale, state = str(get_locale()), powers.state(power, clock.now())
    client = db.session.get_one(Client, power.client_id)
    known = labels.people([power.entered_by, power.decided_by])
    is_mine = state == State.WAITING and power.entered_by == the_actor().person_id
    return render_template(
        "admin/power.html",
        view=statutes.power_view(power, client, locale),
        state=STATES[state],
        items=_items(power, locale),
        entered=labels.actor(power.entered_by, None, known),
        decided=labels.actor(power.decided_by, None, known),
        why=" · ".join(filter(None, [grounds.label(power.ground), plain(power.text)])),
        is_mine=is_mine,
        possible=[] if is_mine else POSSIBLE.get(state, ()),
        grounds=grounds.options(GROUNDS),
        form=request.form,
        error=error,
    )


def _items(power: Power, locale: str) -> list[tuple[str, list[str], int | None, bool]]:
    """(item, its fields, months back, whether it is sensitive) as an approver has to look at them."""
    known = catalogue.current([item["item"] for item in power.items])
    found = []
    for named in power.items:
        item = known.get(named["item"])
        if item is None:
            found.append((named["item"], list(named["fields"]), named.get("max_months"), False))
            continue
        fields = [field for field in named["fields"] if field in item.field_ids()]
        labelled = [item.field_label(field, locale) for field in fields]
        found.append((item.label(locale), labelled, named.get("max_months"), item.is_sensitive_for(fields)))
    return found


def _name(client: Client | None, locale: str) -> str:
    return plain(client.name(locale)) if client is not None else ""
