"""Jobs that fail permanently: a report must say why they were not analysed, because a missing report may be read as a negative result.

``jobs.failure_state`` holds the state of such a job (failed or quarantined) until that report is committed, or could not be made in
several attempts of its own. These attempts are claimed by `db.jobs.claim.claim_not_analysed` and end here.
"""

from sqlalchemy import Connection, text

from core.records import InstanceHeader
from db import audit
from db.engine import Database
from db.jobs import outbox
from db.row_values import header_from_json

MAX_TRIES_PERMANENT = 3  # after errors that repeating will hardly cure, or where the worker died
MAX_TRIES_TRANSIENT = 10  # after errors of a disk or a database, which may recover

_REQUIRE = text("""
    UPDATE jobs SET failure_state = state, not_analysed_attempts = 0, next_attempt_at = node_now() WHERE id = :id AND NOT shadow
""")
_RETURN = text("""
    UPDATE jobs SET state = failure_state, not_analysed_attempts = not_analysed_attempts - :uncounted,
        worker = NULL, token = NULL, lease_until = NULL, next_attempt_at = node_now() + make_interval(secs => :in_s)
    WHERE id = :id
""")
_STOP = text("UPDATE jobs SET failure_state = NULL, reason = reason || :why WHERE id = :id")
_FIRST_HEADER = text("""
    SELECT i.header FROM job_inputs ji JOIN instances i ON i.id = ji.instance_id WHERE ji.job_id = :job_id ORDER BY i.id LIMIT 1
""")


def require_report(connection: Connection, job_id: int) -> None:
    """Have the report made for a job that has just failed permanently in the caller's transaction; shadows make none."""
    if connection.execute(_REQUIRE, {"id": job_id}).rowcount:
        outbox.add_wake_ups(connection, [job_id])


def end_without_report(connection: Connection, job_id: int, *, uncounted: int = 0, in_s: float = 0.0) -> None:
    """End an attempt that made no report: the job, locked by the caller, gets its state back and is tried again in ``in_s``.

    ``uncounted``: 1 if the attempt does not count.
    """
    connection.execute(_RETURN, {"id": job_id, "uncounted": uncounted, "in_s": in_s})


def end_with_failure(connection: Connection, job_id: int, tries: int, *, error: str, permanent: bool, in_s: float = 0.0) -> None:
    """End an attempt that failed, as `end_without_report`; after too many tries the reason of the job says that no report could be made."""
    end_without_report(connection, job_id, in_s=in_s)
    if tries >= (MAX_TRIES_PERMANENT if permanent else MAX_TRIES_TRANSIENT):
        connection.execute(_STOP, {"id": job_id, "why": f"; and no report could be made that says so: {error}"})
        audit.record(connection, actor="node", action="job.unexplained", subject=f"job:{job_id}", details={"tries": tries})


def first_input_header(database: Database, job_id: int) -> InstanceHeader | None:
    """Return the header of a job's first input as it was indexed, without reading a file; None for a job without inputs."""
    with database.begin() as connection:
        found = connection.execute(_FIRST_HEADER, {"job_id": job_id}).scalar_one_or_none()
    return None if found is None else header_from_json(found)
