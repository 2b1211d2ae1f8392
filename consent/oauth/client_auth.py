"""Client authentication: by a signed assertion, by a secret, by a certificate.

private_key_jwt (RFC 7523, FAPI 2.0), client_secret_basic and _post (RFC 6749 section 2.3.1), tls_client_auth and
self_signed_tls_client_auth (RFC 8705 section 2).

Here are the checks of what a client presents, and where its keys come from; which method a request uses is decided by
whoever has the request.
"""

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import re
import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import unquote_plus

from consent import certificates
from consent.certificates import InvalidCertificate
from consent.client_options import ClientOptions
from consent.clients import CERTIFICATE_METHODS, AuthMethod
from consent.oauth import replay
from dataspace import jose, jwe
from dataspace.addresses import FetchRefused
from dataspace.errors import DomainError
from dataspace.fetching import fetch_json
from dataspace.tls import ClientCertificate

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = frozenset({"ES256", "EdDSA", "PS256"})  # FAPI 2.0 section 5.4.1
LOGIN_ALGORITHMS = ALGORITHMS | {"RS256"}  # what ordinary OpenID Connect libraries sign with
# Any signed message of the client could be replayed here if its type did not matter: a DPoP proof, a request object.
TYPES = frozenset({"", "jwt", "client-authentication+jwt"})
LIFETIME = dt.timedelta(minutes=5)
SKEW = dt.timedelta(seconds=30)  # FAPI 2.0 section 5.3.2.1: 10 s ahead must be accepted, more than 60 s refused
MAX_JTI = 256  # characters
# Keys behind a jwks_uri.
CACHE_SIZE = 1000  # clients; prepared keys, a few kB each
FRESH = dt.timedelta(minutes=10)  # a key that a client has withdrawn is accepted this long
STALE = dt.timedelta(hours=1)  # or this long, while its address does not answer
FLOOR = dt.timedelta(seconds=30)  # between two fetches for one client, whatever a stranger sends in its name
_VISIBLE = re.compile(r"[ -~]{1,256}")  # RFC 6749 appendix A.1 and A.2: client_id and client_secret are VSCHAR


class InvalidClient(DomainError):
    """The client is not who it says, or did not prove it."""

    code = "invalid_client"
    sentence = "The client could not be authenticated."
    status = 401


class HasKeys(Protocol):
    """What is needed of a client to find its keys."""

    @property
    def client_id(self) -> str: ...
    @property
    def jwks(self) -> dict[str, Any] | None: ...
    @property
    def jwks_uri(self) -> str | None: ...


class HasCertificate(HasKeys, Protocol):
    """What is needed of a client to know its certificate."""

    @property
    def token_endpoint_auth_method(self) -> str: ...
    @property
    def options(self) -> ClientOptions: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedAssertion:
    """This client signed this request's authentication, for us."""

    client_id: str
    jti: str
    expires_at: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class UnverifiedSecret:
    """What a client presented with client_secret_basic."""

    client_id: str
    secret: str = field(repr=False)


# private_key_jwt


def unverified_client_id(assertion: object) -> str:
    """Whose keys an assertion asks to be checked with (its sub). Raises InvalidClient."""
    try:
        sub = jose.unverified_claims(jose.read(assertion)).get("sub")
    except jose.InvalidToken as error:
        raise InvalidClient(error.detail) from None
    if not isinstance(sub, str) or not _VISIBLE.fullmatch(sub):
        raise InvalidClient("assertion names no client")
    return sub


def accept_assertion(
    assertion: object,
    client: HasKeys,
    keys: "ClientKeys",
    *,
    expected_audience: str,
    now: dt.datetime,
    token_endpoint: str | None = None,
    algorithms: Collection[str] = ALGORITHMS,
) -> VerifiedAssertion:
    """:func:`verify_assertion` with the client's present keys, and the assertion is used up. Raises InvalidClient."""
    try:
        token = jose.read(assertion)
    except jose.InvalidToken as error:
        raise InvalidClient(error.detail) from None
    verified = verify_assertion(
        token,
        client_keys=keys.of(client, kid=token.header.get("kid"), now=now),
        client_id=client.client_id,
        expected_audience=expected_audience,
        now=now,
        token_endpoint=token_endpoint,
        algorithms=algorithms,
    )
    if not replay.remember("assertion", verified.client_id, verified.jti, verified.expires_at):
        raise InvalidClient("jti was used before")
    return verified


def verify_assertion(
    assertion: str | jose.UnverifiedToken,
    *,
    client_keys: jose.KeySource,
    client_id: str,
    expected_audience: str,
    now: dt.datetime,
    token_endpoint: str | None = None,
    algorithms: Collection[str] = ALGORITHMS,
) -> VerifiedAssertion:
    """The checks of RFC 7523 section 3 and FAPI 2.0, all but the jti's first use. Raises InvalidClient.

    ``expected_audience``: the issuer. ``token_endpoint``: given for ``login`` clients, whose libraries may name it
    instead (see :func:`audience_fits`).
    """
    try:
        verified = jose.verify(
            assertion,
            client_keys,
            algorithms=algorithms,
            expected_typ=None,
            expected_iss=client_id,
            expected_aud=None,
            now=now,
            leeway=SKEW,
            required=("iss", "sub", "aud", "exp", "jti"),
        )
        expires = jose.numeric_date(verified.claims, "exp")
    except jose.InvalidToken as error:
        raise InvalidClient(error.detail) from None
    if jose.media_type(verified.header.get("typ")) not in TYPES:
        raise InvalidClient("a signed message of another kind")
    if verified.claims["sub"] != client_id:
        raise InvalidClient("sub is not the client")
    if not audience_fits(verified.claims["aud"], expected_audience, token_endpoint):
        raise InvalidClient("another audience")
    expires_at = dt.datetime.fromtimestamp(expires, dt.UTC)
    if expires_at > now + LIFETIME + SKEW:
        raise InvalidClient("valid for too long")
    jti = verified.claims["jti"]
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI:
        raise InvalidClient("jti is not a short string")
    return VerifiedAssertion(client_id=client_id, jti=jti, expires_at=expires_at)


def audience_fits(audience: object, issuer: str, token_endpoint: str | None) -> bool:
    """FAPI 2.0 section 5.3.2.1: the issuer, as a single string, at every endpoint.

    With another audience, or one among several, an assertion made for a malicious server could be used with us. The
    one exception is for ``login`` clients, which read no personal data beyond sign-in: OpenID Connect Core section 9
    tells their libraries to name the token endpoint, some in a list of one.
    """
    if token_endpoint is None:
        return audience == issuer
    only = audience[0] if isinstance(audience, list) and len(audience) == 1 else audience
    return only in (issuer, token_endpoint)


# client_secret_basic and client_secret_post


def parse_basic(authorization: object) -> UnverifiedSecret:
    """The credentials of an ``Authorization: Basic`` header, both form-urldecoded. Raises InvalidClient."""
    scheme, _, encoded = authorization.partition(" ") if isinstance(authorization, str) else ("", "", "")
    if scheme.lower() != "basic":
        raise InvalidClient("not Basic")
    try:
        pair = base64.b64decode(encoded.strip(" "), validate=True).decode()
        parts = [unquote_plus(part, errors="strict") for part in pair.split(":", 1)]
    except (binascii.Error, ValueError):
        raise InvalidClient("malformed credentials") from None
    if len(parts) != 2 or not all(_VISIBLE.fullmatch(part) for part in parts):
        raise InvalidClient("malformed credentials")
    return UnverifiedSecret(client_id=parts[0], secret=parts[1])


def secret_digest(secret: str) -> str:
    """What is stored of a client secret. Our secrets are random, so nothing slower than SHA-256 is needed."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def check_secret(secret: str, *, expected_digest: str | None) -> None:
    """Compare in constant time; a client without a secret matches none. Raises InvalidClient."""
    if not hmac.compare_digest(secret_digest(secret), expected_digest or "-") or expected_digest is None:
        raise InvalidClient("wrong secret")


# tls_client_auth and self_signed_tls_client_auth


def check_certificate(
    presented: ClientCertificate,
    client: HasCertificate,
    keys: "ClientKeys",
    *,
    offered: Collection[AuthMethod],
    now: dt.datetime,
) -> None:
    """That this certificate is the client's (RFC 8705 sections 2.1 and 2.2). Raises InvalidClient."""
    method = client.token_endpoint_auth_method
    if method not in CERTIFICATE_METHODS or method not in offered:
        raise InvalidClient("this client does not authenticate by certificate")
    try:
        certificate = certificates.read(presented.der)
        certificates.check_dates(certificate, now)
        if method == AuthMethod.SELF_SIGNED_TLS:
            certificates.check_key(certificate, presented.der, keys.of(client, kid=None, now=now))
        elif presented.verified:
            certificates.check_name(certificate, client.options)
        else:
            raise InvalidClient("no authority that is trusted here vouches for the certificate")
    except InvalidCertificate as error:
        raise InvalidClient(error.detail) from None


# Where a client's keys come from


@dataclass
class _Slot:
    """The keys of one client. ``source``: the registered JWK set, or the URI they were fetched from."""

    source: dict[str, Any] | str
    keys: tuple[jose.PublicKey, ...] = ()
    encryption: tuple[jose.Jwk, ...] = ()
    fetched_at: dt.datetime | None = None
    tried_at: dt.datetime | None = None
    problem: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def serves(self, kid: object, now: dt.datetime) -> bool:
        """Whether there is no reason to fetch: fresh, and the key that is asked for is there."""
        return _within(self.fetched_at, now, FRESH) and (
            kid is None or any(key.kid in (kid, None) for key in self.keys)
        )


class ClientKeys:
    """The public keys of clients, as one application last saw them: prepared, bounded in number, never in a table.

    Every process fetches for itself: keys are public and soon fetched again, and so no request that fails has to
    commit what it fetched.
    """

    def __init__(self, *, allow_loopback: bool) -> None:
        self.allow_loopback = allow_loopback
        self._slots: OrderedDict[str, _Slot] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """For how many clients keys are held."""
        return len(self._slots)

    def of(self, client: HasKeys, *, kid: object, now: dt.datetime) -> tuple[jose.PublicKey, ...]:
        """The client's keys, fetched (again) if they are old or ``kid`` is unknown. Raises InvalidClient."""
        if client.jwks is not None:
            return self._registered(client.client_id, client.jwks)
        if client.jwks_uri is None:
            raise InvalidClient("the client has no keys")
        slot = self._slot(client.client_id, client.jwks_uri)
        if not slot.serves(kid, now):
            with slot.lock:  # of many requests at once one fetches, the others wait for what it brings
                if not slot.serves(kid, now) and not _within(slot.tried_at, now, FLOOR):
                    self._fetch(slot, client.jwks_uri, now)
        if not _within(slot.fetched_at, now, STALE):
            raise InvalidClient(f"keys could not be fetched: {slot.problem}")
        return slot.keys

    def for_encryption(self, client: HasKeys, now: dt.datetime) -> tuple[jose.Jwk, ...]:
        """Those of its keys that are for encryption, from the same set. Raises InvalidClient."""
        self.of(client, kid=None, now=now)
        return self._slot(
            client.client_id, client.jwks if client.jwks is not None else client.jwks_uri or ""
        ).encryption

    def _registered(self, client_id: str, jwks: dict[str, Any]) -> tuple[jose.PublicKey, ...]:
        slot = self._slot(client_id, jwks)
        if not slot.keys:
            try:
                slot.keys, slot.encryption = jose.parse_jwk_set(jwks, skip_foreign=True), jwe.keys_of(jwks)
            except jose.InvalidToken as error:
                raise InvalidClient(f"registered keys: {error.detail}") from None
        return slot.keys

    def _fetch(self, slot: _Slot, uri: str, now: dt.datetime) -> None:
        slot.tried_at = now
        try:
            document = fetch_json(uri, allow_loopback=self.allow_loopback)
            slot.keys, slot.encryption = jose.parse_jwk_set(document, skip_foreign=True), jwe.keys_of(document)
            slot.fetched_at = now
        except (FetchRefused, jose.InvalidToken) as error:
            slot.problem = error.detail  # the keys that are there serve on until they are STALE

    def _slot(self, client_id: str, source: dict[str, Any] | str) -> _Slot:
        with self._lock:
            slot = self._slots.get(client_id)
            if slot is None or slot.source != source:  # never seen, or registered anew
                slot = self._slots[client_id] = _Slot(source)
            self._slots.move_to_end(client_id)
            if len(self._slots) > CACHE_SIZE:
                self._slots.popitem(last=False)
        return slot


def _within(moment: dt.datetime | None, now: dt.datetime, age: dt.timedelta) -> bool:
    # Either way round: of two requests at once, the one that began first may be the one that waits.
    return moment is not None and abs(now - moment) < age
