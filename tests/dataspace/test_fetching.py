"""The guard against server-side request forgery: a table of bad URLs, bad addresses, and servers that misbehave."""

import datetime as dt
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from dataspace.addresses import FetchRefused, check_url, may_connect
from dataspace.fetching import fetch_json
from tests.listening import serving

BAD_URLS = {
    "nothing": "",
    "no scheme": "client.example/jwks",
    "relative": "//client.example/jwks",
    "http": "http://client.example/jwks",
    "file": "file:///etc/passwd",
    "gopher": "gopher://client.example/",
    "scheme without host": "https:///jwks",
    "other port": "https://client.example:8443/jwks",
    "port zero": "https://client.example:0/jwks",
    "port not a number": "https://client.example:https/jwks",
    "port too large": "https://client.example:99999/jwks",
    "user": "https://user@client.example/jwks",
    "user and password": "https://user:secret@client.example/jwks",
    "empty user": "https://@client.example/jwks",
    "host hidden behind a user": "https://client.example@127.0.0.1/jwks",
    "backslash": "https://client.example\\@127.0.0.1/jwks",
    "fragment": "https://client.example/jwks#keys",
    "empty fragment": "https://client.example/jwks#",
    "space": "https://client.example/jw ks",
    "line break": "https://client.example/jwks\r\nHost: other.example",
    "tab in the scheme": "ht\ttps://client.example/jwks",
    "not ASCII": "https://客户.example/jwks",
    "full-width digits": "https://１２７.0.0.1/jwks",
    "percent in the host": "https://%31%32%37.0.0.1/jwks",
    "trailing dot": "https://localhost./jwks",
    "empty label": "https://client..example/jwks",
    "zone": "https://[fe80::1%25eth0]/jwks",
    "broken brackets": "https://[::1/jwks",
    "address of the future": "https://[v1.fe80]/jwks",
    "too long": "https://client.example/" + "a" * 2000,
    # What only the address tells: refused when the name has been resolved.
    "loopback name": "https://localhost/jwks",
    "loopback": "https://127.0.0.1/jwks",
    "loopback, another one": "https://127.8.8.8/jwks",
    "loopback, short": "https://127.1/jwks",
    "loopback, one number": "https://2130706433/jwks",
    "loopback, hexadecimal": "https://0x7f.0.0.1/jwks",
    "loopback, octal": "https://0177.0.0.1/jwks",
    "loopback, IPv6": "https://[::1]/jwks",
    "mapped loopback": "https://[::ffff:127.0.0.1]/jwks",
    "private": "https://10.0.0.1/jwks",
    "cloud metadata": "https://169.254.169.254/latest/meta-data",
    "NAT64": "https://[64:ff9b::7f00:1]/jwks",
    "unspecified": "https://0.0.0.0/jwks",
}


@pytest.mark.parametrize("case", BAD_URLS)
def test_bad_urls_are_refused(case: str) -> None:
    with pytest.raises(FetchRefused):
        fetch_json(BAD_URLS[case], allow_loopback=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://client.example/jwks",
        "http://127.0.0.2:9/jwks",  # only the three usual names
        "http://[::ffff:127.0.0.1]:9/jwks",
        "http://localhost.client.example/jwks",
        "http://client.example:8443/jwks",
        "ftp://localhost/jwks",
        "http://user@localhost/jwks",
    ],
)
def test_allowing_the_loopback_allows_nothing_else(url: str) -> None:
    with pytest.raises(FetchRefused):
        check_url(url, allow_loopback=True)


def test_good_urls() -> None:
    assert check_url("https://Client.Example/a/b?c=d", allow_loopback=False).path == "/a/b?c=d"
    assert check_url("https://Client.Example", allow_loopback=False).host == "client.example"
    assert check_url("https://client.example:443/", allow_loopback=True).loopback is False
    assert check_url("http://localhost:8001/jwks", allow_loopback=True).port == 8001
    assert check_url("http://[::1]/jwks", allow_loopback=True).host == "::1"


@given(st.text() | st.from_regex(r"https?://[^/]{0,20}(:[0-9]{0,6})?(/.*)?") | st.none() | st.integers())
def test_garbage_in_place_of_a_url(garbage: Any) -> None:
    try:
        target = check_url(garbage, allow_loopback=False)
    except FetchRefused:
        return
    assert (target.scheme, target.port, target.loopback) == ("https", 443, False)


FORBIDDEN = [
    *("0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "169.254.169.254", "172.16.0.1"),
    *("172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1"),
    *("203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::8.8.8.8", "::ffff:8.8.8.8", "::ffff:10.0.0.1", "64:ff9b::8.8.8.8", "64:ff9b:1::1", "100::1"),
    *("2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1"),
    *("fe80::1%lo", "fec0::1", "ff02::1", "localhost", ""),
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not may_connect(address, loopback=False)


@pytest.mark.parametrize("address", ["8.8.8.8", "100.63.0.1", "100.128.0.1", "223.255.255.255", "2400:3200::1"])
def test_addresses_that_are_public(address: str) -> None:
    assert may_connect(address, loopback=False)
    assert not may_connect(address, loopback=True)


def test_loopback_hosts_are_on_the_loopback() -> None:
    assert may_connect("127.0.0.1", loopback=True)
    assert may_connect("::1", loopback=True)
    assert not may_connect("::ffff:127.0.0.1", loopback=True)


class Answers(BaseHTTPRequestHandler):
    """A client's web server in all its moods."""

    seen: dict[str, str]

    def do_GET(self) -> None:
        self.server.requests.append(dict(self.headers))  # type: ignore[attr-defined]
        mood = getattr(self, "mood_" + self.path.strip("/").replace("-", "_").partition("?")[0], None)
        (mood or self.mood_missing)()

    def answer(self, body: bytes, content_type: str = "application/json", status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def mood_good(self) -> None:
        self.answer(b'{"keys": []}')

    def mood_jwk_set(self) -> None:
        self.answer(b'{"keys": []}', 'application/jwk-set+json; charset="utf-8"')

    def mood_missing(self) -> None:
        self.answer(b"{}", status=404)

    def mood_redirect(self) -> None:
        self.answer(b"{}", status=302, Location="/good")

    def mood_page(self) -> None:
        self.answer(b"<p>", "text/html")

    def mood_json_in_name_only(self) -> None:
        self.answer(b"{}", "text/json-not")

    def mood_not_json(self) -> None:
        self.answer(b"{")

    def mood_not_text(self) -> None:
        self.answer(b'"\xff"')

    def mood_compressed(self) -> None:
        self.answer(b"{}", Content_Encoding="gzip")

    def mood_large(self) -> None:
        self.answer(b'"' + b"x" * 65_536 + b'"')

    def mood_endless(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.drip(b" " * 4096, pause=0)

    def mood_slow(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.drip(b" ", pause=0.05)

    def mood_slow_headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        self.drip(b"x", pause=0.05)

    def mood_silent(self) -> None:
        self.server.hung_up.wait(5)  # type: ignore[attr-defined]

    def mood_rude(self) -> None:
        self.wfile.write(b"220 mail.example ESMTP\r\n")

    def drip(self, piece: bytes, pause: float) -> None:
        until = time.monotonic() + 5
        try:
            while time.monotonic() < until:
                self.wfile.write(piece)
                time.sleep(pause)
        except OSError:
            pass

    def log_message(self, *_args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.requests: list[dict[str, str]] = []
        self.hung_up = threading.Event()
        self.tls = tls

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        return (self.tls.wrap_socket(connection, server_side=True) if self.tls else connection), address

    def handle_error(self, *_args: object) -> None:
        pass  # a client that hangs up is what the tests are about


def running(server: Server) -> Iterator[Server]:
    with serving(server):
        yield server
        server.hung_up.set()


@pytest.fixture
def server() -> Iterator[Server]:
    yield from running(Server())


@pytest.mark.parametrize("path", ["good", "jwk-set", "good?client=1"])
def test_a_document_is_fetched(server: Server, path: str) -> None:
    for host in ("127.0.0.1", "localhost"):
        assert fetch_json(f"http://{host}:{server.server_port}/{path}", allow_loopback=True) == {"keys": []}
    assert server.requests[0]["Host"] == f"127.0.0.1:{server.server_port}"
    assert "Cookie" not in server.requests[0]


MOODS = ["missing", "redirect", "page", "json-in-name-only", "not-json", "not-text", "compressed", "large", "endless"]


@pytest.mark.parametrize("mood", [*MOODS, "rude"])
def test_bad_answers_are_refused(server: Server, mood: str) -> None:
    with pytest.raises(FetchRefused):
        fetch_json(f"http://127.0.0.1:{server.server_port}/{mood}", allow_loopback=True)
    assert len(server.requests) == 1


@pytest.mark.parametrize("mood", ["slow", "slow-headers", "silent"])
def test_there_is_one_deadline_for_everything(server: Server, mood: str) -> None:
    started = time.monotonic()
    with pytest.raises(FetchRefused):
        fetch_json(f"http://127.0.0.1:{server.server_port}/{mood}", allow_loopback=True, timeout=0.3)
    assert time.monotonic() - started < 2


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        with pytest.raises(FetchRefused):
            fetch_json(f"http://127.0.0.1:{taken.getsockname()[1]}/", allow_loopback=True)


def test_proxies_of_the_environment_are_not_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetch_json(f"http://127.0.0.1:{server.server_port}/good", allow_loopback=True) == {"keys": []}


def pretend_names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Name servers of our own: each look-up gets the next answer. Returns the names that were asked for."""
    asked: list[str] = []
    left = iter(answers)

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in next(left)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize("answer", [["127.0.0.1"], ["10.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["fe80::1"], []])
def test_names_of_addresses_that_are_not_public(monkeypatch: pytest.MonkeyPatch, answer: list[str]) -> None:
    pretend_names(monkeypatch, answer)
    with pytest.raises(FetchRefused):
        fetch_json("https://client.example/jwks", allow_loopback=True)


@pytest.mark.parametrize(
    ("answer", "leads_here"), [("127.0.0.1", True), ("10.0.0.1", False), ("8.8.8.8", False), ("192.168.1.2", False)]
)
def test_a_name_with_another_port_leads_to_this_machine_or_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, leads_here: bool
) -> None:
    path = certificate(tmp_path, "suite.example")
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(path)
    for server in running(Server(ours)):
        pretend_names(monkeypatch, [answer], [answer])
        url = f"https://suite.example:{server.server_port}/good"
        trusting = {"allow_loopback": True, "tls": ssl.create_default_context(cafile=path)}
        if leads_here:
            assert fetch_json(url, **trusting) == {"keys": []}
        else:
            with pytest.raises(FetchRefused, match="not a public address"):
                fetch_json(url, **trusting)
        with pytest.raises(FetchRefused, match="not port 443"):
            fetch_json(url, allow_loopback=False)


def test_a_loopback_name_that_points_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_names(monkeypatch, ["10.0.0.1"])
    with pytest.raises(FetchRefused):
        fetch_json("http://localhost:8001/jwks", allow_loopback=True)


def test_a_name_is_asked_for_once_and_its_address_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = pretend_names(monkeypatch, ["127.0.0.1"], ["127.0.0.1"])
    fetch_json(f"http://localhost:{server.server_port}/good", allow_loopback=True)
    assert asked == ["localhost", "127.0.0.1"]  # the second is the connection, to the address that was judged


def test_slow_name_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [free.wait(5)][:0])
    started = time.monotonic()
    with pytest.raises(FetchRefused):
        fetch_json("https://client.example/jwks", allow_loopback=False, timeout=0.2)
    assert time.monotonic() - started < 2
    free.set()


def certificate(folder: Path, name: str) -> Path:
    """A certificate for ``name`` that vouches for itself, with its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    alternative = x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
    built = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(built.public_bytes(Encoding.PEM) + private)
    return path


@pytest.mark.parametrize(
    ("named", "asked", "trusted", "taken"),
    [
        ("localhost", "localhost", True, True),
        ("127.0.0.1", "127.0.0.1", True, True),
        ("localhost", "127.0.0.1", True, False),  # the certificate is for the name, not for the address
        ("other.example", "localhost", True, False),
        ("localhost", "localhost", False, False),
    ],
)
def test_certificates_are_checked_for_the_name(
    tmp_path: Path, named: str, asked: str, trusted: bool, taken: bool
) -> None:
    path = certificate(tmp_path, named)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(path)
    theirs = ssl.create_default_context(cafile=path) if trusted else None
    for server in running(Server(ours)):
        url = f"https://{asked}:{server.server_port}/good"
        if taken:
            assert json.dumps(fetch_json(url, allow_loopback=True, tls=theirs)) == '{"keys": []}'
        else:
            with pytest.raises(FetchRefused):
                fetch_json(url, allow_loopback=True, tls=theirs)
