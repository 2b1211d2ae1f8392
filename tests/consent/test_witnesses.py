"""Witnesses of the log of evidence: asked over HTTP, ours and bad ones; what they sign is served and can be checked."""

import base64
import contextlib
import datetime as dt
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask import Flask
from flask.testing import FlaskClient

from consent import cosignatures, evidence, merkle, notes, witnesses, worker
from consent.cosignatures import EvidenceWitness, Outcome
from consent.evidence import EvidenceLog, Head
from consent.log_files import LogFiles
from consent.notes import COSIGNATURE, Checkpoint, Note, Signer, Verifier
from consent.web.log import WITNESSES
from consent.witnesses import Question, Witness
from dataspace import clock, entries, fetching, jwk
from dataspace.db import db
from dataspace.entries import Entry
from dataspace.errors import SettingsError
from tests import factories
from tests.conftest import make_settings
from tests.consent.desk import Desk
from tests.documents import ROOT
from tests.listening import serving
from verifier import tlog, verify_log
from verifier import witness as program
from wsgi import create_app

PROGRAM = ROOT / "verifier" / "witness.py"


def grow(count: int = 1) -> Head:
    """So many more entries, and the head that covers them."""
    for number in range(count):
        entries.append(Entry.new("access", clock.now(), number=number))
    db.session.commit()
    worker.sequence(clock.now(), registry=factories.registry())
    return evidence.head()


@contextlib.contextmanager
def answering(folder: Path, *logs: str) -> Iterator[Witness]:
    """Our own witness on a port of this process."""
    known = {key.partition("+")[0]: [key] for key in logs}
    served = program.Server(("127.0.0.1", 0), program.Witness(folder, known))
    with serving(served) as url:
        yield Witness(verifier=Verifier.parse(str(served.witness.key)), url=url)


@pytest.fixture
def one(app: Flask, tmp_path: Path) -> Iterator[Witness]:
    """A witness that knows the log of this application."""
    worker.sequence(clock.now(), registry=factories.registry())
    program.make(tmp_path / "w1", "w1.example.org")
    with answering(tmp_path / "w1", evidence.head().verifier) as found:
        yield found


def cosign(*asked: Witness, now: dt.datetime | None = None, quorum: int = 1) -> int:
    return worker.cosign(now or clock.now(), asked, quorum=quorum, allow_loopback=True)


def row(witness: Witness) -> EvidenceWitness:
    db.session.expire_all()
    return db.session.get_one(EvidenceWitness, str(witness.verifier))


def shown(witness: Witness, old: int, note: bytes, proof: list[bytes]) -> fetching.Answered:
    """Show it a checkpoint, as a log does."""
    log = Head(origin="", size=0, root=b"", note=note, verifier="")
    return raw(witness, Question(witness=witness, old=old, log=log, proof=proof).body)


def raw(witness: Witness, body: bytes, path: str = "/add-checkpoint") -> fetching.Answered:
    return fetching.post(
        witness.url + path, body, content_type="text/plain", allow_loopback=True, max_bytes=4096, timeout=20
    )


# What is served


def test_a_checkpoint_is_served_with_cosignatures_when_they_come(one: Witness, client: FlaskClient) -> None:
    assert cosign(one) == 0, "of nothing there is nothing to say"
    assert client.get("/log/cosigned").status_code == 404
    first = Entry.new("access", clock.now())
    entries.append(first)
    head = grow(299)
    assert client.get("/log/checkpoint").data == evidence.proof_of(first).note == head.note
    assert cosign(one) == 1
    cosigned = client.get("/log/checkpoint").data
    assert client.get("/log/cosigned").data == cosigned
    _signature, by_witness = Note.parse(cosigned).verified([evidence.verifier(), one.verifier])
    assert abs(notes.timestamp_of(by_witness.blob) - clock.now().timestamp()) < 60
    assert cosigned.startswith(head.note)
    assert cosign(one) == 0, "it has said what there is to say"
    later = grow(2)
    assert client.get("/log/checkpoint").data == later.note
    assert client.get("/log/cosigned").data == evidence.proof_of(first).note == cosigned
    proof = evidence.proof_of(first).text.encode()
    assert tlog.check_proof(proof, first.digest, evidence.head().verifier)[1].size == 300
    for index in (0, 299):
        under = evidence.cosigned(covering=index)
        assert under is not None
        assert (under.size, under.root, under.note) == (300, head.root, cosigned)
        assert evidence.proof_at(index, under).note == cosigned
    assert evidence.cosigned(covering=300) is None
    assert cosign(one) == 1
    under = evidence.cosigned(covering=301)
    assert under is not None
    assert under.note == client.get("/log/cosigned").data == client.get("/log/checkpoint").data


def test_a_head_waits_for_its_witnesses_but_not_for_long_and_never_goes_back(
    one: Witness, client: FlaskClient, now: dt.datetime, tmp_path: Path
) -> None:
    files = LogFiles(tmp_path / "log")

    def served(seconds: int) -> bytes:
        entries.append(Entry.new("access", now))
        db.session.commit()
        at = now + dt.timedelta(seconds=seconds)
        worker.sequence(at, registry=factories.registry(), files=files, hold=cosignatures.HOLD)
        found = client.get("/log/checkpoint").data
        assert (files.folder / "checkpoint").read_bytes() == found
        return found

    assert served(0) != evidence.head().note
    assert cosign(one, now=now) == 1
    cosigned = client.get("/log/checkpoint").data
    assert len(Note.parse(cosigned).verified([evidence.verifier(), one.verifier])) == 2
    assert [served(seconds) for seconds in (1, 3, 5)] == [cosigned] * 3
    late, by_hand = evidence.head(), signer()
    plain = served(6)
    assert plain == evidence.head().note, "five seconds without a word"
    assert served(10) == plain
    assert served(15) == evidence.head().note, "and five seconds after the next"
    cosignatures.claim([str(by_hand.verifier)], late, now)
    said = by_hand.sign(Note.parse(late.note).text, timestamp=int(now.timestamp()))
    cosignatures.record([Outcome(verifier=str(by_hand.verifier), signature=said)], late, now, quorum=1)
    db.session.commit()
    assert client.get("/log/checkpoint").data == evidence.head().note, "what was served is not taken back"
    assert Checkpoint.parse(Note.parse(client.get("/log/cosigned").data).text).size == late.size


def test_every_growth_is_proven_to_it(one: Witness) -> None:
    size = 0
    for count in (1, 1, 1, 60, 193, 1, 255, 300):
        size += count
        grow(count)
        assert cosign(one) == 1, row(one).problem
        assert (row(one).size, row(one).failures) == (size, 0)


def test_a_log_that_rests_is_cosigned_anew_now_and_then(one: Witness, now: dt.datetime) -> None:
    grow()
    assert cosign(one, now=now) == 1
    first = row(one).cosigned_at
    assert cosign(one, now=now + cosignatures.REFRESH - dt.timedelta(seconds=1)) == 0
    assert cosign(one, now=now + cosignatures.REFRESH) == 1
    assert row(one).cosigned_at == now + cosignatures.REFRESH != first


def test_enough_of_them_make_a_cosigned_checkpoint(one: Witness, client: FlaskClient, tmp_path: Path) -> None:
    program.make(tmp_path / "w2", "w2.example.org")
    grow(3)
    with answering(tmp_path / "w2", evidence.head().verifier) as two:
        assert cosign(one, quorum=2) == 1
        assert client.get("/log/cosigned").status_code == 404
        assert cosign(one, two, quorum=2) == 1
        assert len(Note.parse(client.get("/log/cosigned").data).verified([one.verifier, two.verifier])) == 2
        grow()
        assert cosign(one, two, quorum=2) == 2
    before = client.get("/log/cosigned").data
    grow()
    assert cosign(one, two, quorum=2) == 1, "the other one is gone"
    assert client.get("/log/cosigned").data == before
    assert len(Note.parse(client.get("/log/checkpoint").data).signatures) == 2
    assert (row(two).failures, row(two).size) == (1, 4)


def test_the_files_have_the_cosignatures_too(one: Witness, tmp_path: Path) -> None:
    files, folder = LogFiles(tmp_path / "log"), tmp_path / "log"
    head = grow(3)
    assert files.publish() > 1
    assert (folder / "checkpoint").read_bytes() == head.note
    cosign(one)
    assert files.publish() == 2
    cosigned = (folder / "checkpoint").read_bytes()
    assert len(Note.parse(cosigned).verified([one.verifier])) == 1
    assert files.publish() == 0
    later = grow(300)
    files.publish()
    assert (folder / "checkpoint").read_bytes() == later.note
    assert (folder / "cosigned").read_bytes() == cosigned


def test_a_reader_demands_cosignatures(one: Witness, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files, folder, key = LogFiles(tmp_path / "log"), tmp_path / "log", evidence.head().verifier
    other = str(signer().verifier)

    def reads(*demands: str) -> tuple[int, str]:
        status = verify_log.main([str(folder), "--key", key, "--language", "en", *demands])
        said = capsys.readouterr()
        return status, said.out + said.err

    grow(3)
    files.publish()
    assert reads()[0] == 0
    assert reads("--witness", str(one.verifier)) == (1, "Of the witnesses 0 have cosigned the checkpoint, not 1.\n")
    cosign(one)
    files.publish()
    assert reads("--witness", str(one.verifier))[0] == 0
    assert reads("--witness", str(one.verifier), "--witness", other)[0] == 1
    assert reads("--witness", str(one.verifier), "--witness", other, "--quorum", "1")[0] == 0
    assert reads("--witness", key) == (1, "The key is not the key of a witness.\n")
    grow(300)
    files.publish()
    assert "All 3 entries" in reads("--witness", str(one.verifier))[1], "the newest that is cosigned"
    cosigned = Note.parse((folder / "cosigned").read_bytes())
    blob = cosigned.signatures[1].blob
    later = replace(cosigned.signatures[1], blob=blob[:7] + bytes([blob[7] ^ 1]) + blob[8:])
    (folder / "cosigned").write_bytes(bytes(Note(cosigned.text, (cosigned.signatures[0], later))))
    assert "does not match" in reads("--witness", str(one.verifier))[1], "its time is signed too"


# What the witness and we disagree about


def test_it_says_what_it_has_seen_when_we_have_forgotten(one: Witness) -> None:
    for count in (3, 4):
        grow(count)
        assert cosign(one) == 1
    db.session.execute(sa.delete(EvidenceWitness))
    db.session.commit()
    grow()
    assert cosign(one) == 1
    assert (row(one).size, row(one).problem) == (8, "")


def other_log(size: int) -> tuple[bytes, Callable[[int], list[bytes]]]:
    """A checkpoint of another history, signed with the very key of the log, and the proofs that it continues."""
    log = db.session.scalars(sa.select(EvidenceLog)).one()
    private = jwk.load_private_key(factories.registry().vault.unwrap(log.wrapped_private, identity=log.origin))
    assert isinstance(private, Ed25519PrivateKey)
    tiles = merkle.grow(0, {}, [merkle.leaf_hash(bytes([number])) for number in range(size)])
    root = merkle.root(size, lambda level, number: tiles[level, number])
    note = notes.sign(Checkpoint(origin=log.origin, size=size, root=root), Signer(name=log.origin, private=private))
    return bytes(note), lambda old: merkle.consistency_proof(old, size, lambda level, number: tiles[level, number])


@pytest.mark.parametrize(
    ("seen", "says"),
    [(5, "another log of 5 entries"), (3, "does not continue"), (9, "9 entries, more than the log has")],
)
def test_it_cosigns_no_second_history(
    seen: int, says: str, one: Witness, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    grow(5)
    note, _proof = other_log(seen)
    assert shown(one, 0, note, []).status == 200
    assert cosign(one) == 0
    assert says in row(one).problem
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [("ERROR", "not cosigned")]
    assert client.get("/log/checkpoint").data == evidence.head().note
    assert client.get("/log/cosigned").status_code == 404
    # What enough witnesses say stops the log, what fewer say does not.
    with pytest.raises(worker.SweepFailed):
        grow()
    assert evidence.head().size == 5
    worker.sequence(clock.now(), registry=factories.registry(), quorum=2)
    assert evidence.head().size == 6
    assert row(one).contradicts


def test_it_answers_as_the_specification_says(one: Witness) -> None:
    note, proof = other_log(7)
    wrong, of_other = [b"x" * 32], note.replace(b"localhost:8000/log\n", b"elsewhere/log\n", 1)
    altered = note.replace(b"\n7\n", b"\n8\n", 1)
    hundred = b"".join(b"%s\n" % base64.b64encode(b"x" * 32) for _ in range(64))
    for body, status in [
        (b"", 400), (b"old 0\n", 400), (b"old 00\n\n" + note, 400), (b"old -1\n\n" + note, 400),
        (b"new 0\n\n" + note, 400), (b"old 0\nxx\n\n" + note, 400), (b"old 0\neHg=\n\n" + note, 400),
        (b"old 0\n\n" + note[:-1], 400), (b"old 0\n\n\xff" + note, 400), (b"old 0\n" + hundred + b"\n" + note, 400),
        (b"old 8\n\n" + note, 400), (b"old 0\n\n" + of_other, 404), (b"old 0\n\n" + altered, 403),
        (b"x" * (program.MAX_BODY + 1), 413),
    ]:  # fmt: skip
        assert raw(one, body).status == status, body[:40]
    assert raw(one, b"old 0\n\n" + note, "/add-tree-head").status == 404
    first = shown(one, 3, note, proof(3))
    assert (first.status, first.body, first.content_type) == (409, b"0\n", "text/x.tlog.size")
    assert shown(one, 0, note, wrong).status == 422
    early, _proof = other_log(3)
    assert shown(one, 0, early, []).status == 200
    assert shown(one, 3, note, []).status == 422
    assert shown(one, 3, note, wrong).status == 422
    assert shown(one, 0, note, []).body == b"3\n"
    done = shown(one, 3, note, proof(3))
    assert (done.status, done.content_type) == (200, "text/plain; charset=utf-8")
    assert shown(one, 3, early, []).status == 409, "it would take the log back"
    assert shown(one, 7, early, []).status == 400
    assert shown(one, 7, note, []).status == 200, "the same again"
    assert shown(one, 7, note, wrong).status == 422
    (line,) = done.body.decode().splitlines()
    cosigned = Note.parse(note + done.body)
    assert str(cosigned.verified([one.verifier])[0]) == f"{line}\n"


def test_many_at_once_never_take_it_back(one: Witness, tmp_path: Path) -> None:
    checkpoints = [other_log(size) for size in range(1, 9)]

    def show(size: int, old: int) -> tuple[int, int]:
        note, proof = checkpoints[size - 1]
        return shown(one, old, note, proof(old) if old else []).status, size

    tries = [(size, old) for _ in range(4) for size in range(1, 9) for old in range(size)]
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda found: show(*found), tries))
    taken = [size for status, size in done if status == 200]
    assert len(set(taken)) == len(taken), "each of them once, each from the one before"
    assert {status for status, _size in done} == {200, 409}
    memory = program.Memory(tmp_path / "w1" / "seen.json")
    assert memory.last("localhost:8000/log").size == max(taken)


# The program


@contextmanager
def start(folder: Path, log: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-X", "utf8", str(PROGRAM), "serve", str(folder), "--log", log, "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
        env={**os.environ, "PYTHONPATH": ""},
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()  # or a test that fails waits for it for good


def at(process: "subprocess.Popen[str]") -> Witness:
    assert process.stdout is not None
    key, _at, url = process.stdout.readline().split()
    return Witness(verifier=Verifier.parse(key), url=url)


def test_it_remembers_whatever_ends_it(app: Flask, tmp_path: Path) -> None:
    worker.sequence(clock.now(), registry=factories.registry())
    made = run("make", str(tmp_path / "w"), "w.example.org")
    assert made.returncode == 0
    assert run("make", str(tmp_path / "w"), "w.example.org").returncode == 1
    assert run("make", str(tmp_path / "v"), "two words").returncode == 1
    assert run("key", str(tmp_path / "w")).stdout == made.stdout
    assert run("key", str(tmp_path / "v")).returncode == 1
    assert (tmp_path / "w" / "key").stat().st_mode & 0o77 == 0
    log = evidence.head().verifier
    for number, ends in enumerate((signal.SIGKILL, signal.SIGTERM)):
        with start(tmp_path / "w", log) as process:
            running = at(process)
            assert str(running.verifier) == made.stdout.strip()
            with start(tmp_path / "w", log) as another:
                assert another.wait(20) == 1, "one process for one witness"
            grow(3)
            assert cosign(running, now=clock.now() + number * cosignatures.ATTEMPT) == 1
            process.send_signal(ends)
            assert process.wait(20) == (0 if ends == signal.SIGTERM else -signal.SIGKILL)
    with start(tmp_path / "w", log) as process:
        running = at(process)
        head = evidence.head()
        assert shown(running, 0, head.note, []).body == b"6\n"
        note, proof = other_log(7)
        assert shown(running, 6, note, proof(6)).status == 422
        process.terminate()
    (tmp_path / "w" / "seen.json").unlink()
    for key, folder in ((log, "w"), (made.stdout.strip(), "w"), ("x", "w")):
        with start(tmp_path / folder, key) as process:
            assert process.wait(20) == 1


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-X", "utf8", str(PROGRAM), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# Witnesses that are none


class Answers(ThreadingHTTPServer):
    """Answers every request in one way."""

    daemon_threads = True

    def __init__(self, status: int, kind: str, body: bytes) -> None:
        self.status, self.kind, self.body = status, kind, body
        super().__init__(("127.0.0.1", 0), Answering)


class Answering(BaseHTTPRequestHandler):
    server: Answers

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.server.status)
        self.send_header("Content-Type", self.server.kind)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_arguments: Any) -> None:
        pass


def signer(name: str = "bad.example.org") -> Signer:
    return Signer(name=name, private=Ed25519PrivateKey.from_private_bytes(b"7" * 32), kind=COSIGNATURE)


def line(by: Signer, *, after: int = 0, text: str = "") -> bytes:
    """A cosignature on the head as it is, or on something else."""
    signed = text or Note.parse(evidence.head().note).text
    return str(by.sign(signed, timestamp=int(clock.now().timestamp()) + after)).encode()


ANSWERS: dict[str, tuple[int, str, Callable[[], bytes], str]] = {
    "a page": (200, "text/html", lambda: b"<!doctype html>\n<p>Welcome", "something else than signatures"),
    "nothing": (200, "text/plain", lambda: b"", "no signature by the key"),
    "bytes": (200, "text/plain", lambda: b"\xff\xfe\n", "something else than signatures"),
    "half a line": (200, "text/plain", "— bad.example.org\n".encode, "no signature"),
    "by another key": (200, "text/plain", lambda: line(signer("w2.example.org")), "no signature by the key"),
    "over another text": (200, "text/plain", lambda: line(signer(), text="other\n"), "does not match"),
    "of tomorrow": (200, "text/plain", lambda: line(signer(), after=86400), "time to come"),
    "a size without its type": (409, "text/plain", lambda: b"3\n", "without a size"),
    "no size": (409, "text/x.tlog.size", lambda: b"three\n", "without a size"),
    "not known": (404, "text/plain", lambda: b"", "does not know this log"),
    "not our key": (403, "text/plain", lambda: b"", "does not know the key"),
    "an error": (500, "text/plain", lambda: b"", "answered 500"),
    "a redirect": (307, "text/plain", lambda: b"", "answered 307"),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_no_cosignature_is_not_served(name: str, app: Flask, client: FlaskClient, now: dt.datetime) -> None:
    head = grow(5)
    status, kind, body, problem = ANSWERS[name]
    with serving(Answers(status, kind, body())) as url:
        bad = Witness(verifier=signer().verifier, url=url)
        assert cosign(bad, now=now) == 0
    assert problem in row(bad).problem
    assert client.get("/log/checkpoint").data == head.note


def test_lines_by_keys_that_nobody_knows_are_left_out(app: Flask, client: FlaskClient) -> None:
    grow(5)
    long = "— bad.example.org " + base64.b64encode(b"x" * 2500).decode() + "\n"
    with serving(Answers(200, "text/plain", long.encode() + line(signer("other.example.org")) + line(signer()))) as url:
        assert cosign(Witness(verifier=signer().verifier, url=url)) == 1
    assert len(Note.parse(client.get("/log/checkpoint").data).signatures) == 2


def test_who_fails_is_asked_less_and_less_often(app: Flask, tmp_path: Path, now: dt.datetime) -> None:
    head = grow(5)
    gone = Witness(verifier=signer().verifier, url="http://127.0.0.1:1")
    at, tried = now, []
    for _second in range(700):
        if cosignatures.claim([str(gone.verifier)], head, at):
            db.session.rollback()
            assert cosign(gone, now=at) == 0
            tried.append(int((at - now).total_seconds()))
        at += dt.timedelta(seconds=1)
    assert tried == [0, 1, 6, 26, 86, 386, 686]
    with serving(Answers(200, "text/plain", line(signer()))) as url:
        assert cosign(Witness(verifier=signer().verifier, url=url), now=at + dt.timedelta(seconds=300)) == 1
    assert (row(gone).failures, row(gone).problem) == (0, "")


def test_one_that_is_silent_keeps_nobody(one: Witness) -> None:
    grow(2)
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as silent:  # takes the connection, and that is all
        slow = Witness(verifier=signer().verifier, url=f"http://127.0.0.1:{silent.server_port}")
        assert cosign(one, slow) == 1
    assert row(slow).problem != ""
    assert len(Note.parse(evidence.published().note).signatures) == 2


def test_two_workers_do_not_ask_the_same(app: Flask, now: dt.datetime) -> None:
    head, key = grow(2), str(signer().verifier)
    assert cosignatures.claim([key], head, now) == {key: 0}
    db.session.commit()
    assert cosignatures.claim([key], head, now) == {}
    assert cosignatures.claim([key], head, now + cosignatures.ATTEMPT) == {key: 0}, "who died meanwhile left it due"


def test_who_is_not_named_any_more_is_forgotten(one: Witness, client: FlaskClient) -> None:
    grow(2)
    other = Witness(verifier=signer().verifier, url="http://127.0.0.1:1")
    cosign(one, other)
    assert [found.name for found in cosignatures.witnesses()] == ["bad.example.org", "w1.example.org"]
    cosigned = client.get("/log/cosigned").data
    cosign(one)
    assert [found.name for found in cosignatures.witnesses()] == ["w1.example.org"]
    cosign()
    assert cosignatures.witnesses() == []
    assert client.get("/log/cosigned").data == cosigned, "what was said stays said"


# Settings


KEY = str(signer().verifier)


@pytest.mark.parametrize(
    "text",
    ["", KEY, f"{KEY} ftp://w.example.org", f"{KEY} http://w.example.org", f"{KEY} https://w.example.org:8443",
     f"{KEY} https://w.example.org outside", f"x{KEY} https://w.example.org", f"{KEY} https://w.example.org inside x",
     f"{Signer(name='a', private=signer().private).verifier} https://w.example.org"],
)  # fmt: skip
def test_what_is_no_witness_keeps_the_service_from_starting(text: str) -> None:
    with pytest.raises(SettingsError, match="DATASPACE_WITNESSES"):
        witnesses.all_of([text], quorum=1, allow_loopback=False)


def test_an_inner_address_is_asked_only_if_the_operator_says_so(app: Flask) -> None:
    grow(2)
    with serving(Answers(200, "text/plain", line(signer()))) as url:
        outside = Witness(verifier=signer().verifier, url=url.replace("http://", "https://"))
        assert worker.cosign(clock.now(), [outside], quorum=1, allow_loopback=False) == 0
        assert "443" in row(outside).problem
        inside = Witness.parse(f"{KEY} {url} inside", allow_loopback=False)
        later = clock.now() + dt.timedelta(minutes=1)
        assert worker.cosign(later, [inside], quorum=1, allow_loopback=False) == 1


def test_there_are_no_more_than_a_reader_accepts() -> None:
    named = [f"{signer(f'w{number}.example.org').verifier} https://w.example.org" for number in range(16)]
    assert len(witnesses.all_of(named[1:], quorum=15, allow_loopback=False)) == 15
    with pytest.raises(SettingsError, match="more than 15"):
        witnesses.all_of(named, quorum=1, allow_loopback=False)


@pytest.mark.parametrize(("named", "quorum"), [(1, 2), (1, 0), (2, 1)])
def test_the_quorum_must_be_possible_and_nobody_counts_twice(named: int, quorum: int) -> None:
    with pytest.raises(SettingsError):
        witnesses.all_of([f"{KEY} https://w.example.org"] * named, quorum=quorum, allow_loopback=False)


def test_the_worker_asks_whom_the_settings_name(one: Witness, app: Flask, client: FlaskClient) -> None:
    configured = create_app(make_settings("sqlite://", witnesses=(f"{one.verifier} {one.url}",)))
    app.extensions[WITNESSES] = configured.extensions[WITNESSES]
    grow(2)
    said = app.test_cli_runner().invoke(args=["worker", "--once"])
    assert said.exit_code == 0, said.output
    assert "cosignatures: 1\n" in said.output
    assert Note.parse(client.get("/log/cosigned").data).verified([one.verifier])
    with pytest.raises(SystemExit, match="DATASPACE_WITNESSES"):
        create_app(make_settings("sqlite://", witnesses=("nonsense",)))


def test_administrators_see_what_witnesses_do(one: Witness, client: FlaskClient, now: dt.datetime) -> None:
    desk = Desk(client).sign_in(factories.administrator(now), now)
    grow(2)
    gone = Witness(verifier=signer().verifier, url="http://127.0.0.1:1")
    cosign(one, gone)
    desk.get("/admin/operation")
    assert "Has cosigned" in desk.says
    assert "Has not cosigned" in desk.says
    grow()
    desk.get("/admin/operation")
    assert "Being asked" in desk.says
