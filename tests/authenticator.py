"""A person at a browser with a passkey device: real ceremonies through the Flask test client."""

import re
from typing import Any
from urllib.parse import urlencode

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from dataspace import clock, passkeys
from dataspace.db import db
from dataspace.holders import Holder
from examples.authenticator import Knobs, SoftAuthenticator

ORIGIN = "http://localhost:8000"
CSRF = re.compile(r'name="csrf_token" value="([^"]+)"')


class Browser:
    """One browser (its cookies are the client's) and one device."""

    def __init__(self, client: FlaskClient, device: SoftAuthenticator | None = None, origin: str = ORIGIN) -> None:
        self.client = client
        self.device = device or SoftAuthenticator()
        self.origin = origin

    def send(self, method: str, path: str, **how: Any) -> TestResponse:
        """One request, in an application context of its own: the test's would lend it ``g`` and the open session."""
        with self.client.application.app_context():
            return self.client.open(path, method=method, **how)

    def get(self, path: str, **query: str) -> TestResponse:
        """A page."""
        return self.send("GET", path, query_string=query, headers={"Accept": "text/html"})

    def get_json(self, path: str, **query: str) -> TestResponse:
        """What a program gets at the same address."""
        return self.send("GET", path, query_string=query, headers={"Accept": "application/json"})

    def csrf(self) -> str:
        """The token of this session, from the sign-in page."""
        found = CSRF.search(self.get("/signin").text)
        assert found
        return found[1]

    def post(self, path: str, **fields: str) -> TestResponse:
        """Send a form, as the page would."""
        return self.send("POST", path, data={"csrf_token": self.csrf(), **fields}, headers={"Accept": "text/html"})

    def post_json(self, path: str, body: object = None, **query: str) -> TestResponse:
        """Send JSON, as the page's script would."""
        headers = {"Accept": "application/json", "X-CSRFToken": self.csrf()}
        return self.send("POST", path, json={} if body is None else body, query_string=query, headers=headers)

    def make(self, path: str, knobs: Knobs | None = None, **query: str) -> TestResponse:
        """A registration ceremony under ``path`` (/enrol or /passkeys); the answer of its verification."""
        begun = self.post_json(f"{path}/options").get_json()
        made = self.device.create(begun["publicKey"], self.origin, knobs)
        return self.post_json(f"{path}/verify", {"ceremony": begun["ceremony"], "credential": made}, **query)

    def enrol(self, code: str, knobs: Knobs | None = None, **query: str) -> TestResponse:
        """Enter a code and make a passkey with it; the person is signed in afterwards."""
        entered = self.post("/enrol", code=code)
        assert entered.status_code == 303, entered.text
        return self.make("/enrol", knobs, **query)

    def begin(self) -> dict[str, Any]:
        """The challenge of a sign-in."""
        begun: dict[str, Any] = self.post_json("/signin/options").get_json()
        return begun

    def answer(self, begun: dict[str, Any], credential: object, **query: str) -> TestResponse:
        """Send the authenticator's answer to a challenge."""
        return self.post_json("/signin/verify", {"ceremony": begun["ceremony"], "credential": credential}, **query)

    def sign_in(self, knobs: Knobs | None = None, **query: str) -> TestResponse:
        """A whole sign-in; the answer of its verification."""
        begun = self.begin()
        return self.answer(begun, self.device.get(begun["publicKey"], self.origin, knobs), **query)

    def sign_out(self) -> TestResponse:
        """Sign out."""
        return self.post("/signout")


def enrolled(client: FlaskClient, person: Holder) -> Browser:
    """A browser whose person has a passkey and is signed in with it, acting as self."""
    code = passkeys.issue_enrolment_code(person, clock.now())
    db.session.commit()
    browser = Browser(client)
    assert browser.enrol(code).status_code == 200
    return browser


def path(base: str, **query: str) -> str:
    """A path with its query."""
    return f"{base}?{urlencode(query, safe='/?')}"
