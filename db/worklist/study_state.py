"""Whether a study has changed since somebody read it: one word, without patient data."""

from sqlalchemy import text

from db.engine import Database

_STATE = text("""
    SELECT md5(coalesce(string_agg(concat_ws(':', u.id, u.state, u.revision, u.outcome, j.id, j.state, j.outcome, j.attempts, d.states), ' '
                                   ORDER BY u.id, j.id), '')) AS state
    FROM series se JOIN units u ON u.series_id = se.id LEFT JOIN jobs j ON j.unit_id = u.id AND NOT j.shadow
    LEFT JOIN LATERAL (SELECT string_agg(d.state || d.id, ' ' ORDER BY d.id) AS states FROM deliveries d WHERE d.job_id = j.id) d ON true
    WHERE se.study_id = :id
""")


def study_state(database: Database, study_id: int) -> str:
    """Return a word that differs when a unit, job or delivery of the study has changed its state."""
    with database.begin() as connection:
        return str(connection.execute(_STATE, {"id": study_id}).scalar_one())
