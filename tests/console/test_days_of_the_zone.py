"""Days and weeks of the dashboard and of models are those of the console's time zone, also where the clocks are changed."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from core.settings.web.console import ConsoleSection
from core.time_zone import day_begins, monday_of
from db.dashboard import BY_WEEK, last_days, read_days
from db.engine import Database
from db.operations.model_performance import read_abstentions, read_performance
from tests.support.console import RunningConsole, add_users
from tests.support.records import DIGEST, Sender, claim, complete, finish, plan, run, scalar

BERLIN = ZoneInfo("Europe/Berlin")
MODEL = "lung_nodule_ct"
INSTANT = timedelta(microseconds=1)
# 14 hours before UTC and 11 behind: in one of the two it is another day than in UTC at any time.
FAR_ZONES = "Pacific/Kiritimati", "Pacific/Pago_Pago"


def report_at(database: Database, *moments: datetime) -> None:
    """For each moment one study whose result came then, ten seconds after its last image, and whose finding was accepted then."""
    for number, moment in enumerate(moments):
        Sender(database).send(1, study=f"1.2.{number}", series=f"1.2.{number}.1")
        complete(database, plan(), study=f"1.2.{number}")
        finish(database, claim(database))
        job, at = scalar(database, "SELECT max(id) FROM jobs"), f"timestamptz '{moment.isoformat()}'"
        run(
            database,
            f"UPDATE jobs SET reported_at = {at}, queued_at = {at} - interval '10 s', last_received_at = {at} - interval '10 s' "
            f"WHERE id = {job}",
        )
        run(
            database,
            "INSERT INTO verdicts (job_id, finding_id, verdict, user_name, seen_revision, seen_at, at) "
            f"SELECT job_id, id, 'accepted', 'ann', 1, {at}, {at} FROM findings WHERE job_id = {job}",
        )


@pytest.mark.parametrize(("sunday", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25)])
def test_a_day_on_which_the_clocks_are_changed(sunday: date, hours: int, database: Database) -> None:
    """Two results are of that day, its first and its last; one is of the day before, and one of Monday."""
    begins = datetime(sunday.year, sunday.month, sunday.day, tzinfo=BERLIN).astimezone(UTC)
    ends = begins + timedelta(hours=hours)
    report_at(database, begins - INSTANT, begins, ends - INSTANT, ends)
    days = [sunday + timedelta(days=number) for number in (-1, 0, 1)]

    def counted(zone: ZoneInfo) -> list[int]:
        found = read_days(database, days, zone=zone)
        for counts in found.values():
            assert counts.times_s == {"": (10.0, 10.0), MODEL: (10.0, 10.0)}
            assert counts.tiers == {MODEL: {"review": sum(counts.results[MODEL].values())}}
        return [sum(found[day].results[MODEL].values()) if day in found else 0 for day in days]

    assert counted(BERLIN) == [1, 2, 1]
    assert counted(ZoneInfo("UTC")) == [2, 2, 0], "the days of UTC are others"
    weeks = [monday_of(sunday), sunday + timedelta(days=1)]
    found = read_days(database, weeks, by=BY_WEEK, zone=BERLIN)
    assert [found[monday].results for monday in weeks] == [{MODEL: {"findings": 3}}, {MODEL: {"findings": 1}}]
    assert read_days(database, days[1:2], zone=BERLIN)[sunday].results == {MODEL: {"findings": 2}}, "nothing beyond it is counted"


def test_weeks_of_a_model_begin_on_monday_of_the_zone(database: Database) -> None:
    monday = monday_of(database.now().astimezone(BERLIN).date())
    begins = day_begins(monday, BERLIN)
    report_at(database, begins - INSTANT, begins)
    before = (monday - timedelta(days=7)).isoformat()
    by_week = read_performance(database, MODEL, DIGEST, BERLIN).by_week
    assert [(week.name, week.acceptance.n) for week in by_week] == [(before, 1), (monday.isoformat(), 1)]
    assert [(week, share.n) for week, share in read_abstentions(database, MODEL, BERLIN)] == [(before, 1), (monday.isoformat(), 1)]
    assert [(week.name, week.acceptance.n) for week in read_performance(database, MODEL, DIGEST).by_week] == [(before, 2)]
    assert [(week, share.n) for week, share in read_abstentions(database, MODEL)] == [(before, 2)]


@pytest.mark.parametrize("name", FAR_ZONES)
def test_the_last_day_of_the_dashboard_is_today_in_the_zone(name: str, database: Database, tmp_path: Path) -> None:
    zone = ZoneInfo(name)
    report_at(database, database.now())
    add_users(database)
    section = ConsoleSection(port=0, time_zone=name)
    before = datetime.now(UTC)
    with RunningConsole(database, tmp_path, console=section) as console, console.browser("viewer") as browser:
        page = browser.get("/dashboard?days=7").text
        model = browser.get(f"/models/{MODEL}").text
    today = last_days(database, 7, zone=zone)[-1]
    possible = {at.astimezone(zone).date() for at in (before, datetime.now(UTC))}
    assert today in possible
    shown = re.search(r'<tbody><tr><th scope="row" class="nowrap">([-0-9]+)</th>.*?data-label="All" class="number">(\d)<', page)
    assert shown is not None
    assert (date.fromisoformat(shown[1]) in possible, shown[2]) == (True, "1")
    assert f"Days and weeks are those of {name}." in page
    assert "UTC" not in page
    assert f"Weeks are those of {name}, those of drift of UTC." in model
    assert monday_of(today).isoformat() in model
