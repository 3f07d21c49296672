"""The verdicts on results as the console shows them; read only."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text

from core.policy.verdicts import VerdictKind, is_judged
from db import audit
from db.engine import Database

_VERDICTS = text("""
    SELECT v.*, NOT EXISTS (SELECT FROM verdicts later WHERE later.supersedes = v.id) AS current
    FROM verdicts v WHERE v.job_id = ANY(:ids) ORDER BY v.id
""")
_HELD = text("""
    SELECT job_id, array_agg(DISTINCT destination ORDER BY destination) AS destinations, count(*) AS deliveries,
           bool_or(state = 'held') AS waits
    FROM deliveries WHERE job_id = ANY(:ids) AND awaiting_verdict AND state IN ('held', 'given_up') GROUP BY job_id
""")
_ASSESSMENTS = text("SELECT job_id, number, state, error, created_at, finished_at FROM assessments WHERE job_id = ANY(:ids) ORDER BY id")
_RELEASES = text("SELECT job_id, actor, cause, destinations, at FROM result_releases WHERE job_id = ANY(:ids) ORDER BY id")
_RESULT = text("""
    SELECT j.*, u.kind AS unit_kind, se.study_id FROM jobs j JOIN units u ON u.id = j.unit_id JOIN series se ON se.id = u.series_id
    WHERE j.id = :id AND NOT j.shadow AND j.outcome IS NOT NULL
""")
_FINDINGS = text("SELECT * FROM findings WHERE job_id = :id ORDER BY ordinal")
_IMAGES = text("""
    SELECT i.sop_instance_uid, CAST(i.header ->> 'instance_number' AS integer) AS number
    FROM job_inputs ji JOIN instances i ON i.id = ji.instance_id WHERE ji.job_id = :id ORDER BY 2 NULLS LAST, i.id
""")


@dataclass(slots=True)
class ResultVerdicts:
    """The verdicts on one result: ``by_finding`` and ``missed`` are current ones, ``history`` all, the oldest first.

    ``held``: destinations and number of deliveries that a person may release; ``waits`` is False where the result was rejected: they
    have ended. None where there are none.
    """

    by_finding: dict[int, Any] = field(default_factory=dict)
    missed: list[Any] = field(default_factory=list)
    whole: Any = None
    history: list[Any] = field(default_factory=list)
    held: Any = None
    assessments: list[Any] = field(default_factory=list)
    releases: list[Any] = field(default_factory=list)

    @property
    def last(self) -> int:
        """The number of the last verdict, 0 without one."""
        return int(self.history[-1].id) if self.history else 0

    def judged(self, findings: Iterable[int]) -> bool:
        """Whether everything that the result states was judged."""
        return is_judged(list(findings), self.by_finding.keys(), whole=self.whole is not None, missed=len(self.missed))

    def add(self, row: Any) -> None:
        """Sort in the next verdict."""
        self.history.append(row)
        if not row.current or row.verdict == VerdictKind.RETRACTED:
            return
        if row.finding_id is not None:
            self.by_finding[row.finding_id] = row
        elif row.verdict == VerdictKind.MISSED:
            self.missed.append(row)
        else:
            self.whole = row


@dataclass(frozen=True, slots=True)
class ResultDetails:
    """One result with its findings, as the viewer asks for it."""

    row: Any
    findings: list[Any]


def read_verdicts(database: Database, jobs: Iterable[int]) -> dict[int, ResultVerdicts]:
    """Return the verdicts on the results of these jobs, by job."""
    found = {id: ResultVerdicts() for id in jobs}
    with database.begin() as connection:
        for row in connection.execute(_VERDICTS, {"ids": list(found)}):
            found[row.job_id].add(row)
        for row in connection.execute(_HELD, {"ids": list(found)}):
            found[row.job_id].held = row
        for row in connection.execute(_ASSESSMENTS, {"ids": list(found)}):
            found[row.job_id].assessments.append(row)
        for row in connection.execute(_RELEASES, {"ids": list(found)}):
            found[row.job_id].releases.append(row)
    return found


def read_result(database: Database, job_id: int) -> ResultDetails | None:
    """Return a reported result with its findings; None where there is none, or it is a shadow's."""
    with database.begin() as connection:
        row = connection.execute(_RESULT, {"id": job_id}).one_or_none()
        return None if row is None else ResultDetails(row, list(connection.execute(_FINDINGS, {"id": job_id})))


def record_result_view(database: Database, result: ResultDetails, *, viewer: str, address: str) -> None:
    """Record that ``viewer`` has seen the findings and verdicts of one result."""
    details = {"from": address, "job": result.row.id}
    audit.record_now(database, actor=viewer, action="result.viewed", subject=f"study:{result.row.study_id}", details=details)


def images_of_result(database: Database, job_id: int) -> list[Any]:
    """Return SOP Instance UID and Instance Number of the images that the model was given."""
    with database.begin() as connection:
        return list(connection.execute(_IMAGES, {"id": job_id}))
