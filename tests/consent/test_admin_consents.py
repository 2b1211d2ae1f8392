"""Administrators find, suspend and revoke authorizations."""

import datetime as dt
import logging
import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from consent import endings, lifecycle
from consent.interventions import OperatorEvent
from consent.records import ConsentEvent, Reason, State, facts_of, why_inactive
from dataspace.db import db
from dataspace.holders import Holder
from tests import factories
from tests.consent.desk import Desk, consents, read
from tests.factories import World

# What no page of administration may ever hold: values of the record, the holder's name and identifier in clear.
SECRET = ("示例大学", "会计", "陈嘉怡", factories.PERSON)


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
