"""Debian's Chromium without a window and without WebGL, which takes most of the processor where there is no graphics card."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

from tests.support import console as http_client
from tests.support.external_programs import tool

TIMEOUT_MS = 240_000
# Waits for two frames: what a page has asked for with ``requestAnimationFrame`` before is then drawn.
FRAMES_DRAWN = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))"
# Without the last two, Chromium starts OpenGL in software, and draws every page with it.
ARGUMENTS = ("--no-sandbox", "--no-proxy-server", "--disable-dev-shm-usage", "--disable-gpu", "--disable-software-rasterizer")


@contextmanager
def headless_chromium() -> Iterator[Browser]:
    """Start Chromium; it ends with the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=tool("chromium", "chromium"), channel="chromium", args=list(ARGUMENTS))
        yield browser
        browser.close()


def sign_in(page: Page, url: str, name: str) -> None:
    """Sign in to the console at ``url`` as one of the users of `add_users`, without the pages: Chromium gets the cookie of the session."""
    page.set_default_timeout(TIMEOUT_MS)
    with http_client.Browser(base_url=url, timeout=600) as client:
        assert client.sign_in(name).status_code == 303
        page.context.add_cookies([{"name": cookie.name, "value": str(cookie.value), "url": url} for cookie in client.cookies.jar])
