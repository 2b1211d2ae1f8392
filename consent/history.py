"""The history of a consent: its events as a chain, its signed versions, the text as it was shown. Only ever appended.

Every change of a consent ends here, whoever makes it, so what has to follow each of them follows here as well.
"""

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update

from consent import data_certificates, documents, receipts, telling
from consent.differences import Difference
from consent.keys import Keyring
from consent.records import (
    REMIND_AFTER,
    TRANSITIONS,
    Consent,
    ConsentEvent,
    ConsentNotice,
    ConsentVersion,
    Event,
    State,
)
from dataspace import entries, jose
from dataspace.db import db
from dataspace.entries import Entry
from dataspace.errors import Conflict
from dataspace.identifiers import BlindIndex
from dataspace.mandates import Actor, Capacity
from dataspace.sealing import seal
from dataspace.vault import Vault

# These make a new version of the consent: what the holder decided is only told when both are there.
WITH_VERSION = frozenset(
    {
        Event.GIVEN,
        Event.REFUSED,
        Event.REPLACED,
        Event.CO_APPROVAL_PENDING,
        Event.CO_APPROVED,
        Event.ITEM_WITHDRAWN,
        Event.SHORTENED,
        Event.ITEM_RECONFIRMED,
    }
)


@dataclass(frozen=True, kw_only=True)
class Registry:
    """What a change of a consent needs of its surroundings: keys to seal and sign with, and our own name."""

    vault: Vault
    index: BlindIndex
    keyring: Keyring
    issuer: str


def hold(consent_id: str) -> Consent:
    """Lock the head of a consent until the transaction ends, and look at it anew: what it says holds until then."""
    # An UPDATE, because SQLite has no other way to take its lock.
    db.session.execute(
        update(Consent)
        .where(Consent.consent_id == consent_id)
        .values(last_seq=Consent.last_seq)
        .execution_options(synchronize_session=False)
    )
    consent = db.session.get_one(Consent, consent_id)
    db.session.refresh(consent)
    return consent


def append(
    consent_id: str,
    event: Event,
    at: dt.datetime,
    *,
    actor: Actor | None,
    channel: str,
    reason_code: str | None = None,
    text: str = "",
    changes: list[Difference] | None = None,
    registry: Registry,
) -> None:
    """Lock the head, move the state, append the event, and all that follows from it (:func:`_follow`).

    After an event of WITH_VERSION that follows from :func:`add_version`, which has to come next. Raises Conflict when
    the event is not possible any more.
    """
    # The UPDATE takes the row lock (SQLite: the write lock) before the state is looked at, so nobody decides on a
    # state that another transaction is changing.
    seq, before = db.session.execute(
        update(Consent)
        .where(Consent.consent_id == consent_id)
        .values(last_seq=Consent.last_seq + 1)
        .returning(Consent.last_seq, Consent.state)
        .execution_options(synchronize_session=False)
    ).one()
    after = TRANSITIONS.get((State(before), event))
    if after is None:
        raise Conflict(f"{event} is not possible in state {before}")
    moved: dict[str, Any] = {"state": after, "state_since": at} if after != before else {}
    if actor is not None and actor.capacity != Capacity.ADMINISTRATOR:
        moved["reminder_at"] = at + REMIND_AFTER  # the holder has touched it
    if moved:
        db.session.execute(
            update(Consent)
            .where(Consent.consent_id == consent_id)
            .values(moved)
            .execution_options(synchronize_session=False)
        )
    previous = db.session.scalar(
        select(ConsentEvent.digest).where(ConsentEvent.consent_id == consent_id, ConsentEvent.seq == seq - 1)
    )
    row = {
        "consent_id": consent_id,
        "seq": seq,
        "kind": event.value,
        "actor_id": actor.person_id if actor else None,
        "capacity": actor.capacity.value if actor else None,
        "channel": channel,
        "reason_code": reason_code,
        "text": text,
        "changes": [difference.to_document() for difference in changes] if changes is not None else None,
        "previous_digest": previous,
    }
    digest = jose.digest(row | {"at": documents.stamp(at)})
    entry = Entry.new("consent_event", at, consent_id=consent_id, seq=seq, digest=digest)
    db.session.add(ConsentEvent(**row, at=at, digest=digest, salt=entry.salt))
    entries.append(entry)
    db.session.flush()
    if event not in WITH_VERSION:
        by = actor.person_id if actor else None
        _follow(consent_id, event, at, registry, channel=channel, by=by, new_version=False)


def current_document(consent: Consent) -> tuple[dict[str, Any], str]:
    """The document of the current version and its digest."""
    version = db.session.get_one(ConsentVersion, (consent.consent_id, consent.version))
    return json.loads(version.document), version.digest


def add_version(
    consent: Consent, document: dict[str, Any], now: dt.datetime, registry: Registry, *, notice: str | None = None
) -> None:
    """Add the version that the last event has led to, and all that follows from both.

    ``notice``: the text as it was shown, when there is a new one; it is kept sealed.
    """
    payload = jose.canonical(document)
    consent.version = document["version"]
    db.session.add(
        ConsentVersion(
            consent_id=consent.consent_id,
            version=consent.version,
            document=payload.decode(),
            digest=digest_of(payload.decode()),
            signature=_detached(payload, registry, now),
            granted=documents.granted(document),
            created_at=now,
        )
    )
    db.session.flush()
    if notice is not None:
        _keep_notice(consent, notice, registry)
    last = (ConsentEvent.consent_id == consent.consent_id, ConsentEvent.seq == consent.last_seq)
    said = select(ConsentEvent.kind, ConsentEvent.channel, ConsentEvent.actor_id).where(*last)
    kind, channel, by = db.session.execute(said).one()
    _follow(consent.consent_id, Event(kind), now, registry, channel=channel, by=by, new_version=True)


def _follow(
    consent_id: str,
    event: Event,
    now: dt.datetime,
    registry: Registry,
    *,
    channel: str,
    by: str | None,
    new_version: bool,
) -> None:
    """What every change brings with it, in its transaction.

    A receipt for the holder, word to whom it concerns; certificates that it does not carry any more are frozen.
    """
    if event not in receipts.WITHOUT:
        receipts.issue(consent_id, now, vault=registry.vault, keyring=registry.keyring, issuer=registry.issuer)
    telling.tell(consent_id, event, now, channel=channel, by=by, new_version=new_version)
    data_certificates.follow(consent_id, now, vault=registry.vault)


def _detached(payload: bytes, registry: Registry, now: dt.datetime) -> str:
    """A JWS with detached content (RFC 7515 appendix F): the document stands beside it."""
    key = registry.keyring.signing_key("records", now)
    head, _payload, signature = jose.sign_bytes(payload, key, typ="dsa-consent+json").split(".")
    return f"{head}..{signature}"


def digest_of(text: str) -> str:
    """SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def _keep_notice(consent: Consent, text: str, registry: Registry) -> None:
    key = registry.vault.key(consent.space_id)
    identity = f"{consent.consent_id}:{consent.version}"
    db.session.add(
        ConsentNotice(
            consent_id=consent.consent_id,
            version=consent.version,
            sealed=seal(key, text.encode(), identity=identity),
            digest=digest_of(text),
        )
    )
    db.session.flush()
