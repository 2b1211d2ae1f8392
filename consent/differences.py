"""What is another in one document of a consent than in another one: new, removed, longer, more (check C-44).

A pure function over two documents. The page that asks to replace a consent, the events that make a new version and the
history in words all tell the same, because they all ask here.
"""

import datetime as dt
import enum
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from consent.asks import Ask

Document = dict[str, Any]
_A_YEAR = {"day": 365, "week": 52, "month": 12, "quarter": 4, "year": 1}
# What may be done with an item, from the least to the most.
_DELIVERIES = ("verify_only", "derived", "view_only", "raw")
_UNLIMITED = float("inf")


class Kind(enum.StrEnum):
    """Durable words: stored in events."""

    NEW = "new"
    REMOVED = "removed"
    LONGER = "longer"
    SHORTER = "shorter"
    MORE = "more"
    LESS = "less"
    CHANGED = "changed"


REDUCING = frozenset({Kind.REMOVED, Kind.SHORTER, Kind.LESS})
_MORE, _LONGER = (Kind.MORE, Kind.LESS), (Kind.LONGER, Kind.SHORTER)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """``attribute``: a path such as ``items/p.edu.degree/fields``; ``before``, ``after``: its values, None for none."""

    attribute: str
    kind: Kind
    before: Any
    after: Any

    @property
    def enlarges(self) -> bool:
        """Whether the holder gives more by it, or may do so."""
        return self.kind not in REDUCING

    def to_document(self) -> Document:
        """JSON form; :meth:`from_document` reads it back."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Document) -> "Difference":
        """The value again from its JSON form."""
        return cls(**document | {"kind": Kind(document["kind"])})


def compare(before: Document, after: Document) -> list[Difference]:
    """Everything that is another for the holder, in the order of the consent page. Only chosen items count."""
    return [
        *_items(_chosen(before), _chosen(after)),
        *_listed("claims", before["claims"], after["claims"]),
        *_use(before["use"], after["use"]),
        *_retention(before["retention"], after["retention"]),
        *_third_parties(before["third_parties"], after["third_parties"]),
        *_present("cross_border", before["cross_border"], after["cross_border"]),
        *_equal("processing/methods", before["processing"]["methods"], after["processing"]["methods"]),
        *_equal(
            "processing/automated_decision",
            before["processing"]["automated_decision"],
            after["processing"]["automated_decision"],
        ),
        *_equal("purpose/text", before["purpose"]["text"], after["purpose"]["text"]),
    ]


def proposed(ask: Ask, expires_at: str) -> Document:
    """What a request would come to if all of it were given until then (RFC 3339), as :func:`compare` takes it."""
    return {
        "items": [
            {
                "item_id": i.item_id,
                "fields": list(i.fields),
                "chosen": True,
                "range": {"from": i.period_from, "to": i.period_to},
                "delivery": i.delivery,
            }
            for i in ask.items
        ],
        "claims": list(ask.claims),
        "use": {
            "mode": ask.mode,
            "frequency": ask.frequency,
            "max_reads": ask.max_reads,
            "expires_at": expires_at,
            "case_required": ask.case_required,
        },
        "retention": {**ask.retention, "storage_location": ask.storage_location},
        "third_parties": list(ask.third_parties),
        "cross_border": ask.cross_border,
        "processing": {"methods": ask.methods, "automated_decision": ask.automated_decision},
        "purpose": {"text": ask.purpose_text},
    }


def _chosen(document: Document) -> dict[str, Document]:
    return {i["item_id"]: i for i in document["items"] if i["chosen"]}


def _items(before: dict[str, Document], after: dict[str, Document]) -> Iterator[Difference]:
    for item_id in [*before, *(i for i in after if i not in before)]:
        at, old, new = f"items/{item_id}", before.get(item_id), after.get(item_id)
        if old is None or new is None:
            yield _one(at, Kind.NEW if old is None else Kind.REMOVED, _fields(old), _fields(new))
            continue
        yield from _listed(f"{at}/fields", old["fields"], new["fields"])
        yield from _range(f"{at}/range", old["range"], new["range"])
        yield from _ordered(f"{at}/delivery", old["delivery"], new["delivery"], _DELIVERIES.index)


def _fields(item: Document | None) -> list[str] | None:
    return None if item is None else list(item["fields"])


def _listed(at: str, before: list[str], after: list[str]) -> Iterator[Difference]:
    added, gone = [f for f in after if f not in before], [f for f in before if f not in after]
    if added:
        yield _one(at, Kind.NEW, None, added)
    if gone:
        yield _one(at, Kind.REMOVED, gone, None)


def _range(at: str, before: Document, after: Document) -> Iterator[Difference]:
    """Longer is what has more months; another period of the same length is only changed."""
    yield from _ordered(at, before, after, _months, _LONGER)


def _months(covered: Document) -> float:
    if not covered["from"] or not covered["to"]:
        return _UNLIMITED
    (y1, m1), (y2, m2) = ((int(part) for part in covered[end].split("-")) for end in ("from", "to"))
    return (y2 - y1) * 12 + m2 - m1 + 1


def _use(before: Document, after: Document) -> Iterator[Difference]:
    yield from _equal("use/mode", before["mode"], after["mode"])
    yield from _ordered("use/expires_at", before["expires_at"], after["expires_at"], _timestamp, _LONGER)
    yield from _ordered("use/max_reads", before["max_reads"], after["max_reads"], _limit)
    yield from _ordered("use/frequency", before["frequency"], after["frequency"], _rate)
    yield from _equal("use/case_required", before.get("case_required", False), after.get("case_required", False))


def _timestamp(at: str) -> float:
    return dt.datetime.fromisoformat(at).timestamp()


def _limit(number: int | None) -> float:
    return _UNLIMITED if number is None else number


def _rate(frequency: Document | None) -> float:
    return _UNLIMITED if frequency is None else float(frequency["n"] * _A_YEAR[frequency["unit"]])


def _retention(before: Document, after: Document) -> Iterator[Difference]:
    old, new = ({k: v for k, v in r.items() if k != "storage_location"} for r in (before, after))
    if old.get("days") is None or new.get("days") is None:
        yield from _equal("retention", old, new)
    else:
        yield from _ordered("retention", old, new, lambda kept: float(kept["days"]), _LONGER)
    yield from _equal("retention/storage_location", before["storage_location"], after["storage_location"])


def _third_parties(before: list[Document], after: list[Document]) -> Iterator[Difference]:
    old, new = ({t["name"]: t for t in parties} for parties in (before, after))
    for name in [*old, *(n for n in new if n not in old)]:
        yield from _present(f"third_parties/{name}", old.get(name), new.get(name))


def _present(at: str, before: Any, after: Any) -> Iterator[Difference]:
    if before != after:
        kind = Kind.NEW if before is None else Kind.REMOVED if after is None else Kind.CHANGED
        yield _one(at, kind, before, after)


def _equal(at: str, before: Any, after: Any) -> Iterator[Difference]:
    if before != after:
        yield _one(at, Kind.CHANGED, before, after)


def _ordered(
    at: str, before: Any, after: Any, size: Callable[[Any], float], kinds: tuple[Kind, Kind] = _MORE
) -> Iterator[Difference]:
    """``kinds``: of what has become greater, and smaller, by its ``size``."""
    if before != after:
        old, new = size(before), size(after)
        yield _one(at, kinds[0] if new > old else kinds[1] if new < old else Kind.CHANGED, before, after)


def _one(at: str, kind: Kind, before: Any, after: Any) -> Difference:
    return Difference(attribute=at, kind=kind, before=before, after=after)
