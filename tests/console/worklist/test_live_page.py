"""The open worklist in Chromium: it shows what has changed, whatever happened to its connection, and leaves when the session has ended."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from db.engine import Database
from tests.support.chromium import TIMEOUT_MS
from tests.support.live_page import announce_change, refuse_first, viewer_page
from tests.support.records import Sender, complete, plan, run


@pytest.fixture
def page(database: Database, tmp_path: Path, chromium: Browser) -> Iterator[Page]:
    """A page of a viewer, on a node without studies."""
    with viewer_page(database, tmp_path, chromium) as opened:
        yield opened


def _receive(database: Database) -> None:
    Sender(database).send(1, patient_name="Doe^Jane")
    announce_change(database)


def test_a_worklist_connects_again_after_a_refusal_and_shows_what_it_has_missed(page: Page, database: Database) -> None:
    refused = refuse_first(page, "**/worklist/events")
    page.goto("/worklist")
    page.wait_for_selector("text=No study has been received")
    _receive(database)
    page.wait_for_selector("a.line:has-text('Doe, Jane')")
    assert refused


def test_a_page_that_has_lost_the_node_says_that_it_may_be_old(page: Page, database: Database) -> None:
    cut = True
    page.route("**/worklist/events", lambda route: route.abort() if cut else route.continue_())
    page.goto("/worklist")
    page.wait_for_selector("#old-state >> text=No connection to the node")
    cut = False
    page.wait_for_selector("#old-state", state="detached")
    _receive(database)
    page.wait_for_selector("a.line:has-text('Doe, Jane')")


def test_a_search_that_was_not_answered_does_not_show_the_list_of_before_as_its_own(page: Page, database: Database) -> None:
    _receive(database)
    page.goto("/worklist")
    page.wait_for_selector("a.line")
    page.route("**/worklist?*", lambda route: route.fulfill(status=503))
    page.fill("#search", "nobody of this name")
    page.wait_for_selector("#old-state >> text=The node could not answer")
    page.unroute("**/worklist?*")
    page.fill("#search", "nobody")
    page.wait_for_selector("#old-state", state="detached")
    page.wait_for_selector("a.line", state="detached")


def test_a_status_that_could_not_be_read_again_says_so(page: Page, database: Database) -> None:
    page.goto("/status")
    page.route("**/status", lambda route: route.abort())
    page.wait_for_selector("#old-state >> text=The node could not answer")
    page.unroute("**/status")
    page.wait_for_selector("#old-state", state="detached")


def test_a_worklist_that_was_out_of_sight_shows_the_changes_when_it_is_seen_again(page: Page, database: Database) -> None:
    page.add_init_script("window.outOfSight = true;")
    page.goto("/worklist")
    page.wait_for_function("window.told > 0")
    told = page.evaluate("window.told")
    _receive(database)
    page.wait_for_function("(told) => window.told > told", arg=told)
    assert page.query_selector("a.line") is None
    page.evaluate("window.outOfSight = false; document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_selector("a.line")


def test_a_screen_reader_is_told_what_has_changed_in_a_sentence_and_not_every_line(page: Page, database: Database) -> None:
    Sender(database).send(1, patient_name="Doe^Jane")
    page.add_init_script("window.outOfSight = true;")  # the list that is read again after the connection could hold one of the new studies
    page.goto("/worklist")
    page.wait_for_selector("a.line")
    page.wait_for_function("window.told > 0")
    assert page.query_selector("#lines[aria-live], [aria-live] #lines") is None, "it would be read as a whole"
    for number in (7, 8):
        Sender(database).send(1, study=f"1.2.{number}", series=f"1.2.{number}.1", patient_name="Roe^Richard")
    announce_change(database)
    page.evaluate("window.outOfSight = false; document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_selector("#said[role=status]:text-is('2 new studies.')", state="attached")
    complete(database, plan(), study="1.2.7")
    announce_change(database)
    page.wait_for_selector("#said:text-is('1 study changed.')", state="attached")
    page.fill("#search", "Doe")
    page.wait_for_selector("#said:text-is('1 study is shown.')", state="attached")
    page.fill("#search", "nobody")
    page.wait_for_selector("#said:text-is('No study is shown.')", state="attached")


def test_filters_can_be_cleared_as_soon_as_there_are_some(page: Page, database: Database) -> None:
    _receive(database)
    page.goto("/worklist")
    page.wait_for_selector("a.line")
    assert not page.is_visible("#clear")
    page.fill("#search", "Roe")
    page.wait_for_selector("text=No study matches")
    page.click("#clear")
    page.wait_for_selector("a.line:has-text('Doe, Jane')")
    assert not page.is_visible("#clear")


def test_a_study_leads_back_to_the_list_that_was_left_in_this_session_only(page: Page, database: Database) -> None:
    _receive(database)
    page.goto("/worklist")
    page.fill("#search", "Doe")
    page.wait_for_url(re.compile(r"text=Doe"))
    page.click("a.line")
    page.click(".crumbs a[href*='text=Doe']")
    page.wait_for_url(re.compile(r"/worklist\?text=Doe"))
    assert page.input_value("#search") == "Doe"
    page.click("a.line")
    page.wait_for_selector(".crumbs a")
    run(database, "UPDATE sessions SET form_token = 'of another session'")
    page.reload()
    page.click(".crumbs a")
    page.wait_for_url(re.compile(r"/worklist$"))


def test_from_a_study_the_next_of_its_list_is_one_key_away(page: Page, database: Database) -> None:
    for number, name in ((7, "Roe^First"), (8, "Doe^Jane"), (9, "Roe^Second")):
        Sender(database).send(1, study=f"1.2.{number}", series=f"1.2.{number}.1", patient_name=name)
    page.goto("/worklist?text=Roe")
    page.click("a.line >> nth=0")
    page.wait_for_selector("h1:has-text('Roe, Second')")
    expect(page.locator(".crumbs")).to_have_text("Worklist · 1 of 2 · Next study", timeout=TIMEOUT_MS)
    page.keyboard.press("Shift+J")
    page.wait_for_selector("h1:has-text('Roe, First')")
    complete(database, plan(), study="1.2.7")
    announce_change(database)
    page.wait_for_selector("text=in the queue")
    again = expect(page.locator(".crumbs"), "also when the study was read again")
    again.to_have_text("Worklist · 2 of 2 · Previous study", timeout=TIMEOUT_MS)
    page.keyboard.press("Shift+K")
    page.wait_for_selector("h1:has-text('Roe, Second')")


def test_a_worklist_whose_session_has_ended_leaves_for_the_page_of_sign_in(page: Page, database: Database) -> None:
    page.goto("/worklist?state=failed")
    page.wait_for_function("window.told > 0")
    run(database, "UPDATE sessions SET ended_at = node_now()")
    announce_change(database)
    expect(page).to_have_url(re.compile(r"/sign-in\?next="), timeout=TIMEOUT_MS)
    assert "state%3Dfailed" in page.url
    assert page.query_selector("#lines") is None
