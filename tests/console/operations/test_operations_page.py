"""The operations page over real HTTP: what needs a person is listed, and each action asks for a reason and is audited."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from db.engine import Database
from tests.support.console import Browser, RunningConsole, add_users
from tests.support.records import Sender, claim, complete, finish, plan, run, scalar


@pytest.fixture
def browser(database: Database, tmp_path: Path) -> Iterator[Browser]:
    """An operator, on a quarantined job, a queued job, a held delivery and a unit that no route took."""
    for number in (1, 2, 3, 4):
        Sender(database).send(1, study=f"1.2.{number}", series=f"1.2.{number}.1")
    complete(database, plan(), study="1.2.1")
    finish(database, claim(database))
    run(database, "UPDATE deliveries SET state = 'held', note = 'another patient'")
    complete(database, plan(), study="1.2.2")
    run(database, "UPDATE jobs SET state = 'quarantined', reason = 'out of memory' WHERE state = 'queued'")
    complete(database, plan(), study="1.2.3")
    complete(database, study="1.2.4", reason="no route takes it")
    run(database, "UPDATE units SET outcome = 'not_analysed' WHERE reason <> ''")
    add_users(database)
    with RunningConsole(database, tmp_path) as console, console.browser() as browser:
        browser.sign_in("operator", next="/operations")
        yield browser


def _id(database: Database, query: str) -> int:
    return int(str(scalar(database, query)))


def test_everything_that_needs_a_person_is_listed_with_its_reason(browser: Browser) -> None:
    page = browser.get("/operations").text
    for shown in ("out of memory", "another patient", "no route takes it", "Requeue", "Send again", "Route again", "Cancel"):
        assert shown in page, shown


@pytest.mark.parametrize(
    ("path", "query", "state"),
    [
        ("jobs/{}/requeue", "SELECT id FROM jobs WHERE reason = 'out of memory'", "SELECT state FROM jobs WHERE id = {}"),
        ("deliveries/{}/retry", "SELECT id FROM deliveries", "SELECT state FROM deliveries WHERE id = {}"),
        ("units/{}/requeue", "SELECT id FROM units WHERE reason <> ''", "SELECT state FROM units WHERE id = {}"),
        ("jobs/{}/cancel", "SELECT id FROM jobs WHERE state = 'queued'", "SELECT state FROM jobs WHERE id = {}"),
    ],
)
def test_an_action_needs_a_reason_is_carried_out_once_and_is_audited(
    browser: Browser, database: Database, path: str, query: str, state: str
) -> None:
    id = _id(database, query)
    before = scalar(database, state.format(id))
    browser.open("/operations")
    address = f"/operations/{path.format(id)}"
    assert browser.send_form(address, reason="").status_code == 422
    assert browser.send_form(address, reason="two\nlines").status_code == 422
    assert scalar(database, state.format(id)) == before
    assert browser.send_form(address, reason="the disk was full").status_code == 303
    assert scalar(database, state.format(id)) != before
    # A delivery that waits may be sent at once; every other action is refused in the new state.
    assert browser.send_form(address, reason="again").status_code == (303 if "retry" in path else 409)
    query = "SELECT actor || ' ' || (details ->> 'reason') FROM audit_events WHERE action LIKE 'operator.%' ORDER BY id LIMIT 1"
    event = scalar(database, query)
    assert event == "user:operator the disk was full"


@pytest.mark.parametrize("path", ["jobs/1/delete", "tables/1/requeue", "jobs/999999/requeue"])
def test_unknown_actions_and_rows_change_nothing(browser: Browser, path: str) -> None:
    browser.open("/operations")
    assert browser.send_form(f"/operations/{path}", reason="why not").status_code in (404, 409)


def test_an_empty_node_explains_each_list(database: Database, tmp_path: Path) -> None:
    add_users(database)
    with RunningConsole(database, tmp_path) as console, console.browser() as browser:
        browser.sign_in("operator")
        page = browser.get("/operations").text
    assert page.count("None.") == 4
    assert "Empty." in page
