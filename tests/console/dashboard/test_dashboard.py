"""The dashboard over real HTTP: figures by day from the database, as charts and as a table."""

import re
from datetime import date
from pathlib import Path

import pytest

from console.dashboard.charts import queue_times, result_bars, result_times, tier_bars
from db.dashboard import DayFigures, read_figures
from db.engine import Database
from tests.support.console import RunningConsole, add_users
from tests.support.records import Sender, claim, complete, finish, plan, run


def _report(database: Database, number: int, findings: int, days_ago: int, seconds: int) -> None:
    """Report one study whose result came ``seconds`` after its last image."""
    Sender(database).send(1, study=f"1.2.{number}", series=f"1.2.{number}.1")
    complete(database, plan(), study=f"1.2.{number}")
    finish(database, claim(database), findings=findings)
    run(
        database,
        f"""UPDATE jobs SET reported_at = now() - interval '{days_ago} days', routes = '{{route {number % 2}}}',
                            queued_at = now() - interval '{days_ago} days' - interval '{seconds - 4} s',
                            started_at = now() - interval '{days_ago} days' - interval '{seconds - 6} s',
                            last_received_at = now() - interval '{days_ago} days' - interval '{seconds} s'
            WHERE id = (SELECT max(id) FROM jobs)""",
    )


def test_the_figures_are_those_of_the_jobs(database: Database, tmp_path: Path) -> None:
    _report(database, 1, findings=1, days_ago=0, seconds=10)
    _report(database, 2, findings=0, days_ago=0, seconds=30)
    _report(database, 3, findings=2, days_ago=3, seconds=60)
    _report(database, 4, findings=1, days_ago=40, seconds=60)
    figures = read_figures(database, days=7)
    assert len(figures.days) == 7
    assert figures.days[-1].results == {"findings": 1, "no_finding": 1}
    assert (figures.days[-1].p50_s, figures.days[-4].p95_s) == (pytest.approx(20), pytest.approx(60))
    assert figures.tiers == {"review": 3}
    assert read_figures(database, days=7, model="another").days[-1].total == 0
    assert (figures.days[-1].tiers, figures.days[-4].tiers) == ({"review": 1}, {"review": 2})
    weeks = read_figures(database, days=60, by="week").days
    assert {week.day.weekday() for week in weeks} == {0}
    assert sum(week.total for week in weeks) == 4
    assert weeks[-1].queue_p50_s == pytest.approx(2)
    add_users(database)
    pacs = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 104}
    route = {"model": "lung_nodule_ct", "destinations": ["pacs"], "when": {"Modality": "CT"}}
    routes = [{"name": f"route {number}", **route} for number in (0, 1)]
    with RunningConsole(database, tmp_path, routes=routes, destinations=[pacs]) as console, console.browser("viewer") as browser:
        page = browser.get("/dashboard?days=7").text
        assert len(re.findall(r'<rect class="[\w-]+" x=', page)) == 3 + 2, "results of two days, and findings of two days"
        assert page.count("<circle class=") == 2 * 2 + 2 * 2, "median and 95th percentile of two days: to the result, and in the queue"
        one = browser.get("/dashboard?days=7&route=route+1").text
        assert "2026" in one
        assert ">20.0 s<" not in one
        assert ">60.0 s<" in one, "the third study alone is of this route, and the first"
        assert "20.0 s" in page
        assert "style=" not in page
        assert browser.get("/dashboard?days=1000000").status_code == 200, "an unknown period shows the usual one"
        assert "No job has ended" in browser.get("/dashboard?model=another").text


def test_bars_fill_the_height_and_lines_leave_out_empty_days() -> None:
    first = DayFigures(date(2026, 1, 1), {"findings": 3, "failed": 1})
    days = [first, DayFigures(date(2026, 1, 2)), DayFigures(date(2026, 1, 3), {"findings": 10}, 2.0, 5.0)]
    bars, axis = result_bars(days)
    assert [bar.kind for bar in bars] == ["findings", "failed", "findings"]
    assert bars[2].y == pytest.approx(8), "ten of ten reaches the top"
    assert axis.marks[-1][1] == "10"
    chart = result_times(days)
    assert len(chart.p50.split()) == len(chart.p95.split()) == 1
    assert not queue_times(days).dots
    assert tier_bars(days)[0] == []
    assert [dot.title for dot in chart.dots] == ["2026-01-03: 95th percentile 5.0 s", "2026-01-03: median 2.0 s"], "one day is seen as dots"
