"""The open Operations page in Chromium: it follows the node, leaves a form alone, and tells a screen reader the change in a sentence."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route

from db.engine import Database
from db.notify import notify
from db.roles.commands import claim_command, enqueue_command, finish_command
from tests.support.chromium import sign_in
from tests.support.console import RunningConsole, add_users
from tests.support.live_page import refuse_first
from tests.support.records import Sender, complete, plan, rows, run, scalar


@pytest.fixture
def page(database: Database, tmp_path: Path, chromium: Browser) -> Iterator[Page]:
    """A page of an operator, on a node with a queued job."""
    Sender(database).send(1)
    complete(database, plan())
    add_users(database)
    # bypass_csp: `wait_for_function` evaluates text.
    with RunningConsole(database, tmp_path) as console, chromium.new_page(base_url=console.url, bypass_csp=True) as page:
        sign_in(page, console.url, "operator")
        yield page


def _fail(database: Database, reason: str) -> None:
    run(database, f"UPDATE jobs SET state = 'quarantined', reason = '{reason}'")
    with database.begin() as connection:
        notify(connection, "states")


def _answer(database: Database, *, ok: bool, text: str) -> None:
    """Answer the command that waits, as the role that owns it does."""
    command = claim_command(database, ["destination.echo"])
    assert command is not None
    finish_command(database, command, ok=ok, result={"answer": text})


def test_a_job_that_fails_appears_on_an_open_page(page: Page, database: Database) -> None:
    page.goto("/operations")
    page.wait_for_selector("text=None. A failed job is reported")
    _fail(database, "out of memory")
    page.wait_for_selector("#lists td:has-text('out of memory')")


def test_a_form_that_is_being_filled_in_stays_and_the_change_is_offered(page: Page, database: Database) -> None:
    page.goto("/operations")
    page.click("#lists details.act summary:has-text('Cancel')")
    page.fill("#lists details.act[open] input[name=reason]", "wrong patient")
    _fail(database, "out of memory")
    page.wait_for_selector("#behind:not([hidden])")
    assert page.input_value("#lists details.act[open] input[name=reason]") == "wrong patient"
    page.click("#behind button")
    page.wait_for_selector("#lists td:has-text('out of memory')")
    assert page.locator("#behind").is_hidden()


def test_a_form_that_is_opened_while_the_lists_are_read_stays(page: Page, database: Database) -> None:
    """The answer closed it: a reason that was being typed was gone."""
    held: list[Route] = []
    page.route("**/operations", lambda route: held.append(route) if "x-live" in route.request.headers else route.continue_())
    with page.expect_request(lambda request: "x-live" in request.headers):
        page.goto("/operations")
        _fail(database, "out of memory")
    page.click("#lists details.act summary:has-text('Cancel')")
    page.fill("#lists details.act[open] input[name=reason]", "wrong patient")
    held[0].continue_()
    page.wait_for_selector("#behind:not([hidden])")
    assert page.input_value("#lists details.act[open] input[name=reason]") == "wrong patient"


def test_the_answer_of_a_command_is_told_in_a_sentence_also_after_a_failed_request(page: Page, database: Database) -> None:
    """A live region around the list would be read as a whole, every 700 ms."""
    for subject in ("archive", "ward"):
        enqueue_command(database, "destination.echo", {"subject": subject}, "user:operator")
        _answer(database, ok=True, text="it answers")
    enqueue_command(database, "destination.echo", {"subject": "pacs"}, "user:operator")
    refused = refuse_first(page, "**/operations/commands")
    page.goto("/operations")
    page.wait_for_selector("#commands >> text=waits for the answer")
    page.wait_for_function("() => document.querySelector('#said') !== null")
    _answer(database, ok=False, text="pacs does not answer")
    page.wait_for_function("() => document.querySelector('#said').textContent.includes('failed')")  # "running" may be told before
    assert page.inner_text("#said") == "Test destination pacs: failed. pacs does not answer"
    assert refused, "the list is asked for again after an answer that failed"
    assert page.locator("[aria-live]").count() == 0


def test_an_open_page_that_reads_itself_again_is_one_view_of_each_series_without_a_route(page: Page, database: Database) -> None:
    def views() -> object:
        return scalar(database, "SELECT count(*) FROM audit_events WHERE action = 'units.viewed'")

    def without_route(number: int) -> None:
        Sender(database).send(1, study=f"1.9.{number}", series=f"1.9.{number}.1")
        complete(database, study=f"1.9.{number}", reason=f"no route takes number {number}")
        run(database, "UPDATE units SET outcome = 'not_analysed' WHERE reason <> ''")
        with database.begin() as connection:
            notify(connection, "intake")

    without_route(1)
    page.goto("/operations")
    page.wait_for_selector("#lists td:has-text('number 1')")
    assert views() == 1
    _fail(database, "out of memory")
    page.wait_for_selector("#lists td:has-text('out of memory')")
    assert views() == 1
    without_route(2)
    page.wait_for_selector("#lists td:has-text('number 2')")
    assert views() == 2
    (details,) = rows(database, "SELECT details ->> 'from' FROM audit_events WHERE action = 'units.viewed' ORDER BY id DESC LIMIT 1")
    assert details == ("127.0.0.1",)
