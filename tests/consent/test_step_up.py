"""The step-up challenge on the data API (RFC 9470): a sensitive item needs a strong sign-in that is not too old."""

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from consent.oauth.tokens import Token
from dataspace import clock
from dataspace.accesses import Access
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.mandates import Actor
from dataspace.permission import SENSITIVE_MAX_AGE
from tests import factories
from tests.consent.third_party import ThirdParty, parameters_of, tokens_for
from tests.consent.visitor import Page, Visitor

PLAIN, SENSITIVE = "p.edu.degree", "p.health.visit"
SECOND = dt.timedelta(seconds=1)


@dataclass
class Scene:
    bank: ThirdParty
    by: Actor

    def read(self, query: str, *, signed_in: dt.timedelta, acr: str) -> Any:
        """A read with a token from a sign-in so long ago, of this class."""
        token = tokens_for(self.bank, self.by)["access_token"]
        db.session.execute(update(Token).values(auth_time=clock.now() - signed_in, acr=acr))
        db.session.commit()
        path = "/api/v1/data" + (query if query.startswith("/") else "")
        headers = {"Authorization": f"DPoP {token}", "DPoP": self.bank.proof("GET", path, access_token=token)}
        return self.bank.http.get(path + ("" if query.startswith("/") else query), headers=headers)


@pytest.fixture
def scene(app: Flask, client: FlaskClient) -> Scene:
    now = clock.now()
    person = factories.holder(now)
    degree = factories.item(now, PLAIN)
    visit = factories.item(now, SENSITIVE, sensitive=True)
    for item in (degree, visit):
        factories.record(person, item, [{"school": "示例大学", "major": "会计", "level": None}], now)
    party = factories.party(now)
    factories.purpose(now, required=[degree, visit])
    db.session.commit()
    return Scene(ThirdParty(party, client), factories.actor(person, now))


PASSKEY = "urn:dataspace:acr:passkey"
CASES: dict[str, tuple[str, dt.timedelta, str, int]] = {
    "fresh, everything": ("", SECOND, PASSKEY, 200),
    "just within the bound": ("", SENSITIVE_MAX_AGE - 10 * SECOND, PASSKEY, 200),
    "rfc9470 3 too old, everything": ("", SENSITIVE_MAX_AGE + SECOND, PASSKEY, 401),
    "rfc9470 3 too old, by query": (f"?items={PLAIN},{SENSITIVE}", SENSITIVE_MAX_AGE + SECOND, PASSKEY, 401),
    "rfc9470 3 too old, by path": (f"/{SENSITIVE}", SENSITIVE_MAX_AGE + SECOND, PASSKEY, 401),
    "too old, only what is not sensitive, by query": (f"?items={PLAIN}", SENSITIVE_MAX_AGE + SECOND, PASSKEY, 200),
    "too old, only what is not sensitive, by path": (f"/{PLAIN}", SENSITIVE_MAX_AGE + SECOND, PASSKEY, 200),
    "rfc9470 3 weak": (f"/{SENSITIVE}", SECOND, "urn:other", 401),
    "rfc9470 3 unknown": (f"/{SENSITIVE}", SECOND, "", 401),
    "weak, only what is not sensitive": (f"/{PLAIN}", SECOND, "urn:other", 200),
}


@pytest.mark.parametrize(("query", "signed_in", "acr", "status"), CASES.values(), ids=list(CASES))
def test_what_a_sensitive_item_needs(scene: Scene, query: str, signed_in: dt.timedelta, acr: str, status: int) -> None:
    answer = scene.read(query, signed_in=signed_in, acr=acr)
    assert answer.status_code == status, answer.text
    logged = db.session.scalars(select(Access).order_by(Access.access_id.desc())).first()
    assert logged is not None
    assert (logged.outcome, logged.reason) == (
        ("answered", None) if status == 200 else ("refused", "insufficient_user_authentication")
    )


def test_the_challenge_says_what_is_needed(scene: Scene) -> None:
    answer = scene.read("", signed_in=SENSITIVE_MAX_AGE + SECOND, acr=PASSKEY)
    assert answer.mimetype == "application/problem+json"
    assert answer.json["code"] == "insufficient_user_authentication"
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith("DPoP ")
    assert 'error="insufficient_user_authentication"' in challenge
    assert f'acr_values="{PASSKEY}"' in challenge
    assert f'max_age="{int(SENSITIVE_MAX_AGE.total_seconds())}"' in challenge
    assert "示例大学" not in answer.text


def test_other_refusals_ask_for_no_other_sign_in(scene: Scene) -> None:
    answer = scene.read("/p.unknown", signed_in=SECOND, acr=PASSKEY)
    assert answer.json["code"] == "item_not_granted"
    assert "acr_values" not in answer.headers["WWW-Authenticate"]


def test_a_fresh_sign_in_opens_what_was_refused(scene: Scene, client: FlaskClient) -> None:
    """RFC 9470 section 4: the client asks anew with what the challenge says, in place of what it has."""
    now = clock.now()
    token = tokens_for(scene.bank, scene.by)
    path = f"/api/v1/data/{SENSITIVE}"
    db.session.execute(update(Token).values(auth_time=now - SENSITIVE_MAX_AGE - SECOND))
    db.session.commit()
    challenge = scene.bank.read(token["access_token"], path).headers["WWW-Authenticate"]
    said = dict(re.findall(r'(max_age|acr_values)="([^"]+)"', challenge))
    replace = {"grant_management_action": "replace", "grant_id": token["grant_id"]}
    url = scene.bank.authorize_url(**said, **replace)
    person = db.session.get_one(Holder, scene.by.person_id)
    old = Visitor(client).sign_in(person, now - SENSITIVE_MAX_AGE - SECOND)
    old.get(url)
    assert old.path.startswith("/signin"), old.path
    visitor = Visitor(client).sign_in(person, clock.now())
    visitor.get(url)
    page = agree_to_all(visitor)
    code = parameters_of(next(href for _words, href in page.links if "code=" in href))["code"]
    body = scene.bank.token(code).json
    assert (body["grant_id"], body["consent_version"]) == (token["grant_id"], 2)
    assert scene.bank.read(body["access_token"], path).status_code == 200


def agree_to_all(visitor: Visitor) -> Page:
    """Every screen of the consent page, to the last."""
    for _ in range(6):
        for words in ("Agree", "Give this item", "Next"):
            if visitor.page.offers(words):
                visitor.tap(words)
                break
        else:
            break
    return visitor.page
