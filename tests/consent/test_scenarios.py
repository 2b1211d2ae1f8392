"""Scenario files: loading, loading again, and every problem named while nothing is loaded."""

import datetime as dt
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from consent import admission, clients, purposes, scenarios
from consent.clients import Client, ClientEvent
from consent.installation import EVERYTHING, Installation
from consent.purposes import Purpose
from consent.terms import Terms
from dataspace import catalogue
from dataspace.db import db
from dataspace.errors import InvalidFile
from tests import factories

ROOT = Path(__file__).parents[2]
GOOD = """
[[clients]]
client_id = "bank"
legal_name = { zh_hans = "岭南示例银行", zh_hant = "嶺南示例銀行", en = "Lingnan Example Bank" }
uscc = "91440099MA9T00034R"
address = "示例市金融路1号"
contact = "020-0000-0001"
privacy_officer = "privacy@bank.example"
accreditation = { number = "GDDS-2026-0001", level = "三级" }
profile = "data"
redirect_uris = ["https://bank.example/callback"]

[[purposes]]
client_id = "bank"
code = "tenant-check"
scenario = "2"
text = { zh_hans = "核验承租人身份", zh_hant = "核驗承租人身份", en = "Check who rents" }
holder_kinds = ["natural_person"]
mode = "one_time"
max_reads = 1
max_duration_days = 7
default_duration_days = 1
retention = { text = { zh_hans = "保存30天", zh_hant = "保存30天", en = "Kept 30 days" }, days = 30 }
storage_location = { zh_hans = "广州", zh_hant = "廣州", en = "Guangzhou" }
third_parties = []
automated_decision = "none"
legal_basis = "consent"
contact = "privacy@bank.example"

[[purposes.items]]
item = "p.edu.degree"
fields = ["school", "level"]
necessity = "required"
reason = { zh_hans = "核验", zh_hant = "核驗", en = "To check" }

[[purposes.items]]
item = "p.tax.income"
fields = ["year"]
necessity = "optional"
reason = { zh_hans = "收入", zh_hant = "收入", en = "Income" }
max_months = 12
"""
ABROAD = """
[purposes.cross_border]
recipient = "x"
country_region = "MO"
mechanism = "x"
filing_no = "x"
valid_until = "2020-01-01"
rights_channel = "x"

"""
OPTIONAL = '\noptional_fields = ["year"]'
CONTROLLER = 'third_parties = [{ name = "x", role = "recipient", place = "x", what_for = {} }]'
LONG = "很" * 41
# (in the file, put in its place, the line that says so)
WRONG = [
    ("91440099MA9T00034R", "91440099MA9T00034W", "bank: uscc: is not a valid unified social credit code"),
    ('"https://bank.example/callback"', '"http://localhost:1/"', "bank: redirect_uris: https only"),
    ('"https://bank.example/callback"', '"https://*/"', "bank: redirect_uris: absolute URLs without"),
    ('"https://bank.example/callback"', "", "bank: redirect_uris: needs at least 1"),
    ('privacy_officer = "privacy@bank.example"', "", "bank: privacy_officer: is missing"),
    (
        'redirect_uris', 'token_endpoint_auth_method = "self_signed_tls_client_auth"\nredirect_uris',
        "bank: token_endpoint_auth_method: client certificates of this kind are not offered here",
    ),
    ('address = "', 'adress = "', "bank: adress: is not known here"),
    ('client_id = "bank"\ncode', 'client_id = "banc"\ncode', "tenant-check: client_id: is no client in these files"),
    ('"p.edu.degree"', '"p.edu.degrees"', "tenant-check: items[1].item: is not in the catalogue"),
    ('"p.tax.income"', '"p.edu.degree"', "tenant-check: items[2].item: is named twice"),
    ('["school", "level"]', '["school", "grade"]', "tenant-check: items[1].fields[2]: is no field of this item"),
    ('["natural_person"]', '["natural_person", "legal_entity"]', "items[1].item: does not fit holder_kinds"),
    ('["natural_person"]', '["legal_entity"]', "tenant-check: items[2].item: does not fit holder_kinds"),
    ('reason = { zh_hans = "收入"', 'reason = { zh_hant2 = "收入"', "items[2].reason.zh_hans: is missing"),
    ('zh_hans = "收入"', f'zh_hans = "{LONG}{LONG}"', "items[2].reason.zh_hans: is longer than 60 characters"),
    ('zh_hans = "核验承租人身份"', f'zh_hans = "{LONG}"', "tenant-check: text.zh_hans: is longer than 40"),
    ('"Check who rents"', '"' + "word " * 20 + 'word"', "tenant-check: text.en: does not have the required form"),
    ("default_duration_days = 1", "default_duration_days = 8", "default_duration_days: is more than max_duration_days"),
    ("max_duration_days = 7", "max_duration_days = 366", "tenant-check: max_duration_days: must be at most 365"),
    ("max_reads = 1\n", "", "tenant-check: max_reads: is missing, but the use is not periodic"),
    ('mode = "one_time"', 'mode = "periodic"', "tenant-check: frequency: is missing"),
    ("max_reads = 1", 'max_reads = 1\nfrequency = { n = 1, unit = "day" }', "frequency: makes sense only for periodic"),
    ('fields = ["year"]', 'fields = ["year"]\nx = 1', "items[2].x: is not known here"),
    ('item = "p.edu.degree"', 'item = "p.edu.degree"\nmax_months = 2', "items[1].max_months: makes no sense"),
    ('fields = ["year"]', 'fields = ["year"]' + OPTIONAL, "items[2].optional_fields: must be some of the fields"),
    ('fields = ["year"]', 'fields = ["year"]\ndelivery = "derived"', "items[2].delivery: makes no sense"),
    ("max_months = 12", "max_months = 12\nmin_months = 13", "items[2].min_months: is more than max_months"),
    ("third_parties = []", CONTROLLER, "third_parties[1].role: must be processor"),
    ("[[purposes.items]]", ABROAD + "[[purposes.items]]", "cross_border.valid_until: is no date, or in the past"),
    ("[[purposes]]", "[[purposes]", "line 13, column 11: Expected ']]'"),
]  # fmt: skip


@pytest.fixture
def items(app: Flask, now: dt.datetime) -> None:
    factories.item(now, "p.edu.degree", ("school", "major", "level"))
    factories.item(now, "p.tax.income", ("year", "income_band"), many=True, period_field="year")
    db.session.commit()


def load(path: Path, now: dt.datetime) -> list[str]:
    stored = scenarios.load([path], now, actor_id="command", here=Installation())
    db.session.commit()
    return [s.outcome for s in stored]


def written(folder: Path, text: str) -> Path:
    path = folder / "scenarios.toml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.usefixtures("items")
def test_a_good_file_is_loaded_once(tmp_path: Path, now: dt.datetime) -> None:
    path = written(tmp_path, GOOD)
    assert load(path, now) == ["added", "added"]
    later = now + dt.timedelta(days=1)
    assert load(path, later) == ["unchanged", "unchanged"]
    bank, (purpose,) = clients.get("bank"), purposes.of_client("bank")
    assert (bank.profile, bank.token_endpoint_auth_method, bank.jwks) == ("data", "private_key_jwt", None)
    assert purpose.approved_at == now
    assert (purpose.max_reads, purpose.frequency, purpose.cross_border) == (1, None, None)
    noted = select(ClientEvent).order_by(ClientEvent.event_id)
    events = [(e.kind, e.actor_id, e.text) for e in db.session.scalars(noted)]
    assert events == [("client:registered", "command", ""), ("client:purpose_approved", "command", "tenant-check")]
    terms = Terms(
        purpose_code="tenant-check", items=(), mode=None, max_reads=None, duration_days=None, reference_no=None
    )
    asked = admission.admit(terms, client_id="bank", scope=(), now=now)
    assert [(i.item_id, i.necessity) for i in asked.items] == [
        ("p.edu.degree", "required"),
        ("p.tax.income", "optional"),
    ]


@pytest.mark.usefixtures("items")
def test_a_changed_file_changes_what_differs(tmp_path: Path, now: dt.datetime) -> None:
    load(written(tmp_path, GOOD), now)
    clients.get("bank").jwks = {"keys": []}
    later = now + dt.timedelta(days=1)
    changed = GOOD.replace("020-0000-0001", "95588").replace("max_duration_days = 7", "max_duration_days = 3")
    assert load(written(tmp_path, changed), later) == ["changed", "changed"]
    bank, (purpose,) = clients.get("bank"), purposes.of_client("bank")
    assert (bank.contact, bank.jwks, bank.created_at) == ("95588", {"keys": []}, now)
    assert (purpose.max_duration_days, purpose.approved_at) == (3, later)
    events = [(e.kind, e.text) for e in db.session.scalars(select(ClientEvent).order_by(ClientEvent.event_id))]
    assert events[2:] == [("client:changed", "contact"), ("client:purpose_approved", "tenant-check")]


@pytest.mark.usefixtures("items")
def test_every_problem_is_named_and_nothing_is_loaded(tmp_path: Path, now: dt.datetime) -> None:
    for before, after, expected in WRONG:
        assert before in GOOD, before
        path = written(tmp_path, GOOD.replace(before, after, 1))
        with pytest.raises(InvalidFile) as error:
            load(path, now)
        lines = error.value.problems
        assert all(line.startswith("scenarios.toml: ") for line in lines)
        assert any(expected in line for line in lines), (expected, lines)
        assert "91440099MA9T00034" not in str(lines)
        db.session.rollback()
        assert db.session.scalar(select(func.count()).select_from(Client)) == 0


@pytest.mark.usefixtures("items")
def test_all_problems_of_all_files_at_once(tmp_path: Path, now: dt.datetime) -> None:
    written(tmp_path, GOOD.replace("91440099MA9T00034R", "91440099MA9T00034W").replace('"level"', '"grade"'))
    (tmp_path / "twice.toml").write_text(GOOD.replace("max_reads = 1", "max_reads = 0"), "utf-8")
    (tmp_path / "bytes.toml").write_bytes(b"a = 1\nb = \xff")
    with pytest.raises(InvalidFile) as error:
        load(tmp_path, now)
    assert sorted(error.value.problems) == [
        "bytes.toml: line 2: is not UTF-8",
        "scenarios.toml: bank: uscc: is not a valid unified social credit code",
        "scenarios.toml: tenant-check: items[1].fields[2]: is no field of this item",
        "twice.toml: bank: client_id: is used already in scenarios.toml",
        "twice.toml: tenant-check: code: is used already in scenarios.toml",
        "twice.toml: tenant-check: max_reads: must be at least 1",
    ]


def test_an_item_that_is_not_shared_cannot_be_registered(app: Flask, tmp_path: Path, now: dt.datetime) -> None:
    factories.item(now, "p.edu.degree", ("school", "level")).share = "N"
    factories.item(now, "p.tax.income", ("year",), many=True, period_field="year")
    with pytest.raises(InvalidFile, match=r"items\[1\].item: is not shared with anybody"):
        load(written(tmp_path, GOOD), now)


def test_the_demonstration_loads(app: Flask, now: dt.datetime) -> None:
    catalogue.load([ROOT / "demonstration/catalogue"], now)
    path = ROOT / "demonstration/scenarios.toml"
    stored = scenarios.load([path], now, actor_id="command", here=EVERYTHING)
    assert {s.outcome for s in stored} == {"added"}
    again = scenarios.load([path], now, actor_id="command", here=EVERYTHING)
    assert {s.outcome for s in again} == {"unchanged"}
    numbers = set(db.session.scalars(select(Purpose.scenario)))
    assert {n.rstrip("ab") for n in numbers} == {str(n) for n in range(1, 12)}
