"""What the programs here have in common about signed files: sentences, canonical JSON, key sets, signatures.

Written from RFC 7515, RFC 7517 and RFC 8785; shares no code with the service.
"""

import base64
import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

LEEWAY = dt.timedelta(minutes=5)  # how far the clock of this computer may be behind
LANGUAGES = {"zh": "zh_hans", "en": "en"}
WRONG = (ValueError, KeyError, TypeError, AttributeError, RecursionError)  # what reading a malformed document raises
Keys = dict[str, ec.EllipticCurvePublicKey]
Sentence = tuple[str, str]  # English, Chinese


class Refused(Exception):
    """What does not match, or why it could not be read (``status`` 2); one sentence in two languages."""

    def __init__(self, english: str, chinese: str, *, status: int = 1) -> None:
        super().__init__(english)
        self.sentence, self.status = {"en": english, "zh": chinese}, status


class UnknownKey(Exception):
    """It is signed with a key that is not in the key file."""


def canonical(value: Any) -> bytes:
    """RFC 8785, for what these files consist of: no fractions, and names in ASCII."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.encode()


def sha256(value: Any) -> str:
    return hashlib.sha256(value if isinstance(value, bytes) else canonical(value)).hexdigest()


def parse(raw: bytes) -> Any:
    """JSON in which nothing can hide: no fraction, no number that is none, no name twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _value in pairs}) != len(pairs) or not all(name.isascii() for name, _ in pairs):
            raise ValueError("a name twice, or not in ASCII")
        return dict(pairs)

    def never(text: str) -> NoReturn:
        raise ValueError(text)

    return json.loads(raw.decode(), object_pairs_hook=once, parse_float=never, parse_constant=never)


def unbase64(text: str) -> bytes:
    """base64url without padding, in the one spelling that each value has."""
    value = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64url(value) != text:
        raise ValueError("not base64url")
    return value


def base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def read_file(path: Path, longest: int) -> bytes:
    """At most one byte more than ``longest``. Raises Refused."""
    try:
        with path.open("rb") as file:
            return file.read(longest + 1)
    except OSError:
        raise Refused(f"The file {path} cannot be opened.", f"无法打开文件 {path}。", status=2) from None


def load_keys(path: Path) -> Keys:
    """The keys of a JWK set by which the service can have signed: ES256, by kid. Raises Refused."""
    try:
        return keys_of(json.loads(path.read_bytes()))
    except OSError:
        raise Refused(f"The key file {path} cannot be opened.", f"无法打开密钥文件 {path}。", status=2) from None
    except WRONG:
        raise Refused(f"{path} is not a set of public keys.", f"{path} 不是公钥文件。", status=2) from None


def keys_of(document: Any) -> Keys:
    found = {}
    for jwk in document["keys"]:
        if jwk.get("kty") == "EC" and jwk.get("crv") == "P-256" and jwk.get("use", "sig") == "sig":
            point = b"\x04" + unbase64(jwk["x"]) + unbase64(jwk["y"])
            found[jwk["kid"]] = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    return found


def check_jws(
    header64: str, payload: bytes, signature64: str, *, keys: Keys | ec.EllipticCurvePublicKey, typ: str
) -> None:
    """The signature over a payload (RFC 7515 section 5.2), ES256 only. Raises ValueError when it does not match.

    ``keys``: by kid, or the one key that it has to be, whatever the header says. Raises UnknownKey.
    """
    try:
        header, signature = parse(unbase64(header64)), unbase64(signature64)
        if header["alg"] != "ES256" or header["typ"] != typ or len(signature) != 64:
            raise ValueError("another kind of signature")
        key = keys.get(header["kid"]) if isinstance(keys, dict) else keys
        if key is None:
            raise UnknownKey
        number = [int.from_bytes(half, "big") for half in (signature[:32], signature[32:])]
        signed = f"{header64}.{base64url(payload)}".encode()
        key.verify(encode_dss_signature(*number), signed, ec.ECDSA(hashes.SHA256()))
    except (*WRONG, InvalidSignature):
        raise ValueError("the signature does not match") from None
