"""Telling clients what became of a consent: Security Event Tokens (RFC 8417), pushed (RFC 8935) or fetched (RFC 8936).

One token for each event. A token keeps its ``jti`` however often it is sent, so that a client that has it already can
tell; ``event_number`` and ``consent_version`` say which of two is the later one, as they may overtake each other.
"""

import datetime as dt
import functools
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import orjson
from authlib.oauth2.rfc6749 import InvalidRequestError

from consent import announcements, subjects
from consent.announcements import DATA_CORRECTED, VERIFICATION, WAITS, Announcement
from consent.client_options import ClientOptions
from consent.clients import Client
from consent.history import Registry
from consent.keys import KeyUse
from consent.oauth.registered_client import RegisteredClient
from consent.records import Consent
from consent.telling import TELLING
from dataspace import fetching, jose
from dataspace.addresses import FetchRefused
from dataspace.db import db
from dataspace.outbox import Channel, Letter, Outcome

TYP = "secevent+jwt"
MEDIA_TYPE = f"application/{TYP}"
PATH = "/oauth/events"
TAKEN = 202  # RFC 8935 section 2.2
MAX_ANSWER = 4096  # bytes that are read of a refusal
MAX_SETS = 100  # in one answer to a client that fetches
MAX_TOLD = 1000  # acknowledgements and errors in one request
# RFC 8935 section 2.4. What is wrong with a token itself stays wrong; keys and credentials may be mended.
ERRORS: Mapping[str, bool] = MappingProxyType(
    {
        "invalid_request": True,
        "invalid_key": False,
        "invalid_issuer": True,
        "invalid_audience": True,
        "authentication_failed": False,
        "access_denied": False,
    }
)


def event_uri(kind: str, *, issuer: str) -> str:
    """The event type of an announcement, a URI under our own name: ``consent:given`` as ``…/events/consent/given``."""
    return f"{issuer}/events/{kind.replace(':', '/')}"


def event_uris(issuer: str) -> list[str]:
    """Every event type that clients may hear of."""
    told = [event.value for event, told in TELLING.items() if told.client]
    return [event_uri(kind, issuer=issuer) for kind in (*told, DATA_CORRECTED, VERIFICATION)]


def channel(registry: Registry, *, allow_loopback: bool) -> Channel:
    """The outbox of security events."""

    def write(notices: Collection[Announcement], now: dt.datetime) -> list[Letter | Outcome]:
        signed = tokens(notices, now, registry=registry)
        return [_letter(n, *signed[n.notice_id], allow_loopback=allow_loopback) for n in notices]

    return Channel(
        name=announcements.OUTBOX, rows=Announcement, addressee=Announcement.client_id, waits=WAITS, write=write
    )


def tokens(
    notices: Collection[Announcement], now: dt.datetime, *, registry: Registry
) -> dict[int, tuple[str, ClientOptions]]:
    """A signed token for each, and what its client has registered; by notice_id. Two statements."""
    ids = {n.consent_id for n in notices if n.consent_id}
    holders = {c.consent_id: c.holder_id for c in db.session.query(Consent).where(Consent.consent_id.in_(ids))}
    names = {n.client_id for n in notices}
    clients = {c.client_id: c for c in db.session.query(Client).where(Client.client_id.in_(names))}
    key = registry.keyring.signing_key(KeyUse.TOKENS, now)
    return {
        notice.notice_id: (
            jose.sign(_claims(notice, clients[notice.client_id], holders, registry), key, typ=TYP),
            ClientOptions.from_document(clients[notice.client_id].options),
        )
        for notice in notices
    }


def _claims(notice: Announcement, client: Client, holders: Mapping[str, str], registry: Registry) -> dict[str, Any]:
    """RFC 8417 section 2.2: no ``exp`` and no ``sub``, so that it cannot be taken for another kind of token."""
    said: dict[str, Any] = {
        "iss": registry.issuer,
        "aud": client.client_id,
        "iat": int(notice.created_at.timestamp()),
        "jti": notice.jti,
        "events": {event_uri(notice.kind, issuer=registry.issuer): notice.body},
    }
    if notice.consent_id:
        subject = subjects.of(holders[notice.consent_id], client, registry.index)
        said["sub_id"] = {"format": "opaque", "id": subject}  # RFC 9493 section 3.2.6
    return said


# Pushed (RFC 8935)


def _letter(notice: Announcement, token: str, options: ClientOptions, *, allow_loopback: bool) -> Letter | Outcome:
    if options.consent_events_delivery != "push":
        fetched = options.consent_events_delivery == "poll"
        problem = "not fetched" if fetched else "no address is registered any more"
        return Outcome(notice_id=notice.notice_id, problem=problem, final=True)
    post = functools.partial(_post, notice.notice_id, options.consent_events_uri, token, allow_loopback=allow_loopback)
    return Letter(notice_id=notice.notice_id, to=notice.client_id, post=post)


def _post(notice_id: int, url: str, token: str, *, allow_loopback: bool) -> Outcome:
    try:
        answer = fetching.post(
            url, token.encode(), content_type=MEDIA_TYPE, accept="application/json", max_bytes=MAX_ANSWER,
            allow_loopback=allow_loopback,
        )  # fmt: skip
    except FetchRefused as refused:
        return Outcome(notice_id=notice_id, problem=refused.detail, unreachable=True)
    if answer.status == TAKEN:
        return Outcome(notice_id=notice_id)
    error = _error(answer.body) if answer.status == 400 else ""
    problem = f"refused: {error}" if error else f"answered {answer.status}"
    return Outcome(notice_id=notice_id, problem=problem, final=ERRORS.get(error, False))


def _error(body: bytes) -> str:
    """The error code of a refusal (RFC 8935 section 2.3); empty when it says none that we know."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    error = said.get("err") if isinstance(said, dict) else None
    return error if isinstance(error, str) and error in ERRORS else ""


# Fetched (RFC 8936)


def fetch(body: bytes, client: RegisteredClient, now: dt.datetime, *, registry: Registry) -> dict[str, Any]:
    """What a client has acknowledged is done, what it has not taken it is answered (section 2). Always at once.

    Raises InvalidRequestError.
    """
    asked = _parse(body)
    announcements.take(client.client_id, asked.get("ack", []), now)
    announcements.turn_down(client.client_id, {jti: f"refused: {e}" for jti, e in _errors(asked).items()})
    limit = min(asked.get("maxEvents", MAX_SETS), MAX_SETS)
    waiting = announcements.to_fetch(client.client_id, limit)
    signed = tokens(waiting[:limit], now, registry=registry)
    return {
        "sets": {notice.jti: signed[notice.notice_id][0] for notice in waiting[:limit]},
        "moreAvailable": len(waiting) > limit,
    }


def _parse(body: bytes) -> dict[str, Any]:
    """Section 2.2: all members are optional, others are left out."""
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidRequestError("the body must be JSON") from None
    if not isinstance(asked, dict):
        raise InvalidRequestError("the body must be a JSON object")
    most = asked.get("maxEvents", 0)
    if isinstance(most, bool) or not isinstance(most, int) or most < 0:
        raise InvalidRequestError("maxEvents must be a whole number, not negative")
    acknowledged = asked.get("ack", [])
    if not isinstance(acknowledged, list) or not all(_is_id(jti) for jti in acknowledged):
        raise InvalidRequestError("ack must be a list of identifiers of tokens")
    errors = asked.get("setErrs", {})
    if not isinstance(errors, dict) or not all(_is_id(jti) and isinstance(e, dict) for jti, e in errors.items()):
        raise InvalidRequestError("setErrs must have an object for each identifier of a token")
    if len(acknowledged) + len(errors) > MAX_TOLD:
        raise InvalidRequestError(f"at most {MAX_TOLD} acknowledgements and errors at once")
    return asked


def _is_id(jti: object) -> bool:
    return isinstance(jti, str) and jti.isascii() and jti.isprintable()


def _errors(asked: Mapping[str, Any]) -> dict[str, str]:
    """The error code for each token that was turned down; one that we do not know is not repeated."""
    return {
        jti: error["err"] if isinstance(error.get("err"), str) and error["err"] in ERRORS else "unknown error"
        for jti, error in asked.get("setErrs", {}).items()
    }
