"""The journeys of the three users in a real Chromium, on a phone's screen, against the running demonstration.

One person lends and withdraws, a company does the same through its people, an administrator revokes; in between every
page is weighed, measured, and tapped through without a line of script of the test's own.
"""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Running
from tests.browser.phone import Phone

pytestmark = pytest.mark.browser
PhoneOf = Callable[..., Phone]


def enrol(phone: Phone, code: str) -> None:
    """From the registrar's code to a signed-in person."""
    phone.open("/enrol")
    phone.check("enrol")
    phone.page.locator("input[name=code]").fill(code)
    phone.tap("main button[type=submit]")
    phone.check("enrol-create")
    phone.tap("main button[data-ceremony], main button")
    phone.page.wait_for_url(re.compile(re.escape(phone.origin) + r"/($|act-as)"))


def sign_out_and_in(phone: Phone) -> None:
    """Sign out, and in again with the passkey and the one button."""
    phone.touch(enabled=False)  # conditional UI must not take the sign-in up by itself
    phone.open("/passkeys")
    phone.check("passkeys")
    phone.tap("form[action$='/signout'] button")
    expect(phone.page).to_have_url(re.compile("/signin"))
    phone.page.wait_for_load_state("networkidle")  # the page asks for a challenge by itself; one is enough
    phone.check("sign-in")
    phone.touch(enabled=True)
    phone.tap("main button")
    phone.page.wait_for_url(re.compile(re.escape(phone.origin) + r"/($|act-as)"))


def act_as(phone: Phone, who: str) -> None:
    """Choose whom to act for."""
    if "/act-as" not in phone.page.url:
        phone.open("/act-as")
    phone.check("act-as")
    phone.tap(f"button:has-text('{who}')")


def apply(phone: Phone, running: Running, offer: str) -> None:
    """At the bank: choose an offer; ends on the consent page."""
    phone.open(running.bank)
    phone.tap(f"form[action$='/start/{offer}'] button")
    phone.page.wait_for_url(re.compile(re.escape(running.issuer) + "/consent/"))


def give(phone: Phone, name: str = "consent") -> int:
    """Walk through the consent page and give everything that has a step; returns the screens."""
    screens = 0
    while re.search("/consent/[^/]+(/item/|/cross-border|/confirm|$)", phone.page.url):
        screens += 1
        phone.check(f"{name}-{screens}")
        give_item = phone.page.locator("button[name=decision][value=give]")
        phone.tap("button[name=decision][value=give]" if give_item.count() else "button[name=decision][value=agree]")
        assert screens < 12
    return screens


def back_at_the_bank(phone: Phone, running: Running) -> None:
    """The page between leads back by itself."""
    phone.page.wait_for_url(re.compile(re.escape(running.bank)), timeout=15_000)


def read(phone: Phone) -> int:
    """The bank reads; the status that it got."""
    phone.tap("form[action$='/read'] button")
    return int(phone.page.locator("#answer").get_attribute("data-status") or 0)


def test_a_person_lends_data_sees_the_read_and_withdraws(running: Running, phone_of: PhoneOf) -> None:
    phone = phone_of()
    enrol(phone, running.codes["陈嘉怡"])
    phone.check("home")
    sign_out_and_in(phone)
    apply(phone, running, "housing-loan")
    phone.taps = 1  # the one at the bank that led here
    screens = give(phone)
    taps_of_giving = phone.taps
    back_at_the_bank(phone, running)
    assert read(phone) == 200
    at_the_bank = phone.page.url

    phone.open("/reads")
    phone.check("reads")
    expect(phone.page.locator("main")).to_contain_text("岭南示例银行")
    phone.open("/data")
    phone.check("data")

    phone.open("/")
    phone.taps = 0
    phone.tap("a[href^='/authorizations']")
    phone.check("authorizations")
    phone.tap("main a[href^='/authorizations/cns_']")
    phone.check("authorization")
    phone.tap("form[action$='/withdraw'] button[type=submit]")
    phone.check("withdrawn")
    # C-34, from the home screen: the list, the card, the button, and as many screens; giving began at the bank.
    assert phone.taps <= taps_of_giving
    assert screens >= 3  # first screen, at least one sensitive item, the last step

    receipt_is_genuine(phone)

    phone.open(at_the_bank)
    assert read(phone) == 403
    expect(phone.page.locator("#answer")).to_contain_text("consent_withdrawn")
    phone.open("/reads")
    expect(phone.page.locator("main")).to_contain_text("岭南示例银行")


def receipt_is_genuine(phone: Phone) -> None:
    """The newest receipt on the page is looked at, downloaded, and checked as anybody would."""
    phone.tap("main a[href^='/receipts/']")
    phone.check("receipt")
    with phone.page.expect_download() as downloading:
        phone.page.locator("a[href$='/receipt.json']").click()
    phone.tap("main a[href='/check']")
    phone.check("receipt-check")
    phone.page.set_input_files("input[name=file]", downloading.value.path())
    phone.tap("form[action='/check'] button[type=submit]")
    phone.check("receipt-genuine")
    expect(phone.page.locator("main")).to_contain_text("内容没有被改动")


def test_refusing_leads_back_with_nothing_given(running: Running, phone_of: PhoneOf) -> None:
    phone = phone_of()
    enrol(phone, running.codes["梁志文"])
    apply(phone, running, "housing-loan")
    phone.tap("button[value=refuse], button[formaction$='/refuse'], form[action$='/refuse'] button")
    back_at_the_bank(phone, running)
    assert phone.page.locator("form[action$='/read']").count() == 0
    phone.open("/authorizations?tab=ended")
    phone.check("authorizations-ended")
    expect(phone.page.locator("main")).to_contain_text("岭南示例银行")


def test_a_company_lends_through_preparer_and_representative(running: Running, phone_of: PhoneOf) -> None:
    preparer, representative = phone_of(), phone_of()
    enrol(preparer, running.codes["周敏"])
    act_as(preparer, "粤海明珠电子")
    preparer.check("home-business")
    apply(preparer, running, "working-capital-loan")
    give(preparer, "company")
    expect(preparer.page).to_have_url(re.compile("/waiting$"))
    preparer.check("company-waiting")
    waiting = preparer.page.url

    enrol(representative, running.codes["李伟强"])
    act_as(representative, "粤海明珠电子")
    representative.open("/authorizations?tab=waiting")
    representative.check("authorizations-waiting")
    representative.tap("main a[href^='/authorizations/cns_']")
    if "/approve" not in representative.page.url:
        representative.tap("a[href$='/approve']")
    representative.check("company-approve")
    representative.tap("button[name=decision][value=agree], button[name=decision][value=approve]")

    preparer.open(waiting)
    preparer.check("company-approved")
    preparer.tap("button:has-text('返回')")
    back_at_the_bank(preparer, running)
    assert read(preparer) == 200


def test_an_administrator_finds_and_revokes(running: Running, phone_of: PhoneOf) -> None:
    person, administrator = phone_of(), phone_of()
    enrol(person, running.codes["何美玲"])
    apply(person, running, "card-limit-review")
    give(person, "simple")
    back_at_the_bank(person, running)
    assert read(person) == 200
    at_the_bank = person.page.url
    person.open("/authorizations")
    person.tap("main a[href^='/authorizations/cns_']")
    consent_id = person.page.url.rsplit("/", 1)[1]

    enrol(administrator, running.codes["林静"])
    administrator.open("/act-as")
    administrator.tap("button[value=administrator], button:has-text('管理'), button:has-text('dmin')")
    administrator.open("/admin")
    administrator.check("admin")
    administrator.open(f"/admin/consents/{consent_id}")
    administrator.check("admin-consent")
    form = administrator.page.locator("form[action$='/revoke']")
    form.locator("select").select_option(index=1)
    form.locator("textarea").fill("接到投诉,核查属实")
    administrator.tap("form[action$='/revoke'] button.danger")
    administrator.check("admin-revoked")
    for path in ("/admin/clients", "/admin/clients/lingnan-bank", "/admin/activity", "/admin/keys"):
        administrator.open(path)
        administrator.check("admin" + path.removeprefix("/admin").replace("/", "-"))

    person.open(at_the_bank)
    assert read(person) == 403
    person.open(f"/authorizations/{consent_id}")
    person.check("authorization-revoked")
    expect(person.page.locator("main")).to_contain_text("接到投诉,核查属实")


@pytest.mark.parametrize(
    ("locale", "lang", "who"), [("zh-CN", "zh-Hans", "罗大成"), ("zh-HK", "zh-Hant", "劉永康"), ("en", "en", "吴海燕")]
)
def test_the_consent_page_in_three_languages(
    running: Running, phone_of: PhoneOf, locale: str, lang: str, who: str
) -> None:
    phone = phone_of(locale)
    enrol(phone, running.codes[who])
    apply(phone, running, "housing-loan")
    expect(phone.page.locator("html")).to_have_attribute("lang", lang)
    phone.check(f"consent-{lang}")
    # Who, why and what stand above the fold.
    assert phone.page.locator("main").get_by_text(re.compile("岭南示例银行|嶺南示例銀行|Lingnan")).first.is_visible()
