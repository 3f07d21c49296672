"""Performance of models by the verdicts of clinicians: by version, week and scanner; calibration; abstentions.

Only the current verdict on a finding counts. A finding is *right* where it was accepted, or corrected without a change of its class.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from core.policy.proportions import Share
from db.engine import Database

WEEKS = 26
_RIGHT = "(v.verdict = 'accepted' OR v.verdict = 'corrected' AND (v.label = '' OR v.label = f.label))"
_CURRENT = """v.verdict <> 'retracted'
    AND NOT EXISTS (SELECT FROM verdicts later WHERE later.supersedes = v.id AND later.supersedes IS NOT NULL)"""
# Few of all findings are judged: they are read by their numbers, and the table is not read to its end.
_FEW_ROWS = text("SET LOCAL random_page_cost = 1.1")
# Verdicts are summed up by result first, so that the three groupings sort few rows. A finding is read only for a change of its class.
_FIGURES = text(f"""
    WITH of_job AS MATERIALIZED (
        SELECT v.job_id, week.begin AS week, count(*) FILTER (WHERE v.finding_id IS NOT NULL) AS judged,
               count(*) FILTER (WHERE v.finding_id IS NOT NULL AND v.verdict = 'accepted') AS accepted,
               count(*) FILTER (WHERE v.finding_id IS NOT NULL AND {_RIGHT}) AS right_count,
               count(*) FILTER (WHERE v.verdict = 'missed') AS missed
        FROM verdicts v
        LEFT JOIN findings f ON f.id = CASE WHEN v.verdict = 'corrected' AND v.label <> '' THEN v.finding_id END
        CROSS JOIN LATERAL (SELECT date_trunc('week', v.at AT TIME ZONE 'UTC')::date AS begin) AS week
        WHERE {_CURRENT} AND v.at > (SELECT node_now()) - make_interval(weeks => :weeks)
        GROUP BY v.job_id, week.begin)
    SELECT grouping(j.model_version, j.pipeline_digest) = 0 AS by_version, grouping(o.week) = 0 AS by_week,
           grouping(j.scanner) = 0 AS by_scanner, j.model_version, j.pipeline_digest, o.week, j.scanner,
           sum(o.judged)::bigint AS judged, sum(o.accepted)::bigint AS accepted, sum(o.right_count)::bigint AS right_count,
           sum(o.missed)::bigint AS missed, count(DISTINCT o.job_id) AS results
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
          AND v.at > (SELECT node_now()) - make_interval(weeks => :weeks))
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
    SELECT weeks.monday::date AS week, of_week.n, of_week.abstained
    FROM (SELECT (SELECT node_now()) - make_interval(weeks => :weeks) AS since) AS begin
    CROSS JOIN LATERAL generate_series(
        date_trunc('week', begin.since AT TIME ZONE 'UTC'), (SELECT node_now()) AT TIME ZONE 'UTC', interval '1 week') AS weeks (monday)
    CROSS JOIN LATERAL (
        SELECT count(*) AS n, count(*) FILTER (WHERE outcome = 'abstained') AS abstained FROM jobs
        WHERE model = :model AND NOT shadow AND reported_at IS NOT NULL AND outcome IS NOT NULL
          AND coalesce(reported_at, queued_at) > begin.since
          AND coalesce(reported_at, queued_at) >= weeks.monday AT TIME ZONE 'UTC'
          AND coalesce(reported_at, queued_at) < (weeks.monday + interval '1 week') AT TIME ZONE 'UTC') AS of_week
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
        Findings that clinicians added.
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


def read_performance(database: Database, model: str, digest: str) -> ModelPerformance:
    """Return the figures of a model by verdicts; the calibration is that of the version with this digest."""
    with database.begin() as connection:
        connection.execute(_FEW_ROWS)
        rows = connection.execute(_FIGURES, {"model": model, "weeks": WEEKS}).all()
        bins = connection.execute(_CALIBRATION, {"model": model, "digest": digest, "weeks": WEEKS}).all()
    return ModelPerformance(
        by_version=tuple(_figures(f"{row.model_version} ({row.pipeline_digest[:12]})", row) for row in rows if row.by_version),
        by_week=tuple(_figures(row.week.isoformat(), row) for row in rows if row.by_week),
        by_scanner=tuple(_figures(row.scanner or "unknown", row) for row in rows if row.by_scanner),
        calibration=tuple(CalibrationBin(row.mean, Share(row.right_count, row.n)) for row in bins),
    )


def read_abstentions(database: Database, model: str) -> list[tuple[str, Share]]:
    """Return (Monday of the week, share of results without an answer) of the last 26 weeks."""
    with database.begin() as connection:
        connection.execute(_FEW_ROWS)
        outcomes = connection.execute(_OUTCOMES, {"model": model, "weeks": WEEKS}).all()
    return [(row.week.isoformat(), Share(row.abstained, row.n)) for row in outcomes]


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


def _figures(name: str, row: Any) -> VerdictFigures:
    return VerdictFigures(name, Share(row.accepted, row.judged), Share(row.right_count, row.judged), row.missed, row.results)
