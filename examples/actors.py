"""The people of the demonstration, each with a browser of their own."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from examples.browser import Browser, Page, PageError

MAX_SCREENS = 12


@dataclass
class Person:
    """A person with an enrolment code, in a browser; ``issuer`` is where the pages of the service are."""

    name: str
    code: str
    issuer: str
    browser: Browser = field(default_factory=Browser)

    @property
    def page(self) -> Page:
        """What the person sees."""
        return self.browser.page

    def enrol(self, next_path: str = "/") -> Page:
        """Use the registrar's code and make a passkey; ends signed in."""
        self.browser.open(f"{self.issuer}/enrol?next={quote(next_path, safe='')}")
        self.browser.submit(self.page.form("/enrol"), code=self.code)
        return self.browser.passkey()

    def sign_in(self) -> Page:
        """Use the passkey on the sign-in page."""
        if self.page.path != "/signin":
            self.browser.open(f"{self.issuer}/signin")
        return self.browser.passkey()

    def act_as(self, words: str) -> Page:
        """Choose whom to act for, by words on the button or what it sends."""
        if self.page.path != "/act-as":
            self.browser.open(f"{self.issuer}/act-as")
        form = self.page.form("/act-as")
        for button in form.buttons:
            if words in button.label or words == button.value:
                return self.browser.submit(form, (button.name, button.value))
        raise PageError(f"{self.name} cannot act as {words}: {[b.label for b in form.buttons]}")

    def decide(self, *, optional: Collection[str] = (), skip: Collection[str] = ()) -> list[str]:
        """Walk through the consent page and agree: tick ``optional`` items, do not give the sensitive ones in ``skip``.

        Returns what each screen was about; ends where the page leads to.
        """
        screens: list[str] = []
        while match := re.fullmatch(r"/consent/[^/]+(/item/(?P<item>.+)|/cross-border|/confirm)?", self.page.path):
            if len(screens) >= MAX_SCREENS or self.page.status != 200:
                raise PageError(f"stuck at {self.page.path} ({self.page.status} {self.page.title})")
            item = match["item"]
            screens.append(self.page.title.partition(" · ")[0])
            if give := self.page.form_with("decision", "give"):
                self.browser.submit(give, ("decision", "keep" if item in skip else "give"))
            else:
                form = self.page.form_with("decision", "agree") or self.page.form("/consent/")
                self.browser.submit(form, ("decision", "agree"), **({"share": list(optional)} if optional else {}))
        return screens

    def refuse(self) -> Page:
        """Refuse the whole request."""
        form = self.page.form_with("decision", "refuse") or self.page.form("/consent/")
        return self.browser.submit(form, ("decision", "refuse"))

    def authorization(self, *, ended: bool = False) -> Page:
        """Open the newest of my authorizations, or of those that have ended."""
        self.browser.open(f"{self.issuer}/authorizations{'?tab=ended' if ended else ''}")
        return self.browser.click(r"^/authorizations/[^?/]+$")

    def stop(self) -> Page:
        """Stop the authorization that is open."""
        return self.browser.submit(self.page.form("/withdraw$"))


@dataclass
class BankCustomer:
    """A person at the bank's pages."""

    person: Person
    bank_url: str

    def apply(self, offer: str) -> Page:
        """Choose an offer; the bank sends the person to the service."""
        self.person.browser.open(self.bank_url)
        return self.person.browser.submit(self.person.page.form(f"/start/{offer}$"))

    def let_read(self, application_url: str) -> dict[str, Any]:
        """Press the bank's button to read, and return the answer as the bank shows it."""
        browser = self.person.browser
        browser.open(application_url)
        browser.submit(browser.page.form("/read$"))
        return dict(json.loads(browser.page.preformatted[-1]))
