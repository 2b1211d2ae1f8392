"""SD-JWT (RFC 9901): a signed document of which each field can be shown alone. Made here, shown by whoever holds it.

Only what the certificates need: every disclosable member stands at one place of the document, as a member of an object;
no array elements, no nesting. SHA-256 throughout.
"""

import hashlib
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from dataspace import jose
from dataspace.jwk import SigningKey, b64decode, b64encode

ALGORITHM = "sha-256"
SALT = 16  # bytes: 128 bits (section 9.3)
RESERVED = frozenset({"_sd", "...", "_sd_alg"})


@dataclass(frozen=True)
class Disclosure:
    """One member that can be shown: salt, name and value in the one form that is hashed (section 4.2.1)."""

    encoded: str
    name: str
    value: Any

    @classmethod
    def of(cls, name: str, value: Any) -> "Disclosure":
        """A new one, with a salt of its own. Raises ValueError for a name that means something else."""
        if name in RESERVED:
            raise ValueError(f"{name} cannot be disclosed")
        salt = b64encode(secrets.token_bytes(SALT))
        return cls(b64encode(orjson.dumps([salt, name, value])), name, value)

    @classmethod
    def read(cls, encoded: str) -> "Disclosure":
        """As it stands in a document. Raises InvalidToken when it is none."""
        try:
            parts = orjson.loads(b64decode(encoded))
        except orjson.JSONDecodeError:
            raise jose.InvalidToken("a disclosure is not JSON") from None
        if not isinstance(parts, list) or len(parts) != 3 or not all(isinstance(part, str) for part in parts[:2]):
            raise jose.InvalidToken("a disclosure is not salt, name and value")
        return cls(encoded, parts[1], parts[2])

    @property
    def digest(self) -> str:
        """What the signed part holds of it."""
        return b64encode(hashlib.sha256(self.encoded.encode()).digest())


@dataclass(frozen=True)
class SdJwt:
    """The signed part, and everything that can be shown with it."""

    signed: str
    disclosures: tuple[Disclosure, ...]

    @classmethod
    def read(cls, text: str) -> "SdJwt":
        """Take one apart (section 4, without key binding). Nothing of it is checked. Raises InvalidToken."""
        signed, *shown = text.split("~")
        if not shown or shown[-1]:
            raise jose.InvalidToken("not an SD-JWT")
        return cls(signed, tuple(Disclosure.read(encoded) for encoded in shown[:-1]))

    def show(self, names: Collection[str] | None = None) -> str:
        """The presentation that shows the named members, or all; what is not named stays hidden."""
        shown = [d.encoded for d in self.disclosures if names is None or d.name in names]
        return "~".join([self.signed, *shown, ""])


def issue(claims: Mapping[str, Any], hidden: Mapping[str, Mapping[str, Any]], key: SigningKey, *, typ: str) -> SdJwt:
    """Sign ``claims``, in which each object named in ``hidden`` holds digests in place of these members.

    ``hidden``: where (a top-level name, "" for the top itself) -> member -> value. Digests are sorted, so that their
    order tells nothing (section 4.2.4.1). Names are unique over the whole document, so that one names what to show.
    """
    document = dict(claims)
    disclosures: list[Disclosure] = []
    for place, members in hidden.items():
        made = [Disclosure.of(name, value) for name, value in members.items()]
        disclosures += made
        digests = {"_sd": sorted(d.digest for d in made)}
        if place:
            document[place] = {**document.get(place, {}), **digests}
        else:
            document |= digests
    if len({d.name for d in disclosures}) != len(disclosures):
        raise ValueError("a name twice")
    document["_sd_alg"] = ALGORITHM
    return SdJwt(jose.sign(document, key, typ=typ), tuple(disclosures))


def hidden_in(digests: Iterable[str], disclosures: Iterable[Disclosure]) -> list[Disclosure]:
    """Those of the disclosures that a list of digests vouches for."""
    vouched = set(digests)
    return [d for d in disclosures if d.digest in vouched]
