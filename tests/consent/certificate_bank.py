"""A bank that has certificates made over what a person has given it, and ways to tamper with them."""

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent.records import Consent
from dataspace import clock, jose, jwk
from dataspace.db import db
from dataspace.mandates import Actor
from tests import factories
from tests.consent.third_party import LEFT_OUT, ThirdParty, tokens_for

PATH = "/api/v1/certificates"
ITEM = "p.edu.degree"


class Bank(ThirdParty):
    """A third party that has certificates made."""

    holder: Actor
    access_token: str

    def call(self, method: str, path: str = PATH, body: Any = None, **changes: Any) -> TestResponse:
        proof = changes.get("proof", self.proof(method, path, access_token=self.access_token))
        headers = {"Authorization": f"DPoP {self.access_token}"} | ({} if proof is LEFT_OUT else {"DPoP": proof})
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        return self.http.open(path, method=method, headers=headers, data=data)

    def makes(self, item: str = ITEM) -> dict[str, Any]:
        answer = self.call("POST", body={"item": item})
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json
        return found

    @property
    def consent(self) -> Consent:
        db.session.rollback()
        return db.session.scalars(sa.select(Consent)).one()


def make_bank(client: FlaskClient, **purpose: Any) -> Bank:
    now = clock.now()
    person = factories.holder(now)
    degree = factories.item(now)
    power = factories.item(now, "p.energy.home", ("month", "kwh"), many=True, period_field="month")
    factories.record(person, degree, [{"school": "示例大学", "major": "会计", "level": None}], now)
    factories.record(person, power, [{"month": "2026-08", "kwh": 120}, {"month": "2026-09", "kwh": 131}], now)
    found = Bank(factories.party(now), client)
    factories.purpose(now, required=[degree, power], **purpose)
    db.session.commit()
    found.holder = factories.actor(person, now)
    found.access_token = tokens_for(found, found.holder)["access_token"]
    return found


def binding(text: str, key: jwk.SigningKey, nonce: str, audience: str) -> str:
    """A key binding JWT (RFC 9901 section 4.3)."""
    digest = jwk.b64encode(hashlib.sha256(text.encode()).digest())
    claims = {"iat": int(clock.now().timestamp()), "aud": audience, "nonce": nonce, "sd_hash": digest}
    return jose.sign(claims, key, typ="kb+jwt")


def altered_disclosure(whole: str) -> str:
    signed, first, *rest = whole.split("~")
    salt, name, _value = json.loads(jwk.b64decode(first))
    return "~".join([signed, jwk.b64encode(json.dumps([salt, name, "something else"]).encode()), *rest])


def flipped_signature(whole: str) -> str:
    signed, *rest = whole.split("~")
    head, body, signature = signed.split(".")
    raw = bytearray(jwk.b64decode(signature))
    raw[7] ^= 1
    return "~".join([f"{head}.{body}.{jwk.b64encode(bytes(raw))}", *rest])
