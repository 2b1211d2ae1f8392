"""What each client is registered to ask, why, and the caps on it; over-asking is refused here, by machine.

Two caps hold for every request, and the narrower counts: the registered one, and that of the rules in force
(:mod:`consent.rules`). ``admit`` turns what a request asks (:class:`consent.terms.Terms`) into what the holder will be
asked (:class:`Ask`), or refuses with a sentence that names the offending part.
"""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from sqlalchemy import ForeignKey, String, select
from sqlalchemy.orm import Mapped, mapped_column

from consent import claims, rules
from consent.claims import NOTHING, AskedClaims
from consent.clients import Client
from consent.rules import Case, Objection, Rules, Wanted
from consent.terms import AskedItem, InvalidTerms, Terms
from dataspace import catalogue
from dataspace.catalogue import DataItem
from dataspace.db import Model, db
from dataspace.holders import HolderKind

NOT_NARROWED = frozenset(
    {"forbidden", "template", "retention_days"}
)  # the caps that no request can keep by asking less
MONTHS = (1, 3, 6, 12, 24, 36, 60)  # what a holder may shorten a period to
Texts = dict[str, str]  # zh_hans, zh_hant, en


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


@dataclass(frozen=True, kw_only=True)
class AskItem:
    """One item as the holder is asked for it; ``period_from``/``period_to`` are inclusive months ``YYYY-MM``.

    ``optional_fields``: those of ``fields`` that leave only if the holder ticks them; ``min_months``: the shortest
    period that the holder may choose instead of the asked one, None for no shorter one; ``two_person``: from more than
    so many months on a company gives it only with two persons (0: always), None for one.
    """

    item_id: str
    item_version: int
    fields: tuple[str, ...]
    necessity: str  # required, optional
    sensitive: bool
    reason: Texts
    period_from: str | None = None
    period_to: str | None = None
    delivery: str = "raw"  # raw, derived (an answer that was computed), verify_only (compared, nothing leaves)
    optional_fields: tuple[str, ...] = ()
    min_months: int | None = None
    two_person: int | None = None

    @property
    def needs_two(self) -> bool:
        """Whether a company gives as much of it only with two persons."""
        return self.two_person is not None and (self.months is None or self.months > self.two_person)

    @property
    def months(self) -> int | None:
        """How many months are asked; None for an item without a period."""
        if not self.period_from or not self.period_to:
            return None
        return _month_number(self.period_to) - _month_number(self.period_from) + 1

    @property
    def shorter(self) -> tuple[int, ...]:
        """The periods in months that may be chosen instead of the asked one."""
        if self.months is None or self.min_months is None:
            return ()
        return tuple(m for m in MONTHS if self.min_months <= m < self.months)

    def narrowed(self, fields: Collection[str], months: int | None) -> Self:
        """The same with only these of its optional fields, and the last ``months`` of its period (None: all)."""
        kept = tuple(f for f in self.fields if f not in self.optional_fields or f in fields)
        period_from = self.period_from
        if months is not None and self.period_to:
            period_from = _month_name(_month_number(self.period_to) - months + 1)
        return replace(self, fields=kept, optional_fields=(), period_from=period_from, min_months=None)


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What one request asks a holder, complete: stored with the request, shown on the page, kept in the consent."""

    client_id: str
    kind: str  # "data" or "login"
    purpose_code: str
    purpose_text: Texts
    scenario: str
    holder_kinds: tuple[str, ...]
    items: tuple[AskItem, ...]
    mode: str
    max_reads: int | None
    frequency: dict[str, Any] | None
    duration_days: int
    retention: dict[str, Any]
    storage_location: Texts
    methods: Texts | None
    third_parties: tuple[dict[str, Any], ...]
    cross_border: dict[str, Any] | None
    automated_decision: str
    legal_basis: str
    reference_no: str | None
    scope: tuple[str, ...] = field(default=())
    claims: tuple[str, ...] = field(default=())  # of a sign-in: what it tells of the person
    rule_set_version: str | None = None  # the rules in force when it was asked; None: there were none
    # {duration_days?, look_back_months?, frequency?} of the template: more than this is unusual (check C-09)
    usual: dict[str, Any] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """JSON form; :meth:`from_document` reads it back."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """The value again from its JSON form."""
        lists = ("fields", "optional_fields")
        items = tuple(AskItem(**i | {k: tuple(i[k]) for k in lists}) for i in document["items"])
        tuples = {k: tuple(document[k]) for k in ("holder_kinds", "third_parties", "scope", "claims")}
        return cls(**{**document, **tuples, "items": items})

    def of_child(self) -> Self:
        """The same about a child under 14: every item is sensitive (PIPL 28, check C-22)."""
        return replace(self, items=tuple(replace(i, sensitive=True) for i in self.items))

    @property
    def may_be_once(self) -> bool:
        """Whether it asks for more than one read, so that a holder can allow a single one instead."""
        return self.kind == "data" and self.max_reads != 1

    @property
    def sensitive_items(self) -> list[AskItem]:
        """The items that have a step of their own on the consent page."""
        return [i for i in self.items if i.sensitive]


def of_client(client_id: str) -> list[Purpose]:
    """The purposes of a client, by code."""
    return list(db.session.scalars(select(Purpose).filter_by(client_id=client_id).order_by(Purpose.code)))


def is_approved(client_id: str, code: str) -> bool:
    """Whether a client may ask for a purpose of this code."""
    purpose = db.session.get(Purpose, (client_id, code))
    return purpose is not None and purpose.approved_at is not None


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


def sign_in(client_id: str, scope: tuple[str, ...], asked: AskedClaims = NOTHING) -> Ask:
    """What a ``login`` client asks: to know who signs in, and what scope and claims add, for a year at most."""
    text = {
        "zh_hans": "用您的数字空间账户登录",
        "zh_hant": "用您的數字空間帳戶登入",
        "en": "Sign you in with your data space account",
    }
    keep = {
        "text": {
            "zh_hans": "登录关系存续期间",
            "zh_hant": "登入關係存續期間",
            "en": "For as long as you use the sign-in",
        }
    }
    return Ask(
        client_id=client_id, kind="login", purpose_code="sign-in", purpose_text=text, scenario="",
        holder_kinds=(HolderKind.NATURAL_PERSON.value,), items=(), mode="periodic", max_reads=None, frequency=None,
        duration_days=365, retention=keep, storage_location={}, methods=None, third_parties=(), cross_border=None,
        automated_decision="none", legal_basis="consent", reference_no=None, scope=scope,
        claims=claims.told(scope, asked),
    )  # fmt: skip


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
    period_from, period_to = _last_months(months, now) if months else (None, None)
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


def most_of(registered: dict[str, Any], item: DataItem) -> str:
    """The form in which a registered item may leave at most."""
    return str(registered.get("delivery") or ("derived" if item.derived else "raw"))


def _admit_delivery(asked: AskedItem, registered: dict[str, Any], item: DataItem) -> str:
    """A client may ask for less than registered: only to compare. An answer is computed at the source, or not."""
    most = most_of(registered, item)
    if asked.delivery in (None, most, "verify_only"):
        return asked.delivery or most
    raise InvalidTerms(f"delivery {asked.delivery} of item {asked.item_id} is not registered for this purpose")


def _admit_reads(terms: Terms, purpose: Purpose) -> int | None:
    """How many reads in all. What is for one time is read once, unless more is registered."""
    registered = purpose.max_reads
    if registered is None and purpose.mode == "one_time":
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


def _last_months(months: int, now: dt.datetime) -> tuple[str, str]:
    """The last complete ``months`` calendar months before ``now``, as inclusive ``YYYY-MM``."""
    last = now.year * 12 + now.month - 2
    return _month_name(last - months + 1), _month_name(last)


def _month_number(month: str) -> int:
    """Months since the year 0, of ``YYYY-MM``."""
    return 12 * int(month[:4]) + int(month[5:7]) - 1


def _month_name(number: int) -> str:
    return f"{number // 12:04d}-{number % 12 + 1:02d}"
