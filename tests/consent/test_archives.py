"""A copy of everything: what is in it, who gets it, how it is made beside others, and that it goes."""

import csv
import datetime as dt
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
import verify_receipt
from flask import Flask, current_app
from sqlalchemy import func, select, update

from consent import archives, cases, certificate_issue, data_certificates, endings, presentations, worker
from consent.archives import Archive, ArchiveLimit, ArchivePiece
from consent.cases import About, CaseKind
from consent.keys import KeyUse
from consent.web.archives import content
from dataspace import jose, record_erasure
from dataspace.accesses import Access
from dataspace.db import db, table_of
from dataspace.errors import NotAllowed, NotFound
from dataspace.mandates import Capacity
from dataspace.sealing import Unreadable
from dataspace.spaces import Record
from dataspace.vault import DataKey
from dataspace.web.shell import services
from tests import factories
from tests.consent.visitor import Visitor

MINUTE = dt.timedelta(minutes=1)


def made(now: dt.datetime) -> bool:
    """What a worker does, in one go."""
    return worker.write_archive(lambda: now, content, registry=factories.registry())


def asked(world: factories.World, now: dt.datetime, language: str = "en") -> Archive:
    archive = archives.ask(world.actor, language, now)
    db.session.commit()
    return archive


def opened(archive: Archive, now: dt.datetime) -> zipfile.ZipFile:
    db.session.refresh(archive)
    content = b"".join(archives.read(archive, now, vault=services().vault))
    assert len(content) == archive.size
    return zipfile.ZipFile(io.BytesIO(content))


def parsed(file: zipfile.ZipFile, name: str) -> Any:
    return json.loads(file.read(name))


# What is in it


def test_it_holds_everything_and_every_digest_fits(world: factories.World, now: dt.datetime) -> None:
    certificate = certificate_issue.for_holder(
        world.consent.consent_id, "p.edu.degree", world.actor, now, registry=factories.registry()
    ).certificate
    presentations.present(
        certificate.certificate_id, "示例律师事务所", {"data": ["school"]}, MINUTE, world.actor, now,
        vault=services().vault,
    )  # fmt: skip
    endings.withdraw(world.consent.consent_id, world.actor, now, registry=factories.registry())
    cases.open_case(
        CaseKind.CORRECTION, About(item_id="p.edu.degree"), "错了", world.actor, now, vault=services().vault
    )
    archive = asked(world, now)
    assert made(now)
    file = opened(archive, now)
    assert file.testzip() is None
    own = select(Record).filter_by(space_id=world.person.space_id).order_by(Record.record_id)
    record = db.session.scalars(own).first()
    assert record is not None
    (first, *_rest) = [r for r in parsed(file, "data/records.json") if r["record_id"] == record.record_id]
    assert jose.digest({"salt": first["salt"], "rows": first["rows"]}) == record.digest == first["digest"]
    (consent,) = parsed(file, "authorizations/authorizations.json")
    assert consent["state"] == "withdrawn"
    assert [e["kind"] for e in consent["events"]][-1] == "consent:withdrawn"
    for version in consent["versions"]:
        assert hashlib.sha256(version["document"].encode()).hexdigest() == version["digest"]
    for notice in consent["notices"]:
        assert hashlib.sha256(notice["text"].encode()).hexdigest() == notice["digest"]
    (case,) = parsed(file, "cases/cases.json")
    assert (case["kind"], case["steps"][0]["text"]) == ("correction", "错了")
    life = parsed(file, f"certificates/{certificate.certificate_id}.json")
    assert file.read(life["file"]).decode() == data_certificates.content(certificate, vault=services().vault).show()
    assert [step["kind"].partition(":")[2] for step in life["steps"]] == ["generated", "stored", "presented", "frozen"]
    assert life["steps"][2]["note"] == {"receiver": "示例律师事务所", "purpose": "", "shown": {"data": ["school"]}}
    assert parsed(file, "space/holder.json")["identifier"] == factories.PERSON
    assert "archive:asked" in [m["kind"] for m in parsed(file, "space/messages.json")]
    assert "陈嘉怡" not in file.read("README.txt").decode()


def test_its_manifest_names_every_file_and_is_signed(world: factories.World, now: dt.datetime) -> None:
    archive = asked(world, now)
    made(now)
    file = opened(archive, now)
    said = parsed(file, "manifest.json")
    assert set(said["files"]) | {"manifest.json", "manifest.jws", "SHA256SUMS"} == set(file.namelist())
    for name, facts in said["files"].items():
        content = file.read(name)
        assert facts == {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    sums = file.read("SHA256SUMS").decode().splitlines()
    assert sorted(sums) == sorted(f"{facts['sha256']}  {name}" for name, facts in said["files"].items())
    token = jose.read(file.read("manifest.jws").decode(), longest=10**6)
    keys = [
        jose.public_key(key) for key in factories.registry().keyring.public_jwk_set(now, purpose=KeyUse.RECORDS)["keys"]
    ]
    verified = jose.verify_bytes(token, keys, algorithms=["ES256"], expected_typ=archives.TYP)
    assert verified.payload == file.read("manifest.json")


def test_it_opens_no_more_than_the_records_that_are_in_it(world: factories.World, now: dt.datetime) -> None:
    """A copy that lies in a backup, after a record was deleted."""
    archive = asked(world, now)
    made(now)
    assert opened(archive, now)
    record_id = db.session.scalars(select(Record.record_id).order_by(Record.record_id)).all()[0]
    record_erasure.erase(record_id, now, vault=services().vault)
    with pytest.raises(Unreadable):
        opened(archive, now)


def test_its_receipts_are_checked_without_us(world: factories.World, now: dt.datetime, tmp_path: Any) -> None:
    archive = asked(world, now)
    made(now)
    file = opened(archive, now)
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps(factories.registry().keyring.public_jwk_set(now, purpose=KeyUse.RECORDS)))
    receipts = [name for name in file.namelist() if "/receipts/" in name]
    assert receipts
    for name in receipts:
        verify_receipt.check(file.read(name), verify_receipt.load_keys(keys), now)


@pytest.mark.parametrize(("language", "words"), [("zh_Hans", "数据空间"), ("zh_Hant", "資料"), ("en", "A copy of the")])
def test_what_people_read_is_in_their_language(
    world: factories.World, now: dt.datetime, language: str, words: str
) -> None:
    archive = asked(world, now, language)
    made(now)
    file = opened(archive, now)
    assert words in file.read("README.txt").decode()
    page = file.read("overview.html").decode()
    assert words in page
    assert "示例大学" in page
    assert next(csv.reader(io.StringIO(file.read("reads.csv").decode("utf-8-sig"))))


def test_no_secret_and_nothing_of_others_is_in_it(world: factories.World, now: dt.datetime) -> None:
    other = factories.holder(now, factories.OTHER_PERSON, "梁志文")
    db.session.commit()
    archive = asked(world, now)
    made(now)
    file = opened(archive, now)
    everything = b"".join(file.read(name) for name in file.namelist())
    for unwanted in (other.space_id, "secret_digest", "public_key", "wrapped", "梁志文"):
        assert unwanted.encode() not in everything


def test_long_tables_are_whole(world: factories.World, now: dt.datetime) -> None:
    row = {
        "at": now, "space_id": world.person.space_id, "consent_id": world.consent.consent_id, "consent_version": 1,
        "client_id": "bank", "recipient": "银行", "purpose": "审核", "item_ids": ["p.edu.degree"], "action": "read",
        "outcome": "refused", "reason": "quota_exhausted",
    }  # fmt: skip
    db.session.execute(table_of(Access).insert(), [row] * 1000)
    archive = asked(world, now)
    made(now)
    file = opened(archive, now)
    assert len(parsed(file, "reads/reads.json")) == 1000
    assert file.read("reads.csv").decode().count("\n") == 1001
    assert archive.done == archive.total > 1000


# Making it beside others


def pieces(archive: Archive) -> int:
    mine = ArchivePiece.archive_id == archive.archive_id
    return db.session.scalar(select(func.count()).select_from(ArchivePiece).where(mine)) or 0


def started(archive: Archive, now: dt.datetime) -> Iterator[int]:
    """A worker that has claimed it and written its first piece."""
    claimed = archives.claim(now)
    assert claimed is not None
    assert claimed.archive_id == archive.archive_id
    db.session.commit()
    work = archives.write(claimed, lambda: now, content(claimed, now), registry=factories.registry())
    next(work)
    db.session.commit()
    return work


def test_what_one_makes_no_other_takes(world: factories.World, now: dt.datetime) -> None:
    archive = asked(world, now)
    work = started(archive, now)
    assert not made(now)
    for _piece in work:
        db.session.commit()
    db.session.commit()
    assert opened(archive, now).testzip() is None
    assert not made(now)


def test_after_a_dead_worker_another_begins_anew(world: factories.World, now: dt.datetime) -> None:
    archive = asked(world, now)
    dead = started(archive, now)
    later = now + archives.LEASE
    assert made(later)
    assert opened(archive, later).testzip() is None
    count = pieces(archive)
    with pytest.raises(archives.Superseded):
        list(dead)
    db.session.rollback()
    assert pieces(archive) == count
    assert opened(archive, later).testzip() is None


def test_what_kills_every_worker_is_given_up_and_asked_for_anew(world: factories.World, now: dt.datetime) -> None:
    archive = asked(world, now)
    for n in range(archives.ATTEMPTS):
        started(archive, now + n * archives.LEASE)
    later = now + archives.ATTEMPTS * archives.LEASE
    assert not made(later)
    assert archive.has_failed(later)
    archives.ask(world.actor, "en", later)
    db.session.commit()
    assert made(later)


def test_an_erased_space_has_no_copy(world: factories.World, now: dt.datetime) -> None:
    ready = asked(world, now)
    made(now)
    waiting = asked(world, now + MINUTE)
    db.session.execute(update(DataKey).where(DataKey.space_id == world.person.space_id).values(wrapped=None))
    db.session.commit()
    made(now + MINUTE)
    db.session.refresh(waiting)
    assert waiting.state == "waiting"
    db.session.refresh(ready)
    with pytest.raises(Exception, match="destroyed"):
        archives.read(ready, now, vault=services().vault)


# Who gets it, and how often


def test_one_at_a_time_and_three_a_day(world: factories.World, now: dt.datetime) -> None:
    asked(world, now)
    with pytest.raises(ArchiveLimit):
        archives.ask(world.actor, "en", now)
    made(now)
    for n in (1, 2):
        asked(world, now + n * MINUTE)
        made(now + n * MINUTE)
    with pytest.raises(ArchiveLimit):
        archives.ask(world.actor, "en", now + 3 * MINUTE)
    archives.ask(world.actor, "en", now + dt.timedelta(days=1))


def test_an_agent_of_a_company_takes_nothing_out(app: Flask, now: dt.datetime) -> None:
    company, agent = factories.company(now), factories.holder(now, factories.AGENT, "周敏")
    head = factories.holder(now, factories.LEGAL_REP, "李伟强")
    prepares = factories.actor(agent, now, on_behalf_of=factories.mandate(company, agent, Capacity.AGENT, now))
    mandate = factories.mandate(company, head, Capacity.LEGAL_REPRESENTATIVE, now)
    decides = factories.actor(head, now, on_behalf_of=mandate)
    with pytest.raises(NotAllowed):
        archives.ask(prepares, "en", now)
    archive = archives.ask(decides, "en", now)
    with pytest.raises(NotAllowed):
        archives.get(archive.archive_id, prepares)
    with pytest.raises(NotFound):
        archives.get(archive.archive_id, factories.actor(head, now))


# The pages


def visitor(world: factories.World, now: dt.datetime) -> Visitor:
    return Visitor(current_app.test_client()).sign_in(world.person, now)


def test_asked_for_made_and_fetched(world: factories.World, now: dt.datetime) -> None:
    one = visitor(world, now)
    one.get("/")
    one.follow("A copy of everything All that is here, in one signed file")
    one.tap("Make a copy")
    assert "Being made" in one.page.says
    assert ("progress", {"max": "100", "value": "0"}) in one.page.tags
    assert not one.page.offers("Make a copy")
    made(now)
    assert "Ready" in one.follow("See how far it is").says
    answer = one.send("GET", one.page.link("Save the file"))
    assert answer.status_code == 200
    assert answer.mimetype == "application/zip"
    assert answer.headers["Cache-Control"] == "no-store"
    assert zipfile.ZipFile(io.BytesIO(answer.data)).testzip() is None
    assert "The copy was removed." in one.tap("Remove it").says
    assert one.page.offers("Make a copy")
    assert one.send("GET", answer.request.path).status_code == 404
    assert "The copy of everything is ready" in one.get("/messages").says


def test_it_takes_a_recent_sign_in(world: factories.World, now: dt.datetime) -> None:
    archive = asked(world, now)
    made(now)
    old = visitor(world, now - dt.timedelta(minutes=16))
    assert old.get("/archive").status == 200
    answer = old.send("GET", f"/archive/{archive.archive_id}/archive.zip")
    assert answer.status_code == 303
    assert "/signin" in answer.location
    old.get("/archive")
    old.tap("Make a copy")
    assert db.session.scalar(select(func.count()).select_from(Archive)) == 1


def test_another_person_gets_none(world: factories.World, now: dt.datetime) -> None:
    archive = asked(world, now)
    made(now)
    other = factories.holder(now, factories.OTHER_PERSON, "梁志文")
    stranger = Visitor(current_app.test_client()).sign_in(other, now)
    assert stranger.send("GET", f"/archive/{archive.archive_id}/archive.zip").status_code == 404


def test_a_second_wish_is_told_why_not(world: factories.World, now: dt.datetime) -> None:
    one = visitor(world, now)
    one.get("/archive")
    asked(world, now)
    assert one.tap("Make a copy").status == 429
    assert "Nothing was started." in one.page.says


def test_what_is_not_kept_any_more_is_gone_with_its_pieces(world: factories.World, now: dt.datetime) -> None:
    archive = asked(world, now)
    made(now)
    assert pieces(archive) > 0
    over = now + archives.KEPT
    with pytest.raises(NotFound):
        archives.read(db.session.get_one(Archive, archive.archive_id), over, vault=services().vault)
    assert archives.sweep(over) == 1
    assert pieces(archive) == 0
