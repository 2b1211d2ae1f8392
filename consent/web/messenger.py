"""Sending logout notices from the serving process, so that clients hear within a moment and not at the next pass."""

import logging
import threading

from flask import Flask

from consent import worker
from consent.web.context import registry
from dataspace import clock
from dataspace.web.shell import services

log = logging.getLogger("dataspace.messenger")


class Messenger:
    """At most one thread of this process: begun when there is something to send, gone when nothing is due.

    No answer waits for it, and nothing depends on it: what it leaves undone the worker does.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._busy = self._asked = False

    def wake(self) -> None:
        """There is something to send, and it is committed."""
        with self._lock:
            self._asked = True
            if self._busy:
                return  # it looks once more before it goes
            self._busy = True
        threading.Thread(target=self._work, name="messenger", daemon=True).start()

    def _work(self) -> None:
        while self._goes_on():
            try:
                with self._app.app_context():
                    deliver_all()
            except Exception as error:  # noqa: BLE001 - a thread has nobody to tell, and must be able to begin anew
                log.error("delivery failed", extra={"detail": type(error).__name__})  # noqa: TRY400 - no parameters

    def _goes_on(self) -> bool:
        with self._lock:
            self._busy, self._asked = self._asked, False
            return self._busy


def deliver_all() -> int:
    """Try every logout notice that is due; returns how many. Raises SweepFailed."""
    tried = 0
    while count := worker.deliver(clock.now(), registry=registry(), allow_loopback=services().settings.fetch_loopback):
        tried += count
    return tried
