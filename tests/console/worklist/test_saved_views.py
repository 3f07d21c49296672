"""Saved views of the worklist: named, each user's own, and nothing but filters."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from console.worklist.saved_views import filters_alone
from db.accounts.saved_views import MOST, save_view
from db.engine import Database
from tests.support.console import RunningConsole, add_users
from tests.support.records import rows, run, scalar


@pytest.fixture
def console(database: Database, tmp_path: Path) -> Iterator[RunningConsole]:
    add_users(database)
    with RunningConsole(database, tmp_path) as running:
        yield running


def test_a_view_is_saved_replaced_shown_to_its_user_alone_and_deleted(console: RunningConsole, database: Database) -> None:
    with console.browser() as ann, console.browser() as bob:
        ann.open("/sign-in")
        ann.sign_in("clinician", next="/worklist")
        reply = ann.send_form("/worklist/views", name="urgent <b>", query="tier=high&state=&before=7&modality=CT")
        assert (reply.status_code, reply.headers["location"]) == (303, "/worklist?tier=high&modality=CT")
        ann.send_form("/worklist/views", name="urgent <b>", query="tier=review")
        assert rows(database, "SELECT name, query FROM saved_views") == [("urgent <b>", "tier=review")]
        page = ann.open("/worklist?tier=review").text
        assert 'href="/worklist?tier=review" aria-current="true"><bdi>urgent &lt;b&gt;</bdi></a>' in page
        for name in ("", "x" * 61, "a\nb"):
            assert ann.send_form("/worklist/views", name=name, query="").status_code == 422
        bob.open("/sign-in")
        bob.sign_in("viewer", next="/worklist")
        assert "urgent" not in bob.open("/worklist").text
        view = scalar(database, "SELECT id FROM saved_views")
        bob.send_form(f"/worklist/views/{view}/delete")
        assert scalar(database, "SELECT count(*) FROM saved_views") == 1
        ann.send_form(f"/worklist/views/{view}/delete")
        assert scalar(database, "SELECT count(*) FROM saved_views") == 0


def test_a_user_has_a_limited_number_of_views(database: Database) -> None:
    add_users(database)
    user = int(str(scalar(database, "SELECT id FROM users ORDER BY id LIMIT 1")))
    run(database, f"INSERT INTO saved_views (user_id, name, query) SELECT {user}, 'v' || n, '' FROM generate_series(1, {MOST}) n")
    assert not save_view(database, user, "one more", "")
    assert save_view(database, user, "v1", "tier=high")


def test_only_filters_are_kept() -> None:
    assert filters_alone("text=a%20b&next=//evil.example&until=2026-01-01&tier=") == "text=a+b&until=2026-01-01"
