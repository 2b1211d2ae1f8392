"""Initial access tokens (RFC 7591 section 3): with one of them a stranger may register one client."""

import datetime as dt
import hashlib
import secrets

from sqlalchemy import Index, String, select, update
from sqlalchemy.orm import Mapped, mapped_column

from consent import interventions
from consent.clients import Profile
from dataspace.db import Model, connection, db, delete_some
from dataspace.errors import Conflict, NotFound

PREFIX = "dsi_"  # a mark by which found secrets are recognised
LIFE = dt.timedelta(days=7)
LONGEST = dt.timedelta(days=90)
MAX_NOTE = 200

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


def digest_of(token: str) -> str:
    """What is stored of a token. They are random, so nothing slower than SHA-256 is needed."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def issue(profile: Profile, now: dt.datetime, *, actor_id: str, note: str = "", life: dt.timedelta = LIFE) -> str:
    """A new token, returned once; only its digest is kept. ``note``: for whom, in the administrator's words."""
    token = PREFIX + secrets.token_urlsafe(32)
    db.session.add(
        InitialAccessToken(
            digest=digest_of(token), profile=profile, note=" ".join(note.split())[:MAX_NOTE], created_by=actor_id,
            created_at=now, expires_at=now + min(life, LONGEST),
        )
    )  # fmt: skip
    interventions.note("invitation:issued", now, actor_id=actor_id, text=note)
    return token


def find(unverified_token: str, now: dt.datetime) -> InitialAccessToken | None:
    """The token if it may still be used."""
    found = db.session.get(InitialAccessToken, digest_of(unverified_token))
    return found if found is not None and found.used_at is None and now < found.expires_at else None


def use(digest: str, client_id: str, now: dt.datetime) -> bool:
    """Use the token up for this client; False when another request was faster, or it was revoked meanwhile."""
    statement = (
        update(InitialAccessToken)
        .where(InitialAccessToken.digest == digest, InitialAccessToken.used_at.is_(None))
        .where(InitialAccessToken.expires_at > now)
        .values(used_at=now, client_id=client_id)
    )
    return connection().execute(statement).rowcount == 1


def revoke(digest: str, now: dt.datetime, *, actor_id: str) -> None:
    """End a token that nobody has used. Raises NotFound, Conflict."""
    found = db.session.get(InitialAccessToken, digest)
    if found is None:
        raise NotFound("no such initial access token")
    unused = (InitialAccessToken.used_at.is_(None), InitialAccessToken.expires_at > now)
    ended = update(InitialAccessToken).where(InitialAccessToken.digest == digest, *unused).values(expires_at=now)
    if connection().execute(ended).rowcount != 1:
        raise Conflict("used or expired")
    db.session.expire(found)
    interventions.note("invitation:revoked", now, actor_id=actor_id, text=found.note)


def latest(limit: int = 100) -> list[InitialAccessToken]:
    """The latest tokens, newest first."""
    newest = InitialAccessToken.created_at.desc()
    return list(db.session.scalars(select(InitialAccessToken).order_by(newest).limit(limit)))


def sweep(now: dt.datetime, limit: int = 1000) -> int:
    """Delete up to ``limit`` that expired long ago; returns how many. Who registered is in the client's own history."""
    over = InitialAccessToken.expires_at <= now - KEPT
    return delete_some(InitialAccessToken, over, by=InitialAccessToken.expires_at, limit=limit)
