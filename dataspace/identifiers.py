"""Identifiers of persons (GB 11643-1999) and bodies (GB 32100-2015), and the keyed blind index that finds them.

A valid check digit is not proof that the person or body exists. No error and no repr here ever shows an identifier:
both end up in logs.
"""

import datetime as dt
import hmac
import operator
import re
from dataclasses import dataclass, field

from dataspace.errors import InvalidIdentifier

PERSON_SCHEME = "GB11643"
BODY_SCHEME = "GB32100"

# GB 11643-1999 4.1 and GB/T 2260: the first two digits name a province. 81, 82, 83 are the residence permits of Hong
# Kong, Macau and Taiwan residents, 91 the foreigner's permanent residence card of 2023. The four digits after them are
# not checked: a region code that was abolished stays valid for the life of its bearer.
PROVINCES = frozenset(
    str(code)
    for codes in (range(11, 16), range(21, 24), range(31, 38), range(41, 47), range(50, 55), range(61, 66))
    for code in codes
) | {"71", "81", "82", "83", "91"}
PERSON_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
PERSON_CHECKS = "10X98765432"

# GB 32100-2015 4.2: no I, O, S, V, Z. Departments and classes grow with every amendment, so only the form is checked.
BODY_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # value = position
BODY_WEIGHTS = tuple(pow(3, i, 31) for i in range(17))
# GB 11714-1997: the organisation code inside, with values 0-9 and A=10 ... Z=35.
ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)


@dataclass(frozen=True)
class Identifier:
    """A checked identifier in its stored form (upper case) and the standard it follows."""

    value: str = field(repr=False)
    scheme: str


def parse(kind: str, text: str, *, today: dt.date) -> Identifier:
    """The identifier of a holder of this kind (``natural_person`` or a body). Raises InvalidIdentifier."""
    return parse_person(text, today=today) if kind == "natural_person" else parse_body(text)


def parse_person(text: str, *, today: dt.date) -> Identifier:
    """A citizen identity number, 18 digits, the last may be X or x; born no later than ``today``.

    Raises InvalidIdentifier, whose detail says which rule failed and nothing else.
    """
    value = text.strip().upper()
    if not re.fullmatch(r"[0-9]{17}[0-9X]", value):
        raise InvalidIdentifier("person: not 17 digits and a check digit")
    if value[:2] not in PROVINCES:
        raise InvalidIdentifier("person: unknown province")
    if birth_date(value) > today:
        raise InvalidIdentifier("person: born in the future")
    if value[17] != person_check(value[:17]):
        raise InvalidIdentifier("person: wrong check digit")
    return Identifier(value, PERSON_SCHEME)


def parse_body(text: str) -> Identifier:
    """A unified social credit code, 18 characters. Raises InvalidIdentifier as :func:`parse_person` does."""
    value = text.strip().upper()
    if not re.fullmatch(rf"[{BODY_ALPHABET}]{{2}}[0-9]{{6}}[{BODY_ALPHABET}]{{10}}", value):
        raise InvalidIdentifier("body: not a code of 18 characters")
    if value[17] != body_check(value[:17]):
        raise InvalidIdentifier("body: wrong check character")
    if value[16] != organisation_check(value[8:16]):
        raise InvalidIdentifier("body: wrong check character of the organisation code")
    return Identifier(value, BODY_SCHEME)


def person_check(first_17: str) -> str:
    """The check digit of 17 digits, ISO 7064 MOD 11-2 (GB 11643-1999 5)."""
    return PERSON_CHECKS[sum(map(operator.mul, PERSON_WEIGHTS, map(int, first_17))) % 11]


def body_check(first_17: str) -> str:
    """The check character of 17 characters, modulus 31 (GB 32100-2015 annex A)."""
    total = sum(w * BODY_ALPHABET.index(c) for w, c in zip(BODY_WEIGHTS, first_17, strict=True))
    return BODY_ALPHABET[-total % 31]


def organisation_check(first_8: str) -> str:
    """The check character of the organisation code, modulus 11 (GB 11714-1997 3.2)."""
    total = sum(w * int(c, 36) for w, c in zip(ORGANISATION_WEIGHTS, first_8, strict=True))
    return "0123456789X"[-total % 11]


def mask(value: str) -> str:
    """The identifier as pages show it: the first three and the last two characters."""
    return value[:3] + "*" * max(len(value) - 5, 0) + value[-2:] if len(value) > 5 else "*" * len(value)


def birth_date(value: str) -> dt.date:
    """When the bearer of a citizen identity number was born. Raises InvalidIdentifier."""
    try:
        return dt.date(int(value[6:10]), int(value[10:12]), int(value[12:14]))
    except ValueError:
        raise InvalidIdentifier("person: no such birth date") from None


class BlindIndex:
    """Finds an identifier without storing it: HMAC-SHA256 under a key that is not in the database."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, identifier: Identifier) -> str:
        """64 hex digits, equal for equal identifiers of one scheme."""
        message = f"{identifier.scheme}:{identifier.value}".encode()
        return hmac.digest(self._key, message, "sha256").hex()

    def pairwise(self, holder_id: str, audience: str) -> str:
        """The name of a holder towards one audience (OpenID Connect Core section 8.1): unlinkable between audiences."""
        message = f"pairwise:{audience}:{holder_id}".encode()
        return hmac.digest(self._key, message, "sha256").hex()[:40]
