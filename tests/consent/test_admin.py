"""Administration through HTTP: who may, what it shows and never shows, and what a page costs; activity, keys."""

import ast
import datetime as dt
import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from consent import cases, certificate_issue, clients, endings, lifecycle, power_files
from consent.cases import About, CaseKind
from consent.interventions import OperatorEvent
from consent.keys import ServerKey
from consent.records import ConsentEvent, State
from consent.web.admin.routes import ROUTES
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.identifiers import person_check
from dataspace.spaces import Record
from tests import factories
from tests.consent.authority import Authority, entry
from tests.consent.desk import Desk, consents, read
from tests.factories import World
from tests.statements import counted

ROOT = Path(__file__).parents[2]
# What no page of administration may ever hold: values of the record, the holder's name and identifier in clear.
SECRET = ("示例大学", "会计", "陈嘉怡", factories.PERSON)


def concrete(rule: str, world: World, case_id: str = "none", certificate_id: str = "none") -> str:
    record_id = db.session.scalars(select(Record.record_id).order_by(Record.version)).first() or ""
    rule = rule.replace("<certificate_id>", certificate_id).replace("<record_id>", record_id)
    rule = rule.replace("<consent_id>", world.consent.consent_id).replace("<client_id>", "bank")
    rule = re.sub(r"<int[^>]*:version>", "1", rule.replace("<power_id>", "tax-audit"))
    return "/admin" + rule.replace("<case_id>", case_id).replace("<source_id>", "example")


# Who may


def test_only_administrators_come_in(client: FlaskClient, world: World, admin: Holder, now: dt.datetime) -> None:
    shown = [concrete(rule, world) for method, rule, *_rest in ROUTES if method == "GET"]
    for path in shown:
        assert client.get(path, headers={"Accept": "text/html"}).status_code == 303, path
        assert client.get(path, headers={"Accept": "application/json"}).status_code == 401, path
    for person in (world.person, admin):
        desk = Desk(client).sign_in(person, now, "self")
        for path in shown:
            desk.get(path, 403)
        for method, rule, *_rest in ROUTES:
            if method == "POST":
                desk.get("/authorizations")
                desk.post(concrete(rule, world), 403, ground="other", text="x", q="x", standing="suspended")
    assert clients.get("bank").standing == "good"
    assert lifecycle.get(world.consent.consent_id).state == State.ACTIVE


def test_an_administrator_cannot_read_records_or_use_a_dashboard(app: Flask, desk: Desk, world: World) -> None:
    holders_only = [
        rule for rule in app.url_map.iter_rules()
        if rule.endpoint.split(".")[0] in ("home", "dashboard") and rule.endpoint != "home.index"
    ]  # fmt: skip
    assert len(holders_only) >= 6
    desk.get("/admin")
    for rule in holders_only:
        path = rule.rule.replace("<consent_id>", world.consent.consent_id).replace("<item_id>", "p.edu.degree")
        if "GET" in (rule.methods or ()):
            desk.get(path, 403)
        else:
            desk.get("/admin")
            desk.post(path, 403)
    assert desk.client.get("/").location == "/admin"


def test_nothing_of_administration_opens_a_record() -> None:
    modules = [
        *(ROOT / "consent/web/admin").glob("*.py"),
        ROOT / "consent/supervision.py",
        ROOT / "consent/activity.py",
    ]
    assert len(modules) > 8
    for path in modules:
        tree = ast.parse(path.read_text("utf-8"))
        names = {
            f"{node.module}.{alias.name}" if isinstance(node, ast.ImportFrom) else alias.name
            for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names
        }  # fmt: skip
        assert not [n for n in names if n.startswith("dataspace.spaces") or n == "dataspace.spaces"], path
        assert not [n for n in names if n.startswith("dataspace.vault.") and not n.endswith(".Vault")], path
        used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not used & {"holdings", "open_rows", "unseal", "unwrap", "sealed"}, path


def test_no_page_shows_a_record_or_a_holder_in_clear(desk: Desk, world: World, now: dt.datetime) -> None:
    read(world, now)
    read(world, now, refused="item_not_granted")
    about = About(consent_id=world.consent.consent_id)
    case = cases.open_case(CaseKind.COMPLAINT, about, "No.", world.actor, now, vault=factories.registry().vault)
    factories.source(now)
    Authority.registered(desk.client, now)
    power_files.enter([entry()], now, actor_id="command", text="")
    ids = world.consent.consent_id, world.item.item_id
    certificate = certificate_issue.for_holder(*ids, world.actor, now, registry=factories.registry()).certificate
    db.session.commit()
    number = certificate.certificate_id
    pages = [concrete(rule, world, case.case_id, number) for method, rule, *_rest in ROUTES if method == "GET"]
    for path in pages:
        if path.endswith(".zip"):  # a package of evidence holds all of it, and is nobody's page
            continue
        desk.get(path)
        assert not [s for s in SECRET if s in desk.page], path
        assert "style=" not in desk.page
        assert "<script" not in desk.page


def test_every_change_needs_the_token_of_a_form(desk: Desk, world: World) -> None:
    for method, rule, *_rest in ROUTES:
        if method == "POST":
            answer = desk.client.post(concrete(rule, world), data={"ground": "other", "text": "x"})
            assert answer.status_code == 400, rule
    assert lifecycle.get(world.consent.consent_id).state == State.ACTIVE


# Activity


def test_activity_merges_and_pages_without_gap_or_repetition(desk: Desk, world: World, now: dt.datetime) -> None:
    consents(world, now, 12)
    for n in range(20):
        clients.note("bank", "client:changed", now, actor_id="command", text=f"note {n}")
    db.session.commit()
    events = db.session.scalars(select(ConsentEvent)).all()
    desk.get("/admin/activity")
    seen = [tuple(row) for row in desk.rows()]
    pages = 1
    while older := re.search(r'href="([^"]*before=[^"]+)"', desk.page):
        desk.get(older[1].replace("&amp;", "&"))
        seen += [tuple(row) for row in desk.rows()]
        pages += 1
    assert pages == 3
    assert len(seen) == len(events) + 21
    notes = [row[5] for row in seen if row[5].startswith("note")]
    assert notes == [f"note {n}" for n in reversed(range(20))]


def test_activity_filters(desk: Desk, world: World, now: dt.datetime) -> None:
    factories.party(now, "other", name="珠江")
    db.session.commit()
    desk.get("/admin")
    desk.post("/admin/find", q=factories.PERSON)
    for query, expected in {
        "kind=consent:given": ["Agreed"],
        "kind=holder:searched": ["A holder was looked for by identifier"],
        "client=other": ["Third party registered"],
        "kind=client:registered&client=岭南": ["Third party registered"],
        "kind=holder:searched&client=bank": [],
        "until=2020-01-01": [],
    }.items():
        desk.get(f"/admin/activity?{query}")
        found = [row[1] for row in desk.rows()] if "Nothing happened" not in desk.says else []
        assert found == expected, query
    for nonsense in ("before=x", "before=1-consent-x", "before=99999999999999999-consent-1", "kind=%00", "since=x"):
        desk.get(f"/admin/activity?{nonsense}")


def test_the_charts_count_days_of_the_reader(desk: Desk, world: World, now: dt.datetime) -> None:
    read(world, now)
    read(world, now - dt.timedelta(days=3))
    read(world, now - dt.timedelta(days=40))
    read(world, now, refused="consent_withdrawn")
    endings.withdraw(world.consent.consent_id, world.actor, now, registry=factories.registry())
    db.session.commit()
    desk.get("/admin/activity")
    tables = {caption: desk.rows(n + 1) for n, caption in enumerate(
        ("given", "reads", "stopped", "refused", "revoked", "refused reads"))}  # fmt: skip
    totals = {caption: sum(int(count) for _day, count in rows) for caption, rows in tables.items()}
    assert totals == {"given": 1, "reads": 2, "stopped": 1, "refused": 0, "revoked": 0, "refused reads": 1}
    china = dt.timezone(dt.timedelta(hours=8))
    assert [day for day, count in tables["reads"] if count == "1"] == [
        f"{(now - dt.timedelta(days=n)).astimezone(china):%m-%d}" for n in (3, 0)
    ]
    assert desk.page.count('<svg viewBox="0 0 600 120"') == 6


# Keys


def test_rotate_the_keys(desk: Desk, admin: Holder) -> None:
    desk.get("/admin/keys")
    before = len(db.session.scalars(select(ServerKey)).all())
    assert len(desk.rows()) == before
    desk.post("/admin/keys/rotate", 400, ground="key_change", text="")
    assert "Choose a reason" in desk.says
    desk.post("/admin/keys/rotate", ground="security_incident", text="Server stolen")
    assert len(desk.rows()) == 2 * before
    assert "A rotation is under way" in desk.says
    noted = db.session.scalars(select(OperatorEvent)).one()
    assert (noted.kind, noted.actor_id, noted.text) == ("keys:rotated", admin.holder_id, "Server stolen")
    desk.get("/admin")
    desk.post("/admin/keys/rotate", 409, ground="other", text="again")


# Cost


@pytest.mark.parametrize("path", ["/admin", "/admin/consents.csv", "/admin/clients", "/admin/clients/bank",
                                  "/admin/activity", "/admin/keys", "/admin/consents/{consent}"])  # fmt: skip
def test_a_page_costs_the_same_with_one_row_and_with_thirty(
    desk: Desk, world: World, now: dt.datetime, path: str
) -> None:
    path = path.format(consent=world.consent.consent_id)
    read(world, now)
    desk.get(path)  # fills what a process keeps
    with counted() as with_one:
        desk.get(path)
    consents(world, now, 29)
    for n in range(29):
        person = factories.holder(now, _identifier(n), f"人{n}")
        factories.consent(factories.ask(world.purpose, now), factories.actor(person, now), now)
        factories.party(now, f"bank-{n}", name=f"银行{n}")
        more = factories.item(now, f"p.more.i{n}")
        factories.purpose(now, code=f"more-{n}", required=[more])
        clients.note("bank", "client:changed", now, actor_id=person.holder_id)
        read(world, now)
    db.session.commit()
    with counted() as with_thirty:
        desk.get(path)
    assert len(with_thirty) == len(with_one), "\n".join(with_thirty)
    assert len(with_thirty) <= 12


def _identifier(n: int) -> str:
    first = f"44009919800101{n:03}"
    return first + person_check(first)
