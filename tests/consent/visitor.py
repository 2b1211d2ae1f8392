"""A person with a browser that has no JavaScript: reads pages, ticks boxes, taps buttons, and counts the taps."""

import datetime as dt
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent.asks import Ask
from consent.oauth import par
from consent.oauth.par import AuthorizationRequest
from dataspace import signins
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.mandates import Mandate
from dataspace.passkeys import VerifiedSignIn
from tests.factories import REDIRECT_URI

BROWSER = "browser-secret-of-this-test"
VOID = {"input", "meta", "link", "br", "hr", "img", "path", "rect", "circle", "use"}
UNSEEN = {"script", "style", "svg", "head"}


@dataclass
class Form:
    action: str
    method: str
    inputs: list[dict[str, str]] = field(default_factory=list)


@dataclass
class Button:
    text: str
    attributes: dict[str, str]
    form: Form | None


class Page(HTMLParser):
    """What a page says and offers. ``says``: the visible words in order; ``tags``: every start tag with attributes."""

    def __init__(self, response: TestResponse) -> None:
        super().__init__()
        self.status = response.status_code
        self.html = response.get_data(as_text=True)
        self.response = response
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.forms: dict[str, Form] = {}
        self.buttons: list[Button] = []
        self.links: list[tuple[str, str]] = []
        self._form: Form | None = None
        self._open: Button | None = None
        self._link: tuple[str, list[str]] | None = None
        self._unseen = 0
        self._loose: list[tuple[str, dict[str, str]]] = []
        self.feed(self.html)
        for form_id, attributes in self._loose:
            self.forms[form_id].inputs.append(attributes)
        for button in self.buttons:
            if "form" in button.attributes:
                button.form = self.forms[button.attributes["form"]]

    @property
    def says(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {k: v or "" for k, v in attrs}
        self.tags.append((tag, attributes))
        if tag in UNSEEN:
            self._unseen += 1
        elif tag == "form":
            self._form = Form(attributes.get("action", ""), attributes.get("method", "get"))
            self.forms[attributes.get("id", f"form-{len(self.forms)}")] = self._form
        elif tag in ("input", "select", "textarea"):
            if "form" in attributes:
                self._loose.append((attributes["form"], attributes))
            elif self._form is not None:
                self._form.inputs.append(attributes)
        elif tag == "button":
            self._open = Button("", attributes, self._form)
        elif tag == "a":
            self._link = (attributes.get("href", ""), [])

    def handle_endtag(self, tag: str) -> None:
        if tag in UNSEEN:
            self._unseen -= 1
        elif tag == "form":
            self._form = None
        elif tag == "button" and self._open is not None:
            self._open.text = self._open.text.strip()
            self.buttons.append(self._open)
            self._open = None
        elif tag == "a" and self._link is not None:
            self.links.append((" ".join(" ".join(self._link[1]).split()), self._link[0]))
            self._link = None

    def handle_data(self, data: str) -> None:
        if self._unseen:
            return
        self.words.append(data)
        if self._open is not None:
            self._open.text += data
        if self._link is not None:
            self._link[1].append(data)

    def button(self, text: str) -> Button:
        found = [b for b in self.buttons if b.text == text]
        assert found, f"no button {text!r}; there are {[b.text for b in self.buttons if b.text]}"
        return found[0]

    def link(self, text: str) -> str:
        found = [href for words, href in self.links if words == text]
        assert found, f"no link {text!r}; there are {[words for words, _ in self.links]}"
        return found[0]

    def offers(self, text: str) -> bool:
        return any(b.text == text for b in self.buttons)


class Visitor:
    """One browser. ``taps`` and ``requests`` count what it took; redirects count as requests."""

    def __init__(self, client: FlaskClient, language: str = "en") -> None:
        self.client = client
        self.language = language
        self.taps = 0
        self.requests = 0
        self.page: Page

    def sign_in(self, person: Holder, now: dt.datetime, *, acting: Mandate | str | None = None) -> "Visitor":
        """Sign in without the ceremony, and choose whom to act for."""
        secret = signins.start(VerifiedSignIn(person_id=person.holder_id, passkey_id="pk", at=now), now)
        if acting is not None:
            key = acting if isinstance(acting, str) else acting.mandate_id
            visit = signins.visit(secret, now, idle=dt.timedelta(hours=1))
            assert visit is not None
            signins.act_as(visit.actor, key, now)
        db.session.commit()
        with self.client.session_transaction() as session:
            session["signin"] = secret
            session.setdefault("browser", BROWSER)
        return self

    def asked(self, ask: Ask, now: dt.datetime, *, at: dt.datetime | None = None, **parameters: Any) -> str:
        """A third party sends this browser here; returns the path of the consent page."""
        with self.client.session_transaction() as session:
            session.setdefault("browser", BROWSER)
        kept = {"redirect_uri": REDIRECT_URI, "state": "s-1", "code_challenge": "c" * 43, "scope": " ".join(ask.scope)}
        uri, _row = par.push(ask.client_id, kept | parameters, ask, at or now, jkt="k" * 43)
        row = par.open_in_browser(uri, client_id=ask.client_id, browser=BROWSER, now=at or now)
        handle = row.handle
        db.session.commit()
        return f"/consent/{handle}"

    def send(self, method: str, path: str, **how: Any) -> TestResponse:
        """One request in an application context of its own, so that nothing of the test's leaks into it."""
        self.requests += 1
        db.session.rollback()
        headers = {"Accept": "text/html,application/xhtml+xml", "Accept-Language": self.language}
        with self.client.application.app_context():
            response = self.client.open(path, method=method, headers=headers, **how)
        db.session.expire_all()
        return response

    def get(self, path: str) -> Page:
        """A page, after its redirects within the service."""
        return self._arrive(self.send("GET", path), path)

    def follow(self, text: str) -> Page:
        """Tap a link."""
        self.taps += 1
        return self.get(self.page.link(text))

    def tap(self, text: str, /, **fields: Any) -> Page:
        """Tap a button of the page; ``fields`` are ticked, chosen or filled in before."""
        self.taps += 1
        button = self.page.button(text)
        assert button.form is not None, f"{text!r} stands in no form"
        action = button.attributes.get("formaction", button.form.action)
        data = {**delivered(button.form), **fields}
        if "name" in button.attributes:
            data[button.attributes["name"]] = button.attributes.get("value", "")
        if button.form.method == "get":
            return self.get(f"{action}?{urlencode(data, doseq=True)}")
        return self._arrive(self.send("POST", action, data=data), action)

    def fetch(self, text: str) -> TestResponse:
        """Tap a button that answers with a file; the page stays."""
        button = self.page.button(text)
        assert button.form is not None, f"{text!r} stands in no form"
        return self.send("POST", button.form.action, data=delivered(button.form))

    def _arrive(self, response: TestResponse, path: str) -> Page:
        while response.status_code in (302, 303):
            path = urljoin(path, response.headers["Location"])
            if urlsplit(path).netloc not in ("", "localhost"):
                break
            response = self.send("GET", path)
        self.page = Page(response)
        self.path = path
        return self.page


def delivered(form: Form) -> dict[str, Any]:
    """What a form sends when nobody touches it: hidden and filled fields, and what is ticked in the delivered page."""
    data: dict[str, Any] = {}
    for entry in form.inputs:
        kind = entry.get("type", "text")
        if "name" not in entry or (kind in ("checkbox", "radio") and "checked" not in entry):
            continue
        if kind == "checkbox":
            data.setdefault(entry["name"], []).append(entry.get("value", ""))
        else:
            data[entry["name"]] = entry.get("value", "")
    return data


def answer_of(page: Page) -> dict[str, Any]:
    """What this page, or the redirect that it is, brings to the third party."""
    for form in page.forms.values():
        if form.action == REDIRECT_URI:
            assert form.method == "post"
            return delivered(form)
    addresses = [page.response.location] if page.response.location else [href for _words, href in page.links]
    found = [href for href in addresses if href.startswith(f"{REDIRECT_URI}?")]
    assert len(found) == 1, page.html
    return dict(parse_qsl(urlsplit(found[0]).query, strict_parsing=True))


def row_of(path: str) -> AuthorizationRequest:
    """The stored request behind the address of a consent page."""
    return db.session.get_one(AuthorizationRequest, path.split("/")[2])
