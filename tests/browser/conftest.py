"""What the browser tests of a file share: a running demonstration, or a stage; Chromium is that of the whole run."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.customer import Customer
from tests.browser.phone import Phone
from tools import demonstration
from tools.demonstration import Demonstration
from tools.processes import Processes, free_port
from tools.stage import Stage, opened

CustomerOf = Callable[..., Customer]


@dataclass(frozen=True)
class Running:
    """A demonstration that runs; ``codes``: enrolment codes by name."""

    demo: Demonstration
    codes: dict[str, str]

    @property
    def issuer(self) -> str:
        """The service."""
        return self.demo.issuer

    @property
    def bank(self) -> str:
        """The bank."""
        return self.demo.bank_url


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service, its worker and the bank, as `make run` starts them, with fresh data."""
    folder = tmp_path_factory.mktemp("demonstration")
    demo = demonstration.at(folder, free_port(), free_port())
    demonstration.prepare(demo)
    codes = {person.name: person.code or "" for person in demonstration.people(demo)}
    with Processes(demonstration.commands(demo), folder / "processes.log"):
        yield Running(demo, codes)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The service in this process, with everything of the demonstration in it."""
    with opened(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest.fixture
def phone_of(chromium: Browser, running: Running) -> Iterator[Callable[..., Phone]]:
    """Makes phones; closes them afterwards and looks at what their consoles said."""
    phones: list[Phone] = []

    def make(locale: str = "zh-CN") -> Phone:
        phones.append(Phone(chromium, running.issuer, locale=locale))
        return phones[-1]

    yield make
    for phone in phones:
        phone.close()
        assert phone.problems == []


@pytest.fixture
def customer_of(chromium: Browser, stage: Stage) -> Iterator[CustomerOf]:
    """Makes customers, who leave afterwards."""
    made: list[Customer] = []

    def make(key: str, **how: Any) -> Customer:
        made.append(Customer(chromium, stage, key, **how))
        return made[-1]

    yield make
    for customer in made:
        customer.close()
