"""What a read of data asks first: the token with its consent and all that decides about it, and its proof remembered.

On the path of every read, so one statement where the database is at the other end of a network. On SQLite, which has
neither a network in between nor writing in a query, two.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import LargeBinary, String, bindparam, func, select
from sqlalchemy.dialects import postgresql

from consent.clients import Client
from consent.oauth import replay
from consent.oauth.dpop import VerifiedProof
from consent.oauth.replay import SeenJti
from consent.oauth.tokens import Readable, Token, digest_of
from consent.records import Consent, ConsentVersion, facts_query
from dataspace.db import UTCDateTime, connection, table_of


class ReadableToken(Readable, Protocol):
    """An access token for the data API; no more columns than a read needs."""

    kind: str
    revoked_at: dt.datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """``is_first``: the proof is bound to the key of the token and was not seen before; it is used up now."""

    token: ReadableToken
    is_first: bool


_token = table_of(Token).c
_seen = table_of(SeenJti)
_FIND = (
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
        _token.client_id,
        _token.kind,
        _token.jkt,
        _token.x5t,
        _token.resource,
        _token.auth_time,
        _token.acr,
        _token.revoked_at,
        _token.expires_at.label("dies_at"),
    )
    .join(table_of(Token), _token.consent_id == Consent.consent_id)
    .join(
        ConsentVersion,
        (ConsentVersion.consent_id == Consent.consent_id) & (ConsentVersion.version == Consent.version),
    )
    .where(_token.digest == bindparam("digest"))
)
# Only the proofs of keys that tokens are bound to are kept: nobody else can fill the table.
_proved = table_of(Token).alias("proved")
_remembered = (
    postgresql.insert(_seen)
    .from_select(
        ["digest", "expires_at"],
        select(bindparam("seen", type_=LargeBinary()), bindparam("until", type_=UTCDateTime())).where(
            select(_proved.c.digest)
            .where(_proved.c.digest == bindparam("digest"), _proved.c.jkt == bindparam("jkt", type_=String()))
            .exists()
        ),
    )
    .on_conflict_do_nothing()
    .returning(_seen.c.digest)
    .cte("remembered")
)
_FIND_AND_REMEMBER = _FIND.add_columns(
    select(func.count()).select_from(_remembered).scalar_subquery().label("firsts")
).add_cte(_remembered)


def find(unverified_token: str, proof: VerifiedProof | None) -> Found | None:
    """The token behind what was presented; a ``proof`` that is of its key is remembered in the same statement."""
    link, asked = connection(), {"digest": digest_of(unverified_token)}
    if proof is not None and link.dialect.name == "postgresql":
        seen = {"seen": replay.digest_of("dpop", proof.jkt, proof.jti), "until": proof.expires_at, "jkt": proof.jkt}
        row: Any = link.execute(_FIND_AND_REMEMBER, asked | seen).first()
        return None if row is None else Found(token=row, is_first=row.firsts == 1)
    row = link.execute(_FIND, asked).first()
    if row is None:
        return None
    if proof is None or proof.jkt != row.jkt:
        return Found(token=row, is_first=False)
    return Found(token=row, is_first=replay.remember("dpop", proof.jkt, proof.jti, proof.expires_at))
