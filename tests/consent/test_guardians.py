"""Children: a guardian decides until the 14th birthday, says so, and every item is sensitive (check C-22)."""

import datetime as dt

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from consent import history
from consent.asks import sign_in
from consent.records import Reason, facts_of, why_inactive
from dataspace import guardians, holders, mandates
from dataspace.days import CHINA
from dataspace.db import db
from dataspace.errors import NotAllowed
from dataspace.holders import Holder
from dataspace.identifiers import person_check
from dataspace.mandates import Capacity, Mandate
from dataspace.web.shell import services
from tests import factories
from tests.consent.scene import EXTRA, PLAIN, Scene

CHILD = "440099201806010035"  # 黄子轩, born on 1 June 2018
STUDENT = "440099201001100068"  # 王子晴, 16
FOURTEEN = dt.datetime(2032, 6, 1, tzinfo=CHINA)


@pytest.fixture
def child(scene: Scene) -> Holder:
    return factories.holder(scene.now, CHILD, "黄子轩")


@pytest.fixture
def guardianship(scene: Scene, child: Holder) -> Mandate:
    """陈嘉怡 decides for 黄子轩, and acts for him."""
    factories.record(child, scene.items[PLAIN], [{"school": "示例小学", "major": None, "level": None}], scene.now)
    found = guardians.appoint(child, scene.person, scene.now, vault=services().vault)
    db.session.commit()
    scene.visitor.sign_in(scene.person, scene.now, acting=found)
    return found


@pytest.mark.usefixtures("guardianship")
def test_c22_the_guardian_confirms_the_relation_and_every_item_has_a_step(scene: Scene, child: Holder) -> None:
    page = scene.shows(scene.asks([PLAIN], [EXTRA]))
    assert "You are acting for 黄子轩" in page.says
    assert "陈嘉怡 · Guardian" in page.says
    for item in (PLAIN, EXTRA):
        own = scene.visitor.tap("Next" if item == PLAIN else "Give this item")
        assert scene.visitor.path.endswith(f"/item/{item}")
        assert "This is sensitive. Decide about it on its own." in own.says
        assert "What it can mean for the child It is about a child." in own.says
    confirm = scene.visitor.tap("Do not give this item")
    assert not [a for _tag, a in confirm.tags if "checked" in a]
    again = scene.visitor.tap("Agree")  # without the tick
    assert "Please say that you are the guardian. Nothing has been given so far." in again.says
    assert scene.consents() == []
    scene.visitor.tap("Agree", guardian="yes")
    (consent,) = scene.consents()
    document, _digest = history.current_document(consent)
    assert (consent.holder_id, consent.capacity) == (child.holder_id, "guardian")
    assert (document["kind"], document["approvals"]["rule"]) == ("separate_consent", "guardian")
    assert document["actor"]["mandate_id"] == consent.mandate_id
    assert {i["item_id"]: i["separate_step"] for i in document["items"]} == {PLAIN: True, EXTRA: True}


def test_c22_what_a_guardian_gave_ends_on_the_14th_birthday(scene: Scene, guardianship: Mandate) -> None:
    assert guardianship.valid_until == FOURTEEN
    scene.shows()
    scene.visitor.tap("Next")
    scene.visitor.tap("Give this item")
    scene.visitor.tap("Do not give this item")
    scene.visitor.tap("Agree", guardian="yes")
    (consent,) = scene.consents()
    tomorrow = scene.now + dt.timedelta(days=1)
    assert why_inactive(facts_of(consent.consent_id), tomorrow) is None
    db.session.execute(update(Mandate).values(valid_until=tomorrow))
    inactive = why_inactive(facts_of(consent.consent_id), tomorrow)
    assert inactive
    assert inactive.reason == Reason.MANDATE_ENDED


@pytest.mark.usefixtures("guardianship")
def test_a_guardian_reads_of_the_childs_data(scene: Scene) -> None:
    page = scene.visitor.get("/")
    assert 'face="citizen"' in page.html
    for words in ("The child's data", "The child's authorizations", "Who read the child's data"):
        assert words in page.says
    assert "My data" not in page.says


@pytest.mark.usefixtures("guardianship")
def test_c22_nobody_signs_in_as_a_child(scene: Scene) -> None:
    factories.party(scene.now, "shop", profile=factories.Profile.LOGIN, method="client_secret_basic", name="商店")
    db.session.commit()
    page = scene.shows(sign_in("shop", ("openid",)))
    assert page.status == 403
    assert not page.offers("Agree")


@pytest.mark.usefixtures("guardianship")
def test_c22_the_guardian_sees_and_stops_what_is_the_childs_alone(scene: Scene, child: Holder) -> None:
    scene.shows()
    for button in ("Next", "Give this item", "Do not give this item"):
        scene.visitor.tap(button)
    scene.visitor.tap("Agree", guardian="yes")
    page = scene.visitor.follow("Look at the authorization")
    assert page.offers("Stop the authorization")
    assert "示例小学" in scene.visitor.get("/data/" + PLAIN).says
    scene.visitor.sign_in(scene.person, scene.now)  # as herself
    (consent,) = scene.consents()
    assert scene.visitor.get(f"/authorizations/{consent.consent_id}").status == 404


@pytest.mark.parametrize("case", ["of age", "a child as guardian", "oneself", "a company"])
def test_c22_who_may_not_be_appointed(scene: Scene, child: Holder, case: str) -> None:
    student = factories.holder(scene.now, STUDENT, "王子晴")
    pairs = {
        "of age": (factories.holder(scene.now, factories.OTHER_PERSON, "梁志文"), scene.person),
        "a child as guardian": (child, student),
        "oneself": (child, child),
        "a company": (factories.company(scene.now), scene.person),
    }
    principal, agent = pairs[case]
    with pytest.raises(NotAllowed):
        guardians.appoint(principal, agent, scene.now, vault=services().vault)


def test_c22_other_mandates_are_for_bodies(scene: Scene, child: Holder) -> None:
    for principal, capacity in ((child, Capacity.AGENT), (factories.company(scene.now), Capacity.GUARDIAN)):
        with pytest.raises(NotAllowed):
            mandates.appoint(principal, scene.person, capacity, scene.now)


def test_c22_a_child_gets_no_passkey(scene: Scene, child: Holder, app: Flask, client: FlaskClient) -> None:
    db.session.commit()
    run = app.test_cli_runner().invoke
    refused = run(args=["registrar", "enrolment-code", "--identifier", CHILD])
    assert refused.exit_code == 1
    assert "a guardian decides for a child under 14" in refused.output
    appointed = run(args=["registrar", "guardian", "--child", CHILD, "--guardian", factories.PERSON])
    assert "is in force, and ends on 2032-06-01" in appointed.output
    assert CHILD not in refused.output + appointed.output


@pytest.mark.parametrize(
    ("born", "years", "birthday"),
    [("20180601", 14, "2032-06-01"), ("20240229", 14, "2038-03-01"), ("20240229", 16, "2040-02-29")],
)
def test_c22_birthdays(scene: Scene, born: str, years: int, birthday: str) -> None:
    first = f"440099{born}003"
    number = first + person_check(first)
    person = (
        factories.holder(scene.now, number, "孩子") if number != CHILD else factories.holder(scene.now, CHILD, "孩子")
    )
    found = guardians.birthday(person, years, vault=services().vault)
    assert found == dt.datetime.combine(dt.date.fromisoformat(birthday), dt.time.min, CHINA)
    assert holders.identifier_of(person, vault=services().vault) == number
