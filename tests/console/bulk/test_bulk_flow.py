"""Failed jobs are requeued in Chromium: from the list to the answer, with scripts and without, on a wide and on a narrow screen."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from core.settings.settings import Settings
from db.engine import Database
from tests.db.jobs.test_requeue_plan import DAMAGED, MEMORY, fail_job
from tests.support.chromium import sign_in
from tests.support.command_roles import command_roles
from tests.support.console import RunningConsole, add_users
from tests.support.records import rows


@pytest.fixture
def console(database: Database, tmp_path: Path) -> Iterator[RunningConsole]:
    """A console on three failed jobs, and the roles that carry out commands."""
    for number, reason in enumerate((MEMORY, DAMAGED, MEMORY), 1):
        fail_job(database, number, reason)
    add_users(database)
    settings = Settings.model_validate({"node": {"data_dir": tmp_path}})
    with command_roles(database, settings), RunningConsole(database, tmp_path) as running:
        yield running


@pytest.mark.parametrize(("scripts", "width"), [(True, 1440), (True, 360), (False, 1440)])
def test_from_the_list_to_the_answer(console: RunningConsole, database: Database, chromium: Browser, scripts: bool, width: int) -> None:
    context = chromium.new_context(base_url=console.url, java_script_enabled=scripts, viewport={"width": width, "height": 800})
    page = context.new_page()
    sign_in(page, console.url, "operator")
    page.goto("/operations")
    page.get_by_role("link", name="Requeue many").click()
    page.get_by_text("3 jobs would be queued again").wait_for()
    page.select_option("select[name=cause]", MEMORY)
    page.get_by_role("button", name="Show what would be done").click()
    page.get_by_text("2 jobs would be queued again").wait_for()
    page.fill("form.confirm input[name=reason]", "more memory")
    page.get_by_role("button", name="Requeue: 2 jobs").click()
    page.wait_for_url("**/operations*")
    answered = page.locator("#commands .answer", has_text="2 jobs are queued again")
    while not scripts and not answered.count():
        page.reload()
    answered.wait_for()
    context.close()
    states = rows(database, "SELECT reason, state FROM jobs ORDER BY id")
    assert states == [("", "queued"), (DAMAGED, "quarantined"), ("", "queued")]
