"""One person in front of one authorization request: who, for whom, how far; and the pages for those who cannot go on.

Every route of the consent page begins here, so that none of them can be reached by another browser, in another
capacity than the one it was shown in, or after the request was answered.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NoReturn

from authlib.oidc.core.errors import LoginRequiredError
from flask import abort, make_response, redirect, render_template, request, session, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from sqlalchemy import select

from consent import approvals, clients, differences, documents, history, lifecycle, purposes, refusals, subjects
from consent.asks import Ask
from consent.clients import Client, Standing
from consent.documents import Choices
from consent.oauth import answers, authorization, codes, par, waiting
from consent.oauth.par import AuthorizationRequest
from consent.purposes import Purpose
from consent.records import Consent, facts_of, why_inactive
from consent.refusals import Resting
from consent.web import words
from consent.web.asking import Asking, look
from consent.web.changes import Changes, marked
from consent.web.context import registry
from consent.web.freshness import demand_fresh
from consent.web.steps import ABROAD, CONFIRM, FIRST, ITEM, ONCE, Progress
from consent.web.way_back import Told, lead_on
from consent.web.wording import GROWN_UP, YOUNG, Wording
from dataspace import clock, guardians, holders, signins
from dataspace.catalogue import in_language
from dataspace.db import db
from dataspace.errors import Conflict, NotFound
from dataspace.holders import Holder
from dataspace.mandates import Actor, Capacity
from dataspace.web.shell import allow_form_action, services
from dataspace.web.signin import SignInTooOld, ask_sign_in, browser_secret, current_actor
from dataspace.web.values import plain


@dataclass(frozen=True, kw_only=True)
class Visit:
    """``acting`` names person, holder and capacity in the forms of the page, without telling their identifiers."""

    row: AuthorizationRequest
    actor: Actor
    ask: Ask
    client: Client
    progress: Progress
    acting: str
    locale: str
    replaces: Consent | None  # Grant Management for OAuth 2.0: the consent that agreeing gives a new version
    may_replace: bool
    addressed: bool  # whether the request waits for the holder whom the person acts for, or for anybody

    @property
    def handle(self) -> str:
        return self.row.handle

    @property
    def until(self) -> dt.datetime:
        """Until when the page waits, if nothing is done on it."""
        return min(self.row.expires_at, clock.now() + services().settings.session_idle)

    @cached_property
    def say(self) -> Wording:
        """What the screens call things: simpler for who decides alone and is not of age (check C-22)."""
        if self.actor.capacity is not Capacity.SELF:
            return GROWN_UP
        young = guardians.is_young(holders.get(self.actor.holder_id), clock.now(), vault=services().vault)
        return YOUNG if young else GROWN_UP

    @cached_property
    def told(self) -> str:
        """Who else will be told that it was given, in a sentence: the guardians, or the other one; empty if nobody."""
        if self.say is not YOUNG and self.actor.capacity is not Capacity.GUARDIAN:
            return ""
        found = {m.agent_id for m in guardians.of(self.actor.holder_id, clock.now())} - {self.actor.person_id}
        names = _(", ").join(sorted(p.name for p in holders.profiles(found, vault=services().vault).values()))
        if not names:
            return ""
        if self.say is YOUNG:
            return str(_("If you agree, %(names)s is told to whom and what for. Your data is not shown.", names=names))
        return str(_("If you agree, %(names)s is told as well, as a guardian.", names=names))

    def given(self) -> Asking:
        """As :meth:`asking`, with the items as they will be given."""
        ask = self.progress.given()
        return look(ask, self.client, self.locale, space_id=self.actor.space_id, vault=services().vault, say=self.say)

    def asking(self) -> Asking:
        """What the pages show, with the holder's own records."""
        purpose = db.session.get(Purpose, (self.ask.client_id, self.ask.purpose_code))
        default = {"duration_days": purpose.default_duration_days} if purpose else {}
        return look(
            self.ask,
            self.client,
            self.locale,
            space_id=self.actor.space_id,
            vault=services().vault,
            usual=default | self.ask.usual,
            say=self.say,
        )

    def changes(self) -> Changes:
        """What agreeing would change of the consent that it replaces; nothing when it replaces none."""
        if self.replaces is None:
            return Changes()
        before, _digest = history.current_document(self.replaces)
        expires_at = clock.now() + dt.timedelta(days=self.ask.duration_days)
        after = differences.proposed(self.ask, documents.stamp(expires_at))
        asked = {i.item_id for i in self.ask.items}
        return marked(differences.compare(before, after), asked, self.locale)

    def duration_options(self) -> list[tuple[str, str]]:
        """(value, words) of the durations on offer, empty if there are none; the last one takes a choice back."""
        shorter = [(str(d), words.days(d)) for d in self.progress.shorter]
        if self.progress.may_be_once:
            shorter.insert(0, (ONCE, _("one read only")))
        if not shorter:
            return []
        return [*shorter, ("asked", _("as asked: %(days)s", days=words.days(self.ask.duration_days)))]

    def days(self) -> str:
        """For how long it will be given."""
        return words.days(self.progress.duration_days)

    def kinds(self) -> str:
        """For whom the request is."""
        return words.kinds(self.ask.holder_kinds)

    def learned(self) -> list[str]:
        """What a sign-in tells the third party."""
        return words.learned(self.ask.claims, public=subjects.is_public(self.client))

    def summary(self, asking: Asking) -> str:
        """One paragraph: who gets what, what for, how long, and whether it leaves the country."""
        given = self.progress.decided().items
        items = _(", ").join(i.label for i in asking.items if i.item_id in given) or _("nothing")
        sentences = [
            asking.say.gives % {"party": asking.party.name, "items": items},
            asking.say.purpose % {"purpose": asking.purpose},
            (asking.say.for_once if self.progress.once else asking.say.for_so_long) % {"days": self.days()},
        ]
        if asking.abroad:
            sentences.append(_("It leaves the country: %(place)s.", place=asking.abroad))
        return words.paragraph(*sentences)

    def second_person(self, asking: Asking, *, chosen: bool = False) -> str:
        """That another person of the company has to agree as well, and why; empty when nobody has to.

        ``chosen``: of what will be given, not of all that is asked.
        """
        if self.actor.capacity is Capacity.AGENT:
            return str(_("You prepare it. A second person of the company has to approve it."))
        if self.actor.capacity is not Capacity.LEGAL_REPRESENTATIVE:
            return ""
        decided = self.progress.decided()
        found = approvals.chosen_by_rule(self.ask, decided) if chosen else approvals.by_rule(self.ask)
        items = _(", ").join(i.label for i in asking.items if i.item_id in found)
        if not items:
            return ""
        return str(
            _("Two people of the company decide about: %(items)s. After you another one has to approve.", items=items)
        )

    def with_progress(self, progress: Progress) -> "Visit":
        """The same visit, further on."""
        return replace(self, progress=progress)

    def url(self, step: str) -> str:
        """The address of one screen."""
        if step.startswith(ITEM):
            return url_for("consent_page.item", handle=self.handle, item_id=step.removeprefix(ITEM))
        names = {FIRST: "start", ABROAD: "abroad", CONFIRM: "confirm"}
        return url_for(f"consent_page.{names[step]}", handle=self.handle)


def open_request(handle: str, now: dt.datetime) -> Visit:
    """The visit of this browser, which may decide. Whoever may not is sent to a page that says why (aborts)."""
    visit = meet(handle, now)
    if visit.row.consent_id is not None:
        abort(redirect(url_for("consent_page.waiting", handle=handle), 303))
    if visit.client.standing != Standing.GOOD:
        _page("stopped", 403, party=visit.client.name(visit.locale))
    if not visit.addressed:
        _page("addressed", 403, visit=visit)
    if purposes.outdated(visit.ask):
        _page("outdated", 409, handle=handle, visit=visit)
    if not fits(visit):
        _page("mismatch", 403, handle=handle, visit=visit, leads=_leads(visit, now))
    if (rest := resting(visit, now)) is not None:
        purpose = plain(in_language(visit.ask.purpose_text, visit.locale))
        _page("resting", 403, handle=handle, visit=visit, purpose=purpose, refused_at=rest.refused_at, until=rest.until)
    return visit


def meet(handle: str, now: dt.datetime) -> Visit:
    """The visit of this browser, whether it may decide or not. Aborts when there is no such open request for it."""
    actor = current_actor()
    if actor is None:
        abort(redirect(url_for("signin.sign_in", next=url_for("consent_page.start", handle=handle)), 303))
    row = _row(handle, now)
    if authorization.must_sign_in(row, actor):
        ask_sign_in(SignInTooOld())
    _demand_expected_person(row, actor, now)
    ask = row.asked.of_child() if actor.capacity is Capacity.GUARDIAN else row.asked
    acting = acting_as(actor)
    replaces = lifecycle.get(row.parameters["grant_id"]) if row.parameters.get("grant_id") else None
    return Visit(
        row=row,
        actor=actor,
        ask=ask,
        client=clients.get(row.client_id),
        progress=Progress.of(ask, row.choices, acting=acting, anew=replaces is not None),
        acting=acting,
        locale=str(get_locale() or "zh_Hans"),
        replaces=replaces,
        may_replace=replaces is None or _may_replace(replaces, ask, actor, now),
        addressed=waiting.is_for(row, actor, index=registry().index),
    )


def resting(visit: Visit, now: dt.datetime) -> Resting | None:
    """Whether the holder refused this lately and has not started it now (check C-20)."""
    if visit.ask.kind == "login" or visit.row.looked_by == visit.acting:
        return None
    return refusals.resting(
        space_id=visit.actor.space_id, client_id=visit.ask.client_id, purpose_code=visit.ask.purpose_code, now=now
    )


def demand_same_actor(visit: Visit) -> None:
    """A form counts only for whom it was shown: in another tab the person may have switched meanwhile (aborts)."""
    if request.form.get("acting") != visit.acting:
        _page("switched", 409, handle=visit.handle)


def demand_guardian(visit: Visit) -> None:
    """A guardian says so with every consent (PIPL 31, check C-22); the way leads back to the last screen (aborts)."""
    if visit.actor.capacity is Capacity.GUARDIAN and request.form.get("guardian") != "yes":
        abort(redirect(url_for("consent_page.confirm", handle=visit.handle, unsaid=""), 303))


def demand_fresh_sign_in(visit: Visit, now: dt.datetime) -> None:
    """What is sensitive is given on a recent sign-in only; the way leads back to the last screen (aborts)."""
    gives = visit.progress.decided().items
    if any(i.sensitive and i.item_id in gives for i in visit.ask.items):
        demand_fresh(visit.actor, now, back=visit.url(CONFIRM))


def fits(visit: Visit) -> bool:
    """Whether the person acts for a holder of a kind that the request is for, and may replace what it replaces."""
    capacity = visit.actor.capacity
    if capacity is Capacity.ADMINISTRATOR or not visit.may_replace:
        return False
    if capacity is Capacity.GUARDIAN and visit.ask.kind == "login":
        return False  # nobody signs in as somebody else
    return holders.get(visit.actor.holder_id).kind in visit.ask.holder_kinds


def acting_as(actor: Actor) -> str:
    """A name for person, holder and capacity that tells none of them."""
    parts = (actor.person_id, actor.holder_id, actor.capacity, actor.mandate_id or "")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A request that this browser has answered by giving, and whose answer the client has not used so far."""

    row: AuthorizationRequest
    actor: Actor
    consent: Consent
    party: str


def answered(handle: str, now: dt.datetime, *, lock: bool = False) -> Answered | None:
    """What may be brought to the client once more: the network may have failed between us and it.

    ``lock``: of two who do it at once the second waits for the first.
    """
    row, actor = db.session.get(AuthorizationRequest, handle, with_for_update=lock), current_actor()
    if row is None or row.consent_id is None or row.finished_at is None or actor is None or row.is_fetched:
        return None
    consent = lifecycle.get(row.consent_id)
    by_whom = (consent.space_id, consent.person_id, consent.kind) == (actor.space_id, actor.person_id, "data")
    if not by_whom or not par.is_of(row, browser_secret()) or now >= row.expires_at:
        return None
    if why_inactive(facts_of(consent.consent_id), now) is not None or codes.is_fetched(consent.consent_id):
        return None
    party = clients.get(row.client_id).name(str(get_locale() or "zh_Hans"))
    return Answered(row=row, actor=actor, consent=consent, party=party)


def decided_page(handle: str) -> NoReturn:
    """For whoever comes second: a second tab, a double tap, the back button (aborts)."""
    row = db.session.get(AuthorizationRequest, handle)
    actor = current_actor()
    consent_id = row.consent_id if row is not None else None
    mine = None
    if consent_id and actor is not None:
        consent = lifecycle.get(consent_id)
        mine = consent if consent.space_id == actor.space_id else None
    again = answered(handle, clock.now())
    if again is not None and (way := answers.way_back(again.row)) is not None:
        allow_form_action(way.origin)
    _page("decided", 409, consent=mine, again=again)


def _may_replace(consent: Consent, ask: Ask, actor: Actor, now: dt.datetime) -> bool:
    """Who acts for the same holder and decides alone, as long as there is something to replace."""
    everything = Choices(items=tuple(i.item_id for i in ask.items), duration_days=ask.duration_days)
    if consent.space_id != actor.space_id or approvals.needs_second(ask, everything, actor):
        return False
    return why_inactive(facts_of(consent.consent_id), now) is None


def _row(handle: str, now: dt.datetime) -> AuthorizationRequest:
    try:
        return par.in_browser(handle, browser=browser_secret(), now=now)
    except Conflict:
        decided_page(handle)
    except NotFound:
        _page("gone", 410)


def _demand_expected_person(row: AuthorizationRequest, actor: Actor, now: dt.datetime) -> None:
    """Somebody else than the third party expects may sign in anew; who then still is somebody else is sent back."""
    if row.addressee is not None or authorization.is_expected(row, actor, index=registry().index):
        return  # whom it waits for is looked at by open_request: nobody is turned away before
    if actor.auth_time < authorization.opened_at(row):
        ask_sign_in(SignInTooOld())
    answer = authorization.refuse(row, LoginRequiredError(), now, registry=registry())
    db.session.commit()
    party = clients.get(row.client_id).name(str(get_locale() or "zh_Hans"))
    abort(make_response(lead_on(answer, Told(handle=row.handle, outcome="stranger", party=party), wait=1)))


def _leads(visit: Visit, now: dt.datetime) -> list[str]:
    """The names of those for whom this person could answer the request."""
    others = [c.holder_id for c in signins.choices(visit.actor.person_id, now) if c.holder_id]
    fitting = select(Holder.holder_id).where(Holder.holder_id.in_(others), Holder.kind.in_(visit.ask.holder_kinds))
    wanted = set(db.session.scalars(fitting))
    if wanted:
        session["several"] = True  # the switch in the top bar: there is somebody to switch to
    return sorted(p.name for p in holders.profiles(wanted, vault=services().vault).values())


def _page(name: str, status: int, **context: object) -> NoReturn:
    abort(make_response(render_template(f"consent/{name}.html", **context), status))
