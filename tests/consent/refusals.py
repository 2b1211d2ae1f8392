"""One world that many wrong requests are sent into; none of them may leave a trace in it.

Shared by a whole table, because nothing in the table may change it: that is what the table shows.
"""

import base64
import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from flask import Flask
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from consent.clients import Profile
from consent.oauth.codes import AuthorizationCode
from consent.oauth.par import AuthorizationRequest
from consent.oauth.tokens import Token
from consent.records import Consent, ConsentEvent
from dataspace import clock, jwk
from dataspace.db import db
from tests import factories
from tests.consent.third_party import LEFT_OUT, ThirdParty, code_for, proof_key, tokens_for

HOUR = dt.timedelta(hours=1)
KEPT = (AuthorizationRequest, AuthorizationCode, Token, Consent, ConsentEvent)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """``bank`` reads data, ``shop`` signs people in and authenticates with Basic, ``mart`` is a second data client.

    ``bare_code``: the shop's, of a request without a code_challenge.
    """

    app: Flask
    bank: ThirdParty
    shop: ThirdParty
    mart: ThirdParty
    code: str
    access: str
    refresh: str
    shop_code: str
    bare_code: str
    shop_access: str
    stranger: jwk.SigningKey = field(default_factory=proof_key)

    @contextmanager
    def visit(self) -> Iterator[None]:
        """A browser of its own and a database session of its own, as in production."""
        with self.app.app_context():
            for party in (self.bank, self.shop, self.mart):
                party.http = self.app.test_client()
            yield

    def counts(self) -> list[int]:
        """How much there is of everything that a request could leave behind, and what of it is still good."""
        live = select(func.count()).select_from(Token).where(Token.revoked_at.is_(None))
        unused = select(func.count()).select_from(AuthorizationCode).where(AuthorizationCode.used_at.is_(None))
        rows = [select(func.count()).select_from(model) for model in KEPT]
        return [db.session.scalar(statement) or 0 for statement in (*rows, live, unused)]


def stage(app: Flask) -> Scene:
    """Everybody registered, tokens given, all of it good for an hour."""
    now = clock.now()
    world = factories.world(now)
    http = app.test_client()
    bank = ThirdParty(world.party, http)
    shop = ThirdParty(factories.party(now, "shop", profile=Profile.LOGIN, method="client_secret_basic"), http)
    mart = ThirdParty(factories.party(now, "mart"), http)
    db.session.commit()
    given = tokens_for(bank, world.actor, give=world.consent)
    signed_in = factories.sign_in_consent("shop", world.actor, now)
    bearer = tokens_for(shop, world.actor, give=signed_in)["access_token"]
    code, _consent = code_for(bank, world.actor, give=world.consent)
    shop_code, _consent = code_for(shop, world.actor, give=signed_in)
    bare = {"code_challenge": LEFT_OUT, "code_challenge_method": LEFT_OUT}
    bare_code, _consent = code_for(shop, world.actor, give=signed_in, **bare)
    for model in (AuthorizationCode, Token):
        db.session.execute(update(model).values(expires_at=now + HOUR))
    db.session.commit()
    return Scene(
        app=app, bank=bank, shop=shop, mart=mart, code=code, access=given["access_token"],
        refresh=given["refresh_token"], shop_code=shop_code, bare_code=bare_code, shop_access=bearer,
    )  # fmt: skip


Send = Callable[[Scene], TestResponse]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One wrong request. ``error``: the code in the answer; empty where the answer has none."""

    endpoint: str
    wrong: str
    send: Send
    status: int
    error: str

    def __str__(self) -> str:
        return f"{self.endpoint}: {self.wrong}"


def values(changes: dict[str, Any], scene: Scene) -> dict[str, Any]:
    """``changes`` with what has to be made anew for every request."""
    return {name: value(scene) if callable(value) else value for name, value in changes.items()}


def push(**changes: Any) -> Send:
    """A pushed request of the bank."""
    return lambda scene: scene.bank.push(**values(changes, scene))


def ask(**changes: Any) -> Send:
    """An authorization request of the shop, through the browser."""
    return lambda scene: scene.shop.http.get(f"/authorize?{urlencode(scene.shop.request(**values(changes, scene)))}")


def exchange(**changes: Any) -> Send:
    """The bank's code for tokens."""
    return lambda scene: scene.bank.token(scene.code, **values(changes, scene))


def exchange_by_secret(**changes: Any) -> Send:
    """The shop's code for tokens."""
    return lambda scene: scene.shop.token(scene.shop_code, **values(changes, scene))


def renew(**changes: Any) -> Send:
    """The bank's refresh token for another access token."""
    return lambda scene: scene.bank.refresh(scene.refresh, **values(changes, scene))


def introspect(**changes: Any) -> Send:
    return lambda scene: scene.bank.introspect(scene.access, **values(changes, scene))


def revoke(**changes: Any) -> Send:
    return lambda scene: scene.bank.revoke(scene.access, **values(changes, scene))


def assertion(**changes: Any) -> Callable[[Scene], str]:
    """A client assertion of the bank with something wrong in it; times are seconds from now."""
    return lambda scene: scene.bank.assertion(**_in_time(values(changes, scene)))


def proof(method: str, path: str, **changes: Any) -> Callable[[Scene], str]:
    """A proof of the bank with something wrong in it; times are seconds from now."""
    return lambda scene: scene.bank.proof(method, path, **_in_time(values(changes, scene)))


def _in_time(claims: dict[str, Any]) -> dict[str, Any]:
    now = int(clock.now().timestamp())
    return {
        name: now + value if name in ("iat", "exp", "nbf") and isinstance(value, int) else value
        for name, value in claims.items()
    }


def raw(method: str, path: str, **request: Any) -> Send:
    """Any request; ``headers`` and ``data`` may be made anew."""

    def send(scene: Scene) -> TestResponse:
        return scene.app.test_client().open(path, method=method, **values(request, scene))

    return send


def basic(client_id: str, secret: str) -> dict[str, str]:
    """HTTP Basic authentication."""
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


def presenting(
    method: str, path: str, scheme: str, token: Callable[[Scene], str], **changes: Any
) -> Callable[[Scene], dict[str, str]]:
    """Headers that present a token, with the bank's proof (changed) unless ``proof`` is LEFT_OUT."""

    def headers(scene: Scene) -> dict[str, str]:
        found = {"Authorization": f"{scheme} {token(scene)}"}
        changed = dict(changes)
        if changed.pop("proof", None) is not LEFT_OUT:
            given = {"access_token": token(scene)} | _in_time(values(changed, scene))
            found["DPoP"] = scene.bank.proof(method, path.partition("?")[0], **given)
        return found

    return headers
