"""Wrapping keys: what seals the data key of every space and the server's private keys.

A provider wraps and unwraps small secrets; the key itself may never leave it (PKCS#11, a KMS). Two are bundled: keys
from the environment, and keys from a file (:mod:`dataspace.key_file`). Every wrapped secret names the key that wrapped
it, so that several keys live side by side until nothing needs the older ones.
"""

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from dataspace.sealing import Unreadable, seal, unseal

SIZE = 32  # bytes: AES-256
NAME = 8  # bytes in front of what is wrapped


@runtime_checkable
class KeyProvider(Protocol):
    """Wraps small secrets. ``identity`` names the row that one belongs to, and is bound to it.

    Called by several threads at once. What it returns says by itself which key has wrapped it.
    """

    def current(self) -> str:
        """The name of the key that wraps at present."""

    def wrap(self, secret: bytes, *, identity: str) -> bytes:
        """The secret, sealed under the current key."""

    def unwrap(self, wrapped: bytes, *, identity: str) -> bytes:
        """The secret again. Raises Unreadable."""

    def name_of(self, wrapped: bytes) -> str:
        """The name of the key that has wrapped this. Raises Unreadable when it is no such thing."""


@dataclass(frozen=True)
class WrappingKey:
    """One key; ``added_at`` is known of those in a file. The name tells nothing about the key: it is a digest."""

    secret: bytes = field(repr=False)
    added_at: dt.datetime | None = None

    @property
    def prefix(self) -> bytes:
        """The name in front of what this key wraps."""
        return hashlib.sha256(b"wrapping key" + self.secret).digest()[:NAME]

    @property
    def name(self) -> str:
        """The same for people."""
        return self.prefix.hex()


class Keys:
    """Some keys in memory; the first one wraps."""

    def __init__(self, keys: Sequence[WrappingKey]) -> None:
        self._first = keys[0]
        self._by_name = {key.prefix: key for key in keys}

    def current(self) -> str:
        """The name of the key that wraps."""
        return self._first.name

    def wrap(self, secret: bytes, *, identity: str) -> bytes:
        """Name of the key, nonce, ciphertext, tag."""
        return self._first.prefix + seal(self._first.secret, secret, identity=identity)

    def unwrap(self, wrapped: bytes, *, identity: str) -> bytes:
        """With the key that it names. Raises Unreadable."""
        key = self._by_name.get(wrapped[:NAME])
        if key is None:
            raise Unreadable(f"key of {identity} is wrapped by a key that is not here")
        return unseal(key.secret, wrapped[NAME:], identity=identity)

    def name_of(self, wrapped: bytes) -> str:
        """The name in front of it, whether that key is here or not."""
        return wrapped[:NAME].hex()

    def __contains__(self, prefix: object) -> bool:
        return prefix in self._by_name
