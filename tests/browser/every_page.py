"""Every page that the service has, looked at in Chromium: by axe-core, with the keyboard, for what sticks out.

The pages are the stops of the tour (tools/people.py), which tests/test_screenshots.py keeps complete.
"""

import re
from pathlib import Path
from typing import Any, Literal

from flask import template_rendered
from playwright.sync_api import Browser, ConsoleMessage, Page

from tests.browser.phone import serious
from tools import tour
from tools.people import visitors
from tools.stage import Stage

TEMPLATES = Path(__file__).parent.parent.parent / "templates"
FOR_DEVELOPERS = {"gallery"}  # folders
IN_A_FILE = {"archive/overview.html"}  # part of the archive that a holder takes out
PART = re.compile(r"{%-?\s*(?:extends|import|include|from) '([^']+)'")
UNFOLD = "document.querySelectorAll('details').forEach(folded => { folded.open = true; })"
# Keys, not the mouse, have moved the focus: then a script's focus shows as a person's would.
UNSEEN_FOCUS = """() => {
  const all = [...document.querySelectorAll('a[href], button, summary, input, select, textarea, [tabindex="0"]')];
  const usable = all.filter(e => !e.disabled && e.type !== 'hidden' && e.checkVisibility({visibilityProperty: true}));
  return usable.filter(e => {
    e.focus();
    const style = getComputedStyle(e);
    return document.activeElement !== e || style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2;
  }).map(e => e.outerHTML.slice(0, 100));
}"""
FIRST_FOCUS = "document.activeElement.className + ' ' + document.activeElement.getAttribute('href')"
WIDE = "document.documentElement.scrollWidth > innerWidth"
HEADINGS = "document.querySelectorAll('h1').length"


def look_at_all(stage: Stage, chromium: Browser, locale: str, scheme: Literal["light", "dark"], width: int) -> None:
    """Nothing serious on any page, and no template that nobody has seen."""
    everybody = list(visitors(stage))
    rendered: set[str] = set()
    found: dict[str, list[str]] = {}

    def hear(_app: object, template: Any, **_more: object) -> None:
        rendered.add(template.name)

    size = {"width": width, "height": 844}
    context = chromium.new_context(locale=locale, color_scheme=scheme, viewport=size, reduced_motion="reduce")  # type: ignore[arg-type]
    tour.stay(context)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.extend(_complaint(message)))
    page.on("pageerror", lambda error: said.append(str(error)))
    with template_rendered.connected_to(hear):
        for visitor in everybody:
            for name, stop in visitor.stops.items():
                said.clear()
                tour.visit(context, page, stage.origin, visitor, stop)
                page.evaluate(UNFOLD)
                if problems := [*said, *serious(page), *keyboard(page), *shape(page)]:
                    found[f"{visitor.who}-{name}"] = problems
    context.close()
    assert found == {}
    assert pages() - rendered == set()
    print(f"\n{sum(len(v.stops) for v in everybody)} pages, {locale} {scheme} {width} px: nothing serious")


def pages() -> set[str]:
    """The templates that are pages of their own, and not a part or a frame of others."""
    every = {str(file.relative_to(TEMPLATES)): file.read_text("utf-8") for file in TEMPLATES.rglob("*.html")}
    used = {
        name
        for text in every.values()
        for name in re.findall(r"{%-?\s*(?:extends|import|include|from) '([^']+)'", text)
    }
    return {name for name in every if name.partition("/")[0] not in FOR_DEVELOPERS} - used - IN_A_FILE


def keyboard(page: Page) -> list[str]:
    """The first key leads to the skip link; everything that can be used takes the focus and shows it.

    That the order is the one of the page, axe-core sees (its rule ``tabindex``).
    """
    page.keyboard.press("Tab")
    first = str(page.evaluate(FIRST_FOCUS))
    problems = [] if first == "skip #content" else [f"first focus: {first}"]
    return problems + [f"focus is not seen: {html}" for html in page.evaluate(UNSEEN_FOCUS)]


def shape(page: Page) -> list[str]:
    """One heading of the first level, nothing wider than the screen."""
    problems = ["wider than the screen"] if page.evaluate(WIDE) else []
    return problems if page.evaluate(HEADINGS) == 1 else [*problems, f"{page.evaluate(HEADINGS)} h1"]


def _complaint(message: ConsoleMessage) -> list[str]:
    """What a console says that is no news: a page that refuses something is reported as a failed resource."""
    refused = "Failed to load resource" in message.text
    return [] if message.type != "error" or refused else [message.text]
