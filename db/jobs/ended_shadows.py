"""Ends the shadow job of a unit where the same version is to report: one revision has one result of a pipeline."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from db import audit

_END = text("""
    UPDATE jobs SET state = 'superseded', worker = NULL, token = NULL, lease_until = NULL
    WHERE unit_id = :unit_id AND pipeline_digest = :digest AND revision = :revision AND shadow AND state NOT IN ('superseded', 'cancelled')
    RETURNING id
""")
_END_ATTEMPTS = text("UPDATE attempts SET result = 'superseded', ended_at = node_now() WHERE job_id = :id AND ended_at IS NULL")
_BY = text("UPDATE jobs SET superseded_by = :by WHERE id = :id")


@dataclass(frozen=True, slots=True)
class EndedShadow:
    """A shadow job that was superseded in the caller's transaction; ``job_id`` is None where there was none."""

    job_id: int | None

    def name_successor(self, connection: Connection, by: int, *, actor: str) -> None:
        """Record the job that takes its place."""
        if self.job_id is not None:
            connection.execute(_BY, {"id": self.job_id, "by": by})
            audit.record(connection, actor=actor, action="job.superseded", subject=f"job:{self.job_id}", details={"by": by})


def end_shadow(connection: Connection, *, unit_id: int, digest: str, revision: int) -> EndedShadow:
    """Supersede the shadow job that a unit, which is locked, has for a pipeline; its result is not reported, so another run has to be."""
    job_id = connection.execute(_END, {"unit_id": unit_id, "digest": digest, "revision": revision}).scalar_one_or_none()
    if job_id is not None:
        connection.execute(_END_ATTEMPTS, {"id": job_id})
    return EndedShadow(job_id)
