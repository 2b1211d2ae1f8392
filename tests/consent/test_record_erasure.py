"""One record deleted for good: it opens nowhere any more, backups included, and everything else of its space does."""

import datetime as dt
import sqlite3
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from consent import archive_parts
from consent.archives import Archive
from consent.interventions import OperatorEvent
from dataspace import extracts, holders, key_file, messages, record_erasure, spaces
from dataspace.catalogue import DataItem
from dataspace.db import db
from dataspace.errors import Conflict, NotFound
from dataspace.holders import Holder
from dataspace.key_file import FileKeys
from dataspace.messages import Notice
from dataspace.sealing import Unreadable, unseal
from dataspace.sources.incoming import Incoming, Reason
from dataspace.spaces import Record
from dataspace.vault import DataKey, Vault
from dataspace.web.shell import services
from dataspace.wrapping import WrappingKey
from tests import factories
from tests.conftest import make_settings
from tests.dataspace.test_spaces import grant, permission
from wsgi import create_app

HOUR = dt.timedelta(hours=1)
DEGREE = {"school": "示例大学", "major": "会计", "level": None}


@pytest.fixture
def owner(app: Flask, now: dt.datetime) -> Holder:
    return factories.holder(now)


@pytest.fixture
def degree(owner: Holder, now: dt.datetime) -> DataItem:
    item = factories.item(now)
    factories.record(owner, item, [DEGREE], now)
    return item


@pytest.fixture
def power(owner: Holder, now: dt.datetime) -> DataItem:
    item = factories.item(now, "e.energy.power", ("month", "kwh"))
    factories.record(owner, item, [{"month": "2026-09", "kwh": 5}], now)
    db.session.commit()
    return item


def the(item: DataItem) -> Record:
    return db.session.scalars(select(Record).filter_by(item_id=item.item_id).order_by(Record.version.desc())).all()[0]


def erase(item: DataItem, now: dt.datetime) -> Record:
    record = record_erasure.erase(the(item).record_id, now, vault=services().vault)
    db.session.commit()
    return record


def test_it_is_missing_and_everything_else_is_read_as_before(
    owner: Holder, degree: DataItem, power: DataItem, now: dt.datetime
) -> None:
    digest = the(degree).digest
    gone = erase(degree, now)
    assert (gone.sealed, gone.erased_at, gone.digest) == (b"", now, digest)
    allowed = permission(owner, grant(degree, "school"), grant(power, "month", "kwh"))
    answer = extracts.read(allowed, None, now, vault=services().vault)
    assert [(i.item_id, i.as_of is None) for i in answer.items] == [("p.edu.degree", True), ("e.energy.power", False)]
    assert [h.rows for h in spaces.holdings(owner.space_id, vault=services().vault)] == [
        [{"month": "2026-09", "kwh": 5}]
    ]
    assert holders.profiles({owner.holder_id}, vault=services().vault)  # sealed under the space's own key
    (message,) = messages.page(owner.space_id).rows
    assert (message.kind, message.about) == (Notice.RECORD_ERASED, gone.record_id)


def test_older_versions_go_one_by_one(owner: Holder, degree: DataItem, now: dt.datetime) -> None:
    spaces.deposit(owner, degree, [DEGREE | {"level": "本科"}], as_of=now, now=now, vault=services().vault)
    db.session.commit()
    first = db.session.scalars(select(Record).filter_by(version=1)).one()
    record_erasure.erase(first.record_id, now, vault=services().vault)
    db.session.commit()
    assert [h.rows[0]["level"] for h in spaces.holdings(owner.space_id, vault=services().vault)] == ["本科"]
    with pytest.raises(Conflict):
        record_erasure.erase(first.record_id, now, vault=services().vault)
    with pytest.raises(NotFound):
        record_erasure.erase("rec_none", now, vault=services().vault)


def test_many_records_are_sealed_anew(owner: Holder, degree: DataItem, now: dt.datetime) -> None:
    for n in range(record_erasure.BATCH + 5):
        at = now + n * HOUR
        spaces.deposit(owner, degree, [DEGREE | {"level": str(n)}], as_of=at, now=now, vault=services().vault)
    db.session.commit()
    erase(degree, now)
    key = services().vault.records_key(owner.space_id)
    left = db.session.scalars(select(Record).filter_by(erased_at=None).order_by(Record.version)).all()
    assert [spaces.open_rows(r, key)[0]["level"] for r in left[1:]] == [str(n) for n in range(record_erasure.BATCH + 4)]


def test_a_backup_opens_it_no_more_once_its_wrapping_key_is_forgotten(
    owner: Holder, degree: DataItem, power: DataItem, tmp_path: Path, app: Flask, now: dt.datetime
) -> None:
    """With a real copy of the database file, opened by an application of its own."""
    if db.engine.dialect.name != "sqlite":
        pytest.skip("copies a file")
    path = tmp_path / "keys"
    key_file.write(path, [WrappingKey(b"w" * 32, now - 2 * HOUR)])
    keys = FileKeys(path)
    services().vault.keys = keys
    with sqlite3.connect(str(db.engine.url.database)) as live, sqlite3.connect(tmp_path / "copy.sqlite") as copy:
        live.backup(copy)
    copied = make_settings(f"sqlite:///{tmp_path / 'copy.sqlite'}", wrapping_key=b"", wrapping_key_file=str(path))
    backup = create_app(copied)
    space_id = owner.space_id
    erase(degree, now)

    def opened() -> list[str]:
        with backup.app_context():
            return [held.item.item_id for held in spaces.holdings(space_id, vault=Vault(FileKeys(path)))]

    # Whoever has a backup and the running service with its keys gets no further than the backup's own wrapped key.
    in_use = services().vault.records_key(space_id)
    with backup.app_context():
        old = db.session.scalars(select(Record).filter_by(item_id=degree.item_id)).one()
        with pytest.raises(Unreadable):
            unseal(in_use, old.sealed, identity=old.record_id)
    assert opened() == ["e.energy.power", "p.edu.degree"]
    runner = app.test_cli_runner()
    assert runner.invoke(args=["wrapping-keys", "rotate"]).exit_code == 0
    newer, older = keys.all()
    key_file.write(path, [WrappingKey(newer.secret, now - 2 * HOUR), older])
    forgotten = runner.invoke(args=["wrapping-keys", "forget", older.name, "--yes"])
    assert forgotten.exit_code == 0, forgotten.output
    with pytest.raises(Unreadable):
        opened()
    db.session.rollback()
    assert [held.item.item_id for held in spaces.holdings(space_id, vault=services().vault)] == ["e.energy.power"]
    with backup.app_context():
        db.engine.dispose()


def test_its_source_does_not_bring_it_back(owner: Holder, degree: DataItem, now: dt.datetime) -> None:
    factories.source(now, degree)
    as_of = the(degree).as_of
    erase(degree, now)
    reception = factories.reception(now)

    def brought(at: dt.datetime) -> str:
        (verdict,) = reception.take([Incoming(1, factories.PERSON, degree.item_id, at.isoformat(), [DEGREE])], now)
        db.session.commit()
        return str(verdict.reason or verdict.outcome)

    assert brought(as_of) == Reason.ERASED
    assert brought(as_of + HOUR) == "added"
    assert the(degree).version == 2
    assert [h.rows for h in spaces.holdings(owner.space_id, vault=services().vault)] == [[DEGREE]]
    erase(degree, now)
    spaces.deposit(owner, degree, [DEGREE], as_of=now, now=now, vault=services().vault)
    assert the(degree).version == 3


def test_with_the_space_the_key_of_its_records_goes(
    owner: Holder, degree: DataItem, power: DataItem, now: dt.datetime
) -> None:
    erase(degree, now)
    services().vault.destroy_key(owner.space_id, now)
    db.session.commit()
    assert db.session.execute(select(DataKey.wrapped, DataKey.records_wrapped)).all() == [(None, None)]
    with pytest.raises(Unreadable):
        spaces.holdings(owner.space_id, vault=services().vault)


def test_by_command_with_a_reason(
    owner: Holder, degree: DataItem, power: DataItem, app: Flask, now: dt.datetime
) -> None:
    record_id = the(degree).record_id
    answer = extracts.read(permission(owner, grant(degree, "school")), None, now, vault=services().vault)
    db.session.commit()
    words = ["records", "erase", record_id, "--ground", "authority_decision", "--text", "Court order 7"]
    run = app.test_cli_runner().invoke
    assert "Aborted" in run(args=words).output
    assert run(args=[*words, "--yes"]).exit_code == 0
    db.session.rollback()
    event = db.session.scalars(select(OperatorEvent)).one()
    assert (event.kind, event.subject, event.text) == ("record:erased", record_id, "Court order 7")
    listed = run(args=["records", "of-delivery", answer.delivery_id]).output
    assert listed == f"{record_id}  p.edu.degree  version 1  deleted {the(degree).erased_at:%Y-%m-%d}\n"
    parts = {p.name: b"".join(p.chunks) for p in archive_parts.parts(owner.space_id, services().vault)}
    assert record_id.encode() not in parts["data/records.json"]


def test_what_was_prepared_for_the_holder_goes_as_well(
    owner: Holder, degree: DataItem, app: Flask, now: dt.datetime
) -> None:
    whose = {"space_id": owner.space_id, "person_id": owner.holder_id}
    db.session.add(
        Archive(archive_id="arc_1", language="en", state="ready", asked_at=now, expires_at=now + HOUR, **whose)
    )
    db.session.commit()
    words = ["records", "erase", the(degree).record_id, "--ground", "identity_error", "--text", "Somebody else's"]
    assert app.test_cli_runner().invoke(args=[*words, "--yes"]).exit_code == 0
    assert db.session.scalars(select(Archive)).all() == []
