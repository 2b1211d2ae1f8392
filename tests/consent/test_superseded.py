"""A certificate whose data was corrected at its source: nobody is to rely on it from then on, and all are told."""

import datetime as dt
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from consent import certificate_standing, corrected, data_certificates, endings
from consent.announcements import DATA_CORRECTED, Announcement
from consent.certificate_standing import Why
from consent.clients import Client
from consent.data_certificates import By, DataCertificate, Stage, Step
from dataspace import clock
from dataspace.catalogue import DataItem
from dataspace.db import db
from dataspace.entries import WaitingEntry
from tests import factories
from tests.consent import certificate_reader as reader
from tests.consent.certificate_bank import ITEM, PATH
from tests.consent.certificate_holder import Holder, make_holder
from tests.consent.desk import Desk
from tests.consent.visitor import Visitor

SAYS = "The authority has corrected this data since. Do not rely on the certificate: ask for a new one."


@pytest.fixture
def holder(app: Flask, now: dt.datetime) -> Holder:
    made = make_holder(app)
    factories.source(now, db.session.query(DataItem).filter_by(item_id=ITEM).one())
    db.session.get_one(Client, "bank").options = {"consent_events_delivery": "poll"}
    db.session.commit()
    return made


def corrects(now: dt.datetime, major: str = "法学") -> None:
    right = {"school": "示例大学", "major": major, "level": None}
    assert factories.bring(now, right, corrects=True).outcome == "corrected"


def sweep(now: dt.datetime) -> None:
    assert corrected.sweep(now, 10, vault=factories.registry().vault) == 1
    db.session.commit()


def checks(anybody: Visitor, text: str) -> str:
    anybody.get("/check")
    return anybody.tap("Check it", pasted=text).says


def told() -> list[dict[str, Any]]:
    rows = db.session.query(Announcement).filter_by(kind=DATA_CORRECTED).order_by(Announcement.notice_id)
    return [row.body for row in rows]


def test_it_is_invalid_from_the_correction_on_and_whoever_looks_reads_why(
    holder: Holder, app: Flask, client: FlaskClient, now: dt.datetime
) -> None:
    other = holder.makes("p.energy.home").certificate_id
    number = holder.makes().certificate_id
    opened = holder.links()
    holder.get(f"/certificates/{number}")
    waiting = holder.links()
    receiver, late = Visitor(app.test_client()), Visitor(app.test_client())
    receiver.get(opened)
    receiver.tap("Open it")
    file = receiver.send("GET", receiver.page.link("Save the file")).text
    said = reader.read(client, file)
    late.get(waiting)
    assert "neither frozen nor revoked" in checks(late, file)
    corrects(now)

    assert reader.status_of(client, said) == reader.INVALID, "before the worker has come by"
    assert certificate_standing.standing(number, clock.now()).why is Why.SUPERSEDED
    assert certificate_standing.standing(other, clock.now()).why is None, "over other data"
    page = receiver.get(opened)
    assert SAYS in page.says
    assert "示例大学" not in page.html
    download = receiver.send("GET", f"{opened}/certificate.sd-jwt")
    assert (download.status_code, SAYS in download.text) == (409, True)
    late.get(waiting)
    page = late.tap("Open it")
    assert (page.status, SAYS in page.says) == (409, True)
    assert not holder.get(f"/certificates/{number}").offers("Make the link")

    assert SAYS in checks(late, file)
    sweep(now)
    certificate = data_certificates.get(number)
    step = data_certificates.steps(number)[-1]
    assert (certificate.stage, step.kind, step.by) == (Stage.SUPERSEDED, Step.SUPERSEDED, By.SOURCE)
    entry = data_certificates.entry_of(step, certificate)
    assert entry is not None
    assert db.session.query(WaitingEntry).filter_by(key=entry.key).count() == 1
    assert reader.status_of(client, said) == reader.INVALID
    assert SAYS in receiver.get(opened).says
    assert [body["last_read_at"] for body in told()] == [None], "it was shown to somebody, and never read by the bank"

    assert "A certificate counts no more: its data was corrected." in holder.get("/messages").says
    page = holder.get(f"/certificates/{number}")
    assert "Its data was corrected" in page.says
    assert "tell those whom it concerns" in page.says
    assert not page.offers("Revoke it for good")
    holder.follow("Make a new one")
    holder.tap(f"Item {ITEM} · Example authority")
    assert "法学" in holder.page.says
    assert certificate_standing.standing(holder.newest.certificate_id, clock.now()).why is None
    desk = Desk(app.test_client()).sign_in(factories.administrator(now), now)
    desk.get("/admin/certificates?state=superseded")
    assert len(desk.rows()) == 1
    desk.get(f"/admin/certificates/{number}")
    assert "The authority" in desk.says


def test_its_third_party_is_told_while_the_consent_lives_and_can_use_it_no_more(
    holder: Holder, now: dt.datetime
) -> None:
    bank, vault = holder.bank, factories.registry().vault
    made = bank.makes()
    number = made["certificate_id"]
    data_certificates.append(number, Step.FROZEN, now, by=By.HOLDER, vault=vault)
    db.session.commit()
    corrects(now)
    assert bank.call("POST", f"{PATH}/{number}/uses", {"case_no": "A-1"}).status_code == 409
    seen = bank.call("GET", f"{PATH}/{number}").json
    assert (seen["status"], seen["why"], seen["stage"]) == ("invalid", "superseded", "stored")
    sweep(now)
    assert bank.call("GET", f"{PATH}/{number}").json["stage"] == "superseded"
    assert [body["last_read_at"] is not None for body in told()] == [True]

    used = bank.makes()["certificate_id"]
    assert bank.call("POST", f"{PATH}/{used}/uses", {"case_no": "A-1"}).status_code == 201
    endings.withdraw(holder.consent_id, bank.holder, now, ask_deletion=False, registry=factories.registry())
    corrects(now, "会计学")
    sweep(now)
    assert len(told()) == 1, "no consent lives"
    stages = db.session.query(DataCertificate.stage).order_by(DataCertificate.issued_at)
    assert [stage for (stage,) in stages] == [Stage.SUPERSEDED] * 2, "evidence of its use stays, and it is wrong"
    assert data_certificates.steps(used)[-2].kind == Step.USED
