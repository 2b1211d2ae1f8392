"""Proof of possession (RFC 9449): a request carries a message signed with the key that its token is bound to.

On the path of every data read: the proof is taken apart once and its signature checked once, after everything X
"""

import datetime as dt
import functools
import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import orjson

from consent.oauth import replay
from consent.oauth.nonces import Nonces
from dataspace import jose
from dataspace.errors import DomainError

HEADER = "DPoP"
TYP = "dpop+jwt"
ALGORITHMS = frozenset({"ES256", "EdDSA", "PS256"})  # FAPI 2.0 section 5.4.1; RS256 is not among them
MAX_AGE = dt.timedelta(seconds=60)
MAX_AHEAD = dt.timedelta(seconds=10)  # FAPI 2.0 section 5.3.2.1: 10 s must be accepted
MAX_JTI = 256  # characters
DEFAULT_PORTS = {"https": 443, "http": 80}
_PRINTABLE = re.compile(r"[!-~]+")
_ESCAPED = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class InvalidProof(DomainError):
    """The DPoP proof is missing, malformed, for another request, or was used before."""

    code = "invalid_dpop_proof"
    sentence = "The proof of possession is not valid for this request."


class NonceNeeded(InvalidProof):
    """The proof lacks a nonce, or has an old one; another attempt with a fresh one may succeed."""

    code = "use_dpop_nonce"
    sentence = "The proof of possession needs the nonce that comes with this answer."


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedProof:
    """Whoever sent this request holds this key now. ``jkt``: the key's thumbprint, what a token is bound to."""

    jkt: str
    jti: str
    iat: dt.datetime
    key: jose.PublicKey

    @property
    def expires_at(self) -> dt.datetime:
        """From when on the proof is refused for its age; until then its jti must be remembered."""
        return self.iat + MAX_AGE + dt.timedelta(seconds=1)


def accept_proof(
    headers: Sequence[str],
    *,
    method: str,
    urls: Collection[str],
    nonces: Nonces,
    now: dt.datetime,
    access_token: str | None = None,
    expected_jkt: str | None = None,
) -> VerifiedProof:
    """:func:`verify_proof`, and the proof is used up (RFC 9449 section 11.1). Raises InvalidProof."""
    proof = verify_proof(
        headers,
        method=method,
        urls=urls,
        nonces=nonces,
        now=now,
        access_token=access_token,
        expected_jkt=expected_jkt,
    )
    if not replay.remember("dpop", proof.jkt, proof.jti, proof.expires_at):
        raise InvalidProof("jti was used before")
    return proof


def verify_proof(
    headers: Sequence[str],
    *,
    method: str,
    urls: Collection[str],
    nonces: Nonces,
    now: dt.datetime,
    access_token: str | None = None,
    expected_jkt: str | None = None,
) -> VerifiedProof:
    """The checks of RFC 9449 section 4.3, all but the jti's first use. Raises InvalidProof, NonceNeeded.

    ``headers``: every DPoP header of the request; ``urls``: the addresses under which a client may know this endpoint,
    made from the settings and not from Host; ``nonces``: those of the server that asks;
    ``access_token``: the token presented beside it; ``expected_jkt``: the key that the token or code is bound to.
    """
    try:
        token = _one_token(headers)  # steps 1 and 2
        key = _proof_key(token.header)  # steps 4, 5 and 7
        claims = jose.unverified_claims(token)
        jti = _jti(claims.get("jti"))  # step 3, as are the types in the steps below
        _check_request(claims.get("htm"), claims.get("htu"), method, urls)  # steps 8 and 9
        _check_nonce(claims, nonces, now)  # step 10
        iat = _check_age(jose.numeric_date(claims, "iat"), now)  # step 11
        if access_token is not None:
            _check_binding(claims.get("ath"), access_token)  # step 12, first part
        if expected_jkt is not None and key.thumbprint != expected_jkt:
            raise InvalidProof("another key")  # step 12, second part
        jose.check_times(claims, now, leeway=MAX_AHEAD)  # exp and nbf are not asked for, but count if they are there
        # Step 6 comes last, because it costs more than all the others together.
        jose.verify_bytes(token, key, algorithms=ALGORITHMS, expected_typ=TYP)
    except jose.InvalidToken as error:
        raise InvalidProof(error.detail) from None
    return VerifiedProof(jkt=key.thumbprint, jti=jti, iat=iat, key=key)


def access_token_hash(access_token: str) -> str:
    """The ath claim (RFC 9449 section 4.2)."""
    return jose.b64encode(hashlib.sha256(access_token.encode()).digest())


def same_uri(left: object, right: str) -> bool:
    """Whether two URIs are one after normalisation, their queries and fragments aside (RFC 9449 section 4.3)."""
    return isinstance(left, str) and (left == right or normalised(left) == normalised(right) != "")


def normalised(uri: str) -> str:
    """Scheme, host, port and path in one form (RFC 3986 sections 6.2.2 and 6.2.3); "" for what is not an http URI.

    Dot segments stay: no client of ours sends them, and what is not recognised is refused.
    """
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if parts.scheme not in DEFAULT_PORTS or not host or "@" in parts.netloc or not _PRINTABLE.fullmatch(uri):
        return ""
    netloc = f"[{host}]" if ":" in host else host
    port = DEFAULT_PORTS[parts.scheme] if port is None else port
    path = _ESCAPED.sub(_one_escape, parts.path) if "%" in parts.path else parts.path
    return f"{parts.scheme}://{netloc}:{port}{path or '/'}"


def _one_escape(match: re.Match[str]) -> str:
    character = chr(int(match[0][1:], 16))
    return character if character in _UNRESERVED else match[0].upper()


def _one_token(headers: Sequence[str]) -> jose.UnverifiedToken:
    # Step 1: not more than one DPoP header. Servers join repeated headers with commas, which no token contains, so
    # that two of them fail at step 2 where they do not fail here.
    if len(headers) != 1:
        raise InvalidProof("no DPoP header" if not headers else "more than one DPoP header")
    return jose.read(headers[0])  # step 2: a single and well-formed JWT


def _proof_key(header: dict[str, object]) -> jose.PublicKey:
    if jose.media_type(header.get("typ")) != TYP:  # step 4
        raise InvalidProof("typ is not dpop+jwt")
    alg = header.get("alg")
    if not isinstance(alg, str) or alg not in ALGORITHMS:  # step 5
        raise InvalidProof("algorithm is not accepted")
    return _known_key(orjson.dumps(header.get("jwk")))  # step 7: refuses private and symmetric members; 3: and none


@functools.lru_cache(maxsize=1024)
def _known_key(jwk: bytes) -> jose.PublicKey:
    """The key in a header. A client proves the same one with every request, and reading it costs a query's time."""
    return jose.public_key(orjson.loads(jwk))


def _jti(jti: object) -> str:
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI:
        raise InvalidProof("jti is not a short string")
    return jti


def _check_request(htm: object, htu: object, method: str, urls: Collection[str]) -> None:
    if htm != method:  # step 8
        raise InvalidProof("for another method")
    if not any(same_uri(htu, url) for url in urls):  # step 9
        raise InvalidProof("for another address")


def _check_nonce(claims: dict[str, object], nonces: Nonces, now: dt.datetime) -> None:
    if ("nonce" in claims or nonces.required) and not nonces.knows(claims.get("nonce"), now):
        raise NonceNeeded("the nonce is missing, or not a recent one of ours")


def _check_age(iat: float, now: dt.datetime) -> dt.datetime:
    issued = dt.datetime.fromtimestamp(iat, dt.UTC)
    if not now - MAX_AGE <= issued <= now + MAX_AHEAD:  # step 11
        raise InvalidProof("too old, or from the future")
    return issued


def _check_binding(ath: object, access_token: str) -> None:
    if ath != access_token_hash(access_token):
        raise InvalidProof("for another access token")
