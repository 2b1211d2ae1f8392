"""No way round the log: values leave to others through few functions, each with its row and entry, or not at all."""

import ast
import contextlib
import datetime as dt
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent.clients import Profile
from consent.oauth import identity
from dataspace import accesses, clock, disclosure, jwk
from dataspace.accesses import Access
from dataspace.by_law import DeferredAccess
from dataspace.db import db
from dataspace.entries import WaitingEntry
from tests import factories
from tests.consent.authority import Authority, administrators, approved
from tests.consent.relying_party import answer_of, arrive, signed_in, user_info
from tests.consent.third_party import ThirdParty, tokens_for
from tests.consent.visitor import Visitor

ROOT = Path(__file__).parents[2]
OPENERS = (
    "extracts.read", "extracts.deliver", "deliver", "comparisons.compare", "spaces.holdings", "open_rows", "unseal",
    "holders.profiles", "holders.identifier_of", "data_certificates.content",
)  # fmt: skip
# Whatever opens values of a record or the name of a holder, and who calls it: nobody else does. What goes to somebody
# other than the holder has its row in the access log; the rest says why it needs none.
LOGGED = "its row and entry are in the transaction in which it leaves"
HOLDER = "the holder's own view"
CALLERS: dict[str, dict[str, str]] = {
    "extracts.read": {
        "dataspace.web.api._answer": LOGGED,
        "consent.oauth.identity._read": LOGGED,
        "consent.certificate_issue.for_client": LOGGED,
    },
    "extracts.deliver": {
        "dataspace.comparisons.compare": LOGGED,
        "consent.certificate_issue.for_holder": "sealed in the holder's space; it leaves by presentations",
    },
    "data_certificates.content": {
        "consent.presentations._shown": HOLDER,
        "consent.web.certificates._choices": HOLDER,
        "consent.web.certificates.download": "the holder takes it along",
        "consent.archive_parts._certificates": "the holder's copy of everything",
        "consent.presentations.look": "what was opened by open_link, which has written its row and entry",
    },
    "deliver": {"dataspace.extracts.read": "what writes the row"},
    "comparisons.compare": {"dataspace.web.api.compare": LOGGED},
    "spaces.holdings": {
        "dataspace.web.pages.data": HOLDER,
        "dataspace.web.pages._held": HOLDER,
        "consent.web.asking._items": "the preview on the consent page, for who decides",
    },
    "open_rows": {
        "dataspace.spaces.holdings": "see spaces.holdings",
        "dataspace.spaces.deposit": "compared with what is brought; nothing leaves",
        "consent.web.archive_pages._records": "the holder's copy of everything",
    },
    "unseal": {
        "dataspace.spaces.open_rows": "see open_rows",
        "dataspace.extracts._opened": "see deliver",
        "dataspace.record_erasure._seal_anew": "sealed again under another key; nothing leaves",
        "consent.data_certificates.content": "see data_certificates.content",
        "consent.data_certificates.note_of": "to whom a certificate was shown, not what",
        "dataspace.sources.storing._current": "compared with what its own source brings; nothing leaves",
        **dict.fromkeys(
            (f"consent.archive_parts.{name}" for name in ("parts", "_holder", "_records", "_consents")),
            "the holder's copy of everything",
        ),
        "dataspace.holders.profiles": "see holders.profiles",
        "dataspace.holders.identifier_of": "see holders.identifier_of",
    },
    "holders.profiles": {
        "consent.oauth.identity.values": LOGGED,
        "consent.certificate_issue._about": "part of a certificate, see there",
        "consent.supervision.masked": "administrators see the first character of a name",
    },
    "holders.identifier_of": {
        "dataspace.guardians.birthday": "a birthday decides who acts; nothing leaves",
        "consent.certificate_issue._about": "part of a certificate, see there",
    },
}
# Modules whose calls of these open nothing of a record: their own texts, or names shown to those who know them.
ELSEWHERE = {
    "unseal": {
        "dataspace.walks", "dataspace.wrapping", "dataspace.mail", "consent.receipts", "consent.archives",
        "consent.cases", "consent.deaths", "consent.evidence_package", "consent.web.cards",
    },
    "holders.profiles": {
        "consent.web.visits", "consent.web.cards", "consent.web.inbox", "consent.web.dashboard",
        "consent.web.decisions", "dataspace.web.passkeys", "dataspace.web.signin", "dataspace.web.doors",
    },
}  # fmt: skip


def calls() -> Iterator[tuple[str, str, str]]:
    """(module, function, opener that it calls) of all our code."""
    for path in [*ROOT.glob("dataspace/**/*.py"), *ROOT.glob("consent/**/*.py")]:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                called = {ast.unparse(call.func) for call in ast.walk(node) if isinstance(call, ast.Call)}
                yield from ((module, node.name, opener) for opener in called & set(OPENERS))


def test_nobody_else_opens_values() -> None:
    found: dict[str, set[str]] = {opener: set() for opener in OPENERS}
    for module, function, opener in calls():
        if module not in ELSEWHERE.get(opener, ()) or f"{module}.{function}" in CALLERS[opener]:
            found[opener].add(f"{module}.{function}")
    assert found == {opener: set(callers) for opener, callers in CALLERS.items()}


# And what leaves, over HTTP


@dataclass
class Scene:
    """A person with records; a bank that reads, one that compares, an authority, a shop where she signs in."""

    world: factories.World
    http: FlaskClient
    bank: ThirdParty
    shop: ThirdParty
    tax: Authority

    @property
    def token(self) -> str:
        return str(tokens_for(self.bank, self.world.actor, give=self.world.consent)["access_token"])


@pytest.fixture
def scene(app: Flask, client: FlaskClient) -> Scene:
    now = clock.now()
    world = factories.world(now)
    item = factories.item(now, identity.IDENTITY, ("name", "sex"))
    factories.record(world.person, item, [{"name": "陈嘉怡", "sex": "女"}], now)
    party = factories.party(now, "shop", profile=Profile.LOGIN, method="client_secret_basic", name="示例商店")
    tax = Authority.registered(client, now)
    approved(administrators(now), now)
    bank, shop = ThirdParty(world.party, client), ThirdParty(party, client)
    return Scene(world=world, http=client, bank=bank, shop=shop, tax=tax)


def prepared(scene: Scene, way: str) -> Callable[[], TestResponse]:
    """The request that makes values leave; what leads to it is done before."""
    bank, tax, token = scene.bank, scene.tax, ""
    if way in READS:
        token, path = scene.token, READS[way]
        return lambda: bank.read(token, path)
    if way == "certificate":
        token = scene.token
        headers = {"Authorization": f"DPoP {token}", "DPoP": bank.proof("POST", CERTIFICATES, access_token=token)}
        return lambda: scene.http.post(CERTIFICATES, json={"item": "p.edu.degree"}, headers=headers)
    if way == "signed":
        token = scene.token
        headers = {"Authorization": f"DPoP {token}", "DPoP": bank.proof("GET", DATA, access_token=token)}
        return lambda: scene.http.get(DATA, headers=headers | {"Accept": "application/jwt"})
    if way in BY_LAW:
        token = tax.token_for_case(**BY_LAW[way])
        return lambda: tax.read(token)
    if way in USER_INFO:
        token = str(signed_in(scene.shop, scene.world.person, **USER_INFO[way])["access_token"])
        return lambda: user_info(scene.shop, token)
    visitor = Visitor(scene.http.application.test_client()).sign_in(scene.world.person, clock.now())
    page = arrive(scene.shop, visitor, scope="openid", claims=json.dumps({"id_token": {"gender": None, "name": None}}))
    page = visitor.tap("Agree") if page.offers("Agree") else page
    code = answer_of(page)["code"]
    return lambda: scene.shop.token(code)


DATA, CERTIFICATES = "/api/v1/data", "/api/v1/certificates"
READS = {"all": DATA, "named": f"{DATA}?items=p.edu.degree", "one": f"{DATA}/p.edu.degree"}
BY_LAW: dict[str, dict[str, Any]] = {"by law": {}, "by law, shown later": {"defer_days": 3}}
USER_INFO = {
    "userinfo": {"scope": "openid profile"},
    "userinfo, only the name": {"scope": "openid", "claims": json.dumps({"userinfo": {"name": None}})},
}
WAYS = (*READS, "signed", "certificate", *BY_LAW, *USER_INFO, "id token")
VALUES = ("示例大学", "陈嘉怡", "female")


def holds_values(answer: TestResponse) -> bool:
    """Also inside a signed token."""
    said = answer.get_data(as_text=True)
    for part in re.split(r"[^A-Za-z0-9_-]+", said):
        with contextlib.suppress(jwk.InvalidToken, ValueError):
            said += json.dumps(json.loads(jwk.b64decode(part)), ensure_ascii=False)
    return any(value in said for value in VALUES)


def lines() -> int:
    tables = (Access, DeferredAccess)
    return sum(db.session.scalar(sa.select(sa.func.count()).select_from(table)) or 0 for table in tables)


@pytest.mark.parametrize("way", WAYS)
def test_what_leaves_has_its_row_and_its_entry(scene: Scene, way: str) -> None:
    request = prepared(scene, way)
    before = lines()
    entries = set(db.session.scalars(sa.select(WaitingEntry.key)))
    answer = request()
    assert answer.status_code in (200, 201), answer.text
    assert holds_values(answer)
    db.session.rollback()
    assert lines() == before + 1
    disclosure.sweep(clock.now() + dt.timedelta(days=4), 10)
    line = db.session.scalars(sa.select(Access).order_by(Access.access_id.desc())).first()
    assert line is not None
    entry = accesses.entry_of(line)
    assert entry is not None
    assert entry.key in set(db.session.scalars(sa.select(WaitingEntry.key))) - entries


@pytest.mark.parametrize("table", ["accesses", "evidence_waiting"])
@pytest.mark.parametrize("way", WAYS)
def test_nothing_leaves_when_it_cannot_be_written_down(scene: Scene, way: str, table: str) -> None:
    if db.engine.dialect.name != "sqlite":
        pytest.skip("the trigger is SQLite's; the order of writing and answering is the same")
    request = prepared(scene, way)
    table = "deferred_accesses" if (way, table) == ("by law, shown later", "accesses") else table
    db.session.execute(sa.text(
        f"CREATE TRIGGER full BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'full'); END"
    ))  # fmt: skip
    db.session.commit()
    try:
        answer = request()
    finally:
        db.session.rollback()
        db.session.execute(sa.text("DROP TRIGGER full"))
        db.session.commit()
    assert answer.status_code >= 400
    assert not holds_values(answer)
