"""Compares the results of shadows with those of the pipelines that reported."""

from typing import Any

from sqlalchemy import text

from db.engine import Database
from db.row_values import row_to_json

# Units with results of both pipelines, by the newest result of each: the last units on which a shadow has run.
_COMPARE = text("""
    WITH shadowed AS (
        SELECT DISTINCT unit_id FROM (
            SELECT unit_id FROM jobs WHERE model = :name AND shadow AND outcome IS NOT NULL ORDER BY id DESC LIMIT :units) newest),
    answers AS (
        SELECT DISTINCT ON (j.unit_id, j.pipeline_digest) j.id, j.unit_id, j.revision, j.pipeline_digest, j.model, j.model_version,
               j.shadow, j.outcome, of_job.label, of_job.findings
        FROM shadowed JOIN jobs j ON j.unit_id = shadowed.unit_id
        CROSS JOIN LATERAL (SELECT count(*) AS findings, (array_agg(f.label ORDER BY f.ordinal))[1] AS label
                            FROM findings f WHERE f.job_id = j.id) of_job
        WHERE j.model = :name AND j.outcome IS NOT NULL ORDER BY j.unit_id, j.pipeline_digest, j.revision DESC, j.run DESC)
    SELECT s.model_version AS shadow_version, s.pipeline_digest AS shadow_digest, a.model_version AS reported_version,
           a.pipeline_digest AS reported_digest, count(*) AS units,
           count(*) FILTER (WHERE s.outcome = a.outcome) AS same_outcome,
           count(*) FILTER (WHERE s.label IS NOT DISTINCT FROM a.label) AS same_first_finding,
           round(avg(s.findings), 3)::float8 AS shadow_findings, round(avg(a.findings), 3)::float8 AS reported_findings,
           coalesce(jsonb_agg(s.id ORDER BY s.id) FILTER (WHERE s.outcome <> a.outcome OR s.label IS DISTINCT FROM a.label), '[]')
               AS differing_jobs
    FROM answers s JOIN answers a ON a.unit_id = s.unit_id AND a.revision = s.revision AND NOT a.shadow
    WHERE s.shadow GROUP BY 1, 2, 3, 4 ORDER BY 2, 4
""")
_LAST = text("SELECT max(id) FROM jobs WHERE model = :name AND shadow AND outcome IS NOT NULL")


def last_shadow_result(database: Database, name: str) -> int:
    """Return the number of the newest job of a shadow that has a result, 0 where there is none."""
    with database.begin() as connection:
        return int(connection.execute(_LAST, {"name": name}).scalar_one() or 0)


def compare_shadows(database: Database, name: str, *, units: int | None = None) -> list[dict[str, Any]]:
    """Return, for every shadow and every version that reported, on how many units both have a result, and how often it is the same.

    ``units``: only the units of so many results of shadows are compared, the last ones; None compares all.
    """
    with database.begin() as connection:
        return [row_to_json(row) for row in connection.execute(_COMPARE, {"name": name, "units": units})]
