"""A result as a verdict needs it: locked job, findings, current verdicts, and what is held for it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from core.policy.verdicts import VerdictKind, VerdictRefused, is_judged

AMENDING = frozenset({VerdictKind.CORRECTED, VerdictKind.REJECTED, VerdictKind.MISSED})

_LOCK = text("""
    SELECT id, unit_id, revision, state, outcome, shadow, destinations, awaiting_verdict FROM jobs WHERE id = :id FOR NO KEY UPDATE
""")
_FINDINGS = text("SELECT id FROM findings WHERE job_id = :id ORDER BY ordinal")
_CURRENT = text("""
    SELECT v.id, v.finding_id, v.verdict FROM verdicts v
    WHERE v.job_id = :id AND v.verdict <> 'retracted' AND NOT EXISTS (SELECT FROM verdicts later WHERE later.supersedes = v.id)
    ORDER BY v.id
""")


@dataclass(frozen=True, slots=True)
class SeenResult:
    """What the reader had on the screen: revision of the unit, when the page was made, and the last verdict that it showed (0: none)."""

    revision: int
    at: datetime
    verdict: int = 0


@dataclass(frozen=True, slots=True)
class LockedResult:
    """A job locked for a verdict or a release; ``current``: verdicts that no later one supersedes."""

    job: Any
    findings: tuple[int, ...]
    current: tuple[Any, ...]

    @property
    def judged(self) -> bool:
        """Whether a clinician has decided on everything that the result states."""
        return is_judged(
            self.findings,
            {row.finding_id for row in self.current if row.finding_id is not None},
            whole=any(row.finding_id is None and row.verdict == VerdictKind.ACCEPTED for row in self.current),
            missed=sum(row.verdict == VerdictKind.MISSED for row in self.current),
        )

    @property
    def rejected(self) -> bool:
        """Whether nothing that the result states is left: every finding was rejected, and none was added."""
        return bool(self.findings) and self.judged and all(row.verdict == VerdictKind.REJECTED for row in self.current)

    @property
    def amended(self) -> bool:
        """Whether a finding was corrected, rejected or added."""
        return any(row.verdict in AMENDING for row in self.current)


def lock_result(connection: Connection, job_id: int) -> LockedResult:
    """Lock the job of a result and read what was decided on it.

    Raises
    ------
    VerdictRefused
        There is no such result, it is a shadow's, or a newer one has replaced it.
    """
    job = connection.execute(_LOCK, {"id": job_id}).one_or_none()
    if job is None or job.outcome is None or job.shadow:
        raise VerdictRefused(f"job {job_id} has no result to judge", hint="open the study and choose a result that is shown there")
    if job.state in ("superseded", "cancelled"):
        raise VerdictRefused("a newer result has replaced this one", hint="reload the page and judge the newer result")
    return read_locked(connection, job)


def read_locked(connection: Connection, job: Any) -> LockedResult:
    """Return findings and current verdicts of a job that the caller has locked."""
    findings = tuple(connection.execute(_FINDINGS, {"id": job.id}).scalars())
    return LockedResult(job, findings, tuple(connection.execute(_CURRENT, {"id": job.id})))
