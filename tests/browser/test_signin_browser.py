"""Enrolment and sign-in in a real Chromium with its virtual authenticator, under our own content policy."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, CDPSession, Page, Route, ViewportSize, expect

from dataspace import clock, passkeys
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.mandates import Capacity
from tests import factories
from tests.browser.phone import serious
from tests.conftest import make_settings
from tools.processes import free_port
from tools.serving import serving
from wsgi import create_app

pytestmark = pytest.mark.browser
SMALL_PHONE: ViewportSize = {"width": 390, "height": 844}
SHOTS = os.environ.get("DATASPACE_TEST_SHOTS", "")  # a folder for pictures of the pages
# Chromium before 129 has no parseRequestOptionsFromJSON; the script then converts by itself.
OLD_BROWSER = """
delete window.PublicKeyCredential?.parseRequestOptionsFromJSON;
delete window.PublicKeyCredential?.parseCreationOptionsFromJSON;
"""
AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


class Phone:
    """A page in Chromium with a passkey device that the test can hold back."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page, self.origin = page, origin
        self.problems: list[str] = []
        page.on("console", lambda message: self.problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.cdp: CDPSession = page.context.new_cdp_session(page)
        self.cdp.send("WebAuthn.enable", {"enableUI": False})
        added = self.cdp.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
        self.authenticator = {"authenticatorId": added["authenticatorId"]}

    def touch(self, enabled: bool) -> None:
        """Whether the person confirms what the device asks."""
        self.cdp.send("WebAuthn.setAutomaticPresenceSimulation", self.authenticator | {"enabled": enabled})

    def verified(self, verified: bool) -> None:
        """Whether fingerprint or code are right."""
        self.cdp.send("WebAuthn.setUserVerified", self.authenticator | {"isUserVerified": verified})

    def open(self, path: str) -> None:
        self.page.goto(self.origin + path)

    def enrol(self, code: str, lands_on: str = "/") -> None:
        self.open("/enrol")
        self.page.get_by_label("Code", exact=True).fill(code)
        self.page.get_by_role("button", name="Continue").click()
        expect(self.page.get_by_text("陈嘉怡")).to_be_visible()
        self.page.get_by_role("button", name="Create the passkey").click()
        self.page.wait_for_url(self.origin + lands_on)

    def check(self) -> None:
        """Nothing that axe-core calls serious, nothing wider than the screen."""
        assert serious(self.page) == []
        width = self.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width[0] <= width[1]
        if SHOTS:
            name = self.page.url.split("/", 3)[3].split("?")[0].replace("/", "-") + f"-{width[1]}.png"
            self.page.screenshot(path=f"{SHOTS}/{name}", full_page=True)

    def reads(self, address: str) -> list[Any]:
        """What the server answers there from now on, read on its way: a browser forgets it once it moves on."""
        answers: list[Any] = []

        def pass_on(route: Route) -> None:
            answer = route.fetch()
            answers.append(answer.json())
            route.fulfill(response=answer)

        self.page.route(address, pass_on)
        return answers

    def sign_out(self) -> None:
        self.touch(enabled=False)  # the sign-in page that follows must not be taken up at once
        self.open("/passkeys")
        self.page.get_by_role("button", name="Sign out").click()
        self.page.wait_for_url(self.origin + "/signin")
        self.page.goto("about:blank")


@pytest.fixture
def served(database_url: str) -> Iterator[tuple[str, Holder]]:
    """The origin of a running service, and a person in it."""
    port = free_port()
    origin = f"http://localhost:{port}"
    app = create_app(make_settings(database_url, issuer=origin))
    with serving(app, port), app.app_context():
        person = factories.holder(clock.now())
        db.session.commit()
        yield origin, person
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def phone(chromium: Browser, served: tuple[str, Holder]) -> Iterator[Phone]:
    # Without motion: colours are looked at, and not on their way from one to another.
    context = chromium.new_context(
        viewport=SMALL_PHONE, locale="en", is_mobile=True, has_touch=True, reduced_motion="reduce"
    )
    phone = Phone(context.new_page(), served[0])
    yield phone
    context.close()
    assert [p for p in phone.problems if "status of 400" not in p] == []  # a refused form is reported as well


@pytest.fixture
def code(served: tuple[str, Holder]) -> str:
    issued = passkeys.issue_enrolment_code(served[1], clock.now())
    db.session.commit()
    return issued


@pytest.mark.parametrize("script", ["", OLD_BROWSER], ids=["parses options itself", "older browser"])
def test_enrol_and_sign_in_with_the_button(phone: Phone, code: str, script: str) -> None:
    phone.page.add_init_script(script)
    phone.enrol(code)
    phone.sign_out()
    phone.open("/signin?next=/passkeys")
    phone.page.wait_for_load_state("networkidle")
    begun = phone.reads("**/signin/options")
    with phone.page.expect_request("**/signin/verify**") as answered:
        phone.touch(enabled=True)
        phone.page.get_by_role("button", name="Sign in with a passkey").click()
    assert answered.value.post_data_json["ceremony"] == begun[-1]["ceremony"]
    phone.page.wait_for_url(phone.origin + "/passkeys")
    expect(phone.page.get_by_role("heading", name="Passkeys", exact=True)).to_be_visible()


def test_sign_in_at_the_field(phone: Phone, code: str) -> None:
    phone.enrol(code)
    phone.sign_out()
    phone.touch(enabled=True)
    with phone.page.expect_response("**/signin/verify**") as verified:
        phone.open("/signin?next=/passkeys")  # the device offers its passkey by itself; nothing is clicked
    assert verified.value.status == 200
    phone.page.wait_for_url(phone.origin + "/passkeys")


def test_what_goes_wrong_is_said(phone: Phone, code: str) -> None:
    phone.enrol(code)
    phone.sign_out()
    phone.touch(enabled=True)
    phone.verified(verified=False)
    phone.open("/signin")
    button = phone.page.get_by_role("button", name="Sign in with a passkey")
    button.click()
    expect(phone.page.get_by_role("alert")).to_contain_text("Nothing happened", timeout=20_000)
    expect(button).to_be_enabled()


def test_choosing_whom_to_act_for(phone: Phone, code: str, served: tuple[str, Holder]) -> None:
    now = clock.now()
    factories.mandate(factories.company(now), served[1], Capacity.LEGAL_REPRESENTATIVE, now)
    db.session.commit()
    phone.enrol(code, lands_on="/act-as?next=/")
    phone.check()
    phone.page.get_by_role("button", name="粤海明珠电子").click()
    phone.page.wait_for_url(phone.origin + "/")
    phone.open("/passkeys")
    expect(phone.page.get_by_role("banner")).to_contain_text("You are acting for 粤海明珠电子")
    phone.page.get_by_role("link", name="Switch").click()
    phone.page.get_by_role("button", name="As yourself").click()
    phone.page.wait_for_url(phone.origin + "/passkeys")
    expect(phone.page.get_by_role("banner")).to_contain_text("As yourself")


def test_a_device_registers_once(phone: Phone, code: str) -> None:
    phone.enrol(code)
    phone.open("/passkeys/add")
    phone.page.get_by_role("button", name="Create the passkey").click()
    expect(phone.page.get_by_role("alert")).to_contain_text("already holds a passkey", timeout=20_000)


def test_a_browser_without_passkeys(phone: Phone) -> None:
    phone.page.add_init_script("delete window.PublicKeyCredential")
    phone.open("/signin")
    expect(phone.page.get_by_role("alert")).to_contain_text("cannot use passkeys")
    expect(phone.page.get_by_role("button", name="Sign in with a passkey")).to_be_disabled()


@pytest.mark.parametrize("size", [SMALL_PHONE, {"width": 320, "height": 568}], ids=["phone", "large text"])
def test_the_pages_are_usable_by_everybody(phone: Phone, code: str, size: ViewportSize) -> None:
    phone.page.set_viewport_size(size)
    phone.touch(enabled=False)
    phone.open("/signin")
    phone.check()
    phone.open("/enrol")
    phone.check()
    phone.page.get_by_label("Code", exact=True).fill("wrong")
    phone.page.get_by_role("button", name="Continue").click()
    phone.check()
    phone.touch(enabled=True)
    phone.enrol(code)
    for path in ("/passkeys", "/passkeys/add", "/signin"):
        phone.touch(enabled=False)
        phone.open(path)
        phone.check()
