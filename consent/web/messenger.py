"""Sending from the serving process what a request has put into an outbox, so that it is there within a moment."""

import logging
import threading

from flask import Flask, Response, current_app

from consent import worker
from consent.web import mail
from consent.web.context import registry
from dataspace import clock, outbox
from dataspace.db import db
from dataspace.outbox import Channel
from dataspace.web.shell import services

EXTENSION = "messengers"
log = logging.getLogger("dataspace.messenger")


def init_messengers(app: Flask) -> None:
    """Have everything sent that a request of ``app`` leaves behind, once it is committed."""
    with app.app_context():
        app.extensions[EXTENSION] = {channel.name: Messenger(app, channel) for channel in channels()}
    app.after_request(_wake)


def _wake(response: Response) -> Response:
    """Views commit before they answer, so what they have marked is there to be sent."""
    for name in outbox.marked() if db.session.registry.has() else ():
        current_app.extensions[EXTENSION][name].wake()
    return response


class Messenger:
    """At most one thread of this process: begun when there is something to send, gone when nothing is due.

    No answer waits for it, and nothing depends on it: what it leaves undone the worker does.
    """

    def __init__(self, app: Flask, channel: Channel) -> None:
        self._app = app
        self._channel = channel
        self._lock = threading.Lock()
        self._busy = self._asked = False

    def wake(self) -> None:
        """There is something to send, and it is committed."""
        with self._lock:
            self._asked = True
            if self._busy:
                return  # it looks once more before it goes
            self._busy = True
        threading.Thread(target=self._work, name=f"messenger-{self._channel.name}", daemon=True).start()

    def _work(self) -> None:
        while self._goes_on():
            try:
                with self._app.app_context():
                    deliver_all(self._channel)
            except Exception as error:  # noqa: BLE001 - a thread has nobody to tell, and must be able to begin anew
                log.error("delivery failed", extra={"detail": type(error).__name__})  # noqa: TRY400 - no parameters

    def _goes_on(self) -> bool:
        with self._lock:
            self._busy, self._asked = self._asked, False
            return self._busy


def channels() -> tuple[Channel, ...]:
    """Everything that this application sends; mail by the carrier that wsgi has installed."""
    settings = services().settings
    return (
        *worker.channels(registry(), allow_loopback=settings.fetch_loopback),
        mail.channel(registry(), settings, current_app.extensions["carrier"]),
    )


def deliver_all(channel: Channel) -> int:
    """Try everything that is due in one outbox; returns how many. Raises SweepFailed."""
    tried = 0
    while count := worker.deliver(channel, clock.now()):
        tried += count
    return tried
