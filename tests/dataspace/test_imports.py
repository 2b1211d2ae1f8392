"""Files of records by command: CSV and NDJSON, whatever is in them; stopped anywhere they go on from there."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from dataspace import measured, spaces
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.measured import Measured
from dataspace.sources import imports, lines
from dataspace.sources.imports import Import, Manner
from dataspace.sources.registry import Source
from dataspace.spaces import Record
from dataspace.web.shell import services
from tests import factories
from tests.factories import PERSON

AS_OF = "2026-05-01T08:00:00+08:00"
LATER = "2026-06-01T08:00:00+08:00"
Run = Callable[..., Result]


@pytest.fixture
def person(app: Flask, now: dt.datetime) -> Holder:
    return factories.holder(now)


@pytest.fixture
def source(person: Holder, now: dt.datetime) -> Source:
    degree = factories.item(now)
    power = factories.item(now, "p.energy.home", ("month", "kwh"), many=True, period_field="month")
    power.fields = [power.fields[0], power.fields[1] | {"value": {"type": "integer", "minimum": 0}}]
    made = factories.source(now, degree, power)
    db.session.commit()
    return made


@pytest.fixture
def run(app: Flask, source: Source) -> Run:
    def run(path: Path, *more: str) -> Result:
        result = app.test_cli_runner().invoke(args=["sources", "import", str(path), "--source", "example", *more])
        db.session.rollback()
        return result

    return run


def line(**said: Any) -> str:
    record = {"identifier": PERSON, "item": "p.edu.degree", "as_of": AS_OF, "rows": [{"school": "示例大学"}]}
    return json.dumps(record | said, ensure_ascii=False)


def held(person: Holder) -> dict[str, list[dict[str, Any]]]:
    return {h.item.item_id: h.rows for h in spaces.holdings(person.space_id, vault=services().vault)}


def rejects(path: Path) -> list[tuple[str, ...]]:
    return [tuple(row.split("\t")[:2]) for row in path.with_name(f"{path.name}.rejects.tsv").read_text().splitlines()]


def test_a_file_is_brought_in_and_again_changes_nothing(run: Run, person: Holder, tmp_path: Path) -> None:
    path = tmp_path / "degrees.ndjson"
    path.write_text(line() + "\n\n")
    first = run(path)
    assert first.exit_code == 0, first.output
    assert "1 records: 1 new or changed, 0 unchanged, 0 rejected" in first.output
    assert held(person)["p.edu.degree"] == [{"school": "示例大学", "major": None, "level": None}]
    assert "1 records: 0 new or changed, 1 unchanged, 0 rejected" in run(path).output
    assert not (tmp_path / "degrees.ndjson.rejects.tsv").exists()
    assert measured.times()[Measured.IMPORT].count == 2
    assert [i.finished_at is not None for i in db.session.query(Import).order_by(Import.import_id)] == [True, True]


NDJSON: dict[str, tuple[bytes, str]] = {
    "not UTF-8": (line().encode("gb18030"), "not_utf8"),
    "not JSON": (b"{", "not_json"),
    "a number that JSON does not have": (b'{"identifier": NaN}', "not_json"),
    "very deep": (b"[" * 100_000, "not_json"),
    "a name twice": (b'{"item": "a", "item": "b"}', "duplicate_key"),
    "a name twice further in": (b'{"rows": [{"school": 1, "school": 2}]}', "duplicate_key"),
    "no object": (b"[]", "not_a_record"),
    "a huge line": (b'"' + b"x" * (lines.MAX_LINE + 5) + b'"', "too_long"),
    "a huge number": (b"9" * 5000, "not_json"),
    "a formula": (line(rows=[{"school": "=1+1"}]).encode(), "formula"),
    "a NUL": (b'{"identifier": "\0"}', "not_json"),
    "a million names": (b"{%s}" % b",".join(b'"%d":1' % n for n in range(100_000)), "not_a_record"),
}


@pytest.mark.parametrize("case", NDJSON)
def test_a_wrong_line_is_told_by_its_number_and_the_others_are_kept(
    case: str, run: Run, person: Holder, tmp_path: Path
) -> None:
    content, reason = NDJSON[case]
    path = tmp_path / "degrees.ndjson"
    path.write_bytes(b"\xef\xbb\xbf" + line().encode() + b"\r\n" + content + b"\n" + line(item="p.none.such").encode())
    result = run(path)
    assert result.exit_code == 0, result.output
    assert "1 new or changed, 0 unchanged, 2 rejected" in result.output
    assert rejects(path) == [("2", reason), ("3", "unknown_item")]
    assert held(person).keys() == {"p.edu.degree"}


def test_rows_of_a_csv_file_that_follow_each_other_are_one_record(run: Run, person: Holder, tmp_path: Path) -> None:
    path = tmp_path / "power.CSV"
    path.write_text(f'identifier,as_of,month,kwh\n{PERSON},{AS_OF},2026-03,"90"\n{PERSON},{AS_OF},2026-04,\n')
    result = run(path, "--item", "p.energy.home")
    assert "1 records: 1 new or changed" in result.output, result.output
    assert held(person)["p.energy.home"] == [{"month": "2026-03", "kwh": 90}, {"month": "2026-04", "kwh": None}]


# One wrong row makes its record wrong: these lines are records of their own.
CSV: dict[str, tuple[bytes, str]] = {
    "a cell too many": (f"{PERSON},{LATER},2026-03,90,x\n".encode(), "columns"),
    "a million cells": (b"," * 1_000_000 + b"\n", "columns"),
    "a quote that does not end": (f'{PERSON},{LATER},"2026-03,90\n'.encode(), "not_csv"),
    "another encoding": (f"{PERSON},{LATER},三月,90\n".encode("gb18030"), "not_utf8"),
    "a text for a number": (f"{PERSON},{LATER},2026-03,many\n".encode(), "invalid_value"),
    "other digits": (f"{PERSON},{LATER},2026-03,٩\n".encode(), "invalid_value"),
    "a formula": (f'{PERSON},{LATER},"=cmd|x",90\n'.encode(), "formula"),
    "a NUL": (f"{PERSON},{LATER},2026\0,90\n".encode(), "control_character"),
    "a wrong check digit": (f"440099199003150027,{LATER},2026-03,90\n".encode(), "invalid_identifier"),
    "a line that was cut": (f"{PERSON},{LATER},2026-03,9".encode(), "truncated"),
}


@pytest.mark.parametrize("case", CSV)
def test_a_wrong_line_of_a_csv_file(case: str, run: Run, person: Holder, tmp_path: Path) -> None:
    content, reason = CSV[case]
    path = tmp_path / "power.csv"
    path.write_bytes(f"identifier,as_of,month,kwh\n{PERSON},{AS_OF},2026-02,80\n".encode() + content)
    result = run(path, "--item", "p.energy.home")
    assert rejects(path) == [("3", reason)], result.output
    assert held(person)["p.energy.home"] == [{"month": "2026-02", "kwh": 80}]


REFUSED: dict[str, tuple[str, bytes, str]] = {
    "an empty file": ("x.csv", b"", "no header"),
    "no column that says who": ("x.csv", b"as_of,month,kwh\n", "no column identifier"),
    "no column that says what": ("x.csv", b"identifier,as_of,kwh\n", "no column item"),
    "a column that nobody knows": ("x.csv", b"identifier,as_of,item,salary\n", "column 4 is no field"),
    "a column twice": ("x.csv", b"identifier,as_of,item,kwh,kwh\n", "names a column twice"),
    "a million columns": ("x.csv", b"a," * 400_000 + b"\n", "more than 100 columns"),
    "a header without end": ("x.csv", b"a" * 2_000_000, "too long"),
    "a header of another encoding": ("x.csv", "证件\n".encode("gb18030"), "not utf-8"),
    "UTF-16": ("x.csv", "identifier,as_of\n".encode("utf-16"), "UTF-16"),
    "UTF-16 without columns": ("x.ndjson", line().encode("utf-16"), "UTF-16"),
    "a name that says nothing": ("x.xlsx", b"PK", "the name must end in"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_cannot_be_read_is_refused_as_a_whole(case: str, run: Run, tmp_path: Path) -> None:
    name, content, sentence = REFUSED[case]
    path = tmp_path / name
    path.write_bytes(content)
    result = run(path)
    assert result.exit_code == 1
    assert sentence in result.output
    assert "Traceback" not in result.output
    assert db.session.query(Record).count() == 0


def test_a_file_in_the_encoding_of_older_systems_is_read_when_one_says_so(
    run: Run, person: Holder, tmp_path: Path
) -> None:
    path = tmp_path / "degrees.ndjson"
    path.write_bytes(line().encode("gb18030") + b"\n")
    assert "1 new or changed" in run(path, "--encoding", "gb18030").output
    assert held(person)["p.edu.degree"][0]["school"] == "示例大学"


@pytest.mark.parametrize("kind", ["ndjson", "csv"])
def test_an_import_that_was_stopped_goes_on_where_it_was(
    kind: str, source: Source, person: Holder, now: dt.datetime, tmp_path: Path
) -> None:
    """Stopped before and after the commit of every batch, in turn: every line is counted once."""
    path = tmp_path / f"many.{kind}"
    stamps = [(now - dt.timedelta(hours=n)).isoformat() for n in range(1060, 0, -1)]
    if kind == "ndjson":
        path.write_text("".join(f"{line(as_of=at, rows=[{'school': at}])}\n" for at in stamps))
    else:
        rows = (f"{PERSON},{at},p.energy.home,2026-0{n},{k}\n" for k, at in enumerate(stamps) for n in (1, 2, 3))
        path.write_text("identifier,as_of,item,month,kwh\n" + "".join(rows))
    reception = factories.reception(now)
    done, runs = False, 0
    while not done:
        runs += 1
        with path.open("rb") as stream:
            state = imports.begin(stream, path.name, "example", now)
            import_id = state.import_id
            db.session.commit()
            batches = imports.run(stream, import_id, Manner.of(path), reception, now)
            for n, _settled in enumerate(batches):
                if n == 1 or (n == 0 and runs % 2):
                    db.session.rollback()  # killed before this commit
                    break
                db.session.commit()
            if runs % 2:  # that one got nowhere: the next goes on
                continue
            done = db.session.get_one(Import, import_id).finished_at is not None
    state = db.session.get_one(Import, import_id)
    assert (state.received, state.changed) == (len(stamps), len(stamps))
    assert db.session.query(Record).count() == len(stamps)
    assert runs >= 4


def test_lines_know_where_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\ntwo")
    with path.open("rb") as stream:
        found = list(lines.read(stream))
        assert [(x.number, x.content, x.ended) for x in found] == [
            (1, b"one", True),
            (2, b"", True),
            (3, b"two", False),
        ]
        assert next(lines.read(stream, start=found[2].start, number=3)) == found[2]
