"""What is another in one document of a consent than in another one (check C-44), as a table."""

import copy
import datetime as dt
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from consent import differences, history
from consent.differences import Difference, Kind, compare
from tests import factories

BASE: dict[str, Any] = {
    "items": [
        {"item_id": "a", "fields": ["x", "y"], "chosen": True, "range": {"from": "2026-01", "to": "2026-06"},
         "delivery": "derived"},
        {"item_id": "b", "fields": ["z"], "chosen": False, "range": {"from": None, "to": None}, "delivery": "raw"},
    ],
    "claims": [],
    "use": {"mode": "periodic", "frequency": {"n": 1, "unit": "month"}, "max_reads": 10,
            "expires_at": "2026-12-01T00:00:00Z"},
    "retention": {"text": {"en": "30 days"}, "days": 30, "storage_location": {"en": "China"}},
    "third_parties": [{"name": "P", "role": "processor"}],
    "cross_border": None,
    "processing": {"methods": None, "automated_decision": "none"},
    "purpose": {"text": {"en": "Review"}},
}  # fmt: skip


def changed(path: str, value: Any) -> dict[str, Any]:
    """BASE with one value replaced; ``path``: names and numbers."""
    document = copy.deepcopy(BASE)
    at: Any = document
    *way, last = [int(p) if p.isdigit() else p for p in path.split("/")]
    for part in way:
        at = at[part]
    at[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "attribute", "kind"),
    [
        ("items/1/chosen", True, "items/b", "new"),
        ("items/0/chosen", False, "items/a", "removed"),
        ("items/0/fields", ["x", "y", "w"], "items/a/fields", "new"),
        ("items/0/fields", ["x"], "items/a/fields", "removed"),
        ("items/0/range", {"from": "2025-07", "to": "2026-06"}, "items/a/range", "longer"),
        ("items/0/range", {"from": "2026-04", "to": "2026-06"}, "items/a/range", "shorter"),
        ("items/0/range", {"from": "2026-02", "to": "2026-07"}, "items/a/range", "changed"),
        ("items/0/range", {"from": None, "to": None}, "items/a/range", "longer"),
        ("items/0/delivery", "raw", "items/a/delivery", "more"),
        ("items/0/delivery", "verify_only", "items/a/delivery", "less"),
        ("claims", ["email"], "claims", "new"),
        ("use/mode", "one_time", "use/mode", "changed"),
        ("use/expires_at", "2027-01-01T00:00:00Z", "use/expires_at", "longer"),
        ("use/expires_at", "2026-11-01T00:00:00Z", "use/expires_at", "shorter"),
        ("use/max_reads", 11, "use/max_reads", "more"),
        ("use/max_reads", None, "use/max_reads", "more"),
        ("use/max_reads", 1, "use/max_reads", "less"),
        ("use/frequency", {"n": 1, "unit": "week"}, "use/frequency", "more"),
        ("use/frequency", {"n": 11, "unit": "year"}, "use/frequency", "less"),
        ("use/frequency", {"n": 12, "unit": "year"}, "use/frequency", "changed"),
        ("use/frequency", None, "use/frequency", "more"),
        ("retention/days", 31, "retention", "longer"),
        ("retention/days", 1, "retention", "shorter"),
        ("retention/days", None, "retention", "changed"),
        ("retention/storage_location", {"en": "Macau"}, "retention/storage_location", "changed"),
        ("third_parties", [], "third_parties/P", "removed"),
        ("third_parties", [{"name": "P", "role": "recipient"}], "third_parties/P", "changed"),
        ("third_parties/0/name", "Q", "third_parties/P third_parties/Q", "removed new"),
        ("cross_border", {"country_region": "Macau"}, "cross_border", "new"),
        ("processing/methods", {"en": "By hand"}, "processing/methods", "changed"),
        ("processing/automated_decision", "solely", "processing/automated_decision", "changed"),
        ("purpose/text", {"en": "Sell"}, "purpose/text", "changed"),
    ],
)
def test_c_44_every_changed_attribute_is_told(path: str, value: Any, attribute: str, kind: str) -> None:
    found = compare(BASE, changed(path, value))
    assert " ".join(d.attribute for d in found) == attribute
    assert " ".join(d.kind for d in found) == kind
    assert all(d.enlarges == (d.kind not in ("removed", "shorter", "less")) for d in found)


def test_equal_documents_have_no_difference_and_ones_not_given_do_not_count() -> None:
    assert compare(BASE, copy.deepcopy(BASE)) == []
    assert compare(BASE, changed("items/1/fields", ["z", "zz"])) == []


OPPOSITE = {"new": "removed", "longer": "shorter", "more": "less", "changed": "changed"} | {
    "removed": "new", "shorter": "longer", "less": "more",
}  # fmt: skip


@given(
    st.sampled_from(["day", "week", "month", "quarter", "year"]), st.integers(1, 50), st.none() | st.integers(1, 50),
    st.lists(st.sampled_from("uvxyz"), unique=True), st.booleans(),
)  # fmt: skip
def test_the_way_back_is_the_opposite(unit: str, n: int, reads: int | None, fields: list[str], chosen: bool) -> None:
    other = changed("use/frequency", {"n": n, "unit": unit})
    other["use"]["max_reads"] = reads
    other["items"][0]["fields"] = fields
    other["items"][1]["chosen"] = chosen
    there, back = compare(BASE, other), compare(other, BASE)
    assert {(d.attribute, OPPOSITE[d.kind]) for d in there} == {(d.attribute, d.kind) for d in back}
    assert [Difference.from_document(d.to_document()) for d in there] == there


def test_a_request_is_compared_with_what_is_given(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    document, _digest = history.current_document(world.consent)
    same = factories.ask(world.purpose, now)
    assert compare(document, differences.proposed(same, document["use"]["expires_at"])) == []
    longer = differences.proposed(same, "2100-01-01T00:00:00Z")
    assert [d.kind for d in compare(document, longer)] == [Kind.LONGER]
