"""What sources bring: kept as versions, never twice, only of their own items, and what is wrong is told by a word."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
import rfc8785
import sqlalchemy as sa
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from dataspace import catalogue, holders, spaces
from dataspace.catalogue import DataItem
from dataspace.corrections import Correction
from dataspace.db import db, insert_many
from dataspace.errors import InvalidFile
from dataspace.holders import Holder
from dataspace.identifiers import person_check
from dataspace.sources import checking, quality, registry
from dataspace.sources.incoming import Flawed, Incoming, Reason, from_document
from dataspace.sources.quality import Rejection
from dataspace.sources.receiving import Reception
from dataspace.sources.storing import Verdict
from dataspace.spaces import Record
from dataspace.web.shell import services
from tests import factories
from tests.factories import OTHER_PERSON, PERSON

DEMONSTRATION = Path(__file__).parents[2] / "demonstration"
MAY = "2026-05-01T08:00:00+08:00"
JUNE = "2026-06-01T08:00:00+08:00"
VALUES = {"school": "示例大学", "major": "会计", "level": None}


@pytest.fixture
def degree(app: Flask, now: dt.datetime) -> DataItem:
    return factories.item(now)


@pytest.fixture
def person(app: Flask, now: dt.datetime) -> Holder:
    return factories.holder(now)


@pytest.fixture
def reception(degree: DataItem, person: Holder, now: dt.datetime) -> Reception:
    foreign = factories.item(now, "p.tax.income", ("year",))
    foreign.authority = factories.text("税务机关")
    factories.source(now, degree, foreign)
    db.session.commit()
    return factories.reception(now)


def incoming(place: int = 1, identifier: str = PERSON, as_of: str = MAY, **said: Any) -> Incoming | Flawed:
    document = {"identifier": identifier, "item": "p.edu.degree", "as_of": as_of, "rows": [VALUES]}
    return from_document(place, document | said)


def take(reception: Reception, now: dt.datetime, *entries: Incoming | Flawed) -> list[Verdict]:
    verdicts = reception.take(entries, now)
    db.session.commit()
    return verdicts


def outcomes(verdicts: list[Verdict]) -> list[str]:
    return [verdict.reason or verdict.outcome for verdict in verdicts]


def versions() -> list[Record]:
    return db.session.query(Record).order_by(Record.version).all()


def test_a_record_is_kept_sealed_with_its_source_and_lies_in_the_space(
    reception: Reception, person: Holder, now: dt.datetime
) -> None:
    assert outcomes(take(reception, now, incoming())) == ["added"]
    (held,) = spaces.holdings(person.space_id, vault=services().vault)
    assert held.rows == [VALUES]
    assert (held.record.source_id, held.record.version) == ("example", 1)
    assert "示例大学".encode() not in held.record.sealed


def test_what_is_there_already_changes_nothing_and_later_is_only_confirmed(
    reception: Reception, now: dt.datetime
) -> None:
    take(reception, now, incoming())
    assert outcomes(take(reception, now, incoming(), incoming(2))) == ["unchanged", "unchanged"]
    assert take(reception, now) == [], "nothing was brought"
    assert outcomes(take(reception, now, incoming(as_of=JUNE))) == ["confirmed"]
    (record,) = versions()
    assert record.as_of == dt.datetime.fromisoformat(MAY)
    assert record.latest_as_of == dt.datetime.fromisoformat(JUNE)
    assert outcomes(take(reception, now, incoming())) == ["older"], "May is over"


def test_other_values_of_later_make_a_version_and_the_old_one_stays(reception: Reception, now: dt.datetime) -> None:
    take(reception, now, incoming())
    later = incoming(as_of=JUNE, rows=[VALUES | {"major": "法律"}])
    assert outcomes(take(reception, now, later)) == ["added"]
    first, second = versions()
    assert (first.superseded_at, second.superseded_at) == (now, None)
    assert first.digest != second.digest
    assert db.session.query(Correction).count() == 0, "newer is not a correction"


def test_another_value_for_the_same_moment_has_to_say_that_it_corrects(reception: Reception, now: dt.datetime) -> None:
    take(reception, now, incoming())
    other = [VALUES | {"major": "法律"}]
    assert outcomes(take(reception, now, incoming(rows=other))) == ["contradicts"]
    assert outcomes(take(reception, now, incoming(rows=other, corrects=True))) == ["corrected"]
    assert outcomes(take(reception, now, incoming(rows=other, corrects=True))) == ["unchanged"], "once"
    first, second = versions()
    (correction,) = db.session.query(Correction).all()
    assert (correction.previous_record_id, correction.record_id) == (first.record_id, second.record_id)
    assert second.corrects


def test_the_same_record_several_times_in_one_batch_is_taken_in_its_order(
    reception: Reception, now: dt.datetime
) -> None:
    batch = [incoming(n, as_of=f"2026-0{n}-01T08:00:00+08:00", rows=[{"major": f"专业 {n}"}]) for n in (1, 2, 3)]
    assert outcomes(take(reception, now, *batch)) == ["added"] * 3
    assert [record.superseded_at is None for record in versions()] == [False, False, True]


def test_a_batch_is_looked_for_by_index_and_is_not_there_at_all_when_it_cannot_be(
    reception: Reception, person: Holder, degree: DataItem, now: dt.datetime
) -> None:
    if db.engine.dialect.name == "postgresql":
        # Of tables that it believes to be empty it would read every row for each batch.
        numbers = [f"44010019900307{n:03}" for n in range(1, 300)]
        strangers = [incoming(n, first + person_check(first)) for n, first in enumerate(numbers, start=2)]
        read = "SELECT sum(seq_scan) FROM pg_stat_xact_user_tables WHERE relname IN ('holders', 'data_keys', 'records')"
        # It also counts earlier transactions of this connection, for up to a second.
        before = db.session.scalar(sa.text(read))
        assert outcomes(reception.take([incoming(), *strangers], now))[:2] == ["added", "unknown_holder"]
        assert db.session.scalar(sa.text(read)) == before
        db.session.rollback()
    row = spaces.new_version(
        person.space_id, degree.item_id, degree.version, [VALUES], version=1, as_of=now, now=now, key=bytes(32)
    )
    with pytest.raises(IntegrityError):
        insert_many(Record, [row, row])
    db.session.rollback()
    assert versions() == []


def test_nobody_without_a_living_space_gets_one(reception: Reception, person: Holder, now: dt.datetime) -> None:
    assert outcomes(take(reception, now, incoming(identifier=OTHER_PERSON))) == ["unknown_holder"]
    services().vault.destroy_key(person.space_id, now)
    db.session.commit()
    assert outcomes(take(reception, now, incoming())) == ["unknown_holder"]
    holders.close(person.holder_id, now)
    db.session.commit()
    assert outcomes(take(reception, now, incoming())) == ["unknown_holder"]
    assert versions() == []


WRONG: dict[str, tuple[dict[str, Any], Reason]] = {
    "no text": ({"identifier": 7}, Reason.NOT_A_RECORD),
    "another member": ({"name": "陈嘉怡"}, Reason.NOT_A_RECORD),
    "rows that are none": ({"rows": {"school": "x"}}, Reason.NOT_A_RECORD),
    "corrects that is no boolean": ({"corrects": 1}, Reason.NOT_A_RECORD),
    "a check digit": ({"identifier": "440099199003150027"}, Reason.INVALID_IDENTIFIER),
    "a code of a body": ({"identifier": factories.COMPANY}, Reason.INVALID_IDENTIFIER),
    "a NUL in the identifier": ({"identifier": "44009919900315002\0"}, Reason.INVALID_IDENTIFIER),
    "an unknown item": ({"item": "p.none.such"}, Reason.UNKNOWN_ITEM),
    "an item of another authority": ({"item": "p.tax.income"}, Reason.FOREIGN_ITEM),
    "no moment": ({"as_of": "yesterday"}, Reason.INVALID_AS_OF),
    "a day": ({"as_of": "2026-05-01"}, Reason.INVALID_AS_OF),
    "no offset": ({"as_of": "2026-05-01T08:00:00"}, Reason.INVALID_AS_OF),
    "before the first year": ({"as_of": "0001-01-01T00:00:00+14:00"}, Reason.INVALID_AS_OF),
    "a time to come": ({"as_of": "2099-01-01T00:00:00Z"}, Reason.AS_OF_IN_FUTURE),
    "two rows of one": ({"rows": [VALUES, VALUES]}, Reason.INVALID_VALUE),
    "a field of no item": ({"rows": [{"salary": 1}]}, Reason.INVALID_VALUE),
    "a row that is none": ({"rows": ["x"]}, Reason.INVALID_VALUE),
    "a nested value": ({"rows": [{"school": {"name": "x"}}]}, Reason.INVALID_VALUE),
    "a fraction": ({"rows": [{"school": 1.5}]}, Reason.INVALID_VALUE),
    "a number that JSON readers differ about": ({"rows": [{"school": 2**53}]}, Reason.INVALID_VALUE),
    "a very long value": ({"rows": [{"school": "x" * 4001}]}, Reason.INVALID_VALUE),
    "a NUL": ({"rows": [{"school": "a\0b"}]}, Reason.CONTROL_CHARACTER),
    "an escape sequence": ({"rows": [{"school": "\x1b[2J"}]}, Reason.CONTROL_CHARACTER),
    "text turned around": ({"rows": [{"school": "a\u202eb"}]}, Reason.CONTROL_CHARACTER),
    "half a character": ({"rows": [{"school": "\ud800"}]}, Reason.CONTROL_CHARACTER),
    "a formula": ({"rows": [{"school": '=HYPERLINK("https://x")'}]}, Reason.FORMULA),
    "an old formula": ({"rows": [{"school": "+cmd|' /C calc'!A0"}]}, Reason.FORMULA),
    "a macro": ({"rows": [{"school": "@SUM(1)"}]}, Reason.FORMULA),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_not_taken_and_does_not_stop_the_others(
    case: str, reception: Reception, now: dt.datetime
) -> None:
    said, reason = WRONG[case]
    verdicts = take(reception, now, incoming(1, **said), incoming(2))
    assert outcomes(verdicts) == [reason, "added"]
    (kept,) = db.session.query(Rejection).all()
    assert (kept.place, kept.reason) == (1, reason)
    assert len(versions()) == 1


@pytest.mark.parametrize("value", ["-", "+86 20 8888 8888", "-3.5", "2026-05-01", "a=b", "（-）"])
def test_plain_numbers_and_signs_are_no_formula(value: str) -> None:
    assert checking.unsafe(value) is None


def test_the_catalogue_says_more_of_the_values_of_a_field(degree: DataItem, person: Holder, now: dt.datetime) -> None:
    degree.fields = [
        {"id": "school", "label": factories.text("学校"), "value": {"type": "string", "enum": ["示例大学"]}},
        {"id": "major", "label": factories.text("年"), "value": {"type": "integer", "minimum": 1950}},
        {"id": "level", "label": factories.text("日"), "value": {"type": "string", "pattern": "^[0-9]{4}$"}},
    ]
    factories.source(now, degree)
    db.session.commit()
    reception = factories.reception(now)
    fits = {"school": "示例大学", "major": 1990, "level": None}
    for field, value in (("school", "别的"), ("major", "1990"), ("major", 1949), ("level", "20x6")):
        (verdict,) = take(reception, now, incoming(rows=[fits | {field: value}]))
        assert (verdict.reason, verdict.field) == (Reason.INVALID_VALUE, field)
    assert outcomes(take(reception, now, incoming(rows=[fits]))) == ["added"]


def test_an_item_that_moves_to_another_authority_takes_the_right_with_it(
    reception: Reception, degree: DataItem, now: dt.datetime
) -> None:
    degree.authority = factories.text("别的机关")
    db.session.commit()
    moved = factories.reception(now)
    assert outcomes(take(moved, now, incoming())) == ["foreign_item"]


def test_counts_say_how_complete_fresh_and_wrong_it_was(reception: Reception, now: dt.datetime) -> None:
    take(reception, now, incoming(1), incoming(2, identifier="x"), incoming(3, OTHER_PERSON))
    take(reception, now, incoming(1))
    (found,) = quality.overview(now)
    assert (found.received, found.changed, found.unknown, found.rejected) == (4, 1, 1, 1)
    assert found.completeness == pytest.approx(2 / 3)
    assert found.error_rate == pytest.approx(1 / 4)
    assert found.newest_as_of == dt.datetime.fromisoformat(MAY)
    assert found.is_late("D", dt.datetime.fromisoformat(JUNE))
    assert not found.is_late("M", dt.datetime.fromisoformat(JUNE))
    assert not found.is_late("E", dt.datetime.fromisoformat(JUNE))
    (later,) = quality.overview(now + dt.timedelta(days=32))
    assert (later.received, later.rejected, later.completeness, later.error_rate) == (0, 0, None, None)
    assert later.newest_as_of == found.newest_as_of, "what is not brought any more is late, not gone"
    assert later.is_late("M", now + dt.timedelta(days=32))


VALUE = (
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(exclude_categories=["Cs"]))
)


@given(st.lists(st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True), VALUE)))
def test_records_are_digested_in_the_canonical_form(rows: list[dict[str, Any]]) -> None:
    content = {"salt": "00", "rows": rows}
    assert spaces.canonical(content) == rfc8785.dumps(content)
    assert orjson.loads(spaces.canonical(content)) == content


def test_the_sources_of_the_demonstration_fit_its_catalogue(app: Flask, now: dt.datetime) -> None:
    catalogue.load([DEMONSTRATION / "catalogue"], now)
    assert registry.load([DEMONSTRATION / "sources.toml"], now) == (5, 0)
    assert registry.load([DEMONSTRATION / "sources.toml"], now) == (0, 5)
    assert [source.source_id for source in registry.all_sources()] == [
        "credit", "entities", "geography", "licences", "population",
    ]  # fmt: skip


WRONG_FILES: dict[str, tuple[dict[str, Any], str]] = {
    "an item of another authority": ({"items": ["p.tax.income"]}, "items: p.tax.income is of another authority"),
    "an unknown item": ({"items": ["p.none.such"]}, "items: p.none.such is not in the catalogue"),
    "no address": ({"kind": "http"}, "address: is missing"),
    "nobody who pushes": ({"kind": "push"}, "client_id: is missing"),
    "another kind": ({"kind": "ftp"}, "kind: must be one of"),
}


@pytest.mark.parametrize("case", WRONG_FILES)
def test_a_source_file_with_a_mistake_is_refused_as_a_whole(
    case: str, reception: Reception, now: dt.datetime, tmp_path: Path
) -> None:
    changes, line = WRONG_FILES[case]
    names = {"zh_hans": "来源", "zh_hant": "來源", "en": "Source"}
    entry = {
        "source_id": "new", "authority": "示例机关", "items": ["p.edu.degree"], "kind": "command", **changes,
    }  # fmt: skip
    written = "\n".join(f"{name} = {json.dumps(value)}" for name, value in entry.items())
    path = tmp_path / "sources.toml"
    inline = ", ".join(f"{name} = {json.dumps(value)}" for name, value in names.items())
    path.write_text(f"[[sources]]\nname = {{ {inline} }}\n{written}\n")
    with pytest.raises(InvalidFile) as refused:
        registry.load([path], now)
    assert [problem for problem in refused.value.problems if line in problem]
    assert [source.source_id for source in registry.all_sources()] == ["example"]
