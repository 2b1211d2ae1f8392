"""An item that becomes sensitive after it was given is decided again; meanwhile nothing of it leaves."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, select

from consent import history, lifecycle, regrading
from consent.records import Consent, ConsentEvent, ConsentVersion, Event, State
from dataspace import extracts
from dataspace.accesses import Access
from dataspace.catalogue import DataItem
from dataspace.db import db
from dataspace.delivery import envelope
from dataspace.errors import Conflict, NotAllowed, NotFound
from dataspace.mandates import Actor, Capacity
from dataspace.permission import GrantedItem, Permission, ReadRefused
from dataspace.web.shell import services
from tests import factories
from tests.consent.visitor import Visitor

DEGREE, WORK = "p.edu.degree", "p.work.qualification"
AGAIN = "Some data has become sensitive since you gave it."


@dataclass
class Scene:
    now: dt.datetime
    by: Actor
    consent: Consent
    visitor: Visitor

    def regrade(self, **changes: Any) -> None:
        """A new version of the degree comes with the catalogue."""
        old = db.session.get_one(DataItem, (DEGREE, 1))
        columns = {c.name: getattr(old, c.name) for c in DataItem.__table__.columns}
        impact = factories.text("可能影响您的权益", "May affect your rights")
        db.session.add(DataItem(**(columns | {"version": 2, "impact": impact, "digest": "2" * 64} | changes)))
        db.session.commit()

    def read(self, *wanted: str) -> dict[str, Any]:
        """A read under the consent as it is now, and its answer."""
        version = db.session.get_one(ConsentVersion, (self.consent.consent_id, self.consent.version))
        granted = tuple(
            GrantedItem(
                item_id=g["item"], item_version=g["version"], fields=tuple(g["fields"]), sensitive=g["sensitive"]
            )
            for g in version.granted
        )
        permission = Permission(
            client_id="bank", recipient="银行", consent_id=self.consent.consent_id, consent_version=version.version,
            space_id=self.consent.space_id, purpose="审核", reference_no=None, items=granted, max_reads=None,
            auth_time=self.now, acr="urn:dataspace:acr:passkey",
        )  # fmt: skip
        delivery = extracts.read(permission, wanted or None, self.now, vault=services().vault)
        db.session.commit()
        return {i["item"]: i for i in envelope(delivery)["items"]}

    def keep(self, *, by: Actor | None = None, item: str = DEGREE) -> Consent:
        consent_id, registry = self.consent.consent_id, factories.registry()
        return regrading.keep(consent_id, item, by or self.by, self.now, notice="text", registry=registry)

    def document(self) -> dict[str, Any]:
        return history.current_document(self.consent)[0]


@pytest.fixture
def scene(app: Flask, client: FlaskClient, now: dt.datetime) -> Scene:
    person = factories.holder(now)
    degree, work = factories.item(now, DEGREE), factories.item(now, WORK, ("name", "level"))
    factories.record(person, degree, [{"school": "示例大学", "major": "会计", "level": None}], now)
    factories.record(person, work, [{"name": "会计师", "level": None}], now)
    factories.party(now)
    row = factories.purpose(now, required=[work], optional=[degree])
    by = factories.actor(person, now)
    given = factories.consent(factories.ask(row, now), by, now)
    db.session.commit()
    return Scene(now, by, given, Visitor(client).sign_in(person, now))


SCHOOL_IS_SENSITIVE = [
    {"id": f, "label": factories.text(f), **({"sensitive": True} if f == "school" else {})}
    for f in ("school", "major", "level")
]


@pytest.mark.parametrize(
    "changes",
    [{"sensitive": True}, {"fields": SCHOOL_IS_SENSITIVE}, {"level": 4}],
    ids=["the item", "a granted field", "the highest level"],
)
def test_nothing_of_a_regraded_item_leaves_and_the_others_go_on(scene: Scene, changes: dict[str, Any]) -> None:
    assert scene.read()[DEGREE]["status"] == "delivered"
    scene.regrade(**changes)
    items = scene.read()
    assert items[WORK]["status"] == "delivered"
    today = db.session.get_one(DataItem, (DEGREE, 2))
    assert items[DEGREE] == {
        "item": DEGREE, "item_version": 2, "schema": f"/api/v1/items/{DEGREE}/2/schema.json", "delivery": "raw",
        "status": "regraded", "source": {"authority": today.authority, "system": today.system}, "as_of": None,
        "period": None, "withheld": ["school", "major", "level"], "empty": [],
        "classification": {"rule_set": today.rule_set, "class": today.pi_class, "level": today.level},
    }  # fmt: skip
    logged = db.session.scalars(select(Access).order_by(Access.access_id.desc())).first()
    assert logged is not None
    assert logged.item_ids == [WORK]
    for wanted in ([DEGREE], [WORK, DEGREE]):
        with pytest.raises(ReadRefused) as refused:
            scene.read(*wanted)
        assert refused.value.reason == "item_regraded"


@pytest.mark.parametrize(
    "changes",
    [
        {"level": 2},
        {"labels": factories.text("学历", "Degree")},
        {"fields": [*SCHOOL_IS_SENSITIVE[1:], {"id": "new", "label": factories.text("y"), "sensitive": True}]},
    ],
    ids=["a level", "a label", "a field that was not given"],
)  # fmt: skip
def test_what_needs_no_step_of_its_own_goes_on(scene: Scene, changes: dict[str, Any]) -> None:
    scene.regrade(**changes)
    assert scene.read(DEGREE)[DEGREE]["status"] == "delivered"
    assert regrading.in_space(scene.by.space_id) == []


def test_a_lower_grade_changes_nothing(scene: Scene) -> None:
    scene.regrade(sensitive=True)
    scene.keep()
    old = db.session.get_one(DataItem, (DEGREE, 2))
    columns = {c.name: getattr(old, c.name) for c in DataItem.__table__.columns}
    db.session.add(DataItem(**(columns | {"version": 3, "sensitive": False, "digest": "3" * 64})))
    db.session.commit()
    assert scene.read(DEGREE)[DEGREE]["status"] == "delivered"


def test_when_every_item_is_regraded_the_read_is_refused(scene: Scene) -> None:
    scene.regrade(sensitive=True)
    version = db.session.get_one(ConsentVersion, (scene.consent.consent_id, 1))
    version.granted = [g for g in version.granted if g["item"] == DEGREE]
    with pytest.raises(ReadRefused) as refused:
        scene.read()
    assert refused.value.reason == "item_regraded"


def test_keeping_makes_a_version_with_a_step_of_its_own(scene: Scene) -> None:
    scene.regrade(sensitive=True, pi_class="SPI")
    scene.keep()
    db.session.commit()
    document = scene.document()
    item = next(i for i in document["items"] if i["item_id"] == DEGREE)
    assert (document["version"], document["kind"]) == (2, "separate_consent")
    assert (item["item_version"], item["separate_step"], item["chosen"]) == (2, True, True)
    assert item["classification"]["class"] == "SPI"
    assert item["impact_text"]["en"] == "May affect your rights"
    assert scene.read(DEGREE)[DEGREE]["status"] == "delivered"
    last = db.session.scalars(select(ConsentEvent).order_by(ConsentEvent.event_id.desc())).first()
    assert last is not None
    assert last.kind == Event.ITEM_RECONFIRMED
    with pytest.raises(Conflict):
        scene.keep()
    with pytest.raises(Conflict):
        scene.keep(item=WORK)


def test_only_who_decides_alone_for_this_space_decides(scene: Scene) -> None:
    scene.regrade(sensitive=True)
    stranger = factories.actor(factories.holder(scene.now, factories.OTHER_PERSON, "梁志文"), scene.now)
    with pytest.raises(NotFound):
        scene.keep(by=stranger)
    agent = Actor(**{**scene.by.__dict__, "capacity": Capacity.AGENT})
    with pytest.raises(NotAllowed):
        scene.keep(by=agent)
    lifecycle.get(scene.consent.consent_id).state = State.WITHDRAWN
    with pytest.raises(Conflict):
        scene.keep()


@pytest.mark.parametrize(("button", "said"), [("Keep giving it", "It can be read again."),
                                              ("Stop giving it", "This data can no longer be read.")])  # fmt: skip
def test_the_holder_is_asked_to_decide_again(scene: Scene, button: str, said: str) -> None:
    consent_id = scene.consent.consent_id
    assert AGAIN not in scene.visitor.get("/authorizations").says
    scene.regrade(sensitive=True)
    assert AGAIN in scene.visitor.get(f"/authorizations/{consent_id}").says
    assert AGAIN in scene.visitor.get("/authorizations").says
    page = scene.visitor.follow("Look and decide")
    for words in ("Please decide again about: Item p.edu.degree", "May affect your rights", "Lingnan Example Bank",
                  "示例大学", "Field school"):  # fmt: skip
        assert words in page.says, words
    page = scene.visitor.tap(button)
    assert said in page.says
    assert AGAIN not in page.says
    db.session.refresh(scene.consent)
    assert scene.consent.version == 2
    assert AGAIN not in scene.visitor.get("/authorizations").says


def test_a_second_tab_decides_nothing_twice(scene: Scene) -> None:
    scene.regrade(sensitive=True)
    path = f"/authorizations/{scene.consent.consent_id}/decide-again"
    page = scene.visitor.get(path)
    form = page.forms["decision"]
    token = next(i["value"] for i in form.inputs if i.get("name") == "csrf_token")
    for decision, status in (("give", 303), ("keep", 303), ("", 400)):
        data = {"csrf_token": token, "item": f"{DEGREE}:2", "decision": decision}
        assert scene.visitor.send("POST", path, data=data).status_code == status
    db.session.refresh(scene.consent)
    assert scene.consent.version == 2
    assert all(i["chosen"] for i in scene.document()["items"])


def test_a_decision_counts_for_the_version_that_was_shown(scene: Scene) -> None:
    scene.regrade(sensitive=True)
    scene.visitor.get(f"/authorizations/{scene.consent.consent_id}/decide-again")
    scene.regrade(
        sensitive=True, version=3, impact=factories.text("更大的影响", "May affect you more"), digest="3" * 64
    )
    page = scene.visitor.tap("Keep giving it")
    assert "May affect you more" in page.says
    db.session.refresh(scene.consent)
    assert scene.consent.version == 1


def test_looking_for_them_costs_two_statements(scene: Scene) -> None:
    scene.regrade(sensitive=True)
    space_id = scene.by.space_id
    statements: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    assert len(regrading.in_space(space_id)) == 1
    assert len(statements) == 2
