"""Files of records by command: CSV and NDJSON, whatever is in them; stopped anywhere they go on from there."""

import contextlib
import datetime as dt
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from dataspace import measured, spaces
from dataspace.db import db
from dataspace.errors import Conflict
from dataspace.holders import Holder
from dataspace.measured import Measured
from dataspace.settings import Settings
from dataspace.sources import imports, lines
from dataspace.sources.imports import Import, Manner, Reading, Settled
from dataspace.sources.registry import Source
from dataspace.spaces import Record
from dataspace.web.shell import services
from tests import factories
from tests.consent.test_worker import ROOT, environment
from tests.factories import OTHER_PERSON, PERSON

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


@pytest.mark.wire
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
    whose = [OTHER_PERSON if k % 100 else PERSON for k in range(len(stamps))]  # who has a space here, and who has not
    if kind == "ndjson":
        each = zip(whose, stamps, strict=True)
        path.write_text("".join(f"{line(identifier=who, as_of=at, rows=[{'school': at}])}\n" for who, at in each))
    else:
        rows = (f"{whose[k]},{at},p.energy.home,2026-0{n},{k}\n" for k, at in enumerate(stamps) for n in (1, 2, 3))
        path.write_text("identifier,as_of,item,month,kwh\n" + "".join(rows))
    done, runs = False, 0
    while not done:
        runs += 1
        with bringing(path, now) as (import_id, batches):
            for n, _settled in enumerate(batches):
                if n == 1 or (n == 0 and runs % 2):
                    db.session.rollback()  # killed before this commit
                    break
                db.session.commit()
            if runs % 2:  # that one got nowhere: the next goes on
                continue
            done = db.session.get_one(Import, import_id).finished_at is not None
    state = db.session.get_one(Import, import_id)
    assert (state.received, state.changed, state.rejected) == (1060, 11, 1049)
    assert db.session.query(Record).count() == 11
    assert runs >= 4


@contextlib.contextmanager
def bringing(path: Path, now: dt.datetime, encoding: str = "utf-8") -> Iterator[tuple[str, Iterator[Settled]]]:
    """An import as the command does it, batch by batch."""
    with path.open("rb") as stream:
        reading = Reading(stream, Manner.of(path, encoding=encoding))
        state, _stopped = imports.begin(reading, path.name, "example", now)
        import_id = state.import_id
        db.session.commit()
        yield import_id, imports.run(reading, import_id, factories.reception(now), now)


FILLING = "x" * imports.BATCH_BYTES  # a batch ends with it


@pytest.mark.wire
def test_a_command_that_is_killed_goes_on_where_it_was(
    run: Run, settings: Settings, person: Holder, tmp_path: Path
) -> None:
    path = tmp_path / "degrees.ndjson"
    strange = f"{line(item='p.none.such')}\n" * 900
    path.write_text(f"{line()}\n{FILLING}\n{strange}{line(as_of=LATER, rows=[{'school': 'B'}])}\n")
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "sources", "import", str(path), "--source", "example"]
    # The list goes into a pipe that nobody empties: the command gets stuck before its second commit.
    with subprocess.Popen(
        [*command, "--rejects", "/dev/stdout"], cwd=ROOT, env=environment(settings), stdout=subprocess.PIPE,
        pipesize=4096, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        _name, *told = (process.stdout.readline() for _ in range(3))
        process.kill()
    assert process.returncode == -signal.SIGKILL
    (state,) = db.session.query(Import)
    assert (state.line, state.received, state.changed, state.rejected) == (3, 2, 1, 1)
    assert state.position == path.read_bytes().index(strange.encode())
    assert db.session.query(Record).count() == 1

    path.with_name("degrees.ndjson.rejects.tsv").write_text("".join(told))
    result = run(path)
    assert "Goes on at line 3." in result.output
    assert "903 records: 2 new or changed, 0 unchanged, 901 rejected" in result.output
    assert rejects(path)[:2] == [("2", "too_long"), ("3", "unknown_item")]
    assert {number for number, _reason in rejects(path)} == {str(number) for number in range(2, 903)}
    assert [record.superseded_at is None for record in db.session.query(Record).order_by(Record.version)] == [
        False,
        True,
    ]
    assert "903 records: 0 new or changed, 1 unchanged, 902 rejected" in run(path).output
    assert len(rejects(path)) == 902, "what is listed is of one run from the beginning"


@pytest.mark.parametrize("altered", ["the file", "the encoding"])
def test_a_file_that_is_not_what_was_read_before_is_read_from_its_beginning(
    altered: str, run: Run, person: Holder, now: dt.datetime, tmp_path: Path
) -> None:
    path = tmp_path / "degrees.ndjson"
    path.write_text(f"{line(rows=[])}\n{FILLING}\n{line(item='p.none.such')}\n")
    path.with_name("degrees.ndjson.rejects.tsv").write_text("2\tof another file\t\t\n")
    with bringing(path, now, "gb18030" if altered == "the encoding" else "utf-8") as (_import_id, batches):
        next(batches)
        db.session.commit()
    if altered == "the file":
        with path.open("r+b") as file:
            file.seek(imports.BATCH_BYTES)
            file.write(b"y")
    result = run(path)
    assert "Begins at line 1: an earlier run stopped at line 3" in result.output
    assert "3 records: 0 new or changed, 1 unchanged, 2 rejected" in result.output
    assert rejects(path) == [("2", "too_long"), ("3", "unknown_item")]
    assert db.session.query(Import).count() == 1


def test_of_two_runs_with_one_file_one_ends(source: Source, person: Holder, now: dt.datetime, tmp_path: Path) -> None:
    path = tmp_path / "degrees.ndjson"
    path.write_text(f"{FILLING}\n{line()}\n")
    with bringing(path, now) as (import_id, first), bringing(path, now) as (same, second):
        assert import_id == same
        for batches in (first, second):
            next(batches)
            db.session.commit()
        with pytest.raises(Conflict):
            next(first)
        db.session.rollback()
        next(second)
        db.session.commit()
    state = db.session.get_one(Import, import_id)
    assert (state.received, state.changed) == (2, 1)


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
