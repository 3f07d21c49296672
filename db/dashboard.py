"""Figures of the dashboard by day or week: results and failures, times from the last image to the result, waiting in the queue, and tiers.

Days are those of a time zone, by the data of time zones that Python has; a week begins on Monday and is named by that day.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, timedelta, tzinfo

from sqlalchemy import text

from core.time_zone import day_begins, monday_of
from db.engine import Database

_ENDED = "coalesce(j.reported_at, j.queued_at)"
_WITHIN = f"{_ENDED} >= :since AND {_ENDED} < :until AND NOT j.shadow AND (:route = '' OR CAST(:route AS text) = ANY(j.routes))"
_PLACE = "width_bucket({}, CAST(:begins AS timestamptz[]))"  # of the day among those that are read, from 1
_JOBS = text(f"""
    SELECT {_PLACE.format(_ENDED)} AS place, j.model, coalesce(j.outcome, j.state) AS result, count(*) AS jobs
    FROM jobs j WHERE {_WITHIN} AND (j.outcome IS NOT NULL OR j.state IN ('failed', 'quarantined')) GROUP BY 1, 2, 3
""")
_TIMES = text(f"""
    SELECT place, CASE WHEN grouping(model) = 0 THEN model ELSE '' END AS model,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS p50_s, percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95_s,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY waited) AS queue_p50_s,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY waited) AS queue_p95_s
    FROM (SELECT {_PLACE.format("j.reported_at")} AS place, j.model,
                 extract(epoch FROM j.reported_at - j.last_received_at)::float8 AS seconds,
                 CASE WHEN j.attempts = 1 THEN extract(epoch FROM j.started_at - j.queued_at)::float8 END AS waited
          FROM jobs j WHERE {_WITHIN} AND j.reported_at IS NOT NULL AND j.last_received_at IS NOT NULL AND j.run = 1) AS reported
    GROUP BY GROUPING SETS ((place), (place, model))
""")
_TIERS = text(f"""
    SELECT {_PLACE.format(_ENDED)} AS place, j.model, f.tier, count(*) AS findings
    FROM findings f JOIN jobs j ON j.id = f.job_id WHERE {_WITHIN} GROUP BY 1, 2, 3
""")

RESULTS = ("findings", "no_finding", "abstained", "not_analysed", "failed", "quarantined")
TIERS = ("high", "review", "uncertain")
ALL_MODELS = ALL_ROUTES = ""
BY_DAY, BY_WEEK = "day", "week"


@dataclass(slots=True)
class DayCounts:
    """One day or week by model: jobs by result, findings by tier, and seconds, of all models together under `ALL_MODELS`.

    ``times_s``: from the last image to the result; ``queue_s``: from queued to the first attempt. Each is (p50, p95).
    """

    results: dict[str, dict[str, int]] = field(default_factory=dict)
    tiers: dict[str, dict[str, int]] = field(default_factory=dict)
    times_s: dict[str, tuple[float, float]] = field(default_factory=dict)
    queue_s: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)


@dataclass(slots=True)
class DayFigures:
    """One day or week: how many jobs ended with which result, findings by tier, and how long jobs took, in seconds.

    ``p50_s``, ``p95_s``: from the last image to the result. ``queue_p50_s``, ``queue_p95_s``: in the queue, of jobs with one attempt.
    """

    day: date
    results: dict[str, int] = field(default_factory=dict)
    p50_s: float | None = None
    p95_s: float | None = None
    tiers: dict[str, int] = field(default_factory=dict)
    queue_p50_s: float | None = None
    queue_p95_s: float | None = None

    @property
    def total(self) -> int:
        """All jobs of the day."""
        return sum(self.results.values())


@dataclass(frozen=True, slots=True)
class Figures:
    """The days from the oldest to today, without gaps, and findings by tier over all of them."""

    days: list[DayFigures]
    tiers: dict[str, int]


def last_days(database: Database, days: int, by: str = BY_DAY, zone: tzinfo = UTC) -> list[date]:
    """Return the last ``days`` days, today (by the clock of the database) at the end; or the Mondays of the weeks that they touch."""
    today = database.now().astimezone(zone).date()
    if by == BY_WEEK:
        first, last = (monday_of(day) for day in (today - timedelta(days=days - 1), today))
        return [first + timedelta(days=number) for number in range(0, (last - first).days + 1, 7)]
    return [today - timedelta(days=number) for number in range(days - 1, -1, -1)]


def read_days(
    database: Database, days: Sequence[date], *, by: str = BY_DAY, route: str = ALL_ROUTES, zone: tzinfo = UTC
) -> dict[date, DayCounts]:
    """Return the counts of days, or of weeks by their Mondays, of one route or of all; one on which no job ended is left out.

    ``days``: without a gap, as `last_days` returns them.
    """
    found: dict[date, DayCounts] = {}
    ends = day_begins(days[-1] + timedelta(days=7 if by == BY_WEEK else 1), zone)
    begins = [day_begins(day, zone) for day in days]
    values = {"since": begins[0], "until": ends, "begins": begins, "route": route}
    with database.begin() as connection:
        for row in connection.execute(_JOBS, values):
            found.setdefault(days[row.place - 1], DayCounts()).results.setdefault(row.model, {})[row.result] = row.jobs
        for row in connection.execute(_TIMES, values):
            counts = found.setdefault(days[row.place - 1], DayCounts())
            counts.times_s[row.model] = (row.p50_s, row.p95_s)
            counts.queue_s[row.model] = (row.queue_p50_s, row.queue_p95_s)
        for row in connection.execute(_TIERS, values):
            found.setdefault(days[row.place - 1], DayCounts()).tiers.setdefault(row.model, {})[row.tier] = row.findings
    return found


def figures_of(days: list[date], counts: Mapping[date, DayCounts], model: str = ALL_MODELS) -> Figures:
    """Return the figures of these days, of one model or of all."""
    found, tiers = [], Counter[str]()
    for day in days:
        counted = counts.get(day, DayCounts())
        p50_s, p95_s = counted.times_s.get(model, (None, None))
        of_tiers = _of_model(counted.tiers, model)
        waited = counted.queue_s.get(model, (None, None))
        found.append(DayFigures(day, _of_model(counted.results, model), p50_s, p95_s, of_tiers, *waited))
        tiers.update(of_tiers)
    return Figures(found, {tier: tiers[tier] for tier in TIERS if tiers[tier]})


def _of_model(counts: Mapping[str, Mapping[str, int]], model: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, of_name in counts.items():
        if model in (ALL_MODELS, name):
            for kind, count in of_name.items():
                found[kind] = found.get(kind, 0) + count
    return found


def read_figures(
    database: Database, *, days: int, model: str = ALL_MODELS, by: str = BY_DAY, route: str = ALL_ROUTES, zone: tzinfo = UTC
) -> Figures:
    """Return the figures of the last ``days`` days by day or by week, of one model and route or of all."""
    wanted = last_days(database, days, by, zone)
    return figures_of(wanted, read_days(database, wanted, by=by, route=route, zone=zone), model)
