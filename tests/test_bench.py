"""What the benchmark sends is answered: it says so itself, but nobody runs it at every change."""

import pytest
from flask import Flask

from bench import __main__ as bench
from bench import seed
from bench.operations import OPERATIONS
from dataspace import clock

pytestmark = pytest.mark.wire


def test_every_operation_is_answered_as_expected(app: Flask) -> None:
    world = seed.world(2, clock.now())
    for operation in OPERATIONS.values():
        count = int(2 / operation.share)
        for raw in operation.requests(world, count, clock.now(), at_floor=False):
            assert bench.replay(app, raw) == operation.expected
