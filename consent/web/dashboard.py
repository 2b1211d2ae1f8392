"""What a holder has given to whom, and stopping it: my authorizations, one authorization, the second person's approval.

"Who read my data" is in :mod:`consent.web.reads`.
"""

import datetime as dt
from collections.abc import Callable

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.blueprints import BlueprintSetupState
from flask_babel import get_locale
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from consent import deletions, endings, lifecycle, overview, purposes, regrading
from consent.oauth import entrance, fetching
from consent.overview import PAGE, Search, Tab
from consent.records import Consent, State
from consent.web import certificates, living, reads, receipts, regraded
from consent.web.cards import CardView, Detail, shown_text, timeline
from consent.web.context import registry
from consent.web.freshness import demand_fresh
from dataspace import accesses, clock, holders
from dataspace.accesses import Wanted
from dataspace.catalogue import in_language
from dataspace.db import db
from dataspace.errors import Conflict
from dataspace.mandates import Actor
from dataspace.web.shell import services
from dataspace.web.signin import require_holder, the_actor
from dataspace.web.values import plain

bp = Blueprint("dashboard", __name__)
bp.add_url_rule("/authorizations/<consent_id>/decide-again", "decide_again", require_holder(regraded.show))
bp.add_url_rule(
    "/authorizations/<consent_id>/decide-again", "decided_again", require_holder(regraded.decide), methods=["POST"]
)
for _name in ("pause", "resume", "keep", "stop_item", "shorten"):
    _rule = f"/authorizations/<consent_id>/{_name.replace('_', '-')}"
    bp.add_url_rule(_rule, _name, require_holder(getattr(living, _name)), methods=["POST"])
bp.add_url_rule("/stop-authorizations", "ask_stop_many", require_holder(living.ask_stop_many))
bp.add_url_rule("/stop-authorizations", "stop_many", require_holder(living.stop_many), methods=["POST"])
bp.add_url_rule("/reads", "reads", require_holder(reads.page))
bp.add_url_rule("/reads.csv", "reads_csv", require_holder(reads.export))
bp.add_url_rule("/reads.json", "reads_json", require_holder(reads.export_json))
SEARCH_FROM = 10  # cards in a list (check C-33)
LAST_READS = 10
ON_HOME = 3  # as many are one tap from home (check C-34)
MAX_PAGE = 10_000


@bp.record_once
def _fill_home(state: BlueprintSetupState) -> None:
    """The home page of the data space and its navigation show our numbers without knowing us."""
    state.app.extensions["home_numbers"] = home_numbers
    state.app.extensions["home_given"] = home_given
    state.app.extensions.setdefault("place_numbers", {})["waiting"] = lambda actor, now: overview.waiting_for(
        actor.space_id, actor.person_id, now
    )


def home_numbers(actor: Actor, now: dt.datetime) -> list[tuple[int, str, str]]:
    """(figure, label, address) of the three numbers of the home page."""
    counts = overview.counts(actor.space_id, now)
    waiting = overview.waiting_for(actor.space_id, actor.person_id, now)
    recent = overview.reads_since(actor.space_id, now - dt.timedelta(days=30))
    return [
        (counts[Tab.ACTIVE], _("active authorizations"), url_for("dashboard.authorizations")),
        (recent, _("reads in 30 days"), url_for("dashboard.reads")),
        (waiting, _("waiting for me"), url_for("dashboard.authorizations", tab=Tab.WAITING)),
    ]


def home_given(actor: Actor, now: dt.datetime) -> list[tuple[str, str, str]]:
    """(address, third party, purpose) of the newest active ones: from the first page it is two taps to stop one."""
    locale = _locale()
    return [
        (url_for("dashboard.consent", consent_id=i), plain(client.name(locale)), plain(in_language(purpose, locale)))
        for i, client, purpose in overview.newest(actor.space_id, now, ON_HOME)
    ]


@bp.get("/authorizations")
@require_holder
def authorizations() -> str:
    """My authorizations: active, waiting for me, ended."""
    now, actor, locale = clock.now(), the_actor(), _locale()
    tab = Tab(request.args.get("tab", "")) if request.args.get("tab") in list(Tab) else Tab.ACTIVE
    search = Search(
        words=plain(request.args.get("q", "")).strip()[:100], client_id=plain(request.args.get("client", ""))[:80]
    )
    page = min(max(request.args.get("page", 1, type=int), 1), MAX_PAGE)
    counts = overview.counts(actor.space_id, now)
    found = overview.cards(actor.space_id, tab, now, search=search, page=page)
    return render_template(
        "dashboard/authorizations.html",
        tab=tab,
        counts=counts,
        cards=[CardView.of(c, locale, now) for c in found.cards],
        total=found.total,
        page=page,
        pages=max(-(-found.total // PAGE), 1),
        search=search,
        searchable=counts[tab] >= SEARCH_FROM or bool(search),
        again=regrading.in_space(actor.space_id),
        clients=[(c.client_id, plain(c.name(locale))) for c in overview.asked_by(actor.space_id)],
    )


@bp.get("/authorizations/<consent_id>")
@require_holder
def consent(consent_id: str) -> str:
    """One authorization: what was given, who read, what happened, and stopping it."""
    now, actor, locale = clock.now(), the_actor(), _locale()
    found = lifecycle.of_space(consent_id, actor.space_id)
    detail = Detail.of(found, locale, now)
    log = accesses.log_of(actor.space_id, Wanted(consent_id=consent_id), size=LAST_READS)
    return render_template(
        "dashboard/consent.html",
        detail=detail,
        usage=accesses.usage([consent_id], now).get(consent_id, overview.NEVER),
        reads=reads.lines(log.rows, locale),
        more_reads=log.older is not None,
        events=timeline(detail, actor, vault=services().vault),
        receipts=receipts.links(consent_id),
        certificates=certificates.cards(consent_id),
        shown=shown_text(found, vault=services().vault),
        may_approve=detail.may_approve(actor),
        offered=living.offered(detail, actor, now),
        deletion=deletions.of_consent(consent_id),
        now=now,
        again=found.state in regrading.DECIDABLE and bool(regrading.of_document(detail.document)),
        entrance=entrance.link(detail.client, issuer=services().settings.issuer),
    )


@bp.post("/authorizations/<consent_id>/withdraw")
@require_holder
def withdraw(consent_id: str) -> Response:
    """Stop an authorization at once."""
    now, actor = clock.now(), the_actor()
    ask_deletion = request.form.get("deletion") == "yes"
    try:
        endings.withdraw(consent_id, actor, now, ask_deletion=ask_deletion, registry=registry())
        db.session.commit()
        flash(_("Stopped. From now on nothing can be read."))
    except Conflict:
        db.session.rollback()
        flash(_("It had ended already. Nothing can be read."), "info")
    return redirect(url_for("dashboard.consent", consent_id=consent_id), 303)


@bp.get("/authorizations/<consent_id>/approve")
@require_holder
def approval(consent_id: str) -> str:
    """What the first person of the body saw and chose, who prepared it and when, and the second person's decision."""
    now, actor, locale = clock.now(), the_actor(), _locale()
    found = lifecycle.of_space(consent_id, actor.space_id)
    detail = Detail.of(found, locale, now, vault=services().vault)
    names = holders.profiles({found.person_id}, vault=services().vault)
    return render_template(
        "dashboard/approve.html",
        detail=detail,
        prepared_by=names[found.person_id].name if found.person_id in names else "",
        until=overview.approval_lapses(found),
        may_approve=detail.may_approve(actor),
        outdated=detail.pending and purposes.outdated_since(detail.document, kind=found.kind),
    )


@bp.post("/authorizations/<consent_id>/approve")
@require_holder
def approve(consent_id: str) -> Response:
    """The second person agrees."""
    now, actor = clock.now(), the_actor()
    if overview.gives_sensitive(lifecycle.of_space(consent_id, actor.space_id)):
        demand_fresh(actor, now, back=url_for("dashboard.approval", consent_id=consent_id))
    _decide(lambda: lifecycle.approve(consent_id, actor, now, registry=registry()), actor, now)
    return redirect(url_for("dashboard.consent", consent_id=consent_id), 303)


@bp.post("/authorizations/<consent_id>/reject")
@require_holder
def reject(consent_id: str) -> Response:
    """The second person does not agree."""
    now, actor = clock.now(), the_actor()
    _decide(lambda: lifecycle.reject(consent_id, actor, now, registry=registry()), actor, now)
    return redirect(url_for("dashboard.consent", consent_id=consent_id), 303)


def _locale() -> str:
    return str(get_locale() or "zh_Hans")


def _decide(decision: Callable[[], Consent], actor: Actor, now: dt.datetime) -> None:
    try:
        decided = decision()
        fetching.after_approval(decided, actor, now, registry=registry())
        db.session.commit()
    except Conflict:
        db.session.rollback()
        flash(_("Nothing changed: it was decided already, or it cannot be approved any more."), "caution")
        return
    flash(_("Approved. It is active now.") if decided.state == State.ACTIVE else _("Not approved. Nothing was given."))
