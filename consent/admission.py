"""Over-asking is refused here, by machine: what a request asks becomes what the holder will be asked, or a refusal.

Two caps hold for every request, and the narrower counts: the registered one (:mod:`consent.purposes`), and that of the
rules in force (:mod:`consent.rules`).
"""

import datetime as dt
from dataclasses import replace
from typing import Any

from sqlalchemy import select

from consent import rules
from consent.asks import Ask, AskItem, last_months
from consent.clients import Client
from consent.purposes import Purpose, case_of, most_of
from consent.rules import Case, Rules, Wanted
from consent.terms import AskedItem, InvalidTerms, Terms
from dataspace import catalogue
from dataspace.catalogue import DataItem
from dataspace.db import db


def admit(terms: Terms, *, client_id: str, scope: tuple[str, ...], now: dt.datetime) -> Ask:
    """What the holder will be asked. Raises InvalidTerms with a sentence that names the offending part."""
    purpose, client_class = _registered(client_id, terms.purpose_code)
    if any(party["role"] != "processor" for party in purpose.third_parties):  # PIPL 23, check C-16
        raise InvalidTerms(f"purpose {purpose.code}: a further controller has to ask for itself")
    case = case_of(purpose, client_class)
    in_force = rules.in_force(now, case)
    registered = {i["item"]: i for i in purpose.items}
    items = catalogue.current([i.item_id for i in terms.items] or list(registered))
    asked = terms.items or tuple(AskedItem(item_id=item_id) for item_id in registered)
    caps = {i.item_id: in_force.ruling(case, i.item_id) for i in asked}
    back = {
        item_id: ruling["look_back_months"].value for item_id, ruling in caps.items() if "look_back_months" in ruling
    }
    ask = Ask(
        client_id=client_id,
        kind="data",
        purpose_code=purpose.code,
        purpose_text=purpose.text,
        scenario=purpose.scenario,
        holder_kinds=tuple(purpose.holder_kinds),
        items=tuple(
            replace(
                _admit_item(i, registered.get(i.item_id), items.get(i.item_id), back.get(i.item_id), now),
                two_person=rules.two_person(caps[i.item_id]),
            )
            for i in asked
        ),
        mode=_admit_mode(terms, purpose),
        max_reads=_admit_reads(terms, purpose),
        frequency=_admit_frequency(purpose, in_force, case, list(caps)),
        duration_days=_admit_duration(terms, purpose, in_force, case, list(caps)),
        retention=purpose.retention,
        storage_location=purpose.storage_location,
        methods=purpose.methods,
        third_parties=tuple(purpose.third_parties),
        cross_border=purpose.cross_border,
        automated_decision=purpose.automated_decision,
        legal_basis=purpose.legal_basis,
        reference_no=terms.reference_no,
        scope=scope,
        rule_set_version=in_force.version,
        usual=in_force.usual(purpose.scenario),
        case_required=purpose.case_required,
    )
    for objection in rules.objections(in_force, _wanted(ask, case)):
        raise InvalidTerms(objection.what)
    return ask


def _registered(client_id: str, code: str) -> tuple[Purpose, str]:
    """An approved purpose, and the class of its client, in one statement. Raises InvalidTerms."""
    found = db.session.execute(
        select(Purpose, Client.client_class)
        .join(Client, Client.client_id == Purpose.client_id)
        .where(Purpose.client_id == client_id, Purpose.code == code, Purpose.approved_at.is_not(None))
    ).one_or_none()
    if found is None:
        raise InvalidTerms(f"purpose {code} is not registered for this client")
    purpose, client_class = found
    return purpose, client_class


def _admit_item(
    asked: AskedItem, registered: dict[str, Any] | None, item: DataItem | None, cap: int | None, now: dt.datetime
) -> AskItem:
    if registered is None or item is None or item.share == "N":
        raise InvalidTerms(f"item {asked.item_id} is not registered for this purpose")
    fields = asked.fields or tuple(registered["fields"])
    foreign = [f for f in fields if f not in registered["fields"]]
    if foreign:
        raise InvalidTerms(f"field {foreign[0]} of item {asked.item_id} is not registered for this purpose")
    months = _at_most(f"months of item {asked.item_id}", asked.months, registered.get("max_months"))
    if asked.months is None and cap is not None and item.period_field is not None:
        months = min(months or cap, cap)  # what is not said is asked within the rules; what is said is judged by them
    period_from, period_to = last_months(months, now) if months else (None, None)
    # A client may ask less urgently than registered, never more.
    necessity = "optional" if "optional" in (asked.necessity, registered["necessity"]) else "required"
    return AskItem(
        item_id=asked.item_id,
        item_version=item.version,
        fields=fields,
        necessity=necessity,
        sensitive=item.is_sensitive_for(fields),
        reason=registered["reason"],
        period_from=period_from,
        period_to=period_to,
        delivery=_admit_delivery(asked, registered, item),
        optional_fields=_admit_optional(fields, registered),
        min_months=registered.get("min_months", 1 if necessity == "optional" else None) if months else None,
    )


def _admit_optional(fields: tuple[str, ...], registered: dict[str, Any]) -> tuple[str, ...]:
    optional = tuple(f for f in fields if f in registered.get("optional_fields", ()))
    if optional and len(optional) == len(fields):
        raise InvalidTerms(f"item {registered['item']}: ask for at least one field that is not optional")
    return optional


def _admit_delivery(asked: AskedItem, registered: dict[str, Any], item: DataItem) -> str:
    """A client may ask for less than registered: only to compare. An answer is computed at the source, or not."""
    most = most_of(registered, item)
    if asked.delivery in (None, most, "verify_only"):
        return asked.delivery or most
    raise InvalidTerms(f"delivery {asked.delivery} of item {asked.item_id} is not registered for this purpose")


def _admit_reads(terms: Terms, purpose: Purpose) -> int | None:
    """How many reads in all. What is to be looked at is read once; so is a copy, unless more is registered."""
    registered = purpose.max_reads
    if purpose.mode == "view_once" or (registered is None and purpose.mode == "one_time"):
        registered = 1
    return _at_most("max_reads", terms.max_reads, registered)


def _admit_mode(terms: Terms, purpose: Purpose) -> str:
    if terms.mode and terms.mode != purpose.mode:
        raise InvalidTerms(f"use {terms.mode} is not registered for this purpose")
    return purpose.mode


def _admit_duration(terms: Terms, purpose: Purpose, in_force: Rules, case: Case, item_ids: list[str]) -> int:
    if terms.duration_days is not None:
        _at_most("duration", terms.duration_days, purpose.max_duration_days)
        return terms.duration_days
    life = in_force.narrowest(case, item_ids, "life_days")
    usual = purpose.default_duration_days
    return usual if life is None else min(usual, int(life.value))


def _admit_frequency(purpose: Purpose, in_force: Rules, case: Case, item_ids: list[str]) -> dict[str, Any] | None:
    often = in_force.narrowest(case, item_ids, "frequency") if purpose.mode == "periodic" else None
    return rules.rarer(purpose.frequency, often.value if often else None)


def _wanted(ask: Ask, case: Case) -> Wanted:
    return Wanted(
        case=case,
        items=tuple((i.item_id, i.fields, catalogue.months_between(i.period_from, i.period_to)) for i in ask.items),
        duration_days=ask.duration_days,
        frequency=ask.frequency,
        retention_days=ask.retention.get("days"),
    )


def _at_most(what: str, asked: int | None, cap: int | None) -> int | None:
    if asked is not None and cap is not None and asked > cap:
        raise InvalidTerms(f"{what}: {asked} is more than the cap of {cap} for this purpose")
    return cap if asked is None else asked
