"""Which clients have signed a person in during one sign-in here, and who of them is still to hear that it is over."""

import datetime as dt

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dataspace.db import Model, RowId


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


class LogoutNotice(Model):
    """A logout token to be delivered (OpenID Connect Back-Channel Logout). ``due_at``: the next try; NULL: no more."""

    __tablename__ = "logout_notices"
    __table_args__ = (Index(None, "due_at"), Index(None, "created_at"))
    notice_id: Mapped[int] = mapped_column(RowId, primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id"))
    sid: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[dt.datetime]
    due_at: Mapped[dt.datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    delivered_at: Mapped[dt.datetime | None]
    problem: Mapped[str] = mapped_column(String(200), default="")
