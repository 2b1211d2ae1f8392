"""Logos and pages of third parties: fetched through the guard, looked at, shown from here; and who nobody knows."""

import datetime as dt
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from consent import clients, logos, pictures, worker
from consent.clients import Client, ClientEvent, Profile
from consent.logos import ClientLogo
from consent.oauth import initial_access
from consent.pictures import MAX_SIDE, NotAPicture
from dataspace.db import db
from tests import factories
from tests.consent.desk import Desk
from tests.consent.third_party import ThirdParty
from tests.consent.visitor import Visitor
from tests.listening import serving

PATH = "/oauth/register"


def png(width: int = 1, height: int = 1, more: bytes = b"") -> bytes:
    """A whole PNG of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rows = zlib.compress((b"\x00" + b"\x20\x80\xc0" * width) * height) if width * height < 10**6 else b""
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"") + more


def jpeg(width: int, height: int) -> bytes:
    """The segments before the image of a JPEG: one of an application, a fill byte, a table, the frame."""
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8\xff\xe0\x00\x04JF\xff\xff\xfe\x00\x03x" + b"\xff\xc4\x00\x02" + frame + b"\xff\xda"


def webp(kind: bytes, body: bytes) -> bytes:
    chunk = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


GIF = b"GIF89a" + struct.pack("<HH", 30, 20) + b"\x00\x00\x00;"
GOOD: dict[str, tuple[bytes, str, tuple[int, int]]] = {
    "png": (png(3, 2), "image/png", (3, 2)),
    "gif": (GIF, "image/gif", (30, 20)),
    "old gif": (GIF.replace(b"89a", b"87a"), "image/gif", (30, 20)),
    "jpeg": (jpeg(640, 480), "image/jpeg", (640, 480)),
    "webp lossy": (webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 50, 40)), "image/webp", (50, 40)),
    "webp lossless": (webp(b"VP8L", b"\x2f" + struct.pack("<I", 49 | 39 << 14)), "image/webp", (50, 40)),
    "webp extended": (webp(b"VP8X", b"\x10\0\0\0" + b"\x31\0\0" + b"\x27\0\0"), "image/webp", (50, 40)),
    "as large as may be": (png(MAX_SIDE, MAX_SIDE), "image/png", (MAX_SIDE, MAX_SIDE)),
}  # fmt: skip
BAD = {
    "nothing": b"",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "svg behind a declaration": b'<?xml version="1.0"?><svg/>',
    "html": b"<!doctype html><script>alert(1)</script>",
    "text": b"logo",
    "bmp": b"BM" + bytes(60),
    "half a png": png()[:12],
    "png without its head": png().replace(b"IHDR", b"IDAT"),
    "no pixels": png(0, 1),
    "too wide": png(MAX_SIDE + 1, 1),
    "too high": png(1, MAX_SIDE + 1),
    "far too large": png(2**31 - 1, 2**31 - 1),
    "jpeg without frame": b"\xff\xd8\xff\xda\x00\x00" + bytes(20),
    "jpeg that goes nowhere": b"\xff\xd8\xff\xe0\x00\x00" + bytes(20),
    "jpeg of markers only": b"\xff\xd8" + b"\xff\xd0" * 20,
    "riff of another kind": b"RIFF\0\0\0\0WAVEfmt " + bytes(20),
    "webp of another kind": webp(b"VP9 ", bytes(20)),
    "half a webp": b"RIFF\0\0\0\0WEBPVP8L",
}


@pytest.mark.parametrize(("data", "media_type", "size"), GOOD.values(), ids=GOOD)
def test_pictures(data: bytes, media_type: str, size: tuple[int, int]) -> None:
    found = pictures.read(data)
    assert (found.media_type, (found.width, found.height)) == (media_type, size)


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_no_picture(data: bytes) -> None:
    with pytest.raises(NotAPicture):
        pictures.read(data)


BEGINS = st.sampled_from([data[:cut] for data, _type, _size in GOOD.values() for cut in (4, 16, 24)])


@given(st.binary(max_size=100), BEGINS | st.just(b""))
def test_any_bytes_are_a_picture_or_none(data: bytes, begins: bytes) -> None:
    try:
        found = pictures.read(begins + data)
    except NotAPicture:
        return
    assert 1 <= found.width <= MAX_SIDE
    assert 1 <= found.height <= MAX_SIDE


# A web server of a third party


@dataclass
class Site:
    """``answers``: by path: (status, content type, body)."""

    url: str = ""
    answers: dict[str, tuple[int, str, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@contextmanager
def publishing() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            status, media_type, body = site.answers.get(self.path, (404, "text/plain", b""))
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            if status == 302:
                self.send_header("Location", "/logo.png")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with serving(server) as address:
        site.url = address
        yield site


@pytest.fixture(scope="module")
def server() -> Iterator[Site]:
    with publishing() as found:
        yield found


@pytest.fixture
def site(server: Site) -> Site:
    server.answers = {"/logo.png": (200, "image/png", png(2, 2))}
    server.asked.clear()
    return server


def register(http: FlaskClient, now: dt.datetime, **members: Any) -> dict[str, Any]:
    token = initial_access.issue(Profile.LOGIN, now, actor_id="command", note="Example Ltd")
    db.session.commit()
    document = {"redirect_uris": [factories.REDIRECT_URI], "client_name": "Example"} | members
    answer = http.post(PATH, json=document, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 201, answer.text
    db.session.expire_all()
    told: dict[str, Any] = answer.json
    return told


def change(http: FlaskClient, told: dict[str, Any], **changes: Any) -> dict[str, Any]:
    said = ("client_secret", "client_secret_expires_at", "client_id_issued_at")
    said += ("registration_access_token", "registration_client_uri")
    document = {name: value for name, value in (told | changes).items() if name not in said and value is not None}
    headers = {"Authorization": f"Bearer {told['registration_access_token']}"}
    answer = http.put(f"{PATH}/{told['client_id']}", json=document, headers=headers)
    assert answer.status_code == 200, answer.text
    db.session.expire_all()
    changed: dict[str, Any] = answer.json
    return changed


def stored(told: dict[str, Any]) -> ClientLogo:
    db.session.rollback()
    db.session.expire_all()
    return db.session.get_one(ClientLogo, told["client_id"])


def third_party(http: FlaskClient, told: dict[str, Any]) -> ThirdParty:
    world = factories.party(dt.datetime.now(dt.UTC), "spare")
    return ThirdParty(
        factories.Party(client=clients.get(told["client_id"]), key=world.key, secret=told["client_secret"]), http
    )


def sign_in_page(http: FlaskClient, told: dict[str, Any], now: dt.datetime) -> Any:
    person = factories.holder(now)
    third = third_party(http, told)
    db.session.commit()
    return Visitor(http).sign_in(person, now).get(third.authorize_url())


# Fetched and shown


def test_a_logo_is_there_when_the_client_is_registered(client: FlaskClient, site: Site, now: dt.datetime) -> None:
    told = register(client, now, logo_uri=f"{site.url}/logo.png")
    assert site.asked == ["/logo.png"]
    page = sign_in_page(client, told, now)
    (image,) = [attributes for tag, attributes in page.tags if tag == "img"]
    assert image["alt"] == "", "the name stands beside it"
    assert image["src"] == f"/clients/{told['client_id']}/logo?v={stored(told).digest}"
    assert site.url not in page.response.text, "browsers are never sent there"
    assert "img-src 'self'" in page.response.headers["Content-Security-Policy"]
    answer = client.get(image["src"])
    assert (answer.status_code, answer.mimetype, answer.data) == (200, "image/png", png(2, 2))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox; frame-ancestors 'none'"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    again = client.get(image["src"], headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_an_address_without_the_digest_is_asked_for_each_time(
    client: FlaskClient, site: Site, now: dt.datetime
) -> None:
    told = register(client, now, logo_uri=f"{site.url}/logo.png")
    path = f"/clients/{told['client_id']}/logo"
    assert client.get(path).headers["Cache-Control"] == "no-cache"
    assert client.get(f"{path}?v=0").headers["Cache-Control"] == "no-cache"


REFUSED: dict[str, tuple[int, str, bytes]] = {
    "svg": (200, "image/svg+xml", BAD["svg"]),
    "svg that says png": (200, "image/png", BAD["svg"]),
    "html that says png": (200, "image/png", BAD["html"]),
    "png that says html": (200, "text/html", png()),
    "too many pixels": (200, "image/png", BAD["far too large"]),
    "too many bytes": (200, "image/png", png(more=bytes(logos.MAX_BYTES))),
    "nothing": (200, "image/png", b""),
    "led elsewhere": (302, "image/png", b""),
    "not there": (404, "image/png", png()),
    "broken": (500, "image/png", png()),
}


@pytest.mark.parametrize("answer", REFUSED.values(), ids=REFUSED)
def test_what_is_not_shown(client: FlaskClient, site: Site, now: dt.datetime, answer: tuple[int, str, bytes]) -> None:
    site.answers["/x"] = answer
    told = register(client, now, logo_uri=f"{site.url}/x")
    found = stored(told)
    assert (found.digest, found.image, found.media_type, found.attempts) == ("", None, "", 1)
    assert found.problem
    assert found.due_at is not None
    assert found.due_at > now
    assert client.get(f"/clients/{told['client_id']}/logo").status_code == 404
    page = sign_in_page(client, told, now)
    assert not [tag for tag, _attributes in page.tags if tag == "img"]


@pytest.mark.parametrize(
    "uri", ["https://10.0.0.1/logo.png", "https://[::1]/logo.png", "https://10.0.0.1:8443/logo.png"]
)
def test_what_is_never_asked_for(client: FlaskClient, now: dt.datetime, uri: str) -> None:
    told = register(client, now, logo_uri=uri)
    assert told["logo_uri"] == uri, "a logo that cannot be had is no error"
    assert stored(told).problem


def test_a_logo_that_was_not_there_is_fetched_later_and_not_for_ever(
    client: FlaskClient, site: Site, now: dt.datetime
) -> None:
    told = register(client, now, logo_uri=f"{site.url}/later.png")
    at = now
    for attempt in range(2, len(logos.WAITS) + 2):
        due = stored(told).due_at
        assert due is not None
        assert worker.fetch_logos(at, allow_loopback=True) == 0, "not before it is due"
        at = due
        assert worker.fetch_logos(at, allow_loopback=True) == 1
        assert stored(told).attempts == attempt
    assert stored(told).due_at is None
    assert worker.fetch_logos(at + dt.timedelta(days=99), allow_loopback=True) == 0
    site.answers["/later.png"] = (200, "image/png", png())
    clients.change(
        told["client_id"], {"options": clients.get(told["client_id"]).options | {"logo_uri": f"{site.url}/logo.png"}},
        at, actor_id="adm", reason_code="correction", text="x", here=factories.EVERYTHING,
    )  # fmt: skip
    db.session.commit()
    assert worker.fetch_logos(at, allow_loopback=True) == 1
    assert stored(told).digest


def test_another_address_is_another_logo_and_none_is_none(client: FlaskClient, site: Site, now: dt.datetime) -> None:
    site.answers["/two.gif"] = (200, "image/gif", GIF)
    told = register(client, now, logo_uri=f"{site.url}/logo.png")
    same = change(client, told, contacts=["a@rp.example"])
    assert site.asked == ["/logo.png"], "what we have is not fetched again"
    other = change(client, same, logo_uri=f"{site.url}/two.gif")
    path = f"/clients/{told['client_id']}/logo"
    assert client.get(path).data == GIF
    gone = change(client, other, logo_uri=f"{site.url}/gone.png")
    assert client.get(path).status_code == 404, "the old one is not shown for the new address"
    change(client, gone, logo_uri=None)
    assert db.session.get(ClientLogo, told["client_id"]) is None


def test_a_deleted_client_has_no_logo(client: FlaskClient, site: Site, now: dt.datetime) -> None:
    told = register(client, now, logo_uri=f"{site.url}/logo.png")
    headers = {"Authorization": f"Bearer {told['registration_access_token']}"}
    assert client.delete(f"{PATH}/{told['client_id']}", headers=headers).status_code == 204
    assert client.get(f"/clients/{told['client_id']}/logo").status_code == 404
    db.session.expire_all()
    assert db.session.get(ClientLogo, told["client_id"]) is None


def test_a_logo_that_comes_too_late_is_not_kept(app: Flask, site: Site, now: dt.datetime) -> None:
    row = factories.party(now, logo_uri=f"{site.url}/logo.png").client
    db.session.commit()
    wanted = logos.claim(now, 1)
    assert logos.claim(now, 1) == [], "nobody else takes it meanwhile"
    logos.follow(row.client_id, f"{site.url}/other.png", now)
    assert logos.keep(logos.fetch(wanted, allow_loopback=True), now) == 1
    db.session.expire_all()
    assert db.session.get_one(ClientLogo, row.client_id).digest == ""


# Its own pages


def test_its_pages_are_links_that_tell_where_they_lead(client: FlaskClient, now: dt.datetime) -> None:
    uris = {
        "client_uri": "https://rp.example/", "policy_uri": "https://rp.example/policy?a=1&b=%22",
        "tos_uri": "https://terms.example/",
    }  # fmt: skip
    page = sign_in_page(client, register(client, now, **uris), now)
    found = {a["href"]: a for tag, a in page.tags if tag == "a" and a.get("target") == "_blank"}
    assert found.keys() == set(uris.values())
    assert {a["rel"] for a in found.values()} == {"noopener noreferrer nofollow"}
    assert "Privacy policy (opens a new window) rp.example" in page.says
    assert "Terms of use (opens a new window) terms.example" in page.says
    assert page.says.index("terms.example") < page.says.index("They learn"), "nothing that must be said is replaced"


# Who nobody knows

UNKNOWN = "Not verified: this third party has registered itself."


def test_who_has_registered_itself_is_marked_until_somebody_has_looked(
    client: FlaskClient, app: Flask, now: dt.datetime
) -> None:
    told = register(client, now)
    desk = Desk(app.test_client()).sign_in(factories.administrator(now), now)
    assert UNKNOWN in sign_in_page(client, told, now).says
    desk.get("/admin/clients")
    assert "Registered itself, not checked" in desk.page
    path = f"/admin/clients/{told['client_id']}"
    desk.get(path)
    desk.post(f"{path}/confirm", status=400, ground="registration", text="")
    assert clients.get(told["client_id"]).known_since is None
    desk.get(path)
    desk.post(f"{path}/confirm", ground="registration", text="Called the company at its published number.")
    assert "Registered itself, not checked" not in desk.page
    assert "Somebody has made sure who the third party is" in desk.page
    assert "Called the company" in desk.page
    visitor = Visitor(client)
    assert UNKNOWN not in visitor.get(third_party_url(client, told)).says
    desk.post(f"{path}/confirm", status=409, ground="registration", text="Twice.")


def third_party_url(http: FlaskClient, told: dict[str, Any]) -> str:
    row = clients.get(told["client_id"])
    key = factories.party(dt.datetime.now(dt.UTC), "another").key
    db.session.commit()
    return ThirdParty(factories.Party(client=row, key=key, secret=told["client_secret"]), http).authorize_url()


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({"default_max_age": 60}, True),
        ({"policy_uri": "https://rp.example/other"}, False),
        ({"logo_uri": "https://192.0.2.1/x.png"}, False),
        ({"contacts": ["new@rp.example"]}, False),
        ({"redirect_uris": ["https://elsewhere.example/back"]}, False),
    ],
    ids=["protocol only", "policy", "logo", "contact", "redirect"],
)
def test_what_it_changes_of_itself_has_to_be_looked_at_anew(
    client: FlaskClient, now: dt.datetime, changes: dict[str, Any], known: bool
) -> None:
    told = register(client, now)
    clients.get(told["client_id"]).known_since = now
    db.session.commit()
    change(client, told, **changes)
    assert (clients.get(told["client_id"]).known_since is not None) is known
    kinds = set(db.session.scalars(select(ClientEvent.kind)))
    assert ("client:unconfirmed" in kinds) is not known


def test_whom_an_administrator_registers_is_known(app: Flask, now: dt.datetime) -> None:
    factories.party(now)
    assert db.session.scalars(select(Client)).one().known_since == now
