"""Telling clients that a sign-in is over (OpenID Connect Back-Channel Logout 1.0)."""

import datetime as dt
import functools
import secrets
from collections.abc import Collection

from consent.client_options import ClientOptions
from consent.history import Registry
from consent.keys import KeyUse
from consent.oauth import registered_client, sessions
from consent.oauth.sessions import LogoutNotice
from dataspace import fetching, jose
from dataspace.addresses import FetchRefused
from dataspace.outbox import Channel, Letter, Outcome

EVENT = "http://schemas.openid.net/event/backchannel-logout"
TYP = "logout+jwt"
LIFE = dt.timedelta(minutes=2)  # section 2.4: preferably at most two minutes
WAITS = tuple(dt.timedelta(minutes=m) for m in (0.5, 2, 10, 60, 360))
ATTEMPTS = len(WAITS) + 1
TAKEN = frozenset({200, 204})  # section 2.8: 200; some frameworks say 204 when there is nothing in the answer


def channel(registry: Registry, *, allow_loopback: bool) -> Channel:
    """The outbox of logout tokens."""

    def write(notices: Collection[LogoutNotice], now: dt.datetime) -> list[Letter | Outcome]:
        return [_letter(notice, now, registry, allow_loopback=allow_loopback) for notice in notices]

    return Channel(name=sessions.OUTBOX, rows=LogoutNotice, addressee=LogoutNotice.client_id, waits=WAITS, write=write)


def _letter(notice: LogoutNotice, now: dt.datetime, registry: Registry, *, allow_loopback: bool) -> Letter | Outcome:
    """A logout token (section 2.4)."""
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
    post = functools.partial(
        _post, notice.notice_id, options.backchannel_logout_uri, token, allow_loopback=allow_loopback
    )
    return Letter(notice_id=notice.notice_id, to=client.client_id, post=post)


def _post(notice_id: int, url: str, token: str, *, allow_loopback: bool) -> Outcome:
    """Section 2.5."""
    try:
        status = fetching.post_form(url, {"logout_token": token}, allow_loopback=allow_loopback)
    except FetchRefused as error:
        return Outcome(notice_id=notice_id, problem=error.detail, unreachable=True)
    return Outcome(notice_id=notice_id, problem="" if status in TAKEN else f"answered {status}")
