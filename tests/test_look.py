"""The look: every part renders, the stylesheet is whole, colours can be read, pages stay free of inline code.

Contrast is computed from the tokens as WCAG 2.2 defines it (relative luminance, 1.4.3: text 4.5, 1.4.11: controls 3).
"""

import datetime as dt
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from flask import Flask, render_template
from playwright.sync_api import Browser, Page, Route, ViewportSize

from tests.browser.phone import serious

pytestmark = pytest.mark.wire

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
PARTS = [ROOT / f"templates/parts/{name}.html" for name in ("icon", "who", "items", "forms", "lists")]
ICONS = sorted((ROOT / "templates/icons").glob("*.svg"))
STYLE = (ROOT / "static/style.css").read_text(encoding="utf-8")
RULES = re.sub(r"/\*.*?\*/", "", STYLE, flags=re.S)
AT = dt.datetime(2026, 11, 20, 9, 12, tzinfo=dt.UTC)
PEOPLE: dict[str, dict[str, Any]] = {
    "citizen": {"actor": SimpleNamespace(capacity="self"), "actor_name": "陈嘉怡", "holder_name": "陈嘉怡"},
    "business": {
        "actor": SimpleNamespace(capacity="legal_representative"),
        "actor_name": "李伟强",
        "holder_name": "粤海明珠电子(示例)有限公司",
        "switch_url": "/",
    },
    "admin": {"actor": SimpleNamespace(capacity="administrator"), "actor_name": "林管理", "holder_name": ""},
    "nobody": {"actor": None},
}
PAGES = ["index", "consent", "step", "admin"]


def gallery(app: Flask, page: str, who: str, *, opened: bool = False) -> str:
    """One development page of the gallery, as ``who`` sees it."""
    with app.test_request_context("/", headers={"Accept-Language": "zh-CN"}):
        return render_template(f"gallery/{page}.html", at=AT, open=opened, face=None, **PEOPLE[who])


class Elements(HTMLParser):
    """Collects (tag, attributes) of every element."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def classes(self) -> set[str]:
        return {name for _tag, attrs in self.found for name in (attrs.get("class") or "").split()}


# The parts


def test_every_macro_is_offered_under_one_name_and_shown_in_the_gallery() -> None:
    written = {
        name
        for file in PARTS
        for name in re.findall(r"\{%-? macro (\w+)\(", file.read_text(encoding="utf-8"))
        if not name.startswith("field_")  # pieces of the fields
    }
    index = (ROOT / "templates/parts/index.html").read_text(encoding="utf-8")
    offered = {name.strip() for line in re.findall(r"set ([\w, ]+) =", index) for name in line.split(",")}
    assert offered == written
    shown = "".join(
        file.read_text(encoding="utf-8")
        for file in [*(ROOT / "templates/gallery").glob("*"), ROOT / "templates/base.html"]
    )
    assert {name for name in written if f"part.{name}(" not in shown} == set()


def test_every_macro_says_its_arguments() -> None:
    for file in PARTS:
        text = file.read_text(encoding="utf-8")
        comments = " ".join(re.findall(r"\{#.*?#\}", text, flags=re.S))
        for name in re.findall(r"\{%-? macro (\w+)\(", text):
            assert f"{name}(" in comments or name.startswith("field_"), (file.name, name)


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("page", PAGES)
def test_gallery_renders_and_uses_no_unknown_class(app: Flask, page: str, who: str) -> None:
    used = Elements(gallery(app, page, who, opened=True)).classes()
    known = set(re.findall(r"\.([a-z][\w-]*)", RULES))
    assert used - known <= {"info", "quiet"}  # the tones that need no rule of their own
    assert len(gallery(app, page, who).encode()) + len(STYLE.encode()) < 100_000


@pytest.mark.parametrize(
    ("who", "words"),
    [
        ("citizen", ["陈嘉怡", 'face="citizen"']),
        ("business", ["粤海明珠电子(示例)有限公司", "李伟强", 'face="business"']),
        ("admin", ["林管理", 'face="admin"']),
        ("nobody", ["数字空间授权服务", 'face="citizen"']),
    ],
)
def test_the_top_bar_says_for_whom(app: Flask, who: str, words: list[str]) -> None:
    page = gallery(app, "index", who)
    top = page[page.index("<html") : page.index("</header>")]
    for word in words:
        assert word in top


def test_names_are_escaped(app: Flask) -> None:
    with app.test_request_context("/"):
        actor = SimpleNamespace(capacity="mandate")
        page = render_template("base.html", actor=actor, actor_name="<i>a</i>", holder_name="<b>b</b>")
    assert "<i>" not in page
    assert "<b>" not in page
    assert "&lt;b&gt;b&lt;/b&gt;" in page


def test_navigation_gives_way_to_a_bottom_bar(app: Flask) -> None:
    with app.test_request_context("/"):
        page = render_template("base.html", endpoints={"shell.health"}, **PEOPLE["citizen"])
    assert "main-nav" not in page  # none of its places exists
    assert "main-nav" not in gallery(app, "consent", "citizen")
    assert "main-nav" not in gallery(app, "index", "nobody")


def test_nothing_is_chosen_beforehand_and_both_choices_are_equals(app: Flask) -> None:
    elements = Elements(gallery(app, "consent", "citizen", opened=True)).found
    assert not [attrs for _tag, attrs in elements if "checked" in attrs or "selected" in attrs]
    pair = [attrs for tag, attrs in elements if tag == "button" and attrs.get("name") == "decision"]
    assert [(b["value"], b["form"]) for b in pair] == [("refuse", "decision"), ("agree", "decision")]
    # Enter in a tick box must not press the first of them (HTML 4.10.21.2: a disabled default button sends nothing).
    first = next(attrs for tag, attrs in elements if tag == "button" and "disabled" in attrs)
    assert "hidden" in first


def test_choices_are_restored_when_asked(app: Flask) -> None:
    with app.test_request_context("/"):
        parts = app.jinja_env.get_template("parts/index.html").module
        chips = parts.duration_chips("d", [(1, "a"), (7, "b")], "legend", chosen=7)  # type: ignore[attr-defined]
        row = parts.item_row("x", necessity="optional", name="item", value="i", checked=True)  # type: ignore[attr-defined]
    assert [a["value"] for _t, a in Elements(chips).found if "checked" in a] == ["7"]
    assert [a["value"] for _t, a in Elements(row).found if "checked" in a] == ["i"]


def test_error_page_says_that_nothing_was_given_and_has_a_reference(app: Flask) -> None:
    answer = app.test_client().get("/no-such-page", headers={"Accept": "text/html", "Accept-Language": "en"})
    assert answer.status_code == 404
    assert "Nothing was given or changed." in answer.text
    assert answer.headers["X-Request-Id"] in answer.text
    assert "http_404" not in answer.text


@pytest.mark.parametrize("host", ["..", "a" * 300])
def test_a_host_that_cannot_be_one_is_refused_without_a_page(app: Flask, host: str) -> None:
    answer = app.test_client().get("/signin", headers={"Accept": "text/html", "Host": host})
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")


# The templates


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_no_inline_style_script_or_handler(file: Path) -> None:
    text = re.sub(r"\{#.*?#\}", "", file.read_text(encoding="utf-8"), flags=re.S)
    assert not re.search(r"<style|\sstyle\s*=|\son[a-z]+\s*=\s*[\"']|javascript:", text, flags=re.I)
    for script in re.findall(r"<script\b[^>]*>", text, flags=re.I):
        assert "src=" in script


@pytest.mark.parametrize("file", ICONS, ids=lambda file: file.stem)
def test_icons_are_hidden_from_screen_readers_and_take_the_colour_of_the_text(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert 'aria-hidden="true"' in text
    assert 'stroke="currentColor"' in text
    assert not re.search(r"style|script|http", text)
    assert len(text) < 700
    assert re.search(rf"\b{file.stem}\b", (ROOT / "templates/parts/icon.html").read_text(encoding="utf-8"))


# The stylesheet


def tokens(selector: str, *, dark: bool) -> dict[str, str]:
    """The custom properties that a rule sets, in the ground scheme or inside the dark one."""
    night = RULES.index("@media (prefers-color-scheme: dark)")
    end = RULES.index("\n}", night)
    text = RULES[night:end] if dark else RULES[:night]
    found = re.search(re.escape(selector) + r"\s*\{(.*?)\}", text, flags=re.S)
    return dict(re.findall(r"(--[\w-]+):\s*([^;]+);", found.group(1))) if found else {}


def face_tokens(face: str, scheme: str) -> dict[str, str]:
    """All tokens of a face as the cascade leaves them; rules of the dark scheme come last and so win."""
    names = [":root"] if face == "citizen" else [":root", f'[face="{face}"]']
    found: dict[str, str] = {}
    for dark in (False, True) if scheme == "dark" else (False,):
        for name in names:
            found |= tokens(name, dark=dark)
    return found


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb`` (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


TEXT_PAIRS = [
    *[(text, ground) for text in ("ink", "muted", "accent", "danger") for ground in ("paper", "sheet")],
    *[("ink", f"{tone}-soft") for tone in ("accent", "good", "caution", "danger")],
    *[(tone, f"{tone}-soft") for tone in ("accent", "good", "caution", "danger")],
    *[("good", "sheet"), ("caution", "sheet"), ("muted", "line"), ("ink", "line"), ("muted", "accent-soft")],
    *[("on-accent", "accent"), ("on-slate", "slate"), ("on-danger", "danger"), ("on-bar", "bar")],
]
CONTROL_PAIRS = [("edge", "paper"), ("edge", "sheet"), ("accent", "paper"), ("accent", "line")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("face", ["citizen", "business", "admin"])
def test_contrast(face: str, scheme: str) -> None:
    token = face_tokens(face, scheme)
    weak = {
        pair: round(contrast(token[f"--{pair[0]}"], token[f"--{pair[1]}"]), 2)
        for pairs, least in ((TEXT_PAIRS, 4.5), (CONTROL_PAIRS, 3))
        for pair in pairs
        if contrast(token[f"--{pair[0]}"], token[f"--{pair[1]}"]) < least
    }
    assert weak == {}
    # Refusing and agreeing weigh the same: neither button is much darker or lighter than the other.
    assert contrast(token["--slate"], token["--accent"]) < 1.5


def test_stylesheet_knows_every_property_it_uses_and_uses_every_one_it_knows() -> None:
    defined = set(re.findall(r"(--[\w-]+)\s*:", RULES))
    used = set(re.findall(r"var\(\s*(--[\w-]+)", RULES))
    assert used == defined


def test_stylesheet_is_small_and_complete_in_itself() -> None:
    assert len(STYLE.encode()) < 30_000
    assert RULES.count("{") == RULES.count("}")
    assert not re.search(r"@import|url\(|!important", RULES)
    for wish in ("prefers-reduced-motion", "prefers-color-scheme: dark", "@media print", ":focus-visible"):
        assert wish in RULES


# In a browser

VISITS = [("index", "citizen"), ("index", "business"), ("consent", "business"), ("step", "citizen"), ("admin", "admin")]


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (195, "light"), (1280, "light")])
def test_axe_finds_nothing_serious_and_nothing_overflows(
    app: Flask, chromium: Browser, width: int, scheme: Literal["light", "dark"]
) -> None:
    """195 px stands for 390 px with text at 200 %."""
    size = ViewportSize(width=width, height=844)
    page = chromium.new_page(viewport=size, color_scheme=scheme, reduced_motion="reduce")
    page.route("**/*", lambda route: answer(app, route))
    for name, who in VISITS:
        page.goto(f"http://gallery.test/{name}/{who}")
        assert faults(page) == [], (name, who)
    page.close()


def answer(app: Flask, route: Route) -> None:
    """Answer the browser from the application, without a socket."""
    _scheme, _, _host, first, second = route.request.url.split("/", 4)
    if first == "static":
        route.fulfill(path=ROOT / "static" / second)
    else:
        route.fulfill(body=gallery(app, first, second, opened=True), content_type="text/html; charset=utf-8")


SMALL_TARGETS = """() => [...document.querySelectorAll('a, button, summary, select, input:not([type=hidden])')]
  .map(e => [e, (e.closest('label') || e).getBoundingClientRect()])
  .filter(([e, box]) => box.height > 0 && box.height < 43.5 && !e.closest('p, td, th, .skip'))
  .map(([e]) => e.outerHTML.slice(0, 100))"""


def faults(page: Page) -> list[str]:
    """What axe-core calls serious or critical, sideways scrolling, and targets lower than 44 px."""
    problems = serious(page)
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        problems.append("scrolls sideways")
    return problems + [f"small: {html}" for html in page.evaluate(SMALL_TARGETS)]
