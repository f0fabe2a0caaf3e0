"""The site as readers see it: on a narrow screen, in the dark, and without the network."""

from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser

SHOWN = [
    "index",
    "tutorial",
    "from-regsync",
    "reference/manifest",
    "reference/commands",
    "reference/errors",
    "explanation/planning",
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_pages_fit_the_screen_and_ask_nobody(
    browser: Browser, site: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    for name in SHOWN:
        page.goto((site / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, background.strip("rgb()").split(","))) < 300) == (scheme == "dark"), (name, background)
    assert [url for url in asked if not url.startswith("file://")] == []
    assert faults == []


def test_the_address_of_an_error_shows_its_text(browser: Browser, site: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto((site / "reference/errors.html").as_uri())
    page.get_by_role("link", name="stale-plan", exact=True).first.click()
    assert page.url.endswith("#stale-plan")
    assert page.get_by_text("The saved plan was changed, or no longer fits.", exact=True).is_visible()
