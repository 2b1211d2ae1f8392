"""Giving, looking at and stopping in Chromium: counted, with the keyboard alone, and without JavaScript."""

import pytest
from playwright.sync_api import expect

from consent.records import State
from tests.browser.conftest import CustomerOf
from tests.browser.customer import Customer

pytestmark = pytest.mark.browser
AGREE = "button[name=decision]:is([value=agree], [value=give])"
STOP = "form#stop button[type=submit]"
# Where the focus is: whether it can be seen, is not under the bar with the buttons, and how far down the page.
FOCUS = """() => {
  const e = document.activeElement, box = e.getBoundingClientRect(), style = getComputedStyle(e);
  const top = document.elementFromPoint(box.x + box.width / 2, box.y + Math.min(box.height / 2, 20));
  return {
    seen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
    free: box.bottom > 0 && box.top < innerHeight && (e.contains(top) || top?.contains(e) || !!e.labels?.length),
    html: e.outerHTML.slice(0, 120),
  };
}"""


@pytest.mark.parametrize(
    ("client_id", "code"), [("lingnan-bank", "card-limit-review"), ("lingnan-bank", "housing-loan")]
)
def test_c34_stopping_takes_no_more_taps_and_pages_than_giving(
    customer_of: CustomerOf, client_id: str, code: str
) -> None:
    """Giving is counted from the third party's page until one is back there, stopping from our first page."""
    customer = customer_of("liang-zhiwen")
    customer.applies(client_id, code)
    customer.counts_anew()
    customer.tap("#apply")
    customer.gives()
    assert "code" in customer.is_back()
    giving = (customer.taps, customer.loads)
    given = customer.consents()[-1]
    assert given.state == State.ACTIVE

    customer.page.goto(customer.stage.origin)
    customer.counts_anew()
    customer.tap(f"main a[href$='/authorizations/{given.consent_id}']")
    customer.tap(STOP)
    stopping = (customer.taps, customer.loads)
    assert customer.consents()[-1].state == State.WITHDRAWN
    print(f"\n{code}: giving {giving[0]} taps, {giving[1]} pages; stopping {stopping[0]} taps, {stopping[1]} pages")
    assert stopping[0] <= giving[0]
    assert stopping[1] <= giving[1]


# The keyboard alone


class Keys:
    """Tab, Enter and Space, and nothing else; every stop of the focus is looked at."""

    def __init__(self, customer: Customer) -> None:
        self.customer, self.page = customer, customer.page

    def to(self, selector: str) -> list[str]:
        """Tab until the focus is there; returns what it came past."""
        passed: list[str] = []
        for _ in range(80):
            self.page.keyboard.press("Tab")
            focus = self.page.evaluate(FOCUS)
            assert focus["seen"], focus
            assert focus["free"], focus
            if self.page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return passed
            passed.append(focus["html"])
        raise AssertionError(f"the focus never comes to {selector}: {passed}")

    def enter(self) -> None:
        """Press what has the focus, and be where it leads."""
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def skip(self) -> None:
        """The first key leads to the link that skips the head of the page."""
        assert self.to("a.skip") == []
        self.page.keyboard.press("Enter")
        expect(self.page.locator("main")).to_be_focused()


def test_c25_giving_and_stopping_by_keyboard(customer_of: CustomerOf) -> None:
    customer = customer_of("chen-jiayi")
    customer.applies("suicai-recruit", "background-check")
    customer.tap("#apply")
    keys = Keys(customer)
    keys.skip()
    keys.to("main summary")
    customer.page.keyboard.press("Enter")
    expect(customer.page.locator("main details").first).to_have_attribute("open", "")
    keys.to("input[name=share]")
    customer.page.keyboard.press("Space")
    expect(customer.page.locator("input[name=share]").first).to_be_checked()
    passed = keys.to("button[value=agree]")
    assert 'value="refuse"' in passed[-1]  # the two decisions come last, refusing first
    while "/consent/" in customer.page.url and not customer.page.url.endswith("/done"):
        if not customer.page.evaluate("s => document.activeElement.matches(s)", AGREE):
            keys.skip()
            keys.to(AGREE)
        keys.enter()
    customer.is_back()
    given = customer.consents()[-1]
    assert given.state == State.ACTIVE

    customer.page.goto(customer.stage.origin)
    keys.skip()
    keys.to(f"main a[href$='/authorizations/{given.consent_id}']")
    keys.enter()
    keys.skip()
    keys.to("input[name=deletion]")
    customer.page.keyboard.press("Space")
    keys.to(STOP)
    keys.enter()
    assert customer.consents()[-1].state == State.WITHDRAWN


# Without JavaScript


def test_c25_giving_looking_and_stopping_without_javascript(customer_of: CustomerOf) -> None:
    customer = customer_of("chen-jiayi", script=False, locale="en")
    page = customer.page
    customer.applies("lingnan-bank", "housing-loan")
    customer.tap("#apply")
    page.locator("main summary").first.click()  # what is folded opens without a script
    expect(page.locator("main details[open]").first).to_be_visible()
    customer.gives()
    assert "code" in customer.is_back()
    given = customer.consents()[-1]

    page.goto(f"{customer.stage.origin}/authorizations")
    customer.tap(f"main a[href$='/authorizations/{given.consent_id}']")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Lingnan Example Bank")
    customer.tap("main a[href^='/receipts/']")
    expect(page.locator("main")).to_contain_text("Lingnan Example Bank")
    page.goto(f"{customer.stage.origin}/reads")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Who read my data")
    page.goto(f"{customer.stage.origin}/authorizations/{given.consent_id}")
    customer.tap(STOP)
    expect(page.locator("main")).to_contain_text("Stopped. From now on nothing can be read.")
    assert customer.consents()[-1].state == State.WITHDRAWN


def test_c25_refusing_without_javascript(customer_of: CustomerOf) -> None:
    customer = customer_of("wu-haiyan", script=False)
    customer.applies("lingnan-bank", "card-limit-review")
    customer.tap("#apply")
    customer.tap("button[value=refuse]")
    assert customer.is_back()["error"] == "access_denied"
    assert [consent.state for consent in customer.consents()] == [State.REFUSED]
