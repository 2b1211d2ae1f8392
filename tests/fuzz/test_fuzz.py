"""Nothing that anybody sends makes the service fail: no 5xx, no error of a library, no redirect to a stranger.

The examples are the same in every run, half of them on SQLite, the other half on PostgreSQL. ``DATASPACE_FUZZ=20``
sends others, twenty times as many.
"""

import json
import os
import re
import zlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, seed, settings

from dataspace.db import db
from tests.conftest import ISSUER
from tests.factories import REDIRECT_URI
from tests.fuzz.plans import Plan, Route, honest, plans, routes
from tests.fuzz.target import Target

EXPLORING = int(os.environ.get("DATASPACE_FUZZ", "1"))
OWN = {urlsplit(ISSUER).netloc, "localhost", "", urlsplit(REDIRECT_URI).netloc}
PARTS = {
    "oauth": r"/oauth/|/authorize|/userinfo|/\.well-known/|/register|/logout",
    "consent page": r"/consent/",
    "administration": r"/admin",
    "own pages": r"/(authorizations|data|reads|act-as|language|signout|signin|enrol|passkeys)",
}


def part_of(route: Route) -> str:
    return next((part for part, paths in PARTS.items() if re.match(paths, route.rule)), "the rest")


@pytest.fixture
def target(app: Flask) -> Iterator[Target]:
    target = Target(app)
    yield target
    target.close()


def test_honest_requests_are_answered(target: Target) -> None:
    """Else everything that starts from them would be refused at the door."""
    for route in routes(target.app):
        for plan in honest(route):
            answer = target.send(plan)
            assert answer.status_code in (200, 201, 303), answer.text
            assert "error=" not in answer.headers.get("Location", "")


@pytest.mark.parametrize("part", [*PARTS, "the rest"])
def test_no_request_makes_it_fail(target: Target, part: str) -> None:
    among = [route for route in routes(target.app) if part_of(route) == part]
    assert among
    for route in among:
        probe(route, target)


def probe(route: Route, target: Target) -> None:
    """Send a route what it is worth."""

    @seed(zlib.crc32(f"{route.endpoint} {EXPLORING} {db.engine.dialect.name}".encode()))
    @settings(max_examples=(route.examples * EXPLORING + 1) // 2, suppress_health_check=list(HealthCheck))
    @given(plans(route))
    def send(plan: Plan) -> None:
        judge(plan, target)

    send()


def judge(plan: Plan, target: Target) -> None:
    """What holds for every answer."""
    answer = target.send(plan)
    assert answer.status_code < 500, target.said
    assert "Traceback" not in answer.text
    if "Location" in answer.headers:
        assert urlsplit(answer.location).netloc in OWN, answer.location
    if plan.rule.startswith("/oauth/") and answer.status_code in (400, 401, 403) and answer.is_json and answer.data:
        said = json.loads(answer.data)
        assert re.fullmatch(r"[!#-\[\]-~]+", said.get("error", said.get("code", "-")))
        assert re.fullmatch(r"[ !#-\[\]-~]*", said.get("error_description", "")), said
