"""Figures of the dashboard by day: results, times from the last image to the result, tiers and failures. Days are those of UTC."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from sqlalchemy import text

from db.engine import Database

_JOBS = text("""
    SELECT CAST(coalesce(j.reported_at, j.queued_at) AT TIME ZONE 'UTC' AS date) AS day, coalesce(j.outcome, j.state) AS result,
           count(*) AS jobs
    FROM jobs j WHERE coalesce(j.reported_at, j.queued_at) >= :since AND NOT j.shadow
      AND (j.outcome IS NOT NULL OR j.state IN ('failed', 'quarantined')) AND (CAST(:model AS text) = '' OR j.model = :model)
    GROUP BY 1, 2
""")
_TIMES = text("""
    SELECT CAST(j.reported_at AT TIME ZONE 'UTC' AS date) AS day, count(*) AS jobs,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM j.reported_at - j.last_received_at)) AS p50_s,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM j.reported_at - j.last_received_at)) AS p95_s
    FROM jobs j WHERE coalesce(j.reported_at, j.queued_at) >= :since AND j.reported_at IS NOT NULL AND j.last_received_at IS NOT NULL
      AND j.run = 1 AND NOT j.shadow AND (CAST(:model AS text) = '' OR j.model = :model)
    GROUP BY 1
""")
_TIERS = text("""
    SELECT f.tier, count(*) AS findings FROM findings f JOIN jobs j ON j.id = f.job_id
    WHERE coalesce(j.reported_at, j.queued_at) >= :since AND NOT j.shadow AND (CAST(:model AS text) = '' OR j.model = :model) GROUP BY 1
""")
_TODAY = text("SELECT CAST(node_now() AT TIME ZONE 'UTC' AS date)")

RESULTS = ("findings", "no_finding", "abstained", "not_analysed", "failed", "quarantined")


@dataclass(slots=True)
class DayFigures:
    """One day: how many jobs ended with which result, and how long they took from the last image to the result, in seconds."""

    day: date
    results: dict[str, int] = field(default_factory=dict)
    p50_s: float | None = None
    p95_s: float | None = None

    @property
    def total(self) -> int:
        """All jobs of the day."""
        return sum(self.results.values())


@dataclass(frozen=True, slots=True)
class Figures:
    """The days from the oldest to today, without gaps, and findings by tier over all of them."""

    days: list[DayFigures]
    tiers: dict[str, int]


def read_figures(database: Database, *, days: int, model: str = "") -> Figures:
    """Return the figures of the last ``days`` days, of one model or of all."""
    with database.begin() as connection:
        today: date = connection.execute(_TODAY).scalar_one()
        values: dict[str, Any] = {"since": today - timedelta(days=days - 1), "model": model}
        found = {day: DayFigures(day) for day in (today - timedelta(days=number) for number in range(days - 1, -1, -1))}
        for row in connection.execute(_JOBS, values):
            if row.day in found:
                found[row.day].results[row.result] = row.jobs
        for row in connection.execute(_TIMES, values):
            if row.day in found:
                found[row.day].p50_s, found[row.day].p95_s = float(row.p50_s), float(row.p95_s)
        tiers = {row.tier: row.findings for row in connection.execute(_TIERS, values)}
    return Figures(list(found.values()), tiers)
