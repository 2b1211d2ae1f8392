"""`make demo` tells its story to the end, on the database that the suite runs on."""

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

ROOT = Path(__file__).parent.parent


@pytest.fixture
def empty_database(server_url: str | None) -> Iterator[str]:
    """The URL of a database without tables; empty for a SQLite file of the demonstration's own."""
    if server_url is None:
        yield ""
        return
    server = sa.make_url(server_url).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    name = f"demo_{uuid.uuid4().hex[:12]}"
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield server.set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


def test_the_demonstration_comes_true(empty_database: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.demo"],
        cwd=ROOT,
        env={**os.environ, "DEMO_DATABASE_URL": empty_database},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    told = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, told
    summary = re.fullmatch(r"demo: (\d+) steps, (\d+) expectations, 0 failed", done.stdout.strip().splitlines()[-1])
    assert summary, told
    assert int(summary[1]) >= 25
    assert int(summary[2]) >= 35
    assert "\033" not in done.stdout  # colours only on a terminal


@pytest.mark.parametrize("example", ["examples.bank.app", "examples.hospital.counter"])
def test_an_example_imports_nothing_of_the_service(example: str) -> None:
    """It is what an integrator would write: all it knows comes over HTTP."""
    program = (
        f"import sys, {example}\n"
        "ours = sorted(m for m in sys.modules if m.split('.')[0] in ('dataspace', 'consent', 'wsgi', 'tools'))\n"
        "sys.exit(', '.join(ours) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
