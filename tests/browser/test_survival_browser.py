"""What the consent page survives in a real browser: its back button and its cache, reload, tabs, lost networks.

What happens without a browser's own doings is in tests/consent/test_survival.py.
"""

import datetime as dt
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from sqlalchemy import update

from consent import history
from consent.oauth.par import AuthorizationRequest
from consent.records import State
from dataspace.db import db
from tests.browser.conftest import CustomerOf
from tests.browser.customer import Customer
from tools.picture import ARGUMENTS, CHROMIUM
from tools.stage import Stage

pytestmark = pytest.mark.browser
HOSPITAL = ("peoples-hospital", "cross-hospital-visit")  # one thing to tick, two sensitive items, a last step
SIMPLE = ("lingnan-bank", "card-limit-review")  # one screen
TICK = "input[name=share]"
AGREE = "button[name=decision][value=agree]"
RESTORED = "addEventListener('pageshow', event => { window.restored = event.persisted; })"


@pytest.fixture(scope="module")
def with_cache(chromium: Browser) -> Iterator[Browser]:
    """A Chromium that keeps pages for the back button, which Playwright turns off."""
    browser = chromium.browser_type.launch(
        executable_path=CHROMIUM, args=ARGUMENTS, ignore_default_args=["--disable-back-forward-cache"]
    )
    yield browser
    browser.close()


def on_the_page(customer: Customer, asks: tuple[str, str]) -> Page:
    customer.applies(*asks)
    customer.tap("#apply")
    return customer.page


def chosen(customer: Customer) -> list[int]:
    """How many items each consent gives."""
    documents = [history.current_document(consent)[0] for consent in customer.consents()]
    return [sum(item["chosen"] for item in document["items"]) for document in documents]


def test_back_forward_and_reload_lose_nothing(customer_of: CustomerOf) -> None:
    customer = customer_of("chen-jiayi")
    page = on_the_page(customer, HOSPITAL)
    page.locator(TICK).check()
    customer.tap(AGREE)
    page.reload()
    customer.tap("button[value=give]")
    page.go_back()
    page.go_back()
    expect(page.locator(TICK)).to_be_checked()
    page.reload()
    expect(page.locator(TICK)).to_be_checked()
    page.go_forward()
    page.go_forward()
    page.reload()
    customer.gives()
    assert "code" in customer.is_back()
    assert chosen(customer) == [3]


def test_going_back_after_giving_gives_nothing_again(with_cache: Browser, stage: Stage) -> None:
    customer = Customer(with_cache, stage, "huang-jianming")
    page = customer.page
    page.add_init_script(RESTORED)
    on_the_page(customer, SIMPLE)
    customer.tap(AGREE)
    customer.is_back()
    page.go_back(wait_until="commit")
    expect(page.locator("main")).to_contain_text("已经决定过了")  # asked for anew, not taken from the cache
    assert page.locator(AGREE).count() == 0
    page.go_back(wait_until="commit")
    page.wait_for_url(customer.home, wait_until="commit")
    assert page.evaluate("window.restored")  # the third party's own page was: the cache is there
    customer.tap("#apply")  # the old link once more
    expect(page.locator("main")).to_contain_text("已经决定过了")
    assert [consent.state for consent in customer.consents()] == [State.ACTIVE]
    assert len([answer for answer in customer.answers if "code" in answer]) == 1
    customer.close()


def test_two_tabs_give_once(customer_of: CustomerOf) -> None:
    customer = customer_of("liang-zhiwen")
    page = on_the_page(customer, SIMPLE)
    other = customer.new_tab()
    other.goto(page.url)
    customer.tap(AGREE)
    customer.is_back()
    with other.expect_navigation():
        other.locator(AGREE).click()
    expect(other.locator("main")).to_contain_text("已经决定过了")
    assert [consent.state for consent in customer.consents()] == [State.ACTIVE]
    assert len(customer.answers) == 1


def test_a_double_tap_gives_once_and_leads_back(customer_of: CustomerOf) -> None:
    customer = customer_of("ouyang-huimin")
    page = on_the_page(customer, SIMPLE)
    page.locator(AGREE).dblclick(no_wait_after=True)
    page.wait_for_url("**/callback**")
    assert [consent.state for consent in customer.consents()] == [State.ACTIVE]
    assert ["code" in answer for answer in customer.answers] == [True]


def test_a_network_that_is_lost_between_two_steps(customer_of: CustomerOf) -> None:
    customer = customer_of("liu-yongkang")
    page = on_the_page(customer, HOSPITAL)
    page.locator(TICK).check()
    customer.context.set_offline(True)
    page.locator(AGREE).click()
    page.wait_for_url("chrome-error://**")
    customer.context.set_offline(False)
    page.reload()  # sends what was chosen once more
    customer.gives()
    assert "code" in customer.is_back()
    assert chosen(customer) == [3]


def test_an_answer_that_got_lost_after_the_last_tap(customer_of: CustomerOf) -> None:
    customer = customer_of("he-meiling")
    page = on_the_page(customer, SIMPLE)

    def lose(route: Route) -> None:
        route.fetch(max_redirects=0)
        route.abort("connectionreset")

    page.route("**/agree", lose)
    page.locator(AGREE).click()
    page.wait_for_url("chrome-error://**")
    page.unroute("**/agree")
    page.go_back()
    expect(page.locator("main")).to_contain_text("已经决定过了")
    customer.tap("form[action$='/answer-again'] button")
    assert "code" in customer.is_back()
    assert [consent.state for consent in customer.consents()] == [State.ACTIVE]


def test_a_request_that_was_followed_too_late(customer_of: CustomerOf) -> None:
    customer = customer_of("wu-haiyan")
    customer.applies(*SIMPLE)
    db.session.execute(update(AuthorizationRequest).values(expires_at=customer.stage.now - dt.timedelta(minutes=1)))
    db.session.commit()
    customer.tap("#apply")
    expect(customer.page.locator("main")).to_contain_text("请回到对方的服务，重新开始")
    assert customer.consents() == []
