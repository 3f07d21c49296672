"""The open study page in Chromium: a colleague's verdict offers the new state, and the reader's own verdict does not."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from core.policy.verdicts import VerdictDraft, VerdictKind
from db.engine import Database
from db.notify import notify
from db.verdicts.result_state import SeenResult
from db.verdicts.verdicts import give_verdict
from tests.support.chromium import FRAMES_DRAWN, sign_in
from tests.support.console import RunningConsole, add_users
from tests.support.records import report_study, rows, scalar

OFFER = "#live:not([hidden])"


@pytest.fixture
def page(database: Database, tmp_path: Path, chromium: Browser) -> Iterator[Page]:
    """The page of a study with a result of three findings, opened by a clinician."""
    report_study(database, findings=3)
    add_users(database)
    with RunningConsole(database, tmp_path) as console, chromium.new_page(base_url=console.url) as page:
        sign_in(page, console.url, "clinician")
        page.goto(f"/studies/{scalar(database, 'SELECT id FROM studies')}")
        yield page


def _judge(database: Database, place: int) -> None:
    """Give the verdict of a colleague on one of the findings."""
    ((job, finding),) = rows(database, f"SELECT job_id, id FROM findings WHERE ordinal = {place}")
    draft = VerdictDraft(VerdictKind.ACCEPTED, int(str(finding)))
    give_verdict(database, int(str(job)), draft, user="green", seen=SeenResult(1, datetime.now(UTC)))


def test_the_verdict_of_a_colleague_is_shown_or_offered_and_one_s_own_is_not(page: Page, database: Database) -> None:
    _judge(database, 1)
    page.wait_for_selector(".verdicts >> text=1 of 3 judged")  # nobody has touched the page: it is read again
    page.keyboard.press("a")
    page.wait_for_selector(".verdicts >> text=2 of 3 judged")
    with page.expect_response("**/state"), database.begin() as connection:
        notify(connection, "delivery")
    page.evaluate(FRAMES_DRAWN)
    assert page.query_selector(OFFER) is None, "the reader has seen this verdict"
    _judge(database, 3)
    page.wait_for_selector(OFFER)
