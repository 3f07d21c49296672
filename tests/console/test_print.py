"""Pages on paper: black on white, with what names them, and without navigation, forms and buttons."""

from pathlib import Path

from playwright.sync_api import Browser, expect

from db.engine import Database
from tests.support.chromium import TIMEOUT_MS, sign_in
from tests.support.console import RunningConsole, add_users
from tests.support.records import Sender, claim, complete, finish, plan, scalar


def test_a_printed_page_says_what_it_is_and_has_nothing_to_press(database: Database, tmp_path: Path, chromium: Browser) -> None:
    Sender(database).send(1, patient_name="Doe^Jane")
    complete(database, plan())
    finish(database, claim(database))
    add_users(database)
    study = scalar(database, "SELECT id FROM studies")
    with RunningConsole(database, tmp_path) as console, chromium.new_page(base_url=console.url, color_scheme="dark") as page:
        sign_in(page, console.url, "admin")
        for path, heading in (("/audit/patient?patient_id=P1", "Access report of patient P1"), (f"/studies/{study}", "Doe, Jane")):
            page.goto(path)
            expect(page.locator(".bar nav")).to_be_visible(timeout=TIMEOUT_MS)
            page.emulate_media(media="print")
            expect(page.locator("h1")).to_have_text(heading, timeout=TIMEOUT_MS)
            expect(page.locator(".on-paper")).to_contain_text("TESTNODE, as of 20", timeout=TIMEOUT_MS)
            for pressed in (".bar nav", ".who", "button", "summary.button"):
                assert not [one for one in page.locator(pressed).all() if one.is_visible()], pressed
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
            assert page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(26, 33, 41)", "also from a dark screen"
            page.emulate_media(media="screen")
