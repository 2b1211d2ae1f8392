"""The tour of the stage: pages to stop at, and what there is no page of.

Every kind of page is stopped at by somebody of :mod:`tools.people`. A page without a stop fails
``tests/test_screenshots.py``, unless NO_PAGE says why there is nothing to look at.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from playwright.sync_api import BrowserContext, Page, Route

# GET addresses behind which there is nothing to look at, by endpoint.
NO_PAGE = MappingProxyType(
    {
        "static": "files of the pages",
        "logos.show": "a picture",
        "dashboard.reads_csv": "a download",
        "dashboard.reads_json": "a download",
        "admin.export": "a download",
        "archives.fetch": "a download",
        "packages.fetch": "a download",
        "admin.fetch_package": "a download",
        "home.item_csv": "a download",
        "home.item_json": "a download",
        "receipts.program": "a download",
        "certificates.download": "a download",
        "presented.download": "a download",
        "receipts.as_json": "a download",
        "receipts.as_jws": "a download",
        "receipts.as_pdf": "a download",
        "receipts.keys": "for programs",
        "receipts.latest": "leads to the page of a receipt",
        "receipts.proof": "a download",
        "origins.proof": "a download",
        "certificates.proof": "a download",
        "shell.health": "for programs",
        "shell.ready": "for programs",
        "registration.read": "for programs",
        "statutes.transparency_json": "for programs",
        **dict.fromkeys(
            (
                "certificate_api.index", "certificate_api.show", "certificate_api.status", "certificate_api.keys",
                "certificate_api.issuer",
                "api.read_all", "api.read_one", "items.schema", "log.checkpoint", "log.cosigned", "log.key", "log.tile",
                "metrics.metrics",
                "oauth.authorization_details_schema", "oauth.authorization_server",
                "oauth.consent_events", "oauth.delivery_proof", "oauth.jwks", "oauth.openapi_description",
                "oauth.openid_configuration",
                "oauth.protected_resource", "oauth.query_grant", "oauth.user_info",
            ),
            "for programs",
        ),
    }
)  # fmt: skip

# By script, because forms may lie in what is folded; past what browsers check, because it is the server's answer that
# has to be seen.
SEND = """form => {
  form.noValidate = true;
  form.requestSubmit(form.querySelector('button[type=submit]:not([disabled])'));
}"""


@dataclass(frozen=True)
class Stop:
    """One page: its path, and what the person does there before it is looked at."""

    path: str
    act: Callable[[Page], None] | None = None


@dataclass
class Visitor:
    """Somebody with a browser. ``cookie``: the session, put back before each stop; None for nobody."""

    who: str
    cookie: dict[str, Any] | None
    stops: dict[str, Stop]


def visit(context: BrowserContext, page: Page, origin: str, visitor: Visitor, stop: Stop) -> None:
    """Go to a page as this visitor, in whatever language and width the context has."""
    context.clear_cookies()
    if visitor.cookie is not None:
        context.add_cookies([visitor.cookie])  # type: ignore[list-item]
    page.goto(origin + stop.path)
    if stop.act is not None:
        stop.act(page)


def stay(context: BrowserContext) -> None:
    """Keep pages that lead on by themselves where they are."""

    def without_refresh(route: Route) -> None:
        answer = route.fetch()
        headers = {name: value for name, value in answer.headers.items() if name.lower() != "refresh"}
        body = re.sub(r'<meta http-equiv="refresh"[^>]*>', "", answer.text())
        route.fulfill(response=answer, headers=headers, body=body)

    context.route("**/done", without_refresh)
    context.route("**/form_post.js", lambda route: route.abort())


def sends(action: str, **fields: str) -> Callable[[Page], None]:
    """Fill in a form of the page and send it."""

    def act(page: Page) -> None:
        form = page.locator(f"form[action='{action}']").first
        for name, text in fields.items():
            form.locator(f"[name={name}]").first.evaluate("(field, text) => { field.value = text; }", text)
        with page.expect_navigation():
            form.evaluate(SEND)

    return act


def tampered(name: str, button: str) -> Callable[[Page], None]:
    """Change a hidden field and press a button, as a stale tab would."""

    def act(page: Page) -> None:
        page.locator(f"form input[name={name}]").evaluate_all("fields => fields.forEach(f => { f.value = 'stale'; })")
        with page.expect_navigation():
            page.locator(button).first.click()

    return act
