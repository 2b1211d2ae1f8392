"""`make demo`: lending, reading and stopping, told step by step without a browser window.

It starts the service, its worker and the bank on free ports with a database of their own, lets people in software
browsers with software passkeys drive the real pages over HTTP, and prints what was answered. The exit status is 0 only
when every expectation came true. DEMO_DATABASE_URL names an empty database to use instead of a temporary SQLite file.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import httpx
from flask import Flask

from examples.bank import keys
from examples.bank.fapi import DataSpaceClient, OAuthRefused
from examples.browser import PageError
from examples.hospital.counter import create_counter
from examples.journeys import JOURNEYS, Stage
from examples.story import Story
from tools import demonstration
from tools.demonstration import BANK_CLIENT_ID, Demonstration
from tools.processes import DemonstrationError, Processes, Stopped, free_port, stop_on_signals


def main() -> int:
    """The exit status."""
    stop_on_signals()
    try:
        with tempfile.TemporaryDirectory(prefix="dataspace-demo-") as folder:
            database_url = os.environ.get("DEMO_DATABASE_URL", "")
            return _tell(demonstration.at(Path(folder), free_port(), free_port(), database_url))
    except Stopped:
        return 130
    except DemonstrationError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _tell(demo: Demonstration) -> int:
    story = Story()
    story.chapter("Setting up: database, catalogue, people, third parties, keys")
    demonstration.prepare(demo)
    codes = {person.name: person.code or "" for person in demonstration.people(demo)}
    log = demo.folder / "processes.log"
    try:
        with Processes(demonstration.commands(demo), log):
            story.says(f"the service is at {demo.issuer}, the bank at {demo.bank_url}")
            stage = Stage(story, demo.issuer, demo.bank_url, codes, _bank(demo), _counter(demo))
            for journey in JOURNEYS:
                _play(journey, stage)
    finally:
        if (story.failed or not story.steps) and log.exists():
            sys.stderr.write(f"\nWhat the processes said:\n{log.read_text('utf-8', 'replace')[-8000:]}\n")
    sys.stdout.write(f"\n{story.summary()}\n")
    return 1 if story.failed else 0


def _play(journey: Callable[[Stage], None], stage: Stage) -> None:
    """One journey; when it cannot go on, that is one failed expectation and the next one is told."""
    try:
        journey(stage)
    except (PageError, OAuthRefused, httpx.HTTPError, LookupError, ValueError) as error:
        stage.story.fail(f"{journey.__name__} could not go on: {type(error).__name__}: {error}")


def _bank(demo: Demonstration) -> DataSpaceClient:
    signing, proof = keys.load(demo.bank_keys)
    callback = f"{demo.bank_url}/callback"
    return DataSpaceClient(demo.issuer, BANK_CLIENT_ID, callback, signing_key=signing, proof_key=proof)


def _counter(demo: Demonstration) -> Flask:
    return create_counter({"COUNTER_ISSUER": demo.issuer, "COUNTER_KEYS": str(demo.hospital_keys)})


if __name__ == "__main__":
    sys.exit(main())
