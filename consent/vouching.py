"""Whether somebody here has made sure who a third party is.

Whoever an administrator or a file registers is known. A client that registers itself says what it likes of itself, and
every page says so until an administrator has looked at it; what it changes of that afterwards has to be looked at anew.
"""

import datetime as dt
from typing import Any

from consent import client_options, clients
from consent.clients import Client, Standing
from dataspace.errors import Conflict

Seen = tuple[Any, ...]


def seen(client: Client) -> Seen:
    """What an administrator looks at who vouches for a client: where it leads, and what pages show of it."""
    options = client.options or {}
    shown = tuple(options.get(name) for name in client_options.OPENED)
    return (client.contact, tuple(client.redirect_uris), *shown)


def confirm(client_id: str, now: dt.datetime, *, actor_id: str, reason_code: str, text: str) -> Client:
    """An administrator has made sure who it is. Raises NotFound; Conflict when that is known, or the client is gone."""
    client = clients.locked(client_id)
    if client.known_since is not None or client.standing == Standing.DELETED:
        raise Conflict("client is known or deleted")
    client.known_since = now
    clients.note(client_id, "client:confirmed", now, actor_id=actor_id, reason_code=reason_code, text=text)
    return client


def lapse(client: Client, before: Seen, now: dt.datetime) -> None:
    """The client has changed itself: if it is not what was ``seen`` before, nobody vouches for it any more."""
    if client.known_since is not None and seen(client) != before:
        client.known_since = None
        clients.note(client.client_id, "client:unconfirmed", now, actor_id=None, reason_code="self")
