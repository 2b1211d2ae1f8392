"""The redirect address of the clients under test, on the loopback."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.listening import serving

HOST = "127.0.0.1"
NOTICES = "/notices"
SECONDS = 20  # for a notice


@dataclass(frozen=True)
class Arrival:
    """What a browser brought. ``body`` is empty unless a form was posted."""

    method: str
    url: str
    body: str


class Callback(ThreadingHTTPServer):
    """Keeps what browsers bring, answers with an empty page."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__((HOST, port), _Arrivals)
        self.origin = f"http://localhost:{port}"
        self.arrived: list[Arrival] = []
        self.told: queue.Queue[Arrival] = queue.Queue()  # by the service itself, at NOTICES

    def hear(self) -> Arrival:
        """The next notice. Raises queue.Empty when none comes."""
        return self.told.get(timeout=SECONDS)

    @contextmanager
    def serving(self) -> Iterator["Callback"]:
        """Answer until the context is left."""
        with serving(self):
            yield self


class _Arrivals(BaseHTTPRequestHandler):
    server: Callback

    def do_GET(self) -> None:
        self._arrived("")

    def do_POST(self) -> None:
        self._arrived(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

    def _arrived(self, body: str) -> None:
        arrival = Arrival(self.command, f"{self.server.origin}{self.path}", body)
        if self.path == NOTICES:
            self.server.told.put(arrival)
        else:
            self.server.arrived.append(arrival)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing on the terminal."""
