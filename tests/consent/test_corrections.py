"""A holder disputes a value, its authority answers with a corrected record, and whom it concerns is told."""

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from consent import cases, corrected, endings
from consent.announcements import DATA_CORRECTED, Announcement
from consent.cases import About, CaseKind
from consent.clients import ClientClass
from dataspace.corrections import Correction
from dataspace.db import db
from dataspace.spaces import Record
from tests import factories
from tests.consent.desk import Desk
from tests.consent.reading import read, token_for
from tests.consent.test_push import record, send
from tests.consent.third_party import ThirdParty
from tests.consent.visitor import Visitor
from tests.factories import World

RIGHT = [{"school": "示例大学", "major": "法学", "level": None}]
OTHER_PERSON = factories.AGENT


@pytest.fixture
def world(app: Flask, now: dt.datetime) -> World:
    """A person whose degree two third parties have read, of which one may read no more."""
    made = factories.world(now)
    made.party.client.options = {"consent_events_delivery": "poll"}
    factories.party(now, "shop", consent_events_delivery="poll")
    ended = factories.consent(factories.ask(factories.purpose(now, "shop", required=[made.item]), now), made.actor, now)
    db.session.commit()
    for consent in (made.consent, ended):
        read(token_for(consent, now), None, now)
    endings.withdraw(ended.consent_id, made.actor, now, ask_deletion=False, registry=factories.registry())
    db.session.commit()
    return made


@pytest.fixture
def university(world: World, app: Flask, now: dt.datetime) -> ThirdParty:
    party = factories.party(now, "university", name="示例机关")
    party.client.client_class = ClientClass.AUTHORITY
    factories.source(now, world.item, kind="push", client_id="university")
    db.session.commit()
    return ThirdParty(party, app.test_client())


def corrects(by: ThirdParty, at: dt.datetime, number: str, **said: Any) -> dict[str, Any]:
    """The authority pushes the right value for a case; the result."""
    body = record(as_of=at.isoformat(), rows=RIGHT, corrects=True, case=number) | said
    (result,) = send(by, {"records": [body]}).json["results"]
    db.session.expire_all()
    return {name: value for name, value in result.items() if name != "number" and value}


def told() -> list[str]:
    rows = db.session.query(Announcement).filter_by(kind=DATA_CORRECTED).order_by(Announcement.notice_id)
    return [row.client_id for row in rows]


def versions() -> list[tuple[int, bool]]:
    rows = db.session.query(Record).order_by(Record.version)
    return [(row.version, row.superseded_at is None) for row in rows]


def test_a_case_is_answered_by_a_corrected_record_and_recipients_with_a_living_consent_are_told(
    world: World, university: ThirdParty, app: Flask, now: dt.datetime
) -> None:
    me = Visitor(app.test_client()).sign_in(world.person, now)
    me.get(f"/data/{world.item.item_id}")
    me.follow("A value is wrong")
    page = me.tap("Send", text="It was law, not accounting.")
    case, path = db.session.query(cases.Case).one(), me.path
    assert case.number in page.says

    assert corrects(university, now, case.number) == {"outcome": "corrected"}
    assert corrects(university, now, case.number) == {"outcome": "unchanged"}, "sent again"
    assert versions() == [(1, False), (2, True)]
    assert "法学" in me.get(f"/data/{world.item.item_id}").says
    assert "The authority has sent a corrected record for this case" in me.get(path).says
    assert f"Answers the case {case.number}" in re.sub(r"\s+", " ", me.follow("The corrected version").says)
    me.get(path)
    assert "Lingnan Example Bank" in me.follow("Who received the earlier one").says

    assert corrected.sweep(now, 10, vault=factories.registry().vault) == 1
    db.session.commit()
    assert told() == ["bank"], "the consent of the other one has ended"
    assert "A value in your space was corrected at its source" in me.get("/messages").says

    desk = Desk(app.test_client()).sign_in(factories.administrator(now), now)
    desk.get(f"/admin{path}")
    assert "The authority has corrected the record for this case" in desk.says
    assert "法学" not in desk.page
    desk.post(f"/admin{path}/answer", outcome="upheld", text="The university has mended it.")
    assert "The authority has corrected the record for this case. The new one came on" in me.get(path).says
    assert "Your request was answered: the record was corrected" in me.get("/messages").says


def test_a_correction_that_names_no_open_case_about_this_record_is_not_taken(
    world: World, university: ThirdParty, now: dt.datetime
) -> None:
    vault = factories.registry().vault

    def opened(kind: CaseKind = CaseKind.CORRECTION, item: str | None = world.item.item_id) -> cases.Case:
        return cases.open_case(kind, About(item_id=item), "Wrong.", by, now, vault=vault)

    other = factories.holder(now, OTHER_PERSON, "周敏")
    by = factories.actor(other, now)
    numbers = [opened().number]
    by = world.actor
    settled = opened()
    cases.withdraw(settled.case_id, by, now, vault=vault)
    numbers += [settled.number, opened(item="p.tax.income").number, opened(item=None).number]
    numbers += [opened(CaseKind.EXPLANATION).number, "2026-ABCD-EFGH", "\x00", "x" * 1000]
    good = opened().number
    db.session.commit()
    refused = {"outcome": "rejected", "reason": "unknown_case", "field": "case"}
    for number in numbers:
        assert corrects(university, now, number) == refused, number
    nothing_there = corrects(university, now, numbers[0], identifier=OTHER_PERSON)
    assert nothing_there == refused, "there is no record of hers to correct"
    for said in ({"corrects": False}, {"case": 7}, {"case": None}):
        assert corrects(university, now, good, **said)["reason"] == "not_a_record"
    assert versions() == [(1, True)]
    assert db.session.query(Correction).count() == 0
    assert corrects(university, now, good) == {"outcome": "corrected"}
    assert db.session.query(Correction).one().case_number == good


def test_a_column_of_a_file_names_the_case(world: World, app: Flask, now: dt.datetime, tmp_path: Path) -> None:
    factories.source(now, world.item)
    about = About(item_id=world.item.item_id)
    case = cases.open_case(CaseKind.CORRECTION, about, "Wrong.", world.actor, now, vault=factories.registry().vault)
    db.session.commit()
    number, path = case.number, tmp_path / "degrees.csv"
    head, line = (
        "identifier,as_of,item,corrects,case,school,major\n",
        f"{factories.PERSON},{now.isoformat()},p.edu.degree",
    )
    path.write_text(
        f"{head}{line},,{number},示例大学,法学\n{line},true,2026-ABCD-EFGH,示例大学,法学\n"
        f"{line},true,{number},示例大学,法学\n"
    )
    result = app.test_cli_runner().invoke(args=["sources", "import", str(path), "--source", "example"])
    assert "3 records: 1 new or changed, 0 unchanged, 2 rejected" in result.output, result.output
    rejects = path.with_name("degrees.csv.rejects.tsv").read_text().splitlines()
    assert [row.split("\t")[1::2] for row in rejects] == [["not_a_record", "case"], ["unknown_case", "case"]]
    assert db.session.query(Correction).one().case_number == number
