"""The log of evidence: all that happens enters it, strangers can read and check it, nothing makes it forget or fork."""

import base64
import datetime as dt
import gzip
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import rfc8785
import sqlalchemy as sa
import tlog
import verify_log
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from signed import Refused
from tlog import Fetch, Head

from consent import cosignatures, endings, evidence, receipts, sequencer, worker
from consent.evidence import EvidenceLog, EvidenceTile, LogBroken, NotYet
from consent.log_files import LogFiles
from consent.receipts import Receipt
from consent.records import ConsentEvent
from dataspace import accesses, clock, entries
from dataspace.accesses import Access
from dataspace.db import db
from dataspace.entries import Entry, WaitingEntry
from dataspace.spaces import Record
from tests import factories
from tests.conftest import fresh_database
from tests.consent.third_party import ThirdParty, tokens_for
from tests.consent.visitor import Visitor
from tests.documents import ROOT
from tests.factories import entered

PROGRAM = ROOT / "verifier" / "verify_log.py"


def sequence(files: LogFiles | None = None) -> int:
    return worker.sequence(clock.now(), registry=factories.registry(), files=files)


def over(http: FlaskClient) -> Fetch:
    """As a stranger fetches."""

    def fetch(path: str) -> bytes:
        answer = http.get(f"/log/{path}")
        if answer.status_code != 200:
            raise Refused(f"{path}: {answer.status_code}", path, status=2)
        return answer.data

    return fetch


def key(http: FlaskClient) -> str:
    return http.get("/log/key").text


def waiting() -> int:
    return db.session.scalar(sa.select(sa.func.count()).select_from(WaitingEntry)) or 0


# What enters


@pytest.fixture
def bank(app: Flask, client: FlaskClient, now: dt.datetime) -> ThirdParty:
    """A bank that may read, once."""
    person = factories.holder(now)
    degree = factories.item(now)
    factories.record(person, degree, [{"school": "示例大学", "major": "会计", "level": None}], now)
    found = ThirdParty(factories.party(now), client)
    factories.purpose(now, required=[degree])
    db.session.commit()
    return found


def lent(bank: ThirdParty) -> str:
    person = db.session.scalars(sa.select(factories.Holder).order_by(factories.Holder.holder_id)).one()
    return str(tokens_for(bank, factories.actor(person, clock.now()))["access_token"])


def test_every_event_receipt_and_read_is_proven_to_a_stranger(bank: ThirdParty, client: FlaskClient) -> None:
    token = lent(bank)
    assert bank.read(token).status_code == 200
    assert bank.read(token, "/api/v1/data/p.none").status_code == 403
    (consent,) = db.session.scalars(sa.select(factories.Consent))
    person = db.session.get_one(factories.Holder, consent.holder_id)
    by = factories.actor(person, clock.now())
    endings.withdraw(consent.consent_id, by, clock.now(), registry=factories.registry())
    db.session.commit()
    assert bank.read(token).status_code == 403
    told = all_entries()
    assert sequence() == len(told)
    head, found = verify_log.check_log(over(client), key(client))
    assert sorted(found) == sorted(entry.digest for entry in told)
    for entry in told:
        proof = evidence.proof_of(entry)
        index, under = tlog.check_proof(proof.text.encode(), entry.digest, key(client))
        assert (found[index], under) == (entry.digest, head)
    kinds = [entry.statement["kind"] for entry in told]
    assert {kind: kinds.count(kind) for kind in kinds} == {"consent_event": 4, "receipt": 2, "access": 3}


def test_the_entry_of_a_read_covers_what_was_delivered(bank: ThirdParty) -> None:
    answer = bank.read(lent(bank))
    (line,) = db.session.scalars(sa.select(Access))
    entry = accesses.entry_of(line)
    assert entry is not None
    (record,) = db.session.scalars(sa.select(Record))
    assert entry.statement["records"] == [hashlib.sha256(entry.salt + record.record_id.encode()).hexdigest()]
    assert entry.statement["space"] == hashlib.sha256(entry.salt + record.space_id.encode()).hexdigest()
    assert entry.statement["response_digest"] == hashlib.sha256(rfc8785.dumps(answer.json)).hexdigest()
    for name, other in (("record_ids", []), ("space_id", "spc_0"), ("response_digest", "0" * 64)):
        kept = getattr(line, name)
        setattr(line, name, other)
        changed = accesses.entry_of(line)
        assert changed is not None
        assert changed.digest != entry.digest
        setattr(line, name, kept)


def all_entries() -> list[Entry]:
    """The entries of everything there is, made anew from what is stored."""
    found: list[Entry | None] = [accesses.entry_of(row) for row in db.session.scalars(sa.select(Access))]
    found += [receipt.entry for receipt in db.session.scalars(sa.select(Receipt))]
    for event in db.session.scalars(sa.select(ConsentEvent)):
        assert event.salt is not None
        about = {"consent_id": event.consent_id, "seq": event.seq, "digest": event.digest}
        found.append(Entry.of("consent_event", event.at, event.salt, **about))
    return [entry for entry in found if entry is not None]


def test_what_is_rolled_back_has_no_entry(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    db.session.commit()
    before = waiting()
    assert before == len(all_entries()) > 0
    endings.withdraw(world.consent.consent_id, world.actor, now, registry=factories.registry())
    db.session.rollback()
    assert waiting() == before


def test_without_its_salt_nothing_leads_to_an_entry(app: Flask, now: dt.datetime) -> None:
    factories.world(now)
    receipt = db.session.scalars(sa.select(Receipt).order_by(Receipt.receipt_id)).first()
    assert receipt is not None
    assert receipt.entry is not None
    again = Entry.of("receipt", receipt.issued_at, b"x" * 16, receipt_id=receipt.receipt_id, digest=receipt.digest)
    assert again.statement == receipt.entry.statement
    assert again.digest != receipt.entry.digest
    receipt.salt = None
    assert receipt.entry is None


def test_a_read_takes_few_statements(bank: ThirdParty) -> None:
    """Token, consent and proof; records; access row and entry."""
    token, sent = lent(bank), []
    sa.event.listen(db.engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    assert bank.read(token).status_code == 200
    assert len(sent) == 3, sent


_json = st.recursive(
    st.none() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="ascii")), inner),
)


@given(st.dictionaries(st.text(st.characters(codec="ascii")), _json))
def test_statements_have_the_one_form_of_rfc_8785(statement: dict[str, Any]) -> None:
    assert entries.canonical(statement) == rfc8785.dumps(statement)


# What strangers are served (C2SP tlog-tiles)


def test_served_as_the_specification_says(app: Flask, client: FlaskClient) -> None:
    assert client.get("/log/checkpoint").status_code == 404
    assert sequence() == 0
    assert verify_log.check_log(over(client), key(client))[0].size == 0
    entered(300)
    assert sequence() == 300
    checkpoint = client.get("/log/checkpoint")
    assert checkpoint.content_type == "text/plain; charset=utf-8"
    assert checkpoint.headers["Cache-Control"] == "public, max-age=1"
    assert checkpoint.text.startswith("localhost:8000/log\n300\n")
    for path, length in {"0/000": 8192, "0/001.p/44": 44 * 32, "1/000.p/1": 32, "0/001.p/3": 96}.items():
        tile = client.get(f"/log/tile/{path}")
        assert (tile.status_code, len(tile.data), tile.content_type) == (200, length, "application/octet-stream")
        assert "immutable" in tile.headers["Cache-Control"]
        again = client.get(f"/log/tile/{path}", headers={"If-None-Match": tile.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
    plain = client.get("/log/tile/entries/001.p/44")
    packed = client.get("/log/tile/entries/001.p/44", headers={"Accept-Encoding": "br, gzip"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert {plain.headers["Vary"], packed.headers["Vary"]} == {"Accept-Encoding"}
    assert gzip.decompress(packed.data) == plain.data
    assert len(plain.data) == 44 * 34


@pytest.mark.parametrize(
    "path",
    ["0/001", "0/001.p/45", "0/002.p/1", "1/000.p/2", "1/000", "2/000.p/1", "entries/001", "entries/001.p/45", "0/0",
     "00/000", "0/000.p/0", "0/000.p/256", "64/000", "x/000", "0/x001/000", "0/000/../000", "-1/000", "0/" + "x999/" * 6
     + "999"],
)  # fmt: skip
def test_what_is_not_in_the_log_is_not_found(path: str, app: Flask, client: FlaskClient) -> None:
    entered(300)
    sequence()
    answer = client.get(f"/log/tile/{path}")
    assert answer.status_code == 404
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_holder_fetches_the_proof_of_a_receipt(app: Flask, client: FlaskClient, now: dt.datetime) -> None:
    world = factories.world(now)
    receipt = receipts.latest(world.consent.consent_id)
    assert receipt is not None
    path = f"/receipts/{receipt.receipt_id}"
    visitor = Visitor(client).sign_in(world.person, now)
    assert client.get(f"{path}/proof.json").status_code == 404, "not yet"
    assert sequence() > 0
    assert f"{path}/proof.json" in visitor.get(path).html
    brought = json.loads(client.get(f"{path}/proof.json").data)
    signed = json.loads(client.get(f"{path}/receipt.json").data)["receipt"]
    payload = json.dumps(signed, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    assert brought["statement"]["digest"] == hashlib.sha256(payload).hexdigest()
    statement = json.dumps(brought["statement"], sort_keys=True, separators=(",", ":")).encode()
    entry = hashlib.sha256(bytes.fromhex(brought["salt"]) + statement).digest()
    assert entry.hex() == brought["entry"]
    tlog.check_proof(brought["proof"].encode(), entry, key(client))
    other = factories.holder(now, factories.OTHER_PERSON, "梁志文")
    db.session.commit()
    Visitor(client).sign_in(other, now)
    assert client.get(f"{path}/proof.json").status_code == 404


# One log, whatever happens


def test_it_grows_and_never_forgets(app: Flask, client: FlaskClient) -> None:
    heads: list[Head] = []
    told: list[Entry] = []
    for count in (1, 254, 1, 1, 255, 1, 300):
        told += entered(count)
        assert sequence() == count
        head, _found = verify_log.check_log(over(client), key(client), heads)
        assert head.size == len(told)
        heads.append(head)
    for entry in (told[0], told[255], told[-1]):
        tlog.check_proof(evidence.proof_of(entry).text.encode(), entry.digest, key(client))
    with pytest.raises(NotYet):
        evidence.proof_of(entered(1)[0])
    with pytest.raises(NotYet):
        evidence.proof_at(len(told), evidence.head())
    for old in (0, 1, 255, 256, 600):
        assert evidence.root_at(old) == next((h.root for h in heads if h.size == old), evidence.root_at(old))


def test_a_clock_that_goes_back_changes_nothing(app: Flask, client: FlaskClient, now: dt.datetime) -> None:
    first = entered(3, now)
    sequence()
    earlier = entered(3, now - dt.timedelta(days=400))
    assert worker.sequence(now - dt.timedelta(days=400), registry=factories.registry()) == 3
    _head, found = verify_log.check_log(over(client), key(client))
    assert set(found[:3]) == {entry.digest for entry in first}
    assert set(found[3:]) == {entry.digest for entry in earlier}


def test_several_sequencers_take_every_entry_once(app: Flask, client: FlaskClient) -> None:
    sequence()
    told = entered(600)

    def work() -> int:
        with app.app_context():
            taken = sequencer.integrate(clock.now(), vault=factories.registry().vault, limit=50)
            cosignatures.publish(clock.now(), hold=dt.timedelta())
            db.session.commit()
            return taken

    total = 0
    with ThreadPoolExecutor(4) as pool:
        while total < 600:
            total += sum(future.result() for future in [pool.submit(work) for _ in range(8)])
    db.session.rollback()
    _head, found = verify_log.check_log(over(client), key(client))
    assert sorted(found) == sorted(entry.digest for entry in told)


def test_killed_at_every_step_it_loses_nothing_and_forks_nothing(
    server_url: str | None, empty_template: str, tmp_path: Path
) -> None:
    kills = "220" if server_url is None else "60"
    with fresh_database(server_url, empty_template, tmp_path) as url:
        done = subprocess.run(
            [sys.executable, "-m", "tests.killing", url, str(tmp_path / "log"), kills],
            cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
            env={**os.environ, "PYTHONPATH": f".{os.pathsep}verifier"},
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{kills} kills" in done.stdout


# What is stored is damaged


def cut(tiles: dict[tuple[int, int], bytes]) -> None:
    tiles[0, 1] = tiles[0, 1][:-32]


def cut_within(tiles: dict[tuple[int, int], bytes]) -> None:
    tiles[-1, 1] = tiles[-1, 1][:-1]


def lost(tiles: dict[tuple[int, int], bytes]) -> None:
    del tiles[1, 0]


def reordered(tiles: dict[tuple[int, int], bytes]) -> None:
    tiles[0, 1] = tiles[0, 1][32:64] + tiles[0, 1][:32] + tiles[0, 1][64:]


def entries_reordered(tiles: dict[tuple[int, int], bytes]) -> None:
    tiles[-1, 1] = tiles[-1, 1][34:68] + tiles[-1, 1][:34] + tiles[-1, 1][68:]


def altered(tiles: dict[tuple[int, int], bytes]) -> None:
    tiles[1, 0] = b"x" * 32


@pytest.mark.parametrize("damage", [cut, cut_within, lost, reordered, entries_reordered, altered])
@pytest.mark.damages_log
def test_nothing_is_signed_over_damaged_tiles(damage: Callable[..., None], app: Flask) -> None:
    entered(300)
    sequence()
    note, stored = evidence.head().note, tiles()
    damage(stored)
    rewrite(stored)
    entered(2)
    with pytest.raises(worker.SweepFailed):
        sequence()
    assert evidence.head().note == note
    assert waiting() == 2


@pytest.mark.damages_log
def test_nothing_is_signed_over_rows_from_earlier(app: Flask) -> None:
    entered(300)
    sequence()
    earlier = tiles()
    entered(10)
    sequence()
    rewrite(earlier)
    entered(2)
    with pytest.raises(worker.SweepFailed):
        sequence()
    assert (evidence.head().size, waiting()) == (310, 2)


@pytest.mark.damages_log
def test_a_database_that_was_set_back_signs_nothing_more(app: Flask, tmp_path: Path) -> None:
    files = LogFiles(tmp_path / "log")
    entered(300)
    sequence(files)
    earlier, log = tiles(), db.session.execute(sa.select(EvidenceLog.__table__)).mappings().one()
    entered(10)
    sequence(files)
    rewrite(earlier)
    db.session.execute(sa.update(EvidenceLog).values({n: log[n] for n in ("size", "root", "note")}))
    db.session.commit()
    entered(20)
    published = (tmp_path / "log" / "checkpoint").read_bytes()
    with pytest.raises(worker.SweepFailed):
        sequence(files)
    assert (evidence.head().size, waiting()) == (300, 20)
    assert (tmp_path / "log" / "checkpoint").read_bytes() == published
    with pytest.raises(LogBroken, match="set back"):
        files.publish()
    sequencer.integrate(clock.now(), vault=factories.registry().vault)  # without the files nobody could know:
    db.session.commit()
    with pytest.raises(LogBroken, match="no beginning"):
        files.publish()


def tiles() -> dict[tuple[int, int], bytes]:
    return {(t.level, t.number): bytes(t.content) for t in db.session.scalars(sa.select(EvidenceTile))}


def rewrite(stored: dict[tuple[int, int], bytes]) -> None:
    db.session.expunge_all()
    db.session.execute(sa.delete(EvidenceTile))
    db.session.execute(
        sa.insert(EvidenceTile), [{"log": 1, "level": at[0], "number": at[1], "content": c} for at, c in stored.items()]
    )
    db.session.commit()


# The files


def test_the_files_are_those_that_are_served(app: Flask, client: FlaskClient, tmp_path: Path) -> None:
    files, folder = LogFiles(tmp_path / "log"), tmp_path / "log"
    for count in (1, 200, 100, 0, 600):
        entered(count)
        sequence(files)
        from_files = verify_log.check_log(tlog.fetch_from(str(folder)), key(client))
        assert from_files == verify_log.check_log(over(client), key(client))
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert names == [
        "checkpoint", "tile/0/000", "tile/0/001", "tile/0/002", "tile/0/003.p/133", "tile/1/000.p/1", "tile/1/000.p/3",
        "tile/entries/000", "tile/entries/001", "tile/entries/002", "tile/entries/003.p/133",
    ]  # fmt: skip
    assert client.get("/log/tile/0/001").data == (folder / "tile/0/001").read_bytes()


def test_published_files_that_were_cut_or_lost_are_written_anew(app: Flask, tmp_path: Path) -> None:
    files, folder = LogFiles(tmp_path / "log"), tmp_path / "log"
    entered(600)
    sequence(files)
    vkey, read = evidence.head().verifier, tlog.fetch_from(str(folder))
    for name, length in {"tile/entries/001": 100, "tile/0/000": 0, "tile/0/002.p/88": 32}.items():
        (folder / name).write_bytes((folder / name).read_bytes()[:length])
    (folder / "tile/entries/000").unlink()
    with pytest.raises(Refused):
        verify_log.check_log(read, vkey)
    assert files.publish() == 4
    assert verify_log.check_log(read, vkey)[0].size == 600
    assert files.publish() == 0
    tile = folder / "tile/0/001"
    tile.write_bytes(b"x" + tile.read_bytes()[1:])
    with pytest.raises(LogBroken, match="tile/0/001 is not what was published"):
        files.publish()


def test_a_reader_notices_whatever_is_done_to_the_files(app: Flask, tmp_path: Path) -> None:
    files, folder = LogFiles(tmp_path / "log"), tmp_path / "log"
    entered(200)
    sequence(files)
    early = (folder / "checkpoint").read_bytes()
    entered(400)
    sequence(files)
    vkey, read = evidence.head().verifier, tlog.fetch_from(str(folder))
    head, _entries = verify_log.check_log(read, vkey, [tlog.read_checkpoint(early, vkey)])
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        whole = path.read_bytes()
        for changed in (whole[:-1], whole[:-32], whole + whole[-34:], bytes([whole[0] ^ 1]) + whole[1:], b""):
            path.write_bytes(changed)
            with pytest.raises(Refused):
                verify_log.check_log(read, vkey)
        path.write_bytes(whole)
    one, other = folder / "tile/entries/000", folder / "tile/entries/001"
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    with pytest.raises(Refused, match="do not lead"):
        verify_log.check_log(read, vkey)
    one.write_bytes(first)
    other.write_bytes(second)
    (folder / "checkpoint").write_bytes(early)  # played back
    with pytest.raises(Refused, match="shorter"):
        verify_log.check_log(read, vkey, [head])
    forged = Head(head.origin, 100, b"x" * 32)
    with pytest.raises(Refused, match="does not continue"):
        verify_log.check_log(read, vkey, [forged])
    (folder / "checkpoint").write_bytes(b"nonsense")
    with pytest.raises(LogBroken):
        files.publish()


def test_the_program_reads_a_directory(app: Flask, tmp_path: Path) -> None:
    entered(300)
    sequence(LogFiles(tmp_path / "log"))
    (tmp_path / "key").write_text(evidence.head().verifier + "\n")
    assert run("log", "--key", "key", "--save", "seen", cwd=tmp_path).returncode == 0
    entered(1)
    sequence(LogFiles(tmp_path / "log"))
    said = run("log", "--key", "key", "--earlier", "seen", "--language", "en", cwd=tmp_path)
    assert (said.returncode, said.stdout) == (0, "All 301 entries of localhost:8000/log match the checkpoint.\n")
    assert run("nowhere", "--key", "key", cwd=tmp_path).returncode == 2
    other = base64.b64encode(b"\1" + b"x" * 32).decode()
    assert run("log", "--key", f"localhost:8000/log+00000000+{other}", cwd=tmp_path).returncode == 1


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """As a stranger runs it, in a folder where nothing of ours is."""
    return subprocess.run(
        [sys.executable, "-E", "-s", "-X", "utf8", str(PROGRAM), *arguments],
        cwd=cwd, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip
