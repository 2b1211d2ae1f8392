"""A demonstration in one process, whose people have done already what makes pages worth looking at.

The pictures of ``make screenshots`` and the tests that look at every page share it. What people have done is done by
the domain's own functions, so that a stage is ready in seconds; the pages come from the real application over HTTP.
"""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flask import Flask
from sqlalchemy import select, update

from consent import admission, clients, documents, lifecycle, terms
from consent.asks import Ask
from consent.documents import Choices
from consent.history import Registry
from consent.keys import ServerKey
from consent.oauth import ciba, ciba_request, device, par
from consent.oauth.par import AuthorizationRequest
from consent.oauth.requests import CheckedRequest
from consent.records import Consent
from consent.web.steps import ABROAD, FIRST, Progress
from consent.web.visits import acting_as
from dataspace import accesses, clock, signins
from dataspace import demonstration as people
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.mandates import Actor
from dataspace.passkeys import VerifiedSignIn
from dataspace.permission import GrantedItem, Permission
from dataspace.settings import Settings
from dataspace.spaces import Record
from dataspace.web.shell import services
from tools import demonstration
from tools.processes import free_port
from tools.serving import serving
from wsgi import create_app

PAST = dt.timedelta(days=90)
BROWSER = "the one browser of everybody on the stage"
NOTICE = "在授权页面上显示的全部文字。\n岭南示例银行 · 审核本次住房贷款申请\n"


@contextmanager
def opened(folder: Path) -> Iterator["Stage"]:
    """A stage in an empty folder, as long as it is needed; the block runs in its application context."""
    demo = demonstration.at(folder, free_port(), free_port())
    demonstration.prepare(demo)
    app = create_app(replace(Settings.from_environment(demo.environment), rate_limits=False, log_level="ERROR"))
    with serving(app, demo.port), app.app_context():
        now = clock.now()
        contents = people.read(demonstration.DATA, now.date())
        found, _new = people.add_holders(contents, now, vault=services().vault, index=services().index)
        # As old as the oldest thing that people have done here.
        db.session.execute(update(ServerKey).values(created_at=now - PAST, active_from=now - PAST))
        db.session.commit()
        yield Stage(app, demo.issuer, {key: holder.holder_id for key, holder in found.items()}, now)
        db.session.remove()
        db.engine.dispose()


@dataclass
class SignedIn:
    """Somebody who has signed in: the actor, and the secret of the sign-in."""

    actor: Actor
    secret: str


@dataclass
class Stage:
    """``origin``: where the application answers browsers; ``holders``: the ids of everybody, by the key of the file."""

    app: Flask
    origin: str
    holders: dict[str, str]
    now: dt.datetime
    _serializer: Any = field(init=False)

    def __post_init__(self) -> None:
        self._serializer = self.app.session_interface.get_signing_serializer(self.app)  # type: ignore[attr-defined]

    @property
    def registry(self) -> Registry:
        """The surroundings of consents in this application."""
        found: Registry = self.app.extensions["consent"]
        return found

    def holder(self, key: str) -> Holder:
        """One of the holders of the demonstration."""
        return db.session.get_one(Holder, self.holders[key])

    def sign_in(self, key: str, *, acting_for: str = "", passkey_id: str = "none") -> SignedIn:
        """Sign somebody in without the ceremony; ``acting_for``: another holder's key, or ``administrator``."""
        person_id = self.holders[key]
        verified = VerifiedSignIn(person_id=person_id, passkey_id=passkey_id, at=self.now)
        secret = signins.start(verified, self.now)
        if acting_for:
            wanted = self.holders.get(acting_for, "")  # an administrator acts for no holder
            choice = next(c for c in signins.choices(person_id, self.now) if c.holder_id == wanted)
            signins.act_as(self._actor(secret), choice.key, self.now)
        return SignedIn(self._actor(secret), secret)

    def cookie(self, signed_in: SignedIn | None, **more: Any) -> dict[str, Any]:
        """The session of a browser in which somebody has signed in, as Playwright takes cookies."""
        session = {"browser": BROWSER, **({"signin": signed_in.secret} if signed_in else {}), **more}
        name = str(self.app.config["SESSION_COOKIE_NAME"])
        return {"name": name, "value": self._serializer.dumps(session), "url": self.origin}

    # Third parties ask

    def ask(self, client_id: str, purpose_code: str) -> Ask:
        """What a purpose asks of a holder, in full."""
        whole = replace(terms.whole(purpose_code), reference_no="GDZB-2026-0012")
        return admission.admit(whole, client_id=client_id, scope=(), now=self.now)

    def asked(self, ask: Ask, *, answered_by: Actor | None = None, at: dt.datetime | None = None, **more: str) -> str:
        """A request in everybody's browser: the path of its consent page.

        ``answered_by``: has given everything on all screens but the last; ``at``: when it came; ``more``: of its OAuth
        parameters.
        """
        at = at or clock.now()
        uri = self._push(ask, at, more)
        row = par.open_in_browser(uri, client_id=ask.client_id, browser=BROWSER, now=at)
        if answered_by is not None:
            par.keep_choices(row, self._all_given(ask, answered_by).to_choices(), at)
        return f"/consent/{row.handle}"

    def pushed(self, ask: Ask, **more: str) -> str:
        """A request that no browser has opened yet: the path at which one does."""
        return f"/authorize?client_id={ask.client_id}&request_uri={quote(self._push(ask, clock.now(), more))}"

    def request(self, path: str) -> AuthorizationRequest:
        """The stored request behind the path of a consent page."""
        return db.session.get_one(AuthorizationRequest, path.split("/")[2])

    def at_a_counter(self, ask: Ask) -> str:
        """A request whose code stands on another screen: that code."""
        checked = CheckedRequest(client_id=ask.client_id, parameters={"scope": ""}, ask=ask, jkt="k" * 43)
        _device_code, user_code = device.begin(checked, self.now, index=self.registry.index)
        return user_code

    def waits_for(self, ask: Ask, holder_id: str, *, opened: bool = False) -> str:
        """A request to somebody who is elsewhere: the path of its consent page. ``opened``: in everybody's browser."""
        parameters = {"scope": "openid", "binding_message": "W4SC"}
        checked = CheckedRequest(client_id=ask.client_id, parameters=parameters, ask=ask, jkt="k" * 43)
        row = par.find(ciba.begin(checked, holder_id, ciba_request.WAITS, self.now))
        if row is None:
            raise LookupError(holder_id)
        if opened:
            par.bring(row, BROWSER, self.now)
        return f"/consent/{row.handle}"

    # Holders decide

    def give(self, ask: Ask, by: Actor, *, days_ago: int = 0) -> Consent:
        """Everything that is asked, given some days ago."""
        at = self.now - dt.timedelta(days=days_ago)
        choices = Choices(items=tuple(i.item_id for i in ask.items), duration_days=ask.duration_days)
        return lifecycle.give(ask, choices, by, self._shown(at), at, registry=self.registry)

    def refuse(self, ask: Ask, by: Actor) -> Consent:
        """Not with me."""
        return lifecycle.refuse(ask, by, self._shown(self.now), self.now, registry=self.registry)

    def read(self, consent: Consent, ask: Ask, *, hours_ago: int, refused: str = "") -> None:
        """A line of the log: a read of everything, answered or refused."""
        at = self.now - dt.timedelta(hours=hours_ago)
        items = [i.item_id for i in ask.items]
        client = clients.get(ask.client_id)
        permission = Permission(
            client_id=ask.client_id, recipient=client.name("zh_Hans"), consent_id=consent.consent_id,
            consent_version=consent.version, space_id=consent.space_id, purpose=ask.purpose_text["zh_hans"],
            reference_no=ask.reference_no, max_reads=ask.max_reads, auth_time=at, acr="urn:dataspace:acr:passkey",
            items=tuple(GrantedItem(item_id=i, item_version=1, fields=()) for i in items),
        )  # fmt: skip
        if refused:
            accesses.record_refused(permission, items, refused, at)
        else:
            accesses.record_answered(permission, items, at, record_ids=self._current(consent.space_id, items))

    def _current(self, space_id: str, items: list[str]) -> list[str]:
        current = select(Record.record_id).where(Record.space_id == space_id, Record.superseded_at.is_(None))
        return list(db.session.scalars(current.where(Record.item_id.in_(items)).order_by(Record.item_id)))

    def _push(self, ask: Ask, at: dt.datetime, more: dict[str, str]) -> str:
        callback = str(clients.get(ask.client_id).redirect_uris[0])
        parameters = {"redirect_uri": callback, "state": "s", "code_challenge": "c" * 43, "scope": " ".join(ask.scope)}
        uri, _row = par.push(ask.client_id, parameters | more, ask, at, jkt="k" * 43)
        return uri

    def _actor(self, secret: str) -> Actor:
        visit = signins.visit(secret, self.now, idle=dt.timedelta(hours=1))
        assert visit is not None  # noqa: S101 - it was begun a moment ago
        return visit.actor

    def _all_given(self, ask: Ask, by: Actor) -> Progress:
        progress = Progress(ask=ask, acting=acting_as(by)).answered(FIRST)
        for item in ask.sensitive_items:
            progress = replace(progress, items={**progress.items, item.item_id: True}).answered(f"item:{item.item_id}")
        return replace(progress, abroad=True).answered(ABROAD) if ask.cross_border else progress

    def _shown(self, at: dt.datetime) -> documents.Shown:
        return documents.Shown(text=NOTICE, language="zh-Hans", requested_at=at, opened_at=at, screens=(FIRST,))
