"""What administrators do, and why: the fixed grounds, the stated reason, and what was done to the service itself.

What is done to a consent stands in its events, what is done to a client in the client's. The rest stands here: the
rotation of keys, new rules, and that somebody looked for a holder by identifier.
"""

import datetime as dt
import enum
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from dataspace.db import Model, RowId, db
from dataspace.errors import DomainError

COMMAND = "command"  # the actor of what is done on the command line
MAX_TEXT = 500


class Ground(enum.StrEnum):
    """Durable words: stored in events, shown to holders."""

    AUTHORITY_DECISION = "authority_decision"
    IDENTITY_ERROR = "identity_error"
    FRAUD = "fraud"
    HOLDER_REQUEST = "holder_request"
    CLIENT_MISUSE = "client_misuse"
    CLIENT_REQUEST = "client_request"
    ACCREDITATION_ENDED = "accreditation_ended"
    SECURITY_INCIDENT = "security_incident"
    REGISTRATION = "registration"
    CORRECTION = "correction"
    KEY_CHANGE = "key_change"
    RESOLVED = "resolved"
    LEGAL_DUTY = "legal_duty"
    SUBJECT_DIED = "subject_died"
    OTHER = "other"


REVOKE = (
    Ground.AUTHORITY_DECISION,
    Ground.HOLDER_REQUEST,
    Ground.IDENTITY_ERROR,
    Ground.FRAUD,
    Ground.CLIENT_MISUSE,
    Ground.SECURITY_INCIDENT,
    Ground.OTHER,
)
SUSPEND = (
    Ground.CLIENT_MISUSE,
    Ground.SECURITY_INCIDENT,
    Ground.ACCREDITATION_ENDED,
    Ground.AUTHORITY_DECISION,
    Ground.CLIENT_REQUEST,
    Ground.OTHER,
)
REINSTATE = (Ground.RESOLVED, Ground.AUTHORITY_DECISION, Ground.CORRECTION, Ground.OTHER)
CHANGE = (Ground.CLIENT_REQUEST, Ground.CORRECTION, Ground.KEY_CHANGE, Ground.SECURITY_INCIDENT, Ground.OTHER)
APPROVE = (Ground.REGISTRATION, Ground.CLIENT_REQUEST, Ground.CORRECTION, Ground.AUTHORITY_DECISION, Ground.OTHER)
RULES = (Ground.AUTHORITY_DECISION, Ground.CORRECTION, Ground.SECURITY_INCIDENT, Ground.OTHER)
ROTATE = (Ground.KEY_CHANGE, Ground.SECURITY_INCIDENT, Ground.OTHER)

PACK = (Ground.AUTHORITY_DECISION, Ground.LEGAL_DUTY, Ground.HOLDER_REQUEST, Ground.OTHER)
CERTIFICATES = (
    Ground.AUTHORITY_DECISION,
    Ground.HOLDER_REQUEST,
    Ground.FRAUD,
    Ground.CORRECTION,
    Ground.RESOLVED,
    Ground.SECURITY_INCIDENT,
    Ground.OTHER,
)
ERASE = (Ground.HOLDER_REQUEST, Ground.LEGAL_DUTY, Ground.AUTHORITY_DECISION, Ground.IDENTITY_ERROR, Ground.OTHER)


class OperatorEvent(Model):
    """What an administrator did to the service; appended, never edited. ``subject``: a holder id or empty."""

    __tablename__ = "operator_events"
    event_id: Mapped[int] = mapped_column(RowId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(30))  # keys:rotated, rules:loaded, rules:cancelled, holder:searched, ...
    at: Mapped[dt.datetime]
    actor_id: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(40), default="")
    reason_code: Mapped[str | None] = mapped_column(String(40))
    text: Mapped[str] = mapped_column(Text, default="")


class ReasonMissing(DomainError):
    code = "reason_missing"
    sentence = "Choose a reason and say why in at most 500 characters."


@dataclass(frozen=True)
class Stated:
    """A ground and the words beside it, checked."""

    ground: Ground
    text: str


def state(unverified_ground: str, unverified_text: str, *, allowed: Collection[Ground]) -> Stated:
    """The stated reason. Raises ReasonMissing when the ground is not one of the allowed, or the text is not fit."""
    text = " ".join(unverified_text.split())
    fits = 0 < len(text) <= MAX_TEXT and text.isprintable()
    if unverified_ground not in {g.value for g in allowed} or not fits:
        raise ReasonMissing("no ground, or no text")
    return Stated(Ground(unverified_ground), text)


def note(
    kind: str,
    now: dt.datetime,
    *,
    actor_id: str,
    subject: str = "",
    reason_code: str | None = None,
    text: str = "",
) -> None:
    """Append what was done."""
    db.session.add(
        OperatorEvent(kind=kind, at=now, actor_id=actor_id, subject=subject, reason_code=reason_code, text=text)
    )
