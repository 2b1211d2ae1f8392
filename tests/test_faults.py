"""What stands in the database when the world fails in the middle of a grant: the whole consent, or nothing of it."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from consent.oauth.codes import AuthorizationCode
from consent.oauth.tokens import Token
from consent.receipts import Receipt
from consent.records import Consent, ConsentEvent, ConsentNotice, ConsentVersion
from dataspace import clock
from dataspace.accesses import Access
from dataspace.db import Model, db
from dataspace.entries import WaitingEntry
from examples.actors import BankCustomer, Person
from examples.browser import Browser
from tests import factories
from tests.consent.third_party import ThirdParty, tokens_for
from tools import demonstration
from tools.demonstration import Demonstration
from tools.processes import Processes, free_port

TRIALS = 6


def counts(engine: sa.Engine) -> dict[str, int]:
    """Rows of everything that a grant writes."""
    models = (Consent, ConsentVersion, ConsentNotice, ConsentEvent, Receipt, AuthorizationCode)
    with engine.connect() as connection:
        return {m.__tablename__: int(connection.scalar(sa.select(sa.func.count()).select_from(m)) or 0) for m in models}


def whole(engine: sa.Engine) -> int:
    """How many consents there are; each must be complete, and nothing may stand without one."""
    found = counts(engine)
    given = found["consents"]
    assert found == {
        "consents": given, "consent_versions": given, "consent_notices": given, "consent_events": 3 * given,
        "receipts": given, "authorization_codes": given,
    }  # fmt: skip
    with engine.connect() as connection:
        owned = sa.select(Consent.consent_id)
        orphans = sa.select(sa.func.count()).select_from(Token).where(Token.consent_id.not_in(owned))
        assert connection.scalar(orphans) == 0
    return given


@pytest.fixture
def fresh_url(server_url: str | None) -> Iterator[str]:
    """An empty database; "" for a SQLite file of the demonstration's own."""
    if server_url is None:
        yield ""
        return
    server = sa.make_url(server_url).set(drivername="postgresql+psycopg")
    name = f"faults_{random.randrange(10**9)}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield server.set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@dataclass
class Scene:
    """A person one tap before agreeing, and the service's processes."""

    demo: Demonstration
    processes: Processes
    person: Person
    engine: sa.Engine
    failures: list[str] = field(default_factory=list)

    def ask_again(self) -> None:
        """From the bank to the consent page."""
        BankCustomer(self.person, self.demo.bank_url).apply("card-limit-review")
        assert self.person.page.path.startswith("/consent/"), self.person.page.title

    def tap_agree(self) -> None:
        """The decisive tap; the connection may break."""
        form = self.person.page.form_with("decision", "agree")
        assert form is not None
        with contextlib.suppress(httpx.HTTPError):
            self.person.browser.submit(form, ("decision", "agree"))

    def kill_and_restart(self) -> None:
        """SIGKILL to the server and all its workers, then a new server."""
        process = self.processes.running["service"]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        command = next(c for c in self.processes.commands if c.name == "service")
        self.processes.running["service"] = self.processes._start(command)
        self.processes._wait_until_ready()


@pytest.fixture
def scene(tmp_path: Path, fresh_url: str) -> Iterator[Scene]:
    demo = demonstration.at(tmp_path, free_port(), free_port(), fresh_url)
    demonstration.prepare(demo)
    codes = {p.name: p.code or "" for p in demonstration.people(demo)}
    engine = sa.create_engine(demo.environment["DATASPACE_DATABASE_URL"])
    with Processes(demonstration.commands(demo), tmp_path / "log") as processes:
        person = Person("陈嘉怡", codes["陈嘉怡"], demo.issuer, Browser("zh-CN"))
        person.enrol()
        yield Scene(demo, processes, person, engine)
        person.browser.http.close()
    engine.dispose()


def test_a_server_killed_between_consent_and_code_leaves_all_or_nothing(scene: Scene) -> None:
    chance = random.Random(20261123)
    for _trial in range(TRIALS):
        scene.ask_again()
        tap = threading.Thread(target=scene.tap_agree)
        tap.start()
        time.sleep(chance.uniform(0.0, 0.06))
        scene.kill_and_restart()
        tap.join()
        whole(scene.engine)
    # After all that the service still does its job.
    before = whole(scene.engine)
    scene.ask_again()
    scene.tap_agree()
    assert whole(scene.engine) == before + 1


def test_a_locked_database_gives_a_clear_page_and_nothing_is_half_written(scene: Scene) -> None:
    if scene.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL locks rows, not the database")
    scene.ask_again()
    with scene.engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        scene.tap_agree()
        assert scene.person.page.status == 503
        assert "没有" in scene.person.page.html
        connection.exec_driver_sql("ROLLBACK")
    assert whole(scene.engine) == 0
    scene.person.browser.open(scene.demo.bank_url)
    scene.ask_again()
    scene.tap_agree()
    assert whole(scene.engine) == 1


REFUSES = {
    "sqlite": "CREATE TRIGGER full BEFORE INSERT ON {0} BEGIN SELECT RAISE(ABORT, 'full'); END",
    "postgresql": "ALTER TABLE {0} ADD COLUMN unknown INTEGER NOT NULL",
}


@pytest.mark.parametrize("table", [Access, WaitingEntry])
def test_a_read_that_cannot_be_logged_is_not_answered(app: Flask, client: FlaskClient, table: type[Model]) -> None:
    """Nor is one half of its line and entry written without the other."""
    world = factories.world(clock.now())
    bank = ThirdParty(world.party, client)
    token = str(tokens_for(bank, world.actor, give=world.consent)["access_token"])
    for model in (Access, WaitingEntry):
        db.session.execute(sa.delete(model))
    db.session.commit()
    with db.engine.begin() as connection:
        connection.execute(sa.text(REFUSES[db.engine.dialect.name].format(table.__tablename__)))
    answer = bank.read(token)
    assert answer.status_code == 503
    assert answer.mimetype == "application/problem+json"
    assert "示例大学" not in answer.get_data(as_text=True)
    assert [_count(Access), _count(WaitingEntry)] == [0, 0]


def _count(model: type[Model]) -> int:
    with db.engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(model)) or 0


def test_reading_goes_on_after_the_database_has_hung_up(app: Flask, client: FlaskClient) -> None:
    """As after a restart or a change of servers: one request hears of it, and no connection from before is used."""
    if db.engine.dialect.name == "sqlite":
        pytest.skip("a file does not hang up")
    world = factories.world(clock.now())
    bank = ThirdParty(world.party, client)
    token = str(tokens_for(bank, world.actor, give=world.consent)["access_token"])
    db.session.remove()
    db.engine.dispose()
    with contextlib.ExitStack() as stack:  # three that wait in the pool afterwards, and no other
        waiting = [stack.enter_context(db.engine.connect()) for _ in range(3)]
        pids = [one.scalar(sa.text("SELECT pg_backend_pid()")) for one in waiting]
    others = sa.create_engine(db.engine.url, poolclass=sa.NullPool)
    with others.connect() as connection:
        for pid in pids:
            connection.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    assert [bank.read(token).status_code for _ in range(4)] == [503, 200, 200, 200]
