"""What each client is registered to ask, why, and the caps on it."""

import datetime as dt
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ForeignKey, String, select
from sqlalchemy.orm import Mapped, mapped_column

from consent import rules
from consent.asks import Ask
from consent.clients import Client
from consent.rules import Case, Objection, Rules, Wanted
from dataspace import catalogue
from dataspace.catalogue import DataItem
from dataspace.db import Model, db

NOT_NARROWED = frozenset(
    {"forbidden", "template", "retention_days"}
)  # the caps that no request can keep by asking less


class Purpose(Model):
    """A registered purpose of one client.

    ``items``: [{item, fields, necessity, reason{3}, max_months?, min_months?, optional_fields?, delivery?}]: the holder
    may leave out ``optional_fields``, and shorten the period down to ``min_months`` (left out: a required item is not
    shortened, an optional one at will).
    """

    __tablename__ = "purposes"
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id"), primary_key=True)
    code: Mapped[str] = mapped_column(String(60), primary_key=True)
    scenario: Mapped[str] = mapped_column(String(10), default="")
    text: Mapped[dict[str, Any]]
    holder_kinds: Mapped[list[Any]]
    mode: Mapped[str] = mapped_column(String(20))  # one_time, periodic, view_once
    max_reads: Mapped[int | None]
    frequency: Mapped[dict[str, Any] | None]
    case_required: Mapped[bool] = mapped_column(default=False)  # every read has to name a case, unless the consent does
    max_duration_days: Mapped[int]
    default_duration_days: Mapped[int]
    retention: Mapped[dict[str, Any]]
    storage_location: Mapped[dict[str, Any]]
    methods: Mapped[dict[str, Any] | None]
    items: Mapped[list[Any]]
    third_parties: Mapped[list[Any]]
    cross_border: Mapped[dict[str, Any] | None]
    automated_decision: Mapped[str] = mapped_column(String(10), default="none")
    legal_basis: Mapped[str] = mapped_column(String(20), default="consent")
    approved_at: Mapped[dt.datetime | None]


def of_client(client_id: str) -> list[Purpose]:
    """The purposes of a client, by code."""
    return list(db.session.scalars(select(Purpose).filter_by(client_id=client_id).order_by(Purpose.code)))


def is_approved(client_id: str, code: str) -> bool:
    """Whether a client may ask for a purpose of this code."""
    purpose = db.session.get(Purpose, (client_id, code))
    return purpose is not None and purpose.approved_at is not None


def case_of(purpose: Purpose, client_class: str | None = None) -> Case:
    """The purpose as rules see it; the class of its client is looked up when it is not given."""
    if client_class is None:
        client = db.session.get(Client, purpose.client_id)
        client_class = client.client_class if client else ""
    return Case(
        client_id=purpose.client_id,
        client_class=client_class,
        purpose_code=purpose.code,
        template=purpose.scenario or "",
        mode=purpose.mode,
    )


def never_admitted(purpose: Purpose, in_force: Rules, client_class: str | None = None) -> list[Objection]:
    """What the rules refuse of a registered purpose whatever a request says; the other caps narrow each request."""
    wanted = Wanted(
        case=case_of(purpose, client_class),
        items=tuple((i["item"], tuple(i["fields"]), i.get("max_months")) for i in purpose.items),
        duration_days=purpose.max_duration_days,
        frequency=purpose.frequency,
        retention_days=purpose.retention.get("days"),
    )
    return [o for o in rules.objections(in_force, wanted) if o.cap in NOT_NARROWED]


def outdated(ask: Ask) -> bool:
    """Whether what was asked can no longer be given: the purpose is gone, or an item is not shared any more.

    An item that has become sensitive since needs a step of its own, so it has to be asked for anew as well.
    """
    if ask.kind != "data":
        return False
    return _outdated(ask.client_id, ask.purpose_code, {i.item_id: (i.fields, i.sensitive) for i in ask.items})


def outdated_since(document: dict[str, Any], *, kind: str) -> bool:
    """The same of a consent of this kind that was prepared for a second person: of the items that were chosen."""
    if kind != "data":
        return False
    chosen = {i["item_id"]: (i["fields"], i["separate_step"]) for i in document["items"] if i["chosen"]}
    return _outdated(document["recipient"]["client_id"], document["purpose"]["purpose_code"], chosen)


def _outdated(client_id: str, purpose_code: str, items: Mapping[str, tuple[Collection[str], bool]]) -> bool:
    """``items``: of each its fields, and whether it has a step of its own."""
    purpose = db.session.get(Purpose, (client_id, purpose_code))
    if purpose is None or purpose.approved_at is None:
        return True
    today = catalogue.current(items)
    return any(
        _is_outdated(today.get(item_id), fields, own_step=own_step) for item_id, (fields, own_step) in items.items()
    )


def _is_outdated(item: DataItem | None, fields: Collection[str], *, own_step: bool) -> bool:
    if item is None or item.share == "N":
        return True
    return not set(item.field_ids()).issuperset(fields) or (item.is_sensitive_for(fields) and not own_step)


def most_of(registered: dict[str, Any], item: DataItem) -> str:
    """The form in which a registered item may leave at most."""
    return str(registered.get("delivery") or ("derived" if item.derived else "raw"))
