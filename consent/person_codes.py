"""Codes by which a holder lets a third party ask, without telling it who they are: read out once, good for one request.

A third party that brings a code learns nothing from the answer, whether there is such a code or not
(:mod:`consent.oauth.ciba`); the request then waits on the page of the holder who has made it.
"""

import datetime as dt

from sqlalchemy import ForeignKey, Index, Select, String, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from consent import short_codes
from dataspace.db import Model, db, delete_some
from dataspace.identifiers import BlindIndex
from dataspace.mandates import Actor

LIFE = dt.timedelta(minutes=10)
SCHEME = "person_code"


class PersonCode(Model):
    """``made_by``: the person, who may act for the holder. Gone as soon as it is used."""

    __tablename__ = "person_codes"
    __table_args__ = (Index(None, "expires_at"), Index(None, "holder_id", "made_by"))
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder_id: Mapped[str] = mapped_column(ForeignKey("holders.holder_id"))
    made_by: Mapped[str] = mapped_column(ForeignKey("holders.holder_id"))
    expires_at: Mapped[dt.datetime]


def make(actor: Actor, now: dt.datetime, *, index: BlindIndex) -> str:
    """A fresh code in the place of the last one that this person has made for this holder."""
    db.session.execute(delete(PersonCode).filter_by(holder_id=actor.holder_id, made_by=actor.person_id))
    code = short_codes.new()
    kept = short_codes.digest(code, scheme=SCHEME, index=index)
    row = PersonCode(digest=kept, holder_id=actor.holder_id, made_by=actor.person_id, expires_at=now + LIFE)
    db.session.add(row)
    db.session.flush()
    return code


def is_open(code: str, now: dt.datetime, *, index: BlindIndex) -> bool:
    """Whether a code still waits for a third party that brings it."""
    return db.session.scalar(_alive(code, now, index)) is not None


def use(unverified_code: str, now: dt.datetime, *, index: BlindIndex) -> str | None:
    """The holder whom a code stands for, once; of several who bring it at the same time one gets the holder."""
    row = db.session.scalar(_alive(unverified_code, now, index))
    if row is None:
        return None
    gone = delete(PersonCode).where(PersonCode.digest == row.digest).execution_options(synchronize_session=False)
    done = db.session.execute(gone)
    return row.holder_id if done.rowcount == 1 else None  # type: ignore[attr-defined]


def _alive(unverified_code: str, now: dt.datetime, index: BlindIndex) -> Select[PersonCode]:
    kept = short_codes.digest(unverified_code, scheme=SCHEME, index=index)
    return select(PersonCode).where(PersonCode.digest == kept, PersonCode.expires_at > now)


def sweep(now: dt.datetime, limit: int = 1000) -> int:
    """Remove up to ``limit`` codes that nobody has used in time; returns how many."""
    return delete_some(PersonCode, PersonCode.expires_at <= now, by=PersonCode.expires_at, limit=limit)
