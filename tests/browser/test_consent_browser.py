"""What only a browser can measure of the consent page: where things stand, how big they are, keyboard and clock."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser.conftest import Running
from tests.browser.phone import Phone, serious
from tests.browser.test_journeys_browser import act_as, apply, back_at_the_bank, enrol

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
def citizen(chromium: Browser, running: Running) -> Iterator[Phone]:
    """A signed-in person's phone."""
    phone = Phone(chromium, running.issuer, locale="zh-CN")
    enrol(phone, running.codes["陈嘉怡"])
    yield phone
    phone.close()
    assert phone.problems == []


def box(found: Locator) -> dict[str, float]:
    measured = found.first.bounding_box()
    assert measured
    return dict(measured)


def above_the_fold(phone: Phone) -> None:
    """Who, why, what and how long, in this order and above the bar with the buttons."""
    page = phone.page
    assert page.evaluate("window.scrollY") == 0
    fold = box(page.locator(".pair"))["y"]
    parts = (".card.party", ".purpose q", ".card.items .item", "dl.rows.big > div")
    tops = [box(page.locator(f"main {part}"))["y"] for part in parts]
    assert tops == sorted(tops)
    last = box(page.locator("main dl.rows.big > div"))
    assert last["y"] + last["height"] <= fold, (last, fold)


@pytest.mark.parametrize("language", ["zh_Hans", "zh_Hant", "en"])
def test_c01_the_first_four_answers_stand_above_the_fold(citizen: Phone, running: Running, language: str) -> None:
    apply(citizen, running, "housing-loan")
    citizen.tap(f"button[name=language][value={language}]")
    above_the_fold(citizen)
    citizen.tap("button[name=language][value=zh_Hans]")


def test_c01_of_a_company(chromium: Browser, running: Running) -> None:
    phone = Phone(chromium, running.issuer)
    enrol(phone, running.codes["周敏"])
    act_as(phone, "粤海明珠电子")
    apply(phone, running, "working-capital-loan")
    above_the_fold(phone)
    # A row opens to its fields and months; nothing is chosen there.
    phone.tap("main summary:has-text('企业用电')")
    expect(phone.page.locator("input[name='months.e.energy.power']").first).not_to_be_checked()
    # What would be given is masked until it is tapped.
    preview = phone.page.locator("details[open] .preview")
    mask, hide = preview.locator(".dots"), preview.locator(".when-open")
    expect(mask).to_be_visible()
    expect(hide).to_be_hidden()
    phone.tap("details[open] .preview > summary")
    expect(mask).to_be_hidden()
    expect(hide).to_be_visible()
    phone.check("consent-company-open")
    phone.close()


def test_c13_both_choices_have_the_same_size_and_enough_contrast(citizen: Phone, running: Running) -> None:
    apply(citizen, running, "card-limit-review")
    refuse, agree = (citizen.page.locator(f".pair button[value={value}]") for value in ("refuse", "agree"))
    one, other = box(refuse), box(agree)
    assert (one["width"], one["height"], one["y"]) == (other["width"], other["height"], other["y"])
    assert one["height"] >= 44
    for button in (refuse, agree):
        assert button.evaluate(CONTRAST) >= 4.5
    weight = "button => getComputedStyle(button).fontSize + getComputedStyle(button).fontWeight"
    assert refuse.evaluate(weight) == agree.evaluate(weight)


def test_c21_a_warning_stands_two_minutes_before_the_end(citizen: Phone, running: Running) -> None:
    citizen.page.clock.install()
    apply(citizen, running, "card-limit-review")
    warning = citizen.page.locator(".time-left [role=alert]")
    expect(warning).to_be_hidden()
    citizen.page.clock.fast_forward("27:00")
    expect(warning).to_be_hidden()
    citizen.page.clock.fast_forward("01:30")
    expect(warning).to_be_visible()
    assert serious(citizen.page) == []
    citizen.check("consent-warning")
    citizen.tap(".time-left button")
    expect(citizen.page.locator(".time-left")).to_be_visible()


def test_c25_the_keyboard_alone_and_large_text(citizen: Phone, running: Running) -> None:
    apply(citizen, running, "card-limit-review")
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
    page.keyboard.press("Enter")
    back_at_the_bank(citizen, running)
