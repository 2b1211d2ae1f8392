"""Every page that the service has, looked at in Chromium on a phone; on a large screen in a file of its own."""

import pytest
from playwright.sync_api import Browser

from tests.browser.every_page import keyboard, look_at_all, shape
from tests.browser.phone import serious
from tools.stage import Stage

pytestmark = pytest.mark.browser


def test_nothing_serious_on_any_page(stage: Stage, chromium: Browser) -> None:
    look_at_all(stage, chromium, "zh-CN", "light", 390)


def test_what_is_wrong_would_be_found(chromium: Browser) -> None:
    page = chromium.new_page()
    page.set_content("""<!doctype html><html lang="en"><title>A page</title>
      <style>.bare:focus { outline: none; } .wide { width: 3000px; }</style>
      <a class="bare" href="/">Home</a><main><h1>A page</h1><img class="wide" src="x"><button tabindex="1">Go</button>
      <h1>Another</h1></main>""")
    assert [problem.partition(":")[0] for problem in serious(page)] == ["image-alt", "tabindex"]
    assert [problem.partition(":")[0] for problem in keyboard(page)] == ["first focus", *2 * ["focus is not seen"]]
    assert shape(page) == ["wider than the screen", "2 h1"]
    page.close()
