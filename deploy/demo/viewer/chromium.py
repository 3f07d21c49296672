"""A page of Debian's Chromium without a window, driven by Playwright.

Playwright's own browser download is not used: the browser that the operating system keeps up to date is enough.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Error, Page, sync_playwright

from core.errors import StorageError

WIDTH_PX, HEIGHT_PX = 1600, 1000
TIMEOUT_S = 240.0  # per step; WebGL in software on a loaded machine takes minutes
# Where there is no graphics card, OpenGL in software computes WebGL alone: with the other parts of a page a study takes twice as long.
WEBGL_IN_SOFTWARE = ("--disable-gpu", "--enable-unsafe-swiftshader")


@contextmanager
def chromium_page(executable: str) -> Iterator[Page]:
    """Start Chromium and yield an empty page of `WIDTH_PX` by `HEIGHT_PX`; the browser ends with the block.

    Parameters
    ----------
    executable
        Path of Chromium or Chrome.

    Raises
    ------
    StorageError
        The browser did not start, or the page did not show in time what the block waited for.
    """
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=executable,
                # "chromium" selects the headless mode that is the full browser: the other one has no PDF viewer.
                channel="chromium",
                args=["--no-sandbox", "--no-proxy-server", "--disable-dev-shm-usage", *WEBGL_IN_SOFTWARE],
                # Ctrl-C in the terminal reaches the demo, which closes the browser itself.
                handle_sigint=False,
                handle_sigterm=False,
                handle_sighup=False,
            )
            try:
                page = browser.new_page(viewport={"width": WIDTH_PX, "height": HEIGHT_PX})
                page.set_default_timeout(TIMEOUT_S * 1000)
                yield page
            finally:
                browser.close()
    except Error as error:
        raise StorageError(f"Chromium: {error.message.splitlines()[0]}", hint="run again; see docs/viewers.md") from error
