"""What only a browser can measure of the consent page: where things stand, how big they are, keyboard and clock."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from sqlalchemy import select

from consent.purposes import Purpose
from consent.records import State
from dataspace.db import db
from tests.browser.customer import Customer
from tests.browser.phone import serious
from tools.stage import Stage

pytestmark = pytest.mark.browser
CONTRAST = """button => {
    const channel = v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
    const luminance = colour => {
        const [r, g, b] = colour.match(/[\\d.]+/g).map(Number);
        return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    };
    const style = getComputedStyle(button);
    const [low, high] = [luminance(style.color), luminance(style.backgroundColor)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
}"""


@pytest.fixture(scope="module")
def people(chromium: Browser, stage: Stage) -> Iterator[dict[str, Customer]]:
    """One for each kind of holder."""
    made = {
        "natural_person": Customer(chromium, stage, "ouyang-huimin"),
        "legal_entity": Customer(chromium, stage, "li-weiqiang", acting_for="yuehai-pearl"),
        "unincorporated": Customer(chromium, stage, "wu-haiyan", acting_for="lingnan-tea"),
    }
    yield made
    for customer in made.values():
        customer.close()


@pytest.fixture
def citizen(people: dict[str, Customer]) -> Customer:
    """A person."""
    return people["natural_person"]


def asked(customer: Customer, stage: Stage) -> None:
    """On the consent page of a request with one screen."""
    path = stage.asked(stage.ask("lingnan-bank", "card-limit-review"))
    db.session.commit()
    customer.page.goto(stage.origin + path)


def box(found: Locator) -> dict[str, float]:
    measured = found.first.bounding_box()
    assert measured
    return dict(measured)


def under_the_fold(page: Page) -> list[str]:
    """Which of who, why, what and how long do not stand, whole and in this order, above the bar with the buttons."""
    assert page.evaluate("window.scrollY") == 0
    fold = box(page.locator(".pair"))["y"]
    who, why, what = (box(page.locator(f"main {part}")) for part in (".card.party", ".purpose q", ".card.items .item"))
    assert who["y"] < why["y"] < what["y"]
    ends = {name: found["y"] + found["height"] for name, found in (("who", who), ("why", why), ("what", what))}
    # Beside the title of a long list, below a short one.
    longs = [box(found) for found in page.locator("main :is(.title-line .small, dl.rows.big > div:first-child)").all()]
    ends["how long"] = min(found["y"] + found["height"] for found in longs)
    return [name for name, end in ends.items() if end > fold]


@pytest.mark.parametrize("language", ["zh_Hans", "zh_Hant", "en"])
def test_c01_the_four_answers_stand_above_the_fold_for_every_purpose(
    stage: Stage, people: dict[str, Customer], language: str
) -> None:
    found = {}
    for customer in people.values():
        customer.reads_in(language)
    for purpose in db.session.scalars(select(Purpose).order_by(Purpose.client_id, Purpose.code)):
        customer = people[purpose.holder_kinds[0]]
        path = stage.asked(stage.ask(purpose.client_id, purpose.code))
        db.session.commit()
        customer.page.goto(stage.origin + path)
        if under := under_the_fold(customer.page):
            found[purpose.code] = under
    assert found == {}


def test_a_row_opens_to_fields_months_and_masked_values(stage: Stage, people: dict[str, Customer]) -> None:
    customer = people["legal_entity"]
    customer.reads_in("zh_Hans")
    path = stage.asked(stage.ask("lingnan-bank", "working-capital-loan"))
    db.session.commit()
    page = customer.page
    page.goto(stage.origin + path)
    # A row opens to its fields and months; nothing is chosen there.
    page.locator("main summary:has-text('企业用电')").first.click()
    expect(page.locator("input[name='months.e.energy.power']").first).not_to_be_checked()
    # What would be given is masked until it is tapped.
    preview = page.locator("details[open] .preview")
    mask, hide = preview.locator(".dots"), preview.locator(".when-open")
    expect(mask).to_be_visible()
    expect(hide).to_be_hidden()
    page.locator("details[open] .preview > summary").click()
    expect(mask).to_be_hidden()
    expect(hide).to_be_visible()


def test_c13_both_choices_have_the_same_size_and_enough_contrast(citizen: Customer, stage: Stage) -> None:
    asked(citizen, stage)
    refuse, agree = (citizen.page.locator(f".pair button[value={value}]") for value in ("refuse", "agree"))
    one, other = box(refuse), box(agree)
    assert (one["width"], one["height"], one["y"]) == (other["width"], other["height"], other["y"])
    assert one["height"] >= 44
    for button in (refuse, agree):
        assert button.evaluate(CONTRAST) >= 4.5
    weight = "button => getComputedStyle(button).fontSize + getComputedStyle(button).fontWeight"
    assert refuse.evaluate(weight) == agree.evaluate(weight)


def test_c21_a_warning_stands_two_minutes_before_the_end(citizen: Customer, stage: Stage) -> None:
    citizen.page.clock.install()
    asked(citizen, stage)
    warning = citizen.page.locator(".time-left [role=alert]")
    expect(warning).to_be_hidden()
    citizen.page.clock.fast_forward("27:00")
    expect(warning).to_be_hidden()
    citizen.page.clock.fast_forward("01:30")
    expect(warning).to_be_visible()
    assert serious(citizen.page) == []
    citizen.tap(".time-left button")
    expect(citizen.page.locator(".time-left")).to_be_visible()


def test_c25_the_keyboard_alone_and_large_text(citizen: Customer, stage: Stage) -> None:
    asked(citizen, stage)
    page = citizen.page
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    scroll, width = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert scroll <= width
    seen: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(str(page.evaluate("document.activeElement.value || document.activeElement.tagName")))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", seen
        if seen[-1] == "agree":
            break
    assert seen.index("refuse") < seen.index("agree")
    assert "SUMMARY" in seen
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert citizen.consents()[-1].state == State.ACTIVE
