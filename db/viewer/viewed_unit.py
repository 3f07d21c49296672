"""One unit as the viewer shows it: its images, one of its results, and where the outlines are. Opening it is an audit event."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from db import audit
from db.engine import Database
from db.viewer.compared_results import ComparedResults, read_compared_results

_UNIT = text("""
    SELECT u.id, u.kind, u.sop_instance_uid, u.revision, u.reason, u.state, se.series_number,
           se.series_description, se.modality, se.body_part_examined,
           se.series_instance_uid, st.id AS study_id, st.study_instance_uid, st.patient_name, st.patient_id, st.patient_birth_date,
           st.patient_sex, st.study_description, st.study_date
    FROM units u JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id WHERE u.id = :id
""")
_JOBS = text("""
    SELECT j.id, j.model, j.model_version, j.pipeline_digest, j.state, j.outcome, j.reason, j.shadow, j.revision, j.run, j.reported_at,
           j.probabilities, j.looked_for, j.notes, j.identity ->> 'not_for' AS not_for, j.prior_rule
    FROM jobs j WHERE j.unit_id = :id
    ORDER BY j.shadow, j.state IN ('superseded', 'cancelled'), j.outcome IS NULL, j.outcome <> 'findings', j.id DESC
""")
MOST_UNITS = 500  # of a study that are listed
_UNITS_OF_STUDY = text(f"""
    SELECT u.id, u.kind, u.held, se.modality, se.series_number, se.series_description,
           row_number() OVER (PARTITION BY u.series_id ORDER BY u.id) AS place, count(*) OVER (PARTITION BY u.series_id) AS of_series
    FROM units u JOIN series se ON se.id = u.series_id WHERE se.study_id = :study ORDER BY se.series_number, se.id, u.id LIMIT {MOST_UNITS}
""")
_FINDINGS = text("SELECT * FROM findings WHERE job_id = :job ORDER BY ordinal")
_IMAGES_OF_JOB = text("""
    SELECT i.sop_instance_uid, i.sha256, i.size_bytes, i.removed_at, (i.header ->> 'instance_number')::int AS instance_number
    FROM job_inputs ji JOIN instances i ON i.id = ji.instance_id WHERE ji.job_id = :job ORDER BY instance_number, i.id
""")
_IMAGES_OF_UNIT = text("""
    SELECT i.sop_instance_uid, i.sha256, i.size_bytes, i.removed_at, (i.header ->> 'instance_number')::int AS instance_number
    FROM instances i WHERE i.unit_id = :id AND i.state = 'current' ORDER BY instance_number, i.id
""")
_OVERLAYS = text("SELECT sha256, removed_at FROM result_overlays WHERE job_id = :job")
_JOB_OF_UNIT = text("SELECT EXISTS (SELECT FROM jobs WHERE id = :job AND unit_id = :id)")


@dataclass(frozen=True, slots=True)
class UnitImages:
    """The images of a unit or of a result. ``key`` names their content: the same images have the same key.

    Attributes
    ----------
    kind
        series or image.
    hashes
        SHA-256 of each file, which is the name of its blob, by Instance Number where the images have one.
    removed
        How many of them retention has removed.
    instance_numbers
        Instance Number (0020,0013) by SOP Instance UID, where an image has one.
    """

    kind: str
    key: str
    hashes: tuple[str, ...]
    removed: int
    instance_numbers: dict[str, int]


@dataclass(frozen=True, slots=True)
class ViewedUnit:
    """A unit with the result that is shown: ``job`` is None where the unit has none. Rows are those of their tables.

    ``of_study``: the units of its study, as `units_of_study` returns them. ``compared``: with what the result was compared; None where its
    route asks for no comparison.
    """

    row: Any
    jobs: Sequence[Any]
    job: Any | None
    findings: Sequence[Any]
    images: UnitImages
    of_study: Sequence[Any]
    compared: ComparedResults | None = None

    @property
    def latest_result(self) -> int | None:
        """Number of the last job whose result counts; None where there is none."""
        counting = (job.id for job in self.jobs if not job.shadow and job.outcome and job.state not in ("superseded", "cancelled"))
        return max(counting, default=None)

    @property
    def newer_images(self) -> bool:
        """Whether images have arrived or changed since, so that the result, which still counts, does not cover them."""
        job = self.job
        if job is None or job.outcome is None or job.state in ("superseded", "cancelled"):
            return False
        return bool(job.revision < self.row.revision)


def open_unit(database: Database, unit_id: int, *, job_id: int | None, viewer: str, address: str) -> ViewedUnit | None:
    """Return a unit with one of its results, and record that ``viewer`` has opened it, in one transaction.

    Parameters
    ----------
    job_id
        The result to be shown; None for the one that counts, which is never a shadow's. The images are those that its model was given.

    Returns
    -------
    None where there is no such unit, or where the job is not one of it.
    """
    with database.begin() as connection:
        row = connection.execute(_UNIT, {"id": unit_id}).one_or_none()
        if row is None:
            return None
        jobs = connection.execute(_JOBS, {"id": unit_id}).all()
        job = next((one for one in jobs if (not one.shadow if job_id is None else one.id == job_id)), None)
        if job is None and job_id is not None:
            return None
        findings = [] if job is None else connection.execute(_FINDINGS, {"job": job.id}).all()
        images = _images(connection, row.kind, unit_id, None if job is None else job.id)
        details = {"from": address, "unit": unit_id, "job": None if job is None else job.id, "images": len(images.hashes)}
        audit.record(connection, actor=viewer, action="viewer.opened", subject=f"study:{row.study_id}", details=details)
        of_study = connection.execute(_UNITS_OF_STUDY, {"study": row.study_id}).all()
        compared = None
        if job is not None:
            compared = read_compared_results(connection, job, findings, study_id=row.study_id, viewer=viewer, address=address)
    return ViewedUnit(row, jobs, job, findings, images, of_study, compared)


def units_of_study(database: Database, unit_id: int) -> Sequence[Any]:
    """Return the units of the study of a unit: series and single images, in the order of their series.

    ``place`` and ``of_series`` number those of one series.
    """
    with database.begin() as connection:
        row = connection.execute(_UNIT, {"id": unit_id}).one_or_none()
        return [] if row is None else connection.execute(_UNITS_OF_STUDY, {"study": row.study_id}).all()


def find_images(database: Database, unit_id: int, job_id: int | None) -> UnitImages | None:
    """Return the images of a unit, or those that a job of it was given; None where there is no such unit or job."""
    with database.begin() as connection:
        row = connection.execute(_UNIT, {"id": unit_id}).one_or_none()
        if row is None:
            return None
        return current_images(connection, row.kind, unit_id) if job_id is None else images_of_job(connection, row.kind, unit_id, job_id)


def current_images(connection: Connection, kind: str, unit_id: int) -> UnitImages:
    """Return the images that a unit has now."""
    return _images(connection, kind, unit_id, None)


def images_of_job(connection: Connection, kind: str, unit_id: int, job_id: int) -> UnitImages | None:
    """Return the images that a job of a unit was given; None where the unit has no such job."""
    of_unit = connection.execute(_JOB_OF_UNIT, {"job": job_id, "id": unit_id}).scalar_one()
    return _images(connection, kind, unit_id, job_id) if of_unit else None


def _images(connection: Connection, kind: str, unit_id: int, job_id: int | None) -> UnitImages:
    statement = _IMAGES_OF_UNIT if job_id is None else _IMAGES_OF_JOB
    found = connection.execute(statement, {"id": unit_id} if job_id is None else {"job": job_id}).all()
    hashes = tuple(dict.fromkeys(row.sha256 for row in found))
    key = hashlib.sha256("".join([kind, *sorted(hashes)]).encode()).hexdigest()[:32]
    numbers = {row.sop_instance_uid: row.instance_number for row in found if row.instance_number is not None}
    return UnitImages(kind, key, hashes, sum(row.removed_at is not None for row in found), numbers)


def find_overlays(database: Database, job_id: int) -> str | None:
    """Return the SHA-256 of the file with outlines and heat map of a job; None where there is none, or retention has removed it."""
    with database.begin() as connection:
        row = connection.execute(_OVERLAYS, {"job": job_id}).one_or_none()
    return None if row is None or row.removed_at is not None else str(row.sha256)
