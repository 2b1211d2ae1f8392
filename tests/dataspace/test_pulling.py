"""Sources that are asked: page by page, conditionally, on schedule; one that misbehaves leaves all as it was."""

import contextlib
import datetime as dt
import json
import socketserver
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from consent import worker
from dataspace import spaces
from dataspace.db import db
from dataspace.errors import Conflict
from dataspace.holders import Holder
from dataspace.sources import pulling, registry
from dataspace.sources.http import HttpSource
from dataspace.sources.registry import Source
from dataspace.spaces import Record
from dataspace.web.shell import services
from tests import factories
from tests.factories import PERSON
from tests.listening import serving

MAY = "2026-05-01T08:00:00+08:00"
JUNE = "2026-06-01T08:00:00+08:00"


def record(**said: Any) -> dict[str, Any]:
    return {"identifier": PERSON, "item": "p.edu.degree", "as_of": MAY, "rows": [{"school": "示例大学"}]} | said


@dataclass
class Register:
    """A source on the loopback. ``answer``: raw bytes of the answer to each path and query; ``asked``: what came."""

    answer: Callable[[str, dict[str, str]], bytes]
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/records"


@contextmanager
def listening(answer: Callable[[str, dict[str, str]], bytes]) -> Iterator[Register]:
    register = Register(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            register.asked.append((self.path, headers))
            self.close_connection = True
            with contextlib.suppress(OSError):  # nobody listens any more
                self.wfile.write(register.answer(self.path, headers))

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    register.port = server.server_port
    with serving(server):
        yield register


def ok(body: Any, **headers: str) -> bytes:
    content = json.dumps(body).encode()
    lines = {"Content-Type": "application/json", "Content-Length": str(len(content))} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return _head("200 OK", lines) + content


def _head(status: str, headers: dict[str, str]) -> bytes:
    return "".join([f"HTTP/1.1 {status}\r\n", *(f"{n}: {v}\r\n" for n, v in headers.items()), "\r\n"]).encode()


@pytest.fixture
def person(app: Flask, now: dt.datetime) -> Holder:
    found = factories.holder(now)
    factories.item(now)
    return found


def source(now: dt.datetime, **changes: Any) -> Source:
    values = {"kind": "http", "item_ids": ["p.edu.degree"], "every_seconds": 3600, "due_at": now} | changes
    made = factories.source(now, **values)
    db.session.commit()
    return made


def pull(now: dt.datetime, **more: Any) -> Source:
    for _part in pulling.pull(
        "example", now, vault=services().vault, index=services().index, demanded=services().demanded,
        allow_loopback=True, **more
    ):  # fmt: skip
        db.session.commit()
    db.session.expire_all()
    return registry.get("example")


def held(person: Holder) -> list[list[dict[str, Any]]]:
    return [h.rows for h in spaces.holdings(person.space_id, vault=services().vault)]


def test_pages_are_followed_and_only_what_changes_is_asked_for(person: Holder, now: dt.datetime) -> None:
    def answer(path: str, headers: dict[str, str]) -> bytes:
        if headers.get("if-none-match") == '"v1"':
            return _head("304 Not Modified", {"ETag": '"v1"'})
        if path == "/records":
            return ok({"records": [record()], "next": "/records?page=2"}, ETag='"v1"')
        return ok({"records": [record(as_of=JUNE, rows=[])], "next": None, "cursor": "c-2"}, ETag='"of page 2"')

    with listening(answer) as register:
        source(now, address=register.address)
        heard = pull(now)
        assert (heard.etag, heard.cursor, heard.heard_at) == ('"v1"', "c-2", now)
        assert heard.due_at == now + dt.timedelta(hours=1)
        assert len(db.session.query(Record).all()) == 2
        again = pull(now + dt.timedelta(hours=1))
        assert register.asked[-1][0] == "/records?since=c-2"
        assert again.heard_at == now + dt.timedelta(hours=1)
        pull(now, again=True)
    assert [path for path, _headers in register.asked] == [
        "/records", "/records?page=2", "/records?since=c-2", "/records", "/records?page=2",
    ]  # fmt: skip


def test_a_source_that_says_only_when_it_changed_is_asked_by_that(person: Holder, now: dt.datetime) -> None:
    moment = "Wed, 25 Nov 2026 10:00:00 GMT"

    def answer(_path: str, headers: dict[str, str]) -> bytes:
        known = headers.get("if-modified-since") == moment
        return _head("304 Not Modified", {}) if known else ok({"records": [record()]}, Last_Modified=moment)

    with listening(answer) as register:
        source(now, address=register.address)
        assert pull(now).last_modified == moment
        assert pull(now).problem == ""


LIES: dict[str, tuple[bytes, str]] = {
    "HTML": (_head("200 OK", {"Content-Type": "text/html"}) + b"<html>", "not the content type"),
    "HTML as JSON": (_head("200 OK", {"Content-Type": "application/json"}) + b"<html>", "not_json"),
    "an error": (_head("503 Service Unavailable", {"Content-Length": "0"}), "answered 503"),
    "a redirect inwards": (_head("302 Found", {"Location": "http://169.254.169.254/"}), "answered 302"),
    "not modified, though nothing was known": (_head("304 Not Modified", {}), "answered 304"),
    "less than it says": (
        _head("200 OK", {"Content-Type": "application/json", "Content-Length": "100"}) + b"{}", "RemoteProtocolError",
    ),
    "more than is read": (
        _head("200 OK", {"Content-Type": "application/json"}) + b" " * 70_000, "more than 65536 bytes",
    ),
    "ten gigabytes": (
        _head("200 OK", {"Content-Type": "application/json", "Content-Length": str(10**10)}) + b" " * 70_000,
        "more than 65536 bytes",
    ),
    "compressed": (
        _head("200 OK", {"Content-Type": "application/json", "Content-Encoding": "gzip"}) + b"x", "compressed",
    ),
    "nothing that is HTTP": (b"SSH-2.0-OpenSSH\r\n", "RemoteProtocolError"),
    "no records": (ok({"data": []}), "no records"),
    "a name twice": (
        _head("200 OK", {"Content-Type": "application/json"}) + b'{"records": [], "records": []}', "duplicate_key",
    ),
    "a page elsewhere": (ok({"records": [], "next": "http://10.0.0.1/"}), "somewhere else"),
    "a page by another scheme": (ok({"records": [], "next": "file:///etc/passwd"}), "somewhere else"),
    "a page that is no address": (ok({"records": [], "next": "http://[::"}), "somewhere else"),
    "pages in a circle": (ok({"records": [], "next": "/records"}), "without end"),
    "a cursor that is a number": (ok({"records": [], "cursor": 7}), "must be texts"),
    "a cursor that is very long": (ok({"records": [], "cursor": "c" * 501}), "too long"),
}  # fmt: skip


@pytest.mark.parametrize("case", LIES)
def test_a_source_that_misbehaves_is_refused_with_a_reason_and_counted(
    case: str, person: Holder, now: dt.datetime
) -> None:
    answer, reason = LIES[case]
    with listening(lambda *_: answer) as register:
        source(now, address=register.address)
        connector = HttpSource(address=register.address, allow_loopback=True, page_bytes=65536)
        failed = pull(now, connector=connector)
        assert reason in failed.problem
        assert (failed.failures, failed.failing_since, failed.heard_at) == (1, now, None)
        assert failed.due_at == now + dt.timedelta(minutes=1)
        later = pull(now + dt.timedelta(minutes=1), connector=connector)
        assert (later.failures, later.failing_since) == (2, now)
        assert later.due_at == now + dt.timedelta(minutes=3)


def test_a_source_that_stalls_is_left(person: Holder, now: dt.datetime) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as silent:  # nobody accepts
        address = f"http://127.0.0.1:{silent.server_address[1]}/records"
        source(now, address=address)
        failed = pull(now, connector=HttpSource(address=address, allow_loopback=True, page_seconds=0.05))
    assert failed.problem


@pytest.mark.parametrize("address", ["http://10.0.0.1/records", "https://10.0.0.1/records", "https://localhost/x"])
def test_inner_addresses_are_not_asked(address: str, person: Holder, now: dt.datetime) -> None:
    source(now, address=address)
    assert pull(now, connector=HttpSource(address=address, allow_loopback=False)).problem


def test_a_source_is_asked_with_its_token_and_nobody_sees_it(
    person: Holder, app: Flask, now: dt.datetime, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(_path: str, headers: dict[str, str]) -> bytes:
        if headers.get("authorization") != "Bearer s3cret-of-the-register":
            return _head("401 Unauthorized", {"Content-Length": "0"})
        return ok({"records": [record()]})

    run = app.test_cli_runner().invoke
    with listening(answer) as register:
        source(now, address=register.address)
        assert pull(now).problem == "answered 401"
        said = run(args=["sources", "token", "example"], input="s3cret-of-the-register\n")
        assert said.exit_code == 0, said.output
        db.session.expire_all()
        kept = db.session.get_one(Source, "example").credential
        assert kept is not None
        assert b"s3cret" not in kept
        assert pull(now).problem == ""
        assert run(args=["sources", "token", "example", "--remove"]).exit_code == 0
        failed = pull(now)
    assert failed.problem == "answered 401"
    shown = said.output + run(args=["sources", "list"]).output + caplog.text + repr(HttpSource(
        address="https://x.example/", token="s3cret-of-the-register", allow_loopback=False
    ))  # fmt: skip
    assert "s3cret" not in shown


def test_a_token_does_not_follow_a_source_to_another_address(person: Holder, tmp_path: Path, now: dt.datetime) -> None:
    row = source(now, address="https://register.example/records")
    registry.give_token("example", "s3cret-of-the-register", vault=services().vault)
    path = tmp_path / "sources.toml"
    path.write_text(
        '[[sources]]\nsource_id = "example"\nname = { zh_hans = "甲", zh_hant = "甲", en = "A" }\n'
        'authority = "示例机关"\nitems = ["p.edu.degree"]\nkind = "http"\naddress = "https://other.example/records"\n'
    )
    assert registry.load([path], now) == (1, 0)
    assert row.credential is None


@pytest.mark.parametrize("token", ["two words", "läßt", "a\tb", "x" * 1001])
def test_what_is_no_bearer_token_is_not_kept(token: str, person: Holder, now: dt.datetime) -> None:
    source(now, address="https://register.example/records")
    with pytest.raises(Conflict):
        registry.give_token("example", token, vault=services().vault)


def test_only_hosts_that_the_operator_allows_are_asked(person: Holder, now: dt.datetime) -> None:
    with listening(lambda *_: ok({"records": [record()]})) as register:
        source(now, address=register.address)
        elsewhere = HttpSource(address=register.address, hosts=("register.example",), allow_loopback=True)
        assert "not among those that are allowed" in pull(now, connector=elsewhere).problem
        assert register.asked == []
        allowed = HttpSource(address=register.address, hosts=("127.0.0.1",), allow_loopback=True)
        assert pull(now, connector=allowed).problem == ""


def test_what_a_source_has_said_before_it_fails_is_kept_and_asked_for_again(person: Holder, now: dt.datetime) -> None:
    broken = [True]

    def answer(path: str, _headers: dict[str, str]) -> bytes:
        if path == "/records":
            return ok({"records": [record()], "next": "/records?page=2"}, ETag='"v1"')
        return _head("500 Error", {}) if broken else ok({"records": [record(as_of=JUNE)], "cursor": "c"})

    with listening(answer) as register:
        source(now, address=register.address)
        assert pull(now).etag == "", "so that the next pull sees the first page again"
        assert len(held(person)) == 1, "the last good version"
        broken.clear()
        mended = pull(now)
        assert (mended.problem, mended.failing_since, mended.failures, mended.cursor) == ("", None, 0, "c")


def test_the_worker_asks_who_is_due_and_several_workers_ask_once(person: Holder, now: dt.datetime) -> None:
    with listening(lambda *_: ok({"records": [record()]})) as register:
        source(now, address=register.address)
        ask = {"registry": factories.registry(), "allow_loopback": True}
        assert worker.pull_source(now, **ask)  # type: ignore[arg-type]
        assert not worker.pull_source(now, **ask)  # type: ignore[arg-type]
        assert worker.pull_source(now + dt.timedelta(hours=1), **ask)  # type: ignore[arg-type]
        registry.get("example").enabled = False
        db.session.commit()
        assert not worker.pull_source(now + dt.timedelta(hours=9), **ask)  # type: ignore[arg-type]
    assert len(register.asked) == 2
    assert len(held(person)) == 1


def test_a_file_that_a_source_leaves_is_taken_in_when_it_is_another_one(
    person: Holder, now: dt.datetime, tmp_path: Path
) -> None:
    path = tmp_path / "degrees.csv"
    path.write_text(f"identifier,as_of,school\n{PERSON},{MAY},示例大学\n")
    source(now, kind="file", address=str(path))
    first = pull(now).etag
    assert (registry.get("example").problem, len(held(person))) == ("", 1)
    assert pull(now).etag == first
    path.write_text(f"identifier,as_of,school\n{PERSON},{JUNE},另一大学\n")
    assert pull(now).etag != first
    assert held(person)[0][0]["school"] == "另一大学"
    path.write_bytes("identifier".encode("utf-16"))
    assert "UTF-16" in pull(now).problem
    path.unlink()
    assert "FileNotFoundError" in pull(now).problem
    assert held(person)[0][0]["school"] == "另一大学"


def test_a_source_is_asked_by_command(person: Holder, app: Flask, now: dt.datetime) -> None:
    with listening(lambda *_: ok({"records": [record(), record(identifier="x")]})) as register:
        source(now, address=register.address)
        result = app.test_cli_runner().invoke(args=["sources", "pull", "example"])
    assert (result.exit_code, result.output) == (0, "added: 1\ninvalid_identifier: 1\nHeard.\n")
    result = app.test_cli_runner().invoke(args=["sources", "pull", "example"])
    assert result.exit_code == 1
    assert "ConnectError" in result.output
    assert "ConnectError" in app.test_cli_runner().invoke(args=["sources", "list"]).output
