"""A phone-sized Chromium with a passkey device, and what every page must keep to."""

import os
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, ViewportSize

SCREEN: ViewportSize = {"width": 390, "height": 844}
SHOTS = os.environ.get("DATASPACE_TEST_SHOTS", "")  # a folder for pictures of the pages
MAX_PAGE = 100_000  # bytes of a full page: document, style, scripts, pictures
AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip

# Links and buttons that send a form.
LEADS_ON = "e => e.matches('a[href]') || (e.form != null && e.type === 'submit')"


class Phone:
    """One person's phone: counts taps, and weighs and measures pages."""

    def __init__(self, browser: Browser, origin: str, *, locale: str = "zh-CN") -> None:
        self.origin = origin
        self.context = browser.new_context(viewport=SCREEN, locale=locale, is_mobile=True, has_touch=True)
        self.page: Page = self.context.new_page()
        self.problems: list[str] = []
        self.weight = 0
        self.taps = 0
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("response", self._weigh)
        cdp = self.context.new_cdp_session(self.page)
        cdp.send("WebAuthn.enable", {"enableUI": False})
        added = cdp.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
        self.cdp, self.authenticator = cdp, {"authenticatorId": added["authenticatorId"]}

    def open(self, url: str) -> None:
        """Go to an address (a path of the service, or a whole one) and weigh what it takes."""
        self.weight = 0
        self.page.goto(url if url.startswith("http") else self.origin + url)

    def tap(self, selector: str) -> None:
        """Tap the first visible element, and wait for what it leads to."""
        self.taps += 1
        self.weight = 0
        target = self.page.locator(selector).locator("visible=true").first
        if target.evaluate(LEADS_ON):
            with self.page.expect_navigation():
                target.click()
        else:
            target.click()

    def touch(self, *, enabled: bool) -> None:
        """Whether the person confirms what the passkey device asks."""
        self.cdp.send("WebAuthn.setAutomaticPresenceSimulation", self.authenticator | {"enabled": enabled})

    def text(self) -> str:
        """The words on the page."""
        return self.page.locator("body").inner_text()

    def check(self, name: str = "") -> None:
        """Nothing wider than the screen, nothing heavier than allowed; axe-core: test_every_page_browser.py."""
        scroll, width = self.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert scroll <= width, f"{self.page.url} is wider than the screen"
        assert self.weight <= MAX_PAGE, f"{self.page.url} has {self.weight} bytes"
        if SHOTS and name:
            self.page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)

    def close(self) -> None:
        """Close, and have no console error left over."""
        self.context.close()

    def _hear(self, message: ConsoleMessage) -> None:
        # The bank is somebody else's page, and a refused form is reported as a failed resource.
        if message.type == "error" and message.location["url"].startswith(self.origin):
            self.problems.append(f"{message.location['url']}: {message.text}")

    def _weigh(self, response: Response) -> None:
        if response.url.startswith(self.origin):
            self.weight += int(response.headers.get("content-length") or 0)


def serious(page: Page) -> list[str]:
    """What axe-core calls serious or critical: the rule and the first element."""
    found: list[dict[str, Any]] = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found if v["impact"] in ("serious", "critical")]
