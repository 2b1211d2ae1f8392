"""The certificate of a caller's TLS connection, as the proxy that ends TLS tells it (RFC 9440, or nginx's way).

Anybody can send a header. What it says counts only beside the secret that the operator has given to the proxy, and
without the settings nothing is looked at.
"""

import base64
import binascii
import hashlib
import hmac
import logging
import re
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote

from dataspace import jwk
from dataspace.settings import Settings

SECRET_HEADER = "X-Client-Cert-Secret"  # noqa: S105 - the name of a header
VERIFIED = "SUCCESS"  # nginx's $ssl_client_verify
MAX_CERTIFICATE = 16 * 1024  # characters
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*")
log = logging.getLogger("dataspace.tls")


class Headers(Protocol):
    """Request headers, looked up without regard to case."""

    def get(self, key: str) -> str | None:
        """The first value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientCertificate:
    """Whoever sends this request holds the key of this certificate: the proxy has seen the handshake.

    ``der``: the certificate; ``verified``: the proxy has traced it to an authority that the operator trusts.
    """

    der: bytes
    verified: bool

    @property
    def x5t(self) -> str:
        """Its SHA-256 thumbprint, base64url: ``x5t#S256`` (RFC 8705 section 3.1)."""
        return jwk.b64encode(hashlib.sha256(self.der).digest())


def client_certificate(headers: Headers, settings: Settings) -> ClientCertificate | None:
    """The certificate of the current connection, if there is one and a proxy that we trust says so."""
    if not settings.client_certificate_header:
        return None
    said = headers.get(settings.client_certificate_header)
    if not said or not _is_trusted(headers.get(SECRET_HEADER), settings):
        return None
    der = _der(said)
    if der is None:
        log.warning("the proxy sends a client certificate that cannot be read")
        return None
    name = settings.client_certificate_verify_header
    return ClientCertificate(der=der, verified=bool(name) and headers.get(name) == VERIFIED)


def _is_trusted(unverified_secret: str | None, settings: Settings) -> bool:
    expected = settings.client_certificate_secret.encode()
    return bool(expected) and hmac.compare_digest((unverified_secret or "").encode(), expected)


def _der(said: str) -> bytes | None:
    """``:base64:`` (RFC 9440 section 2.1, a byte sequence of RFC 8941) or a PEM block in URL encoding.

    Two certificates are none: a server in front may have joined what a stranger sent with what the proxy says.
    """
    if len(said) > MAX_CERTIFICATE:
        return None
    if said.startswith(":") and said.endswith(":"):
        encoded = said[1:-1]
    else:
        match = _PEM.fullmatch(unquote(said).strip())
        encoded = "".join(match[1].split()) if match else ""
    try:
        return base64.b64decode(encoded, validate=True) or None
    except (binascii.Error, ValueError):
        return None
