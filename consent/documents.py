"""The document of one consent version: the blocks of the consent record, built from what was asked and decided.

A document is canonical JSON (RFC 8785), signed as it is. It names no identifier and no value of any record.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from consent import subjects
from consent.asks import Ask, AskItem
from consent.clients import Client
from consent.records import SCHEMA
from dataspace.catalogue import DataItem
from dataspace.holders import Holder
from dataspace.identifiers import BlindIndex
from dataspace.mandates import Actor


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What the holder made of a request: which items to give, and for how long at most.

    ``fields``: the optional fields that were ticked, by item; ``months``: the shorter periods that were chosen;
    ``once``: it may be read a single time, which closes it.
    """

    items: tuple[str, ...]
    duration_days: int
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    months: Mapping[str, int] = field(default_factory=dict)
    once: bool = False

    def max_reads(self, ask: Ask) -> int | None:
        """How many reads are allowed in all; None for any number."""
        return 1 if self.once else ask.max_reads

    def of(self, item: AskItem) -> AskItem:
        """An item as it is given; one that is not given stays as it was asked for."""
        if item.item_id not in self.items:
            return item
        return item.narrowed(self.fields.get(item.item_id, ()), self.months.get(item.item_id))

    def narrowed(self, ask: Ask) -> Ask:
        """The request with its items as they are given."""
        items = tuple(self.of(i) for i in ask.items)
        return replace(ask, items=items, duration_days=self.duration_days, max_reads=self.max_reads(ask))


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What the page showed: its full text, language, when asked and when opened, which screens were shown."""

    text: str
    language: str
    requested_at: dt.datetime
    opened_at: dt.datetime
    screens: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Everybody and everything a document speaks of."""

    ask: Ask
    client: Client
    holder: Holder
    catalogue: dict[tuple[str, int], DataItem]


def stamp(at: dt.datetime) -> str:
    """A moment as RFC 3339 in UTC with seconds."""
    return at.astimezone(dt.UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def approval(step: str, actor: Actor, decision: str, now: dt.datetime) -> dict[str, Any]:
    """One line of the approvals block."""
    return {"step": step, "actor_ref": actor.person_id, "role": actor.capacity, "decision": decision, "at": stamp(now)}


def build(
    subject: Subject,
    choices: Choices,
    actor: Actor,
    shown: Shown,
    *,
    consent_id: str,
    kind: str,
    approvals: dict[str, Any],
    notice_digest: str,
    not_before: dt.datetime,
    expires_at: dt.datetime,
    now: dt.datetime,
    index: BlindIndex,
    issuer: str,
) -> dict[str, Any]:
    """The document of version 1."""
    ask, client = subject.ask, subject.client
    return {
        "schema": SCHEMA,
        "consent_id": consent_id,
        "version": 1,
        "previous_version_digest": None,
        "created_at": stamp(now),
        "language": shown.language,
        "kind": kind,
        "legal_basis": ask.legal_basis,
        "subject": {
            "space_id": subject.holder.space_id,
            "space_type": subject.holder.kind,
            "subject_ref": subjects.of(subject.holder.holder_id, client, index),
        },
        "actor": {
            "actor_ref": actor.person_id,
            "capacity": actor.capacity,
            "mandate_id": actor.mandate_id,
            "acr": actor.acr,
            "auth_time": stamp(actor.auth_time),
            "auth_method": "passkey",
        },
        "approvals": approvals,
        "recipient": _recipient(client),
        "third_parties": list(ask.third_parties),
        "purpose": {
            "purpose_code": ask.purpose_code,
            "text": ask.purpose_text,
            "scenario": ask.scenario,
            "rule_set_version": ask.rule_set_version,
            "reference_no": ask.reference_no,
        },
        "items": [_item(choices.of(i), subject.catalogue, chosen=i.item_id in choices.items) for i in ask.items],
        "scope": list(ask.scope),
        "claims": list(ask.claims),
        "use": {
            "mode": ask.mode,
            "frequency": ask.frequency,
            "max_reads": choices.max_reads(ask),
            "not_before": stamp(not_before),
            "expires_at": stamp(expires_at),
            **({"case_required": True} if ask.case_required else {}),
        },
        "retention": {**ask.retention, "storage_location": ask.storage_location},
        "processing": {"methods": ask.methods, "automated_decision": ask.automated_decision},
        "cross_border": ask.cross_border,
        "rights": {"withdrawal": f"{issuer}/authorizations/{consent_id}"},
        "notice": {
            "digest": notice_digest,
            "screens": list(shown.screens),
            "requested_at": stamp(shown.requested_at),
            "opened_at": stamp(shown.opened_at),
        },
        "request": {
            "items": [i.item_id for i in ask.items],
            "duration_days": ask.duration_days,
            "given_days": choices.duration_days,
            "max_reads": ask.max_reads,
            "reduced": [r for i in ask.items for r in _reduced(i, choices)],
        },
    }


def next_version(
    document: dict[str, Any], previous_digest: str, now: dt.datetime, **changed: dict[str, Any]
) -> dict[str, Any]:
    """A copy with the version counted up, linked to its predecessor, and the ``changed`` blocks replaced."""
    head = {
        "version": document["version"] + 1,
        "previous_version_digest": f"sha-256:{previous_digest}",
        "created_at": stamp(now),
    }
    return document | head | changed


def granted(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The part of a document that a read needs: the chosen items."""
    looks_only = document["use"]["mode"] == "view_once"
    return [
        {
            "item": i["item_id"],
            "version": i["item_version"],
            "fields": i["fields"],
            "from": i["range"]["from"],
            "to": i["range"]["to"],
            "sensitive": i["separate_step"],
            "delivery": "view_only" if looks_only and i["delivery"] == "raw" else i["delivery"],
        }
        for i in document["items"]
        if i["chosen"]
    ]


def _reduced(asked: AskItem, choices: Choices) -> list[dict[str, Any]]:
    """What the holder left out of one item: the whole of it, or fields and months."""
    if asked.item_id not in choices.items:
        return [{"item_id": asked.item_id, "fields": list(asked.fields), "range": _range(asked)}]
    given = choices.of(asked)
    fields = [f for f in asked.fields if f not in given.fields]
    if not fields and given.period_from == asked.period_from:
        return []
    return [{"item_id": asked.item_id, "fields": fields, "range": _range(asked)}]


def _range(item: AskItem) -> dict[str, str | None]:
    return {"from": item.period_from, "to": item.period_to}


def _recipient(client: Client) -> dict[str, Any]:
    return {
        "client_id": client.client_id,
        "legal_name": client.legal_name,
        "uscc": client.uscc,
        "foreign_registration": client.foreign_registration,
        "address": client.address,
        "contact": client.contact,
        "privacy_officer": client.privacy_officer,
        "accreditation": client.accreditation,
    }


def _item(item: AskItem, catalogue: dict[tuple[str, int], DataItem], *, chosen: bool) -> dict[str, Any]:
    entry = catalogue[item.item_id, item.item_version]
    return {
        "item_id": item.item_id,
        "item_version": item.item_version,
        "label": entry.labels,
        "fields": list(item.fields),
        "necessity": item.necessity,
        "chosen": chosen,
        "reason": item.reason,
        "source_authority": entry.authority,
        "classification": {"rule_set": entry.rule_set, "class": entry.pi_class, "level": entry.level},
        "separate_step": item.sensitive,
        "impact_text": entry.impact if item.sensitive else None,
        "range": _range(item),
        "delivery": item.delivery,
    }
