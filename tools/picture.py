"""Takes the README's pictures: the consent page as a phone of 390 x 844 shows it, on a demonstration of its own.

``python -m tools.picture`` writes docs/images/consent.png (English) and consent.zh.png (Chinese). It needs the
system's Chromium; CHROMIUM names another one. Nothing else on the machine is touched.
"""

import os
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, StorageState, ViewportSize, sync_playwright

from tools import demonstration
from tools.demonstration import Demonstration
from tools.processes import ROOT, Processes, free_port

IMAGES = ROOT / "docs/images"
PICTURES = {"en": "consent.png", "zh-CN": "consent.zh.png"}
PHONE: ViewportSize = {"width": 390, "height": 844}
MAX_BYTES = 150_000
PERSON, OFFER = "陈嘉怡", "housing-loan"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


def main() -> int:
    """The exit status: 0 when every picture is there and small."""
    with tempfile.TemporaryDirectory(prefix="dataspace-picture-") as folder:
        demo = demonstration.at(Path(folder), free_port(), free_port())
        demonstration.prepare(demo)
        code = next(person.code for person in demonstration.people(demo) if person.name == PERSON)
        with Processes(demonstration.commands(demo), Path(folder) / "processes.log"), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            sizes = {file.name: file.stat().st_size for file in take(browser, demo, code or "", IMAGES)}
            browser.close()
    for name, size in sizes.items():
        sys.stdout.write(f"{name}: {size} bytes\n")
    return 0 if all(size <= MAX_BYTES for size in sizes.values()) else 1


def take(browser: Browser, demo: Demonstration, code: str, folder: Path) -> list[Path]:
    """Ask for a loan, enrol, and photograph the page that asks, in each language. Returns the files."""
    context = _phone(browser, "en")
    page = context.new_page()
    _ask(page, demo)
    _enrol(page, code)
    page.wait_for_url(f"{demo.issuer}/consent/*")
    folder.mkdir(parents=True, exist_ok=True)
    files = [_shoot(_phone(browser, locale, context.storage_state()), page.url, folder / PICTURES[locale])
             for locale in PICTURES]  # fmt: skip
    context.close()
    return files


def _ask(page: Page, demo: Demonstration) -> None:
    """What the bank's customer does."""
    page.goto(demo.bank_url)
    page.locator(f'form[action$="/start/{OFFER}"] button').click()
    page.wait_for_url(f"{demo.issuer}/signin**")


def _enrol(page: Page, code: str) -> None:
    """Make a passkey with a device that Chromium plays (Chrome DevTools Protocol, WebAuthn)."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable", {"enableUI": False})
    session.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    page.locator('a[href^="/enrol"]').click()
    page.locator("input[name=code]").fill(code)
    page.locator('form[action="/enrol"] button[type=submit]').click()
    page.locator('[data-ceremony="create"] button').click()


def _phone(browser: Browser, locale: str, state: StorageState | None = None) -> BrowserContext:
    return browser.new_context(viewport=PHONE, locale=locale, is_mobile=True, has_touch=True, storage_state=state)


def _shoot(context: BrowserContext, url: str, file: Path) -> Path:
    page = context.new_page()
    page.goto(url)
    page.screenshot(path=file)
    context.close()
    return file


if __name__ == "__main__":
    sys.exit(main())
