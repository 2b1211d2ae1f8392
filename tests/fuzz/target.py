"""The application that the plans are sent to: one world with everything in it, repaired as often as it gets damaged."""

import base64
import datetime as dt
import hashlib
import json
import logging
import re
import secrets
from typing import Any
from urllib.parse import quote_from_bytes

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent.asks import sign_in
from consent.client_options import GRANT_TYPES
from consent.clients import Client, Profile, Standing
from consent.oauth.client_auth import ASSERTION_TYPE
from dataspace import clock, jwk, signins
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.mandates import Capacity
from dataspace.passkeys import VerifiedSignIn
from tests import factories
from tests.conftest import ISSUER
from tests.consent.third_party import DETAILS, ThirdParty, challenge, code_for, tokens_for
from tests.consent.visitor import BROWSER, Visitor
from tests.fuzz.plans import Plan
from tests.fuzz.values import TWISTS, Real

REPAIR_EVERY = 25
FORM = "application/x-www-form-urlencoded"


class Target(logging.Handler):
    """``said``: what the application logged about errors during the last request."""

    def __init__(self, app: Flask) -> None:
        super().__init__(logging.ERROR)
        app.config["WTF_CSRF_ENABLED"] = False  # the views behind the tokens are what we want to reach
        self.app, self.now = app, clock.now()
        self.said: list[str] = []
        self.setFormatter(logging.Formatter())
        logging.getLogger("dataspace").addHandler(self)
        self._make_people()
        self._make_clients()
        db.session.commit()
        self._columns = {c.client_id: _columns_of(c) for c in db.session.query(Client)}
        self._sent = 0
        self._kept: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(self.format(record))

    def close(self) -> None:
        logging.getLogger("dataspace").removeHandler(self)
        super().close()

    def _make_people(self) -> None:
        now = self.now
        self.person, company = factories.holder(now), factories.company(now)
        agent = factories.holder(now, factories.AGENT, "周敏")
        self.mandate = factories.mandate(company, agent, Capacity.AGENT, now)
        self.people: dict[str, tuple[Holder, str]] = {
            "person": (self.person, Capacity.SELF),
            "company": (agent, self.mandate.mandate_id),
            "administrator": (factories.administrator(now), Capacity.ADMINISTRATOR),
        }

    def _make_clients(self) -> None:
        now = self.now
        plain = factories.item(now)
        sensitive = factories.item(now, "p.health.lab", ("item", "value"), sensitive=True)
        factories.record(self.person, plain, [{"school": "示例大学", "major": "会计", "level": None}], now)
        bank = factories.party(now)
        purpose = factories.purpose(
            now, required=[plain], optional=[sensitive], kinds=("natural_person", "legal_entity"), max_reads=1000
        )
        shop = factories.party(now, "shop", profile=Profile.LOGIN, method="client_secret_post")
        self.bank, self.shop = ThirdParty(bank, self.app.test_client()), ThirdParty(shop, self.app.test_client())
        bank.client.options = {"grant_types": list(GRANT_TYPES), "backchannel_token_delivery_mode": "poll"}
        self.ask, self.sign_in = factories.ask(purpose, now), sign_in("shop", ("openid", "profile"))
        self.fixed = {
            "client_id": "bank",
            "login_id": "shop",
            "secret": shop.secret or "",
            "redirect_uri": factories.REDIRECT_URI,
            "details": json.dumps(DETAILS),
            "assertion_type": ASSERTION_TYPE,
            "refresh": "refresh_token",
            "code_type": "authorization_code",
            "code_word": "code",
            "openid": "openid",
            "s256": "S256",
            "agree": "agree",
            "yesterday": "2026-11-22",
            "challenge": challenge(self.bank.verifier),
            "verifier": self.bank.verifier,
            "item_id": plain.item_id,
            "person_key": "self",
            "mandate_key": self.mandate.mandate_id,
        }

    # Sending

    def send(self, plan: Plan) -> TestResponse:
        """One request by a browser or program of its own, in an application context of its own."""
        self._repair()
        self.said.clear()
        http = self.app.test_client()
        self.browser = Visitor(http)
        self._sign_in(http, plan.actor)
        path = plan.rule
        for name, value in plan.arguments.items():
            given = quote_from_bytes(_bytes(self.value(value, "GET", path)), safe="")
            path = re.sub(rf"<(\w+:)?{name}>", given.replace("\\", ""), path)
        headers = []
        for name, value in plan.headers:
            text = _bytes(self.value(value, plan.method, path)).decode("latin-1")
            headers.append((name, text.replace("\r", " ").replace("\n", " ")))
        how = self._body(plan, path, headers)
        db.session.rollback()
        with self.app.app_context():
            response = http.open(path, method=plan.method, headers=headers, **how)
            response.get_data()
        db.session.expire_all()
        return response

    def _body(self, plan: Plan, path: str, headers: list[tuple[str, str]]) -> dict[str, Any]:
        pairs = [(name, _bytes(self.value(value, plan.method, path))) for name, value in plan.parameters]
        encoded = "&".join(f"{quote_from_bytes(n.encode(), safe='')}={quote_from_bytes(v, safe='')}" for n, v in pairs)
        encoded += plan.noise
        if plan.body == "query" or plan.method in ("GET", "HEAD", "OPTIONS"):
            return {"query_string": encoded}
        content_type, data = {
            "form": (FORM, encoded.encode()),
            "json": ("application/json", _json_object(pairs)),
            "multipart": ("multipart/form-data; boundary=x", _multipart(pairs)),
            "raw": ("", encoded.encode()[::-1]),
        }[plan.body]
        typed = any(name == "Content-Type" for name, _value in headers)
        return {"data": data} if typed else {"data": data, "content_type": content_type}

    def _sign_in(self, http: FlaskClient, who: str) -> None:
        with http.session_transaction() as session:
            session["browser"] = BROWSER
            if who in self.people:
                person, acting = self.people[who]
                now = clock.now()
                secret = signins.start(VerifiedSignIn(person_id=person.holder_id, passkey_id="pk", at=now), now)
                visit = signins.visit(secret, now, idle=dt.timedelta(hours=1))
                assert visit is not None
                if acting != Capacity.SELF:
                    signins.act_as(visit.actor, acting, now)
                db.session.commit()
                session["signin"] = secret

    def _repair(self) -> None:
        """What earlier requests have used up or changed: clients as they were, fresh codes and tokens."""
        self._sent += 1
        if self._sent % REPAIR_EVERY != 1:
            return
        for client in db.session.query(Client):
            if client.client_id in self._columns:
                for name, value in self._columns[client.client_id].items():
                    setattr(client, name, value)
        db.session.commit()
        self._kept.clear()

    # What only the application has

    def value(self, value: Any, method: str, path: str) -> str | bytes:
        """A drawn value as it is sent."""
        if not isinstance(value, Real):
            return bytes(value) if isinstance(value, bytes) else str(value)
        return TWISTS[value.twist](self._real(value, method, path))

    def _real(self, real: Real, method: str, path: str) -> str:
        what = real.what
        if what in self.fixed:
            return self.fixed[what]
        if what == "dpop_token":
            return f"DPoP {self._keep('access_token')}"
        if what in ("assertion", "request_object", "other_jwt", "proof", "proof_with_token"):
            return self._jwt(real, method, path)
        if what in ("handle", "data_handle"):
            ask = self.sign_in if what == "handle" else self.ask
            return self.browser.asked(ask, clock.now()).rpartition("/")[2]
        if what == "request_uri":
            return str(self.bank.push().get_json()["request_uri"])
        if what in ("code", "login_code"):
            return code_for(self.bank if what == "code" else self.shop, factories.actor(self.person, clock.now()))[0]
        return self._keep(what)

    def _keep(self, what: str) -> str:
        """What is made once and used until the next repair."""
        if what not in self._kept:
            by = factories.actor(self.person, clock.now())
            if what.startswith("login"):
                told = tokens_for(self.shop, by, scope="openid profile offline_access")
                self._kept |= {f"login_{name}": told[name] for name in ("access_token", "refresh_token")}
            else:
                told = tokens_for(self.bank, by)
                self._kept |= {name: told[name] for name in ("access_token", "refresh_token")}
                self._kept["consent_id"] = told["grant_id"]
        return self._kept[what]

    def _jwt(self, real: Real, method: str, path: str) -> str:
        now = int(clock.now().timestamp())
        claims: dict[str, Any] = {"jti": secrets.token_hex(8), "iat": now}
        header: dict[str, Any] = {"alg": "ES256"}
        third = self.shop if path == "/authorize" else self.bank  # who asks through the browser signs people in
        key = third.party.key
        if real.what.startswith("proof"):
            key = self.bank.proof_key
            header |= {"typ": "dpop+jwt", "jwk": jwk.public_jwk(key.private_key)}
            claims |= {"htm": method, "htu": ISSUER + path}
            if real.what == "proof_with_token":
                digest = hashlib.sha256(self._keep("access_token").encode()).digest()
                claims["ath"] = jwk.b64encode(digest)
        else:
            header |= {"typ": "JWT", "kid": key.kid}
            claims |= {"iss": third.client_id, "aud": ISSUER, "exp": now + 60, "nbf": now}
            claims |= third.request() if real.what == "request_object" else {"sub": third.client_id}
        return _signed(_with(header, real.headers), _with(claims, real.claims), key.private_key)


def _columns_of(client: Client) -> dict[str, Any]:
    names = ("standing", "redirect_uris", "jwks", "jwks_uri", "secret_digest", "options", "contact", "address")
    return {name: getattr(client, name) for name in names} | {"standing": Standing.GOOD}


def _json_object(pairs: list[tuple[str, bytes]]) -> bytes:
    """Values that look like JSON stand in it as they are, the others as strings."""
    texts = [(json.dumps(name), value.decode("utf-8", "replace")) for name, value in pairs]
    members = [f"{name}:{text if text[:1] in set('[{-0123456789ntf') else json.dumps(text)}" for name, text in texts]
    return ("{" + ",".join(members) + "}").encode()


def _multipart(pairs: list[tuple[str, bytes]]) -> bytes:
    parts = [b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (n.encode(), v) for n, v in pairs]
    return b"".join(parts) + b"--x--"


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")


def _with(members: dict[str, Any], changes: tuple[tuple[str, str], ...]) -> bytes:
    """A JSON object whose changed members are JSON texts, however odd."""
    texts = {name: json.dumps(value) for name, value in members.items()} | dict(changes)
    return ("{" + ",".join(f'"{name}":{text}' for name, text in texts.items()) + "}").encode()


def _signed(header: bytes, payload: bytes, key: Any) -> str:
    """A compact JWS, ES256 whatever the header says."""
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, payload))
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()
