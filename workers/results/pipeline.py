"""Makes, checks and keeps all objects of one result."""

from dataclasses import replace

from db.blobs.store import Blobs
from db.jobs.job_records import ClaimedJob, StoredObject
from workers.encode.analysis import Analysis
from workers.encode.objects.by_kind import related_object
from workers.results.check import find_problems
from workers.results.keep import keep
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

    def check_and_keep(drafts: list[ObjectDraft]) -> list[StoredObject]:
        return [keep(draft, find_problems(draft), blobs) for draft in drafts]

    drafts, notes = make_objects(job, analysis, recipients)
    others = check_and_keep(drafts)
    named = [related_object(analysis, item.report) for item in others if not item.problems]
    with_notes = replace(analysis, prediction=replace(analysis.prediction, notes=(*analysis.prediction.notes, *notes)))
    reports = check_and_keep(make_reports(job, with_notes, named, recipients))
    return (*others, *reports, *check_and_keep(make_rejections(job, analysis, recipients)))
