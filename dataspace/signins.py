"""Sign-ins: a person who proved a passkey, and whom this person acts for until signing out.

The browser holds a random secret; only its digest is here. Everything that can end a sign-in (time, idleness, the
mandate in use, the administrator's role, a closed space) is looked at on every request, in one query.
"""

import datetime as dt
import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ForeignKey, Index, Select, String, and_, or_, select, update
from sqlalchemy.orm import Mapped, aliased, mapped_column

from dataspace import holders, mandates
from dataspace.db import Model, db, delete_some, new_id
from dataspace.errors import NotAllowed
from dataspace.holders import Holder, HolderRole, Role
from dataspace.mandates import Actor, Capacity, Mandate
from dataspace.passkeys import VerifiedSignIn

ACR_PASSKEY = "urn:dataspace:acr:passkey"
AMR_PASSKEY = ("pop", "user", "mfa")  # RFC 8176: possession of a key, presence, and user verification as second factor
LIFE = dt.timedelta(hours=12)  # NIST SP 800-63B-4 section 2.2.3: at most 24 hours at AAL2
SEEN_EVERY = dt.timedelta(minutes=1)
KEPT = dt.timedelta(days=180)  # after its end


class SignIn(Model):
    """One sign-in of one person. ``holder_id`` is NULL for an administrator, who acts for no holder."""

    __tablename__ = "signins"
    __table_args__ = (Index(None, "person_id"), Index(None, "expires_at"))
    signin_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    secret_digest: Mapped[str] = mapped_column(String(64), unique=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("holders.holder_id"))
    passkey_id: Mapped[str] = mapped_column(String(40))  # no foreign key: the passkey may be removed later
    auth_time: Mapped[dt.datetime]
    acr: Mapped[str] = mapped_column(String(60))
    amr: Mapped[list[Any]]
    holder_id: Mapped[str | None] = mapped_column(ForeignKey("holders.holder_id"))
    capacity: Mapped[str] = mapped_column(String(24))
    mandate_id: Mapped[str | None] = mapped_column(ForeignKey("mandates.mandate_id"))
    created_at: Mapped[dt.datetime]
    last_seen_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    ended_at: Mapped[dt.datetime | None]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Somebody a person may act for. ``holder_id`` is empty and ``mandate_id`` None as in an Actor."""

    capacity: Capacity
    holder_id: str
    mandate_id: str | None = None

    @property
    def key(self) -> str:
        """What names the choice in a form."""
        return self.mandate_id or self.capacity.value


@dataclass(frozen=True)
class Visit:
    """The actor of one request. ``unseen``: it is time to note that the person was here (:func:`seen`)."""

    actor: Actor
    unseen: bool


def start(verified: VerifiedSignIn, now: dt.datetime) -> str:
    """Add a sign-in, acting for oneself, to the session; returns the secret for the browser.

    What ``verified`` replaces, the caller ends before (:func:`end_all`): somebody may have to be told.
    """
    secret = f"dss_{secrets.token_urlsafe(32)}"
    db.session.add(
        SignIn(
            signin_id=new_id("sgn"),
            secret_digest=_digest(secret),
            person_id=verified.person_id,
            passkey_id=verified.passkey_id,
            auth_time=verified.at,
            acr=ACR_PASSKEY,
            amr=list(AMR_PASSKEY),
            holder_id=verified.person_id,
            capacity=Capacity.SELF,
            created_at=now,
            last_seen_at=now,
            expires_at=now + LIFE,
        )
    )
    db.session.flush()
    return secret


def renew(unverified_secret: str, verified: VerifiedSignIn, now: dt.datetime, *, acting: Choice) -> str | None:
    """The same person proved the passkey once more in the same browser: one sign-in goes on, under a new secret.

    So third parties do not hear that it is over. ``acting``: one of the person's choices of now. None when the sign-in
    is unknown, over, or another person's.
    """
    secret = f"dss_{secrets.token_urlsafe(32)}"
    done = db.session.execute(
        update(SignIn)
        .where(
            SignIn.secret_digest == _digest(unverified_secret),
            SignIn.person_id == verified.person_id,
            SignIn.ended_at.is_(None),
            SignIn.expires_at > now,
        )
        .values(
            secret_digest=_digest(secret),
            passkey_id=verified.passkey_id,
            auth_time=verified.at,
            holder_id=acting.holder_id or None,
            capacity=acting.capacity,
            mandate_id=acting.mandate_id,
            last_seen_at=now,
            expires_at=now + LIFE,
        )
    )
    return secret if done.rowcount == 1 else None  # type: ignore[attr-defined]


def visit(unverified_secret: str, now: dt.datetime, *, idle: dt.timedelta) -> Visit | None:
    """Who is behind a browser's secret; None when the sign-in is unknown, over, idle, or no longer stands."""
    row = db.session.execute(_standing(_digest(unverified_secret), now, idle)).one_or_none()
    if row is None or (row.mandate_id is not None and not (row.Mandate and row.Mandate.in_force(now))):
        return None
    actor = Actor(
        signin_id=row.signin_id,
        person_id=row.person_id,
        holder_id=row.holder_id or "",
        space_id=row.space_id or "",
        capacity=Capacity(row.capacity),
        mandate_id=row.mandate_id,
        auth_time=row.auth_time,
        acr=row.acr,
    )
    return Visit(actor, now - row.last_seen_at >= SEEN_EVERY)


def seen(signin_id: str, now: dt.datetime) -> None:
    """Note that the person was here."""
    due = SignIn.last_seen_at <= now - SEEN_EVERY
    db.session.execute(update(SignIn).where(SignIn.signin_id == signin_id, due).values(last_seen_at=now))


def choices(person_id: str, now: dt.datetime) -> list[Choice]:
    """Whom a person may act for now: self first, then each mandate in force, then administration."""
    found = [Choice(capacity=Capacity.SELF, holder_id=person_id)]
    usable = mandates.of_agent(person_id, now)
    principals = {m.principal_id for m in usable}
    closed = set(
        db.session.scalars(
            select(Holder.holder_id).where(Holder.holder_id.in_(principals), Holder.closed_at.is_not(None))
        )
    )
    found += [
        Choice(capacity=Capacity(m.capacity), holder_id=m.principal_id, mandate_id=m.mandate_id)
        for m in usable
        if m.principal_id not in closed
    ]
    if Role.ADMINISTRATOR in holders.roles(person_id):
        found.append(Choice(capacity=Capacity.ADMINISTRATOR, holder_id=""))
    return found


def act_as(actor: Actor, unverified_key: str, now: dt.datetime) -> Choice:
    """From now on act for somebody else. Raises NotAllowed when the key names none of the person's choices."""
    chosen = next((c for c in choices(actor.person_id, now) if c.key == unverified_key), None)
    if chosen is None:
        raise NotAllowed("not one of this person's choices")
    db.session.execute(
        update(SignIn)
        .where(SignIn.signin_id == actor.signin_id)
        .values(holder_id=chosen.holder_id or None, capacity=chosen.capacity, mandate_id=chosen.mandate_id)
    )
    return chosen


def is_fresh(actor: Actor, now: dt.datetime, *, max_age: dt.timedelta) -> bool:
    """Whether the person proved the passkey at most ``max_age`` ago; never when time seems to run backwards."""
    return dt.timedelta(0) <= now - actor.auth_time <= max_age


# Each of the ways to end sign-ins returns the ids of those that it has ended: whoever built on them must hear of it
# (dataspace.web.signin.tell_ended).


def end(unverified_secret: str, now: dt.datetime) -> list[str]:
    """Sign out; nothing happens when the secret is unknown."""
    return _end(now, SignIn.secret_digest == _digest(unverified_secret))


def end_all(person_id: str, now: dt.datetime) -> list[str]:
    """Sign a person out everywhere."""
    return _end(now, SignIn.person_id == person_id)


def end_made_with(passkey_id: str, now: dt.datetime, *, except_signin_id: str) -> list[str]:
    """End the sign-ins made with a passkey that was removed, but not the one in which it was removed."""
    return _end(now, SignIn.passkey_id == passkey_id, SignIn.signin_id != except_signin_id)


def sweep(now: dt.datetime, limit: int = 1000) -> int:
    """Delete up to ``limit`` sign-ins that have long been over; returns how many. Only the size depends on it."""
    return delete_some(SignIn, SignIn.expires_at <= now - KEPT, by=SignIn.expires_at, limit=limit)


def _standing(secret_digest: str, now: dt.datetime, idle: dt.timedelta) -> Select[*tuple[Any, ...]]:
    """The sign-in with its mandate and the space acted for; no row when time, role or a closed space forbid it."""
    person, acted_for = aliased(Holder), aliased(Holder)
    return (
        select(
            SignIn.signin_id,
            SignIn.person_id,
            SignIn.holder_id,
            SignIn.capacity,
            SignIn.mandate_id,
            SignIn.auth_time,
            SignIn.acr,
            SignIn.last_seen_at,
            acted_for.space_id,
            Mandate,
        )
        .join(person, and_(person.holder_id == SignIn.person_id, person.closed_at.is_(None)))
        .outerjoin(acted_for, and_(acted_for.holder_id == SignIn.holder_id, acted_for.closed_at.is_(None)))
        .outerjoin(Mandate, Mandate.mandate_id == SignIn.mandate_id)
        .outerjoin(HolderRole, and_(HolderRole.holder_id == SignIn.person_id, HolderRole.role == Role.ADMINISTRATOR))
        .where(
            SignIn.secret_digest == secret_digest,
            SignIn.ended_at.is_(None),
            SignIn.expires_at > now,
            SignIn.last_seen_at > now - idle,
            or_(
                and_(SignIn.capacity == Capacity.ADMINISTRATOR, HolderRole.role.is_not(None)),
                and_(SignIn.capacity != Capacity.ADMINISTRATOR, acted_for.space_id.is_not(None)),
            ),
        )
    )


def _end(now: dt.datetime, *which: Any) -> list[str]:
    ended = update(SignIn).where(*which, SignIn.ended_at.is_(None)).values(ended_at=now).returning(SignIn.signin_id)
    return list(db.session.scalars(ended.execution_options(synchronize_session=False)))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
