"""From a delivery to its sources, from a version to who received it; corrections reach whom they concern."""

import datetime as dt
import hashlib
from typing import Any

import pytest
import rfc8785
from flask import Flask
from sqlalchemy import update

from consent import corrected, endings, pauses, received
from consent.announcements import DATA_CORRECTED, Announcement
from consent.clients import Client
from consent.records import Consent, ConsentVersion
from dataspace import lineage, messages
from dataspace.accesses import Access
from dataspace.db import db
from dataspace.delivery import Delivery, envelope
from dataspace.sources.incoming import from_document
from dataspace.sources.registry import Source
from dataspace.spaces import Record
from tests import factories
from tests.consent import authority
from tests.consent.desk import Desk
from tests.consent.reading import read, token_for
from tests.consent.visitor import Visitor
from tests.factories import World
from tests.statements import counted

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def world(app: Flask, now: dt.datetime) -> World:
    made = factories.world(now)
    factories.source(now, made.item, name=factories.text("学历库", "Register of degrees"))
    db.session.get_one(Client, "bank").options = {"consent_events_delivery": "poll"}
    db.session.commit()
    return made


def bring(at: dt.datetime, school: str, **said: Any) -> None:
    """The source brings a value as of ``at``."""
    assert factories.bring(at, {"school": school}, **said).reason is None


def delivered(world: World, at: dt.datetime) -> Delivery:
    return read(token_for(world.consent, at), None, at)


def current() -> Record:
    return db.session.query(Record).filter_by(superseded_at=None).one()


def told() -> list[dict[str, Any]]:
    rows = db.session.query(Announcement).filter_by(kind=DATA_CORRECTED).order_by(Announcement.notice_id)
    return [row.body for row in rows]


def kinds(world: World) -> list[str]:
    rows = db.session.query(messages.Message).filter_by(space_id=world.person.space_id, kind="data:corrected")
    return [row.about for row in rows.order_by(messages.Message.message_id)]


def test_a_delivery_leads_to_its_versions_and_a_version_to_its_deliveries(world: World, now: dt.datetime) -> None:
    bring(now, "示例大学")
    first = delivered(world, now)
    line = lineage.delivery(first.delivery_id)
    (origin,) = lineage.origins(line.record_ids or [])
    assert (origin.record.record_id, origin.item.version) == (current().record_id, 1)
    assert origin.source_name("en") == "Register of degrees"
    assert (line.consent_version, line.client_id) == (1, "bank")
    second = delivered(world, now + MINUTE)
    received = lineage.recipients(current())
    assert [row.delivery_id for row in received.lines] == [second.delivery_id, first.delivery_id]
    newest = lineage.recipients(current(), size=1)
    assert newest.older is not None
    assert [row.delivery_id for row in lineage.recipients(current(), before=newest.older).lines] == [first.delivery_id]
    bring(now + 2 * MINUTE, "另一大学")
    assert lineage.recipients(current()).lines == []


def test_the_digest_of_the_answer_is_what_its_receiver_computes(world: World, now: dt.datetime) -> None:
    answer = delivered(world, now)
    line = lineage.delivery(answer.delivery_id)
    assert line.response_digest == hashlib.sha256(rfc8785.dumps(envelope(answer))).hexdigest()


def test_who_has_read_what_was_wrong_is_told_and_so_is_the_holder(world: World, now: dt.datetime) -> None:
    bring(now, "示列大学")
    wrong = current().record_id
    delivered(world, now)
    bring(now, "示例大学", corrects=True)
    assert corrected.sweep(now + MINUTE, 10, vault=factories.registry().vault) == 1
    assert corrected.sweep(now + MINUTE, 10, vault=factories.registry().vault) == 0, "once"
    (body,) = told()
    assert body == {
        "grant_id": world.consent.consent_id, "consent_version": 1, "item": "p.edu.degree",
        "last_read_at": int(now.timestamp()), "at": int(now.timestamp()),
    }  # fmt: skip
    assert kinds(world) == [wrong]
    assert lineage.origin(wrong).corrected


def test_nobody_is_told_who_has_not_read_it_or_may_read_no_more(world: World, now: dt.datetime) -> None:
    bring(now, "示列大学")
    bring(now, "示例大学", corrects=True)
    corrected.sweep(now, 10, vault=factories.registry().vault)
    assert told() == [], "nobody had read it"
    delivered(world, now)
    endings.withdraw(world.consent.consent_id, world.actor, now, ask_deletion=False, registry=factories.registry())
    bring(now, "示例大學", corrects=True)
    corrected.sweep(now, 10, vault=factories.registry().vault)
    assert told() == [], "the consent has ended"
    assert len(kinds(world)) == 2, "the holder hears of each"


def test_a_consent_that_is_paused_lives(world: World, now: dt.datetime) -> None:
    bring(now, "示列大学")
    delivered(world, now)
    pauses.pause(world.consent.consent_id, world.actor, now, registry=factories.registry())
    bring(now, "示例大学", corrects=True)
    corrected.sweep(now, 10, vault=factories.registry().vault)
    assert len(told()) == 1


def test_what_is_newer_but_was_not_wrong_is_not_announced(world: World, now: dt.datetime) -> None:
    bring(now, "示例大学")
    delivered(world, now)
    bring(now + MINUTE, "另一大学")
    assert corrected.sweep(now + MINUTE, 10, vault=factories.registry().vault) == 0


def test_readers_are_told_that_a_source_is_silent(world: World, now: dt.datetime) -> None:
    bring(now, "示例大学")
    source = db.session.get_one(Source, "example")
    (item,) = envelope(delivered(world, now))["items"]
    assert item["source"]["silent_since"] is None
    source.failing_since = now
    db.session.commit()
    (item,) = envelope(delivered(world, now + MINUTE))["items"]
    assert item["fields"]["school"] == "示例大学", "the last good version"
    assert item["source"]["silent_since"] == now.isoformat().replace("+00:00", "Z")


def test_the_holder_follows_a_read_to_its_source_and_sees_who_else_received_it(
    world: World, app: Flask, now: dt.datetime
) -> None:
    bring(now, "示列大学")
    delivered(world, now)
    access_id = db.session.query(Access).one().access_id
    bring(now, "示例大学", corrects=True)
    corrected.sweep(now, 10, vault=factories.registry().vault)
    db.session.commit()
    me = Visitor(app.test_client()).sign_in(world.person, now)
    page = me.get(f"/reads/{access_id}").says
    assert "Register of degrees" in page
    assert "The source has corrected this since" in page
    version = lineage.delivery(db.session.query(Access).one().delivery_id or "").record_ids
    assert version is not None
    assert "Lingnan Example Bank" in me.get(f"/versions/{version[0]}").says
    stranger = Visitor(app.test_client()).sign_in(factories.holder(now, factories.OTHER_PERSON, "别人"), now)
    for visitor, path in ((stranger, f"/reads/{access_id}"), (stranger, f"/versions/{version[0]}"),
                          (me, "/versions/rec_none"), (me, "/reads/99999"), (me, "/reads/" + "9" * 30)):  # fmt: skip
        assert visitor.send("GET", path).status_code == 404, path


def test_the_administrator_traces_a_delivery_without_seeing_a_value(world: World, app: Flask, now: dt.datetime) -> None:
    bring(now, "示例大学")
    answer = delivered(world, now)
    desk = Desk(app.test_client()).sign_in(factories.administrator(now), now)
    desk.get(f"/admin/deliveries?number={answer.delivery_id}")
    assert "Register of degrees" in desk.says
    assert "示例大学" not in desk.page
    desk.get(f"/admin/deliveries?number={current().record_id}")
    assert answer.delivery_id in desk.says
    for number in ("dlv_none", "rec_none", "x", ""):
        desk.get(f"/admin/deliveries?number={number}")


def test_the_administrator_sees_how_good_a_source_is(world: World, app: Flask, now: dt.datetime) -> None:
    bring(now, "示例大学")
    reception = factories.reception(now)
    reception.take([from_document(2, {"x": 1}), from_document(3, "x")], now)
    db.session.commit()
    desk = Desk(app.test_client()).sign_in(factories.administrator(now), now)
    desk.get("/admin/sources")
    assert "Register of degrees" in desk.says
    assert "33 %" in desk.says, "one field of three"
    desk.get("/admin/sources/example")
    assert desk.says.count("Not a record") == 2
    desk.get("/admin/sources/none", 404)


def test_who_received_a_field_is_not_who_received_another(world: World, app: Flask, now: dt.datetime) -> None:
    """By the version of the consent that a read rests on, as that was; and of a read by law by its power."""
    bring(now, "示例大学")
    record = current()
    whole = delivered(world, now)
    version = db.session.get_one(ConsentVersion, (world.consent.consent_id, 1))
    (granted,) = version.granted
    columns = {c.name: getattr(version, c.name) for c in ConsentVersion.__table__.columns}
    less = [granted | {"fields": ["school"]}]
    db.session.add(ConsentVersion(**columns | {"version": 2, "granted": less, "digest": "2" * 64}))
    db.session.execute(update(Consent).values(version=2))
    db.session.commit()
    part = delivered(world, now + MINUTE)
    tax = authority.Authority.registered(app.test_client(), now)
    admins = authority.administrators(now)
    authority.approved(admins, now)
    by_law = tax.read(tax.token_for_case()).json["delivery_id"]

    def receivers(field: str) -> list[str | None]:
        resting_on = received.allowing(record.space_id, record.item_id, field)
        return [line.delivery_id for line in lineage.recipients(record, resting_on=resting_on).lines]

    assert receivers("school") == [by_law, part.delivery_id, whole.delivery_id]
    assert receivers("major") == [whole.delivery_id]
    assert receivers("level") == [by_law, whole.delivery_id]
    assert receivers("none") == []
    me = Visitor(app.test_client()).sign_in(world.person, now)
    me.get("/data/p.edu.degree")
    everybody = me.follow("Who received this")
    assert "By law" in everybody.says
    majors = me.get(f"/versions/{record.record_id}?field=major")
    assert "Lingnan Example Bank" in majors.says
    assert "By law" not in majors.says
    access_id = db.session.query(Access).filter_by(delivery_id=part.delivery_id).one().access_id
    page = me.get(f"/reads/{access_id}").says
    assert "Fields concerned" in page
    admin = db.session.query(factories.Holder).filter_by(holder_id=admins[0].person_id).one()
    desk = Desk(app.test_client()).sign_in(admin, now)
    desk.get(f"/admin/deliveries?number={record.record_id}&field=major")
    assert whole.delivery_id in desk.says
    assert part.delivery_id not in desk.says


def test_who_received_the_version_before_is_one_link_away(world: World, app: Flask, now: dt.datetime) -> None:
    bring(now, "示例大学")
    delivered(world, now)
    bring(now + MINUTE, "另一大学")
    me = Visitor(app.test_client()).sign_in(world.person, now)
    me.get("/data/p.edu.degree")
    assert "Nobody has received it" in me.follow("Who received this").says
    assert "Lingnan Example Bank" in me.follow("Who received the version before this one").says


def test_the_page_of_who_received_it_asks_the_same_number_of_questions_however_long_the_log_is(
    world: World, app: Flask, now: dt.datetime
) -> None:
    bring(now, "示例大学")
    me = Visitor(app.test_client()).sign_in(world.person, now)
    asked = []
    for reads in (1, 4):
        for _ in range(reads):
            delivered(world, now)
        with counted() as count:
            me.get(f"/versions/{current().record_id}?field=school")
        asked.append(len(count))
    assert asked[0] == asked[1]
