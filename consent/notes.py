"""Signed notes, checkpoints and cosignatures: C2SP signed-note, tlog-checkpoint and tlog-cosignature (Ed25519).

A note is text with signature lines below it. What is parsed here has one spelling only; whatever differs from it by a
byte is refused, because a second spelling of a signed text would be a second text.
"""

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from consent import merkle
from dataspace.errors import DomainError

ED25519 = 0x01  # the type bytes of signed-note, Signature types
COSIGNATURE = 0x04  # timestamped, tlog-cosignature
MAX_BYTES = 1_000_000
MAX_SIGNATURES = 100  # a verifier must accept 16 at least (signed-note, Format)
MAX_SIZE = 2**63 - 1  # leaves of a tree, and seconds of a timestamp
DASH = "— "
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class InvalidNote(DomainError):
    """``detail`` says what is wrong with it."""

    code = "invalid_note"
    sentence = "The signed note is not valid."


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """A public key under its name, as verifier keys write it: ``name+id+base64(type, key)``."""

    name: str
    kind: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that name the key (signed-note, Signatures)."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def __str__(self) -> str:
        """The verifier key, one line without its end."""
        return f"{self.name}+{self.key_id.hex()}+{base64_of(bytes([self.kind]) + self.public)}"

    @classmethod
    def parse(cls, text: str) -> "Verifier":
        """Read a verifier key. Raises InvalidNote."""
        name, key_id, material = [*text.split("+", 2), "", ""][:3]
        raw = _unbase64(material)
        if not _is_name(name) or len(raw) != 33 or raw[0] not in (ED25519, COSIGNATURE):
            raise InvalidNote("not a verifier key for Ed25519")
        found = cls(name=name, kind=raw[0], public=raw[1:])
        if found.key_id.hex() != key_id:
            raise InvalidNote("the key's number does not fit the key")
        return found

    def verify(self, text: str, signature: bytes) -> None:
        """Verify a signature over the text of a note. Raises InvalidNote."""
        message = text.encode()
        if self.kind == COSIGNATURE:
            if len(signature) != 72:
                raise InvalidNote("a cosignature has another length")
            message, signature = _timed(text, timestamp_of(signature)), signature[8:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            raise InvalidNote(f"the signature of {self.name} does not match") from None


@dataclass(frozen=True, kw_only=True)
class Signer:
    """A private key under its name."""

    name: str
    private: Ed25519PrivateKey = field(repr=False)
    kind: int = ED25519

    @property
    def verifier(self) -> Verifier:
        """The public half."""
        public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return Verifier(name=self.name, kind=self.kind, public=public)

    def sign(self, text: str, *, timestamp: int | None = None) -> "Signature":
        """Sign the text of a note; a cosignature says when, in seconds since 1970."""
        message, head = text.encode(), b""
        if self.kind == COSIGNATURE:
            if timestamp is None or not 0 <= timestamp <= MAX_SIZE:
                raise ValueError("a cosignature says when it was made")
            message, head = _timed(text, timestamp), struct.pack(">Q", timestamp)
        return Signature(name=self.name, key_id=self.verifier.key_id, blob=head + self.private.sign(message))


@dataclass(frozen=True, kw_only=True)
class Signature:
    """One signature line. ``blob``: what follows the key's number."""

    name: str
    key_id: bytes
    blob: bytes

    def __str__(self) -> str:
        """The line, with its end."""
        return f"{DASH}{self.name} {base64_of(self.key_id + self.blob)}\n"

    @classmethod
    def parse(cls, line: str) -> "Signature":
        """Read a signature line without its end. Raises InvalidNote."""
        name, space, encoded = line.removeprefix(DASH).partition(" ")
        raw = _unbase64(encoded)
        if not line.startswith(DASH) or not space or not _is_name(name) or len(raw) < 5:
            raise InvalidNote("a line below the text is no signature")
        return cls(name=name, key_id=raw[:4], blob=raw[4:])

    def fits(self, verifier: Verifier) -> bool:
        """Whether this line says that it is by that key."""
        return (self.name, self.key_id) == (verifier.name, verifier.key_id)


@dataclass(frozen=True)
class Note:
    """``text`` ends with a newline. Nothing of it is to be believed before :meth:`verified`."""

    text: str
    signatures: tuple[Signature, ...]

    def __bytes__(self) -> bytes:
        """The note as it is sent."""
        return (self.text + "\n" + "".join(str(signature) for signature in self.signatures)).encode()

    @classmethod
    def parse(cls, raw: bytes) -> "Note":
        """Read a note. Raises InvalidNote."""
        if len(raw) > MAX_BYTES:
            raise InvalidNote("too long")
        try:
            whole = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidNote("not UTF-8") from None
        text, blank, below = whole.rpartition("\n\n")
        if _CONTROL.search(whole) or not blank or not below.endswith("\n"):
            raise InvalidNote("not a text with signatures below it")
        lines = below.removesuffix("\n").split("\n")
        if len(lines) > MAX_SIGNATURES:
            raise InvalidNote("too many signatures")
        return cls(text + "\n", tuple(Signature.parse(line) for line in lines))

    def verified(self, verifiers: Iterable[Verifier]) -> tuple[Signature, ...]:
        """The signatures by these keys, at least one. Raises InvalidNote, also when one of several does not match."""
        known = list(verifiers)
        found = []
        for signature in self.signatures:
            for verifier in known:
                if signature.fits(verifier):
                    verifier.verify(self.text, signature.blob)
                    found.append(signature)
        if not found:
            raise InvalidNote("not signed by a key that we know")
        return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The head of a log (tlog-checkpoint); ``extensions``: lines that only the log knows the meaning of."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What is signed."""
        lines = (self.origin, str(self.size), base64_of(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read the text of a note. Raises InvalidNote."""
        if not text.endswith("\n"):
            raise InvalidNote("the text does not end with a line")
        lines = text.removesuffix("\n").split("\n")
        if len(lines) < 3 or not all(lines):
            raise InvalidNote("a checkpoint has three lines at least, none of them empty")
        origin, size, root, *extensions = lines
        if not _NUMBER.fullmatch(size) or int(size) > MAX_SIZE or len(_unbase64(root)) != merkle.SIZE:
            raise InvalidNote("no size of a tree, or no root")
        return cls(origin=origin, size=int(size), root=_unbase64(root), extensions=tuple(extensions))


def sign(checkpoint: Checkpoint, signer: Signer) -> Note:
    """The checkpoint as a note with one signature."""
    return Note(checkpoint.text, (signer.sign(checkpoint.text),))


def timestamp_of(cosignature: bytes) -> int:
    """When a cosignature was made, in seconds since 1970. Raises InvalidNote."""
    (found,) = struct.unpack_from(">Q", cosignature.ljust(8, b"\xff"))
    if found > MAX_SIZE:
        raise InvalidNote("a cosignature is of no time")
    return int(found)


def _timed(text: str, timestamp: int) -> bytes:
    """What a cosignature signs (tlog-cosignature, Ed25519 signed message)."""
    return f"cosignature/v1\ntime {timestamp}\n{text}".encode()


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(letter.isspace() for letter in name)


def base64_of(raw: bytes) -> str:
    """As notes, checkpoints and proofs write bytes."""
    return base64.b64encode(raw).decode()


def _unbase64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidNote("not base64") from None
    if base64_of(raw) != text:
        raise InvalidNote("not the base64 that everybody writes")
    return raw
