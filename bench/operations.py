"""What is measured: for each operation its prepared requests, for the service and for the floor.

Every request is good for one use: the proofs and assertions in it count once. Codes, tokens and details are made
beforehand, so that the clock sees the endpoint and nothing of its preparation.
"""

import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from types import MappingProxyType

from bench import requests, seed

DETAILS = json.dumps([{"type": "data_space_access", "purpose": "loan-review"}])
Prepare = Callable[[str, seed.World, int, dt.datetime], Iterator[bytes]]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """``path`` at the service and ``floor`` at the floor; ``share``: of the requests per second that a read makes."""

    path: str
    floor: str
    prepare: Prepare
    expected: int = 200
    share: float = 1.0

    def requests(self, world: seed.World, count: int, now: dt.datetime, *, at_floor: bool) -> list[bytes]:
        """So many requests, ready to send."""
        return list(self.prepare(self.floor if at_floor else self.path, world, int(count * self.share), now))


def _reads(path: str, world: seed.World, count: int, now: dt.datetime) -> Iterator[bytes]:
    return _presented(path, world, seed.tokens(world, "access", "", now), count)


def _user_infos(path: str, world: seed.World, count: int, now: dt.datetime) -> Iterator[bytes]:
    return _presented(path, world, seed.tokens(world, "access", "openid", now), count)


def _presented(path: str, world: seed.World, tokens: list[str], count: int) -> Iterator[bytes]:
    for token in islice(cycle(tokens), count):
        proof = requests.proof(world.proof_key, world.proof_jwk, "GET", requests.ISSUER + path, token)
        yield requests.get(path, {"Authorization": f"DPoP {token}", "DPoP": proof})


def _introspections(path: str, world: seed.World, count: int, now: dt.datetime) -> Iterator[bytes]:
    for token in islice(cycle(seed.tokens(world, "access", "", now)), count):
        yield requests.post(path, requests.authenticated(world.client_key, {"token": token}), {})


def _exchanges(path: str, world: seed.World, count: int, now: dt.datetime) -> Iterator[bytes]:
    for code in seed.codes(world, count, now):
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": requests.REDIRECT_URI,
            "code_verifier": requests.VERIFIER,
        }  # fmt: skip
        yield _proved(path, world, form)


def _refreshes(path: str, world: seed.World, count: int, now: dt.datetime) -> Iterator[bytes]:
    for token in islice(cycle(seed.tokens(world, "refresh", "", now)), count):
        yield _proved(path, world, {"grant_type": "refresh_token", "refresh_token": token})


def _pushes(path: str, world: seed.World, count: int, _now: dt.datetime) -> Iterator[bytes]:
    form = {
        "response_type": "code", "redirect_uri": requests.REDIRECT_URI, "state": "s" * 22, "scope": "openid",
        "code_challenge": requests.challenge(), "code_challenge_method": "S256", "authorization_details": DETAILS,
    }  # fmt: skip
    for _ in range(count):
        yield requests.post(path, requests.authenticated(world.client_key, form), {})


def _proved(path: str, world: seed.World, form: dict[str, str]) -> bytes:
    proof = requests.proof(world.proof_key, world.proof_jwk, "POST", requests.ISSUER + path)
    return requests.post(path, requests.authenticated(world.client_key, form), {"DPoP": proof})


OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "read": Operation(path="/api/v1/data", floor="/read", prepare=_reads),
        "introspect": Operation(path="/oauth/introspect", floor="/introspect", prepare=_introspections, share=0.5),
        "token": Operation(path="/oauth/token", floor="/token", prepare=_exchanges, share=1 / 3),
        "refresh": Operation(path="/oauth/token", floor="/refresh", prepare=_refreshes, share=1 / 3),
        "par": Operation(path="/oauth/par", floor="/par", prepare=_pushes, expected=201, share=0.5),
        "userinfo": Operation(path="/userinfo", floor="/userinfo", prepare=_user_infos),
    }
)
