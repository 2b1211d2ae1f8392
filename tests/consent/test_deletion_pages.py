"""The duty to delete on the holder's page and at the desk: until when, confirmed, or not in time."""

import datetime as dt

from flask import Flask

from consent import deletions, endings
from consent.deletions import Deletion, SignedStatement
from dataspace.db import db
from tests import factories
from tests.consent.desk import Desk
from tests.consent.visitor import Visitor


def test_who_has_not_confirmed_in_time_is_shown_to_the_holder_and_at_the_desk(app: Flask, now: dt.datetime) -> None:
    world, registry = factories.world(now), factories.registry()
    admin = factories.administrator(now)
    consent_id = world.consent.consent_id
    endings.withdraw(consent_id, world.actor, now, ask_deletion=True, registry=registry)
    db.session.commit()
    visitor = Visitor(app.test_client()).sign_in(world.person, now)
    page, late = visitor.get(f"/authorizations/{consent_id}"), "They have not confirmed it in time."
    assert "They confirm it by" in page.says
    assert late not in page.says

    deletion = db.session.get_one(Deletion, consent_id)
    deletion.due_at = now - dt.timedelta(days=1)
    db.session.commit()
    assert late in visitor.get(f"/authorizations/{consent_id}").says
    desk = Desk(app.test_client()).sign_in(admin, now)
    desk.get("/admin/cases")
    assert desk.rows()[-1][:2] == [consent_id, "bank"]

    stated = SignedStatement(client_id="bank", consent_id=consent_id, deleted_at=now, signed="a.b.c")
    deletions.confirm(stated, now, registry=registry)
    db.session.commit()
    page = visitor.get(f"/authorizations/{consent_id}")
    assert "Confirmed with their signature" in page.says
    assert late not in page.says
    desk.get("/admin/cases")
    assert "Deletions not confirmed in time" not in desk.says
