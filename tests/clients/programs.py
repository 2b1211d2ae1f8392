"""Journeys written in JavaScript: a Node process that says which page to open, and is told what its browser brought.

One JSON document a line. The process says ``{"open": url}``, or ``{"hear": ""}`` for what the service sends by itself,
and reads ``{"method", "url", "body"}``, as often as it likes, then ``{"done": ...}``. A journey that fails ends with
another status, its reason on standard error.
"""

import dataclasses
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.clients.callback import Arrival

FOLDER = Path(__file__).parent
SECONDS = 60


def run(
    journey: str,
    configuration: dict[str, Any],
    visit: Callable[[str], Arrival],
    hear: Callable[[], Arrival] | None = None,
) -> Any:
    """Run ``journey`` (a file of this folder, without its ending) to its end; what it is done with."""
    node = shutil.which("node")
    assert node, "Node.js is missing: tools/setup_clients.sh"
    # The flag means something to Node.js 18 only, Debian 12's own: the libraries expect the crypto global of 20.
    command = [node, "--experimental-global-webcrypto", f"{journey}.mjs", json.dumps(configuration)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, cwd=FOLDER, text=True, **pipes) as process:
        try:
            return _talk(process, visit, hear or _deaf)
        finally:
            process.kill()


def _deaf() -> Arrival:
    raise AssertionError("this journey hears nothing")


def _talk(process: "subprocess.Popen[str]", visit: Callable[[str], Arrival], hear: Callable[[], Arrival]) -> Any:
    assert process.stdin is not None
    assert process.stdout is not None
    for line in process.stdout:
        said = json.loads(line)
        if "done" in said:
            assert process.wait(SECONDS) == 0
            return said["done"]
        arrival = visit(said["open"]) if "open" in said else hear()
        process.stdin.write(json.dumps(dataclasses.asdict(arrival)) + "\n")
        process.stdin.flush()
    assert process.stderr is not None
    raise AssertionError(process.stderr.read())
