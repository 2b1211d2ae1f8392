"""Answers that are computed here: what each rule makes of a record."""

import datetime as dt
from typing import Any

import pytest

from dataspace import derivations
from dataspace.catalogue import DataItem
from dataspace.derivations import Source

AS_OF = dt.datetime(2026, 11, 5, tzinfo=dt.UTC)
PAID = {"where": {"paid": True}}


def row(month: str, paid: object = True) -> dict[str, Any]:
    return {"month": month, "paid": paid, "count": int(month[-2:])}


def answer(derivation: dict[str, Any], rows: list[dict[str, Any]], now: dt.datetime = AS_OF) -> derivations.Answer:
    source = Source(rows=rows, period_field="month" if "month" in str(rows) else None, as_of=AS_OF)
    return derivations.compute(DataItem(derivation={"from": "p.x.y", **derivation}), source, now)


YEAR = [f"2026-{n:02}" for n in range(1, 13)]


@pytest.mark.parametrize(
    ("rows", "expected", "period"),
    [
        ([row(m) for m in YEAR[7:10]], True, ("2026-08", "2026-10")),
        ([row(m) for m in reversed(YEAR[:10])], True, ("2026-08", "2026-10")),
        ([row(m) for m in YEAR[8:11]], True, ("2026-09", "2026-11")),  # the month that runs is there already
        ([row(m) for m in YEAR[8:10]], False, ("2026-08", "2026-10")),
        ([row(YEAR[6]), row(YEAR[8]), row(YEAR[9])], False, ("2026-08", "2026-10")),  # a gap
        ([row(m) for m in YEAR[:9]], False, ("2026-07", "2026-09")),  # it has ended since
        ([*[row(m) for m in YEAR[6:9]], row(YEAR[9], paid=False)], False, ("2026-08", "2026-10")),
        ([row("2025-12"), row(YEAR[0]), row("2026")], False, ("2025-11", "2026-01")),  # a year is no month
        ([], False, ("2026-08", "2026-10")),
    ],
)
def test_months_in_a_row(rows: list[dict[str, Any]], expected: object, period: tuple[str, str]) -> None:
    found = answer({"rule": "continuous_months", "months": 3, **PAID}, rows)
    assert (found.answer, found.period, found.as_of) == (expected, period, period[1])


@pytest.mark.parametrize(
    ("derivation", "rows", "expected"),
    [
        ({"rule": "at_least", "field": "count", "value": 10}, [row("2026-10"), row("2026-03")], True),
        ({"rule": "at_least", "field": "count", "value": 11}, [row("2026-10"), row("2026-03")], False),
        ({"rule": "at_most", "field": "count", "value": 10}, [row("2026-10"), row("2026-03")], True),
        ({"rule": "at_most", "field": "owed", "value": 0}, [{"owed": 0}], True),
        ({"rule": "at_most", "field": "owed", "value": 0}, [{"owed": None}], None),
        ({"rule": "at_most", "field": "owed", "value": 0}, [{"owed": False}], None),  # a no is no number
        ({"rule": "at_least", "field": "owed", "value": 0}, [], None),
        ({"rule": "age_at_least", "field": "born", "years": 18}, [{"born": "2008-11-05"}], True),
        ({"rule": "age_at_least", "field": "born", "years": 18}, [{"born": "2008-11-06"}], False),
        ({"rule": "age_at_least", "field": "born", "years": 18}, [{"born": "2008-02-29"}], True),
        ({"rule": "age_at_least", "field": "born", "years": 18}, [{"born": "unknown"}], None),
        ({"rule": "age_at_least", "field": "born", "years": 18}, [], None),
    ],
)
def test_a_number_and_an_age(derivation: dict[str, Any], rows: list[dict[str, Any]], expected: object) -> None:
    assert answer(derivation, rows).answer is expected


def test_an_age_is_of_the_day_in_china() -> None:
    rule = {"rule": "age_at_least", "field": "born", "years": 18}
    evening = dt.datetime(2026, 11, 5, 16, tzinfo=dt.UTC)  # the 6th there
    assert answer(rule, [{"born": "2008-11-06"}], evening).answer is True
    assert answer(rule, [{"born": "2008-11-06"}], evening - dt.timedelta(seconds=1)).answer is False
