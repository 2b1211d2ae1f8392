"""Encryption to a recipient (RFC 7516): which of its keys can be used, and how. The only importer of joserfc."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from dataspace.jwk import PRIVATE_MEMBERS, InvalidToken, Jwk

# ECDH over P-256, or RSA of 2048 bits and more with SHA-256; the older ones (RSA1_5, RSA-OAEP with SHA-1) are not used.
KEY_TYPES: Mapping[str, str] = MappingProxyType({"ECDH-ES": "EC", "ECDH-ES+A256KW": "EC", "RSA-OAEP-256": "RSA"})
USUAL: Mapping[str, str] = MappingProxyType({"EC": "ECDH-ES", "RSA": "RSA-OAEP-256"})  # of a key that names none
CONTENT = ("A256GCM", "A128CBC-HS256")  # the first one where none is registered
MIN_RSA = 2048
MAX_RSA = 4096


def keys_of(document: object) -> tuple[Jwk, ...]:
    """The keys of a JWK set that are for encryption: ``use`` has to say so, since no key shall do two things.

    What is malformed is left out: the set of somebody else may hold what we do not know (RFC 7517 section 5).
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    found = entries if isinstance(entries, list) else []
    return tuple(
        key for key in found if isinstance(key, dict) and key.get("use") == "enc" and PRIVATE_MEMBERS.isdisjoint(key)
    )


def choose(keys: Sequence[Jwk], alg: str) -> Jwk:
    """The first key that ``alg`` can be used with. Raises InvalidToken."""
    for key in keys:
        if key.get("kty") == KEY_TYPES[alg] and key.get("alg", alg) == alg and _usable(key):
            return key
    raise InvalidToken(f"there is no key for encryption with {alg}")


def choose_any(keys: Sequence[Jwk]) -> tuple[Jwk, str]:
    """The first key that can be used, and the algorithm that it names or that is usual for it. Raises InvalidToken."""
    for key in keys:
        alg = key.get("alg") or USUAL.get(str(key.get("kty")))
        if isinstance(alg, str) and KEY_TYPES.get(alg) == key.get("kty") and _usable(key):
            return key, alg
    raise InvalidToken("there is no key for encryption")


def encrypt(content: bytes, key: Jwk, *, alg: str, enc: str, cty: str) -> str:
    """A compact JWE. ``cty``: what is in it (RFC 7516 section 4.1.12), JWT for a nested one (RFC 7519 section 5.2).

    Raises InvalidToken.
    """
    header: dict[str, Any] = {"alg": alg, "enc": enc, "cty": cty}
    if isinstance(key.get("kid"), str):
        header["kid"] = key["kid"]
    try:
        return jwe.encrypt_compact(header, content, _imported(key), algorithms=[alg, enc])
    except (JoseError, ValueError) as error:
        raise InvalidToken(f"cannot be encrypted: {error}") from None


def _usable(key: Jwk) -> bool:
    try:
        made = _imported(key)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return False
    if isinstance(made, RSAKey):
        return MIN_RSA <= made.raw_value.key_size <= MAX_RSA
    return key.get("crv") == "P-256"


def _imported(key: Jwk) -> RSAKey | ECKey:
    members: dict[str, Any] = {name: key[name] for name in ("kty", "n", "e", "crv", "x", "y") if name in key}
    return RSAKey.import_key(members) if key["kty"] == "RSA" else ECKey.import_key(members)
