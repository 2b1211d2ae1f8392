"""The way back to a third party of another origin in Chromium, which applies form-action to redirects as well."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page

from consent.clients import Profile
from dataspace import clock
from tests import factories, listening
from tests.consent.third_party import ThirdParty
from tests.consent.visitor import Visitor
from tools.serving import serving

pytestmark = pytest.mark.browser
MODES = ["query", "form_post", "jwt", "form_post.jwt"]
STATE = "a state & more"


class Callback(ThreadingHTTPServer):
    """A third party's web server: takes the answer and goes on to a page of its own."""

    def __init__(self) -> None:
        super().__init__(("localhost", 0), Welcome)
        self.answers: list[tuple[str, dict[str, str]]] = []

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.server_port}"


class Welcome(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/callback"):
            self.take("GET", urlsplit(self.path).query)
        else:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>Welcome</title><h1>Welcome back</h1>")

    def do_POST(self) -> None:
        assert self.headers["Content-Type"] == "application/x-www-form-urlencoded"
        assert self.headers["Origin"] == "null"  # no referrer, no origin
        self.take("POST", self.rfile.read(int(self.headers["Content-Length"])).decode())

    def take(self, method: str, answer: str) -> None:
        assert isinstance(self.server, Callback)
        assert self.headers["Referer"] is None
        self.server.answers.append((method, dict(parse_qsl(answer))))
        self.send_response(303)
        self.send_header("Location", "/welcome")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


@dataclass
class Scene:
    """A service on one origin, a shop on another, and a person who is signed in."""

    origin: str
    shop: ThirdParty
    callback: Callback
    cookie: str
    problems: list[str] = field(default_factory=list)

    def page(self, context: BrowserContext) -> Page:
        context.add_cookies([{"name": "session", "value": self.cookie, "url": self.origin}])
        page = context.new_page()
        page.on("console", lambda message: self.problems.append(message.text) if message.type == "error" else None)
        return page

    def address(self, **changes: Any) -> str:
        uri = f"{self.callback.origin}/callback"
        return self.origin + self.shop.authorize_url(redirect_uri=uri, **changes)

    def answer(self, page: Page, mode: str) -> dict[str, Any]:
        """What the shop got, once, in the right way, when the browser has arrived there."""
        page.wait_for_url(f"{self.callback.origin}/welcome")
        ((method, answer),) = self.callback.answers
        assert method == ("POST" if mode.startswith("form_post") else "GET")
        return self.shop.read_response(answer["response"]) if "jwt" in mode else answer


@pytest.fixture
def scene(app: Flask) -> Iterator[Scene]:
    callback = Callback()
    now = clock.now()
    client = app.test_client()
    redirect_uris = [f"{callback.origin}/callback"]
    party = factories.party(
        now, "shop", profile=Profile.LOGIN, method="client_secret_basic", redirect_uris=redirect_uris
    )
    shop = ThirdParty(party, client)
    shop.registers(authorization_signed_response_alg="ES256")
    Visitor(client).sign_in(factories.holder(now), now)
    cookie = client.get_cookie("session")
    assert cookie is not None
    with listening.serving(callback), serving(app) as port:
        yield Scene(f"http://localhost:{port}", shop, callback, cookie.value)


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(locale="en")
    yield context
    context.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tap", ["agree", "refuse"])
def test_breaks_31_the_answer_arrives_at_another_origin(
    scene: Scene, context: BrowserContext, mode: str, tap: str
) -> None:
    page = scene.page(context)
    page.goto(scene.address(response_mode=mode))
    page.locator(f"button[name=decision][value={tap}]").click()
    answer = scene.answer(page, mode)
    assert answer["state"] == STATE
    assert ("code" in answer) == (tap == "agree")
    assert scene.problems == []


@pytest.mark.parametrize("mode", MODES)
def test_breaks_31_an_answer_too_long_for_the_page_between(scene: Scene, context: BrowserContext, mode: str) -> None:
    page = scene.page(context)
    page.goto(scene.address(response_mode=mode, state="ü" * 1000))
    page.locator("button[name=decision][value=agree]").click()
    assert scene.answer(page, mode)["state"] == "ü" * 1000
    assert scene.problems == []


@pytest.mark.parametrize("mode", MODES)
def test_breaks_31_without_a_page_of_ours(scene: Scene, context: BrowserContext, mode: str) -> None:
    page = scene.page(context)
    page.goto(scene.address(response_mode=mode, prompt="none"))
    assert scene.answer(page, mode)["error"] == "consent_required"
    assert scene.problems == []


@pytest.mark.parametrize("mode", MODES)
def test_breaks_31_without_javascript(scene: Scene, chromium: Browser, mode: str) -> None:
    context = chromium.new_context(locale="en", java_script_enabled=False)
    page = scene.page(context)
    page.goto(scene.address(response_mode=mode))
    page.locator("button[name=decision][value=agree]").click()
    if mode.startswith("form_post"):
        page.get_by_role("button", name="Return to").click()
    assert "code" in scene.answer(page, mode)
    context.close()


def test_breaks_31_the_policy_allows_the_client_and_nobody_else(scene: Scene, context: BrowserContext) -> None:
    page = scene.page(context)
    page.route("**/form_post.js", lambda route: route.abort())
    page.goto(scene.address(response_mode="form_post", prompt="none"))
    page.evaluate("""() => {
      window.refused = [];
      document.addEventListener("securitypolicyviolation", (event) => window.refused.push(event.effectiveDirective));
      const form = document.createElement("form");
      form.action = "http://127.0.0.1:9/elsewhere";
      form.method = "post";
      document.body.append(form);
      form.submit();
    }""")
    page.wait_for_function("window.refused.length > 0")
    assert page.evaluate("window.refused") == ["form-action"]
    assert scene.callback.answers == []
