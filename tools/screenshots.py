"""Pictures of every kind of page, to be looked at: `make screenshots` writes them and an index.html to var/screenshots.

The pages are those of the tour (:mod:`tools.people`), each in three languages, at three widths, in light and dark.
``LANGUAGES=zh-CN WIDTHS=390 SCHEMES=light make screenshots`` takes fewer.
"""

import html
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Error, Page, sync_playwright

from tools import tour
from tools.people import visitors
from tools.picture import ARGUMENTS, CHROMIUM
from tools.processes import ROOT, DemonstrationError
from tools.stage import opened
from tools.tour import Visitor

FOLDER = ROOT / "var/screenshots"
LANGUAGES = os.environ.get("LANGUAGES", "zh-CN zh-HK en").split()
WIDTHS = [int(width) for width in os.environ.get("WIDTHS", "390 768 1280").split()]
SCHEMES: list[Literal["light", "dark"]] = [s for s in ("light", "dark") if s in os.environ.get("SCHEMES", "light dark")]
HEIGHT = 844
STYLE = """body { font: 14px system-ui, sans-serif; margin: 1rem; } section { margin-bottom: 2rem; }
nav { columns: 14rem; } .row { display: flex; gap: .5rem; overflow-x: auto; align-items: flex-start; }
figure { margin: 0; flex: none; }
img { height: 26rem; object-fit: cover; object-position: top; border: 1px solid #999; }
figcaption { color: #555; }"""


@dataclass(frozen=True)
class Picture:
    """One picture of one page."""

    who: str
    page: str
    language: str
    width: int
    scheme: str

    @property
    def place(self) -> str:
        """What names the page."""
        return f"{self.who}-{self.page}"

    @property
    def file(self) -> str:
        """What it is called in the folder."""
        return f"{self.place}.{self.language}.{self.width}.{self.scheme}.png"


def main() -> int:
    """The exit status: 0 when every page could be photographed."""
    began = time.monotonic()
    _say("Preparing a demonstration ...")
    try:
        with tempfile.TemporaryDirectory(prefix="dataspace-screenshots-") as folder, opened(Path(folder)) as stage:
            everybody = list(visitors(stage))
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
                pictures = list(take_all(browser, stage.origin, everybody))
                browser.close()
    except (DemonstrationError, Error) as error:
        _say(f"\n{error}")
        return 1
    (FOLDER / "index.html").write_text(index_of(pictures), "utf-8")
    index = (FOLDER / "index.html").relative_to(ROOT)
    _say(f"{len(pictures)} pictures in {time.monotonic() - began:.0f} s: {index}")
    return 0


def take_all(browser: Browser, origin: str, everybody: list[Visitor]) -> Iterator[Picture]:
    """Photograph every page of everybody, and say how far it is."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.png"):
        old.unlink()
    stops = [(visitor, name) for visitor in everybody for name in visitor.stops]
    for language in LANGUAGES:
        context = browser.new_context(locale=language, reduced_motion="reduce")
        tour.stay(context)
        page = context.new_page()
        for n, (visitor, name) in enumerate(stops, start=1):
            _say(f"  {language} {n}/{len(stops)} {visitor.who}-{name}")
            page.set_viewport_size({"width": WIDTHS[0], "height": HEIGHT})
            tour.visit(context, page, origin, visitor, visitor.stops[name])
            yield from _shoot(page, visitor.who, name, language)
        context.close()


def _shoot(page: Page, who: str, name: str, language: str) -> Iterator[Picture]:
    """The page that is open: every width in every scheme."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        # As tall as the page, for the bar at the lower edge would cover what is behind it.
        tall = int(page.evaluate("document.documentElement.scrollHeight"))
        page.set_viewport_size({"width": width, "height": max(tall, HEIGHT)})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            picture = Picture(who, name, language, width, scheme)
            page.screenshot(path=FOLDER / picture.file)
            yield picture


def index_of(pictures: list[Picture]) -> str:
    """A contact sheet: for each page one row with all its pictures, narrow ones first; a list of pages on top."""
    rows: dict[str, list[Picture]] = {}
    for picture in pictures:
        rows.setdefault(picture.place, []).append(picture)
    links = "".join(f'<a href="#{html.escape(place)}">{html.escape(place)}</a><br>' for place in rows)
    sections = "".join(
        f'<section id="{html.escape(place)}"><h2>{html.escape(place)}</h2><div class="row">'
        + "".join(_figure(picture) for picture in sorted(row, key=lambda p: (p.width, p.scheme == "dark")))
        + "</div></section>"
        for place, row in rows.items()
    )
    head = f'<meta charset="utf-8"><title>Pages</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en">{head}<nav>{links}</nav><main>{sections}</main></html>'


def _figure(picture: Picture) -> str:
    file = html.escape(picture.file)
    told = f"{picture.language} {picture.width} {picture.scheme}"
    return (
        f'<figure><a href="{file}"><img src="{file}" alt="{html.escape(told)}" loading="lazy"></a>'
        f"<figcaption>{html.escape(told)}</figcaption></figure>"
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
