"""Which clients have signed a person in during one sign-in here, and who of them is still to hear that it is over."""

import datetime as dt
from collections.abc import Collection

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, exists, insert, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from consent.clients import Client
from dataspace import outbox
from dataspace.db import Model, connection, db, delete_some, new_id
from dataspace.outbox import Posted
from dataspace.signins import LIFE, SignIn

OUTBOX = "logout"
NOTICES_KEPT = dt.timedelta(days=30)  # so that an administrator can see which client does not take them


class ClientSession(Model):
    """One client in one sign-in. ``sid``: what its ID tokens call it; ``subject``: whom the client knows."""

    __tablename__ = "client_sessions"
    __table_args__ = (UniqueConstraint("signin_id", "client_id"), Index(None, "expires_at"))
    sid: Mapped[str] = mapped_column(String(40), primary_key=True)
    signin_id: Mapped[str] = mapped_column(String(40))
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id"))
    subject: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    ended_at: Mapped[dt.datetime | None]


class LogoutNotice(Posted, Model):
    """A logout token to be delivered (OpenID Connect Back-Channel Logout)."""

    __tablename__ = "logout_notices"
    __table_args__ = (Index(None, "due_at"), Index(None, "created_at"), Index(None, "client_id", "created_at"))
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id"))
    sid: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(80))


def join(signin_id: str, client_id: str, subject: str, now: dt.datetime) -> str | None:
    """The ``sid`` of this client in this sign-in, the same for as long as the sign-in goes on, in one statement.

    None when the sign-in is over. Its row is locked: whoever ends it at this moment waits, and then finds the client.
    """
    alive = (
        select(
            literal(new_id("sid")),
            SignIn.signin_id,
            literal(client_id),
            literal(subject),
            literal(now, SignIn.created_at.type),
            literal(now + LIFE, SignIn.created_at.type),
        )
        .where(SignIn.signin_id == signin_id, SignIn.ended_at.is_(None))
        .with_for_update(read=True)
    )
    link = connection()
    made = (postgresql if link.dialect.name == "postgresql" else sqlite).insert(ClientSession)
    columns = ("sid", "signin_id", "client_id", "subject", "created_at", "expires_at")
    statement = (
        made.from_select(columns, alive)
        .on_conflict_do_update(
            index_elements=["signin_id", "client_id"],
            set_={"subject": made.excluded.subject, "expires_at": made.excluded.expires_at},
        )
        .returning(ClientSession.sid)
    )
    return link.execute(statement).scalar()


def find(signin_id: str, client_id: str) -> ClientSession | None:
    """The part of a client in a sign-in."""
    return db.session.scalar(select(ClientSession).filter_by(signin_id=signin_id, client_id=client_id))


def end(signin_ids: Collection[str], now: dt.datetime) -> int:
    """These sign-ins are over: note who is to be told, in this transaction; returns how many."""
    ended = db.session.execute(
        update(ClientSession)
        .where(ClientSession.signin_id.in_(signin_ids), ClientSession.ended_at.is_(None))
        .values(ended_at=now)
        .returning(ClientSession.client_id, ClientSession.sid, ClientSession.subject)
        .execution_options(synchronize_session=False)
    ).all()
    clients = Client.client_id.in_({client_id for client_id, _sid, _subject in ended})
    wishes = {
        row.client_id: row.options
        for row in db.session.execute(select(Client.client_id, Client.options).where(clients))
    }
    notices = [
        {"client_id": client_id, "sid": sid, "subject": subject, "created_at": now, "due_at": now}
        for client_id, sid, subject in ended
        if wishes[client_id].get("backchannel_logout_uri")
    ]
    if notices:
        db.session.execute(insert(LogoutNotice), notices)
        outbox.mark(OUTBOX)
    return len(notices)


def undelivered(client_id: str, limit: int = 10) -> list[LogoutNotice]:
    """The latest notices that this client has not taken, for administrators."""
    return outbox.undelivered(LogoutNotice, LogoutNotice.client_id == client_id, limit=limit)


def sweep(now: dt.datetime, limit: int = 1000) -> int:
    """Delete up to ``limit`` sessions of sign-ins that are over; returns how many. A renewed sign-in keeps its own."""
    goes_on = exists().where(
        SignIn.signin_id == ClientSession.signin_id, SignIn.ended_at.is_(None), SignIn.expires_at > now
    )
    return delete_some(
        ClientSession, ClientSession.expires_at <= now, ~goes_on, by=ClientSession.expires_at, limit=limit
    )


def sweep_notices(now: dt.datetime, limit: int = 1000) -> int:
    """Delete up to ``limit`` notices of long ago, delivered or given up; returns how many."""
    old = LogoutNotice.created_at <= now - NOTICES_KEPT
    return delete_some(LogoutNotice, old, by=LogoutNotice.created_at, limit=limit)
