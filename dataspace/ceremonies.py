"""The two WebAuthn ceremonies: a challenge to one browser, one answer, its verification. No passkey table here.

What the library leaves to its callers is done here: user verification is required, a challenge is used once and by
the browser that asked for it, and an answer made inside a foreign page is refused (W3C Web Authentication Level 3,
sections 7.1 and 7.2).
"""

import datetime as dt
import enum
import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import webauthn
from sqlalchemy import ForeignKey, Index, LargeBinary, String, delete
from sqlalchemy.orm import Mapped, mapped_column
from webauthn.authentication.verify_authentication_response import VerifiedAuthentication
from webauthn.helpers import (
    options_to_json_dict,
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.structs import (
    AuthenticationCredential,
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from webauthn.registration.verify_registration_response import VerifiedRegistration

from dataspace.db import Model, db, delete_some, new_id
from dataspace.errors import DomainError
from dataspace.settings import Settings

CEREMONY_LIFE = dt.timedelta(minutes=5)  # WebAuthn Level 3 section 15.1 recommends 5 to 10 minutes
TIMEOUT = int(CEREMONY_LIFE.total_seconds() * 1000)


class PasskeyError(DomainError):
    """Base of everything that goes wrong with passkeys; no exception of the library gets past this module."""

    code = "passkey_refused"
    sentence = "This passkey was not accepted. Nothing was changed."


class CeremonyOver(PasskeyError):
    code = "ceremony_over"
    sentence = "This took too long, or it was done already. Try again."


class Purpose(enum.StrEnum):
    ENROL = "enrol"  # a passkey by the registrar's code
    ADD = "add"  # a further passkey by a person who is signed in
    SIGN_IN = "sign_in"


class Ceremony(Model):
    """A challenge that waits for its answer from one browser; answering it deletes the row.

    ``code_digest`` names the enrolment code by which a registration was begun.
    """

    __tablename__ = "ceremonies"
    __table_args__ = (Index(None, "expires_at"),)
    ceremony_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(16))
    challenge: Mapped[bytes] = mapped_column(LargeBinary(64))
    browser_digest: Mapped[str] = mapped_column(String(64))
    person_id: Mapped[str | None] = mapped_column(ForeignKey("holders.holder_id"))
    code_digest: Mapped[str | None] = mapped_column(String(64))
    expires_at: Mapped[dt.datetime]


@dataclass(frozen=True, kw_only=True)
class RelyingParty:
    """Who we are to authenticators; every answer must have been made for exactly this id and origin."""

    rp_id: str
    name: str
    origin: str

    @classmethod
    def of(cls, settings: Settings) -> "RelyingParty":
        """From the issuer: browsers name the origin without path and without the scheme's own port."""
        parts = urlsplit(settings.issuer)
        host = f"[{settings.rp_id}]" if ":" in settings.rp_id else settings.rp_id
        own_port = {"https": 443, "http": 80}.get(parts.scheme)
        port = "" if parts.port in (None, own_port) else f":{parts.port}"
        return cls(rp_id=settings.rp_id, name=settings.site_name, origin=f"{parts.scheme}://{host}{port}")


@dataclass(frozen=True)
class Begun:
    """A ceremony to hand to the browser; ``options`` is the JSON of the WebAuthn options."""

    ceremony_id: str
    options: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class TakenCeremony:
    """A ceremony that is no longer in the database: whoever holds this value is the only one who can finish it."""

    purpose: Purpose
    challenge: bytes
    person_id: str | None
    code_digest: str | None


@dataclass(frozen=True, kw_only=True)
class Registrant:
    """Whom a new passkey is for. ``user_handle`` is what authenticators know the person by."""

    person_id: str
    person_name: str
    user_handle: bytes
    code_digest: str | None = None
    excluded_credential_ids: tuple[bytes, ...] = ()


def begin_registration(registrant: Registrant, now: dt.datetime, *, party: RelyingParty, browser: str) -> Begun:
    """Ask for a discoverable credential; ``browser`` is a secret that only this browser has."""
    options = webauthn.generate_registration_options(
        rp_id=party.rp_id,
        rp_name=party.name,
        user_id=registrant.user_handle,
        user_name=registrant.person_name,
        challenge=secrets.token_bytes(32),
        timeout=TIMEOUT,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=i) for i in registrant.excluded_credential_ids],
    )
    purpose = Purpose.ENROL if registrant.code_digest else Purpose.ADD
    ceremony = Ceremony(purpose=purpose, person_id=registrant.person_id, code_digest=registrant.code_digest)
    return _begun(ceremony, options.challenge, options_to_json_dict(options), now, browser)


def begin_authentication(now: dt.datetime, *, party: RelyingParty, browser: str) -> Begun:
    """Ask for an assertion by any credential that the authenticator holds for us; no account is named."""
    options = webauthn.generate_authentication_options(
        rp_id=party.rp_id,
        challenge=secrets.token_bytes(32),
        timeout=TIMEOUT,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    ceremony = Ceremony(purpose=Purpose.SIGN_IN)
    return _begun(ceremony, options.challenge, options_to_json_dict(options), now, browser)


def take(
    unverified_ceremony_id: str,
    now: dt.datetime,
    *,
    expected_purpose: Purpose,
    expected_browser: str,
    expected_person_id: str | None = None,
) -> TakenCeremony:
    """Use a ceremony up. The caller commits before verifying the answer, so that a wrong answer uses it up as well.

    Raises CeremonyOver when it is unknown, answered, expired, another browser's or person's, or of another purpose.
    """
    taken = db.session.execute(
        delete(Ceremony)
        .where(
            Ceremony.ceremony_id == unverified_ceremony_id,
            Ceremony.purpose == expected_purpose,
            Ceremony.browser_digest == _digest(expected_browser),
            Ceremony.person_id.is_(None) if expected_person_id is None else Ceremony.person_id == expected_person_id,
            Ceremony.expires_at > now,
        )
        .returning(Ceremony.challenge, Ceremony.person_id, Ceremony.code_digest)
    ).one_or_none()
    if taken is None:
        raise CeremonyOver("no such ceremony waits for this browser")
    return TakenCeremony(purpose=expected_purpose, challenge=taken[0], person_id=taken[1], code_digest=taken[2])


def verify_registration(
    taken: TakenCeremony, unverified_credential: object, *, party: RelyingParty
) -> tuple[VerifiedRegistration, list[str]]:
    """What the authenticator made, and the transports that the browser names (unchecked). Raises PasskeyError."""
    if taken.purpose is Purpose.SIGN_IN:
        raise CeremonyOver("not a registration")
    with _one_family():
        made = parse_registration_credential_json(_object(unverified_credential))
        _refuse_foreign_page(made.response.client_data_json)
        verified = webauthn.verify_registration_response(
            credential=made,
            expected_challenge=taken.challenge,
            expected_rp_id=party.rp_id,
            expected_origin=party.origin,
            require_user_verification=True,
        )
        return verified, [transport.value for transport in made.response.transports or []]


def parse_answer(unverified_credential: object) -> AuthenticationCredential:
    """The shape of an authenticator's answer; nothing in it is verified yet. Raises PasskeyError."""
    with _one_family():
        return parse_authentication_credential_json(_object(unverified_credential))


def verify_authentication(
    taken: TakenCeremony,
    unverified_answer: AuthenticationCredential,
    *,
    party: RelyingParty,
    public_key: bytes,
    sign_count: int,
) -> VerifiedAuthentication:
    """Verify an answer by the public key of the credential that it names. Raises PasskeyError."""
    if taken.purpose is not Purpose.SIGN_IN:
        raise CeremonyOver("not a sign-in")
    with _one_family():
        _refuse_foreign_page(unverified_answer.response.client_data_json)
        return webauthn.verify_authentication_response(
            credential=unverified_answer,
            expected_challenge=taken.challenge,
            expected_rp_id=party.rp_id,
            expected_origin=party.origin,
            credential_public_key=public_key,
            credential_current_sign_count=sign_count,
            require_user_verification=True,
        )


def sweep(now: dt.datetime, limit: int = 1000) -> int:
    """Delete up to ``limit`` ceremonies that nobody answered; returns how many. Only the table's size depends on it."""
    return delete_some(Ceremony, Ceremony.expires_at <= now, by=Ceremony.expires_at, limit=limit)


def _begun(ceremony: Ceremony, challenge: bytes, options: dict[str, Any], now: dt.datetime, browser: str) -> Begun:
    ceremony.ceremony_id = new_id("cer")
    ceremony.challenge = challenge
    ceremony.browser_digest = _digest(browser)
    ceremony.expires_at = now + CEREMONY_LIFE
    db.session.add(ceremony)
    db.session.flush()
    return Begun(ceremony.ceremony_id, options)


def _refuse_foreign_page(client_data_json: bytes) -> None:
    """Nobody may run our ceremonies inside a page of theirs (section 7.1 step 10, section 7.2 step 13)."""
    if parse_client_data_json(client_data_json).cross_origin:
        raise PasskeyError("made inside a page of another origin")


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PasskeyError("credential is not an object")
    return value


@contextmanager
def _one_family() -> Iterator[None]:
    """For garbage the library also raises KeyError, TypeError, ValueError and others: all become PasskeyError."""
    try:
        yield
    except PasskeyError:
        raise
    except Exception as error:
        raise PasskeyError(f"{type(error).__name__}: {error}"[:300]) from error


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
