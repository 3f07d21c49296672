"""Makes, checks and stores all objects of one result."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from db.blobs.store import Blobs
from db.jobs.job_records import ClaimedJob, StoredObject, StoredOverlays
from imaging.overlays import pack_overlays
from workers.encode.analysis import Analysis
from workers.encode.objects.by_kind import related_object
from workers.encode.validate.validator import validate
from workers.results.make import ObjectDraft, make_objects, make_rejections
from workers.results.recipients import Recipients
from workers.results.reports import make_reports


def store_result_objects(job: ClaimedJob, analysis: Analysis, recipients: Recipients, blobs: Blobs) -> tuple[StoredObject, ...]:
    """Return the stored objects of a result in the order in which they are sent: other objects, reports, rejections.

    The reports come after the other objects, because they name those that passed the check, and those that could not be made.

    Raises
    ------
    EncodingError
        A report could not be made.
    StorageError
        A blob could not be written.
    """
    drafts, notes = make_objects(job, analysis, recipients)
    others = _check_and_store(drafts, blobs)
    named = [related_object(analysis, item.report) for item in others if not item.problems]
    with_notes = replace(analysis, prediction=replace(analysis.prediction, notes=(*analysis.prediction.notes, *notes)))
    reports = _check_and_store(make_reports(job, with_notes, named, recipients), blobs)
    return (*others, *reports, *_check_and_store(make_rejections(job, analysis, recipients), blobs))


def store_overlays(analysis: Analysis, blobs: Blobs) -> StoredOverlays | None:
    """Store outlines and heat map for the console's viewer; None where the result has neither.

    Raises
    ------
    StorageError
        The blob could not be written.
    """
    content = pack_overlays(analysis.prediction.findings, analysis.heat)
    return StoredOverlays(blobs.put(content), partial(blobs.put, content)) if content else None


def _check_and_store(drafts: Iterable[ObjectDraft], blobs: Blobs) -> list[StoredObject]:
    """Write the objects as blobs. Their rows and deliveries are committed with the result (``db.jobs.finish``).

    An object with problems is stored with them, but it is held back and named by no report.
    """
    return [
        StoredObject(
            report=draft.encoded,
            problems=validate(draft.encoded.content, within=draft.may_reference),
            blob=blobs.put(draft.encoded.content),
            destinations=draft.destinations,
        )
        for draft in drafts
    ]
