"""What was seen already: the identifiers (jti) of client assertions and DPoP proofs, each accepted once.

Only a digest is kept, until the signed message would be refused for its age alone. The row belongs to the request's
transaction: whoever refuses a request after remembering must still commit, or the same message may be tried again.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping
from types import MappingProxyType

from sqlalchemy import Index, LargeBinary
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from dataspace.db import Model, connection, delete_some, table_of
from dataspace.prepared import Prepared


class SeenJti(Model):
    """``digest``: SHA-256 of kind, owner and jti."""

    __tablename__ = "seen_jtis"
    __table_args__ = (Index(None, "expires_at"),)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    expires_at: Mapped[dt.datetime]


_TABLE = table_of(SeenJti)
# Both databases spell it alike, but SQLAlchemy has one construct for each, and on PostgreSQL it reads the row count of
# an INSERT (-1 otherwise) only when asked to preserve it.
_INSERT: Mapping[str, Prepared] = MappingProxyType(
    {
        "postgresql": Prepared(postgresql.insert(_TABLE).on_conflict_do_nothing()),
        "sqlite": Prepared(sqlite.insert(_TABLE).on_conflict_do_nothing()),
    }
)


def digest_of(kind: str, owner: str, jti: str) -> bytes:
    """What is kept of a jti."""
    # Length before each part: no two lists of parts run together into the same bytes.
    parts = "".join(f"{len(part)}:{part}" for part in (kind, owner, jti))
    return hashlib.sha256(parts.encode()).digest()


def remember(kind: str, owner: str, jti: str, expires_at: dt.datetime) -> bool:
    """Whether this jti of this owner is new, in one statement; of two requests at once only one hears yes.

    ``owner``: the client, or the key's thumbprint; ``expires_at``: when the message is too old anyhow.
    """
    row = {"digest": digest_of(kind, owner, jti), "expires_at": expires_at}
    return _INSERT[connection().dialect.name].run(row) == 1


def sweep(now: dt.datetime, limit: int = 1000) -> int:
    """Forget up to ``limit`` that have expired; returns how many."""
    return delete_some(SeenJti, SeenJti.expires_at <= now, by=SeenJti.expires_at, limit=limit)
