"""The log of evidence, read by the tile-log libraries of Go: golang.org/x/mod/sumdb and filippo.io/torchwood."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.serving import make_server

from consent import evidence, worker
from consent.notes import Verifier
from consent.witnesses import Witness
from dataspace import clock, entries
from dataspace.db import db
from dataspace.entries import Entry
from tests import factories
from tests.listening import serving
from verifier import witness as program

FOLDER = Path(__file__).parent / "tlog"
# Where its installer puts it.
GO = shutil.which("go", path=f"{os.environ['PATH']}{os.pathsep}/usr/local/go/bin")
ENTRIES = 700  # two full tiles, two levels, and a partial one


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    if GO is None:
        pytest.skip("Go is not installed")
    arguments = [GO, "build", "-o", str(tmp_path / "reader"), "."]
    built = subprocess.run(arguments, cwd=FOLDER, capture_output=True, text=True, timeout=300, check=False)
    assert built.returncode == 0, built.stderr
    return tmp_path / "reader"


def read(reader: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([reader, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_go_reads_the_log_and_trusts_our_witness(reader: Path, app: Flask, tmp_path: Path) -> None:
    for number in range(ENTRIES):
        entries.append(Entry.new("access", clock.now(), number=number))
    db.session.commit()
    worker.sequence(clock.now(), registry=factories.registry())
    log = evidence.head()
    program.make(tmp_path / "witness", "witness.example.org/1")
    witness = program.Witness(tmp_path / "witness", {log.origin: [log.verifier]})
    key = str(witness.key)
    with (
        serving(make_server("127.0.0.1", 0, app, threaded=True)) as ours,
        serving(program.Server(("127.0.0.1", 0), witness)) as url,
    ):
        refused = read(reader, f"{ours}/log", log.verifier, key)
        assert refused.returncode == 1, "nobody has cosigned"
        asked = [Witness(verifier=Verifier.parse(key), url=url)]
        assert worker.cosign(clock.now(), asked, quorum=1, allow_loopback=True) == 1
        told = read(reader, f"{ours}/log", log.verifier, key)
    assert told.stdout == f"{log.origin} {ENTRIES} {ENTRIES}\n", told.stderr
