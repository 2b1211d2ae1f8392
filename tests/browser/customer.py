"""A third party's customer in Chromium, on the stage: counts taps and pages, and notes what the third party gets.

The pages of third parties are played here: one with a link that asks, and one to come back to.
"""

import re
from urllib.parse import parse_qsl, urlsplit

from playwright.sync_api import Browser, Page, Route
from sqlalchemy import select

from consent import clients
from consent.records import Consent
from dataspace.db import db
from tests.browser.phone import SCREEN
from tools.stage import Stage

APPLY = '<!doctype html><html lang="en"><title>Bank</title><h1>Bank</h1><a id="apply" href="{address}">Apply</a></html>'
BACK = '<!doctype html><html lang="en"><title>Bank</title><h1>Thank you</h1></html>'


class Customer:
    """``taps`` and ``loads`` count from :meth:`counts_anew` on; ``answers``: what has arrived at the third party."""

    def __init__(
        self, chromium: Browser, stage: Stage, key: str, *, acting_for: str = "", locale: str = "zh-CN",
        script: bool = True,
    ) -> None:  # fmt: skip
        self.stage = stage
        signed_in = stage.sign_in(key, acting_for=acting_for)
        db.session.commit()
        self.space_id = signed_in.actor.space_id
        self.context = chromium.new_context(
            viewport=SCREEN, locale=locale, java_script_enabled=script, is_mobile=True, has_touch=True
        )
        self.context.add_cookies([stage.cookie(signed_in)])  # type: ignore[list-item]
        self.context.route(lambda url: not url.startswith(stage.origin), self._third_party)
        self.answers: list[dict[str, str]] = []
        self.page = self.new_tab()
        self.counts_anew()

    def new_tab(self) -> Page:
        """Another tab of the same browser."""
        page = self.context.new_page()
        page.on("load", self._loaded)
        return page

    def counts_anew(self) -> None:
        """From here on."""
        self.taps = self.loads = 0

    def applies(self, client_id: str, purpose_code: str) -> None:
        """At the third party's own page, which knows where to send the customer."""
        address = self.stage.pushed(self.stage.ask(client_id, purpose_code))
        db.session.commit()
        self._apply = APPLY.format(address=self.stage.origin + address.replace("&", "&amp;"))
        self.home = str(clients.get(client_id).redirect_uris[0]).removesuffix("callback")
        self.page.goto(self.home)

    def reads_in(self, language: str) -> None:
        """Choose the language of the pages."""
        self.page.goto(self.stage.origin)
        self.tap(f"button[name=language][value={language}]")

    def tap(self, selector: str) -> None:
        """Tap the first visible one, and be where it leads."""
        self.taps += 1
        with self.page.expect_navigation():
            self.page.locator(selector).locator("visible=true").first.click()

    def gives(self) -> None:
        """Tap through all screens, as quickly as they allow."""
        for _ in range(12):
            self.tap("button[name=decision]:is([value=agree], [value=give])")
            if not re.search("/consent/[^/]+(/item/|/cross-border|/confirm|$)", self.page.url):
                return
        raise AssertionError(self.page.url)

    def is_back(self) -> dict[str, str]:
        """What the third party got; the page between leads there by itself."""
        self.page.wait_for_url(re.compile(re.escape(self.home) + "callback"))
        return self.answers[-1]

    def consents(self) -> list[Consent]:
        """Everything of this space, oldest first."""
        db.session.rollback()
        query = select(Consent).filter_by(space_id=self.space_id).order_by(Consent.created_at, Consent.consent_id)
        return list(db.session.scalars(query))

    def close(self) -> None:
        """Leave."""
        self.context.close()

    def _loaded(self, _page: Page) -> None:
        self.loads += 1

    def _third_party(self, route: Route) -> None:
        parts = urlsplit(route.request.url)
        if parts.path == "/callback":
            self.answers.append(dict(parse_qsl(parts.query)))
        route.fulfill(body=BACK if parts.path == "/callback" else self._apply, content_type="text/html")

    _apply: str = ""
    home: str = ""
    taps: int
    loads: int
