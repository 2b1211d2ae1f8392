"""Passkeys: how a person proves to be that person; and the registrar's one-time codes by which one is enrolled.

A passkey is a discoverable credential whose authenticator has verified the user; there is no other way to sign in.
Whoever has lost every device goes to the registrar for a recovery code.
"""

import datetime as dt
import hashlib
import hmac
import secrets
import unicodedata
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, delete, select, update
from sqlalchemy.orm import Mapped, aliased, mapped_column
from webauthn.authentication.verify_authentication_response import VerifiedAuthentication

from dataspace import ceremonies, holders, messages
from dataspace.ceremonies import Begun, PasskeyError, Registrant, RelyingParty, TakenCeremony
from dataspace.db import Model, db, delete_some, new_id
from dataspace.errors import NotAllowed, NotFound
from dataspace.messages import Group, Notice

CODE_LIFE = dt.timedelta(hours=24)
CODE_KEPT = dt.timedelta(days=180)  # after its end, as long as a sign-in: how somebody came in can be looked up
CODE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
CODE_LENGTH = 16  # 80 bits: beyond guessing within a day, short enough to type
NAME_LENGTH = 60
MAX_CREDENTIAL_ID = 1023  # bytes, WebAuthn Level 3 section 7.1 step 25


class UnknownPasskey(PasskeyError):
    code = "passkey_unknown"
    sentence = "This passkey is not known here. It may have been removed."


class KnownPasskey(PasskeyError):
    code = "passkey_known"
    sentence = "This passkey is registered already."
    status = 409


class CodeRefused(PasskeyError):
    code = "enrolment_code_refused"
    sentence = "This enrolment code is wrong, used or expired. Ask the registrar for a new one."


class LastPasskey(PasskeyError):
    code = "last_passkey"
    sentence = "This is your only passkey. Add another one before you remove it."
    status = 409


class InvalidName(PasskeyError):
    code = "invalid_name"
    sentence = "A name has 1 to 60 characters."


class UserHandle(Model):
    """What authenticators know a person by: 32 random bytes that say nothing about the person."""

    __tablename__ = "user_handles"
    person_id: Mapped[str] = mapped_column(ForeignKey("holders.holder_id"), primary_key=True)
    handle: Mapped[bytes] = mapped_column(LargeBinary(64), unique=True)


class EnrolmentCode(Model):
    """A one-time code of the registrar; usable once, until it expires or a newer one voids it."""

    __tablename__ = "enrolment_codes"
    __table_args__ = (Index(None, "person_id"), Index(None, "expires_at"))
    code_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("holders.holder_id"))
    recovery: Mapped[bool]  # whether its use replaces all earlier passkeys and sign-ins
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    used_at: Mapped[dt.datetime | None]
    voided_at: Mapped[dt.datetime | None]


class Passkey(Model):
    """One credential of one person. ``public_key`` is COSE; ``transports`` is what the browser said, unchecked."""

    __tablename__ = "passkeys"
    __table_args__ = (Index(None, "person_id"),)
    passkey_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("holders.holder_id"))
    credential_id: Mapped[bytes] = mapped_column(LargeBinary(MAX_CREDENTIAL_ID), unique=True)
    public_key: Mapped[bytes]
    sign_count: Mapped[int] = mapped_column(BigInteger)  # unsigned 32 bits on the wire
    transports: Mapped[list[Any]]
    aaguid: Mapped[str] = mapped_column(String(36))
    device_type: Mapped[str] = mapped_column(String(16))
    backed_up: Mapped[bool]
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))  # empty until the person gives one
    created_at: Mapped[dt.datetime]
    last_used_at: Mapped[dt.datetime | None]


@dataclass(frozen=True)
class Invitation:
    """A usable enrolment code was shown. ``recovery``: its use replaces all earlier passkeys and sign-ins."""

    person_id: str
    code_digest: str
    recovery: bool


@dataclass(frozen=True, kw_only=True)
class VerifiedSignIn:
    """A person proved to hold a passkey. ``replaces_all``: every earlier sign-in of the person must end."""

    person_id: str
    passkey_id: str
    at: dt.datetime
    replaces_all: bool = False


def issue_enrolment_code(holder: holders.Holder, now: dt.datetime, *, recovery: bool = False) -> str:
    """Add a fresh code to the session and void older unused ones; returns it in groups for typing.

    With ``recovery`` its use removes all earlier passkeys and sign-ins of the person. Raises NotAllowed unless the
    holder is a natural person whose space is open.
    """
    if holder.kind != holders.HolderKind.NATURAL_PERSON or holder.closed_at is not None:
        raise NotAllowed("only a natural person with an open space can have passkeys")
    if db.session.get(UserHandle, holder.holder_id) is None:
        db.session.add(UserHandle(person_id=holder.holder_id, handle=secrets.token_bytes(32)))
    unused = EnrolmentCode.person_id == holder.holder_id, EnrolmentCode.used_at.is_(None)
    db.session.execute(update(EnrolmentCode).where(*unused, EnrolmentCode.voided_at.is_(None)).values(voided_at=now))
    code = "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))
    row = EnrolmentCode(code_digest=code_digest(code), person_id=holder.holder_id, recovery=recovery, created_at=now)
    row.expires_at = now + CODE_LIFE
    db.session.add(row)
    db.session.flush()
    return "-".join(code[i : i + 4] for i in range(0, CODE_LENGTH, 4))


def code_digest(unverified_code: str) -> str:
    """The digest of a code as people type it: any case, any grouping, full-width letters, O for 0, I or L for 1."""
    plain = unicodedata.normalize("NFKC", unverified_code).upper().translate(str.maketrans("OIL", "011"))
    return hashlib.sha256("".join(c for c in plain if c in CODE_ALPHABET).encode()).hexdigest()


def invitation(digest: str, now: dt.datetime) -> Invitation:
    """Whom the code with this digest invites. Raises CodeRefused when it is unknown, used, voided or expired."""
    query = select(EnrolmentCode.person_id, EnrolmentCode.recovery).where(*_usable(digest, now))
    found = db.session.execute(query).one_or_none()
    if found is None:
        raise CodeRefused("no usable enrolment code has this digest")
    return Invitation(found.person_id, digest, found.recovery)


def begin_enrolment(
    invited: Invitation, now: dt.datetime, *, party: RelyingParty, person_name: str, browser: str
) -> Begun:
    """Start to register a passkey by enrolment code; ``browser`` is a secret that only this browser has."""
    registrant = Registrant(
        person_id=invited.person_id,
        person_name=person_name,
        user_handle=_user_handle(invited.person_id),
        code_digest=invited.code_digest,
        # With a recovery code the earlier passkeys go, so the same device may be registered again.
        excluded_credential_ids=() if invited.recovery else _credential_ids(invited.person_id),
    )
    return ceremonies.begin_registration(registrant, now, party=party, browser=browser)


def begin_addition(person_id: str, now: dt.datetime, *, party: RelyingParty, person_name: str, browser: str) -> Begun:
    """Start to register a further passkey; the caller has made sure that the person signed in a moment ago."""
    registrant = Registrant(
        person_id=person_id,
        person_name=person_name,
        user_handle=_user_handle(person_id),
        excluded_credential_ids=_credential_ids(person_id),
    )
    return ceremonies.begin_registration(registrant, now, party=party, browser=browser)


def finish_enrolment(
    taken: TakenCeremony, unverified_credential: object, now: dt.datetime, *, party: RelyingParty
) -> VerifiedSignIn:
    """Verify what the authenticator made, add it to the session, use up the enrolment code if there is one.

    Raises PasskeyError.
    """
    verified, transports = ceremonies.verify_registration(taken, unverified_credential, party=party)
    if len(verified.credential_id) > MAX_CREDENTIAL_ID:
        raise PasskeyError("credential id is too long")
    recovery = _use_code(taken.code_digest, now) if taken.code_digest else False
    if recovery:
        db.session.execute(delete(Passkey).where(Passkey.person_id == taken.person_id))
    if db.session.scalar(select(Passkey.passkey_id).where(Passkey.credential_id == verified.credential_id)):
        raise KnownPasskey("credential id is registered already")
    passkey = Passkey(
        passkey_id=new_id("psk"),
        person_id=taken.person_id,
        credential_id=verified.credential_id,
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
        transports=transports,
        aaguid=verified.aaguid,
        device_type=verified.credential_device_type.value,
        backed_up=verified.credential_backed_up,
        name="",
        created_at=now,
    )
    db.session.add(passkey)
    db.session.flush()
    if recovery or len(passkeys_of(passkey.person_id)) > 1:  # the very first is no news
        kind = Notice.RECOVERED if recovery else Notice.PASSKEY_ADDED
        messages.send_to_person(passkey.person_id, kind, Group.SECURITY, now, about=passkey.passkey_id)
    return VerifiedSignIn(person_id=passkey.person_id, passkey_id=passkey.passkey_id, at=now, replaces_all=recovery)


def begin_sign_in(now: dt.datetime, *, party: RelyingParty, browser: str) -> Begun:
    """Start a sign-in; ``browser`` is a secret that only this browser has."""
    return ceremonies.begin_authentication(now, party=party, browser=browser)


def finish_sign_in(
    taken: TakenCeremony, unverified_credential: object, now: dt.datetime, *, party: RelyingParty
) -> VerifiedSignIn:
    """Verify the authenticator's answer. Raises PasskeyError; UnknownPasskey for one that was removed."""
    answer = ceremonies.parse_answer(unverified_credential)
    passkey, handle = _passkey_and_handle(answer.raw_id)
    # WebAuthn Level 3 section 7.2 step 6: we named no account, so the answer must name one, and the right one.
    if not hmac.compare_digest(answer.response.user_handle or b"", handle):
        raise PasskeyError("user handle is not the one of the passkey's person")
    verified = ceremonies.verify_authentication(
        taken, answer, party=party, public_key=passkey.public_key, sign_count=passkey.sign_count
    )
    _count_up(passkey.passkey_id, verified, now)
    return VerifiedSignIn(person_id=passkey.person_id, passkey_id=passkey.passkey_id, at=now)


def passkeys_of(person_id: str) -> list[Passkey]:
    """The passkeys of a person, oldest first."""
    query = select(Passkey).where(Passkey.person_id == person_id).order_by(Passkey.created_at, Passkey.passkey_id)
    return list(db.session.scalars(query))


def get(passkey_id: str, *, person_id: str) -> Passkey:
    """Raises NotFound, also for another person's passkey."""
    mine = Passkey.passkey_id == passkey_id, Passkey.person_id == person_id
    found: Passkey | None = db.session.scalar(select(Passkey).where(*mine))
    if found is None:
        raise NotFound("no such passkey of this person")
    return found


def rename(passkey_id: str, unverified_name: str, *, person_id: str) -> None:
    """Call a passkey something that its person recognises. Raises NotFound, InvalidName."""
    name = " ".join(unverified_name.split())
    if not 1 <= len(name) <= NAME_LENGTH or any(unicodedata.category(c).startswith("C") for c in name):
        raise InvalidName("empty, too long, or with control characters")
    get(passkey_id, person_id=person_id).name = name


def remove(passkey_id: str, now: dt.datetime, *, person_id: str) -> None:
    """Delete a passkey. Raises NotFound, and LastPasskey: without any, only the registrar could help."""
    # Of two removals at once each would see the other's passkey still there: PostgreSQL waits at the person's row.
    db.session.execute(select(UserHandle.person_id).where(UserHandle.person_id == person_id).with_for_update())
    other = aliased(Passkey)
    has_other = select(other.passkey_id).where(other.person_id == person_id, other.passkey_id != passkey_id).exists()
    mine = Passkey.passkey_id == passkey_id, Passkey.person_id == person_id
    if db.session.scalar(delete(Passkey).where(*mine, has_other).returning(Passkey.passkey_id)) is None:
        get(passkey_id, person_id=person_id)
        raise LastPasskey("the person has no other passkey")
    messages.send_to_person(person_id, Notice.PASSKEY_REMOVED, Group.SECURITY, now, about=passkey_id)


def forget(person_id: str) -> None:
    """Remove everything by which a person could sign in, once there is no such person here any more."""
    for table in (Passkey, EnrolmentCode, UserHandle):
        db.session.execute(delete(table).where(table.person_id == person_id))


def sweep(now: dt.datetime, limit: int = 1000) -> int:
    """Delete up to ``limit`` enrolment codes that have long been over; returns how many."""
    over = EnrolmentCode.expires_at <= now - CODE_KEPT
    return delete_some(EnrolmentCode, over, by=EnrolmentCode.expires_at, limit=limit)


def _user_handle(person_id: str) -> bytes:
    found = db.session.get(UserHandle, person_id)
    if found is None:
        raise NotFound("no enrolment code was ever issued to this person")
    return found.handle


def _credential_ids(person_id: str) -> tuple[bytes, ...]:
    return tuple(db.session.scalars(select(Passkey.credential_id).where(Passkey.person_id == person_id)))


def _usable(digest: str, now: dt.datetime) -> tuple[Any, ...]:
    return (
        EnrolmentCode.code_digest == digest,
        EnrolmentCode.used_at.is_(None),
        EnrolmentCode.voided_at.is_(None),
        EnrolmentCode.expires_at > now,
    )


def _use_code(digest: str, now: dt.datetime) -> bool:
    """Use a code up, atomically; returns whether it was a recovery code. Raises CodeRefused."""
    statement = update(EnrolmentCode).where(*_usable(digest, now)).values(used_at=now)
    used = db.session.execute(statement.returning(EnrolmentCode.recovery)).one_or_none()
    if used is None:
        raise CodeRefused("the enrolment code was used, voided or expired in the meantime")
    return bool(used[0])


def _passkey_and_handle(credential_id: bytes) -> tuple[Passkey, bytes]:
    found = db.session.execute(
        select(Passkey, UserHandle.handle)
        .join(UserHandle, UserHandle.person_id == Passkey.person_id)
        .join(holders.Holder, holders.Holder.holder_id == Passkey.person_id)
        .where(Passkey.credential_id == credential_id, holders.Holder.closed_at.is_(None))
    ).one_or_none()
    if found is None:
        raise UnknownPasskey("no passkey of an open space has this credential id")
    return found[0], found[1]


def _count_up(passkey_id: str, verified: VerifiedAuthentication, now: dt.datetime) -> None:
    """The sign count rises, or the authenticator counts nothing (0): once more, against answers at the same time."""
    count = verified.new_sign_count
    rises = Passkey.sign_count < count if count else Passkey.sign_count == 0
    counted = db.session.scalar(
        update(Passkey)
        .where(Passkey.passkey_id == passkey_id, rises)
        .values(sign_count=count, backed_up=verified.credential_backed_up, last_used_at=now)
        .returning(Passkey.passkey_id)
    )
    if counted is None:
        raise PasskeyError("the sign count did not rise, or the passkey was removed in the meantime")
