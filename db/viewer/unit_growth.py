"""What has become of a unit since a viewer was opened on it: images that have arrived or were replaced, and a newer result."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from db import audit
from db.engine import Database
from db.viewer.viewed_unit import MOST_UNITS, UnitImages, current_images, images_of_job

_NOW = text(f"""
    SELECT u.kind, u.state = 'open' AS receiving, u.revision,
           (SELECT revision FROM jobs WHERE id = CAST(:job AS bigint)) AS shown_revision,
           (SELECT max(j.id) FROM jobs j WHERE j.unit_id = u.id AND NOT j.shadow AND j.outcome IS NOT NULL
            AND j.state NOT IN ('superseded', 'cancelled')) AS result,
           (SELECT least(count(*), {MOST_UNITS}) FROM units o JOIN series os ON os.id = o.series_id
            WHERE os.study_id = se.study_id) AS units
    FROM units u JOIN series se ON se.id = u.series_id WHERE u.id = :id
""")
_REPLACED = text("SELECT DISTINCT sop_instance_uid FROM instances WHERE unit_id = :id AND state = 'superseded'")
_UNIT = text("SELECT u.kind, se.study_id FROM units u JOIN series se ON se.id = u.series_id WHERE u.id = :id")


@dataclass(frozen=True, slots=True)
class UnitNow:
    """The present state of a unit, beside what a viewer shows of it.

    Attributes
    ----------
    changed
        Whether its images are others than those shown: some have arrived, or were replaced.
    receiving
        Further images are expected.
    result
        The result that counts; None where there is none.
    units
        Units of the study that are listed: all, up to `MOST_UNITS`.
    """

    changed: bool
    images: int
    receiving: bool
    result: int | None
    units: int


@dataclass(frozen=True, slots=True)
class GrownUnit:
    """The present images of a unit.

    Attributes
    ----------
    replaced
        SOP Instance UIDs whose content was replaced at some time.
    covers_shown
        Whether every image that the result was made of is among them, unchanged. True where no result is shown.
    """

    images: UnitImages
    replaced: Sequence[str]
    covers_shown: bool


def unit_now(database: Database, unit_id: int, *, key: str, job_id: int | None) -> UnitNow | None:
    """Return the present state of a unit. ``key``: of the images that are shown, ``job_id``: of the result; None: there is no such unit."""
    with database.begin() as connection:
        row = connection.execute(_NOW, {"id": unit_id, "job": job_id}).one_or_none()
        if row is None:
            return None
        images = current_images(connection, row.kind, unit_id)
    # A result is of the images of its revision, of which the model may not have been given all.
    covered = row.shown_revision is not None and row.shown_revision >= row.revision
    return UnitNow(images.key != key and not covered and not images.removed, len(images.hashes), row.receiving, row.result, row.units)


def open_grown_unit(database: Database, unit_id: int, *, job_id: int | None, viewer: str, address: str) -> GrownUnit | None:
    """Return the present images of a unit for a viewer that is open on it, and record that ``viewer`` sees them, in one transaction.

    ``job_id``: the result that is shown. None: there is no such unit.
    """
    with database.begin() as connection:
        row = connection.execute(_UNIT, {"id": unit_id}).one_or_none()
        if row is None:
            return None
        shown = None if job_id is None else images_of_job(connection, row.kind, unit_id, job_id)
        images = current_images(connection, row.kind, unit_id)
        replaced = connection.execute(_REPLACED, {"id": unit_id}).scalars().all()
        covers = shown is None or set(shown.hashes) <= set(images.hashes)
        if covers and not images.removed:
            details = {"from": address, "unit": unit_id, "job": job_id, "images": len(images.hashes)}
            audit.record(connection, actor=viewer, action="viewer.opened", subject=f"study:{row.study_id}", details=details)
    return GrownUnit(images, replaced, covers)
