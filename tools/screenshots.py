"""Pictures of every kind of page, to be looked at: `make screenshots` writes them and an index.html to var/screenshots.

A demonstration of its own is started in a temporary folder. Its people enrol with the passkey device that Chromium
plays (Chrome DevTools Protocol, WebAuthn), give and refuse as people do, then each page is taken in three languages,
at three widths, in light and dark. ``LANGUAGES=zh-CN WIDTHS=390 SCHEMES=light make screenshots`` takes fewer.
"""

import html
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Error, Page, Route, StorageState, sync_playwright

from tools import demonstration
from tools.demonstration import Demonstration
from tools.picture import ARGUMENTS, AUTHENTICATOR, CHROMIUM
from tools.processes import ROOT, DemonstrationError, Processes, free_port

FOLDER = ROOT / "var/screenshots"
LANGUAGES = os.environ.get("LANGUAGES", "zh-CN zh-HK en").split()
WIDTHS = [int(width) for width in os.environ.get("WIDTHS", "390 768 1280").split()]
SCHEMES: list[Literal["light", "dark"]] = [s for s in ("light", "dark") if s in os.environ.get("SCHEMES", "light dark")]
HEIGHT = 844
NOBODY = {
    "welcome": "/", "sign-in": "/signin", "enrol": "/enrol", "check-a-receipt": "/receipts/check",
    "not-found": "/no-such-page", "door-citizen": "/m/citizen", "door-business": "/m/business",
}  # fmt: skip
HOLDER = {
    "home": "/", "data": "/data", "item": "/data/{item}", "authorizations": "/authorizations",
    "authorizations-waiting": "/authorizations?tab=waiting", "authorizations-ended": "/authorizations?tab=ended",
    "reads": "/reads", "messages": "/messages", "message-choices": "/messages/choices",
    "mail-address": "/messages/address", "cases": "/cases", "copies": "/archive",
    "new-case": "/cases/new?kind=explanation",
    "passkeys": "/passkeys", "add-passkey": "/passkeys/add", "act-as": "/act-as", "counter-code": "/device",
    "erasure": "/erasure", "stop-everything": "/stop-authorizations",
}  # fmt: skip
ADMINISTRATOR = {
    "admin": "/admin", "clients": "/admin/clients", "client": "/admin/clients/lingnan-bank",
    "client-edit": "/admin/clients/lingnan-bank/edit", "client-options": "/admin/clients/lingnan-bank/options",
    "register": "/admin/register-client", "activity": "/admin/activity", "keys": "/admin/keys",
    "undelivered": "/admin/undelivered", "invitations": "/admin/invitations", "cases": "/admin/cases",
    "rules": "/admin/rules", "erasures": "/admin/erasures", "deaths": "/admin/deaths",
}  # fmt: skip


@dataclass
class Person:
    """A browser in which somebody has signed in. ``pages``: addresses to photograph, by name."""

    who: str
    page: Page
    demo: Demonstration
    pages: dict[str, str] = field(default_factory=dict)

    def path(self) -> str:
        """Where this browser is."""
        return self.page.url.removeprefix(self.demo.issuer)

    def keep(self, name: str) -> None:
        """Photograph what is on the screen, later."""
        self.pages.setdefault(name, self.path())

    def open(self, path: str) -> None:
        """Go to a path of the service."""
        self.page.goto(self.demo.issuer + path)

    def enrol(self, code: str, acting: str = "") -> None:
        """From the registrar's code to a signed-in person, acting for whoever is named."""
        session = self.page.context.new_cdp_session(self.page)
        session.send("WebAuthn.enable", {"enableUI": False})
        session.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
        self.open("/enrol")
        self.page.locator("input[name=code]").fill(code)
        self.page.locator('form[action="/enrol"] button[type=submit]').click()
        self.page.locator('[data-ceremony="create"] button').click()
        self.page.wait_for_url(re.compile(re.escape(self.demo.issuer) + "/($|act-as)"))
        if acting:
            self.open("/act-as")
            self.page.locator(f"main button:has-text('{acting}')").click()

    def asked(self, offer: str) -> None:
        """The bank asks; ends on the consent page."""
        self.page.goto(self.demo.bank_url)
        self.page.locator(f'form[action$="/start/{offer}"] button').click()
        self.page.wait_for_url(f"{self.demo.issuer}/consent/*")

    def walk(self) -> str:
        """Give everything on the way to the last step, and keep each screen; returns where that step is."""
        while True:
            kind = re.match(r"/consent/[^/]+/?([a-z-]*)", self.path())
            self.keep(f"asked-{kind[1] if kind and kind[1] else 'first'}")
            if self.page.locator("form#decision[action$='/agree']").count():
                return self.path()
            self.page.locator("button[name=decision]:is([value=give], [value=agree])").first.click()
            self.page.wait_for_load_state()


def main() -> int:
    """The exit status: 0 when every page could be photographed."""
    with tempfile.TemporaryDirectory(prefix="dataspace-screenshots-") as folder:
        _say("Preparing a demonstration ...")
        demo = demonstration.at(Path(folder), free_port(), free_port())
        demonstration.prepare(demo)
        codes = {person.name: person.code or "" for person in demonstration.people(demo)}
        try:
            with Processes(demonstration.commands(demo), Path(folder) / "log"), sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
                files = take_all(browser, demo, codes)
                browser.close()
        except (DemonstrationError, Error) as error:
            _say(f"\n{error}")
            return 1
    write_index(files)
    _say(f"{len(files)} pictures: {(FOLDER / 'index.html').relative_to(ROOT)}")
    return 0


def take_all(browser: Browser, demo: Demonstration, codes: dict[str, str]) -> list[str]:
    """Let everybody do what they do, photograph what they see. Returns the names of the files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.png"):
        old.unlink()
    files: list[str] = []
    for person in _people(browser, demo, codes):
        total = len(person.pages)
        for n, (name, path) in enumerate(person.pages.items(), start=1):
            _say(f"  {person.who} {n}/{total} {name}")
            for language in LANGUAGES:
                files += shoot(browser, person, name, path, language)
    return files


def shoot(browser: Browser, person: Person, name: str, path: str, language: str) -> list[str]:
    """One page in one language, loaded once: every width in every scheme."""
    state: StorageState = person.page.context.storage_state()
    context = browser.new_context(locale=language, storage_state=state, reduced_motion="reduce")
    page = context.new_page()
    page.route("**/done", _stay)
    page.goto(person.demo.issuer + path)
    files = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        # As tall as the page, for the bar at the lower edge would cover what is behind it.
        tall = int(page.evaluate("document.documentElement.scrollHeight"))
        page.set_viewport_size({"width": width, "height": max(tall, HEIGHT)})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            file = f"{person.who}-{name}.{language}.{width}.{scheme}.png"
            page.screenshot(path=FOLDER / file)
            files.append(file)
    context.close()
    return files


def _people(browser: Browser, demo: Demonstration, codes: dict[str, str]) -> Iterator[Person]:
    """Each has done what makes pages worth looking at before being handed out."""

    def arrive(who: str, name: str = "", acting: str = "") -> Person:
        person = Person(who, browser.new_context(locale="zh-CN").new_page(), demo)
        if name:
            person.enrol(codes[name], acting)
        return person

    nobody = arrive("nobody")
    nobody.pages |= NOBODY
    nobody.page.goto(demo.bank_url)
    nobody.page.locator('form[action$="/start/housing-loan"] button').click()
    nobody.keep("asked-to-sign-in")
    yield nobody
    citizen = arrive("citizen", "陈嘉怡")
    yield from _lending(citizen, "housing-loan")
    preparer = arrive("business-preparer", "周敏", "粤海明珠电子")
    yield from _lending(preparer, "working-capital-loan")
    approver = arrive("business-approver", "李伟强", "粤海明珠电子")
    approver.pages |= {"home": "/", "waiting": "/authorizations?tab=waiting", "act-as": "/act-as"}
    approver.open("/authorizations?tab=waiting")
    _keep_first(approver, "/authorizations/cns_", "approve")
    yield approver
    administrator = arrive("administrator", "林静", "管理")
    administrator.pages |= ADMINISTRATOR
    administrator.open("/admin")
    _keep_first(administrator, "/admin/consents/", "consent")
    yield administrator


def _lending(person: Person, offer: str) -> Iterator[Person]:
    """One holder: the steps of a request while it is open, then what it has led to."""
    person.asked(offer)
    last = person.walk()
    yield person
    person.open(last)
    person.pages = {"given": _agree(person)}
    yield person
    _bank_reads(person)
    person.pages = {}
    if person.who == "citizen":
        person.asked("card-limit-review")
        person.page.locator("button[value=refuse]").first.click()
        person.page.wait_for_url("**/done")
    person.open("/data")
    item = person.page.locator("main a[href^='/data/']").first.get_attribute("href") or ""
    person.pages |= {name: path.replace("/data/{item}", item) for name, path in HOLDER.items()}
    person.open("/authorizations" if person.who == "citizen" else "/authorizations?tab=waiting")
    _keep_first(person, "/authorizations/cns_", "authorization")
    _keep_first(person, "/receipts/", "receipt")
    yield person


def _keep_first(person: Person, prefix: str, name: str) -> None:
    """Keep the page behind the first link that begins like this, and go there."""
    found = person.page.locator(f"main a[href^='{prefix}']")
    if found.count():
        person.open(found.first.get_attribute("href") or "/")
        person.keep(name)


def _agree(person: Person) -> str:
    """Agree on the last step; returns where the page after it is, which stays unread: it is shown once to a browser."""
    found: list[str] = []

    def hold(route: Route) -> None:
        # Here and not at the page itself, for what a redirect leads to cannot be held.
        answer = route.fetch(max_redirects=0)
        found.append(answer.headers["location"])
        route.fulfill(status=200, headers={"set-cookie": answer.headers.get("set-cookie", "")}, body="")

    person.page.route("**/agree", hold)
    person.page.locator("button[value=agree]").first.click()
    person.page.wait_for_url("**/agree")
    person.page.unroute("**/agree")
    person.page.route("**/done", _stay)
    return found[0].removeprefix(person.demo.issuer)


def _bank_reads(person: Person) -> None:
    """The bank's customer goes back and has the bank read, where it may."""
    person.open(person.pages["given"])
    link = person.page.locator(f"a[href^='{person.demo.bank_url}']")
    if link.count():
        person.page.goto(link.first.get_attribute("href") or "")
        person.page.locator("form[action$='/read'] button").click()
        person.page.wait_for_load_state()


def _stay(route: Route) -> None:
    """Serve a page without what leads away from it."""
    answer = route.fetch()
    headers = {name: value for name, value in answer.headers.items() if name.lower() != "refresh"}
    body = re.sub(r'<meta http-equiv="refresh"[^>]*>', "", answer.text())
    route.fulfill(response=answer, headers=headers, body=body)


def write_index(files: list[str]) -> None:
    """A page with every picture, the three languages of a page side by side."""
    figures = "".join(
        f'<figure><a href="{html.escape(file)}"><img src="{html.escape(file)}" alt="" loading="lazy" width="280"></a>'
        f"<figcaption>{html.escape(file.removesuffix('.png'))}</figcaption></figure>"
        for file in sorted(files)
    )
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Pages</title><main>{figures}</main></html>'
    (FOLDER / "index.html").write_text(page, "utf-8")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
