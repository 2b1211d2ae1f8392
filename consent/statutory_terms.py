"""What one request by law asks: parsed from ``authorization_details`` (RFC 9396), type ``data_space_statutory_access``.

Shape only; whether the authority may read it is decided in :mod:`consent.statutory_admission`.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

from jsonschema import Draft202012Validator

from consent.terms import InvalidTerms, checked

TYPE = "data_space_statutory_access"
SCHEMA = json.loads((Path(__file__).parent / "schemas" / "statutory_access.schema.json").read_text("utf-8"))
_validator = Draft202012Validator(SCHEMA)


@dataclass(frozen=True, kw_only=True)
class Demand:
    """One case about one holder under one power. Empty ``items``: all that the power names.

    ``defer_days``: for how many days the holder is to be told later; 0: at once.
    """

    power_id: str
    holder_kind: str
    unverified_identifier: str = field(repr=False)
    case_no: str
    reason: str
    items: tuple[str, ...]
    defer_days: int


def parse(text: str | None) -> Demand:
    """Parse the ``authorization_details`` parameter. Raises InvalidTerms."""
    detail = checked(text, _validator)
    if not detail["reason"].strip() or not detail["reason"].isprintable() or not detail["case_no"].isprintable():
        raise InvalidTerms("reason and case_no are words in one line")
    return Demand(
        power_id=detail["power"],
        holder_kind=detail["holder"]["kind"],
        unverified_identifier=detail["holder"]["identifier"],
        case_no=detail["case_no"],
        reason=detail["reason"].strip(),
        items=tuple(detail.get("items", ())),
        defer_days=detail.get("defer_days", 0),
    )
