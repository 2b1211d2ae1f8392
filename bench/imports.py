"""Bringing in a file of records by the operator's command: records a second, and memory that does not grow with it.

The command runs in a process of its own; its memory is looked at while it runs.
"""

import datetime as dt
import itertools
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from sqlalchemy import insert

from bench import seed
from dataspace.db import db, new_id, table_of
from dataspace.holders import Holder
from dataspace.identifiers import Identifier, parse_person, person_check
from dataspace.sources.registry import Source
from dataspace.vault import DataKey
from dataspace.web.shell import services

NAME = "import"
SOURCE = "bench-registry"
ITEMS = tuple(f"p.bench.{n}" for n in range(4))  # so many records has each holder
FIELDS = ("school", "major", "level", "date", "cert_no")
CHUNK = 5000


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What one import has taken. Memory in MB: the most in the first tenth of the time, and in the last."""

    database: str
    records: int
    seconds: float
    early: float
    late: float


def measure(database: str, records: int, now: dt.datetime) -> Imported:
    """Import a file of so many records into the database of the current application, which is empty."""
    _register(now)
    with tempfile.TemporaryDirectory(prefix="dataspace-bench-") as folder:
        path = Path(folder) / "records.ndjson"
        holders = -(-records // len(ITEMS))
        with path.open("w", encoding="utf-8") as file, click.progressbar(
            _holders(holders, now), length=holders, label="holders and the file"
        ) as made:  # fmt: skip
            lines = (_line(person, item) for person in made for item in ITEMS)
            file.writelines(itertools.islice(lines, records))
        db.session.commit()
        return _run(database, path, records)


def told(found: Imported) -> str:
    """One line of the Markdown table."""
    rate = found.records / found.seconds
    return (
        f"| {found.database} | {found.records} | {rate:.0f} | {found.seconds:.0f} | "
        f"{found.early:.0f} | {found.late:.0f} |"
    )


def heading() -> str:
    """Of the Markdown table."""
    names = ("database", "records", "records/s", "seconds", "MB in the first tenth", "MB in the last")
    return f"\n| {' | '.join(names)} |\n|{'---|' * len(names)}"


def _register(now: dt.datetime) -> None:
    for item_id in ITEMS:
        seed.item(now, item_id)
    values = {
        "source_id": SOURCE, "name": seed.TEXT, "authority": seed.TEXT["zh_hans"], "item_ids": list(ITEMS),
        "kind": "command", "address": "", "every_seconds": 0, "client_id": None, "enabled": True, "loaded_at": now,
    }  # fmt: skip
    db.session.add(Source(**values))
    db.session.commit()


def _holders(count: int, now: dt.datetime) -> Iterator[Identifier]:
    """Add so many holders in chunks; yields what they are called in the file."""
    vault, index = services().vault, services().index
    for start in range(0, count, CHUNK):
        people = [_person(n) for n in range(start, min(start + CHUNK, count))]
        spaces = [new_id("spc") for _ in people]
        keys = [{"space_id": s, "wrapped": vault.wrap(secrets.token_bytes(32), identity=s)} for s in spaces]
        _add(DataKey, [key | {"created_at": now} for key in keys])
        _add(
            Holder,
            [
                {
                    "holder_id": new_id("hld"), "kind": "natural_person", "identifier_index": index.of(person),
                    "space_id": space, "sealed_profile": b"", "created_at": now,
                }
                for person, space in zip(people, spaces, strict=True)
            ],
        )  # fmt: skip
        yield from people


def _person(number: int) -> Identifier:
    """A valid identifier for each number: region, day of birth, sequence number, check digit."""
    days, sequence = divmod(number, 999)
    born = dt.date(1950, 1, 1) + dt.timedelta(days=days)
    first = f"440100{born:%Y%m%d}{sequence + 1:03}"
    return parse_person(first + person_check(first), today=dt.date(2026, 1, 1))


def _line(person: Identifier, item_id: str) -> str:
    row = dict(zip(FIELDS, ("示例大学", "会计学", "本科", "2012-07-01", f"X{person.value[:17]}"), strict=True))
    record = {"identifier": person.value, "item": item_id, "as_of": "2026-05-01T08:00:00+08:00", "rows": [row]}
    return json.dumps(record, ensure_ascii=False) + "\n"


def _add(model: Any, rows: list[dict[str, Any]]) -> None:
    db.session.connection().execute(insert(table_of(model)), rows)


def _run(database: str, path: Path, records: int) -> Imported:
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "sources", "import", str(path), "--source", SOURCE]
    began = time.monotonic()
    sizes: list[float] = []
    with path.with_suffix(".out").open("w+", encoding="utf-8") as out:
        process = subprocess.Popen(command, env=dict(os.environ), stdout=out, stderr=subprocess.STDOUT)
        while process.poll() is None:
            sizes.append(_resident(process.pid))
            time.sleep(0.1)
        seconds = time.monotonic() - began
        out.seek(0)
        said = out.read()
    if process.returncode or f"{records} records: {records} new" not in said:
        raise RuntimeError(f"the import said: {said[-300:]}")
    # What the service itself says of its pace: without the start of the process.
    pace = re.search(r"; (\d+) a second", said)
    tenth = max(len(sizes) // 10, 1)
    return Imported(
        database=database,
        records=records,
        seconds=records / max(int(pace[1]), 1) if pace else seconds,
        early=max(sizes[:tenth]),
        late=max(sizes[-tenth:]),
    )


def _resident(process: int) -> float:
    """MB; nothing once the process is gone."""
    try:
        found = re.search(r"^VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0
