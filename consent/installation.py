"""What this installation makes possible for clients, by its settings."""

from dataclasses import dataclass
from typing import Self

from dataspace.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Installation:
    """Nothing beyond the least unless it is said.

    ``loopback``: clients on this machine itself; ``certificates``: a proxy tells us of certificates (RFC 8705);
    ``authorities``: and whether an authority vouches for them. Without that verdict anybody could write a registered
    name into a certificate of his own making.
    """

    loopback: bool = False
    certificates: bool = False
    authorities: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings say."""
        certificates = bool(settings.mtls_issuer)
        return cls(
            loopback=settings.mode == "development",
            certificates=certificates,
            authorities=certificates and bool(settings.client_certificate_verify_header),
        )


EVERYTHING = Installation(loopback=True, certificates=True, authorities=True)
