"""Codes that people read from a screen, type, or read out: a few letters, kept as keyed digests only."""

import secrets
import unicodedata

from dataspace.identifiers import BlindIndex, Identifier

ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"  # RFC 8628 section 6.1: no vowels, so no words; nothing that is taken for a digit
LENGTH = 8  # 34 bits, for minutes, behind a rate limit: section 5.1


def new() -> str:
    """A fresh code in two groups, as it is shown."""
    return in_groups("".join(secrets.choice(ALPHABET) for _ in range(LENGTH)))


def in_groups(unverified_code: str) -> str:
    """A code as it is shown: two groups of four. Whatever else was typed is left out (section 6.1)."""
    letters = _letters(unverified_code)
    return "-".join(letters[i : i + 4] for i in range(0, len(letters), 4))


def digest(unverified_code: str, *, scheme: str, index: BlindIndex) -> str:
    """What is kept of a code. Keyed, because a plain digest of so few letters can be reversed by trying."""
    return index.of(Identifier(_letters(unverified_code), scheme))


def _letters(unverified_code: str) -> str:
    plain = unicodedata.normalize("NFKC", unverified_code[:100]).upper()
    return "".join(c for c in plain if c in ALPHABET)[: LENGTH + 1]
