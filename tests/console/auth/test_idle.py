"""The idle time of a session: what people do ends it, and requests that open pages make by themselves do not."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from db.engine import Database
from tests.support.chromium import TIMEOUT_MS
from tests.support.console import RunningConsole
from tests.support.live_page import announce_change, viewer_page
from tests.support.records import Sender, complete, plan, run, scalar
from tests.support.send_role import wait_for

BY_ITSELF = ("/worklist", "/status", "/operations", "/operations/commands", "/studies/1/state", "/account/session")


def _pass_ten_minutes(database: Database) -> None:
    run(database, "UPDATE sessions SET last_seen_at = node_now() - interval '10 minutes'")


def _used(database: Database) -> bool:
    return bool(scalar(database, "SELECT last_seen_at > node_now() - interval '5 minutes' FROM sessions"))


def test_a_request_of_a_script_leaves_the_idle_time_and_one_of_a_person_ends_it(console: RunningConsole, database: Database) -> None:
    with console.browser("admin") as browser:
        for path in BY_ITSELF:
            _pass_ten_minutes(database)
            for headers in ({"Accept": "*/*"}, {"HX-Request": "true", "X-Live": ""}, {"X-Activity": "no"}):
                assert browser.get(path, headers=headers).status_code in (200, 204), path
                assert not _used(database), f"{path} {headers}"
        for headers in ({"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}, {"X-Activity": "yes"}):
            _pass_ten_minutes(database)
            browser.get("/account/session" if "X-Activity" in headers else "/worklist", headers=headers)
            assert _used(database), headers
        _pass_ten_minutes(database)
        browser.send_form("/operations/commands", kind="none")
        assert _used(database), "a form"


@pytest.fixture
def page(database: Database, tmp_path: Path, chromium: Browser) -> Iterator[Page]:
    """A page of a viewer."""
    with viewer_page(database, tmp_path, chromium) as opened:
        yield opened


def test_an_open_worklist_that_updates_itself_is_idle_until_somebody_uses_it(page: Page, database: Database) -> None:
    page.goto("/worklist")
    page.wait_for_function("window.told > 0")
    _pass_ten_minutes(database)
    Sender(database).send(1)
    announce_change(database)
    page.wait_for_selector("a.line")
    assert not _used(database)
    for use in (lambda: page.keyboard.press("j"), lambda: page.mouse.wheel(0, 100), lambda: page.mouse.click(5, 5)):
        page.goto("/worklist")
        _pass_ten_minutes(database)
        use()
        wait_for(lambda: _used(database))


def test_an_open_study_that_is_read_again_is_idle(page: Page, database: Database) -> None:
    Sender(database).send(1)
    page.goto(f"/studies/{scalar(database, 'SELECT id FROM studies')}")
    page.wait_for_selector("text=waiting for further images")
    page.wait_for_function("window.told > 0")
    _pass_ten_minutes(database)
    complete(database, plan())
    announce_change(database)
    page.wait_for_selector("text=in the queue")
    assert not _used(database)


@pytest.mark.parametrize("path", ["/worklist", "/account", "/viewer/{unit}"])
def test_a_page_whose_session_has_ended_leaves_for_the_page_of_sign_in(page: Page, database: Database, path: str) -> None:
    Sender(database).send(1)
    page.clock.install()
    page.goto(path.format(unit=scalar(database, "SELECT id FROM units")))
    run(database, "UPDATE sessions SET last_seen_at = node_now() - interval '1 day'")
    page.clock.fast_forward("01:05")
    expect(page).to_have_url(re.compile(r"/sign-in\?next="), timeout=TIMEOUT_MS)  # also where two scripts of the page leave at once


@pytest.mark.parametrize(
    ("change", "said", "stays"),
    [
        ("last_seen_at = node_now() - interval '1760 seconds'", "Press a key, or touch the page, to stay signed in.", True),
        ("created_at = node_now() - interval '43160 seconds'", "Save what you have begun", False),
    ],
)
def test_a_page_says_in_time_that_its_session_will_end(page: Page, database: Database, change: str, said: str, stays: bool) -> None:
    page.clock.install()
    page.goto("/worklist")
    run(database, f"UPDATE sessions SET {change}")
    page.clock.fast_forward("01:05")
    page.wait_for_selector(f"#ending[role=alert] >> text={said}")
    with page.expect_response("**/account/session"):
        page.keyboard.press("j")
    page.wait_for_selector("#ending", state="detached" if stays else "attached")
    assert _used(database)
