"""Every page that the service has, looked at in Chromium on a large screen in the dark.

It takes as long as on a phone: two files, so that two browsers look at once.
"""

import pytest
from playwright.sync_api import Browser

from tests.browser.every_page import look_at_all
from tools.stage import Stage

pytestmark = pytest.mark.browser


def test_nothing_serious_on_any_page(stage: Stage, chromium: Browser) -> None:
    look_at_all(stage, chromium, "en", "dark", 1280)
