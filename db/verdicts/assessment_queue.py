"""The assessments to be made: asked for in the transaction of a verdict, encoded later by a worker under a lease."""

from sqlalchemy import Connection, text

SETTLE_S = 5.0
"""An assessment is encoded this long after the verdict, so that verdicts given one after the other make one report."""

_LAST = text("SELECT coalesce(max(number), 0) FROM assessments WHERE job_id = :job_id")
_SUPERSEDE = text("UPDATE assessments SET state = 'superseded', finished_at = node_now() WHERE job_id = :job_id AND state = 'queued'")
_QUEUE = text("""
    INSERT INTO assessments (job_id, number, last_verdict_id, next_attempt_at)
    VALUES (:job_id, :number, :verdict, node_now() + make_interval(secs => :settle_s))
""")


def queue_assessment(connection: Connection, job_id: int, verdict: int, *, judged: bool) -> None:
    """Ask for an assessment that covers all verdicts up to ``verdict``, in place of one that waits. The caller has locked the job.

    The first one is made when everything is ``judged``; after it, every further verdict makes another.
    """
    last = int(connection.execute(_LAST, {"job_id": job_id}).scalar_one())
    if judged or last:
        connection.execute(_SUPERSEDE, {"job_id": job_id})
        connection.execute(_QUEUE, {"job_id": job_id, "number": last + 1, "verdict": verdict, "settle_s": SETTLE_S})
