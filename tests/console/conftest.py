"""A browser that the tests of a module share: each takes a page of its own, whose cookies no other page has."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.chromium import headless_chromium


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium without a window."""
    with headless_chromium() as browser:
        yield browser
