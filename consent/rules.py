"""The rules in force: versioned sets of caps on what may be asked, and the templates of purposes.

A rule says for whom (a client, a class of clients), for what (a purpose, a template), for which item and which use it
counts, and what it caps or forbids there. For each cap alone the most specific rule wins. Specificity is compared
in this order: the item (the very item, then the longest group such as ``p.health.*``, then any), the purpose (its code,
its template, any), the client (its id, its class, any), the use (named, any). Rules of equal specificity that match the
same case have the same selectors, so whether a set contradicts itself is known when it is loaded
(:mod:`consent.rule_files`). A set is never edited; the one in force is the one that took effect last.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ForeignKey, String, Text, select
from sqlalchemy.orm import Mapped, mapped_column

from consent.terms import InvalidTerms
from dataspace.db import Model, db

ANY = "*"
GROUP = ".*"  # the end of an item selector that means a group of items
CAPS = ("forbidden", "life_days", "frequency", "look_back_months", "retention_days", "two_person")
PER_YEAR = {"day": 365, "week": 52, "month": 12, "quarter": 4, "year": 1}  # by which frequencies are compared


class RuleBook(Model):
    """One rule set. ``digest``: SHA-256 of its canonical content (RFC 8785), by which a reload is recognised."""

    __tablename__ = "rule_books"
    version: Mapped[str] = mapped_column(String(60), primary_key=True)
    title: Mapped[dict[str, Any]]
    digest: Mapped[str] = mapped_column(String(64))
    valid_from: Mapped[dt.datetime] = mapped_column(unique=True)
    loaded_at: Mapped[dt.datetime]
    actor_id: Mapped[str] = mapped_column(String(40))
    reason_code: Mapped[str | None] = mapped_column(String(40))
    text: Mapped[str] = mapped_column(Text, default="")


class Template(Model):
    """What a kind of purpose is about: the items and fields that belong to it, and its usual values.

    ``items``: [{item, fields?}]; ``usual``: {duration_days?, look_back_months?, frequency?}.
    """

    __tablename__ = "purpose_templates"
    version: Mapped[str] = mapped_column(ForeignKey("rule_books.version"), primary_key=True)
    code: Mapped[str] = mapped_column(String(10), primary_key=True)
    title: Mapped[dict[str, Any]]
    items: Mapped[list[Any]]
    usual: Mapped[dict[str, Any]]


class Rule(Model):
    """One rule. Selectors are ``*`` where the rule does not choose; ``caps``: some of :data:`CAPS`."""

    __tablename__ = "rules"
    version: Mapped[str] = mapped_column(ForeignKey("rule_books.version"), primary_key=True)
    rule_id: Mapped[str] = mapped_column(String(60), primary_key=True)
    client_id: Mapped[str] = mapped_column(String(80), default=ANY)
    client_class: Mapped[str] = mapped_column(String(20), default=ANY)
    purpose_code: Mapped[str] = mapped_column(String(60), default=ANY)
    template: Mapped[str] = mapped_column(String(10), default=ANY)
    mode: Mapped[str] = mapped_column(String(20), default=ANY)
    item: Mapped[str] = mapped_column(String(60), default=ANY)
    caps: Mapped[dict[str, Any]]

    @property
    def selectors(self) -> tuple[str, ...]:
        """What it counts for; two rules with the same selectors must agree."""
        return (self.client_id, self.client_class, self.purpose_code, self.template, self.mode, self.item)

    @property
    def specificity(self) -> tuple[int, int, int, int]:
        """The more specific rule has the greater one; see the head of this module."""
        item = 0 if self.item == ANY else self.item.count(".") if self.item.endswith(GROUP) else 99
        purpose = 2 * (self.purpose_code != ANY) + (self.template != ANY)
        client = 2 * (self.client_id != ANY) + (self.client_class != ANY)
        return item, purpose, client, int(self.mode != ANY)

    def is_about(self, item_id: str) -> bool:
        """Whether the item selector means this item."""
        return self.item in (ANY, item_id) or (
            self.item.endswith(GROUP) and item_id.startswith(self.item.removesuffix("*"))
        )


@dataclass(frozen=True, kw_only=True)
class Case:
    """Who asks, what for, in which way: what decides which rules count."""

    client_id: str
    client_class: str
    purpose_code: str
    template: str
    mode: str

    def is_meant_by(self, rule: Rule) -> bool:
        """Whether all selectors of the rule but the item mean this case."""
        return (
            rule.client_id in (ANY, self.client_id)
            and rule.client_class in (ANY, self.client_class)
            and rule.purpose_code in (ANY, self.purpose_code)
            and rule.template in (ANY, self.template)
            and rule.mode in (ANY, self.mode)
        )


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is judged: the values of one request, one registered purpose or one consent."""

    case: Case
    items: tuple[tuple[str, tuple[str, ...], int | None], ...]  # item, fields, months back
    duration_days: int
    frequency: dict[str, Any] | None
    retention_days: int | None


@dataclass(frozen=True)
class Objection:
    """Why the rules refuse something. ``cap``: one of :data:`CAPS`, or "template"; ``rule_id``: empty for a template.

    ``what``: a plain ASCII sentence that names the part and the rule.
    """

    cap: str
    rule_id: str
    what: str


@dataclass(frozen=True)
class Ruled:
    """The value of a cap, and the rule that sets it."""

    value: Any
    rule_id: str


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules of one set that count for a case (or all of them). ``version`` None: no set was ever loaded."""

    version: str | None = None
    rules: Sequence[Rule] = ()
    templates: dict[str, Template] = field(default_factory=dict)

    def ruling(self, case: Case, item_id: str) -> dict[str, Ruled]:
        """The caps on one item of a case, each from the most specific rule that sets it."""
        found: dict[str, tuple[tuple[int, ...], Ruled]] = {}
        for rule in self.rules:
            if not (rule.is_about(item_id) and case.is_meant_by(rule)):
                continue
            for name, value in rule.caps.items():
                # Equal specificity means equal values; the id only makes the named rule independent of the order.
                rank = (*rule.specificity, *(-ord(c) for c in rule.rule_id))
                if name not in found or rank > found[name][0]:
                    found[name] = (rank, Ruled(value, rule.rule_id))
        return {name: ruled for name, (_rank, ruled) in found.items()}

    def narrowest(self, case: Case, item_ids: Iterable[str], cap: str) -> Ruled | None:
        """The smallest value of a numeric cap, or the rarest frequency, over these items."""
        ruled = [r[cap] for r in (self.ruling(case, item_id) for item_id in item_ids) if cap in r]
        return min(ruled, key=lambda r: (_size(r.value), r.rule_id), default=None)

    def usual(self, template: str) -> dict[str, Any]:
        """The usual values of a template; empty when there is none."""
        return self.templates[template].usual if template in self.templates else {}


NO_RULES = Rules()


def in_force(now: dt.datetime, case: Case | None = None) -> Rules:
    """The rules that count at ``now``: all of them, or those that can matter to one case (three statements).

    Before the first set is loaded there are none, and what is registered is the only cap. Raises InvalidTerms when
    there are sets but none counts yet: the clock was set back, and without rules nothing is asked.
    """
    counts = (RuleBook.valid_from <= now).label("counts")
    # One that counts comes before any that does not: whether there is a set at all is known from the same row.
    latest = select(RuleBook.version, counts).order_by(counts.desc(), RuleBook.valid_from.desc()).limit(1)
    book = db.session.execute(latest).one_or_none()
    if book is None:
        return NO_RULES
    if not book.counts:
        raise InvalidTerms("no rule set is in force at this time")
    return of_version(book.version, case)


def of_version(version: str, case: Case | None = None) -> Rules:
    """The rules of one set, whether in force or not."""
    query = select(Rule).filter_by(version=version)
    templates = select(Template).filter_by(version=version)
    if case is not None:
        query = query.where(
            Rule.client_id.in_([ANY, case.client_id]),
            Rule.client_class.in_([ANY, case.client_class]),
            Rule.purpose_code.in_([ANY, case.purpose_code]),
            Rule.template.in_([ANY, case.template]),
            Rule.mode.in_([ANY, case.mode]),
        )
        templates = templates.filter_by(code=case.template)
    return Rules(
        version=version,
        rules=db.session.scalars(query).all(),
        templates={t.code: t for t in db.session.scalars(templates)},
    )


def books() -> list[RuleBook]:
    """Every rule set that was ever loaded, the latest first."""
    return list(db.session.scalars(select(RuleBook).order_by(RuleBook.valid_from.desc())))


def objections(rules: Rules, wanted: Wanted) -> Iterator[Objection]:
    """Everything in which the rules refuse it, item by item in the order of the request."""
    for item_id, fields, months in wanted.items:
        yield from _item_objections(rules.ruling(wanted.case, item_id), item_id, months)
        yield from _template_objections(rules, wanted.case.template, item_id, fields)
    item_ids = [item_id for item_id, _fields, _months in wanted.items]
    life = rules.narrowest(wanted.case, item_ids, "life_days")
    if life is not None and wanted.duration_days > life.value:
        yield _too_much("life_days", "duration", wanted.duration_days, life)
    keep = rules.narrowest(wanted.case, item_ids, "retention_days")
    if keep is not None and (wanted.retention_days is None or wanted.retention_days > keep.value):
        yield _too_much("retention_days", "retention", wanted.retention_days or "an open end", keep)
    often = rules.narrowest(wanted.case, item_ids, "frequency")
    if (
        often is not None
        and wanted.case.mode == "periodic"
        and rarer(wanted.frequency, often.value) != wanted.frequency
    ):
        yield _too_much("frequency", "frequency", _per(wanted.frequency), Ruled(_per(often.value), often.rule_id))


def two_person(ruling: dict[str, Ruled]) -> int | None:
    """From more than so many months on two persons of a company decide (0: always); None when one is enough."""
    value = ruling["two_person"].value if "two_person" in ruling else False
    return int(value["over_months"]) if isinstance(value, dict) else 0 if value else None


def rarer(one: dict[str, Any] | None, other: dict[str, Any] | None) -> dict[str, Any] | None:
    """The frequency that allows less; None allows any. The first of two that are alike."""
    if one is None or other is None:
        return one or other
    return other if _size(other) < _size(one) else one


def _template_objections(rules: Rules, template: str, item_id: str, fields: tuple[str, ...]) -> Iterator[Objection]:
    if template not in rules.templates:
        return
    allowed = {i["item"]: i.get("fields") for i in rules.templates[template].items}
    if item_id not in allowed:
        yield Objection("template", "", f"item {item_id} does not belong to the template {template} of this purpose")
        return
    known = allowed[item_id]
    for foreign in [f for f in fields if known is not None and f not in known]:
        yield Objection("template", "", f"field {foreign} of item {item_id} does not belong to the template {template}")


def _item_objections(ruling: dict[str, Ruled], item_id: str, months: int | None) -> Iterator[Objection]:
    forbidden = ruling.get("forbidden")
    if forbidden is not None and forbidden.value:
        why = "".join(c if " " <= c <= "~" and c not in '"\\' else "'" for c in forbidden.value["en"])
        yield Objection(
            "forbidden", forbidden.rule_id, f"item {item_id} is forbidden here by rule {forbidden.rule_id}: {why}"
        )
    back = ruling.get("look_back_months")
    if back is not None and months is not None and months > back.value:
        yield _too_much("look_back_months", f"months of item {item_id}", months, back)


def _too_much(cap: str, what: str, asked: object, ruled: Ruled) -> Objection:
    sentence = f"{what}: {asked} is more than the cap of {ruled.value} set by rule {ruled.rule_id}"
    return Objection(cap, ruled.rule_id, sentence)


def _size(value: Any) -> int:
    return int(value["n"] * PER_YEAR[value["unit"]] if isinstance(value, dict) else value)


def _per(frequency: dict[str, Any] | None) -> str:
    return f"{frequency['n']} a {frequency['unit']}" if frequency else "any number"
