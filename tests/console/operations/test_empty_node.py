"""The operations page of a node without data and configuration."""

from pathlib import Path

from db.engine import Database
from tests.support.console import RunningConsole, add_users


def test_an_empty_node_explains_each_list(database: Database, tmp_path: Path) -> None:
    add_users(database)
    with RunningConsole(database, tmp_path) as console, console.browser("operator") as browser:
        page = browser.get("/operations").text
    assert page.count("None.") == 6
    for shown in ("Empty.", "No route is configured", "No destination is configured", "no process has written a heartbeat"):
        assert shown in page
