"""Checking a receipt that somebody brings: is it ours, and unchanged? If not, which part does not fit.

Nothing is looked up: whoever has only the number of a receipt learns nothing of it here, whatever is tried.
"""

import datetime as dt
import enum
import json
from dataclasses import dataclass
from typing import Any

from consent import receipts
from consent.keys import Keyring, KeyUse
from dataspace import jose
from dataspace.jose import InvalidToken, UnknownKey

MAX_BYTES = 192 * 1024  # fits into a form with everything around it; an honest one has about 30 k


class Verdict(enum.StrEnum):
    GENUINE = "genuine"
    ALTERED = "altered"
    FOREIGN = "foreign"  # signed by a key that is none of ours
    RESAVED = "resaved"  # the file is not as it was downloaded; what it says cannot be compared with its signature
    UNREADABLE = "unreadable"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What came out. ``content``: of a genuine receipt only.

    ``wrong``: of an altered one the parts that do not fit, as {name: part}, with words that anybody may have put there.
    """

    verdict: Verdict
    content: dict[str, Any] | None = None
    wrong: dict[str, Any] | None = None


def check(unverified: bytes, now: dt.datetime, *, keyring: Keyring) -> Finding:
    """Check a receipt in either form. Never raises for what is brought."""
    try:
        compact, resaved = _compact(unverified)
        token = jose.read(compact, longest=2 * MAX_BYTES)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidToken):
        return Finding(verdict=Verdict.UNREADABLE)
    if resaved:
        return Finding(verdict=Verdict.RESAVED)
    try:
        kid = str(token.header.get("kid"))
        key = keyring.verification_key(kid, purpose=KeyUse.RECORDS, now=now)
        verified = jose.verify_bytes(token, key, algorithms={"ES256"}, expected_typ=receipts.TYP)
    except UnknownKey:
        return Finding(verdict=Verdict.FOREIGN)
    except InvalidToken:
        return Finding(verdict=Verdict.ALTERED, wrong=_wrong(token.payload))
    return Finding(verdict=Verdict.GENUINE, content=json.loads(verified.payload))


def _compact(unverified: bytes) -> tuple[str, bool]:
    """The compact JWS, and whether the file was saved anew in another form."""
    if len(unverified) > MAX_BYTES:
        raise ValueError("too large")
    text = unverified.strip()
    if not text.startswith(b"{"):
        return text.decode("ascii"), False
    whole = json.loads(text)
    header, nothing, signature = whole["signature"].split(".")
    if nothing or set(whole) != {"receipt", "signature", "evidence"} or whole["evidence"] is not None:
        raise ValueError("another file")
    payload = jose.canonical(whole["receipt"])
    # The canonical form of a receipt shows every change; in any other form a second member of a name could hide.
    return f"{header}.{jose.b64encode(payload)}.{signature}", jose.canonical(whole) != text


def _wrong(payload: bytes) -> dict[str, Any]:
    """The parts that do not fit their digests; empty when that cannot be told."""
    try:
        content = json.loads(payload)
        parts, digests = receipts.parts(content), content["digests"]
        return {name: part for name, part in parts.items() if jose.digest(part) != digests.get(name)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidToken):
        return {}
