"""A job whose attempts are used up owes a report that says why it was not analysed: no silence that reads as a negative.

``jobs.failure_state`` holds the state in which such a job stands (failed, quarantined) until that report is committed, or could not be
made in several attempts of its own; these are claimed by ``db.jobs.claim`` and ended here.
"""

from sqlalchemy import Connection, text

from core.records import InstanceHeader
from db import audit
from db.engine import Database
from db.jobs import outbox
from db.row_values import header_of

TRIES = 3  # where the attempt died, or trying again is of little use
PATIENT_TRIES = 10  # where a disk or a database may come back

_OWE = text("UPDATE jobs SET failure_state = state, not_analysed_attempts = 0, next_attempt_at = node_now() WHERE id = :id AND NOT shadow")
_BACK = text("""
    UPDATE jobs SET state = failure_state, not_analysed_attempts = not_analysed_attempts - :uncounted,
        worker = NULL, token = NULL, lease_until = NULL,
        next_attempt_at = node_now() + make_interval(secs => :in_s)
    WHERE id = :id
""")
_NEVER = text("UPDATE jobs SET failure_state = NULL, reason = reason || :why WHERE id = :id")
_KEPT = text("""
    SELECT i.header FROM job_inputs ji JOIN instances i ON i.id = ji.instance_id WHERE ji.job_id = :job_id ORDER BY i.id LIMIT 1
""")


def owe(connection: Connection, job_id: int) -> None:
    """The job was given up just now, in the caller's transaction; shadows report nothing."""
    if connection.execute(_OWE, {"id": job_id}).rowcount:
        outbox.add(connection, [job_id])


def put_back(connection: Connection, job_id: int, *, uncounted: int = 0, in_s: float = 0.0) -> None:
    """An attempt to explain ended without report: the job stands where it stood, locked by the caller."""
    connection.execute(_BACK, {"id": job_id, "uncounted": uncounted, "in_s": in_s})


def failed(connection: Connection, job_id: int, tries: int, *, error: str, permanent: bool, in_s: float = 0.0) -> None:
    """As `put_back`; after enough tries the job's row alone says why, and that nobody was told."""
    put_back(connection, job_id, in_s=in_s)
    if tries >= (TRIES if permanent else PATIENT_TRIES):
        connection.execute(_NEVER, {"id": job_id, "why": f"; and no report could be made that says so: {error}"})
        audit.record(connection, actor="node", action="job.unexplained", subject=f"job:{job_id}", details={"tries": tries})


def kept_header(database: Database, job_id: int) -> InstanceHeader | None:
    """What was kept of the first input's header when it came in: no file is read. None for a job without inputs."""
    with database.begin() as connection:
        found = connection.execute(_KEPT, {"job_id": job_id}).scalar_one_or_none()
    return None if found is None else header_of(found)
