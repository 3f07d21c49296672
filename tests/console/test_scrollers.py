"""Tables are stops of the Tab key only while they are wider than their place."""

from pathlib import Path

from playwright.sync_api import Browser

from db.engine import Database
from tests.support.chromium import sign_in
from tests.support.console import RunningConsole, add_users
from tests.support.records import Sender, complete, run

STOPS = "[...document.querySelectorAll('.scroll')].map((box) => [box.tabIndex === 0, box.scrollWidth > box.clientWidth + 1])"


def test_a_table_that_fits_is_no_stop_of_the_tab_key(database: Database, tmp_path: Path, chromium: Browser) -> None:
    Sender(database).send(1, series_description="x" * 60)
    complete(database, reason="no route takes it")
    run(database, "UPDATE units SET outcome = 'not_analysed'")
    add_users(database)
    with RunningConsole(database, tmp_path) as console, chromium.new_page(base_url=console.url, bypass_csp=True) as page:
        sign_in(page, console.url, "operator")
        for width, wide in ((1440, False), (700, True)):
            page.set_viewport_size({"width": width, "height": 800})
            page.goto("/operations")
            page.wait_for_function(f"({STOPS}).every(([stop, wide]) => stop === wide)")
            assert any(stop for stop, _ in page.evaluate(STOPS)) == wide
        page.set_viewport_size({"width": 1440, "height": 800})
        page.wait_for_function(f"({STOPS}).every(([stop]) => !stop)")
