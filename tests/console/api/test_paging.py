"""Pages of lists by time: what is deleted, routed or refused again between two pages neither ends the list nor repeats entries."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from db.engine import Database
from tests.support.console import Browser, RunningConsole, add_users
from tests.support.records import Sender, complete, run

QUARANTINE, UNROUTED = "/api/v1/quarantine", "/api/v1/units/unrouted"
REFUSED = """
    INSERT INTO quarantine (sha256, size_bytes, reason, status, sop_class_uid, sop_instance_uid, association_id, source, last_at)
    SELECT md5(n::text), 1, 'refused ' || n, 1, '', '', gen_random_uuid(), 'PACS', node_now() - make_interval(mins => n)
    FROM generate_series(1, 4) n
"""


@pytest.fixture
def browser(database: Database, tmp_path: Path) -> Iterator[Browser]:
    """An operator, on four refused data sets and four units that no route took; number 1 is the latest."""
    run(database, REFUSED)
    for number in (4, 3, 2, 1):
        Sender(database).send(1, study=f"1.2.{number}", series=f"1.2.{number}.1")
        complete(database, study=f"1.2.{number}", reason="no route takes it")
    add_users(database)
    with RunningConsole(database, tmp_path) as console, console.browser("operator") as browser:
        yield browser


def _read(browser: Browser, path: str, before: object = None) -> tuple[str, object]:
    """Return the last characters of what names the entries of a page of two, and the value for the next page."""
    given = {"limit": "2"} if before is None else {"limit": "2", "before": str(before)}
    page = browser.get(path, params=given).json()
    return "".join(str(item["reason" if path == QUARANTINE else "study_instance_uid"])[-1] for item in page["items"]), page["next_before"]


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (QUARANTINE, "DELETE FROM quarantine WHERE reason = 'refused 2'"),
        (QUARANTINE, "UPDATE quarantine SET last_at = node_now() WHERE reason = 'refused 2'"),
        (UNROUTED, "UPDATE units SET state = 'open', outcome = NULL, completed_at = NULL WHERE id = (SELECT max(id) - 1 FROM units)"),
        (UNROUTED, "UPDATE units SET completed_at = node_now() WHERE id = (SELECT max(id) - 1 FROM units)"),
    ],
)
def test_the_next_page_goes_on_where_the_page_before_ended(browser: Browser, database: Database, path: str, change: str) -> None:
    first, before = _read(browser, path)
    assert first == "12"
    run(database, change)
    second, before = _read(browser, path, before)
    assert second == "34"
    assert _read(browser, path, before) == ("", None)


@pytest.mark.parametrize("before", ["x", "1", "-1-1", "1-1-1", "99999999999999999-1", "1-9223372036854775808"])
def test_what_is_no_place_is_refused(browser: Browser, before: str) -> None:
    for path in (QUARANTINE, UNROUTED):
        assert browser.get(path, params={"before": before}).status_code == 422
        assert browser.get(path, params={"before": "9999999999999999-999999999999999999"}).status_code == 200
