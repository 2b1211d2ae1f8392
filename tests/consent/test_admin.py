"""Administration through HTTP: who may, what it shows and never shows, finding, revoking, clients, activity, keys."""

import ast
import datetime as dt
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from consent import cases, certificate_issue, clients, endings, lifecycle, power_files
from consent.cases import About, CaseKind
from consent.clients import ClientEvent
from consent.interventions import OperatorEvent
from consent.keys import ServerKey
from consent.records import Consent, ConsentEvent, Reason, State, facts_of, why_inactive
from consent.web.admin.routes import ROUTES
from dataspace import accesses, jwk
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.identifiers import person_check
from dataspace.permission import Permission
from dataspace.spaces import Record
from tests import factories
from tests.consent.authority import Authority, entry
from tests.consent.desk import Desk
from tests.factories import World
from tests.statements import counted

ROOT = Path(__file__).parents[2]
# What no page of administration may ever hold: values of the record, the holder's name and identifier in clear.
SECRET = ("示例大学", "会计", "陈嘉怡", factories.PERSON)
FORM = {
    "client_id": "new-bank",
    "legal_name__zh_hans": "新示例银行",
    "legal_name__en": "New Example Bank",
    "uscc": "91440099MA9T00042L",
    "contact": "400-111-2222",
    "profile": "data",
    "token_endpoint_auth_method": "private_key_jwt",
    "id_token_signed_response_alg": "ES256",
    "redirect_uris": "https://new.example/one\nhttps://new.example/two",
    "text": "Application 2026-17",
    "ground": "registration",
}


@pytest.fixture
def world(app: Flask, now: dt.datetime) -> World:
    return factories.world(now)


@pytest.fixture
def admin(app: Flask, now: dt.datetime) -> Holder:
    person = factories.administrator(now)
    db.session.commit()
    return person


@pytest.fixture
def desk(client: FlaskClient, world: World, admin: Holder, now: dt.datetime) -> Desk:
    return Desk(client).sign_in(admin, now)


def jwks(**more: Any) -> str:
    key = jwk.generate_key("ES256")
    return json.dumps({"keys": [jwk.public_jwk(key, kid="k1", alg="ES256") | more]})


def concrete(rule: str, world: World, case_id: str = "none", certificate_id: str = "none") -> str:
    record_id = db.session.scalars(select(Record.record_id).order_by(Record.version)).first() or ""
    rule = rule.replace("<certificate_id>", certificate_id).replace("<record_id>", record_id)
    rule = rule.replace("<consent_id>", world.consent.consent_id).replace("<client_id>", "bank")
    rule = re.sub(r"<int[^>]*:version>", "1", rule.replace("<power_id>", "tax-audit"))
    return "/admin" + rule.replace("<case_id>", case_id).replace("<source_id>", "example")


def consents(world: World, now: dt.datetime, count: int, **changes: Any) -> list[Consent]:
    """More consents of the same person, the newest last."""
    made = []
    for n in range(count):
        at = now + dt.timedelta(milliseconds=n + 1)
        asked = factories.ask(world.purpose, at, **({"reference_no": f"R-{n:03}"} | changes))
        made.append(factories.consent(asked, world.actor, at))
    db.session.commit()
    return made


def read(world: World, now: dt.datetime, *, refused: str = "", consent: Consent | None = None) -> None:
    of = consent or world.consent
    permission = Permission(
        client_id="bank", recipient="岭南示例银行", consent_id=of.consent_id, consent_version=1, space_id=of.space_id,
        purpose="审核本次贷款申请", reference_no=None, items=(), max_reads=None, auth_time=now,
        acr="urn:dataspace:acr:passkey",
    )  # fmt: skip
    if refused:
        accesses.record_refused(permission, ["p.edu.degree"], refused, now)
    else:
        accesses.record_answered(permission, ["p.edu.degree"], now)
    db.session.commit()


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


# Suspending one


def test_one_authorization_is_suspended_and_reinstated_for_a_reason(desk: Desk, world: World) -> None:
    path = f"/admin/consents/{world.consent.consent_id}"
    desk.get(path)
    desk.post(f"{path}/suspend", 400, ground="", text="")
    assert world.consent.state == State.ACTIVE
    desk.post(f"{path}/suspend", ground="fraud", text="Under investigation")
    assert "Suspended. Nothing can be read until you reinstate it" in desk.says
    assert "Under investigation" in desk.says
    assert world.consent.state == State.SUSPENDED
    desk.post(f"{path}/suspend", 409, ground="fraud", text="again")
    desk.get(path)
    desk.post(f"{path}/reinstate", ground="resolved", text="Nothing found")
    assert world.consent.state == State.ACTIVE


# Finding


def test_find_by_identifier_without_the_identifier_going_anywhere(
    desk: Desk, world: World, admin: Holder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    desk.get("/admin")
    desk.post("/admin/find", q=f" {factories.PERSON} ")
    assert desk.path == f"/admin?holder={world.person.holder_id}"
    assert "Only authorizations of 陈** · 440*************26" in desk.says
    assert [row[0] for row in desk.rows()] == [world.consent.consent_id]
    noted = db.session.scalars(select(OperatorEvent)).one()
    assert (noted.kind, noted.actor_id, noted.subject) == ("holder:searched", admin.holder_id, world.person.holder_id)
    assert factories.PERSON not in desk.page
    assert factories.PERSON not in caplog.text


def test_find_leads_to_what_was_typed(desk: Desk) -> None:
    for typed, path in (
        ("LN-2026-0001", "/admin?reference=LN-2026-0001"),
        ("bank", "/admin?client=bank"),
        ("岭南", "/admin?client=bank"),
        ("91440099ma9t00034r", "/admin?client=bank"),  # its code; nobody with this code has a space
        ("440099199003150027", "/admin"),  # a wrong check digit: not in the address either
        ("440099198511200013", "/admin"),  # nobody has it
        ("nothing of the kind", "/admin"),
        ("%", "/admin"),
        ("\x00", "/admin"),
        ("x" * 300, "/admin"),
        ("", "/admin"),
    ):
        desk.get("/admin")
        desk.post("/admin/find", q=typed)
        assert desk.path == path, typed
        assert ("Nothing was found" in desk.says) == (path == "/admin"), typed


def test_find_by_number_and_among_several_clients(desk: Desk, world: World, now: dt.datetime) -> None:
    factories.party(now, "other-bank", name="珠江示例银行")
    db.session.commit()
    desk.get("/admin")
    desk.post("/admin/find", q=world.consent.consent_id)
    assert desk.path == f"/admin/consents/{world.consent.consent_id}"
    desk.post("/admin/find", q="示例银行")
    assert desk.path.startswith("/admin/clients?q=")
    assert [row[1] for row in desk.rows()] == ["bank", "other-bank"]
    desk.post("/admin/find", q="91440099MA9T00034R")
    assert "91440099" not in desk.path


def test_the_list_turns_pages_and_keeps_its_filters_in_the_address(desk: Desk, world: World, now: dt.datetime) -> None:
    made = consents(world, now, 30)
    desk.get("/admin?client=bank&state=active")
    assert len(desk.rows()) == 25
    assert "Page 1 of 2" in desk.says
    assert "31 in total" in desk.says
    following = re.search(r'rel="next" href="([^"]+)"', desk.page)
    assert following
    desk.get(following[1].replace("&amp;", "&"))
    assert "client=bank" in desk.path
    assert [row[0] for row in desk.rows()] == [c.consent_id for c in (*reversed(made[:5]), world.consent)]
    desk.get("/admin?page=999")
    assert "Page 2 of 2" in desk.says
    for nonsense in ("page=-1", "page=x", "state=%00", "since=99999-01-01", "until=31.12.2026", "client=%00"):
        desk.get(f"/admin?{nonsense}")
        assert len(desk.rows()) == 25


def test_the_list_filters_by_state_day_and_reference(desk: Desk, world: World, now: dt.datetime) -> None:
    endings.withdraw(consents(world, now, 2)[0].consent_id, world.actor, now, registry=factories.registry())
    db.session.commit()
    desk.get("/admin?state=withdrawn")
    assert [row[4] for row in desk.rows()] == ["Stopped"]
    desk.get("/admin?reference=R-001")
    assert len(desk.rows()) == 1
    tomorrow = (now + dt.timedelta(days=2)).date().isoformat()
    desk.get(f"/admin?since={tomorrow}")
    assert "No authorization fits" in desk.says
    desk.get(f"/admin?until={tomorrow}&since=2026-01-01")
    assert len(desk.rows()) == 3


def test_the_file_holds_no_name_and_no_formula(desk: Desk, world: World, now: dt.datetime) -> None:
    consents(world, now, 1, reference_no="=HYPERLINK(1)")
    answer = desk.get("/admin/consents.csv?client=bank")
    lines = answer.text.splitlines()
    assert answer.mimetype == "text/csv"
    assert len(lines) == 3
    assert "'=HYPERLINK(1)" in answer.text
    assert not [s for s in (*SECRET, "陈") if s in answer.text]


# One consent


def test_a_consent_with_everything_but_the_data(desk: Desk, world: World, now: dt.datetime) -> None:
    read(world, now)
    read(world, now, refused="item_not_granted")
    desk.get(f"/admin/consents/{world.consent.consent_id}")
    for word in ("Review this loan application", "陈** · 440*************26", "LN-2026-0001", "Item p.edu.degree",
                 "Field school", "The third party asked", "Agreed", "for oneself"):  # fmt: skip
        assert word in desk.says
    assert [row[1] for row in desk.rows()] == ["Refused", "Answered"]
    assert "Asked for data that was not granted" in desk.says
    desk.get("/admin/consents/cns_none", 404)
    for nonsense in ("x", "-1", "9" * 30, "%00"):
        desk.get(f"/admin/consents/{world.consent.consent_id}?before={nonsense}")
    desk.get(f"/admin/consents/{world.consent.consent_id}?before=2")
    assert [row[1] for row in desk.rows()] == ["Answered"]


def test_the_approvals_of_a_company(client: FlaskClient, admin: Holder, now: dt.datetime) -> None:
    body, clerk = factories.company(now), factories.holder(now, factories.AGENT, "周敏")
    chief = factories.holder(now, factories.LEGAL_REP, "李伟强")
    by_clerk = factories.mandate(body, clerk, factories.Capacity.AGENT, now)
    by_chief = factories.mandate(body, chief, factories.Capacity.LEGAL_REPRESENTATIVE, now)
    item = factories.item(now, "e.reg.licence", ("name",))
    factories.party(now)
    row = factories.purpose(now, required=[item], kinds=("legal_entity",))
    made = factories.consent(factories.ask(row, now), factories.actor(clerk, now, on_behalf_of=by_clerk), now)
    approver = factories.actor(chief, now, on_behalf_of=by_chief)
    lifecycle.approve(made.consent_id, approver, now, registry=factories.registry())
    db.session.commit()
    desk = Desk(client).sign_in(admin, now)
    desk.get(f"/admin/consents/{made.consent_id}")
    assert "Approvals Prepared" in desk.says
    assert "周* · agent" in desk.says
    assert "李** · legal representative" in desk.says
    assert "粤海***公司" in desk.says


def test_revoking_needs_a_reason_and_ends_it_for_good(
    desk: Desk, world: World, admin: Holder, now: dt.datetime
) -> None:
    path = f"/admin/consents/{world.consent.consent_id}"
    for ground, text in (("", "because"), ("fraud", "  "), ("because", "because"), ("fraud", "x" * 501)):
        desk.get(path)
        desk.post(f"{path}/revoke", 400, ground=ground, text=text)
        assert "Choose a reason" in desk.says
        assert lifecycle.get(world.consent.consent_id).state == State.ACTIVE
    desk.post(f"{path}/revoke", ground="fraud", text="Somebody else\nsigned")
    assert desk.path == path
    assert "Revoked by an administrator" in desk.says
    assert "Fraud or pressure · Somebody else signed" in desk.says
    inactive = why_inactive(facts_of(world.consent.consent_id), now + dt.timedelta(seconds=5))
    assert inactive is not None
    assert inactive.reason == Reason.INVALIDATED
    last = db.session.scalars(select(ConsentEvent).order_by(ConsentEvent.event_id.desc())).first()
    assert last is not None
    assert (last.actor_id, last.capacity, last.channel) == (admin.holder_id, "administrator", "admin")
    assert (last.reason_code, last.text) == ("fraud", "Somebody else signed")
    desk.get("/admin")
    desk.post(f"{path}/revoke", 409, ground="fraud", text="again")
    assert "f-revoke" not in desk.page


def test_the_holder_sees_the_reason_and_where_to_appeal(
    client: FlaskClient, desk: Desk, world: World, now: dt.datetime
) -> None:
    desk.get(f"/admin/consents/{world.consent.consent_id}")
    desk.post(f"/admin/consents/{world.consent.consent_id}/revoke", ground="identity_error", text="File 2026-4711")
    holder = Desk(client).sign_in(world.person, now, "self")
    holder.get(f"/authorizations/{world.consent.consent_id}")
    assert "File 2026-4711" in holder.says
    assert "12345" in holder.says


# The registry


def test_register_a_data_client(desk: Desk, admin: Holder) -> None:
    desk.get("/admin/register-client")
    desk.post("/admin/register-client", **FORM, jwks=jwks())
    assert desk.path == "/admin/clients/new-bank"
    client = clients.get("new-bank")
    assert client.legal_name == {"zh_hans": "新示例银行", "zh_hant": "新示例银行", "en": "New Example Bank"}
    assert client.redirect_uris == ["https://new.example/one", "https://new.example/two"]
    assert client.secret_digest is None
    noted = db.session.scalars(select(ClientEvent).filter_by(client_id="new-bank")).one()
    assert (noted.kind, noted.actor_id, noted.text) == ("client:registered", admin.holder_id, "Application 2026-17")


def test_a_secret_is_shown_once(desk: Desk) -> None:
    desk.get("/admin/register-client")
    login = {"profile": "login", "token_endpoint_auth_method": "client_secret_basic"}
    desk.post("/admin/register-client", **(FORM | login))
    first = re.search(r"dsc_[\w-]{43}", desk.says)
    assert first
    desk.get("/admin/clients/new-bank")
    assert "dsc_" not in desk.page
    before = clients.get("new-bank").secret_digest
    desk.post("/admin/clients/new-bank/secret", 400, ground="key_change", text="")
    desk.post("/admin/clients/new-bank/secret", ground="key_change", text="lost")
    assert clients.get("new-bank").secret_digest != before
    second = re.search(r"dsc_[\w-]{43}", desk.says)
    assert second
    assert second[0] != first[0]


WRONG = (
    ("client_id", "two words", "Only letters, digits"),
    ("client_id", "bank", "This id is taken"),
    ("uscc", "91440099MA9T00042M", "not a valid unified social credit code"),
    ("contact", "", "missing, too long, or not one line"),
    ("contact", "a\x07b", "missing, too long, or not one line"),
    ("legal_name__en", "x" * 201, "missing, too long, or not one line"),
    ("redirect_uris", "", "Each redirect address"),
    ("redirect_uris", "http://new.example/", "Each redirect address"),
    ("redirect_uris", "https://new.example/#part", "Each redirect address"),
    ("redirect_uris", "https://user@new.example/", "Each redirect address"),
    ("redirect_uris", "https://*.new.example/", "Each redirect address"),
    ("redirect_uris", "https://[::1/", "Each redirect address"),
    ("jwks", "", "set of public signing keys"),
    ("jwks", "not json", "set of public signing keys"),
    ("jwks", "[]", "set of public signing keys"),
    ("jwks", '{"keys": []}', "set of public signing keys"),
    ("jwks", jwks(d="AAAA"), "set of public signing keys"),
    ("jwks_uri", "http://new.example/jwks", "set of public signing keys"),
    ("token_endpoint_auth_method", "client_secret_basic", "proves itself by a key of its own"),
    ("token_endpoint_auth_method", "none", "incomplete or wrong"),
    ("profile", "root", "incomplete or wrong"),
    ("text", " ", "Choose a reason"),
)


def test_a_wrong_registration_is_sent_back_with_what_was_typed(desk: Desk) -> None:
    before = len(db.session.scalars(select(ClientEvent)).all())
    for field, value, says in WRONG:
        desk.get("/admin/register-client")
        status = 409 if value == "bank" else 400
        desk.post("/admin/register-client", status, **(FORM | {"jwks": jwks()} | {field: value}))
        assert says in desk.says, (field, value)
        assert "Application 2026-17" in desk.page or field == "text"
        assert 'aria-invalid="true"' in desk.page, (field, value)
    assert len(db.session.scalars(select(ClientEvent)).all()) == before


def test_change_contact_redirect_addresses_and_keys(desk: Desk, admin: Holder) -> None:
    desk.get("/admin/clients/bank/edit")
    assert "https://bank.example/callback" in desk.page
    changed = {"contact": "95588", "address": "", "privacy_officer": "", "jwks": jwks(), "jwks_uri": "",
               "redirect_uris": "https://bank.example/new"}  # fmt: skip
    desk.post("/admin/clients/bank/edit", 400, **changed, ground="correction", text="")
    assert "95588" in desk.page
    assert clients.get("bank").contact == "400-000-0000"
    desk.post("/admin/clients/bank/edit", **changed, ground="correction", text="Letter of 1 March")
    bank = clients.get("bank")
    assert (bank.contact, bank.redirect_uris) == ("95588", ["https://bank.example/new"])
    noted = db.session.scalars(select(ClientEvent).filter_by(kind="client:changed")).one()
    assert noted.text == "contact, jwks, redirect_uris: Letter of 1 March"
    assert (noted.actor_id, noted.reason_code) == (admin.holder_id, "correction")
    assert "contact, jwks, redirect_uris: Letter of 1 March" in desk.says
    both = changed | {"jwks_uri": "https://bank.example/jwks"}
    desk.get("/admin/clients/bank/edit")
    desk.post("/admin/clients/bank/edit", 400, **both, ground="correction", text="x")
    assert "not both" in desk.says


def test_the_identity_of_a_client_cannot_be_changed(desk: Desk) -> None:
    desk.get("/admin/clients/bank/edit")
    same = {
        "contact": "400-000-0000",
        "redirect_uris": factories.REDIRECT_URI,
        "jwks": json.dumps(clients.get("bank").jwks),
    }
    desk.post("/admin/clients/bank/edit", **same, uscc="x", profile="login", client_id="y", ground="other", text="x")
    assert clients.get("bank").profile == "data"
    assert not db.session.scalars(select(ClientEvent).filter_by(kind="client:changed")).all()


def test_suspend_and_reinstate(desk: Desk, world: World, now: dt.datetime) -> None:
    later = now + dt.timedelta(seconds=5)
    desk.get("/admin/clients/bank")
    desk.post("/admin/clients/bank/standing", 400, standing="suspended", ground="resolved", text="x")
    desk.post("/admin/clients/bank/standing", standing="suspended", ground="client_misuse", text="Sold the data")
    inactive = why_inactive(facts_of(world.consent.consent_id), later)
    assert inactive is not None
    assert inactive.reason == Reason.CLIENT_SUSPENDED
    assert "Misuse by the third party · Sold the data" in desk.says
    desk.post("/admin/clients/bank/standing", 409, standing="suspended", ground="client_misuse", text="again")
    desk.get("/admin")
    assert [row[4] for row in desk.rows()] == ["Third party suspended"]
    desk.get("/admin/clients/bank")
    desk.post("/admin/clients/bank/standing", standing="good", ground="resolved", text="Audit passed")
    assert why_inactive(facts_of(world.consent.consent_id), later) is None
    kinds = [e.kind for e in db.session.scalars(select(ClientEvent).order_by(ClientEvent.event_id))]
    assert kinds == ["client:registered", "client:suspended", "client:reinstated"]
    desk.get("/admin/clients/none", 404)


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
