"""What the consent page survives: back, reload, two tabs, lost networks, replayed, reordered and tampered posts.

Nothing is given twice, nothing that was chosen is lost, and nothing is given that the person did not see.
"""

import datetime as dt
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from sqlalchemy import delete, update

from consent import endings, history
from consent.oauth import codes
from consent.oauth.par import PUSHED, READING, AuthorizationRequest
from consent.purposes import Purpose
from consent.records import APPROVAL_LAPSES, Consent, State
from dataspace import mandates
from dataspace.catalogue import DataItem
from dataspace.db import db
from dataspace.mandates import Capacity
from dataspace.settings import Settings
from dataspace.signins import SignIn
from dataspace.web.shell import services
from tests import factories
from tests.consent.scene import BANK, CROSS_BORDER, EXTRA, LAB, PLAIN, SCAN, Scene
from tests.consent.visitor import Page, Visitor, delivered, row_of


def chosen(scene: Scene) -> list[set[str]]:
    """What each consent gives, oldest first."""
    documents = [history.current_document(c)[0] for c in scene.consents()]
    return [{i["item_id"] for i in d["items"] if i["chosen"]} for d in documents]


def post(scene: Scene, page: Page, text: str, **fields: Any) -> Page:
    """Tap a button of a page that was loaded earlier, as another tab or a repeated post does."""
    scene.visitor.page = page
    return scene.visitor.tap(text, **fields)


# Reload and back


def test_reloading_any_screen_gives_nothing_and_loses_nothing(scene: Scene) -> None:
    scene.shows(scene.asks([PLAIN, LAB], [EXTRA], cross_border=CROSS_BORDER))
    for button, fields in (("Next", {"share": [EXTRA]}), ("Give this item", {}), ("Let it leave the country", {})):
        scene.visitor.get(scene.visitor.path)
        assert scene.consents() == []
        scene.visitor.tap(button, **fields)
    scene.visitor.get(scene.visitor.path)
    scene.visitor.tap("Agree")
    assert chosen(scene) == [{PLAIN, LAB, EXTRA}]
    scene.visitor.get(scene.visitor.path)  # reload after the decision
    assert chosen(scene) == [{PLAIN, LAB, EXTRA}]


def test_a_decision_can_be_changed_by_going_back(scene: Scene) -> None:
    scene.shows(scene.asks([PLAIN], [LAB]))
    scene.visitor.tap("Next")
    own = scene.visitor.page
    scene.visitor.tap("Give this item")
    post(scene, own, "Do not give this item")
    scene.visitor.tap("Agree")
    assert chosen(scene) == [{PLAIN}]


# Two tabs


def test_two_tabs_of_one_request_give_what_the_last_screen_showed(scene: Scene) -> None:
    first = scene.shows(scene.asks([PLAIN], [EXTRA, LAB]))
    scene.visitor.tap("Next", share=[EXTRA])
    confirm = scene.visitor.tap("Give this item")
    post(scene, first, "Next")  # the other tab takes the tick back
    page = post(scene, confirm, "Agree")
    assert scene.consents() == []
    assert "Your choice has changed meanwhile, in another tab." in page.says
    scene.visitor.tap("Agree")
    assert chosen(scene) == [{PLAIN, LAB}]


def test_two_requests_in_two_tabs_do_not_mix(scene: Scene) -> None:
    one = scene.shows(scene.asks([PLAIN], [EXTRA, LAB]))
    two = scene.shows(scene.asks([PLAIN], [EXTRA, SCAN]))
    post(scene, one, "Next", share=[EXTRA])
    first = scene.visitor.tap("Give this item")
    post(scene, two, "Next")
    second = scene.visitor.tap("Do not give this item")
    post(scene, first, "Agree")
    post(scene, second, "Agree")
    assert chosen(scene) == [{PLAIN, EXTRA, LAB}, {PLAIN}]


# A lost network: the browser posts again, without knowing what arrived


def test_every_step_may_be_posted_twice(scene: Scene) -> None:
    page = scene.shows(scene.asks([PLAIN, LAB], [EXTRA], cross_border=CROSS_BORDER))
    for button, fields in (("Next", {"share": [EXTRA]}), ("Give this item", {}), ("Let it leave the country", {})):
        once = post(scene, page, button, **fields)
        again = post(scene, page, button, **fields)
        assert again.says == once.says
        page = again
    post(scene, page, "Agree")
    assert post(scene, page, "Agree").status == 409
    assert chosen(scene) == [{PLAIN, LAB, EXTRA}]


def test_a_refusal_may_be_posted_twice(scene: Scene) -> None:
    page = scene.shows()
    post(scene, page, "Refuse")
    assert post(scene, page, "Refuse").status == 409
    assert [c.state for c in scene.consents()] == [State.REFUSED]


def test_an_answer_that_got_lost_is_brought_once_more(scene: Scene) -> None:
    """The browser never got the page after the last tap: the consent is there, and the third party knows nothing."""
    page = scene.shows()
    lost = post(scene, page, "Agree")
    assert "You have agreed" in lost.says
    first = scene.returned()["code"]
    again = scene.visitor.get(scene.visitor.path.removesuffix("/done"))
    assert "This was already decided" in again.says
    scene.visitor.tap(f"Return to {BANK}")
    second = scene.returned()["code"]
    assert second != first
    assert codes.find(first) is None
    found = codes.find(second)
    assert found is not None
    assert [found.consent_id] == [c.consent_id for c in scene.consents()]


def test_an_answer_that_has_arrived_is_not_brought_again(scene: Scene, app: Flask) -> None:
    page = scene.shows()
    post(scene, page, "Agree")
    first, path = scene.returned()["code"], scene.visitor.path.removesuffix("/done")
    stale = scene.visitor.get(path)
    code = codes.find(first)
    assert code is not None
    assert codes.use(code, scene.now)
    db.session.commit()
    assert not scene.visitor.get(path).offers(f"Return to {BANK}")
    assert post(scene, stale, f"Return to {BANK}").status == 409
    assert codes.is_fetched(code.consent_id)


@pytest.mark.parametrize("what", ["withdrawn", "another person", "another browser", "refused"])
def test_an_answer_is_brought_again_only_to_who_gave_and_while_it_holds(scene: Scene, app: Flask, what: str) -> None:
    page = scene.shows()
    post(scene, page, "Refuse" if what == "refused" else "Agree")
    path = scene.visitor.path.removesuffix("/done")
    (consent,) = scene.consents()
    if what == "withdrawn":
        endings.withdraw(
            consent.consent_id, factories.actor(scene.person, scene.now), scene.now, registry=factories.registry()
        )
        db.session.commit()
    elif what == "another person":
        scene.visitor.sign_in(factories.holder(scene.now, factories.OTHER_PERSON, "梁志文"), scene.now)
    elif what == "another browser":
        other = Visitor(app.test_client())
        with other.client.session_transaction() as session:
            session["browser"] = "another"
        scene.visitor = other.sign_in(scene.person, scene.now)
    shown = scene.visitor.get(path)
    assert not shown.offers(f"Return to {BANK}")
    token = delivered(scene.visitor.get("/").forms["form-0"])["csrf_token"]
    sent = scene.visitor.send("POST", f"{path}/answer-again", data={"csrf_token": token})
    assert sent.status_code == 409
    kept = db.session.query(codes.AuthorizationCode).count()
    assert kept == (0 if what == "refused" else 1)


# Time


def test_c21_fifteen_minutes_of_reading_lose_nothing(scene: Scene) -> None:
    assert dt.timedelta(minutes=15) < READING
    early = scene.now - dt.timedelta(minutes=15)
    path = scene.visitor.asked(factories.ask(scene.purpose, scene.now), scene.now, at=early)
    db.session.execute(update(SignIn).values(last_seen_at=early))
    db.session.commit()
    scene.visitor.get(path)
    scene.visitor.tap("Agree")
    assert chosen(scene) == [{PLAIN}]


def test_c21_no_setting_ends_a_sign_in_earlier(scene: Scene) -> None:
    assert services().settings.session_idle >= dt.timedelta(minutes=15)
    short = replace(services().settings, session_idle=dt.timedelta(minutes=14))
    with pytest.raises(Exception, match="DATASPACE_SESSION_IDLE must be at least 900"):
        Settings.check(short)


@pytest.mark.parametrize("tapped", [[], [EXTRA]])
def test_c21_more_time_keeps_what_is_ticked_and_is_no_answer(scene: Scene, tapped: list[str]) -> None:
    early = scene.now - READING + dt.timedelta(minutes=2)
    path = scene.visitor.asked(scene.asks([PLAIN], [EXTRA, LAB]), scene.now, at=early)
    page = scene.visitor.get(path)
    assert "This page waits for you until" in page.says
    before = row_of(path).expires_at
    page = scene.visitor.tap("I need more time", share=tapped)
    assert scene.visitor.path == path
    row = row_of(path)
    assert row.expires_at >= before + dt.timedelta(minutes=20)
    assert row.choices["screens"] == []
    assert [a["value"] for tag, a in page.tags if tag == "input" and "checked" in a] == tapped


def test_c21_every_screen_offers_more_time(scene: Scene) -> None:
    scene.shows(scene.asks([PLAIN, LAB], cross_border=CROSS_BORDER))
    for button in ("Next", "Give this item", "Let it leave the country", "Agree"):
        where = scene.visitor.path
        page = scene.visitor.tap("I need more time")
        assert scene.visitor.path == where
        assert [a for tag, a in page.tags if tag == "div" and "data-until" in a]
        scene.visitor.tap(button)


def test_an_expired_pushed_request_says_what_happened_and_what_to_do(scene: Scene) -> None:
    page = scene.shows()
    db.session.execute(update(AuthorizationRequest).values(expires_at=scene.now - dt.timedelta(seconds=1)))
    db.session.commit()
    for shown in (scene.visitor.get(scene.visitor.path), post(scene, page, "Agree"), post(scene, page, "Refuse")):
        assert shown.status == 410
        assert "It is too old, or it was opened in another browser. Nothing was given here." in shown.says
        assert "Go back to the service that asked you and start again there." in shown.says
    assert scene.consents() == []
    assert PUSHED < READING


def test_c23_a_companys_consent_lapses_after_72_hours(scene: Scene, app: Flask) -> None:
    company = factories.company(scene.now)
    agent = factories.holder(scene.now, factories.AGENT, "周敏")
    mandate = factories.mandate(company, agent, Capacity.AGENT, scene.now)
    licence = factories.item(scene.now, "e.reg.licence", ("uscc", "name"))
    row = factories.purpose(scene.now, code="company-loan", required=[licence], kinds=["legal_entity"])
    visitor = Visitor(app.test_client()).sign_in(agent, scene.now, acting=mandate)
    visitor.get(visitor.asked(factories.ask(row, scene.now), scene.now))
    page = visitor.tap("Agree")
    assert "Waiting for approval" in page.says
    db.session.execute(update(Consent).values(state_since=scene.now - APPROVAL_LAPSES))
    db.session.commit()
    page = visitor.get(visitor.path)
    assert "Nobody approved it within 72 hours. Nothing was given." in page.says


# Tampering


def test_reordered_posts_skip_nothing(scene: Scene) -> None:
    page = scene.shows(scene.asks([PLAIN, LAB], cross_border=CROSS_BORDER))
    start = scene.visitor.path
    fields = {**delivered(page.forms["decision"]), "decision": "give"}
    assert scene.visitor.send("POST", f"{start}/cross-border", data=fields).status_code == 303
    agreed = scene.visitor.send("POST", f"{start}/agree", data=fields | {"decision": "agree"})
    assert agreed.location == start  # the first screen is still to be answered
    assert scene.consents() == []


@pytest.mark.parametrize(
    "forged",
    [
        {"share": [LAB, "p.tax.income"], f"fields.{PLAIN}": ["image"], f"months.{PLAIN}": "1", "days": "3650"},
        {"step": "confirm", "screens": ["first", "confirm"], "choices": "{}", "items": LAB},
        {"seen": "0" * 24, "acting_as": "x", "space_id": "spc_other", "consent_id": "cns_x"},
    ],
)
def test_forged_fields_change_nothing(scene: Scene, forged: dict[str, Any]) -> None:
    scene.shows(scene.asks([PLAIN], [LAB]))
    scene.visitor.tap("Next", **forged)
    scene.visitor.tap("Do not give this item", **forged)
    page = scene.visitor.page
    page = post(scene, page, "Agree", **{k: v for k, v in forged.items() if k != "seen"})
    assert chosen(scene) == [{PLAIN}]
    (consent,) = scene.consents()
    assert consent.expires_at - consent.not_before == dt.timedelta(days=30)
    assert consent.space_id == scene.person.space_id


@pytest.mark.parametrize("path", ["/item/p.edu.degree", "/item/p.other", "/cross-border", "/confirm"])
def test_screens_that_a_request_does_not_have_are_not_there(scene: Scene, path: str) -> None:
    page = scene.shows()
    address = scene.visitor.path + path
    assert scene.visitor.send("GET", address).status_code == 404
    fields = {**delivered(page.forms["decision"]), "decision": "give"}
    assert scene.visitor.send("POST", address, data=fields).status_code in (404, 405)


@pytest.mark.parametrize("forged", ["seen", "cookie"])
def test_a_forged_mark_or_cookie_gives_nothing(scene: Scene, forged: str) -> None:
    scene.shows(scene.asks([PLAIN], [LAB]))
    scene.visitor.tap("Next")
    scene.visitor.tap("Do not give this item")
    if forged == "seen":
        page = scene.visitor.tap("Agree", seen="0" * 24)
        assert "Your choice has changed meanwhile, in another tab." in page.says
    else:
        cookie = scene.visitor.client.get_cookie("session")
        assert cookie is not None
        content, _dot, signature = cookie.value.rpartition(".")
        first = "A" if signature[0] != "A" else "B"
        scene.visitor.client.set_cookie("session", f"{content}.{first}{signature[1:]}")
        page = scene.visitor.tap("Agree")
        assert (page.status, "Nothing was" in page.says) == (400, True), page.says
    assert scene.consents() == []


def test_another_persons_request_uri_is_not_hers(scene: Scene, app: Flask) -> None:
    page = scene.shows()
    other = Visitor(app.test_client())
    with other.client.session_transaction() as session:
        session["browser"] = "another"
    stranger = factories.holder(scene.now, factories.OTHER_PERSON, "梁志文")
    other.sign_in(stranger, scene.now)
    scene.visitor, mine = other, scene.visitor
    shown = scene.visitor.get(mine.path)
    assert shown.status == 410
    assert "陈嘉怡" not in shown.html
    token = delivered(scene.visitor.get("/").forms["form-0"])["csrf_token"]
    fields = {**delivered(page.forms["decision"]), "decision": "agree", "csrf_token": token}
    assert scene.visitor.send("POST", f"{mine.path}/agree", data=fields).status_code == 410
    assert scene.consents() == []


# What changes while the page is open


def test_a_mandate_that_ends_half_way_gives_nothing(scene: Scene, app: Flask) -> None:
    company = factories.company(scene.now)
    mandate = factories.mandate(company, scene.person, Capacity.LEGAL_REPRESENTATIVE, scene.now)
    licence = factories.item(scene.now, "e.reg.licence", ("uscc", "name"))
    row = factories.purpose(scene.now, code="company-loan", required=[licence], kinds=["legal_entity"])
    db.session.commit()
    scene.visitor.sign_in(scene.person, scene.now, acting=mandate)
    page = scene.shows(factories.ask(row, scene.now))
    mandates.end(mandate.mandate_id, scene.now)
    db.session.commit()
    shown = post(scene, page, "Agree")
    assert scene.visitor.path.startswith("/signin")
    assert shown.status == 200
    assert scene.consents() == []


def not_shared(scene: Scene) -> None:
    """A new version of the item says that it is shared with nobody."""
    item = scene.items[PLAIN]
    columns = {c.name: getattr(item, c.name) for c in DataItem.__table__.columns}
    db.session.add(DataItem(**columns | {"version": 2, "share": "N", "digest": "n" * 64}))


def sensitive_now(scene: Scene) -> None:
    """A new version of the item is sensitive: it needs a step of its own."""
    item = scene.items[PLAIN]
    columns = {c.name: getattr(item, c.name) for c in DataItem.__table__.columns}
    impact = factories.text("可能影响您的权益")
    db.session.add(DataItem(**columns | {"version": 2, "sensitive": True, "impact": impact, "digest": "s" * 64}))


def purpose_gone(scene: Scene) -> None:
    db.session.execute(delete(Purpose).where(Purpose.code == scene.purpose.code))


@pytest.mark.parametrize("change", [not_shared, sensitive_now, purpose_gone], ids=lambda c: c.__name__)
def test_what_was_withdrawn_between_page_and_post_is_not_given(scene: Scene, change: Any) -> None:
    page = scene.shows()
    change(scene)
    db.session.commit()
    shown = post(scene, page, "Agree")
    assert shown.status == 409
    assert "What Lingnan Example Bank asks for has changed since it asked. Nothing was given." in shown.says
    assert scene.consents() == []
    scene.visitor.tap("Return to Lingnan Example Bank")
    assert scene.returned()["error"] == "access_denied"


# A fresh sign-in for what is sensitive


def test_step_up_asks_for_a_fresh_sign_in_and_keeps_the_choices(scene: Scene) -> None:
    long_ago = scene.now - dt.timedelta(minutes=16)
    scene.visitor.sign_in(scene.person, long_ago)
    db.session.execute(update(SignIn).values(last_seen_at=scene.now))
    db.session.commit()
    scene.shows(scene.asks([PLAIN], [EXTRA, LAB]))
    request = scene.visitor.path
    scene.visitor.tap("Next", share=[EXTRA])
    page = scene.visitor.tap("Give this item")
    assert scene.visitor.path == f"/signin?{urlencode({'next': f'{request}/confirm'}, safe='/')}"
    assert "You are about to give sensitive data. Sign in once more; your choices are kept." in page.says
    scene.visitor.sign_in(scene.person, scene.now)
    scene.visitor.get(f"{request}/confirm")
    scene.visitor.tap("Agree")
    assert chosen(scene) == [{PLAIN, EXTRA, LAB}]


def test_step_up_at_the_last_tap_as_well(scene: Scene) -> None:
    scene.shows(scene.asks([LAB]))
    scene.visitor.tap("Next")
    scene.visitor.tap("Give this item")
    db.session.execute(update(SignIn).values(auth_time=scene.now - dt.timedelta(minutes=16)))
    db.session.commit()
    page = scene.visitor.tap("Agree")
    assert "Sign in once more; your choices are kept." in page.says
    assert scene.consents() == []


def test_step_up_for_the_second_person_of_a_company_as_well(scene: Scene, app: Flask) -> None:
    company = factories.company(scene.now)
    agent = factories.holder(scene.now, factories.AGENT, "周敏")
    licence = factories.item(scene.now, "e.tax.vat", ("period", "sales"), sensitive=True)
    row = factories.purpose(scene.now, code="company-loan", required=[licence], kinds=["legal_entity"])
    people = ((agent, Capacity.AGENT), (scene.person, Capacity.LEGAL_REPRESENTATIVE))
    first, second = (
        Visitor(app.test_client()).sign_in(
            person, scene.now, acting=factories.mandate(company, person, capacity, scene.now)
        )
        for person, capacity in people
    )
    first.get(first.asked(factories.ask(row, scene.now), scene.now))
    for button in ("Next", "Give this item", "Agree"):
        first.tap(button)
    (consent,) = scene.consents()
    path = f"/authorizations/{consent.consent_id}/approve"
    page = second.get(path)
    db.session.execute(update(SignIn).values(auth_time=scene.now - dt.timedelta(minutes=16)))
    db.session.commit()
    assert "Sign in once more" in second.tap("Agree").says
    assert second.path == f"/signin?{urlencode({'next': path}, safe='/')}"
    assert scene.consents()[0].state == State.PENDING_APPROVAL
    db.session.execute(update(SignIn).values(auth_time=scene.now))
    db.session.commit()
    second.page = page
    second.tap("Agree")
    assert scene.consents()[0].state == State.ACTIVE


@pytest.mark.parametrize("gives", [False, True])
def test_step_up_only_for_what_is_sensitive_and_given(scene: Scene, *, gives: bool) -> None:
    scene.visitor.sign_in(scene.person, scene.now - dt.timedelta(minutes=50))
    db.session.execute(update(SignIn).values(last_seen_at=scene.now))
    db.session.commit()
    if gives:
        scene.shows()
    else:
        scene.shows(scene.asks([PLAIN], [LAB]))
        scene.visitor.tap("Next")
        scene.visitor.tap("Do not give this item")
    scene.visitor.tap("Agree")
    assert chosen(scene) == [{PLAIN}]
