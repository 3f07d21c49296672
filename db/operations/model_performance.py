"""Performance of models by the verdicts of clinicians: by version, week and scanner; calibration; abstentions.

Weeks are those of a time zone, and named by their Monday. Only the current verdict on a finding counts. A finding
is *right* where it was accepted, or corrected without a change of its class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

from sqlalchemy import text

from core.policy.proportions import Share
from core.time_zone import day_begins, monday_of
from db.engine import Database

WEEKS, WEEK = 26, timedelta(weeks=1)
_RIGHT = "(v.verdict = 'accepted' OR v.verdict = 'corrected' AND (v.label = '' OR v.label = f.label))"
_CURRENT = """v.verdict <> 'retracted'
    AND NOT EXISTS (SELECT FROM verdicts later WHERE later.supersedes = v.id AND later.supersedes IS NOT NULL)"""
# Few of all findings are judged: they are read by their numbers, and the table is not read to its end.
_FEW_ROWS = text("SET LOCAL random_page_cost = 1.1")
# Verdicts are summed up by result first, so that the three groupings sort few rows. A finding is read only for a change of its class.
_FIGURES = text(f"""
    WITH of_job AS MATERIALIZED (
        SELECT v.job_id, width_bucket(v.at, CAST(:begins AS timestamptz[])) AS week,
               count(*) FILTER (WHERE v.finding_id IS NOT NULL) AS judged,
               count(*) FILTER (WHERE v.finding_id IS NOT NULL AND v.verdict = 'accepted') AS accepted,
               count(*) FILTER (WHERE v.finding_id IS NOT NULL AND {_RIGHT}) AS right_count,
               count(*) FILTER (WHERE v.verdict = 'missed') AS missed
        FROM verdicts v
        LEFT JOIN findings f ON f.id = CASE WHEN v.verdict = 'corrected' AND v.label <> '' THEN v.finding_id END
        WHERE {_CURRENT} AND v.at > :since
        GROUP BY 1, 2)
    SELECT grouping(j.model_version, j.pipeline_digest) = 0 AS by_version, grouping(o.week) = 0 AS by_week,
           grouping(j.scanner) = 0 AS by_scanner, j.model_version, j.pipeline_digest, o.week, j.scanner,
           sum(o.judged)::bigint AS judged, sum(o.accepted)::bigint AS accepted, sum(o.right_count)::bigint AS right_count,
           -- a finding that was added where no model has answered is no miss of it
           coalesce(sum(o.missed) FILTER (WHERE j.outcome IN ('findings', 'no_finding')), 0)::bigint AS missed,
           count(DISTINCT o.job_id) AS results
    FROM of_job o JOIN jobs j ON j.id = o.job_id WHERE j.model = :model AND NOT j.shadow
    GROUP BY GROUPING SETS ((j.model_version, j.pipeline_digest), (o.week), (j.scanner))
    ORDER BY o.week, j.model_version, j.scanner
""")
_RECENT = text(f"""
    SELECT count(*) AS judged, count(*) FILTER (WHERE v.verdict = 'accepted') AS accepted
    FROM verdicts v JOIN jobs j ON j.id = v.job_id
    WHERE j.pipeline_digest = :digest AND v.finding_id IS NOT NULL AND {_CURRENT}
      AND v.at > (SELECT node_now()) - make_interval(days => :days)
""")
_CALIBRATION = text(f"""
    WITH judged AS MATERIALIZED (
        SELECT v.finding_id, v.verdict, v.label FROM verdicts v JOIN jobs j ON j.id = v.job_id
        WHERE j.model = :model AND j.pipeline_digest = :digest AND NOT j.shadow AND v.finding_id IS NOT NULL AND {_CURRENT}
          AND v.at > :since)
    -- A pipeline gives all of its findings a probability, or none: of one that gives none, not every finding is looked at.
    SELECT least(9, floor(f.probability * 10))::int AS bin, count(*) AS n, avg(f.probability)::float8 AS mean,
           count(*) FILTER (WHERE {_RIGHT}) AS right_count
    FROM judged v JOIN findings f ON f.id = v.finding_id
    WHERE f.probability IS NOT NULL
      AND (SELECT bool_or(probability IS NOT NULL) FROM findings WHERE id IN (SELECT finding_id FROM judged LIMIT 20))
    GROUP BY 1 ORDER BY 1
""")
# Each week is a range of the index, so that no week is computed for a row.
_OUTCOMES = text("""
    SELECT weeks.place AS week, of_week.n, of_week.abstained
    FROM unnest(CAST(:begins AS timestamptz[]), CAST(:ends AS timestamptz[])) WITH ORDINALITY AS weeks (begins_at, ends_at, place)
    CROSS JOIN LATERAL (
        SELECT count(*) AS n, count(*) FILTER (WHERE outcome = 'abstained') AS abstained FROM jobs
        WHERE model = :model AND NOT shadow AND reported_at IS NOT NULL AND outcome IS NOT NULL
          AND coalesce(reported_at, queued_at) > :since
          AND coalesce(reported_at, queued_at) >= weeks.begins_at AND coalesce(reported_at, queued_at) < weeks.ends_at) AS of_week
    WHERE of_week.n > 0 ORDER BY 1
""")
_LAST_VERDICT = text("SELECT max(id) FROM verdicts")
_STUDIES = text("""
    SELECT j.id, se.study_id FROM jobs j JOIN units u ON u.id = j.unit_id JOIN series se ON se.id = u.series_id WHERE j.id = ANY(:ids)
""")


@dataclass(frozen=True, slots=True)
class VerdictFigures:
    """Figures of one group.

    Attributes
    ----------
    name
        The version, the Monday of the week, or the scanner.
    acceptance
        Findings that were accepted as they are, of those that were judged.
    ppv
        Findings that were right, of those that were judged: the positive predictive value.
    missed
        Findings that clinicians added to an answer of the model.
    results
        Results on which there is a verdict.
    """

    name: str
    acceptance: Share
    ppv: Share
    missed: int
    results: int


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Judged findings whose probability falls into one tenth: mean probability, and the share that was right."""

    mean: float
    right: Share


@dataclass(frozen=True, slots=True)
class ModelPerformance:
    """Figures of one model by the verdicts of the last 26 weeks."""

    by_version: tuple[VerdictFigures, ...]
    by_week: tuple[VerdictFigures, ...]
    by_scanner: tuple[VerdictFigures, ...]
    calibration: tuple[CalibrationBin, ...]


def read_performance(database: Database, model: str, digest: str, zone: tzinfo = UTC) -> ModelPerformance:
    """Return the figures of a model by verdicts; the calibration is that of the version with this digest."""
    since, mondays = _last_weeks(database.now(), zone)
    begins = [day_begins(monday, zone) for monday in mondays]
    with database.begin() as connection:
        connection.execute(_FEW_ROWS)
        rows = connection.execute(_FIGURES, {"model": model, "since": since, "begins": begins}).all()
        bins = connection.execute(_CALIBRATION, {"model": model, "digest": digest, "since": since}).all()
    return ModelPerformance(
        by_version=tuple(_figures(f"{row.model_version} ({row.pipeline_digest[:12]})", row) for row in rows if row.by_version),
        by_week=tuple(_figures(mondays[row.week - 1].isoformat(), row) for row in rows if row.by_week),
        by_scanner=tuple(_figures(row.scanner or "unknown", row) for row in rows if row.by_scanner),
        calibration=tuple(CalibrationBin(row.mean, Share(row.right_count, row.n)) for row in bins),
    )


def read_abstentions(database: Database, model: str, zone: tzinfo = UTC) -> list[tuple[str, Share]]:
    """Return (Monday of the week, share of results without an answer) of the last 26 weeks."""
    since, mondays = _last_weeks(database.now(), zone)
    begins = [day_begins(monday, zone) for monday in (*mondays, mondays[-1] + WEEK)]
    values = {"model": model, "since": since, "begins": begins[:-1], "ends": begins[1:]}
    with database.begin() as connection:
        connection.execute(_FEW_ROWS)
        outcomes = connection.execute(_OUTCOMES, values).all()
    return [(mondays[row.week - 1].isoformat(), Share(row.abstained, row.n)) for row in outcomes]


def last_verdict(database: Database) -> int:
    """Return the number of the last verdict, 0 where there is none. Verdicts are never changed: until a later one, figures stay."""
    with database.begin() as connection:
        return int(connection.execute(_LAST_VERDICT).scalar_one() or 0)


def recent_acceptance(database: Database, digest: str, days: int) -> Share:
    """Return how many of the judged findings of a version were accepted in the last days."""
    with database.begin() as connection:
        row = connection.execute(_RECENT, {"digest": digest, "days": days}).one()
    return Share(row.accepted, row.judged)


def studies_of_jobs(database: Database, ids: list[int]) -> dict[int, int]:
    """Return the study of each job."""
    with database.begin() as connection:
        return {row.id: row.study_id for row in connection.execute(_STUDIES, {"ids": ids})}


def _last_weeks(now: datetime, zone: tzinfo) -> tuple[datetime, Sequence[date]]:
    """Return the moment of 26 weeks ago, since which is counted, and the Mondays of the weeks of the zone since then."""
    since = now - WEEKS * WEEK
    first, last = (monday_of(at.astimezone(zone).date()) for at in (since, now))
    return since, [first + number * WEEK for number in range((last - first) // WEEK + 1)]


def _figures(name: str, row: Any) -> VerdictFigures:
    return VerdictFigures(name, Share(row.accepted, row.judged), Share(row.right_count, row.judged), row.missed, row.results)
