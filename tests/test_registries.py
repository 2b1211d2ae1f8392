"""The five base registries of the demonstration: what they serve is taken in, and once is enough."""

import datetime as dt
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from flask import Flask

from dataspace import catalogue, demonstration
from dataspace.db import db
from dataspace.sources import pulling, registry
from dataspace.spaces import Record
from dataspace.web.shell import services
from tests.listening import serving
from tools import registries
from tools.registries import DATA, NAMES


@pytest.fixture
def addresses() -> Iterator[dict[str, str]]:
    servers = {name: registries.server(name, 0) for name in NAMES}
    with ExitStack() as stack:
        yield {name: f"{stack.enter_context(serving(server))}/records" for name, server in servers.items()}


def test_every_register_fills_the_spaces_and_then_says_that_nothing_has_changed(
    app: Flask, now: dt.datetime, addresses: dict[str, str]
) -> None:
    vault, index = services().vault, services().index
    catalogue.load([DATA / "catalogue"], now)
    demonstration.add_holders(demonstration.read(DATA, now.date()), now, vault=vault, index=index)
    registry.load([DATA / "sources.toml"], now)
    for name, address in addresses.items():
        registry.get(name).address = address
    db.session.commit()
    for expected in ({"added"}, set()):
        seen = set()
        for name in NAMES:
            for part in pulling.pull(
                name, now, vault=vault, index=index, demanded=services().demanded, allow_loopback=True
            ):
                db.session.commit()
                seen |= {verdict.reason or verdict.outcome for verdict in part}
            assert registry.get(name).problem == "", name
        assert seen == expected
    assert db.session.query(Record).count() == sum(len(registries.records_of(name)) for name in NAMES)
