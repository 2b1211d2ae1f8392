"""A third party with a certificate, and the proxy that ends its TLS: what such a proxy adds to each request.

The certificates are real ones, made as clients and authorities make them.
"""

import base64
import datetime as dt
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from werkzeug.test import TestResponse

from dataspace import clock, jwk, tls
from tests.consent.third_party import LEFT_OUT, ThirdParty

ALIAS = "http://localhost:8443"
SECRET = "p" * 43
SETTINGS: dict[str, Any] = {
    "mtls_issuer": ALIAS,
    "client_certificate_header": "Client-Cert",
    "client_certificate_secret": SECRET,
    "client_certificate_verify_header": "X-Client-Verify",
}
SUBJECT = "CN=bank.example,O=Example Bank,C=CN"


@dataclass(frozen=True)
class Credential:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: jwk.PrivateKeyObject = field(repr=False)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def x5t(self) -> str:
        return tls.ClientCertificate(der=self.der, verified=False).x5t


def certificate(
    subject: str | x509.Name = SUBJECT,
    *,
    key: jwk.PrivateKeyObject | None = None,
    by: Credential | None = None,
    hosts: tuple[str, ...] = (),
    uris: tuple[str, ...] = (),
    is_authority: bool = False,
    days: tuple[int, int] = (-1, 30),
) -> Credential:
    """A certificate signed ``by`` an authority, or by itself; valid between so many ``days`` from now."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name.from_rfc4514_string(subject) if isinstance(subject, str) else subject
    now = clock.now()
    names: list[x509.GeneralName] = [x509.DNSName(host) for host in hosts]
    names += [x509.UniformResourceIdentifier(uri) for uri in uris]
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(by.certificate.subject if by else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=days[0]))
        .not_valid_after(now + dt.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signer = by.key if by else key
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Credential(builder.sign(signer, algorithm), key)


def authority(name: str = "Example Authority") -> Credential:
    """Who signs the certificates of others."""
    return certificate(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), is_authority=True)


def as_rfc9440(der: bytes) -> str:
    return f":{base64.b64encode(der).decode()}:"


def as_nginx(pem: str) -> str:
    """``$ssl_client_escaped_cert``."""
    return quote(pem)


def by_proxy(shown: Credential | None, *, verdict: str = "SUCCESS", secret: str = SECRET) -> dict[str, str]:
    """What the proxy adds to a request of a connection with this certificate, or with none."""
    headers = {"X-Client-Cert-Secret": secret, "X-Client-Verify": verdict if shown else "NONE"}
    return headers | ({"Client-Cert": as_rfc9440(shown.der)} if shown else {})


@dataclass
class CertifiedParty(ThirdParty):
    """``shows``: the certificate of its connections. It authenticates by it when it is registered so."""

    shows: Credential | None = None
    added: dict[str, str] | None = None  # in place of what an honest proxy adds

    def credentials(self) -> dict[str, str]:
        by_certificate = self.method in ("tls_client_auth", "self_signed_tls_client_auth")
        return {"client_id": self.client_id} if by_certificate else super().credentials()

    def headers(self, path: str, *, proof: Any = None) -> dict[str, str]:
        """No proof unless one is given: the certificate stands in for it."""
        return super().headers(path, proof=LEFT_OUT if proof is None else proof) | self._through_proxy()

    def read(
        self, token: str, path: str = "/api/v1/data", *, proof: Any = LEFT_OUT, scheme: str = "Bearer"
    ) -> TestResponse:
        headers = {"Authorization": f"{scheme} {token}"} | self._through_proxy()
        if proof is not LEFT_OUT:
            headers["DPoP"] = proof
        return self.http.get(path, headers=headers)

    def _through_proxy(self) -> dict[str, str]:
        return by_proxy(self.shows) if self.added is None else self.added
