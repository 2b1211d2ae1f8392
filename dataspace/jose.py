"""JOSE: signed tokens (RFC 7515, 7519) and canonical JSON (RFC 8785); the one door to keys as well (jwk).

The only importer of a JOSE library: PyJWT supplies the signature algorithms. Everything around them is here, because
PyJWT knows no typ check, reads its own clock, and decodes base64url slowly and leniently. Whatever the other side
sends, the functions that take it raise InvalidToken and nothing else.
"""

import datetime as dt
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import orjson
import rfc8785
from jwt.algorithms import Algorithm, get_default_algorithms

from dataspace.jwk import (
    KEY_TYPES,
    MAX_KEYS,
    InvalidToken,
    Jwk,
    PrivateKeyObject,
    PublicKey,
    PublicKeyObject,
    SigningKey,
    b64decode,
    b64encode,
    dump_private_key,
    generate_key,
    load_private_key,
    parse_jwk_set,
    public_jwk,
    public_key,
    thumbprint,
)

__all__ = (
    "ASYMMETRIC",
    "InvalidToken",
    "Jwk",
    "PrivateKeyObject",
    "PublicKey",
    "PublicKeyObject",
    "SigningKey",
    "UnknownKey",
    "UnverifiedToken",
    "Verified",
    "VerifiedBytes",
    "b64decode",
    "b64encode",
    "canonical",
    "check_times",
    "digest",
    "dump_private_key",
    "generate_key",
    "load_private_key",
    "media_type",
    "numeric_date",
    "parse_jwk_set",
    "public_jwk",
    "public_key",
    "read",
    "sign",
    "sign_bytes",
    "thumbprint",
    "unverified_claims",
    "verify",
    "verify_bytes",
)

ASYMMETRIC = frozenset(KEY_TYPES)
MAX_TOKEN = 16 * 1024  # characters; the largest honest one, a request object with authorization_details, has about 6 k
NO_LEEWAY = dt.timedelta(0)
END_OF_TIME = 253402300800  # the first second that a datetime cannot hold
_SIGNERS: Mapping[str, Algorithm] = MappingProxyType(
    {name: signer for name, signer in get_default_algorithms().items() if name in KEY_TYPES}
)


class UnknownKey(InvalidToken):
    """No key fits the token's kid and algorithm: the only refusal that fetching the keys again may cure."""


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """A compact JWS taken apart. Nothing in it is to be believed."""

    header: dict[str, Any]
    payload: bytes
    signing_input: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class VerifiedBytes:
    """A signature that holds: the payload, and the key that made it."""

    header: dict[str, Any]
    payload: bytes
    key: PublicKey


@dataclass(frozen=True, slots=True)
class Verified:
    """A JWT whose signature, type and registered claims hold, and the key that made it."""

    header: dict[str, Any]
    claims: dict[str, Any]
    key: PublicKey


KeySource = PublicKey | Sequence[PublicKey | Jwk]


# Signing


def sign(
    claims: Mapping[str, Any], key: SigningKey, *, typ: str | None, headers: Mapping[str, Any] | None = None
) -> str:
    """A compact JWS over JSON claims. Raises TypeError for claims that are not JSON: our own mistake."""
    return sign_bytes(orjson.dumps(dict(claims)), key, typ=typ, headers=headers)


def sign_bytes(payload: bytes, key: SigningKey, *, typ: str | None, headers: Mapping[str, Any] | None = None) -> str:
    """A compact JWS over these very bytes. ``headers`` are added; they cannot change alg, kid or typ."""
    header: dict[str, Any] = {**(headers or {}), "alg": key.alg}
    if key.kid is not None:
        header["kid"] = key.kid
    if typ is not None:
        header["typ"] = typ
    signing_input = f"{b64encode(orjson.dumps(header))}.{b64encode(payload)}"
    signature = _SIGNERS[key.alg].sign(signing_input.encode(), key.private_key)
    return f"{signing_input}.{b64encode(signature)}"


# Verifying


def read(token: object, *, longest: int = MAX_TOKEN) -> UnverifiedToken:
    """Take a compact JWS apart (RFC 7515 section 5.2, steps 1 to 7) without believing it. Raises InvalidToken."""
    if not isinstance(token, str) or len(token) > longest or not token.isascii():
        raise InvalidToken("not a token, or too long")
    parts = token.split(".")
    if len(parts) != 3:
        raise InvalidToken("not three parts")
    header = _json_object(b64decode(parts[0]), "header")
    if "crit" in header or "b64" in header:
        # RFC 7515 section 4.1.11: an extension that we do not understand must be refused, and we understand none.
        raise InvalidToken("critical header extension")
    signing_input = token[: -len(parts[2]) - 1].encode()
    return UnverifiedToken(header, b64decode(parts[1]), signing_input, b64decode(parts[2]))


def unverified_claims(token: UnverifiedToken) -> dict[str, Any]:
    """The claims of a token that nobody has checked, to find out whose keys to check it with. Raises InvalidToken."""
    return _json_object(token.payload, "claims")


def verify_bytes(
    token: str | UnverifiedToken, keys: KeySource, *, algorithms: Collection[str], expected_typ: str | None
) -> VerifiedBytes:
    """Check typ (None: the caller does) and the signature with the keys that fit. Raises InvalidToken."""
    unverified = token if isinstance(token, UnverifiedToken) else read(token)
    header = unverified.header
    alg = header.get("alg")
    if not isinstance(alg, str) or alg not in algorithms or alg not in KEY_TYPES:
        raise InvalidToken("algorithm is not accepted here")
    if expected_typ is not None and media_type(header.get("typ")) != expected_typ.lower():
        raise InvalidToken(f"typ is not {expected_typ}")
    for key in _fitting(keys, alg, header.get("kid")):
        if _SIGNERS[alg].verify(unverified.signing_input, key.key, unverified.signature):
            return VerifiedBytes(header, unverified.payload, key)
    raise InvalidToken("signature does not verify")


def verify(
    token: str | UnverifiedToken,
    keys: KeySource,
    *,
    algorithms: Collection[str],
    expected_typ: str | None,
    expected_iss: str | None,
    expected_aud: str | None,
    now: dt.datetime,
    leeway: dt.timedelta = NO_LEEWAY,
    required: Collection[str] = (),
) -> Verified:
    """Check signature, typ, iss, aud (None: the caller does), the times, and that ``required`` claims are there.

    ``leeway``: how far the other side's clock may be ahead (iat, nbf); nothing is accepted after its own exp.
    Raises InvalidToken.
    """
    verified = verify_bytes(token, keys, algorithms=algorithms, expected_typ=expected_typ)
    claims = _json_object(verified.payload, "claims")
    missing = [name for name in required if name not in claims]
    if missing:
        raise InvalidToken(f"claims are missing: {', '.join(missing)}")
    if expected_iss is not None and claims.get("iss") != expected_iss:
        raise InvalidToken("another issuer")
    if expected_aud is not None and not _names(claims.get("aud"), expected_aud):
        raise InvalidToken("another audience")
    check_times(claims, now, leeway=leeway)
    return Verified(verified.header, claims, verified.key)


def check_times(claims: Mapping[str, Any], now: dt.datetime, *, leeway: dt.timedelta) -> None:
    """RFC 7519 sections 4.1.4 to 4.1.6, each claim only if present. Raises InvalidToken."""
    moment = now.timestamp()
    latest = moment + leeway.total_seconds()
    if "exp" in claims and numeric_date(claims, "exp") <= moment:
        raise InvalidToken("expired")
    if "nbf" in claims and numeric_date(claims, "nbf") > latest:
        raise InvalidToken("not valid yet")
    if "iat" in claims and numeric_date(claims, "iat") > latest:
        raise InvalidToken("issued in the future")


def numeric_date(claims: Mapping[str, Any], name: str) -> float:
    """Seconds since 1970 (RFC 7519 section 2), as far as a datetime reaches. Raises InvalidToken."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < END_OF_TIME:
        raise InvalidToken(f"{name} is not a point in time")
    return float(value)


def media_type(typ: object) -> str:
    """A typ header without its optional application/ prefix, in lower case (RFC 7515 section 4.1.9); "" if absent."""
    return typ.lower().removeprefix("application/") if isinstance(typ, str) else ""


def _fitting(keys: KeySource, alg: str, kid: object) -> list[PublicKey]:
    """The keys that may have made the signature, at least one. A key without a kid of its own fits any kid."""
    if kid is not None and not isinstance(kid, str):
        raise InvalidToken("kid is not a string")
    if isinstance(keys, PublicKey):
        named: Sequence[PublicKey | Jwk] = (keys,)  # the caller has chosen
    else:
        named = [key for key in keys if kid is None or _kid(key) in (kid, None)]
    candidates = [key if isinstance(key, PublicKey) else public_key(key) for key in named[:MAX_KEYS]]
    fitting = [key for key in candidates if key.kty == KEY_TYPES[alg] and key.alg in (None, alg)]
    if not fitting:
        raise UnknownKey("no key fits this kid and algorithm")
    return fitting


def _kid(key: PublicKey | Jwk) -> object:
    return key.kid if isinstance(key, PublicKey) else key.get("kid")


def _names(audience: object, expected: str) -> bool:
    return audience == expected or (isinstance(audience, list) and expected in audience)


def _json_object(raw: bytes, what: str) -> dict[str, Any]:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise InvalidToken(f"{what}: not JSON") from None
    if not isinstance(value, dict):
        raise InvalidToken(f"{what}: not an object")
    return value


# Canonical JSON


def canonical(document: Any) -> bytes:
    """The one byte form of a JSON document (RFC 8785). Raises InvalidToken for what JSON cannot say."""
    try:
        return rfc8785.dumps(document)
    except (ValueError, RecursionError):
        raise InvalidToken("not a JSON document") from None


def digest(document: Any) -> str:
    """SHA-256 over the canonical form, 64 lower-case hex digits. Raises InvalidToken."""
    return hashlib.sha256(canonical(document)).hexdigest()
