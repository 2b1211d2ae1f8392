"""The load generator: keep-alive sockets in threads, one prepared request after another."""

import socket
import statistics
import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """One measurement. Latencies in milliseconds."""

    requests: int
    seconds: float
    latencies: list[float]
    statuses: dict[int, int]

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    def percentile(self, share: float) -> float:
        """The latency below which ``share`` of the requests stayed."""
        if len(self.latencies) < 2:
            return float("nan")
        return statistics.quantiles(self.latencies, n=1000, method="inclusive")[int(share * 1000) - 1]


class _Connection:
    """One HTTP/1.1 connection that is kept alive."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket = self._open()

    def _open(self) -> socket.socket:
        opened = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return opened

    def send(self, request: bytes) -> int:
        """Send one request, read its answer whole, return the status."""
        self.socket.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._receive()
        head, _, body = data.partition(b"\r\n\r\n")
        lower = head.lower()
        at = lower.find(b"content-length:")
        length = int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        missing = length - len(body)
        while missing > 0:
            missing -= len(self._receive())
        return int(head[9:12])

    def _receive(self) -> bytes:
        chunk = self.socket.recv(65536)
        if not chunk:
            raise ConnectionError("the server closed the connection")
        return chunk


def run(port: int, requests: list[bytes], *, connections: int, seconds: float) -> Result:
    """Send ``requests`` (each once) over so many connections until they or the ``seconds`` are used up."""
    waiting = iter(requests)
    lock, stop = threading.Lock(), threading.Event()
    latencies: list[list[float]] = [[] for _ in range(connections)]
    statuses: list[dict[int, int]] = [{} for _ in range(connections)]

    def work(n: int) -> None:
        connection = _Connection(port)
        while not stop.is_set():
            with lock:
                request = next(waiting, None)
            if request is None:
                return
            started = time.perf_counter()
            status = connection.send(request)
            latencies[n].append((time.perf_counter() - started) * 1000)
            statuses[n][status] = statuses[n].get(status, 0) + 1

    threads = [threading.Thread(target=work, args=(n,)) for n in range(connections)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    timer = threading.Timer(seconds, stop.set)
    timer.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    timer.cancel()
    merged: dict[int, int] = {}
    for counts in statuses:
        for status, count in counts.items():
            merged[status] = merged.get(status, 0) + count
    flat = [latency for each in latencies for latency in each]
    return Result(len(flat), took, flat, merged)
