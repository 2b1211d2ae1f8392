"""SD-JWT (RFC 9901): a signed document of which each field can be shown alone. Made here, shown by whoever holds it.

Only what the certificates need: every member that can be shown stands in one of the objects at the top of the document;
no array elements, no nesting. SHA-256 throughout.
"""

import hashlib
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from dataspace import jose
from dataspace.jwk import SigningKey, b64decode, b64encode

ALGORITHM = "sha-256"
SALT = 16  # bytes: 128 bits (section 9.3)
RESERVED = frozenset({"_sd", "..."})  # section 4.2.1


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

    @property
    def unverified(self) -> dict[str, Any]:
        """What the signed part says: to be believed of what we have signed and kept ourselves. Raises InvalidToken."""
        return jose.unverified_claims(jose.read(self.signed))

    @property
    def places(self) -> dict[str, dict[str, Disclosure]]:
        """Everything that can be shown, by the object it stands in and its name. Raises InvalidToken."""
        by_digest = {disclosure.digest: disclosure for disclosure in self.disclosures}
        return {
            place: {d.name: d for digest in members["_sd"] if (d := by_digest.get(digest)) is not None}
            for place, members in self.unverified.items()
            if isinstance(members, dict) and "_sd" in members
        }

    def show(self, chosen: Mapping[str, Collection[str]] | None = None) -> str:
        """The presentation that shows the members chosen by place and name, or all; the others stay hidden."""
        shown = self.disclosures
        if chosen is not None:
            shown = tuple(
                disclosure
                for place, members in self.places.items()
                for name, disclosure in members.items()
                if name in chosen.get(place, ())
            )
        return "~".join([self.signed, *(disclosure.encoded for disclosure in shown), ""])


def issue(claims: Mapping[str, Any], hidden: Mapping[str, Mapping[str, Any]], key: SigningKey, *, typ: str) -> SdJwt:
    """Sign ``claims`` and, for each place in ``hidden``, an object that holds nothing but digests of its members.

    Digests are sorted, so that their order tells nothing (section 4.2.4.1).
    """
    document, disclosures = dict(claims), []
    for place, members in hidden.items():
        made = [Disclosure.of(name, value) for name, value in members.items()]
        disclosures += made
        document[place] = {"_sd": sorted(disclosure.digest for disclosure in made)}
    document["_sd_alg"] = ALGORITHM
    return SdJwt(jose.sign(document, key, typ=typ), tuple(disclosures))
