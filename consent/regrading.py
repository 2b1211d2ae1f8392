"""Items that became sensitive after they were given: what was given without a step of its own is decided again.

Nothing of such an item leaves meanwhile (:func:`dataspace.extracts.read`); the other items of the consent go on. PIPL
article 29 asks for a separate consent to sensitive personal information, and the old one was none.
"""

import datetime as dt
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sqlalchemy import select

from consent import differences, documents, history, lifecycle
from consent.asks import AskItem
from consent.history import Registry
from consent.records import CURRENT_VERSION, Consent, ConsentVersion, Event, State
from dataspace import catalogue
from dataspace.catalogue import DataItem
from dataspace.db import db
from dataspace.errors import Conflict, NotAllowed
from dataspace.mandates import Actor, Capacity

DECIDABLE = (State.ACTIVE, State.PAUSED)


def of_document(document: dict[str, Any]) -> dict[str, DataItem]:
    """The chosen items of a consent that have to be decided again, as the catalogue has them today; one statement."""
    given = {i["item_id"]: i["fields"] for i in document["items"] if i["chosen"] and not i["separate_step"]}
    current = catalogue.current(given)
    return {item_id: item for item_id, item in current.items() if is_regraded(item, given[item_id])}


def in_space(space_id: str) -> list[str]:
    """The live consents of a space of which an item has to be decided again, in two statements."""
    rows = db.session.execute(
        select(Consent.consent_id, ConsentVersion.granted)
        .join(ConsentVersion, CURRENT_VERSION)
        .where(Consent.space_id == space_id, Consent.state.in_(DECIDABLE), Consent.kind == "data")
    ).all()
    plain = {row.consent_id: [g for g in row.granted if not g.get("sensitive")] for row in rows}
    current = catalogue.current({g["item"] for granted in plain.values() for g in granted})
    return [
        consent_id
        for consent_id, granted in plain.items()
        if any(g["item"] in current and is_regraded(current[g["item"]], g["fields"]) for g in granted)
    ]


def is_regraded(today: DataItem, fields: Collection[str]) -> bool:
    """Whether these fields of an item, given without a step of their own, would have one today."""
    return today.is_sensitive_for(f for f in today.field_ids() if f in fields)


def asked_again(item: AskItem, today: DataItem) -> AskItem:
    """The item of a consent as it is asked for today: the same fields, as far as they still are."""
    fields = tuple(f for f in item.fields if f in today.field_ids())
    return replace(item, item_version=today.version, fields=fields, sensitive=True)


def keep(consent_id: str, item_id: str, actor: Actor, now: dt.datetime, *, notice: str, registry: Registry) -> Consent:
    """Record that the holder keeps giving an item: a new version, in which it has a step of its own.

    ``notice``: the text as it was shown. Raises NotFound, NotAllowed (who needs a second person), Conflict (ended, or
    not to be decided any more). Who does not keep giving it stops it: :func:`consent.amendments.withdraw_item`.
    """
    lifecycle.of_space(consent_id, actor.space_id)
    if actor.capacity == Capacity.AGENT:
        raise NotAllowed("what needs a second person is not decided alone")
    consent = history.hold(consent_id)
    document, digest = history.current_document(consent)
    today = of_document(document).get(item_id)
    if today is None or now >= consent.expires_at:
        raise Conflict("nothing to decide again")
    items = [_kept(i, today) if i["item_id"] == item_id else i for i in document["items"]]
    following = documents.next_version(document, digest, now) | {"items": items, "kind": "separate_consent"}
    changes = differences.compare(document, following)
    history.append(
        consent_id, Event.ITEM_RECONFIRMED, now, actor=actor, channel="dashboard", changes=changes, registry=registry
    )
    db.session.refresh(consent)
    history.add_version(consent, following, now, registry, notice=notice)
    return consent


def _kept(item: dict[str, Any], today: DataItem) -> dict[str, Any]:
    return item | {
        "item_version": today.version,
        "label": today.labels,
        "fields": [f for f in item["fields"] if f in today.field_ids()],
        "source_authority": today.authority,
        "classification": {"rule_set": today.rule_set, "class": today.pi_class, "level": today.level},
        "separate_step": True,
        "impact_text": today.impact,
    }
