"""Processes of a demonstration: started together, watched, stopped together."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn, Self

ROOT = Path(__file__).parent.parent
STARTING_SECONDS = 30.0
STOPPING_SECONDS = 8.0
HOST = "127.0.0.1"


class DemonstrationError(Exception):
    """Something that the person at the keyboard can understand and put right."""


class Stopped(Exception):
    """Ctrl-C or SIGTERM."""


@dataclass(frozen=True)
class Command:
    """One process: its arguments, what the environment has beyond ours, and the URL that answers once it is ready."""

    name: str
    arguments: list[str]
    environment: Mapping[str, str]
    ready_url: str | None = None


def granian(target: str, port: int, *, workers: int, threads: int = 1) -> list[str]:
    """Arguments that serve an application factory on the loopback."""
    return [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--factory", "--host", HOST, "--port", str(port),
        "--workers", str(workers), "--blocking-threads", str(threads), "--no-ws", "--log-level", "warning", target,
    ]  # fmt: skip


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def require_free(port: int, variable: str) -> None:
    """Raises DemonstrationError when somebody listens on ``port`` already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise DemonstrationError(
                f"Port {port} is taken. Choose another one: {variable}={port + 10} make run"
            ) from None


class Processes:
    """Started as a context; leaving it stops whatever still runs."""

    def __init__(self, commands: Iterable[Command], log: Path | None = None) -> None:
        """With ``log``, what the processes say goes into that file instead of the terminal."""
        self.commands = list(commands)
        self.log = log
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        try:
            for command in self.commands:
                self.running[command.name] = self._start(command)
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def watch(self) -> NoReturn:
        """Return never; raises DemonstrationError as soon as one process ends."""
        while True:
            self._require_alive()
            time.sleep(0.3)

    def stop(self) -> None:
        """Ask every process to end, then make it."""
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOPPING_SECONDS
        for process in self.running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            with contextlib.suppress(ProcessLookupError):
                # The whole session: a server's own workers must not stay behind and keep the port.
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self, command: Command) -> "subprocess.Popen[bytes]":
        with contextlib.ExitStack() as stack:
            said = stack.enter_context(self.log.open("ab")) if self.log else None
            # A session of its own: Ctrl-C reaches us alone, and we stop everybody in order.
            return subprocess.Popen(  # noqa: S603 - our own arguments
                command.arguments,
                cwd=ROOT,
                env={**os.environ, **command.environment},
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + STARTING_SECONDS
        waiting = [c for c in self.commands if c.ready_url]
        while waiting:
            self._require_alive()
            waiting = [c for c in waiting if not _answers(c.ready_url or "")]
            if waiting and time.monotonic() > deadline:
                raise DemonstrationError(f"The {waiting[0].name} does not answer at {waiting[0].ready_url}.")
            time.sleep(0.1)

    def _require_alive(self) -> None:
        for name, process in self.running.items():
            status = process.poll()
            if status is not None:
                raise DemonstrationError(f"The {name} ended with status {status}.")


def stop_on_signals() -> None:
    """Turn Ctrl-C and SIGTERM into Stopped, so that contexts are left in order."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _raise_stopped)


def _raise_stopped(_number: int, _frame: FrameType | None) -> None:
    raise Stopped


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - our own loopback address
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
