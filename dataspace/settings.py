"""Every setting: typed, read once from the environment, checked at start.

Each is an environment variable ``DATASPACE_<NAME IN CAPITALS>``. In production mode the service refuses to start
without the ones that have no safe default and names all that are missing.
"""

import base64
import binascii
import datetime as dt
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from dataspace.errors import SettingsError

PREFIX = "DATASPACE_"
REQUIRED = ("issuer", "database_url", "index_key", "secret_key")
WRAPPING = ("wrapping_key", "wrapping_key_file", "key_provider")  # one of them


@dataclass(frozen=True, kw_only=True)
class Settings:
    """``issuer``: the one public base URL, an origin. Keys are 32 raw bytes (base64url in the environment)."""

    mode: str  # "production" or "development" (http on loopback allowed)
    issuer: str
    database_url: str = field(repr=False)
    index_key: bytes = field(repr=False)  # keys the blind index by which identifiers are found
    secret_key: str = field(repr=False)  # signs the session cookie
    # What wraps the data key of every space and the server's private keys: a key here, or a file of keys, or a provider
    # of somebody else's as ``package.module:callable`` (dataspace.wrapping).
    wrapping_key: bytes = field(default=b"", repr=False)
    wrapping_key_file: str = ""
    key_provider: str = ""
    other_wrapping_keys: tuple[bytes, ...] = field(
        default=(), repr=False
    )  # keys that only unwrap, beside the first kind
    site_name: str = "数字空间授权服务"
    appeal_contact: str = "12345"  # shown wherever an administrator has intervened
    trusted_proxies: int = 0  # how many reverse proxies in front set X-Forwarded-*
    dpop_nonce: str = "offered"  # or "required": whether a DPoP proof must carry a nonce of ours (RFC 9449 section 8)
    # Certificates of clients (RFC 8705): all three or none, and the header of the verdict only with them.
    mtls_issuer: str = ""  # the base URL, an origin, at which the proxy asks for a certificate
    client_certificate_header: str = ""  # where the proxy puts it
    client_certificate_secret: str = field(default="", repr=False)  # by which we know that the proxy speaks
    client_certificate_verify_header: str = ""  # where the proxy says SUCCESS if an authority vouches for it
    rate_limits: bool = True
    rate_limit_storage: str = "memory://"
    open_registration: bool = False  # whether strangers may register for sign-in without an initial access token
    fetch_loopback: bool = False  # demonstration and tests only: jwks_uri and callbacks may be on the loopback
    source_hosts: tuple[str, ...] = ()  # where sources may be asked; empty: wherever they are registered
    # Mail to holders (dataspace.mail): none without a host.
    smtp_host: str = ""
    smtp_port: int = 587
    smtp_security: str = "starttls"  # or "tls" from the first byte, or "none" for a server on this machine
    smtp_user: str = ""
    smtp_password: str = field(default="", repr=False)
    smtp_sender: str = ""  # the address that mail comes from
    log_directory: str = ""  # where the worker publishes the log of evidence as files; nowhere without
    # Who cosigns the log of evidence: of each its key and its address, and "inside" if that may be an inner one.
    witnesses: tuple[str, ...] = ()
    witness_quorum: int = 1  # how many of them make a checkpoint a cosigned one
    metrics_digest: str = ""  # SHA-256, in hex, of the token that /metrics asks for; nobody reads it without
    log_level: str = "INFO"
    pool_size: int = 8  # PostgreSQL connections per process
    session_idle: dt.timedelta = dt.timedelta(minutes=60)  # at least 15 minutes on a page (check C-21)

    @property
    def rp_id(self) -> str:
        """The WebAuthn relying party id: the issuer's host."""
        return urlsplit(self.issuer).hostname or ""

    def addresses(self, path: str) -> tuple[str, ...]:
        """Every full address of a path of ours, as clients know it."""
        return (self.issuer + path, self.mtls_issuer + path) if self.mtls_issuer else (self.issuer + path,)

    @property
    def secure(self) -> bool:
        """Whether browsers reach us over https."""
        return self.issuer.startswith("https://")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read and check all settings.

        Raises SettingsError naming every missing or malformed variable at once.
        """
        raw = {k[len(PREFIX) :].lower(): v for k, v in environ.items() if k.startswith(PREFIX) and v.strip()}
        problems = [f"{PREFIX}{name.upper()} is missing" for name in REQUIRED if name not in raw]
        if not any(name in raw for name in WRAPPING):
            problems.append(f"{PREFIX}WRAPPING_KEY is missing (or {PREFIX}WRAPPING_KEY_FILE)")
        values: dict[str, object] = {"mode": raw.pop("mode", "production")}
        for name, text in raw.items():
            if name not in cls.__dataclass_fields__:
                continue  # variables of the Makefile and the demonstration share the prefix
            try:
                values[name] = _parse(cls.__dataclass_fields__[name].type, text)
            except ValueError as error:
                problems.append(f"{PREFIX}{name.upper()}: {error}")
        if problems:
            raise SettingsError("; ".join(problems))
        settings = cls(**values)  # type: ignore[arg-type]
        settings.check()
        return settings

    def check(self) -> None:
        """Refuse combinations that would be unsafe. Raises SettingsError."""
        problems = []
        if self.mode not in ("production", "development"):
            problems.append("DATASPACE_MODE must be production or development")
        problems += self._origin_problems("ISSUER", self.issuer)
        problems += self._certificate_problems()
        problems += self._smtp_problems()
        problems += self._wrapping_problems()
        if len(self.index_key) != 32:
            problems.append("DATASPACE_INDEX_KEY must be 32 bytes, base64url")
        if len(self.secret_key) < 32:
            problems.append("DATASPACE_SECRET_KEY must have at least 32 characters")
        if self.dpop_nonce not in ("offered", "required"):
            problems.append("DATASPACE_DPOP_NONCE must be offered or required")
        if self.session_idle < dt.timedelta(minutes=15):
            problems.append("DATASPACE_SESSION_IDLE must be at least 900: people read in peace (check C-21)")
        if self.metrics_digest and not re.fullmatch(r"[0-9a-fA-F]{64}", self.metrics_digest):
            problems.append("DATASPACE_METRICS_DIGEST must be a SHA-256 in hex: 64 digits")
        if self.mode == "production" and self.fetch_loopback:
            problems.append("DATASPACE_FETCH_LOOPBACK is not for production")
        if problems:
            raise SettingsError("; ".join(problems))

    def _origin_problems(self, name: str, url: str) -> Iterator[str]:
        parts = urlsplit(url)
        if not parts.hostname or parts.path or parts.query or parts.fragment:
            yield f"{PREFIX}{name} must be an origin: scheme and host, no path, query or fragment"
        loopback = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if parts.scheme != "https" and not (parts.scheme == "http" and loopback and self.mode == "development"):
            yield f"{PREFIX}{name} must be https (http only on the loopback in development mode)"

    def _wrapping_problems(self) -> Iterator[str]:
        named = [f"{PREFIX}{name.upper()}" for name in WRAPPING if getattr(self, name)]
        if len(named) != 1:
            yield f"{' and '.join(named) or PREFIX + 'WRAPPING_KEY'}: one is needed, and no more"
        keys = ((self.wrapping_key,) if self.wrapping_key else ()) + self.other_wrapping_keys
        if any(len(key) != 32 for key in keys):
            yield f"{PREFIX}WRAPPING_KEY and {PREFIX}OTHER_WRAPPING_KEYS must be 32 bytes, base64url"
        if self.other_wrapping_keys and not self.wrapping_key:
            yield f"{PREFIX}OTHER_WRAPPING_KEYS stands beside {PREFIX}WRAPPING_KEY only"

    def _certificate_problems(self) -> Iterator[str]:
        """Half of it would be worse than none: a header that nobody vouches for, or endpoints that see nothing."""
        together = ("mtls_issuer", "client_certificate_header", "client_certificate_secret")
        missing = [f"{PREFIX}{name.upper()}" for name in together if not getattr(self, name)]
        if len(missing) == len(together):
            if self.client_certificate_verify_header:
                yield f"{PREFIX}CLIENT_CERTIFICATE_VERIFY_HEADER needs {', '.join(missing)}"
            return
        if missing:
            yield f"{', '.join(missing)} is missing: the settings for client certificates go together"
            return
        yield from self._origin_problems("MTLS_ISSUER", self.mtls_issuer)
        if self.mtls_issuer == self.issuer:
            yield f"{PREFIX}MTLS_ISSUER must not be the issuer: browsers would be asked for certificates"
        if len(self.client_certificate_secret) < 32:
            yield f"{PREFIX}CLIENT_CERTIFICATE_SECRET must have at least 32 characters"
        headers = (self.client_certificate_header, self.client_certificate_verify_header)
        if not all(re.fullmatch(r"[A-Za-z0-9-]*", header) for header in headers):
            yield f"{PREFIX}CLIENT_CERTIFICATE_HEADER and _VERIFY_HEADER are names of headers: letters, digits, hyphens"

    def _smtp_problems(self) -> Iterator[str]:
        """A password or a mail must not cross a network in clear."""
        if self.smtp_security not in ("starttls", "tls", "none"):
            yield f"{PREFIX}SMTP_SECURITY must be starttls, tls or none"
        if self.smtp_security == "none" and self.smtp_host not in ("", "localhost", "127.0.0.1", "::1"):
            yield f"{PREFIX}SMTP_SECURITY none is for a server on this machine only"
        if self.smtp_host and not re.fullmatch(r"[!-~]+@[!-~]+", self.smtp_sender):
            yield f"{PREFIX}SMTP_SENDER must be the address that mail comes from"
        if bool(self.smtp_user) != bool(self.smtp_password):
            yield f"{PREFIX}SMTP_USER and {PREFIX}SMTP_PASSWORD go together"


def _parse(kind: object, text: str) -> object:
    if kind == tuple[bytes, ...]:
        return tuple(_parse(bytes, part.strip()) for part in text.split(","))
    if kind == tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if kind == tuple[str, ...]:
        return tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if kind is bytes:
        try:
            return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except (binascii.Error, ValueError):
            raise ValueError("not base64url") from None
    if kind is bool:
        if text.lower() not in ("0", "1", "true", "false", "yes", "no"):
            raise ValueError("must be true or false")
        return text.lower() in ("1", "true", "yes")
    if kind is int:
        return int(text)
    if kind is dt.timedelta:
        return dt.timedelta(seconds=int(text))
    return text
