"""Results that are sent and analysed again from the study page and the API: commands with a reason, for operators only."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from db.engine import Database
from tests.support.console import Browser, RunningConsole, add_users
from tests.support.records import Sender, complete, plan, report_study, rows, run, scalar


@pytest.fixture
def console(database: Database, tmp_path: Path) -> Iterator[RunningConsole]:
    """A console on one reported study."""
    report_study(database)
    add_users(database)
    destinations = [{"name": "later", "folder": tmp_path}]
    with RunningConsole(database, tmp_path, destinations=destinations) as running:
        yield running


def _page(browser: Browser, database: Database) -> str:
    return str(browser.get(f"/studies/{scalar(database, 'SELECT id FROM studies')}").text)


def test_an_operator_sends_and_runs_again_with_a_reason(console: RunningConsole, database: Database) -> None:
    job = scalar(database, "SELECT id FROM jobs")
    with console.browser("operator") as browser:
        page = _page(browser, database)
        assert "Send again" in page
        assert "<option>later</option>" in page
        browser.open(f"/studies/{scalar(database, 'SELECT id FROM studies')}")
        resend = {"kind": "delivery.resend", "subject": str(job), "to": "later", "reason": "a new archive"}
        rerun = {"kind": "job.rerun", "subject": str(job), "version": "0.2.0", "reason": "disputed"}
        assert browser.send_form("/operations/commands", **resend).status_code == 303
        assert browser.send_form("/operations/commands", **rerun).status_code == 303
        assert browser.send_form("/operations/commands", **rerun | {"reason": ""}).status_code == 422
        assert browser.send_form("/operations/commands", **rerun | {"version": "x" * 65}).status_code == 422
    found = rows(database, "SELECT kind, args ->> 'to', args ->> 'version', args ->> 'reason', actor FROM commands ORDER BY id")
    assert found == [
        ("delivery.resend", "later", None, "a new archive", "user:operator"),
        ("job.rerun", None, "0.2.0", "disputed", "user:operator"),
    ]


def test_the_study_page_says_what_was_given_up(console: RunningConsole, database: Database) -> None:
    run(database, "UPDATE deliveries SET state = 'given_up', note = 'given up by ann: the archive is gone'")
    with console.browser("operator") as browser:
        page = _page(browser, database)
    for shown in (
        *("Not delivered to pacs", "0 of 1 object stored; given up by ann: the archive is gone", "0 of 1 delivered", ">given up<"),
        "Send after all",
    ):
        assert shown in page, shown


def test_a_clinician_cannot(console: RunningConsole, database: Database) -> None:
    with console.browser("clinician") as browser:
        assert "Send again" not in _page(browser, database)
        assert browser.send_form("/operations/commands", kind="job.rerun", subject="1", reason="x").status_code == 403
    assert scalar(database, "SELECT count(*) FROM commands") == 0


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ("", True),
        ("awaiting_verdict = true", False),
        ("state = 'stored', stored_at = node_now()", False),
    ],
    ids=["given up", "waits for a verdict", "stored"],
)
def test_what_a_person_gave_up_is_sent_after_all(console: RunningConsole, database: Database, change: str, shown: bool) -> None:
    """What a clinician has to release, and what the destination has, is not offered."""
    run(database, "UPDATE deliveries SET state = 'given_up', note = 'given up by ann: the archive is gone'")
    if change:
        run(database, f"UPDATE deliveries SET {change}")
    delivery = scalar(database, "SELECT id FROM deliveries")
    with console.browser("operator") as browser:
        path = f"/studies/{scalar(database, 'SELECT id FROM studies')}"
        assert ('value="delivery.retry"' in browser.open(path).text) is shown
        if shown:
            order = {"kind": "delivery.retry", "subject": str(delivery), "reason": "the archive is back"}
            assert browser.send_form("/operations/commands", **order).status_code == 303
            assert rows(database, "SELECT kind, actor FROM commands") == [("delivery.retry", "user:operator")]
    with console.browser("clinician") as browser:
        assert 'value="delivery.retry"' not in _page(browser, database)


def test_a_job_that_was_cancelled_is_queued_again_from_the_study_page(console: RunningConsole, database: Database) -> None:
    Sender(database).send(2)
    complete(database, plan())
    with console.browser("operator") as browser:
        assert "Queue again" not in _page(browser, database)
        run(database, "UPDATE jobs SET state = 'cancelled', reason = 'cancelled by ann' WHERE state = 'queued'")
        page = _page(browser, database)
    assert "Queue again" in page
    assert 'value="job.requeue"' in page
