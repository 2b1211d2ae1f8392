"""The application behind Werkzeug's server, for browsers of tests and of the pictures."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from tools.processes import HOST


class _Quiet(WSGIRequestHandler):
    """Requests are no news."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@contextmanager
def serving(app: Flask, port: int = 0) -> Iterator[int]:
    """Serve ``app`` at the loopback as long as the block runs; yields the port."""

    def whole(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Every answer whole and closed before any of it leaves.

        Werkzeug's server does not close the file of an answer whose browser has gone away meanwhile.
        """
        answer = app(environ, start_response)
        try:
            return [b"".join(answer)]
        finally:
            if hasattr(answer, "close"):
                answer.close()

    server = make_server(HOST, port, whole, threaded=True, request_handler=_Quiet)
    # By default it looks twice a second whether it is over.
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
