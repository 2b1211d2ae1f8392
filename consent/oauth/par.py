"""Authorization requests: pushed (RFC 9126) or stored by /authorize itself, opened by one browser, finished once.

A request lives through three moments: *pushed* (usable for ``PUSHED``), *opened* (bound to the browser that opened it,
usable for ``READING`` so that a person can read in peace, check C-21), *finished* (answered with a code or an error).
"""

import datetime as dt
import hashlib
import secrets
from typing import Any

from authlib.consts import default_json_headers
from authlib.oauth2.rfc6749 import Endpoint
from sqlalchemy import ForeignKey, Index, String, and_, or_, select, update
from sqlalchemy.orm import Mapped, mapped_column

from consent.asks import Ask
from consent.oauth import drafts, requests, tokens
from consent.oauth.forms import FormRequest
from consent.records import APPROVAL_LAPSES
from dataspace.db import Model, db, delete_some, new_id
from dataspace.errors import Conflict, NotFound

PREFIX = "urn:ietf:params:oauth:request_uri:"
PUSHED = dt.timedelta(seconds=90)  # FAPI 2.0: under 600 s
READING = dt.timedelta(minutes=30)
SHOWN = dt.timedelta(minutes=15)  # a code on a screen, until somebody opens it
AT_COUNTER = SHOWN + READING
COLLECTED = dt.timedelta(minutes=10)  # after the decision, for a client that fetches its answer


class AuthorizationRequest(Model):
    """``parameters``: the checked OAuth parameters; ``ask``: :class:`consent.asks.Ask` as a document.

    ``choices``: what the holder has chosen so far, kept so that back and reload lose nothing. ``browser``: digest of
    the secret in the session of the browser that opened it. ``looked_by``: who wants to see it in spite of an earlier
    refusal (check C-20), as the forms of the page name person and holder.

    A request for a counter (:mod:`consent.oauth.device`) has no way back through the browser: ``uri_digest`` is that
    of its device code, ``user_code`` the keyed digest of what the person types or scans; ``polled_at`` and
    ``poll_interval`` (seconds) keep the client from asking too often. One for an absent person
    (:mod:`consent.oauth.ciba`) is fetched likewise; ``addressee`` is whom it waits for: the id of a holder, the name
    that the client has for one, or empty for nobody.
    """

    __tablename__ = "authorization_requests"
    __table_args__ = (Index(None, "expires_at"), Index(None, "consent_id"), Index(None, "addressee"))
    handle: Mapped[str] = mapped_column(String(40), primary_key=True)
    uri_digest: Mapped[str] = mapped_column(String(64), unique=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id"))
    parameters: Mapped[dict[str, Any]]
    ask: Mapped[dict[str, Any]]
    jkt: Mapped[str | None] = mapped_column(String(43))
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    opened_at: Mapped[dt.datetime | None]
    browser: Mapped[str | None] = mapped_column(String(64))
    choices: Mapped[dict[str, Any]] = mapped_column(default=dict)
    looked_by: Mapped[str | None] = mapped_column(String(24))
    consent_id: Mapped[str | None] = mapped_column(String(40))
    finished_at: Mapped[dt.datetime | None]
    user_code: Mapped[str | None] = mapped_column(String(64), unique=True)
    polled_at: Mapped[dt.datetime | None]
    poll_interval: Mapped[int | None]
    addressee: Mapped[str | None] = mapped_column(String(64))

    @property
    def asked(self) -> Ask:
        """What the holder is asked."""
        return Ask.from_document(self.ask)

    @property
    def by_code(self) -> bool:
        """Whether it is opened by a code that another screen shows."""
        return self.user_code is not None

    @property
    def is_fetched(self) -> bool:
        """Whether the client fetches the answer: no browser brings it."""
        return self.by_code or self.addressee is not None

    def reading_until(self, now: dt.datetime) -> dt.datetime:
        """Until when it may be read from now; a client that waits for the answer does so no longer than it was told."""
        if self.addressee is not None:
            return self.expires_at
        return min(now + READING, self.created_at + AT_COUNTER) if self.by_code else now + READING


def push(
    client_id: str, parameters: dict[str, Any], ask: Ask, now: dt.datetime, *, jkt: str | None
) -> tuple[str, AuthorizationRequest]:
    """Store a checked request; returns its ``request_uri`` (a bearer secret, kept as digest only) and the row."""
    request_uri = PREFIX + secrets.token_urlsafe(32)
    row = draft(request_uri, client_id, parameters, ask, now, jkt=jkt)
    db.session.add(row)
    db.session.flush()
    return request_uri, row


def draft(
    secret: str, client_id: str, parameters: dict[str, Any], ask: Ask, now: dt.datetime, *, jkt: str | None
) -> AuthorizationRequest:
    """A checked request under a bearer secret, not stored yet."""
    return AuthorizationRequest(
        handle=new_id("req"),
        uri_digest=_digest(secret),
        client_id=client_id,
        parameters=parameters,
        ask=ask.to_document(),
        jkt=jkt,
        created_at=now,
        expires_at=now + PUSHED,
    )


def open_in_browser(
    unverified_request_uri: str, *, client_id: str, browser: str, now: dt.datetime
) -> AuthorizationRequest:
    """Bind a pushed request to the browser that shows it. Opening it again in the same browser is no harm.

    Raises NotFound when it is unknown, another client's, another browser's, too old or finished; Conflict when this
    very browser has finished it.
    """
    row = db.session.scalar(
        select(AuthorizationRequest).filter_by(uri_digest=_digest(unverified_request_uri)).with_for_update()
    )
    if row is None or row.client_id != client_id or now >= row.expires_at:
        raise NotFound("request_uri is unknown, used or too old")
    if row.finished_at is not None:
        raise (Conflict if row.browser == _digest(browser) else NotFound)("request_uri is used")
    if not bind(row, browser, now):
        raise NotFound("request_uri was opened in another browser")
    return row


def bind(request: AuthorizationRequest, browser: str, now: dt.datetime) -> bool:
    """Whether the request is this browser's, from now on or already.

    Of two browsers at once one gets it, also on SQLite, which does not lock the row that was read.
    """
    if request.browser is None:
        db.session.execute(
            update(AuthorizationRequest)
            .where(AuthorizationRequest.handle == request.handle, AuthorizationRequest.browser.is_(None))
            .values(browser=_digest(browser), opened_at=now, expires_at=request.reading_until(now))
            .execution_options(synchronize_session=False)
        )
        db.session.refresh(request)
    return request.browser == _digest(browser)


def bring(request: AuthorizationRequest, browser: str, now: dt.datetime) -> None:
    """Move a request that waits for a holder to the browser that opens it now; an earlier one can no longer answer."""
    request.browser = _digest(browser)
    request.opened_at = request.opened_at or now


def is_of(request: AuthorizationRequest, browser: str) -> bool:
    """Whether this browser has opened the request."""
    return request.browser == _digest(browser)


def in_browser(handle: str, *, browser: str, now: dt.datetime) -> AuthorizationRequest:
    """The unfinished request that this browser opened. Raises NotFound, Conflict when it is finished already."""
    row = db.session.get(AuthorizationRequest, handle)
    if row is None or row.browser != _digest(browser) or now >= row.expires_at:
        raise NotFound("no such request in this browser")
    if row.finished_at is not None:
        raise Conflict("this request is finished")
    return row


def keep_choices(request: AuthorizationRequest, choices: dict[str, Any], now: dt.datetime) -> None:
    """Remember what the holder has chosen so far, and give the reading time anew."""
    request.choices = choices
    request.expires_at = request.reading_until(now)


def look_anyway(request: AuthorizationRequest, acting: str, now: dt.datetime) -> None:
    """The holder starts it: an earlier refusal is no reason not to show it."""
    request.looked_by = acting
    request.expires_at = request.reading_until(now)


def finish(request: AuthorizationRequest, now: dt.datetime, *, consent_id: str | None) -> None:
    """Mark the request as answered, once. Raises Conflict for whoever comes second (two tabs, a double tap)."""
    until = now + COLLECTED if request.is_fetched else request.expires_at
    done = db.session.execute(
        update(AuthorizationRequest)
        .where(AuthorizationRequest.handle == request.handle, AuthorizationRequest.finished_at.is_(None))
        .values(finished_at=now, consent_id=consent_id, expires_at=until)
        .execution_options(synchronize_session=False)
    )
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise Conflict("this request is finished")
    db.session.refresh(request)


def wait_for_approval(request: AuthorizationRequest, consent_id: str, now: dt.datetime) -> None:
    """Keep the request open while the second person of a company decides. Raises Conflict when it waits already."""
    done = db.session.execute(
        update(AuthorizationRequest)
        .where(
            AuthorizationRequest.handle == request.handle,
            AuthorizationRequest.finished_at.is_(None),
            AuthorizationRequest.consent_id.is_(None),
        )
        .values(consent_id=consent_id, expires_at=now + APPROVAL_LAPSES + READING)
        .execution_options(synchronize_session=False)
    )
    if done.rowcount != 1:  # type: ignore[attr-defined]
        raise Conflict("this request waits for approval already")
    db.session.refresh(request)


def waiting(consent_id: str) -> AuthorizationRequest | None:
    """The unfinished request that waits for the approval of a consent."""
    return db.session.scalar(select(AuthorizationRequest).filter_by(consent_id=consent_id, finished_at=None))


def find(unverified_secret: str) -> AuthorizationRequest | None:
    """The request under a bearer secret, whatever became of it."""
    return db.session.scalar(select(AuthorizationRequest).filter_by(uri_digest=_digest(unverified_secret)))


def sweep(now: dt.datetime, limit: int = 1000) -> int:
    """Remove up to ``limit`` requests that can no longer be used; returns how many.

    Those whose clients ask again and again are kept a while, so that the last question is answered with the reason.
    """
    fetched = or_(AuthorizationRequest.user_code.is_not(None), AuthorizationRequest.addressee.is_not(None))
    ended = AuthorizationRequest.expires_at
    over = and_(ended <= now, or_(~fetched, ended <= now - tokens.REMEMBERED))
    return delete_some(AuthorizationRequest, over, by=AuthorizationRequest.expires_at, limit=limit)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class PushedRequests(Endpoint):  # type: ignore[misc]
    """The endpoint of RFC 9126 section 2, in Authlib's form."""

    ENDPOINT_NAME = "pushed_authorization_request"

    def create_endpoint_response(self, request: FormRequest) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """Authenticate the client, run the checks, store the request. Raises OAuth2Error."""
        draft = self.server.draft(request, drafts.Endpoint.PAR)
        checked = requests.check(draft)
        request_uri, _row = push(checked.client_id, checked.parameters, checked.ask, request.now, jkt=checked.jkt)
        body = {"request_uri": request_uri, "expires_in": int(PUSHED.total_seconds())}
        return 201, body, default_json_headers
