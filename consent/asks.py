"""What a holder is asked, complete: the value that the request stores, the page shows and the consent keeps."""

import datetime as dt
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from consent import claims
from consent.claims import NOTHING, AskedClaims
from dataspace.holders import HolderKind

MONTHS = (1, 3, 6, 12, 24, 36, 60)  # what a holder may shorten a period to
Texts = dict[str, str]  # zh_hans, zh_hant, en


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
    case_required: bool = False  # every read names a case

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


def last_months(months: int, now: dt.datetime) -> tuple[str, str]:
    """The last complete ``months`` calendar months before ``now``, as inclusive ``YYYY-MM``."""
    last = now.year * 12 + now.month - 2
    return _month_name(last - months + 1), _month_name(last)


def _month_number(month: str) -> int:
    """Months since the year 0, of ``YYYY-MM``."""
    return 12 * int(month[:4]) + int(month[5:7]) - 1


def _month_name(number: int) -> str:
    return f"{number // 12:04d}-{number % 12 + 1:02d}"
