"""What arrives at the endpoints: parameters in form encoding, each at most once (RFC 6749 section 3.1, appendix B).

One may be repeated, ``resource`` (RFC 8707 section 2): its values come joined by spaces, which no URI contains.

Parsed here and not by the web framework, which repairs what is broken: a server that guesses what was meant can be
made to see something else than the checks in front of it.
"""

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Payload, OAuth2Request

from consent.oauth.possession import Sender

FORM = "application/x-www-form-urlencoded"
MAX_PARAMETERS = 60
MAX_VALUE = 20_000  # characters; authorization_details and signed assertions are the longest honest ones
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_IN_JSON = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # JSON may be written over several lines
JSON_PARAMETERS = frozenset({"authorization_details", "claims"})
REPEATABLE = "resource"  # RFC 8707 section 2; its values, joined by spaces, are no other URI


class Headers(Protocol):
    """Request headers, looked up without regard to case."""

    def get(self, key: str) -> str | None:
        """The first value."""

    def getlist(self, key: str) -> list[str]:
        """Every value."""


def parse(raw: bytes) -> dict[str, str]:
    """The parameters of a query or a body; those without a value are left out. Raises InvalidRequestError."""
    try:
        text = raw.decode("utf-8")
        if _BROKEN_ESCAPE.search(text):
            raise InvalidRequestError("malformed form encoding")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except UnicodeDecodeError:
        raise InvalidRequestError("the parameters are not UTF-8") from None
    except ValueError:
        raise InvalidRequestError("too many parameters") from None
    once = [name for name, _value in pairs if name != REPEATABLE]
    if len(set(once)) != len(once):
        raise InvalidRequestError("a parameter is included more than once")
    for name, value in pairs:
        check(name, value)
    found = {name: value for name, value in pairs if value}
    if REPEATABLE in found:
        found[REPEATABLE] = " ".join(value for name, value in pairs if name == REPEATABLE and value)
    return found


def check(name: str, value: str) -> None:
    """What no parameter may hold, wherever it comes from. Raises InvalidRequestError."""
    forbidden = _CONTROL_IN_JSON if name in JSON_PARAMETERS else _CONTROL
    if _CONTROL.search(name) or forbidden.search(value):
        raise InvalidRequestError("a parameter contains control characters")
    if len(name) > 100 or len(value) > MAX_VALUE:
        raise InvalidRequestError("a parameter is too long")


class Payload(OAuth2Payload):  # type: ignore[misc]
    """The parameters as Authlib reads them."""

    def __init__(self, parameters: dict[str, str]) -> None:
        self._parameters = parameters

    @property
    def data(self) -> dict[str, str]:
        return self._parameters

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        return defaultdict(list, {name: [value] for name, value in self._parameters.items()})


class FormRequest(OAuth2Request):  # type: ignore[misc]
    """One request to an endpoint: its parameters, the moment it is judged at, and what its grant will issue."""

    def __init__(
        self, *, url: str, headers: Headers, parameters: dict[str, str], sender: Sender, now: dt.datetime
    ) -> None:
        super().__init__(sender.method, url, headers=headers)
        self.sender = sender
        self.payload = Payload(parameters)
        self.now = now
        self.issue: Any = None  # consent.oauth.tokens.Issue
        self.jkt: str | None = None  # the key that was proved
        self.x5t: str | None = None  # the certificate that tokens will be bound to
        self.resource = ""  # whom the access token is for, as tokens keep it (RFC 8707)

    @property
    def form(self) -> Mapping[str, str]:
        data: dict[str, str] = self.payload.data
        return data
