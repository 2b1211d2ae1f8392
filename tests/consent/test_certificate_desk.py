"""The administrator's pages of certificates and of single records: look, freeze, thaw, revoke, delete for good."""

import datetime as dt
import re

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

from consent import certificate_issue, data_certificates, presentations, worker
from consent.archives import Archive
from consent.data_certificates import DataCertificate
from consent.interventions import OperatorEvent
from dataspace import clock, messages
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.sealing import Unreadable
from dataspace.signins import SignIn
from dataspace.spaces import Record
from tests import factories
from tests.consent.desk import Desk
from tests.factories import World
from tests.statements import counted

RECEIVER = "示例律师事务所"
WHY = {"ground": "fraud", "text": "查实冒用"}


@pytest.fixture
def desk(client: FlaskClient, world: World) -> Desk:
    now = clock.now()
    return Desk(client).sign_in(factories.administrator(now), now)


def made(world: World, count: int = 1) -> list[DataCertificate]:
    """Certificates of the one consent, the newest last."""
    now, registry = clock.now(), factories.registry()
    consent_id, by = world.consent.consent_id, world.actor
    found = [
        certificate_issue.for_holder(
            consent_id, world.item.item_id, by, now + dt.timedelta(milliseconds=n), registry=registry
        ).certificate
        for n in range(count)
    ]
    db.session.commit()
    return found


def the_record() -> Record:
    return db.session.scalars(sa.select(Record).order_by(Record.version)).one()


def told(holder: Holder) -> list[str]:
    return [message.kind for message in messages.page(holder.space_id).rows]


def test_one_is_found_frozen_thawed_and_revoked_for_a_reason(desk: Desk, world: World) -> None:
    (one,) = made(world)
    desk.get("/admin")
    desk.post("/admin/find", q=one.certificate_id)
    path = f"/admin/certificates/{one.certificate_id}"
    assert desk.path == path
    assert "陈** · " in desk.says
    desk.post(path, 400, decision="freeze", ground="fraud", text="")
    assert "Choose a reason" in desk.says
    desk.post(path, decision="freeze", **WHY)
    assert "the holder reads why" in desk.says
    assert desk.rows()[0][1:4] == ["Frozen", "An administrator · 管**", "Fraud or pressure · 查实冒用"]
    desk.post(path, 409, decision="freeze", **WHY)
    assert "Look at it again." in desk.says
    desk.post(path, decision="thaw", ground="resolved", text="Nothing found")
    desk.post(path, decision="revoke", **WHY)
    assert "Revoked for good" in desk.says
    assert "Step in" not in desk.says
    desk.get("/admin/keys")
    desk.post(path, 409, decision="thaw", **WHY)
    assert "frozen, revoked or expired" in desk.says
    desk.get("/admin/keys")
    desk.post(path, 404, decision="destroy", **WHY)
    assert told(world.person)[:3] == ["certificate:revoked", "certificate:thawed", "certificate:frozen"]
    events = db.session.scalars(sa.select(OperatorEvent).order_by(OperatorEvent.event_id))
    assert [(e.kind, e.reason_code, e.text) for e in events] == [
        ("certificate:frozen", "fraud", ""),
        ("certificate:thawed", "resolved", ""),
        ("certificate:revoked", "fraud", ""),
    ]
    desk.get("/admin/activity?kind=certificate:revoked")
    assert f'href="{path}"' in desk.page


def test_its_life_has_entries_in_the_log_and_tells_no_receiver(desk: Desk, world: World) -> None:
    (one,) = made(world)
    presentations.present(
        one.certificate_id, RECEIVER, {"data": ["school"]}, dt.timedelta(hours=1), world.actor, clock.now(),
        vault=factories.registry().vault,
    )  # fmt: skip
    db.session.commit()
    path = f"/admin/certificates/{one.certificate_id}"
    desk.get(path)
    assert [row[-1] for row in desk.rows()] == ["not yet"] * 3
    worker.sequence(clock.now(), registry=factories.registry())
    desk.get(path)
    assert all(row[-1].isdigit() for row in desk.rows())
    assert [row[1] for row in desk.rows()] == ["A link was made", "Stored in the space", "Made and signed"]
    assert RECEIVER not in desk.page
    desk.get(f"{path}?before=3")
    assert [row[1] for row in desk.rows()] == ["Stored in the space", "Made and signed"]
    for nonsense in ("9" * 18, "x"):
        desk.get(f"{path}?before={nonsense}")
        assert len(desk.rows()) == 3
    assert "示例大学" not in desk.page


def test_the_register_is_searched_and_turned(desk: Desk, world: World) -> None:
    desk.get("/admin/certificates")
    assert "No certificate fits" in desk.says
    old = made(world, 1)
    with counted() as few:
        desk.get("/admin/certificates")
    old += made(world, 5)
    with counted() as many:
        desk.get("/admin/certificates")
    assert len(many) == len(few)
    data_certificates.append(
        old[0].certificate_id, data_certificates.Step.USED, clock.now(), by=data_certificates.By.CLIENT,
        vault=factories.registry().vault,
    )  # fmt: skip
    db.session.commit()

    def numbers(query: str) -> list[str]:
        desk.get(f"/admin/certificates?{query}")
        return [row[0] for row in desk.rows()] if "<tbody>" in desk.page else []

    all_of_them = [one.certificate_id for one in reversed(old)]
    assert numbers("") == all_of_them
    for number in (world.consent.consent_id, the_record().record_id):
        assert numbers(f"number={number}") == all_of_them
    assert numbers(f"number={old[2].certificate_id}") == [old[2].certificate_id]
    assert numbers("state=used") == [old[0].certificate_id]
    assert numbers("state=stored&client=bank") == all_of_them[:-1]
    assert numbers(f"holder={world.person.holder_id}") == all_of_them
    assert "Only certificates of 陈**" in desk.says
    assert numbers("state=frozen") == numbers("client=other") == numbers("until=2020-01-01") == []


def test_a_record_is_deleted_with_the_certificates_made_from_it(desk: Desk, world: World) -> None:
    one, _other = made(world, 2)
    now = clock.now()
    whose = {"space_id": world.person.space_id, "person_id": world.person.holder_id}
    db.session.add(Archive(archive_id="arc_1", language="en", state="ready", asked_at=now, expires_at=now, **whose))
    db.session.commit()
    number = the_record().record_id
    path = f"/admin/records/{number}"
    desk.get("/admin")
    desk.post("/admin/find", q=number)
    for words in ("2 certificates made from it", "1 copy of everything", "It is the current one", "What stays"):
        assert words in desk.says
    why = {"ground": "authority_decision", "text": "Court order 7"}
    desk.post(path, 400, number=number, ground="", text="")
    assert "Choose a reason" in desk.says
    desk.post(path, 400, number=one.certificate_id, **why)
    assert "This is not the number of this version." in desk.says
    assert the_record().erased_at is None
    desk.post(path, number=f" {number} ", **why)
    assert "Deleted for good; the holder gets a message." in desk.says
    assert "Decision of a court or authority · Court order 7" in desk.says
    assert "管**" in desk.says
    assert [row[2::3] for row in desk.rows()] == [["Revoked for good", "Destroyed"]] * 2
    assert "Delete this version for good" not in desk.says
    desk.get("/admin/keys")
    desk.post(path, 409, number=number, **why)
    assert "It was deleted before." in desk.says
    assert db.session.scalars(sa.select(Archive.archive_id)).all() == []
    with pytest.raises(Unreadable):
        data_certificates.content(one, vault=factories.registry().vault)
    assert sorted(told(world.person)[:3]) == ["certificate:revoked", "certificate:revoked", "data:erased"]
    desk.get("/admin/activity")
    assert f'href="{path}"' in desk.page


def test_neither_is_done_with_a_sign_in_of_long_ago_nor_shown_for_a_number_that_nothing_has(
    desk: Desk, world: World
) -> None:
    (one,) = made(world)
    for path in ("/admin/certificates/crt_none", "/admin/records/rec_none"):
        desk.get(path, 404)
    desk.get("/admin")
    desk.post("/admin/find", q="crt_none")
    assert "Nothing was found" in desk.says
    db.session.execute(sa.update(SignIn).values(auth_time=clock.now() - dt.timedelta(hours=1)))
    db.session.commit()
    number = the_record().record_id
    for path in (f"/admin/certificates/{one.certificate_id}", f"/admin/records/{number}"):
        desk.get(path)
        answer = desk.post(path, decision="revoke", number=number, **WHY)
        assert re.match(r"/signin\b", answer.location)
    assert the_record().erased_at is None
    assert db.session.get_one(DataCertificate, one.certificate_id).stage == "stored"
