"""Initial access tokens (RFC 7591 section 3): with one of them a stranger may register one client."""

import datetime as dt

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from dataspace.db import Model, delete_some

KEPT = dt.timedelta(days=30)  # after its end, so that one can look up who used it


class InitialAccessToken(Model):
    """``digest``: of the secret; ``profile``: of the client it may register; used once."""

    __tablename__ = "initial_access_tokens"
    __table_args__ = (Index(None, "expires_at"),)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    profile: Mapped[str] = mapped_column(String(10))
    note: Mapped[str] = mapped_column(String(200), default="")
    created_by: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    used_at: Mapped[dt.datetime | None]
    client_id: Mapped[str | None] = mapped_column(String(80))


def sweep(now: dt.datetime, limit: int = 1000) -> int:
    """Delete up to ``limit`` that expired long ago; returns how many. Who registered is in the client's own history."""
    over = InitialAccessToken.expires_at <= now - KEPT
    return delete_some(InitialAccessToken, over, by=InitialAccessToken.expires_at, limit=limit)
