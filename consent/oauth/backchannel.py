"""Telling clients that a sign-in is over (OpenID Connect Back-Channel Logout 1.0).

A notice is *claimed*, which puts its next try off for a while; then posted, outside of any transaction; then what came
of it is *recorded*. Whoever dies in between leaves a notice that is tried again, and no two claim the same one.
"""

import datetime as dt
import secrets
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from sqlalchemy import case, select, update

from consent.client_options import ClientOptions
from consent.history import Registry
from consent.keys import KeyUse
from consent.oauth import registered_client
from consent.oauth.sessions import LogoutNotice
from dataspace import fetching, jose
from dataspace.db import db
from dataspace.fetching import FetchRefused

EVENT = "http://schemas.openid.net/event/backchannel-logout"
TYP = "logout+jwt"
LIFE = dt.timedelta(minutes=2)  # section 2.4: preferably at most two minutes
# When to try again after the first, second, ... attempt; the one after the last is not made.
WAITS = tuple(dt.timedelta(minutes=m) for m in (0.5, 2, 10, 60, 360))
ATTEMPTS = len(WAITS) + 1
TAKEN = frozenset({200, 204})  # section 2.8: 200; some frameworks say 204 when there is nothing in the answer
AT_ONCE = 8  # posts at the same time, so that one slow client does not keep the others waiting


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One logout token, signed and ready to post."""

    notice_id: int
    url: str
    token: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one attempt; ``problem`` is empty when the client has taken the token."""

    notice_id: int
    problem: str = ""
    final: bool = False  # no use trying again


def claim(now: dt.datetime, limit: int) -> list[LogoutNotice]:
    """Up to ``limit`` notices that are due, the oldest first, nobody else's from now on. To be committed at once."""
    due = (
        select(LogoutNotice.notice_id)
        .where(LogoutNotice.due_at <= now)
        .order_by(LogoutNotice.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    waits = {attempt: now + wait for attempt, wait in enumerate(WAITS)}
    later = case(waits, value=LogoutNotice.attempts)  # NULL after the last
    claimed = (
        update(LogoutNotice)
        .where(LogoutNotice.notice_id.in_(due))
        .values(due_at=later, attempts=LogoutNotice.attempts + 1)
        .returning(LogoutNotice)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return list(db.session.scalars(claimed))


def write(notices: Iterable[LogoutNotice], now: dt.datetime, *, registry: Registry) -> list[Letter | Outcome]:
    """A logout token for each notice (section 2.4), or why there is none to be sent."""
    return [_letter(notice, now, registry) for notice in notices]


def post(letters: Collection[Letter], *, allow_loopback: bool) -> list[Outcome]:
    """Post them (section 2.5); takes as long as the slowest client. Touches no database."""
    if not letters:
        return []
    with ThreadPoolExecutor(min(AT_ONCE, len(letters)), thread_name_prefix="logout") as several:
        return list(several.map(lambda letter: _post(letter, allow_loopback=allow_loopback), letters))


def record(outcomes: Iterable[Outcome], now: dt.datetime) -> int:
    """Write down what came of it; returns how many clients have taken their token."""
    delivered = 0
    for outcome in outcomes:
        values: dict[str, object] = {"problem": outcome.problem}
        if not outcome.problem:
            values |= {"delivered_at": now, "due_at": None}
            delivered += 1
        elif outcome.final:
            values["due_at"] = None
        db.session.execute(update(LogoutNotice).filter_by(notice_id=outcome.notice_id).values(values))
    return delivered


def _letter(notice: LogoutNotice, now: dt.datetime, registry: Registry) -> Letter | Outcome:
    client = registered_client.find(notice.client_id)
    options = client.options if client is not None else ClientOptions()
    if client is None or not options.backchannel_logout_uri:
        return Outcome(notice_id=notice.notice_id, problem="no address is registered any more", final=True)
    claims = {
        "iss": registry.issuer,
        "aud": client.client_id,
        "iat": int(now.timestamp()),
        "exp": int((now + LIFE).timestamp()),
        "jti": secrets.token_urlsafe(16),
        "sub": notice.subject,
        "sid": notice.sid,
        "events": {EVENT: {}},
    }
    key = registry.keyring.signing_key(KeyUse.ID_TOKEN, now, client.id_token_alg)
    token = jose.sign(claims, key, typ=TYP)
    return Letter(notice_id=notice.notice_id, url=options.backchannel_logout_uri, token=token)


def _post(letter: Letter, *, allow_loopback: bool) -> Outcome:
    try:
        status = fetching.post_form(letter.url, {"logout_token": letter.token}, allow_loopback=allow_loopback)
    except FetchRefused as error:
        return Outcome(notice_id=letter.notice_id, problem=error.detail[:200])
    return Outcome(notice_id=letter.notice_id, problem="" if status in TAKEN else f"answered {status}")
