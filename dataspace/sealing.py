"""Sealing: authenticated encryption of values at rest, each bound to the row that it belongs to."""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dataspace.errors import DomainError

NONCE = 12


class Unreadable(DomainError):
    """A sealed value does not open: erased key, unknown wrapping key, or a value that was moved or altered."""

    code = "unreadable"
    sentence = "This data can no longer be read."
    status = 410


def seal(key: bytes, plaintext: bytes, *, identity: str) -> bytes:
    """Encrypt under a 32-byte key; returns nonce, ciphertext and tag in one string of bytes.

    AES-256-GCM (NIST SP 800-38D) with a 96-bit random nonce. ``identity`` is the associated data: of the row that the
    value belongs to, so that one moved to another row does not open.
    """
    nonce = secrets.token_bytes(NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, identity.encode())


def unseal(key: bytes, sealed: bytes, *, identity: str) -> bytes:
    """Decrypt what :func:`seal` made for the same ``identity``. Raises Unreadable."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], identity.encode())
    except (InvalidTag, ValueError):
        raise Unreadable(f"sealed value of {identity} does not open") from None
