"""A relying party that somebody has entered, and that takes logout tokens on the loopback."""

import json
import queue
import threading
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from flask import Flask

from consent.client_options import ClientOptions
from consent.clients import Profile
from dataspace import clock, signins
from dataspace.db import db
from dataspace.mandates import Actor
from tests import factories
from tests.authenticator import Browser
from tests.consent.third_party import ThirdParty, code_for
from tests.consent.visitor import Visitor
from tests.listening import serving

AFTER = "https://bank.example/signed-out?from=here"


def open_shop(
    app: Flask, client_id: str = "shop", *, method: str = "client_secret_basic", **options: Any
) -> ThirdParty:
    """A client that signs people in, registered with these options."""
    party = factories.party(clock.now(), client_id, profile=Profile.LOGIN, method=method)
    party.client.options = ClientOptions(**({"post_logout_redirect_uris": (AFTER,)} | options)).to_document()
    db.session.commit()
    return ThirdParty(party, app.test_client())


def actor_of(visitor: Visitor | Browser) -> Actor:
    """Whom the browser's sign-in stands for at present."""
    with visitor.client.session_transaction() as session:
        visit = signins.visit(session["signin"], clock.now(), idle=signins.LIFE)
    assert visit is not None
    return visit.actor


def enter(third: ThirdParty, visitor: Visitor | Browser, **changes: Any) -> dict[str, Any]:
    """Sign the visitor in there; the answer of the token endpoint."""
    code, _consent = code_for(third, actor_of(visitor), **changes)
    answer = third.token(code)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


def claims_of(token: str) -> dict[str, Any]:
    """What a JWT says, unverified."""
    body = token.split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


@dataclass
class Receiver:
    """An address of a third party on the loopback. ``hold``: it answers only once this is set."""

    url: str
    received: "queue.Queue[tuple[str, bytes]]"  # content type, body
    hold: threading.Event

    def token(self) -> str:
        """The next logout token; waits for it, as it is sent beside the answer."""
        content_type, body = self.received.get(timeout=30)
        assert content_type == "application/x-www-form-urlencoded"
        form = parse_qs(body.decode(), strict_parsing=True)
        (token,) = form.pop("logout_token")
        assert not form
        return token

    def event(self) -> str:
        """The next security event token."""
        content_type, body = self.received.get(timeout=30)
        assert content_type == "application/secevent+jwt"
        return body.decode()


class Server(ThreadingHTTPServer):
    """Takes as many connections at once as several workers make."""

    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever has read enough of an answer hangs up."""


@contextmanager
def receiver(*statuses: int, otherwise: int = 200, body: bytes = b"") -> Iterator[Receiver]:
    """A server on the loopback that answers with these, and then with ``otherwise``, and always with ``body``."""
    found = Receiver("", queue.Queue(), threading.Event())
    found.hold.set()
    left = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            found.received.put((self.headers["Content-Type"], sent))
            found.hold.wait(30)
            self.send_response(left.pop(0) if left else otherwise)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Quiet."""

    server = Server(("127.0.0.1", 0), Handler)
    with serving(server) as address:
        found.url = f"{address}/notices"
        yield found


def wait_until(true: Callable[[], bool]) -> None:
    """What is done beside an answer is done soon."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
