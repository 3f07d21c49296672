"""One study as the study page shows it: its units with every job, finding, object, attempt and delivery, and who has viewed it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from db import audit
from db.engine import Database
from db.jobs.prior_results import NEWER_ANSWER

_STUDY = text("SELECT * FROM studies WHERE id = :id")
_UNITS = text("""
    SELECT u.*, se.series_instance_uid, se.modality, se.series_number, se.series_description, se.body_part_examined
    FROM units u JOIN series se ON se.id = u.series_id WHERE se.study_id = :id ORDER BY se.series_number NULLS LAST, se.id, u.id
""")
_JOBS = text("""
    SELECT j.*, u.kind AS unit_kind FROM jobs j JOIN units u ON u.id = j.unit_id JOIN series se ON se.id = u.series_id
    WHERE se.study_id = :id ORDER BY j.id DESC
""")
_FINDINGS = text("SELECT * FROM findings WHERE job_id = ANY(:jobs) ORDER BY job_id, ordinal")
_PRIORS = text(f"""
    SELECT p.*, se.study_id, o.state = 'superseded' AND {NEWER_ANSWER} AS replaced
    FROM job_priors p JOIN jobs o ON o.id = p.prior_job_id JOIN units u ON u.id = o.unit_id JOIN series se ON se.id = u.series_id
    WHERE p.job_id = ANY(:jobs) ORDER BY p.job_id, p.place
""")
_ATTEMPTS = text("SELECT * FROM attempts WHERE job_id = ANY(:jobs) ORDER BY id")
_OBJECTS = text("SELECT * FROM reports WHERE job_id = ANY(:jobs) ORDER BY id")
_DELIVERIES = text("""
    SELECT d.*, r.kind, r.sop_instance_uid FROM deliveries d JOIN reports r ON r.id = d.report_id WHERE d.job_id = ANY(:jobs) ORDER BY d.id
""")
_VIEWS = text("""
    SELECT max(at) AS at, actor, action, details ->> 'from' AS address, count(*) AS times
    FROM audit_events WHERE subject = :subject AND action = ANY(:actions)
    GROUP BY actor, action, details ->> 'from', date_trunc('day', at) ORDER BY 1 DESC LIMIT 20
""")
VIEWS_OF_A_STUDY = ("study.viewed", "viewer.opened", "result.viewed", "object.viewed", "object.downloaded")
"""Actions of people that showed the content of one study, which is the subject of the event."""
_OBJECT = text("""
    SELECT r.sha256, r.sop_instance_uid, r.kind, r.removed_at, r.job_id, j.unit_id, se.study_id
    FROM reports r JOIN jobs j ON j.id = r.job_id JOIN units u ON u.id = j.unit_id JOIN series se ON se.id = u.series_id WHERE r.id = :id
""")


@dataclass(slots=True)
class JobDetails:
    """One job with everything that belongs to it; the rows are those of their tables.

    ``priors``: the earlier results with which it is compared. ``newer_images``: images of the unit have arrived or changed since, so that
    the result, which still counts, does not cover them.
    """

    row: Any
    newer_images: bool = False
    findings: list[Any] = field(default_factory=list)
    priors: list[Any] = field(default_factory=list)
    attempts: list[Any] = field(default_factory=list)
    objects: list[Any] = field(default_factory=list)
    deliveries: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class UnitDetails:
    """One unit: ``current`` jobs whose results count, ``earlier`` ones that were superseded, ``shadows`` that are not reported."""

    row: Any
    current: list[JobDetails] = field(default_factory=list)
    earlier: list[JobDetails] = field(default_factory=list)
    shadows: list[JobDetails] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class StudyDetails:
    """One study; ``views`` are the last views of it by people: those of one kind by one person on one day are one row."""

    row: Any
    units: list[UnitDetails]
    views: list[Any]


@dataclass(frozen=True, slots=True)
class StoredResultObject:
    """Where the bytes of one result object are."""

    study_id: int
    unit_id: int
    job_id: int
    sha256: str
    sop_instance_uid: str
    kind: str
    removed_at: datetime | None


def read_study(database: Database, id: int, *, viewer: str, address: str) -> StudyDetails | None:
    """Return a study and record that ``viewer`` has viewed it, in one transaction; None where there is no such study."""
    with database.begin() as connection:
        study = connection.execute(_STUDY, {"id": id}).one_or_none()
        if study is None:
            return None
        views = list(connection.execute(_VIEWS, {"subject": f"study:{id}", "actions": list(VIEWS_OF_A_STUDY)}))
        units = _units(connection, id)
        audit.record(connection, actor=viewer, action="study.viewed", subject=f"study:{id}", details={"from": address})
    return StudyDetails(study, units, views)


def _units(connection: Connection, study_id: int) -> list[UnitDetails]:
    jobs = {row.id: JobDetails(row) for row in connection.execute(_JOBS, {"id": study_id})}
    of_jobs = (
        *((_FINDINGS, "findings"), (_PRIORS, "priors"), (_ATTEMPTS, "attempts")),
        *((_OBJECTS, "objects"), (_DELIVERIES, "deliveries")),
    )
    for statement, name in of_jobs if jobs else ():
        for row in connection.execute(statement, {"jobs": list(jobs)}):
            getattr(jobs[row.job_id], name).append(row)
    units = {row.id: UnitDetails(row) for row in connection.execute(_UNITS, {"id": study_id})}
    for job in jobs.values():
        unit = units[job.row.unit_id]
        ended = job.row.state in ("superseded", "cancelled")
        job.newer_images = job.row.outcome is not None and not ended and job.row.revision < unit.row.revision
        kept = unit.shadows if job.row.shadow else unit.earlier if ended else unit.current
        kept.append(job)
    return list(units.values())


def find_result_object(database: Database, id: int) -> StoredResultObject | None:
    """Return where a result object is stored; None where there is no such object. What is then shown is recorded (`record_object`)."""
    with database.begin() as connection:
        row = connection.execute(_OBJECT, {"id": id}).one_or_none()
    return (
        None
        if row is None
        else StoredResultObject(row.study_id, row.unit_id, row.job_id, row.sha256, row.sop_instance_uid, row.kind, row.removed_at)
    )


def record_object(database: Database, found: StoredResultObject, act: str, *, viewer: str, address: str) -> None:
    """Record that ``viewer`` has ``act`` (viewed, downloaded) a result object, before it is sent."""
    details = {"from": address, "kind": found.kind, "sha256": found.sha256}
    audit.record_now(database, actor=viewer, action=f"object.{act}", subject=f"study:{found.study_id}", details=details)


def record_list_view(database: Database, studies: list[int], *, viewer: str, address: str) -> None:
    """Record that ``viewer`` has seen these studies in the worklist."""
    if studies:
        audit.record_now(
            database, actor=viewer, action="worklist.viewed", subject="worklist", details={"from": address, "studies": studies}
        )
