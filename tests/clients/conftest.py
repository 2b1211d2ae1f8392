"""The service as `make run` starts it, for clients that share no code with it."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from examples.actors import Person
from examples.browser import Browser
from tests.clients.callback import Arrival, Callback
from tests.clients.deployment import Deployment
from tools import demonstration
from tools.processes import Processes, free_port

NAME = "陈嘉怡"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs what tools/setup_clients.sh installs."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("clients")


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The service and its worker, with the demonstration's people; the bank's address is the clients' callback."""
    folder = tmp_path_factory.mktemp("deployment")
    demo = demonstration.at(folder, free_port(), free_port())
    demonstration.prepare(demo)
    codes = {person.name: person.code or "" for person in demonstration.people(demo)}
    commands = [command for command in demonstration.commands(demo) if command.name != "bank"]
    with Processes(commands, folder / "processes.log"), Callback(demo.bank_port).serving() as callback:
        person = Person(NAME, codes[NAME], demo.issuer)
        person.enrol()
        yield Deployment(demo, callback, person)
        person.browser.http.close()
    said = (folder / "processes.log").read_text("utf-8", "replace")
    assert "Traceback" not in said, said[-8000:]


@pytest.fixture
def strict(deployment: Deployment) -> Iterator[Deployment]:
    """The same people and clients at another address, where each DPoP proof must carry a nonce of the server's."""
    port = free_port()
    moved = {"DATASPACE_ISSUER": demonstration.issuer(port), "DATASPACE_DPOP_NONCE": "required"}
    demo = dataclasses.replace(deployment.demo, port=port, environment={**deployment.demo.environment, **moved})
    log = demo.folder / "strict.log"
    with Processes(demonstration.commands(demo, workers=1)[:1], log):
        yield Deployment(demo, deployment.callback, deployment.person)
    assert "Traceback" not in log.read_text("utf-8", "replace")


@pytest.fixture
def newcomer(deployment: Deployment) -> Iterator[Person]:
    """The person with the passkey, in a browser that knows nothing yet."""
    browser = Browser("en")
    browser.authenticator = deployment.person.browser.authenticator
    yield Person(NAME, "", deployment.issuer, browser)
    browser.http.close()


@pytest.fixture
def visit(deployment: Deployment, newcomer: Person) -> Callable[[str], Arrival]:
    """Opens authorization URLs in that browser, and agrees to everything."""
    return lambda url: deployment.visit(url, newcomer)
