"""What codes and tokens are bound to: a consent with all that decides about it, a client, a key, and a sign-in.

They are random secrets, of which digests are kept.
"""

import datetime as dt
import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Select, Table, bindparam

from consent.clients import Client
from consent.records import CURRENT_VERSION, Consent, ConsentVersion, Facts, facts_query


def new_secret(prefix: str) -> str:
    """A bearer secret of 256 random bits."""
    return prefix + secrets.token_urlsafe(32)


def digest_of(secret: str) -> bytes:
    """What is kept of a secret. A plain digest will do: nobody finds 256 random bits by trying."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True, kw_only=True)
class SignInFacts:
    """When and how the person signed in: what ID tokens and introspection tell (OpenID Connect Core section 2)."""

    auth_time: dt.datetime
    acr: str
    amr: str


class Readable(Facts, Protocol):
    """What reading asks of a token or code: its consent as it is now, for whom, and by which key it is held."""

    consent_id: str
    consent_kind: str
    version: int
    space_id: str
    purpose_code: str
    purpose_text: dict[str, Any]
    reference_no: str | None
    frequency: dict[str, Any] | None
    case_required: bool
    granted: list[dict[str, Any]]
    legal_name: dict[str, Any]
    client_options: dict[str, Any]
    client_id: str
    jkt: str | None
    x5t: str | None
    resource: str
    auth_time: dt.datetime
    acr: str
    dies_at: dt.datetime


class Bound(Readable, Protocol):
    """What a code or token is bound to: its consent with all facts, as granted now, and the sign-in behind it."""

    holder_id: str
    client_profile: str
    client_redirect_uris: list[str]
    digest: bytes
    scope: str
    claims: dict[str, Any] | None
    sid: str | None
    amr: str
    issued_at: dt.datetime


class Held(Protocol):
    """By which keys a token is held: thumbprints of a DPoP key and of a certificate."""

    @property
    def jkt(self) -> str | None: ...
    @property
    def x5t(self) -> str | None: ...


def confirmation(held: Held) -> dict[str, str]:
    """The cnf member (RFC 7800, 9449 section 6.1, 8705 section 3.1); empty for a token that nothing holds."""
    said = {"jkt": held.jkt, "x5t#S256": held.x5t}
    return {name: thumbprint for name, thumbprint in said.items() if thumbprint is not None}


class Mortal(Protocol):
    """What time ends."""

    dies_at: dt.datetime


def ended_early(bound: Mortal, ended_at: dt.datetime | None) -> bool:
    """Whether it was used up or revoked before its time; what time has ended is noted with its own last moment."""
    return ended_at is not None and ended_at < bound.dies_at


def readable(table: Table, *names: str, more: Iterable[Any] = ()) -> Select[Any]:
    """A SELECT of :class:`Readable`: one row of ``table`` by digest, with its consent and all that decides about it.

    ``names``: other columns of it; ``more``: of other tables.
    """
    own = ("client_id", "jkt", "x5t", "resource", "auth_time", "acr", *names)
    statement: Select[Any] = (
        facts_query(
            Consent.kind.label("consent_kind"),
            Consent.version,
            Consent.space_id,
            Consent.purpose_code,
            Consent.purpose_text,
            Consent.reference_no,
            Consent.frequency,
            Consent.case_required,
            ConsentVersion.granted,
            Client.legal_name,
            Client.options.label("client_options"),
            table.c.expires_at.label("dies_at"),
            *(table.c[name] for name in own),
            *more,
        )
        .join(table, table.c.consent_id == Consent.consent_id)
        .join(ConsentVersion, CURRENT_VERSION)
        .where(table.c.digest == bindparam("digest"))
    )
    return statement


def query(table: Table, *names: str) -> Select[Any]:
    """The same of :class:`Bound`."""
    profile, addresses = Client.profile.label("client_profile"), Client.redirect_uris.label("client_redirect_uris")
    own = ("digest", "scope", "claims", "sid", "amr", "issued_at", *names)
    return readable(table, *own, more=(Consent.holder_id, profile, addresses))
