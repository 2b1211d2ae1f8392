"""Envelope encryption: one data key per space, wrapped by a key from the settings; erasure by destroying the key.

AES-256-GCM (NIST SP 800-38D) with 96-bit random nonces. The associated data of every sealed value is the identity of
the row that it belongs to, so a value moved to another row does not open.
"""

import datetime as dt
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from dataspace.db import Model, db
from dataspace.errors import DomainError

NONCE = 12


class Unreadable(DomainError):
    """A sealed value does not open: erased key, wrong wrapping key, or a value that was moved or altered."""

    code = "unreadable"
    sentence = "This data can no longer be read."
    status = 410


class DataKey(Model):
    """The wrapped data key of one space; ``wrapped`` is NULL once the key is destroyed."""

    __tablename__ = "data_keys"
    space_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    wrapped: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[dt.datetime]
    destroyed_at: Mapped[dt.datetime | None]


def seal(key: bytes, plaintext: bytes, *, identity: str) -> bytes:
    """Encrypt under a 32-byte key; returns nonce, ciphertext and tag in one string of bytes."""
    nonce = secrets.token_bytes(NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, identity.encode())


def unseal(key: bytes, sealed: bytes, *, identity: str) -> bytes:
    """Decrypt what :func:`seal` made for the same ``identity``. Raises Unreadable."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], identity.encode())
    except (InvalidTag, ValueError):
        raise Unreadable(f"sealed value of {identity} does not open") from None


class Vault:
    """Opens and makes data keys. One per application, built from the settings."""

    def __init__(self, wrapping_key: bytes) -> None:
        self._wrapping_key = wrapping_key

    def wrap(self, secret: bytes, *, identity: str) -> bytes:
        """Seal a small secret (a data key, a private key) under the wrapping key."""
        return seal(self._wrapping_key, secret, identity=identity)

    def unwrap(self, wrapped: bytes | None, *, identity: str) -> bytes:
        """The secret again. Raises Unreadable, also when it was destroyed (None)."""
        if wrapped is None:
            raise Unreadable(f"key of {identity} was destroyed")
        return unseal(self._wrapping_key, wrapped, identity=identity)

    def create_key(self, space_id: str, now: dt.datetime) -> bytes:
        """Add a fresh data key for a space to the session and return it in clear."""
        key = secrets.token_bytes(32)
        db.session.add(DataKey(space_id=space_id, wrapped=self.wrap(key, identity=space_id), created_at=now))
        return key

    def destroy_key(self, space_id: str, now: dt.datetime) -> None:
        """Destroy the data key of a space: nothing sealed under it opens any more. That it was there stays."""
        row = db.session.get_one(DataKey, space_id, populate_existing=True)
        row.wrapped, row.destroyed_at = None, row.destroyed_at or now

    def key(self, space_id: str) -> bytes:
        """The data key of a space. Raises Unreadable when it was destroyed or never existed."""
        row = db.session.get(DataKey, space_id)
        return self.unwrap(row.wrapped if row else None, identity=space_id)
