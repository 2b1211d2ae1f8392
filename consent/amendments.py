"""Changes of what a living consent allows, each to less: one item withdrawn, an earlier end. The caller commits.

What the holder wants to give more of is asked for by the third party, on the consent page. Whoever may act for the
holder may reduce: nobody has to be asked to give less.
"""

import datetime as dt
from typing import Any

from consent import differences, documents, endings, history, lifecycle
from consent.history import Registry
from consent.records import Consent, Event
from dataspace.db import db
from dataspace.errors import Conflict, NotAllowed, NotFound
from dataspace.mandates import Actor

# Why withdrawing an item has withdrawn everything: durable words, stored with the event.
REQUIRED_ITEM, LAST_ITEM = "required_item", "last_item"


def ends_everything(document: dict[str, Any], item_id: str) -> str | None:
    """Why a consent cannot go on without an item: REQUIRED_ITEM, LAST_ITEM, or None when it can.

    Raises NotFound when the item is not among those that are given.
    """
    given = {i["item_id"]: i for i in document["items"] if i["chosen"]}
    if item_id not in given:
        raise NotFound("not an item of this consent")
    if given[item_id]["necessity"] == "required":
        return REQUIRED_ITEM
    return LAST_ITEM if len(given) == 1 else None


def withdraw_item(consent_id: str, item_id: str, actor: Actor, now: dt.datetime, *, registry: Registry) -> Consent:
    """The holder stops one item. Without a required item, or without any, nothing is left to go on: all is withdrawn.

    Raises NotFound (another space's consent, an item that is not given), Conflict (it has ended).
    """
    consent = _held(consent_id, actor, now)
    document, _digest = history.current_document(consent)
    everything = ends_everything(document, item_id)
    if everything is not None:
        return endings.withdraw(consent_id, actor, now, reason_code=everything, registry=registry)
    items = [i | {"chosen": False} if i["item_id"] == item_id else i for i in document["items"]]
    return _amend(consent, Event.ITEM_WITHDRAWN, {"items": items}, actor, now, registry)


def shorten(consent_id: str, expires_at: dt.datetime, actor: Actor, now: dt.datetime, *, registry: Registry) -> Consent:
    """The holder brings the end forward.

    Raises NotFound, NotAllowed (not between now and the present end), Conflict (it has ended).
    """
    consent = _held(consent_id, actor, now)
    if not now < expires_at < consent.expires_at:
        raise NotAllowed("the end can be brought forward, not put off")
    document, _digest = history.current_document(consent)
    use = document["use"] | {"expires_at": documents.stamp(expires_at)}
    return _amend(consent, Event.SHORTENED, {"use": use}, actor, now, registry, ends=expires_at)


def _held(consent_id: str, actor: Actor, now: dt.datetime) -> Consent:
    """The consent of the actor's space, locked. Raises NotFound, Conflict when its time is over."""
    lifecycle.of_space(consent_id, actor.space_id)
    consent = history.hold(consent_id)
    if now >= consent.expires_at:
        raise Conflict("its time is over")
    return consent


def _amend(
    consent: Consent,
    event: Event,
    blocks: dict[str, Any],
    actor: Actor,
    now: dt.datetime,
    registry: Registry,
    *,
    ends: dt.datetime | None = None,
) -> Consent:
    """The event and the version that it makes, linked to the one before. Raises Conflict.

    ``ends``: its new end, which has to stand before what follows from the change looks at it.
    """
    before, digest = history.current_document(consent)
    after = documents.next_version(before, digest, now, **blocks)
    changes = differences.compare(before, after)
    history.append(consent.consent_id, event, now, actor=actor, channel="dashboard", changes=changes, registry=registry)
    db.session.refresh(consent)
    if ends is not None:
        consent.ends(ends, since=now)
        db.session.flush()
    history.add_version(consent, after, now, registry)
    return consent
