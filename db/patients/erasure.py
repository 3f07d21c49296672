"""Erases all rows of a person and requests the removal of their files, in many short transactions (GDPR Art. 17).

Each transaction deletes one analysis, some images of one unit, or what is left of a unit or study, and adds to the counts of the erasure.
After a kill at any moment the same steps find what is left. Units are locked before jobs, jobs before deliveries, as everywhere. A file is
removed only when no other row needs its content (`db.blobs.removals`).
"""

from collections.abc import Callable
from dataclasses import asdict

from sqlalchemy import Connection, text

from core.errors import NodeError
from core.failpoints import failpoint
from db import counters
from db.blobs import removals
from db.engine import Database
from db.patients.erased_job import erase_job
from db.patients.erasure_record import Erasure, count_deleted
from db.patients.of_studies import OF_ANOTHER_PERSON
from db.patients.patient_key import PatientKey

BATCH = 500  # images in one transaction

_STUDIES_LEFT = text("SELECT id FROM studies WHERE id = ANY(CAST(:studies AS bigint[])) ORDER BY id")
_UNITS = text("SELECT u.id FROM units u JOIN series se ON se.id = u.series_id WHERE se.study_id = :study ORDER BY u.id")
# FOR UPDATE: images and jobs that others add to the unit wait. Where it is gone then, an image is received as new (`db.receive.admission`).
_LOCK_UNIT = text("SELECT id, state, held FROM units WHERE id = :unit FOR UPDATE")
_NEXT_JOB = text("SELECT id FROM jobs WHERE unit_id = :unit ORDER BY id LIMIT 1")
_UNDECIDED = text("SELECT EXISTS (SELECT FROM instances WHERE unit_id = :unit AND state = 'undecided')")
_MIXED = text(f"SELECT EXISTS (SELECT FROM instances i WHERE i.unit_id = :unit AND {OF_ANOTHER_PERSON})")
_IMAGES = text("""
    DELETE FROM instances WHERE id IN (SELECT id FROM instances WHERE unit_id = :unit ORDER BY id LIMIT :batch)
    RETURNING sha256, size_bytes, removed_at
""")
_ASSOCIATIONS = text("DELETE FROM association_units WHERE unit_id = :unit")
_UNIT = text("DELETE FROM units WHERE id = :unit")
_LOCK_STUDY = text("SELECT id FROM studies WHERE id = :study FOR UPDATE")
_LOCK_SERIES = text("SELECT id FROM series WHERE study_id = :study ORDER BY id FOR UPDATE")
_SERIES = text("DELETE FROM series se WHERE study_id = :study AND NOT EXISTS (SELECT FROM units u WHERE u.series_id = se.id)")
_STUDY = text("DELETE FROM studies st WHERE id = :study AND NOT EXISTS (SELECT FROM series se WHERE se.study_id = st.id)")


def erase_studies(
    database: Database, erasure: Erasure, *, cancel: bool, mixed_of: PatientKey | None = None, is_over: Callable[[], bool] = lambda: False
) -> bool:
    """Delete every row of the studies of an erasure; requests the removal of their files, which `removals.remove_blobs` carries out.

    Returns whether all are gone: False where it has stopped because ``is_over``. Each call deletes something.

    Parameters
    ----------
    cancel
        Delete what waits too: analyses that are queued, deliveries that are pending, units that are not complete.
    mixed_of
        The person: an image that names another one is not deleted. None: whole studies are.
    is_over
        Asked after each transaction: True ends the call.

    Raises
    ------
    NodeError
        An analysis runs or an object is being sent, or, without ``cancel``, waits; or, with ``mixed_of``, an image of another person came.
        What was deleted before stays deleted.
    """
    with database.begin() as connection:
        left = list(connection.execute(_STUDIES_LEFT, {"studies": list(erasure.studies)}).scalars())
    for study in left:
        while not _erase_emptied_study(database, erasure, study):
            with database.begin() as connection:
                units = list(connection.execute(_UNITS, {"study": study}).scalars())
            for unit in units:
                gone = False
                while not gone:
                    gone = _erase_part_of_unit(database, erasure, unit, cancel=cancel, mixed_of=mixed_of)
                    if is_over():
                        return False
        if is_over():
            return False
    return True


def _erase_part_of_unit(database: Database, erasure: Erasure, unit: int, *, cancel: bool, mixed_of: PatientKey | None) -> bool:
    """Delete one analysis of a unit, or some of its images, or the unit itself; return whether it is gone."""
    with database.begin() as connection:
        row = connection.execute(_LOCK_UNIT, {"unit": unit}).one_or_none()
        if row is None:
            return True
        if not cancel and (row.state == "open" or connection.execute(_UNDECIDED, {"unit": unit}).scalar_one()):
            raise NodeError("an image of this person was received meanwhile", hint="wait until the node has taken it, or add --cancel")
        if mixed_of is not None and connection.execute(_MIXED, {"unit": unit, **asdict(mixed_of)}).scalar_one():
            raise NodeError("an image that names another person was received meanwhile", hint="look at it, then add --whole-studies")
        job = connection.execute(_NEXT_JOB, {"unit": unit}).scalar_one_or_none()
        gone = False
        if job is not None:
            deleted = erase_job(connection, erasure, job, cancel=cancel)
        elif images := _erase_images(connection, unit):
            deleted = images
        else:
            connection.execute(_ASSOCIATIONS, {"unit": unit})
            connection.execute(_UNIT, {"unit": unit})
            if row.state == "complete":
                counters.add(connection, [("instances", (), -row.held)])
            deleted, gone = {"units": 1}, True
        count_deleted(connection, erasure, deleted)
        failpoint("erase.written")
    failpoint("erase.committed")
    return gone


def _erase_images(connection: Connection, unit: int) -> dict[str, int]:
    rows = connection.execute(_IMAGES, {"unit": unit, "batch": BATCH}).all()
    kept = [row for row in rows if row.removed_at is None]
    removals.request_removals(connection, ((row.sha256, row.size_bytes) for row in kept))
    return {"images": len(rows), "files": len(kept), "bytes": sum(row.size_bytes for row in kept)} if rows else {}


def _erase_emptied_study(database: Database, erasure: Erasure, study: int) -> bool:
    """Delete the series of a study that have no unit, and the study if it has no series; return whether it is gone."""
    with database.begin() as connection:
        if connection.execute(_LOCK_STUDY, {"study": study}).one_or_none() is None:
            return True
        connection.execute(_LOCK_SERIES, {"study": study})  # a transaction that adds a unit waits
        series = connection.execute(_SERIES, {"study": study}).rowcount
        gone = connection.execute(_STUDY, {"study": study}).rowcount
        count_deleted(connection, erasure, {"series": series, "studies": gone})
    return gone == 1
