"""The tour of the pages, which `make screenshots` photographs and the browser tests look at: nothing is left out."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from flask import Flask
from werkzeug.exceptions import NotFound

from tools.people import visitors
from tools.screenshots import Picture, index_of
from tools.stage import Stage, opened
from tools.tour import NO_PAGE


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with opened(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


def rules(app: Flask) -> set[str]:
    """The endpoints that a browser can open."""
    return {rule.endpoint for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}


def test_every_page_is_looked_at_or_there_is_a_reason(stage: Stage) -> None:
    adapter = stage.app.url_map.bind("localhost")
    seen, missing = set(), []
    for visitor in visitors(stage):
        for stop in visitor.stops.values():
            try:
                seen.add(adapter.match(urlsplit(stop.path).path, method="GET")[0])
            except NotFound:
                missing.append(stop.path)
    assert missing == ["/no-such-page"]
    assert rules(stage.app) - seen - set(NO_PAGE) == set()
    assert set(NO_PAGE) & seen == set()
    assert set(NO_PAGE) - rules(stage.app) == set()


def test_the_contact_sheet_shows_every_picture_once_and_names_every_page() -> None:
    pictures = [
        Picture("citizen", page, language, width, scheme)
        for language in ("zh-CN", "en")
        for page in ("home", "data")
        for width in (1280, 390)
        for scheme in ("light", "dark")
    ]
    sheet = index_of(pictures)
    assert all(sheet.count(f'src="{picture.file}"') == 1 for picture in pictures)
    assert sheet.count('href="#citizen-home"') == 1
    row = sheet.partition('<section id="citizen-home">')[2].partition("</section>")[0]
    assert row.count("<figure>") == 8
    assert row.index("zh-CN 390 light") < row.index("zh-CN 390 dark") < row.index("zh-CN 1280 light")
