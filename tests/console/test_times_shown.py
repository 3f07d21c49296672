"""Times on pages of a site that has stated its time zone: with their offset; what programs read stays in UTC."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from console.worklist.routes import usual_views
from core.settings.web.console import ConsoleSection
from db.engine import Database
from tests.support.console import Browser, RunningConsole, add_users
from tests.support.records import Sender, claim, complete, finish, plan, run, scalar

ZONE = "Asia/Tokyo"  # nine hours before UTC, without summer time
RECEIVED = "2026-03-10 22:30:00+00"


@pytest.fixture(scope="module")
def database(module_database: Database) -> Database:
    """One reported study that was received on 10 March of UTC, which is 11 March in Tokyo."""
    Sender(module_database).send(1)
    complete(module_database, plan())
    finish(module_database, claim(module_database))
    run(module_database, f"UPDATE studies SET first_received_at = '{RECEIVED}'")
    run(module_database, f"UPDATE units SET first_received_at = '{RECEIVED}'")
    add_users(module_database)
    return module_database


@pytest.fixture(scope="module")
def browser(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    section = ConsoleSection(port=0, time_zone=ZONE)
    with RunningConsole(database, tmp_path_factory.mktemp("node"), console=section) as running, running.browser("admin") as browser:
        yield browser


def test_a_page_shows_its_times_with_their_offset_and_names_the_zone(browser: Browser, database: Database) -> None:
    path = f"/studies/{scalar(database, 'SELECT id FROM studies')}"
    page = browser.get(path).text
    assert '<time datetime="2026-03-10T22:30:00+00:00" title="2026-03-11 07:30:00 +09:00">' in page
    assert "UTC" not in page, "no time is in another zone than the others"
    assert f"Times are in {ZONE}." in page
    assert re.search(r"TESTNODE, as of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+09:00, for admin", page), "on paper"
    line = browser.get("/worklist").text
    assert 'title="2026-03-11 07:30:00 +09:00"' in line
    assert re.search(r"As of [-0-9]{10} [:0-9]{8} \+09:00\.", browser.get("/status").text)


@pytest.mark.parametrize("path", ["/account", "/users"])
def test_people_and_sessions_have_times_of_the_zone(browser: Browser, path: str) -> None:
    page = browser.get(path).text
    assert re.search(r"\d\d:\d\d:\d\d \+09:00<", page)
    assert "UTC" not in page


def test_exports_the_api_and_the_audit_trail_stay_in_utc(browser: Browser, database: Database) -> None:
    trail = browser.get("/audit").text
    assert re.search(r'<td class="nowrap">[-0-9]{10} [:0-9]{8} UTC</td>', trail)
    assert "Times are in UTC, as in exports and logs." in trail
    (study,) = browser.get("/api/v1/studies").json()["items"]
    assert datetime.fromisoformat(study["first_received_at"]) == datetime(2026, 3, 10, 22, 30, tzinfo=UTC)
    assert study["first_received_at"].endswith(("Z", "+00:00"))
    exported = browser.get("/audit/export?format=csv").text
    assert "+09:00" not in exported
    assert "+00:00" in exported


def test_a_day_of_the_worklist_is_one_of_the_zone_and_a_day_of_the_api_one_of_utc(browser: Browser, database: Database) -> None:
    link = f'href="/studies/{scalar(database, "SELECT id FROM studies")}"'
    for day, of_zone, of_utc in (("2026-03-10", False, True), ("2026-03-11", True, False)):
        days = {"since": day, "until": day}
        assert (link in browser.get("/worklist", params=days).text) is of_zone, day
        assert bool(browser.get("/api/v1/studies", params=days).json()["items"]) is of_utc, day
    for days in ({"until": "9999-12-31"}, {"since": "0001-01-01"}):
        assert link in browser.get("/worklist", params=days).text, days


def test_today_is_the_day_of_the_zone() -> None:
    """Somewhere it is another day than in UTC at any time: 14 hours before it and 11 behind."""
    before = datetime.now(UTC)
    for zone in (ZoneInfo("Pacific/Kiritimati"), ZoneInfo("Pacific/Pago_Pago")):
        today = dict(usual_views(zone))["Received today"].removeprefix("since=")
        after = datetime.now(UTC) + timedelta(seconds=1)
        assert today in {before.astimezone(zone).date().isoformat(), after.astimezone(zone).date().isoformat()}
