"""Resource servers beside the data API: whom access tokens may be meant for (RFC 8707), and in which form they come."""

import datetime as dt

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from dataspace.db import Model


class Resource(Model):
    """A registered resource server. ``uri``: its identifier; ``token_format``: "opaque" or "jwt" (RFC 9068).

    ``client_id``: who may introspect tokens for it (RFC 7662 section 2.1), besides the client that holds them.
    """

    __tablename__ = "resources"
    uri: Mapped[str] = mapped_column(String(400), primary_key=True)
    token_format: Mapped[str] = mapped_column(String(10), default="opaque")
    client_id: Mapped[str | None] = mapped_column(ForeignKey("clients.client_id"))
    created_at: Mapped[dt.datetime]
