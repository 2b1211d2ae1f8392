"""Keys: JSON web keys and sets of them (RFC 7517, 8037), thumbprints (RFC 7638), key pairs of our own.

Only four algorithms, all asymmetric. A key from outside is checked completely before anything is verified with it;
whatever the other side sends, the functions that take it raise InvalidToken and nothing else.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from dataspace.errors import DomainError

Jwk = dict[str, Any]
PrivateKeyObject = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
PublicKeyObject = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

KEY_TYPES: Mapping[str, str] = MappingProxyType({"ES256": "EC", "EdDSA": "OKP", "PS256": "RSA", "RS256": "RSA"})
CURVES: Mapping[str, str] = MappingProxyType({"EC": "P-256", "OKP": "Ed25519"})
# RFC 7638 section 3.2 and RFC 8037 section 2, in lexicographic order.
THUMBPRINT_MEMBERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}
)
PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})
MAX_KEYS = 20
MAX_NAME = 256  # characters of a kid
MIN_RSA_BITS = 2048  # RFC 7518 section 3.3
MAX_RSA_BITS = 8192  # bounds the work that a stranger can ask of us
MAX_RSA_EXPONENT = 2**32


class InvalidToken(DomainError):
    """A token, key or key set that is malformed or does not verify."""

    code = "invalid_token"
    sentence = "The signed message or key is not valid."


@dataclass(frozen=True, kw_only=True)
class PublicKey:
    """A checked key, ready to verify. ``jwk``: public members only; ``alg``: the one algorithm it is for, if said."""

    kid: str | None
    alg: str | None
    kty: str
    thumbprint: str
    jwk: Jwk
    key: PublicKeyObject = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """A private key with the name and the one algorithm it signs under. ``kid`` None: the header names no key."""

    kid: str | None
    alg: str
    private_key: PrivateKeyObject = field(repr=False)


# Keys of our own


def generate_key(alg: str) -> PrivateKeyObject:
    """A fresh private key for one of the four algorithms; RSA with 2048 bits."""
    kty = KEY_TYPES[alg]
    if kty == "EC":
        return ec.generate_private_key(ec.SECP256R1())
    if kty == "OKP":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=MIN_RSA_BITS)


def dump_private_key(key: PrivateKeyObject) -> bytes:
    """PKCS #8 in DER, in clear: to be wrapped before it is stored."""
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def load_private_key(der: bytes) -> PrivateKeyObject:
    """The inverse of :func:`dump_private_key`. Raises InvalidToken.

    What was wrapped is authentic and comes from :func:`generate_key`, so the 40 ms in which OpenSSL would look whether
    the factors of an RSA key are prime are spared.
    """
    try:
        key = load_der_private_key(der, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError):
        raise InvalidToken("not a private key") from None
    if not isinstance(key, PrivateKeyObject):
        raise InvalidToken("a private key of another kind")
    return key


def public_jwk(
    key: PrivateKeyObject | PublicKeyObject, *, kid: str | None = None, alg: str | None = None, use: str | None = None
) -> Jwk:
    """The public members of a key, with its name and what it is for (RFC 7517 section 4)."""
    public = key.public_key() if isinstance(key, PrivateKeyObject) else key
    labels = {"kid": kid, "alg": alg, "use": use}
    return _members(public) | {name: value for name, value in labels.items() if value is not None}


def _members(key: PublicKeyObject) -> Jwk:
    if isinstance(key, ec.EllipticCurvePublicKey):
        point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return {"kty": "EC", "crv": "P-256", "x": b64encode(point[1:33]), "y": b64encode(point[33:])}
    if isinstance(key, ed25519.Ed25519PublicKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": b64encode(key.public_bytes_raw())}
    numbers = key.public_numbers()
    return {"kty": "RSA", "n": _from_integer(numbers.n), "e": _from_integer(numbers.e)}


# Keys of others


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """The SHA-256 thumbprint, base64url (RFC 7638). Raises InvalidToken."""
    kty = jwk.get("kty")
    names = THUMBPRINT_MEMBERS.get(kty) if isinstance(kty, str) else None
    if names is None or not all(isinstance(jwk.get(name), str) for name in names):
        raise InvalidToken("the members that make the thumbprint are missing")
    try:
        members = orjson.dumps({name: jwk[name] for name in names})
    except TypeError:
        raise InvalidToken("a member is not text") from None
    return b64encode(hashlib.sha256(members).digest())


def public_key(jwk: object) -> PublicKey:
    """Check one JWK: public, for signatures, of a kind we verify with, strong enough. Raises InvalidToken."""
    if not isinstance(jwk, dict):
        raise InvalidToken("a key is not an object")
    if not PRIVATE_MEMBERS.isdisjoint(jwk):
        raise InvalidToken("private or symmetric key material where a public key belongs")
    kid, alg, kty = jwk.get("kid"), jwk.get("alg"), jwk.get("kty")
    if kid is not None and not (isinstance(kid, str) and len(kid) <= MAX_NAME):
        raise InvalidToken("kid is not a short string")
    if not _verifies_signatures(jwk):
        raise InvalidToken("a key that is not for signatures")
    key = _key_object(jwk)
    if alg is not None and (not isinstance(alg, str) or KEY_TYPES.get(alg) != kty):
        raise InvalidToken("alg does not fit the key")
    return PublicKey(kid=kid, alg=alg, kty=jwk["kty"], thumbprint=thumbprint(jwk), jwk=jwk, key=key)


def parse_jwk_set(document: object, *, skip_foreign: bool = False) -> tuple[PublicKey, ...]:
    """Check a JWK set (RFC 7517 section 5): at most 20 public keys. Raises InvalidToken.

    Keys with one kid must differ in kty or alg: by these they are told apart then (FAPI 2.0 Security Profile).

    ``skip_foreign``: leave out keys of other kinds or for other uses, as the section asks of those who read the sets
    of others; private and symmetric material is refused all the same, because then a secret has leaked.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_KEYS:
        raise InvalidToken(f"not a JWK set of 1 to {MAX_KEYS} keys")
    keys = tuple(public_key(entry) for entry in entries if not (skip_foreign and _is_foreign(entry)))
    names = [(key.kid, key.kty, key.alg) for key in keys if key.kid is not None]
    if len(names) != len(set(names)):
        raise InvalidToken("two keys with one kid")
    return keys


def _is_foreign(jwk: object) -> bool:
    """Whether a public key is merely not for us: encryption, another curve, another algorithm, another family."""
    if not isinstance(jwk, dict) or not PRIVATE_MEMBERS.isdisjoint(jwk):
        return False
    kty, alg = jwk.get("kty"), jwk.get("alg")
    if not isinstance(kty, str) or kty not in THUMBPRINT_MEMBERS or not _verifies_signatures(jwk):
        return True
    return jwk.get("crv") != CURVES.get(kty) or (isinstance(alg, str) and alg not in KEY_TYPES)


def _verifies_signatures(jwk: Jwk) -> bool:
    """RFC 7517 sections 4.2 and 4.3: what use and key_ops say, if they are there."""
    operations = jwk.get("key_ops", ["verify"])
    return jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations


def _key_object(jwk: Jwk) -> PublicKeyObject:
    kty, crv = jwk.get("kty"), jwk.get("crv")
    try:
        if kty == "EC" and crv == "P-256":
            point = b"\x04" + _coordinate(jwk, "x") + _coordinate(jwk, "y")
            # Refuses a point that is not on the curve.
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        if kty == "OKP" and crv == "Ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(_coordinate(jwk, "x"))
        if kty == "RSA":
            return _rsa_key(_to_integer(jwk, "n"), _to_integer(jwk, "e"))
    except ValueError:
        raise InvalidToken("the numbers of the key are not a key") from None
    raise InvalidToken("a kind of key that is not accepted here")


def _rsa_key(modulus: int, exponent: int) -> rsa.RSAPublicKey:
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS:
        raise InvalidToken(f"an RSA key has {MIN_RSA_BITS} to {MAX_RSA_BITS} bits")
    if modulus % 2 == 0 or exponent % 2 == 0 or not 3 <= exponent < MAX_RSA_EXPONENT:
        raise InvalidToken("an RSA key with numbers that cannot be right")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _coordinate(jwk: Jwk, name: str) -> bytes:
    value = b64decode(jwk.get(name))
    if len(value) != 32:
        raise InvalidToken(f"{name} has not 32 bytes")
    return value


def _to_integer(jwk: Jwk, name: str) -> int:
    value = b64decode(jwk.get(name))
    if not value or value[0] == 0:
        # RFC 7518 section 2: the shortest form only. Another would give one key two thumbprints.
        raise InvalidToken(f"{name} is not in its shortest form")
    return int.from_bytes(value)


def _from_integer(number: int) -> str:
    return b64encode(number.to_bytes((number.bit_length() + 7) // 8))


# base64url without padding (RFC 7515 section 2)


def b64encode(value: bytes) -> str:
    """Without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def b64decode(text: object) -> bytes:
    """Only the one encoding of each value is accepted, or one key had many thumbprints. Raises InvalidToken."""
    if not isinstance(text, str):
        raise InvalidToken("not base64url")
    try:
        # The standard library's decoder skips foreign characters: comparing with what it ought to have read
        # finds them, as well as padding and stray bits at the end.
        value = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise InvalidToken("not base64url") from None
    if b64encode(value) != text:
        raise InvalidToken("not base64url")
    return value
