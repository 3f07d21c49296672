"""Whether a study has changed since somebody read it: one word and the last verdicts, without patient data."""

from sqlalchemy import text

from db.engine import Database

_STATE = text("""
    SELECT md5(coalesce(string_agg(
               concat_ws(':', u.id, u.state, u.revision, u.outcome, u.reason, j.id, j.state, j.outcome, j.attempts, d.states), ' '
               ORDER BY u.id, j.id), '')) AS state
    FROM series se JOIN units u ON u.series_id = se.id LEFT JOIN jobs j ON j.unit_id = u.id AND NOT j.shadow
    LEFT JOIN LATERAL (SELECT string_agg(d.state || d.id, ' ' ORDER BY d.id) AS states FROM deliveries d WHERE d.job_id = j.id) d ON true
    WHERE se.study_id = :id
""")

_VERDICTS = text("""
    SELECT j.id, max(v.id) AS last FROM series se JOIN units u ON u.series_id = se.id JOIN jobs j ON j.unit_id = u.id
    JOIN verdicts v ON v.job_id = j.id WHERE se.study_id = :id GROUP BY j.id
""")


def study_state(database: Database, study_id: int) -> str:
    """Return a word that differs when a unit, job or delivery of the study has changed its state."""
    with database.begin() as connection:
        return str(connection.execute(_STATE, {"id": study_id}).scalar_one())


def last_verdicts(database: Database, study_id: int) -> dict[int, int]:
    """Return the number of the last verdict on each judged result of the study, by job."""
    with database.begin() as connection:
        return {row.id: row.last for row in connection.execute(_VERDICTS, {"id": study_id})}
