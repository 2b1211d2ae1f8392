"""The demonstration data: complete, valid, loaded once, and enough for every scenario."""

import datetime as dt
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from dataspace import catalogue, datafiles, demonstration, holders, identifiers, mandates, spaces
from dataspace.db import db
from dataspace.errors import InvalidFile
from dataspace.holders import HolderKind
from dataspace.sources import schema
from dataspace.web.shell import services

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "demonstration"

# The complete catalogue of the domain reference, and one item that is computed here.
PERSONAL = [
    "p.identity.basic",
    "p.identity.photo",
    "p.residence.hukou",
    "p.residence.permit",
    "p.family.relation",
    "p.family.marriage",
    "p.social.insurance",
    "p.social.months6",
    "p.housing.fund",
    "p.housing.property_count",
    "p.housing.title",
    "p.edu.degree",
    "p.edu.enrol",
    "p.work.qualification",
    "p.tax.income",
    "p.health.vaccine",
    "p.health.summary",
    "p.health.lab",
    "p.health.insurance",
    "p.traffic.licence",
    "p.traffic.vehicle",
    "p.credit.public",
    "p.welfare.elder",
    "p.energy.home",
    "p.contact.registered",
    "p.profile.self",
]
ENTITY = [
    "e.reg.licence",
    "e.reg.change",
    "e.reg.owner",
    "e.tax.grade",
    "e.tax.vat",
    "e.tax.clear",
    "e.energy.power",
    "e.energy.water_gas",
    "e.social.headcount",
    "e.social.paid6",
    "e.fund.headcount",
    "e.qual.cert",
    "e.ip.patent",
    "e.customs.trade",
    "e.env.rating",
    "e.judicial.dishonest",
    "e.bid.performance",
    "e.subsidy.history",
    "e.hr.payroll_agg",
]
COMPUTED = {"e.social.paid6"}

# Who of the demonstration is asked in which scenario (key of people.toml).
ASKED = {
    "working-capital-loan": "yuehai-pearl",
    "post-loan-monitoring": "yuehai-pearl",
    "housing-loan": "chen-jiayi",
    "card-limit-review": "chen-jiayi",
    "tenant-check": "chen-jiayi",
    "school-admission": "chen-jiayi",
    "cross-hospital-visit": "he-meiling",
    "background-check": "liang-zhiwen",
    "bid-qualification": "yuehai-pearl",
    "hengqin-account": "ouyang-huimin",
    "verify-company-data": "yuehai-pearl",
    "driver-check": "liang-zhiwen",
    "subsidy-matching": "lingnan-tea",
    "permit-renewal": "yuehai-pearl",
}


@pytest.fixture
def loaded(app: Flask, now: dt.datetime) -> Flask:
    """The catalogue is loaded; holders and records are not."""
    catalogue.load([FOLDER / "catalogue"], now)
    return app


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the demonstration's files that a test may spoil."""
    return Path(shutil.copytree(FOLDER, tmp_path / "demonstration"))


def toml(name: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / name).read_text(encoding="utf-8"))


def load(now: dt.datetime, folder: Path = FOLDER) -> tuple[dict[str, holders.Holder], tuple[int, int, int]]:
    contents = demonstration.read(folder, now.date())
    found = services()
    people, new = demonstration.add_holders(contents, now, vault=found.vault, index=found.index)
    appointed = demonstration.add_mandates(contents, people)
    deposited = demonstration.add_records(contents.records, people, now, vault=found.vault)
    return people, (new, appointed, deposited)


def spoil(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_catalogue_is_complete(loaded: Flask) -> None:
    items = catalogue.all_current()
    assert [i.item_id for i in items] == sorted(PERSONAL + ENTITY)
    assert (len(PERSONAL), len(ENTITY)) == (26, 19)
    for item in items:
        assert item.pi_class in (("PI", "SPI") if item.subject == "natural_person" else ("CORP", "TS"))
        assert bool(item.impact) == item.is_sensitive_for(item.field_ids())


def test_loading_twice_changes_nothing(loaded: Flask, now: dt.datetime) -> None:
    people, first = load(now)
    assert first == (24, 6, len(demonstration.read(FOLDER, now.date()).records))
    db.session.commit()
    assert load(now + dt.timedelta(hours=1))[1] == (0, 0, 0)
    assert len(people) == 24


def test_what_people_changed_is_not_undone_by_a_second_load(loaded: Flask, now: dt.datetime) -> None:
    people, _ = load(now)
    clerk = people["zhou-min"].holder_id
    for mandate in mandates.of_agent(clerk, now):
        mandates.end(mandate.mandate_id, now)
    db.session.execute(sa.delete(holders.HolderRole))
    db.session.commit()
    load(now)
    assert mandates.of_agent(clerk, now) == []
    assert holders.roles(people["lin-jing"].holder_id) == frozenset()


def test_who_may_act_for_whom(loaded: Flask, now: dt.datetime) -> None:
    people, _ = load(now)
    names = {holder.holder_id: key for key, holder in people.items()}
    found = {
        (names[m.principal_id], names[m.agent_id], m.capacity)
        for holder in people.values()
        for m in mandates.of_agent(holder.holder_id, now)
    }
    assert found == {
        ("yuehai-pearl", "li-weiqiang", "legal_representative"),
        ("yuehai-pearl", "zhou-min", "mandate"),
        ("lingnan-tea", "wu-haiyan", "legal_representative"),
        ("farmers-cooperative", "luo-dacheng", "legal_representative"),
        ("huang-zixuan", "huang-jianming", "guardian"),
    }
    assert holders.roles(people["lin-jing"].holder_id) == {holders.Role.ADMINISTRATOR}
    kinds = {holder.kind for holder in people.values()}
    assert kinds == set(HolderKind)


def test_no_identifier_can_be_a_real_one() -> None:
    """Region 440099 is not assigned; 81 and 82 are residence permits whose numbers are made up."""
    today = dt.date(2026, 11, 23)
    for holder in toml("people.toml")["holders"]:
        value = identifiers.parse(holder["kind"], holder["identifier"], today=today).value
        region = value[2:8] if holder["kind"] != "natural_person" else value[:6]
        assert region in ("440099", "820000", "810000")


def test_every_item_is_held_by_somebody(loaded: Flask, now: dt.datetime) -> None:
    people, _ = load(now)
    held = set(db.session.scalars(sa.select(spaces.Record.item_id)))
    assert held == set(PERSONAL + ENTITY) - COMPUTED
    company = spaces.holdings(people["yuehai-pearl"].space_id, vault=services().vault)
    assert {h.item.item_id for h in company} == set(ENTITY) - COMPUTED
    answer = catalogue.current(COMPUTED)["e.social.paid6"]
    (behind,) = (h for h in company if h.item.item_id == "e.social.headcount")
    assert spaces.computed(behind, answer, now).rows == [{"answer": True, "as_of": "2026-10"}]
    rows = {h.item.item_id: h.rows for h in company}
    for item, field in (("e.tax.vat", "period"), ("e.energy.power", "month")):
        assert [r[field] for r in rows[item]] == sorted({r[field] for r in rows[item]})
        assert len(rows[item]) == 24


def test_some_fields_are_empty(loaded: Flask, now: dt.datetime) -> None:
    people, _ = load(now)
    (summary,) = spaces.holdings(people["chen-jiayi"].space_id, vault=services().vault, item_ids=["p.health.summary"])
    assert summary.rows[0]["allergy"] == "青霉素"
    assert summary.rows[0]["blood_type"] is None
    assert list(summary.rows[0]) == list(summary.item.field_ids())


# Spoiled file, what is changed in it, and the line that the loader must print.
WRONG = [
    ("people.toml", "440099199003150026", "440099199003150027", "chen-jiayi: identifier: person: wrong check digit"),
    ("people.toml", "440099198802110093", "440099199003150026", "huang-jianming: identifier: is used twice"),
    ("people.toml", 'key = "zhou-min"', 'key = "li-weiqiang"', "li-weiqiang: key: is used twice"),
    ("people.toml", 'agent = "zhou-min"', 'agent = "nobody"', "yuehai-pearl: agent: is no holder of these files"),
    ("people.toml", '"2025-01-01T', '"2025-13-01T', "yuehai-pearl: valid_from: is no date and time"),
    ("people.toml", 'capacity = "mandate"', 'capacity = "self"',
     "yuehai-pearl: capacity: must be one of legal_representative, mandate, guardian"),
    ("people.toml", 'kind = "unincorporated"', 'kind = "unincorporated"\nrole = "administrator"',
     "lingnan-tea: role: is only for natural persons"),
    ("records/entity.toml", 'holder = "lingnan-tea"', 'holder = "nobody"',
     "e.reg.licence: holder: is no holder of these files"),
    ("records/entity.toml", 'item = "e.tax.vat"', 'item = "e.tax.vta"',
     "e.tax.vta: item: is not in the catalogue (load the catalogue first)"),
    ("records/entity.toml", 'holder = "lingnan-tea"', 'holder = "zhou-min"',
     "e.reg.licence: item: is not for this kind of holder"),
    ("records/entity.toml", "arrears = 0", "arears = 0", "e.tax.vat: rows[1].arears: is no field of the item"),
    ("records/entity.toml", "arrears = 0", "arrears = 0.5",
     "e.tax.vat: rows[1].arrears: must be a text or a whole number or true or false"),
    ("records/entity.toml", 'item = "e.tax.vat"', 'item = "e.tax.clear"',
     "e.tax.clear: rows: are many, but the item has one"),
    ("records/entity.toml", 'item = "e.social.headcount"', 'item = "e.social.paid6"',
     "e.social.paid6: item: is computed from another one; nobody brings it"),
    ("records/entity.toml", "T08:00:00+08:00", "T08:00:00", "e.reg.licence: as_of: does not have the required form"),
]  # fmt: skip


@pytest.mark.wire
@pytest.mark.parametrize(("file", "old", "new", "line"), WRONG)
def test_a_wrong_file_is_named_line_by_line_and_never_quoted(
    loaded: Flask, now: dt.datetime, copied: Path, file: str, old: str, new: str, line: str
) -> None:
    spoil(copied / file, old, new)
    with pytest.raises(InvalidFile) as refusal:
        load(now, copied)
    assert f"{Path(file).name}: {line}" in refusal.value.problems
    assert "44009919" not in str(refusal.value)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(holders.Holder)) == 0


def test_scenarios_follow_their_schema_and_the_catalogue(loaded: Flask) -> None:
    schema = datafiles.schema(ROOT / "consent" / "schemas" / "scenarios.schema.json")
    entries, problems = datafiles.read(
        [FOLDER / "scenarios.toml"], schema, {"clients": "client_id", "purposes": "code"}
    )
    assert problems == []
    clients = {e.name: e.content for e in entries if e.table == "clients"}
    purposes = [e.content for e in entries if e.table == "purposes"]
    assert {p["scenario"] for p in purposes} == {
        "1",
        "1b",
        "2",
        "3",
        "4",
        "5",
        "6",
        "7a",
        "7b",
        "8",
        "8b",
        "9",
        "10",
        "11",
    }
    # Whoever reads by law asks nobody, and has no purpose.
    assert {p["client_id"] for p in purposes} == set(clients) - {"tax-bureau"}
    for purpose in purposes:
        check_purpose(purpose)
    for client in clients.values():
        assert not {"jwks", "keys", "secret"} & set(client)
        if client["uscc"]:
            assert identifiers.parse_body(client["uscc"]).value[2:8] == "440099"


def check_purpose(purpose: dict[str, Any]) -> None:
    assert purpose["default_duration_days"] <= purpose["max_duration_days"]
    assert ("frequency" in purpose) == (purpose["mode"] == "periodic")
    assert ("cross_border" in purpose) == (purpose["client_id"] in ("macau-bank", "hongkong-bank"))
    items = catalogue.current([i["item"] for i in purpose["items"]])
    subject = "natural_person" if purpose["holder_kinds"] == ["natural_person"] else "body"
    for asked in purpose["items"]:
        item = items[asked["item"]]
        assert item.subject == subject
        assert set(asked["fields"]) <= set(item.field_ids())
        if "max_months" in asked:
            assert item.period_field
            assert item.period_field in asked["fields"]
    assert any(i["necessity"] == "required" for i in purpose["items"])
    assert purpose["scenario"] != "4" or purpose["mode"] == "view_once"
    assert {i.get("delivery") for i in purpose["items"]} == ({"verify_only"} if purpose["scenario"] == "7b" else {None})
    if purpose["scenario"] == "2":
        assert items["p.social.months6"].derived


def test_every_scenario_can_be_played(loaded: Flask, now: dt.datetime) -> None:
    """Whoever is asked holds every required item, with rows in the asked months before November 2026."""
    people, _ = load(now)
    purposes = {p["code"]: p for p in toml("scenarios.toml")["purposes"]}
    assert set(ASKED) == set(purposes)
    for code, key in ASKED.items():
        assert people[key].kind in purposes[code]["holder_kinds"]
        held = {h.item.item_id: h for h in spaces.holdings(people[key].space_id, vault=services().vault)}
        for asked in purposes[code]["items"]:
            if asked["necessity"] == "required":
                assert asked["item"] in held, (code, asked["item"])
                record = held[asked["item"]]
                field = record.item.period_field
                if field and "max_months" in asked:
                    year, month = divmod(2026 * 12 + 10 - asked["max_months"], 12)
                    first = f"{year}-{month + 1:02}"
                    assert any(catalogue.in_period(row[field], first, "2026-10") for row in record.rows), code


def test_the_banks_purposes_for_the_journeys() -> None:
    bank = {p["code"]: p for p in toml("scenarios.toml")["purposes"] if p["client_id"] == "lingnan-bank"}
    assert bank["working-capital-loan"]["mode"] == bank["housing-loan"]["mode"] == "one_time"
    assert bank["working-capital-loan"]["max_reads"] == bank["housing-loan"]["max_reads"] == 3
    assert bank["post-loan-monitoring"]["mode"] == bank["card-limit-review"]["mode"] == "periodic"
    assert not any("max_reads" in bank[code] for code in ("post-loan-monitoring", "card-limit-review"))
    needs = {i["item"]: i["necessity"] for i in bank["card-limit-review"]["items"]}
    assert needs == {"p.identity.basic": "required", "p.social.months6": "required", "p.edu.degree": "optional"}


def test_the_records_keep_to_what_the_catalogue_says_of_their_values(app: Flask, now: dt.datetime) -> None:
    """They are laid into the spaces directly; a source would be held to these rules."""
    catalogue.load([FOLDER / "catalogue"], now)
    items = catalogue.current([*PERSONAL, *ENTITY])
    validators = {item_id: schema.validator(item) for item_id, item in items.items()}
    for file in sorted((FOLDER / "records").glob("*.toml")):
        for record in tomllib.loads(file.read_text("utf-8"))["records"]:
            assert validators[record["item"]].is_valid(record["rows"]), (record["holder"], record["item"])
    power = validators["p.energy.home"]
    assert power.is_valid([{"month": "2026-03", "kwh": 90}])
    for wrong in ({"month": "2026-13"}, {"month": "March"}, {"kwh": -1}, {"kwh": "90"}, {"watt": 1}):
        assert not power.is_valid([wrong])
    assert not validators["p.identity.basic"].is_valid([{"sex": "2"}])
    ruled = [field for item in items.values() for field in item.fields if "value" in field]
    assert len(ruled) > len(items)
