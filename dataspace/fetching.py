"""The only way out to a URL that somebody else gave us: the guard against server-side request forgery.

Where it may lead, :mod:`dataspace.addresses` says. The name is resolved here, every address it has is judged, and the
connection goes to an address that was judged, so that a name cannot point elsewhere a moment later (DNS rebinding);
TLS and Host still see the name. No redirects, no proxies, no cookies, no decompression, one deadline for everything.
Made on httpcore, which does none of these by itself.
"""

import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpcore
import orjson

from dataspace.addresses import FetchRefused, Target, check_url, may_connect

MAX_BYTES = 64 * 1024
MAX_VALIDATOR = 100  # characters of an ETag or Last-Modified that we remember
TIMEOUT = 3.0  # seconds for everything together; a client waits for its token meanwhile
_JSON_TYPE = re.compile(r"application/([a-z0-9.-]+\+)?json", re.IGNORECASE)


def fetch_json(
    url: str,
    *,
    allow_loopback: bool,
    timeout: float = TIMEOUT,
    max_bytes: int = MAX_BYTES,
    tls: ssl.SSLContext | None = None,
) -> Any:
    """The JSON document at ``url``. Raises FetchRefused.

    ``timeout``: seconds for everything together. ``tls``: whom to trust, if not the system's authorities.
    """
    target = check_url(url, allow_loopback=allow_loopback)
    with _pool(target, timeout, tls) as pool:
        body = _read(pool, target, "application/json", _JSON_TYPE, max_bytes)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise FetchRefused(f"{target.host}: not JSON") from None


@dataclass(frozen=True)
class Document:
    """What an address has answered, and by what it can be asked whether that has changed."""

    body: bytes = field(repr=False)
    etag: str = ""
    last_modified: str = ""


def fetch_changed(
    url: str,
    *,
    allow_loopback: bool,
    etag: str = "",
    last_modified: str = "",
    bearer: str = "",
    timeout: float = TIMEOUT,
    max_bytes: int = MAX_BYTES,
    tls: ssl.SSLContext | None = None,
) -> Document | None:
    """The JSON text at ``url``; None when it is as it was at ``etag`` or ``last_modified`` (RFC 9110 section 13).

    ``bearer``: a token that says who asks (RFC 6750 section 2.1). Raises FetchRefused.
    The others as in :func:`fetch_json`.
    """
    target = check_url(url, allow_loopback=allow_loopback)
    known = (("If-None-Match", etag), ("If-Modified-Since", last_modified))
    headers = [(name, value) for name, value in known if value]
    who = [("Authorization", f"Bearer {bearer}")] if bearer else []
    with (
        _pool(target, timeout, tls) as pool,
        pool.stream("GET", _request_url(target), headers=[*_accepting("application/json"), *who, *headers]) as response,
    ):
        if response.status == 304 and headers:
            return None
        _check_answer(response, _JSON_TYPE)
        body = _body(response, target, max_bytes)
        said = {name.lower(): value.decode("latin-1") for name, value in response.headers}
    validators = (said.get(name, "") for name in (b"etag", b"last-modified"))
    return Document(body, *(value if len(value) <= MAX_VALIDATOR else "" for value in validators))


def fetch_text(
    url: str,
    *,
    accept: str,
    types: re.Pattern[str],
    allow_loopback: bool,
    timeout: float = TIMEOUT,
    max_bytes: int = MAX_BYTES,
    tls: ssl.SSLContext | None = None,
) -> str:
    """The ASCII text at ``url``. Raises FetchRefused. Arguments as of :func:`fetch_bytes`."""
    body = fetch_bytes(
        url, accept=accept, types=types, allow_loopback=allow_loopback, timeout=timeout, max_bytes=max_bytes, tls=tls
    )
    try:
        return body.decode("ascii")
    except UnicodeDecodeError:
        raise FetchRefused("not ASCII") from None


def fetch_bytes(
    url: str,
    *,
    accept: str,
    types: re.Pattern[str],
    allow_loopback: bool,
    timeout: float = TIMEOUT,
    max_bytes: int = MAX_BYTES,
    tls: ssl.SSLContext | None = None,
) -> bytes:
    """What is at ``url``, of one of the content types that match ``types``; what it is, the caller has to look.

    ``accept``: what we say we want. ``timeout`` and ``tls`` as in :func:`fetch_json`. Raises FetchRefused.
    """
    target = check_url(url, allow_loopback=allow_loopback)
    with _pool(target, timeout, tls) as pool:
        return _read(pool, target, accept, types, max_bytes)


@dataclass(frozen=True)
class Answered:
    """The answer to a post: its status, and its body as far as it was read."""

    status: int
    body: bytes = b""
    content_type: str = ""


def post(
    url: str,
    content: bytes,
    *,
    content_type: str,
    allow_loopback: bool,
    inside: bool = False,
    accept: str = "*/*",
    max_bytes: int = 0,
    timeout: float = TIMEOUT,
    tls: ssl.SSLContext | None = None,
) -> Answered:
    """Post to ``url`` through the same guard. Of the answer at most ``max_bytes`` are read; what is longer is cut.

    Raises FetchRefused. ``inside`` as in :func:`check_url`; ``timeout`` and ``tls`` as in :func:`fetch_json`.
    """
    target = check_url(url, allow_loopback=allow_loopback, inside=inside)
    headers = [("Content-Type", content_type), ("Accept", accept), ("Accept-Encoding", "identity")]
    with (
        _pool(target, timeout, tls) as pool,
        pool.stream("POST", _request_url(target), headers=headers, content=content) as response,
    ):
        said = {name.lower(): value.decode("latin-1") for name, value in response.headers}
        return Answered(response.status, _beginning(response, max_bytes), said.get(b"content-type", ""))


def post_form(
    url: str,
    form: Mapping[str, str],
    *,
    allow_loopback: bool,
    timeout: float = TIMEOUT,
    tls: ssl.SSLContext | None = None,
) -> int:
    """Post a form to ``url``; returns the status. Nothing else of the answer is read. As :func:`post`."""
    kind, content = "application/x-www-form-urlencoded", urlencode(form).encode()
    return post(url, content, content_type=kind, allow_loopback=allow_loopback, timeout=timeout, tls=tls).status


@contextmanager
def _pool(target: Target, timeout: float, tls: ssl.SSLContext | None) -> Iterator[httpcore.ConnectionPool]:
    """Connections to judged addresses only; what goes wrong on the network becomes FetchRefused."""
    backend = _JudgedNetwork(target, deadline=time.monotonic() + timeout)
    context = (tls or ssl.create_default_context()) if target.scheme == "https" else None
    try:
        with httpcore.ConnectionPool(ssl_context=context, network_backend=backend, retries=0) as pool:
            yield pool
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
        raise FetchRefused(f"{target.host}: {type(error).__name__}") from None


def _request_url(target: Target) -> httpcore.URL:
    return httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)


def _read(pool: httpcore.ConnectionPool, target: Target, accept: str, types: re.Pattern[str], max_bytes: int) -> bytes:
    with pool.stream("GET", _request_url(target), headers=_accepting(accept)) as response:
        _check_answer(response, types)
        return _body(response, target, max_bytes)


def _accepting(accept: str) -> list[tuple[str, str]]:
    return [("Accept", accept), ("Accept-Encoding", "identity")]


def _body(response: httpcore.Response, target: Target, max_bytes: int) -> bytes:
    body = bytearray()
    for chunk in response.iter_stream():
        body += chunk
        if len(body) > max_bytes:
            raise FetchRefused(f"{target.host}: more than {max_bytes} bytes")
    return bytes(body)


def _beginning(response: httpcore.Response, max_bytes: int) -> bytes:
    body = bytearray()
    if max_bytes:
        for chunk in response.iter_stream():
            body += chunk
            if len(body) >= max_bytes:
                break
    return bytes(body[:max_bytes])


def _check_answer(response: httpcore.Response, types: re.Pattern[str]) -> None:
    headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
    if response.status != 200:  # a redirect as well: it would lead past the checks
        raise FetchRefused(f"answered {response.status}")
    if not types.fullmatch(headers.get(b"content-type", "").partition(";")[0].strip()):
        raise FetchRefused("not the content type that was asked for")
    if headers.get(b"content-encoding", "identity").lower() != "identity":
        raise FetchRefused("compressed, although we asked for none")


class _JudgedNetwork(httpcore.NetworkBackend):
    """Connects to addresses of the target that :func:`may_connect` allows, until the deadline (monotonic seconds)."""

    def __init__(self, target: Target, *, deadline: float) -> None:
        self._target = target
        self._deadline = deadline
        self._network = httpcore.SyncBackend()

    def connect_tcp(self, host: str, port: int, *_args: Any, **_options: Any) -> httpcore.NetworkStream:
        addresses = _resolve(host, port, _remaining(self._deadline))
        # One bad address among good ones is refused as well: nobody publishes such a mixture in good faith.
        judged = self._target.inside or all(
            may_connect(address, loopback=self._target.loopback) for address in addresses
        )
        if not addresses or not judged:
            raise FetchRefused(f"{host}: not a public address")
        for address in addresses[:-1]:
            try:
                return self._connect(address, port)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._connect(addresses[-1], port)

    def _connect(self, address: str, port: int) -> httpcore.NetworkStream:
        stream = self._network.connect_tcp(address, port, timeout=_remaining(self._deadline))
        return _TimedStream(stream, self._deadline)


class _TimedStream(httpcore.NetworkStream):
    """A stream whose every operation ends at one deadline, whatever the pool asks: a slow peer does not keep us."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, *_args: Any, **_options: Any) -> bytes:
        return self._stream.read(max_bytes, _remaining(self._deadline))

    def write(self, buffer: bytes, *_args: Any, **_options: Any) -> None:
        self._stream.write(buffer, _remaining(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, *_args: Any, **_options: Any
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, _remaining(self._deadline))
        return _TimedStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _remaining(deadline: float) -> float:
    """Seconds left. Raises FetchRefused when there are none."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise FetchRefused("too slow")
    return seconds


def _resolve(host: str, port: int, timeout: float) -> list[str]:
    """The addresses of a host. The system's resolver knows no deadline, so it is left behind in a thread if slow."""
    answers: queue.SimpleQueue[list[str]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            found = []
        answers.put(list(dict.fromkeys(str(entry[4][0]) for entry in found)))

    threading.Thread(target=ask, daemon=True, name="resolver").start()
    try:
        return answers.get(timeout=timeout)
    except queue.Empty:
        raise FetchRefused(f"{host}: the name servers are too slow") from None
