"""What one request asks: parsed from ``authorization_details`` (RFC 9396), type ``data_space_access``.

Shape only; whether the client may ask it is decided in :mod:`consent.purposes`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from dataspace.errors import DomainError

TYPE = "data_space_access"
MAX_BYTES = 16 * 1024
SCHEMA = json.loads((Path(__file__).parent / "schemas" / "authorization_details.schema.json").read_text("utf-8"))
_validator = Draft202012Validator(SCHEMA)


class InvalidTerms(DomainError):
    """OAuth error ``invalid_authorization_details`` (RFC 9396 section 5); ``detail`` is safe to show to the client."""

    code = "invalid_authorization_details"
    sentence = "The request asks for something that it may not ask for."


@dataclass(frozen=True, kw_only=True)
class AskedItem:
    """One item of a request; None or empty means: as registered."""

    item_id: str
    fields: tuple[str, ...] = ()
    necessity: str | None = None
    months: int | None = None
    delivery: str | None = None


@dataclass(frozen=True, kw_only=True)
class Terms:
    """One request: exactly one purpose. Empty ``items`` means all that is registered for the purpose."""

    purpose_code: str
    items: tuple[AskedItem, ...]
    mode: str | None
    max_reads: int | None
    duration_days: int | None
    reference_no: str | None
    locations: tuple[str, ...] = ()  # RFC 9396 section 2.2, unchecked; empty: not said


def whole(purpose_code: str) -> Terms:
    """All that is registered for a purpose, as registered."""
    return Terms(purpose_code=purpose_code, items=(), mode=None, max_reads=None, duration_days=None, reference_no=None)


def parse(text: str | None) -> Terms:
    """Parse the ``authorization_details`` parameter. Raises InvalidTerms."""
    return _terms(checked(text, _validator))


def checked(text: str | None, validator: Draft202012Validator) -> dict[str, Any]:
    """The one object of an ``authorization_details`` parameter that follows a schema. Raises InvalidTerms."""
    if not text:
        raise InvalidTerms("authorization_details is missing")
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise InvalidTerms("authorization_details is too large")
    try:
        return _checked(text, validator)
    except ValueError:
        raise InvalidTerms("authorization_details is not JSON") from None
    except RecursionError:
        raise InvalidTerms("authorization_details is nested too deeply") from None


def _checked(text: str, validator: Draft202012Validator) -> dict[str, Any]:
    details = json.loads(text)
    if isinstance(details, list) and len(details) > 1:
        raise InvalidTerms("one request has exactly one purpose: send one authorization_details object")
    error = best_match(validator.iter_errors(details))
    if error is not None:
        raise InvalidTerms(f"authorization_details{_pointer(error.absolute_path)}: {_said(error.message)}")
    detail: dict[str, Any] = details[0]
    return detail


def _terms(detail: dict[str, Any]) -> Terms:
    items = tuple(
        AskedItem(
            item_id=i["item"],
            fields=tuple(i.get("fields", ())),
            necessity=i.get("necessity"),
            months=i.get("period", {}).get("months"),
            delivery=i.get("delivery"),
        )
        for i in detail.get("items", ())
    )
    repeated = [i.item_id for n, i in enumerate(items) if i.item_id in [j.item_id for j in items[:n]]]
    if repeated:
        raise InvalidTerms(f"item {repeated[0]} is named twice")
    use = detail.get("use", {})
    return Terms(
        purpose_code=detail["purpose"],
        items=items,
        mode=use.get("mode"),
        max_reads=use.get("max_reads"),
        duration_days=detail.get("duration", {}).get("days"),
        reference_no=detail.get("reference_no"),
        locations=tuple(detail.get("locations", ())),
    )


def _pointer(path: Any) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)


def _said(message: str) -> str:
    """The schema's message in the characters that error_description allows (RFC 6749 section 5.2)."""
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "'" for c in message)[:200]
