"""A page of a viewer in Chromium that counts what it was told, and that a test can put out of sight."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, Route

from db.engine import Database
from db.notify import notify
from tests.support.chromium import sign_in
from tests.support.console import RunningConsole, add_users

# Counts the events that the page was told, and lets a test say that the page is out of sight.
_OBSERVED = """
    window.told = 0; window.outOfSight = false;
    Object.defineProperty(document, "hidden", { get: () => window.outOfSight });
    window.EventSource = class extends EventSource {
        constructor(path) { super(path); this.addEventListener("message", () => { window.told++; }); }
    };
"""


@contextmanager
def viewer_page(database: Database, folder: Path, chromium: Browser) -> Iterator[Page]:
    """Run a console and yield a page of the browser in which a viewer is signed in."""
    add_users(database)
    # bypass_csp: `wait_for_function` evaluates text.
    with RunningConsole(database, folder) as console, chromium.new_page(base_url=console.url, bypass_csp=True) as page:
        page.add_init_script(_OBSERVED)
        sign_in(page, console.url, "viewer")
        yield page


def announce_change(database: Database) -> None:
    """Tell open pages that an instance was received."""
    with database.begin() as connection:
        notify(connection, "intake")


def refuse_first(page: Page, address: str) -> list[str]:
    """Answer the first request of ``page`` for ``address`` with 503, and let the others through. Returns the URL refused, once it was."""
    refused: list[str] = []

    def refuse_once(route: Route) -> None:
        if refused:
            route.continue_()
            return
        refused.append(route.request.url)
        route.fulfill(status=503)

    page.route(address, refuse_once)
    return refused
