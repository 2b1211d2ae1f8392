"""The consent page through HTTP, as a person without JavaScript meets it. Numbers C-xx are checks of the domain."""

import datetime as dt
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_babel import force_locale, format_date
from sqlalchemy import event

from consent import clients, history, terms
from consent.asks import Ask, sign_in
from consent.clients import Client, Profile
from consent.oauth.par import READING
from consent.records import Consent, ConsentNotice, State
from dataspace.db import db
from dataspace.sealing import unseal
from dataspace.web.shell import services
from tests import factories
from tests.consent.scene import BANK, CROSS_BORDER, EXTRA, LAB, PLAIN, Scene
from tests.consent.visitor import Page, Visitor, delivered, row_of


def places(text: str, *words: str) -> list[int]:
    """Where the words stand; each must be there."""
    for word in words:
        assert word in text, word
    return [text.index(word) for word in words]


def english_day(at: dt.datetime) -> str:
    with force_locale("en"):
        return str(format_date(at, "long"))


def checked(page: Page) -> list[tuple[str, dict[str, str]]]:
    return [(tag, a) for tag, a in page.tags if "checked" in a or "selected" in a]


# Order and content


def test_c01_the_answers_stand_in_the_order_of_the_check(scene: Scene) -> None:
    says = scene.shows().says
    found = places(
        says, "GDDS-2026-0001", "Review this loan application", f"Item {PLAIN}", "How long", "They keep it",
        "How often", "Also given to", "Abroad", "How to stop",
    )  # fmt: skip
    assert found == sorted(found)
    assert says.index(BANK) < says.index("91440099MA9T00034R") < found[1]


def test_c01_above_a_long_list_stands_how_long_as_well(scene: Scene) -> None:
    """Below it, it would lie under the fold of a phone."""
    assert "To read 7 days from when you agree" not in scene.shows().says
    for n in range(4):
        scene.items[f"p.more.x{n}"] = factories.item(scene.now, f"p.more.x{n}", ("a", "b"))
    says = scene.shows(scene.asks([PLAIN, *(f"p.more.x{n}" for n in range(4))])).says
    assert re.search(r"To read \d+ days from when you agree", says)


def test_who_may_only_compare_is_promised_no_copy(scene: Scene) -> None:
    ask = replace(scene.asks([PLAIN]), mode="one_time")
    only = replace(ask, items=tuple(replace(i, delivery="verify_only") for i in ask.items))
    assert "How often To receive a copy" in scene.shows(ask).says
    assert "How often Only to compare" in scene.shows(only).says


def test_c02_one_request_has_exactly_one_purpose(scene: Scene) -> None:
    page = scene.shows()
    assert [tag for tag, _ in page.tags].count("blockquote") == 1
    two = '[{"type":"data_space_access","purpose":"a"},{"type":"data_space_access","purpose":"b"}]'
    with pytest.raises(terms.InvalidTerms, match="exactly one purpose"):
        terms.parse(two)


def test_c03_groups_open_to_every_field_and_are_named_by_the_catalogue(scene: Scene) -> None:
    page = scene.shows()
    assert [tag for tag, _ in page.tags].count("details") >= 3
    for words in ("Item p.edu.degree", "Field school", "Field major", "Field level", "Field title", "Field since"):
        assert words in page.says


def test_c04_every_item_shows_source_as_of_and_period_of_the_holders_own_record(scene: Scene) -> None:
    ask = scene.asks([PLAIN, LAB])
    ask = replace(
        ask,
        items=tuple(replace(i, period_from="2026-07", period_to="2026-10") if i.sensitive else i for i in ask.items),
    )
    says = scene.shows(ask).says
    assert says.count("Source Example authority") == 2
    yesterday = english_day(scene.now - dt.timedelta(days=1))
    assert says.count(f"As of {yesterday}") >= 2
    assert "Period 4 months" in says
    assert "From, to Jul 2026 – Oct 2026" in says
    assert "The record covers Aug 2026 – Sep 2026" in says


def test_c04_a_missing_record_is_said(scene: Scene) -> None:
    assert "The space holds no such record at present." in scene.shows().says  # EXTRA


def test_c05_every_item_has_its_own_reason(scene: Scene) -> None:
    assert scene.shows().says.count("Why For review") == 2


def test_c08_nobody_needs_a_password_or_code(scene: Scene) -> None:
    assert f"Neither we nor {BANK} will ask for a password or a code." in scene.shows().says


def test_c09_longer_than_usual_is_marked(scene: Scene) -> None:
    usual = scene.shows()
    assert "longer than usual" not in usual.says
    ask = factories.ask(scene.purpose, scene.now, duration_days=90)
    assert "This is longer than usual for this purpose: usually 30 days." in scene.shows(ask).says


def test_c10_the_capacity_stands_on_every_screen(scene: Scene, client: FlaskClient) -> None:
    scene.shows(scene.asks([PLAIN, LAB], cross_border=CROSS_BORDER))
    visitor = scene.visitor
    for button in ("Next", "Give this item", "Let it leave the country", "Agree"):
        assert "As yourself · 陈嘉怡" in visitor.page.says, visitor.path
        visitor.tap(button)
    assert "As yourself · 陈嘉怡" in visitor.page.says


def test_c24_a_decision_by_computer_alone_is_said_with_the_way_to_a_person(scene: Scene) -> None:
    says = scene.shows(scene.asks([PLAIN], automated_decision="solely")).says
    assert "A computer alone takes the decision. You may ask for a person to look at it: 400-000-0000." in says


@pytest.mark.parametrize(("language", "words"), [("zh-CN", "zh-Hans"), ("zh-HK", "zh-Hant"), ("en", "en")])
def test_c25_the_page_tells_its_language(scene: Scene, language: str, words: str) -> None:
    scene.visitor.language = language
    page = scene.shows()
    assert ("html", words) in [(tag, a.get("lang")) for tag, a in page.tags]


def test_c25_the_language_can_be_switched_on_the_page(scene: Scene) -> None:
    page = scene.shows()
    assert "审核本次贷款申请" not in page.says
    page = scene.visitor.tap("简体中文")
    assert page.status == 200
    assert scene.visitor.path.startswith("/consent/")
    assert "审核本次贷款申请" in page.says


# Choice


def test_c11_nothing_is_chosen_beforehand_on_any_screen(scene: Scene) -> None:
    scene.shows(scene.asks([PLAIN], [EXTRA, LAB], cross_border=CROSS_BORDER))
    for button in ("Next", "Give this item", "Let it leave the country", "Agree"):
        assert checked(scene.visitor.page) == []
        scene.visitor.tap(button)


def test_c12_refusing_all_optional_items_still_completes(scene: Scene) -> None:
    scene.shows()
    scene.visitor.tap("Agree")
    (consent,) = scene.consents()
    document, _digest = history.current_document(consent)
    assert [i["item_id"] for i in document["items"] if i["chosen"]] == [PLAIN]
    assert "code" in scene.returned()


def test_c12_a_ticked_item_is_given(scene: Scene) -> None:
    scene.shows()
    scene.visitor.tap("Agree", share=[EXTRA, "p.tax.income"])
    document, _digest = history.current_document(scene.consents()[0])
    assert {i["item_id"] for i in document["items"] if i["chosen"]} == {PLAIN, EXTRA}


def test_c13_agreeing_and_refusing_are_equals(scene: Scene) -> None:
    page = scene.shows()
    refuse, agree = page.button("Refuse"), page.button("Agree")
    pair = re.search(r'<div class="pair">(.*?)</div>', page.html, re.DOTALL)
    assert pair
    assert pair[1].count("<button") == 2
    assert {refuse.attributes["class"], agree.attributes["class"]} == {"button slate", "button accent"}
    assert "http-equiv" not in page.html  # no timer
    scene.visitor.tap("Refuse")  # no question in between
    assert scene.returned()["error"] == "access_denied"


def test_c14_a_sensitive_item_has_a_screen_of_its_own(scene: Scene) -> None:
    first = scene.shows(scene.asks([PLAIN], [LAB]))
    assert not [a for tag, a in first.tags if tag == "input" and a.get("value") == LAB]
    assert not first.offers("Agree")
    own = scene.visitor.tap("Next")
    assert scene.visitor.path.endswith(f"/item/{LAB}")
    for words in (
        "This is sensitive. Decide about it on its own.",
        "Why For review",
        "May affect your rights",
    ):
        assert words in own.says
    scene.visitor.tap("Do not give this item")
    page = scene.visitor.tap("Agree")
    assert page.status == 200
    document, _digest = history.current_document(scene.consents()[0])
    assert [i["item_id"] for i in document["items"] if i["chosen"]] == [PLAIN]


@pytest.mark.parametrize("ask", ["optional", "required"])
def test_c14_one_tap_on_the_main_button_cannot_grant_it(scene: Scene, ask: str) -> None:
    asked = scene.asks([PLAIN, LAB]) if ask == "required" else scene.asks([PLAIN], [LAB])
    page = scene.shows(asked)
    action = page.forms["decision"].action
    fields = {a["name"]: a["value"] for a in page.forms["decision"].inputs if a.get("type") == "hidden"}
    response = scene.visitor.send(
        "POST", f"{action}/agree", data={**fields, "decision": "agree", "share": [LAB], "item": LAB}
    )
    assert response.status_code == 303
    assert scene.consents() == []
    assert scene.visitor.get(f"{action}/confirm").says.count(f"Item {LAB}") == 1 or scene.visitor.path == action


def test_c14_without_a_required_sensitive_item_the_request_cannot_be_completed(scene: Scene) -> None:
    scene.shows(scene.asks([PLAIN, LAB]))
    scene.visitor.tap("Next")
    page = scene.visitor.tap("Do not give this item")
    assert "Without this item the request cannot be completed. You can still give it" in page.says
    assert scene.consents() == []
    confirm = scene.visitor.get(f"{scene.visitor.path.split('/item/')[0]}/confirm")
    assert "cannot be completed" in confirm.says  # led back here
    scene.visitor.tap("Refuse the whole request")
    assert scene.returned()["error"] == "access_denied"
    assert [c.state for c in scene.consents()] == [State.REFUSED]


def test_c15_the_transfer_abroad_has_a_screen_of_its_own(scene: Scene) -> None:
    first = scene.shows(scene.asks([PLAIN], cross_border=CROSS_BORDER))
    assert "Abroad Macau" in first.says
    page = scene.visitor.tap("Next")
    assert scene.visitor.path.endswith("/cross-border")
    for words in (*CROSS_BORDER.values(), "400-000-0000", "Review this loan application", f"Item {PLAIN}"):
        assert words in page.says, words
    page = scene.visitor.tap("Keep it in the country")
    assert "Without this the request cannot be completed." in page.says
    scene.visitor.tap("Let it leave the country")
    assert "It leaves the country: Macau." in scene.visitor.page.says
    scene.visitor.tap("Agree")
    document, _digest = history.current_document(scene.consents()[0])
    assert document["cross_border"] == CROSS_BORDER
    assert document["notice"]["screens"] == ["first", "cross-border", "confirm"]


def test_c16_a_further_controller_is_no_line_of_somebody_elses_request(scene: Scene) -> None:
    further = {"name": "Other Bank", "role": "recipient", "place": "Macau", "what_for": factories.text("评分")}
    with pytest.raises(terms.InvalidTerms, match="a further controller has to ask for itself"):
        scene.asks([PLAIN], third_parties=[further])
    db.session.rollback()
    says = scene.shows(scene.asks([PLAIN], third_parties=[further | {"role": "processor"}])).says
    assert "Also given to Other Bank (Macau): works on its behalf, 评分" in says


def test_c18_the_duration_can_be_shortened_in_fixed_steps_only(scene: Scene) -> None:
    page = scene.shows()
    offered = [a["value"] for tag, a in page.tags if tag == "input" and a.get("name") == "days"]
    assert offered == ["once", "1", "7", "asked"]
    assert "Without a choice it is 30 days, as asked." in page.says
    scene.visitor.tap("Agree", days="7")
    (consent,) = scene.consents()
    assert consent.expires_at - consent.not_before == dt.timedelta(days=7)


@pytest.mark.parametrize("days", ["365", "30", "0", "-1", "7.5", "7" * 400, "²", "asked", ""])
def test_c18_what_is_not_on_offer_means_as_asked(scene: Scene, days: str) -> None:
    scene.shows()
    scene.visitor.tap("Agree", days=days)
    (consent,) = scene.consents()
    assert consent.expires_at - consent.not_before == dt.timedelta(days=30)


def test_c19_the_very_values_can_be_uncovered_before_the_last_tap(scene: Scene) -> None:
    page = scene.shows(scene.asks([PLAIN, LAB]))
    assert "Field school 示例大学" in page.says
    assert "Field value 5" not in page.says  # not on the first screen: it has its own
    assert re.search(r'<details class="card preview">', page.html)
    own = scene.visitor.tap("Next")
    assert "2026-08 Field value 5" in own.says


def test_c19_only_the_asked_months_are_shown(scene: Scene) -> None:
    ask = scene.asks([LAB])
    ask = replace(ask, items=(replace(ask.items[0], period_from="2026-09", period_to="2026-10"),))
    scene.shows(ask)
    own = scene.visitor.tap("Next")
    assert "2026-09" in own.says
    assert "2026-08" not in own.says


# Proof


def notice(consent: Consent) -> str:
    row = db.session.get_one(ConsentNotice, (consent.consent_id, 1))
    key = services().vault.key(consent.space_id)
    return unseal(key, row.sealed, identity=f"{consent.consent_id}:1").decode()


def statements(page: Page) -> list[str]:
    """What a page states, but for the values behind the eye."""
    html = re.sub(r'<details class="card preview">.*?</details>', "", page.html.split("<main", 1)[1], flags=re.DOTALL)
    return [
        w.strip()
        for t in ("dd", "dt", "h1", "q", "strong", "p", "li")
        for w in re.findall(rf"<{t}[^>]*>([^<]+)</{t}>", html)
    ]


def squeezed(text: str) -> str:
    return re.sub(r"[\s,]+", " ", text)


def test_c26_what_was_shown_is_stored(scene: Scene) -> None:
    pages = [scene.shows(scene.asks([PLAIN, LAB], [EXTRA], cross_border=CROSS_BORDER))]
    pages += [scene.visitor.tap(b) for b in ("Next", "Give this item", "Let it leave the country")]
    scene.visitor.tap("Agree")
    (consent,) = scene.consents()
    text = notice(consent)
    document, _digest = history.current_document(consent)
    assert document["notice"]["digest"] == history.digest_of(text)
    for page in pages:
        said = [
            words
            for words in statements(page)
            if not re.match(r"Step \d|You are about to agree|Not given$|Two minutes are left", words)
        ]
        assert len(said) > 8
        assert [words for words in said if squeezed(words) not in squeezed(text)] == []
    assert "示例大学" not in text
    assert document["language"] == "en"


def test_c26_the_text_is_in_the_language_of_the_reader(scene: Scene) -> None:
    scene.visitor.language = "zh-CN"
    page = scene.shows()
    scene.visitor.tap(page.buttons[-1].text)
    consent = scene.consents()[0]
    assert "审核本次贷款申请" in notice(consent)
    document, _digest = history.current_document(consent)
    assert document["language"] == "zh-Hans"


def test_c46_no_developer_words_on_any_screen(scene: Scene) -> None:
    for item in scene.items.values():
        item.labels = factories.text("数据组", "Data group")
    db.session.commit()
    scene.shows(scene.asks([PLAIN], [EXTRA, LAB], cross_border=CROSS_BORDER))
    unwanted = re.compile(r"[pe]\.[a-z]+\.[a-z]+|purpose-\d|one_time|periodic|urn:|req_|cns_|hld_|spc_|openid")
    for button in ("Next", "Give this item", "Let it leave the country", "Agree"):
        assert not unwanted.search(scene.visitor.page.says), unwanted.search(scene.visitor.page.says)
        scene.visitor.tap(button)
    page = scene.visitor.follow("Look at the authorization")
    assert not unwanted.search(page.says), unwanted.search(page.says)


def test_c47_the_promise_leads_to_the_page_that_keeps_it(scene: Scene) -> None:
    scene.shows()
    scene.visitor.tap("Agree")
    scene.shows()
    page = scene.visitor.follow("My authorizations")
    assert page.status == 200
    card = next(href for words, href in page.links if words.startswith("L Lingnan"))
    assert scene.visitor.get(card).offers("Stop the authorization")


# The decision and the way back


def test_agreeing_answers_the_third_party_with_code_state_and_issuer(scene: Scene) -> None:
    scene.shows()
    page = scene.visitor.tap("Agree")
    answer = scene.returned()
    assert set(answer) == {"code", "state", "iss"}
    assert answer["state"] == "s-1"
    assert f'<meta http-equiv="refresh" content="1;url={factories.REDIRECT_URI}' in page.html
    assert page.response.headers["Cache-Control"] == "no-store"
    assert page.response.headers["Referrer-Policy"] == "no-referrer"
    assert "You find it again under “My authorizations”" in page.says


def test_the_page_with_the_code_is_shown_once(scene: Scene) -> None:
    scene.shows()
    scene.visitor.tap("Agree")
    again = scene.visitor.get(scene.visitor.path)
    assert "This was already decided" in again.says
    assert "code=" not in again.html
    assert scene.visitor.follow("Look at the authorization").status == 200


def test_refusing_leaves_a_refusal_on_record(scene: Scene) -> None:
    scene.shows()
    page = scene.visitor.tap("Refuse")
    assert "Nothing was given." in page.says
    answer = scene.returned()
    assert (answer["error"], answer["state"]) == ("access_denied", "s-1")
    (consent,) = scene.consents()
    assert consent.state == State.REFUSED
    assert notice(consent).rstrip().endswith("Refuse")


@pytest.mark.parametrize("sensitive", [False, True])
def test_a_browser_without_formaction_refuses_too(scene: Scene, sensitive: bool) -> None:
    page = scene.shows(scene.asks([LAB if sensitive else PLAIN]))
    fields = {**delivered(page.forms["decision"]), "decision": "refuse"}
    assert scene.visitor.send("POST", page.forms["decision"].action, data=fields).status_code == 303
    assert [c.state for c in scene.consents()] == [State.REFUSED]


def test_a_second_tap_gives_nothing_twice(scene: Scene) -> None:
    page = scene.shows()
    scene.visitor.tap("Agree")
    scene.visitor.page = page
    page = scene.visitor.tap("Agree")
    assert page.status == 409
    assert "It counts once." in page.says
    assert len(scene.consents()) == 1
    assert scene.visitor.follow("Look at the authorization").offers("Stop the authorization")


def test_two_taps_at_once_give_once(scene: Scene, app: Flask) -> None:
    page = scene.shows()
    button = page.button("Agree")
    assert button.form
    fields = {**delivered(button.form), "decision": "agree"}
    cookie = scene.visitor.client.get_cookie("session")
    assert cookie

    def tap(_: int) -> int:
        client = app.test_client()
        client.set_cookie("session", cookie.value)
        with app.app_context():
            return client.post(page.forms["decision"].action, data=fields, headers={"Accept": "text/html"}).status_code

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(tap, range(4)))
    assert statuses == [303, 409, 409, 409]
    assert len(scene.consents()) == 1


def test_a_second_tab_cannot_turn_a_refusal_round(scene: Scene) -> None:
    page = scene.shows()
    scene.visitor.tap("Refuse")
    scene.visitor.page = page
    assert scene.visitor.tap("Agree").status == 409
    assert [c.state for c in scene.consents()] == [State.REFUSED]


def test_back_loses_no_choice(scene: Scene) -> None:
    scene.shows(scene.asks([PLAIN], [EXTRA, LAB]))
    first = scene.visitor.path
    scene.visitor.tap("Next", share=[EXTRA], days="7")
    scene.visitor.tap("Give this item")
    page = scene.visitor.get(first)
    assert {a["value"] for tag, a in checked(page)} == {EXTRA, "7"}
    scene.visitor.tap("Next")
    assert scene.visitor.path.endswith("/confirm")  # what was decided is not asked again
    assert "It can be read for 7 days." in scene.visitor.page.says
    scene.visitor.tap("Agree")
    document, _digest = history.current_document(scene.consents()[0])
    assert {i["item_id"] for i in document["items"] if i["chosen"]} == {PLAIN, EXTRA, LAB}


def test_a_request_that_is_too_old_says_that_nothing_was_given(scene: Scene) -> None:
    early = scene.now - READING - dt.timedelta(seconds=1)
    path = scene.visitor.asked(factories.ask(scene.purpose, scene.now), scene.now, at=early)
    page = scene.visitor.get(path)
    assert page.status == 410
    assert "Nothing was given here." in page.says


def test_another_browser_cannot_reach_the_request(scene: Scene, app: Flask) -> None:
    scene.shows()
    other = Visitor(app.test_client())
    with other.client.session_transaction() as session:
        session["browser"] = "another"
    other.sign_in(scene.person, scene.now)
    assert other.get(scene.visitor.path).status == 410


def test_who_is_not_signed_in_signs_in_first_and_comes_back(scene: Scene, app: Flask) -> None:
    other = Visitor(app.test_client())
    path = other.asked(factories.ask(scene.purpose, scene.now), scene.now)
    response = other.send("GET", path)
    assert response.status_code == 303
    assert parse_qs(urlsplit(response.headers["Location"]).query)["next"] == [path]
    other.sign_in(scene.person, scene.now)
    assert other.get(path).offers("Agree")


@pytest.mark.parametrize(("parameters", "signed_in_ago"), [({"prompt": "login"}, 60), ({"max_age": "30"}, 60)])
def test_a_sign_in_that_is_too_old_is_asked_again(scene: Scene, parameters: dict[str, str], signed_in_ago: int) -> None:
    scene.visitor.sign_in(scene.person, scene.now - dt.timedelta(seconds=signed_in_ago))
    path = scene.visitor.asked(factories.ask(scene.purpose, scene.now), scene.now, **parameters)
    assert urlsplit(scene.visitor.send("GET", path).headers["Location"]).path == "/signin"
    scene.visitor.sign_in(scene.person, scene.now + dt.timedelta(seconds=1))
    assert scene.visitor.get(path).offers("Agree")


def test_an_address_too_long_for_the_cookie_is_redirected_to_at_once(scene: Scene) -> None:
    page = scene.shows(state="ü" * 1024)
    assert "form-action 'self' https://bank.example;" in page.response.headers["Content-Security-Policy"]
    scene.visitor.tap("Agree")
    assert scene.visitor.path.startswith(factories.REDIRECT_URI)


def test_a_form_without_its_token_gives_nothing(scene: Scene) -> None:
    page = scene.shows()
    action = page.forms["decision"].action
    assert scene.visitor.send("POST", action, data={"decision": "agree"}).status_code == 400
    assert scene.consents() == []


def test_a_get_never_decides(scene: Scene) -> None:
    page = scene.shows()
    for path in (page.forms["decision"].action, page.button("Refuse").attributes["formaction"]):
        assert scene.visitor.send("GET", path).status_code == 405
    assert scene.consents() == []


def test_a_client_that_was_suspended_meanwhile_gets_nothing(scene: Scene) -> None:
    page = scene.shows()
    clients.suspend("bank", scene.now, actor_id="x", reason_code="other", text="")
    db.session.commit()
    scene.visitor.page = page
    page = scene.visitor.tap("Agree")
    assert page.status == 403
    assert "is suspended" in page.says
    assert scene.consents() == []


def test_what_others_wrote_is_shown_as_text(scene: Scene) -> None:
    client = db.session.get_one(Client, "bank")
    client.legal_name = factories.text("<b>岭南</b>", "<script>alert(1)</script>\u202eknaB\x07" + "x" * 300)
    scene.purpose.text = factories.text("<i>为了</i>", '"><img src=x onerror=alert(1)>')
    db.session.commit()
    page = scene.shows()
    assert "<script>" not in page.html.split("<main", 1)[1]
    assert "<img" not in page.html
    assert "\u202e" not in page.html
    assert "\x07" not in page.html
    scene.visitor.tap("Agree")
    assert "<script>alert" not in scene.visitor.page.html


def test_values_are_shown_as_text(scene: Scene) -> None:
    rows = [{"school": "<script>1</script>", "major": "a\x00b\u202ec", "level": "y" * 5000}]
    factories.record(scene.person, scene.items[PLAIN], rows, scene.now + dt.timedelta(seconds=1))
    db.session.commit()
    page = scene.shows()
    assert "<script>1" not in page.html
    assert "abc" in page.says
    assert "y" * 201 not in page.html


# Plain sign-in


@pytest.fixture
def login(scene: Scene) -> Ask:
    factories.party(scene.now, "shop", profile=Profile.LOGIN, method="client_secret_basic", name="商店")
    db.session.commit()
    return sign_in("shop", ("openid", "profile"))


def test_a_sign_in_says_who_what_and_how_long(scene: Scene, login: Ask) -> None:
    page = scene.shows(login)
    for words in (
        BANK,
        "They learn your name, what you say",
        "How long 365 days",
        "will ask for a password or a code",
    ):
        assert words in page.says, words
    scene.visitor.tap("Agree")
    assert "code" in scene.returned()
    assert scene.consents()[0].kind == "login"


def test_a_known_person_passes_at_once(scene: Scene, login: Ask) -> None:
    scene.shows(login)
    scene.visitor.tap("Agree")
    page = scene.shows(login)
    assert "Signing you in" in page.says
    assert "code" in scene.returned()
    assert len(scene.consents()) == 1
    assert row_of(scene.visitor.path).finished_at is not None


def test_a_known_person_is_asked_when_the_client_wants_it_or_wants_more(scene: Scene, login: Ask) -> None:
    scene.shows(sign_in("shop", ("openid",)))
    scene.visitor.tap("Agree")
    assert scene.shows(login).offers("Agree")  # the name is new
    assert scene.shows(sign_in("shop", ("openid",)), prompt="consent").offers("Agree")


# Cost


def test_the_first_screen_is_small_and_takes_a_constant_number_of_queries(scene: Scene) -> None:
    page = scene.shows()
    assert len(page.html.encode()) < 30_000
    few = queries(scene.visitor)
    for n in range(6):
        scene.items[f"p.more.x{n}"] = factories.item(scene.now, f"p.more.x{n}", ("a", "b"))
    scene.shows(scene.asks([PLAIN, *(f"p.more.x{n}" for n in range(6))]))
    assert queries(scene.visitor) == few


def queries(visitor: Visitor) -> int:
    """How many statements one request takes."""
    seen: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        visitor.send("GET", visitor.path)
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    return len(seen)
