"""A relying party that somebody has entered, and that takes logout tokens on the loopback."""

import json
import queue
import threading
from base64 import urlsafe_b64decode
from collections.abc import Iterator
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
    """The back-channel logout address of a relying party. ``hold``: it answers only once this is set."""

    url: str
    received: "queue.Queue[tuple[str, str]]"  # content type, logout token
    hold: threading.Event

    def token(self) -> str:
        """The next logout token; waits for it, as it is sent beside the answer."""
        content_type, token = self.received.get(timeout=30)
        assert content_type == "application/x-www-form-urlencoded"
        return token


class Server(ThreadingHTTPServer):
    """Takes as many connections at once as several workers make."""

    request_queue_size = 128


@contextmanager
def receiver(*statuses: int) -> Iterator[Receiver]:
    """A server on the loopback that answers with these, and then with 200."""
    found = Receiver("", queue.Queue(), threading.Event())
    found.hold.set()
    left = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode(), strict_parsing=True)
            found.received.put((self.headers["Content-Type"], *form.pop("logout_token")))
            assert not form
            found.hold.wait(30)
            self.send_response(left.pop(0) if left else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Quiet."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}/logout"
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
