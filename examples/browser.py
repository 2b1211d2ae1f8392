"""A browser without a screen: keeps cookies, follows redirects, fills in forms, performs passkey ceremonies.

It does what a person's browser does with the HTML alone, so a page that needs a script for anything but the passkey
ceremony does not work in it.
"""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from examples.authenticator import SoftAuthenticator

MAX_REFRESHES = 5
VOID = frozenset({"input", "meta", "link", "br", "img", "hr"})


class PageError(Exception):
    """The page has not what the person looks for."""


@dataclass
class Control:
    """A form control. ``chosen``: a tick, radio or option that is set as the page came."""

    kind: str  # the input's type, or button, textarea, select
    name: str
    value: str
    chosen: bool = False
    action: str = ""  # where a button sends the form instead
    label: str = ""  # the words on a button
    options: list[str] = field(default_factory=list)


@dataclass
class Form:
    """A form with every control that belongs to it, also those outside it that name it."""

    action: str
    method: str
    form_id: str
    controls: list[Control] = field(default_factory=list)

    def button(self, name: str, value: str) -> Control | None:
        """The button that sends ``name=value``, if the form has it."""
        return next((c for c in self.buttons if (c.name, c.value) == (name, value)), None)

    @property
    def buttons(self) -> list[Control]:
        """What submits the form."""
        return [c for c in self.controls if c.kind in ("button", "submit")]

    def data(self, pressed: Control | None, values: dict[str, Any]) -> dict[str, Any]:
        """What is sent: hidden and text fields as they came or as in ``values``, ticks and radios only when chosen."""
        sent: dict[str, Any] = {}
        for control in self.controls:
            if not control.name or control.kind in ("button", "submit") or control.name in values:
                continue
            if control.kind not in ("checkbox", "radio") or control.chosen:
                sent[control.name] = control.value
        sent |= values
        if pressed is not None and pressed.name:
            sent[pressed.name] = pressed.value
        return sent


@dataclass
class Page:
    """A page as it was answered. ``text``: all its words; ``main``: those of its main part."""

    url: str
    status: int
    html: str
    title: str
    text: str
    main: str
    forms: list[Form]
    links: list[tuple[str, str]]
    ceremony: dict[str, str]
    refresh: str
    preformatted: list[str]

    @property
    def path(self) -> str:
        """The path of its address."""
        return urlsplit(self.url).path

    def form(self, action: str) -> Form:
        """The form whose action matches a pattern. Raises PageError."""
        for form in self.forms:
            if re.search(action, form.action):
                return form
        raise PageError(f"no form to {action} on {self.path} ({self.status} {self.title})")

    def form_with(self, name: str, value: str) -> Form | None:
        """The form that a button sending ``name=value`` submits."""
        return next((f for f in self.forms if f.button(name, value)), None)

    def link(self, pattern: str) -> str:
        """The address of the first link whose target or words match. Raises PageError."""
        for target, words in self.links:
            if re.search(pattern, target) or re.search(pattern, words):
                return target
        raise PageError(f"no link {pattern} on {self.path} ({self.status} {self.title})")


class Browser:
    """One person's browser, with the person's authenticator in it."""

    def __init__(self, language: str = "zh-CN") -> None:
        headers = {"Accept": "text/html,application/xhtml+xml", "Accept-Language": language}
        self.http = httpx.Client(headers=headers, follow_redirects=True, timeout=20)
        self.authenticator = SoftAuthenticator()
        self.page: Page = _parse("about:blank", 0, "")

    def open(self, url: str) -> Page:
        """Go to an address, absolute or relative to the present page."""
        return self._show(self.http.get(urljoin(self.page.url, url)))

    def download(self, url: str) -> bytes:
        """A file, while the page stays. Raises httpx.HTTPStatusError."""
        return self.http.get(urljoin(self.page.url, url)).raise_for_status().content

    def click(self, pattern: str) -> Page:
        """Follow a link."""
        return self.open(self.page.link(pattern))

    def submit(self, form: Form, press: tuple[str, str] | None = None, **values: Any) -> Page:
        """Send a form by one of its buttons: the one that sends ``press``, or its first. Raises PageError."""
        pressed = form.button(*press) if press else next(iter(form.buttons), None)
        if press and pressed is None:
            raise PageError(f"no button {press[0]}={press[1]} on {self.page.path}")
        url = urljoin(self.page.url, (pressed.action if pressed else "") or form.action)
        data = form.data(pressed, values)
        if form.method == "get":
            return self._show(self.http.get(url, params=data))
        return self._show(self.http.post(url, data=data))

    def passkey(self) -> Page:
        """Do what the page's script does: begin, ask the authenticator, send its answer. Raises PageError."""
        wanted = self.page.ceremony
        if not wanted:
            raise PageError(f"no passkey is asked for on {self.page.path} ({self.page.status} {self.page.title})")
        begun = self._post_json(wanted["data-options"], {})
        parts = urlsplit(self.page.url)
        act = self.authenticator.create if wanted["data-ceremony"] == "create" else self.authenticator.get
        credential = act(begun["publicKey"], f"{parts.scheme}://{parts.netloc}")
        done = self._post_json(wanted["data-verify"], {"ceremony": begun["ceremony"], "credential": credential})
        return self.open(done["next"])

    def _post_json(self, url: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Accept": "application/json", "X-CSRFToken": self.page.ceremony["data-csrf"]}
        response = self.http.post(urljoin(self.page.url, url), json=body, headers=headers)
        if response.status_code != 200:
            raise PageError(f"{url} answered {response.status_code}: {response.text[:200]}")
        return dict(response.json())

    def _show(self, response: httpx.Response) -> Page:
        for _ in range(MAX_REFRESHES):
            self.page = _parse(str(response.url), response.status_code, response.text)
            if not self.page.refresh:
                break
            response = self.http.get(urljoin(self.page.url, self.page.refresh))
        return self.page


class _Reader(HTMLParser):
    """Collects forms, links, words and the passkey ceremony of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[Form] = []
        self.links: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.title = ""
        self.main = ""
        self.ceremony: dict[str, str] = {}
        self.refresh = ""
        self.preformatted: list[str] = []
        self.outside: list[tuple[str, Control]] = []
        self._open: list[tuple[str, int]] = []
        self._form: Form | None = None
        self._control: Control | None = None
        self._button: Control | None = None
        self._link = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if "data-ceremony" in found:
            self.ceremony = found
        if tag not in VOID:
            self._open.append((tag, len(self.words)))
        handler = getattr(self, f"_start_{tag}", None)
        if handler:
            handler(found)

    def handle_endtag(self, tag: str) -> None:
        while self._open:
            opened, start = self._open.pop()
            if opened == tag:
                self._end(tag, start)
                return

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1][0] not in ("script", "style"):
            self.words.append(data)

    def _end(self, tag: str, start: int) -> None:
        said = "".join(self.words[start:])
        if tag == "form":
            self._form = None
        elif tag == "title":
            self.title = " ".join(said.split())
        elif tag == "main":
            self.main = " ".join(said.split())
        elif tag == "pre":
            self.preformatted.append(said)
        elif tag == "a":
            self.links.append((self._link, " ".join(said.split())))
        elif tag == "button" and self._button is not None:
            self._button.label = " ".join(said.split())
        elif tag == "textarea" and self._control is not None:
            self._control.value = said

    def _start_form(self, found: dict[str, str]) -> None:
        self._form = Form(found.get("action", ""), found.get("method", "get").lower(), found.get("id", ""))
        self.forms.append(self._form)

    def _start_a(self, found: dict[str, str]) -> None:
        self._link = found.get("href", "")

    def _start_meta(self, found: dict[str, str]) -> None:
        if found.get("http-equiv", "").lower() == "refresh":
            self.refresh = found.get("content", "").partition("url=")[2].strip(" '\"")

    def _start_input(self, found: dict[str, str]) -> None:
        kind = found.get("type", "text").lower()
        default = "on" if kind in ("checkbox", "radio") else ""
        self._add(found, Control(kind, found.get("name", ""), found.get("value", default), "checked" in found))

    def _start_button(self, found: dict[str, str]) -> None:
        control = Control("button", found.get("name", ""), found.get("value", ""), action=found.get("formaction", ""))
        self._button = control
        if found.get("type", "submit") == "submit" and "disabled" not in found:
            self._add(found, control)

    def _start_textarea(self, found: dict[str, str]) -> None:
        self._control = Control("textarea", found.get("name", ""), "")
        self._add(found, self._control)

    def _start_select(self, found: dict[str, str]) -> None:
        self._control = Control("select", found.get("name", ""), "")
        self._add(found, self._control)

    def _start_option(self, found: dict[str, str]) -> None:
        if self._control is not None:
            value = found.get("value", "")
            if "selected" in found or not self._control.options:
                self._control.value = value  # a browser shows the first option when none is selected
            self._control.options.append(value)

    def _add(self, found: dict[str, str], control: Control) -> None:
        if "form" in found:
            self.outside.append((found["form"], control))
        elif self._form is not None:
            self._form.controls.append(control)


def _parse(url: str, status: int, html: str) -> Page:
    reader = _Reader()
    reader.feed(html)
    for form_id, control in reader.outside:
        for form in reader.forms:
            if form.form_id == form_id:
                form.controls.append(control)
    return Page(
        url=url,
        status=status,
        html=html,
        title=reader.title,
        text=" ".join("".join(reader.words).split()),
        main=reader.main,
        forms=reader.forms,
        links=reader.links,
        ceremony=reader.ceremony,
        refresh=reader.refresh,
        preformatted=reader.preformatted,
    )
