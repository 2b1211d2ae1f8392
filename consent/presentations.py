"""Showing a certificate to somebody: a link for one named receiver, good for one opening and for a short time.

The holder chooses what it shows. The link carries a secret of which only the digest is kept; whoever opens it first, in
one browser, sees what was chosen, for half an hour. Every opening is a use in the life of the certificate and a line in
the access log.
"""

import datetime as dt
import enum
import hashlib
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String, select, update
from sqlalchemy.orm import Mapped, mapped_column

from consent import certificate_issue, certificate_standing, data_certificates, lifecycle, pauses
from consent.certificate_standing import Standing
from consent.data_certificates import By, CertificateStep, DataCertificate, NotPossible, Step
from consent.status_lists import Status
from dataspace import accesses
from dataspace.accesses import Action
from dataspace.db import Model, db, delete_some, new_id
from dataspace.errors import Conflict, DomainError, NotAllowed, NotFound
from dataspace.mandates import Actor
from dataspace.vault import Vault

# How long a link can be opened, by the word that a form sends.
LIVES: Mapping[str, dt.timedelta] = MappingProxyType(
    {"10m": dt.timedelta(minutes=10), "1h": dt.timedelta(hours=1), "1d": dt.timedelta(days=1)}
)
SEEN = dt.timedelta(minutes=30)  # for how long its receiver sees what was opened
KEPT = dt.timedelta(days=1)  # after the link has died; what became of it stands in the life of the certificate
MAX_RECEIVER = MAX_PURPOSE = 80
MAX_WAITING = 10  # links of one certificate that nobody has opened

Chosen = dict[str, list[str]]  # place -> names of what is shown


class Presentation(Model):
    """``seq``: the step of the certificate that says to whom and what; ``opened_by``: digest of that browser's secret.

    ``seen_until``: until when that browser sees it; ``ended_at``: when the holder has taken it back.
    """

    __tablename__ = "presentations"
    __table_args__ = (Index(None, "certificate_id", "expires_at"), Index(None, "expires_at"))
    presentation_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    certificate_id: Mapped[str] = mapped_column(ForeignKey("data_certificates.certificate_id"))
    seq: Mapped[int]
    secret_digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    opened_at: Mapped[dt.datetime | None]
    opened_by: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    seen_until: Mapped[dt.datetime | None]
    ended_at: Mapped[dt.datetime | None]

    def waits(self, now: dt.datetime) -> bool:
        """Whether it can still be opened."""
        return self.opened_at is None and self.ended_at is None and now < self.expires_at


class NothingChosen(DomainError):
    code = "nothing_chosen"
    sentence = "Say who receives it, choose at least one field of the data, and keep each line within 80 characters."


class TooManyLinks(Conflict):
    code = "too_many_links"
    sentence = "Ten links to this certificate wait to be opened. Take one back first."


class LinkOver(Conflict):
    code = "link_over"
    sentence = "This link was opened already, was taken back, or its time is over. Ask for a new one."
    status = 410


def present(
    certificate_id: str, receiver: str, chosen: Mapping[str, Collection[str]], life: dt.timedelta, actor: Actor,
    now: dt.datetime, *, purpose: str = "", vault: Vault,
) -> str:  # fmt: skip
    """A new link; returns its secret, which is kept nowhere. ``purpose``: what the receiver may use it for, if said.

    Raises NotFound, NotAllowed (an agent of a company), NothingChosen, NotPossible, TooManyLinks.
    """
    certificate = data_certificates.of_space(certificate_id, actor.space_id)
    if not pauses.may_resume(actor):
        raise NotAllowed("what lets data leave needs somebody who decides alone")
    name = " ".join(receiver.split())
    if not 0 < len(name) <= MAX_RECEIVER or not name.isprintable():
        raise NothingChosen("no receiver")
    mark = " ".join(purpose.split())
    if len(mark) > MAX_PURPOSE or not mark.isprintable():
        raise NothingChosen("no such purpose")
    shown = _shown(certificate, chosen, vault)
    _demand_valid(certificate_id, now)
    note = {"receiver": name, "purpose": mark, "shown": shown}
    seq = data_certificates.append(
        certificate_id, Step.PRESENTED, now, by=By.HOLDER, actor_id=actor.person_id, note=note, vault=vault
    )
    if len(waiting(certificate_id, now)) >= MAX_WAITING:
        raise TooManyLinks
    secret = secrets.token_urlsafe(24)
    row = Presentation(
        presentation_id=new_id("prs"), certificate_id=certificate_id, seq=seq, secret_digest=_digest(secret),
        created_at=now, expires_at=min(now + life, certificate.expires_at),
    )  # fmt: skip
    db.session.add(row)
    db.session.flush()
    return secret


def take_back(presentation_id: str, actor: Actor, now: dt.datetime, *, vault: Vault) -> DataCertificate:
    """The holder does not want it opened any more. Raises NotFound, LinkOver."""
    row = db.session.get(Presentation, presentation_id)
    if row is None:
        raise NotFound("no such presentation")
    certificate = data_certificates.of_space(row.certificate_id, actor.space_id)
    _end(row, now, ended_at=now)
    data_certificates.append(
        certificate.certificate_id, Step.TAKEN_BACK, now, by=By.HOLDER, actor_id=actor.person_id,
        note=_note(row, vault.key(certificate.space_id)), vault=vault,
    )  # fmt: skip
    return certificate


def find(unverified_secret: str) -> Presentation:
    """Raises NotFound."""
    query = select(Presentation).where(Presentation.secret_digest == _digest(unverified_secret))
    found = db.session.scalar(query)
    if found is None:
        raise NotFound("no such presentation")
    return found


class Sight(enum.Enum):
    """What somebody with the link gets to see."""

    CLOSED = "closed"  # it can be opened
    OPEN = "open"
    OVER = "over"


def sight(row: Presentation, *, browser: str, now: dt.datetime) -> Sight:
    """What this browser may see of it at ``now``."""
    if row.waits(now):
        return Sight.CLOSED
    mine = row.opened_by is not None and secrets.compare_digest(row.opened_by, _digest(browser))
    return Sight.OPEN if mine and row.seen_until is not None and now < row.seen_until else Sight.OVER


def open_link(row: Presentation, *, browser: str, now: dt.datetime, vault: Vault) -> None:
    """Use it: from now on this browser sees it, and nobody else. Raises LinkOver, NotPossible."""
    _demand_valid(row.certificate_id, now)
    _end(row, now, opened_at=now, opened_by=_digest(browser), seen_until=now + SEEN)
    seen = look(row, now, vault=vault)
    certificate = seen.certificate
    consent = lifecycle.get(certificate.consent_id)
    permission = replace(
        certificate_issue.permission_of(consent), recipient=seen.receiver, consent_version=certificate.consent_version
    )
    delivery_id = accesses.record_answered(
        permission, [certificate.item_id], now, action=Action.SHOW, record_ids=[certificate.record_id],
        response_digest=hashlib.sha256(seen.text.encode()).hexdigest(),
    )  # fmt: skip
    note = {"receiver": seen.receiver, "purpose": seen.purpose, "shown": seen.shown, "delivery": delivery_id}
    data_certificates.append(certificate.certificate_id, Step.USED, now, by=By.RECEIVER, note=note, vault=vault)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a receiver sees. ``text``: the SD-JWT with the chosen disclosures; ``says``: its part that everybody sees.

    ``disclosed``: place -> name -> value.
    """

    certificate: DataCertificate
    standing: Standing
    receiver: str
    purpose: str
    shown: Chosen
    text: str
    says: dict[str, Any]
    disclosed: dict[str, dict[str, Any]]


def look(row: Presentation, now: dt.datetime, *, vault: Vault) -> Seen:
    """What a link shows. Raises NotFound, Unreadable once the content is destroyed."""
    certificate = data_certificates.get(row.certificate_id)
    said = _note(row, vault.key(certificate.space_id))
    issued = data_certificates.content(certificate, vault=vault)
    shown: Chosen = said["shown"]
    return Seen(
        certificate=certificate,
        standing=certificate_standing.standing(certificate.certificate_id, now),
        receiver=said["receiver"],
        purpose=said.get("purpose", ""),
        shown=shown,
        text=issued.show(shown),
        says=issued.unverified,
        disclosed={
            place: {name: members[name].value for name in shown.get(place, ()) if name in members}
            for place, members in issued.places.items()
        },
    )


def receiver_of(row: Presentation, *, vault: Vault) -> str:
    """For whom it is, as its holder has written it. Raises Unreadable."""
    space_id = data_certificates.get(row.certificate_id).space_id
    return str(_note(row, vault.key(space_id))["receiver"])


def waiting(certificate_id: str, now: dt.datetime) -> list[Presentation]:
    """The links of a certificate that can be opened, newest first."""
    query = select(Presentation).where(
        Presentation.certificate_id == certificate_id, Presentation.expires_at > now,
        Presentation.opened_at.is_(None), Presentation.ended_at.is_(None),
    )  # fmt: skip
    return list(db.session.scalars(query.order_by(Presentation.expires_at.desc(), Presentation.presentation_id)))


def sweep(now: dt.datetime, limit: int) -> int:
    """Remove links that died some time ago."""
    return delete_some(Presentation, Presentation.expires_at <= now - KEPT, by=Presentation.expires_at, limit=limit)


def _shown(certificate: DataCertificate, chosen: Mapping[str, Collection[str]], vault: Vault) -> Chosen:
    """What there is of what was chosen. Raises NothingChosen."""
    places = data_certificates.content(certificate, vault=vault).places
    shown = {place: [name for name in members if name in chosen.get(place, ())] for place, members in places.items()}
    if not shown.get(certificate_issue.DATA):
        raise NothingChosen("no field of the data")
    return {place: names for place, names in shown.items() if names}


def _demand_valid(certificate_id: str, now: dt.datetime) -> None:
    if certificate_standing.standing(certificate_id, now).status is not Status.VALID:
        raise NotPossible("its status is not valid")


def _end(row: Presentation, now: dt.datetime, **values: Any) -> None:
    """Of several who open it or take it back, exactly one does. Raises LinkOver."""
    statement = update(Presentation).where(
        Presentation.presentation_id == row.presentation_id, Presentation.expires_at > now,
        Presentation.opened_at.is_(None), Presentation.ended_at.is_(None),
    )  # fmt: skip
    done = db.session.connection().execute(statement.values(values))
    if done.rowcount != 1:
        raise LinkOver
    db.session.refresh(row)


def _note(row: Presentation, key: bytes) -> dict[str, Any]:
    step = db.session.scalars(select(CertificateStep).filter_by(certificate_id=row.certificate_id, seq=row.seq)).one()
    return data_certificates.note_of(step, key)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
