"""How an answer travels through the browser: OAuth 2.0 Form Post Response Mode, JARM, and ``iss`` (RFC 9207).

One function, :func:`answer`, makes every answer of the authorization endpoint, with a code or with an error. Fragments
are not offered: nothing that we answer with is meant for a script in a page.
"""

import datetime as dt
import enum
import re
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from consent.history import Registry
from consent.keys import ALGORITHMS, KeyUse
from dataspace import jose

SIGNED_LIFE = dt.timedelta(minutes=5)  # JARM section 2.1 recommends at most 10 minutes
SIGNING_ALGORITHMS = ALGORITHMS[KeyUse.TOKENS]
_NO_PART_OF_A_HOST = re.compile(r"[^A-Za-z0-9._:\[\]-]")


class ResponseMode(enum.StrEnum):
    """The registered names. ``jwt`` is the signed form of what a response type uses by itself: for a code, query."""

    QUERY = "query"
    FORM_POST = "form_post"
    JWT = "jwt"
    QUERY_JWT = "query.jwt"
    FORM_POST_JWT = "form_post.jwt"

    @property
    def signed(self) -> bool:
        """Whether the answer is one JWT (JARM section 2.3)."""
        return self in (ResponseMode.JWT, ResponseMode.QUERY_JWT, ResponseMode.FORM_POST_JWT)

    @property
    def by_form(self) -> bool:
        """Whether the browser posts the answer; else it stands in the address."""
        return self in (ResponseMode.FORM_POST, ResponseMode.FORM_POST_JWT)


@dataclass(frozen=True, kw_only=True)
class WayBack:
    """Where and how a client wants to be answered. ``redirect_uri``: one that it has registered, nothing else."""

    client_id: str
    redirect_uri: str
    mode: ResponseMode
    signing_alg: str
    state: str | None

    @property
    def origin(self) -> str:
        """Where it leads, as a content security policy names it."""
        return origin_of(self.redirect_uri)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the browser brings to the client: ``fields`` by GET in the address, or ``by_form`` by POST."""

    redirect_uri: str
    fields: dict[str, str]
    by_form: bool

    @property
    def url(self) -> str:
        """The redirect URI, its own query untouched (RFC 6749 section 3.1.2), with the fields added; or nothing."""
        if not self.redirect_uri:
            return ""
        return f"{self.redirect_uri}{'&' if '?' in self.redirect_uri else '?'}{urlencode(self.fields)}"

    @property
    def origin(self) -> str:
        """Where it goes, as a content security policy names it."""
        return origin_of(self.redirect_uri)

    @property
    def host(self) -> str:
        """Where it goes, as a person reads it."""
        return urlsplit(self.redirect_uri).hostname or ""

    def to_document(self) -> dict[str, Any]:
        """As it is kept in the browser's session between two pages."""
        return {"redirect_uri": self.redirect_uri, "fields": self.fields, "by_form": self.by_form}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """The inverse of :meth:`to_document`."""
        return cls(**document)


# For a client that waits at another screen: no browser brings it anything.
NOWHERE = Answer(redirect_uri="", fields={}, by_form=False)


def origin_of(redirect_uri: str) -> str:
    """Scheme, host and port of a registered redirect URI; nothing else of it gets into a header."""
    parts = urlsplit(redirect_uri)
    return f"{parts.scheme}://{re.sub(_NO_PART_OF_A_HOST, '', parts.netloc)}"


def find(name: str, *, signing_alg: str) -> ResponseMode | None:
    """The mode of this name, "" for the default; None if it is not offered, or not signed with ``signing_alg``."""
    try:
        mode = ResponseMode(name or ResponseMode.QUERY)
    except ValueError:
        return None
    return None if mode.signed and signing_alg not in SIGNING_ALGORITHMS else mode


def answer(way: WayBack, said: dict[str, str], now: dt.datetime, *, registry: Registry) -> Answer:
    """``said`` with state and iss: plain (RFC 9207 section 2), or as one signed response (JARM section 2.1)."""
    fields = {name: value for name, value in said.items() if value}
    if way.state:
        fields["state"] = way.state
    fields["iss"] = registry.issuer
    if way.mode.signed:
        fields = {"response": _signed(fields, way, now, registry)}
    return Answer(redirect_uri=way.redirect_uri, fields=fields, by_form=way.mode.by_form)


def _signed(fields: dict[str, str], way: WayBack, now: dt.datetime, registry: Registry) -> str:
    claims = {"aud": way.client_id, "exp": int((now + SIGNED_LIFE).timestamp()), **fields}
    key = registry.keyring.signing_key(KeyUse.TOKENS, now, way.signing_alg)
    return jose.sign(claims, key, typ="JWT")
