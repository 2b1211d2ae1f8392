"""An authorization request while it is looked at: what it says, unchecked, and what the checks have found out."""

import datetime as dt
import enum
from dataclasses import dataclass, field

from authlib.oauth2.rfc6749 import (
    InvalidClientError,
)

from consent.asks import Ask
from consent.claims import NOTHING, AskedClaims
from consent.clients import Standing
from consent.history import Registry
from consent.oauth import ciba_request, response_modes
from consent.oauth.client_auth import ClientKeys
from consent.oauth.possession import Sender
from consent.oauth.registered_client import RegisteredClient
from consent.oauth.response_modes import ResponseMode, WayBack


class Endpoint(enum.Enum):
    PAR = "par"
    AUTHORIZE = "authorize"
    DEVICE = "device_authorization"
    CIBA = "backchannel_authentication"


@dataclass(kw_only=True)
class Draft:
    """A request under examination. ``client``: authenticated at PAR, only named at /authorize, None when unknown.

    ``parameters`` are unchecked; ``scope``, ``ask`` and ``jkt`` are filled in by the checks that find them.
    """

    endpoint: Endpoint
    client: RegisteredClient | None
    parameters: dict[str, str]
    sender: Sender | None  # None: a browser, which proves nothing
    registry: Registry
    keys: ClientKeys
    now: dt.datetime
    scope: tuple[str, ...] = ()
    purpose: str = ""  # that a scope stands for
    jkt: str | None = None
    x5t: str | None = None
    resource: str = ""  # RFC 8707, as codes keep it
    max_age: int | None = None  # seconds
    claims: AskedClaims = NOTHING
    life: dt.timedelta = ciba_request.WAITS  # of a request to an absent person
    persons: list[str] | None = None  # one of these subjects must be the person; None: anybody
    ask: Ask | None = field(default=None)

    @property
    def party(self) -> RegisteredClient:
        """The client, once it is known to exist."""
        if self.client is None:
            raise InvalidClientError(description="unknown client")
        return self.client

    @property
    def issuer(self) -> str:
        """Our own name."""
        return self.registry.issuer

    def get(self, name: str) -> str:
        """A parameter, or an empty string."""
        return self.parameters.get(name, "")

    @property
    def response_mode(self) -> ResponseMode | None:
        """How the client wants to be answered, if that is a way which we offer to it."""
        return response_modes.find(self.get("response_mode"), signing_alg=self.party.response_alg)

    @property
    def way_back(self) -> WayBack | None:
        """Where an error may go: to the client, if it may ask and the redirect URI is its own; else None.

        As far as the request is known: until its request object is verified, that is what stands outside.
        """
        client, redirect_uri = self.client, self.get("redirect_uri")
        if client is None or client.standing != Standing.GOOD or not client.check_redirect_uri(redirect_uri):
            return None
        return WayBack(
            client_id=client.client_id,
            redirect_uri=redirect_uri,
            mode=self.response_mode or ResponseMode.QUERY,
            signing_alg=client.response_alg,
            state=self.get("state") or None,
        )
