"""Signing out at the wish of a relying party on another site, in Chromium: with our cookie's and our policy's rules."""

from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from consent.client_options import ClientOptions
from consent.clients import Profile
from dataspace import clock, passkeys
from dataspace.db import db
from tests import factories, listening
from tests.browser.phone import Phone
from tests.conftest import make_settings
from tools.processes import free_port
from tools.serving import serving
from wsgi import create_app

pytestmark = pytest.mark.browser
LEAVE = """<!doctype html><html lang="en"><title>Shop</title><h1>{title}</h1>
<form action="{issuer}/oauth/logout" method="post"><input type="hidden" name="client_id" value="shop">
<input type="hidden" name="post_logout_redirect_uri" value="{shop}/back?from=here">
<input type="hidden" name="state" value="one two"><button>Leave</button></form>"""


@dataclass
class Sites:
    """The service on ``localhost`` and the shop on ``127.0.0.1``: two sites to a browser."""

    issuer: str
    shop: str
    code: str


@pytest.fixture
def sites(database_url: str) -> Iterator[Sites]:
    port = free_port()
    issuer = f"http://localhost:{port}"
    app = create_app(make_settings(database_url, issuer=issuer))
    shop = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    sites = Sites(issuer, f"http://127.0.0.1:{shop.server_port}", "")
    shop.page = lambda path: LEAVE.format(title=path, issuer=sites.issuer, shop=sites.shop)  # type: ignore[attr-defined]
    with listening.serving(shop), serving(app, port), app.app_context():
        sites.code = people_and_clients(sites)
        yield sites
        db.session.remove()
        db.engine.dispose()


class Shop(BaseHTTPRequestHandler):
    """Pages whose title is their address."""

    def do_GET(self) -> None:
        body = self.server.page(self.path).encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Quiet."""


def people_and_clients(sites: Sites) -> str:
    """One person, whose enrolment code is returned, and the shop."""
    now = clock.now()
    person = factories.holder(now)
    party = factories.party(now, "shop", profile=Profile.LOGIN, redirect_uris=(f"{sites.shop}/callback",))
    party.client.options = ClientOptions(post_logout_redirect_uris=(f"{sites.shop}/back?from=here",)).to_document()
    code = passkeys.issue_enrolment_code(person, now)
    db.session.commit()
    return code


@pytest.fixture
def phone(chromium: Browser, sites: Sites) -> Iterator[Phone]:
    """Signed in."""
    phone = Phone(chromium, sites.issuer, locale="en")
    phone.open("/enrol")
    phone.page.get_by_label("Code", exact=True).fill(sites.code)
    phone.page.get_by_role("button", name="Continue").click()
    phone.page.get_by_role("button", name="Create the passkey").click()
    phone.page.wait_for_url(f"{sites.issuer}/")
    yield phone
    phone.close()
    assert phone.problems == []


def leave(page: Page, sites: Sites) -> None:
    """From the shop, by a form, to our question."""
    page.goto(f"{sites.shop}/leave")
    page.get_by_role("button", name="Leave").click()
    expect(page.get_by_role("heading", name="Sign out?")).to_be_visible()
    expect(page.get_by_text("You are signed in as 陈嘉怡.")).to_be_visible()
    assert page.url.startswith(f"{sites.issuer}/oauth/logout?")


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_there_and_back(script: bool, chromium: Browser, phone: Phone, sites: Sites) -> None:
    leave(phone.page, sites)
    phone.check("logout")
    context = chromium.new_context(storage_state=phone.context.storage_state(), java_script_enabled=script, locale="en")
    page = context.new_page()
    leave(page, sites)
    page.get_by_role("button", name="Stay signed in").click()
    expect(page.get_by_text("You are still signed in.")).to_be_visible()
    leave(page, sites)
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{sites.shop}/back?from=here&state=one+two")
    expect(page.get_by_role("heading", name="/back?from=here&state=one+two")).to_be_visible()
    page.goto(f"{sites.issuer}/authorizations")
    assert page.url.startswith(f"{sites.issuer}/signin?")
    context.close()
    phone.open("/oauth/logout")  # the same sign-in in the first browser is over as well
    phone.page.wait_for_url(f"{sites.issuer}/signed-out")
    phone.check("signed-out")
