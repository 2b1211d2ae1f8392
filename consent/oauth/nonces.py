"""Nonces that this server gives to makers of DPoP proofs (RFC 9449 sections 8 and 9).

A proof with a nonce of ours was made after we gave it out: nobody can have made it in advance and kept it. Nothing is
stored. A nonce is a keyed digest of the minute that it was given in, so every process that has the settings knows it,
and nobody else can make one.
"""

import datetime as dt
import functools
import hashlib
import hmac

from dataspace import jwk
from dataspace.settings import Settings

HEADER = "DPoP-Nonce"
WINDOW = dt.timedelta(minutes=1)  # a new one every minute; each is accepted for one to two minutes after it is given
# The one given now, the one before, and the next one: another machine's clock may be a moment ahead of ours.
ACCEPTED = (0, -1, 1)


class Nonces:
    """The nonces of one server. ``required``: whether a proof must carry one."""

    def __init__(self, secret: str, *, server: str, required: bool) -> None:
        # A key of its own, so that a nonce of one server is worth nothing at the other, and no other use of the
        # secret can produce one.
        self._key = hmac.digest(secret.encode(), f"dpop nonce: {server}".encode(), hashlib.sha256)
        self.required = required

    def current(self, now: dt.datetime) -> str:
        """What a client should put into its next proof: 22 characters."""
        return self._at(_window(now))

    def knows(self, unverified_nonce: object, now: dt.datetime) -> bool:
        """Whether we gave it out a moment ago."""
        if not isinstance(unverified_nonce, str) or not unverified_nonce.isascii():
            return False
        window = _window(now)
        return any(hmac.compare_digest(self._at(window + step), unverified_nonce) for step in ACCEPTED)

    def _at(self, window: int) -> str:
        return _nonce(self._key, window)


def of_authorization_server(settings: Settings) -> Nonces:
    """RFC 9449 section 8."""
    return Nonces(settings.secret_key, server="authorization server", required=settings.dpop_nonce == "required")


def of_resource_server(settings: Settings) -> Nonces:
    """RFC 9449 section 9: the data API, userinfo, grant management."""
    return Nonces(settings.secret_key, server="resource server", required=settings.dpop_nonce == "required")


@functools.lru_cache(maxsize=16)  # every answer of a minute carries the same one
def _nonce(key: bytes, window: int) -> str:
    return jwk.b64encode(hmac.digest(key, window.to_bytes(8), hashlib.sha256)[:16])


def _window(now: dt.datetime) -> int:
    return int(now.timestamp() // WINDOW.total_seconds())
