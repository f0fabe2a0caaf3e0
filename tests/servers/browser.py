"""Chromium without a window: opens pages as their readers do."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.servers.process import program

_ARGUMENTS = (
    "--no-sandbox",  # the tests run as root
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-gpu",
    "--no-first-run",
)


@pytest.fixture
def browser() -> Iterator[Browser]:
    """A browser that nothing has been open in.

    One for each test: Playwright's loop would be in the way of tests that run one of their own.
    """
    chromium = program("chromium", package="chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=list(_ARGUMENTS))
        try:
            yield started
        finally:
            started.close()
