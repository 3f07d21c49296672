"""Makes the objects of a result beside its reports.

A defect in one kind of object does not prevent the report, which names what could not be made.
"""

from dataclasses import dataclass

import structlog
from celery.exceptions import SoftTimeLimitExceeded

from core.errors import EncodingError
from core.logs import scrub
from core.policy.admission import CONSOLE_SOURCE
from core.records import ResultObject
from core.states import ResultKind
from db.jobs.job_records import ClaimedJob
from workers.encode.analysis import Analysis
from workers.encode.objects import rejection
from workers.encode.objects.by_kind import ENCODERS, encode_kind
from workers.results.recipients import Recipients

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ObjectDraft:
    """An encoded result object that is neither checked nor stored yet.

    Attributes
    ----------
    destinations
        Destinations that receive it; empty for an object that is only kept.
    may_reference
        SOP Instance UIDs that the object may refer to. A reference to any other instance is a problem.
    """

    encoded: ResultObject
    destinations: tuple[str, ...]
    may_reference: tuple[str, ...]


def make_objects(job: ClaimedJob, analysis: Analysis, recipients: Recipients) -> tuple[list[ObjectDraft], tuple[str, ...]]:
    """Encode every object beside the report that a recipient takes, once; of what was uploaded in the console the PDF in any case.

    Returns
    -------
    The objects in the order in which they are sent, and a note for each kind that could not be made.
    """
    drafts: list[ObjectDraft] = []
    notes: list[str] = []
    for kind in ENCODERS:
        takers = recipients.takers_of(kind)
        try:
            wanted = bool(takers) or (kind is ResultKind.PDF and job.source == CONSOLE_SOURCE)
            made = [within_limit(item, analysis.max_object_bytes) for item in encode_kind(kind, analysis)] if wanted else []
        except SoftTimeLimitExceeded:
            raise
        except Exception as error:
            log.error("result_object_failed", job=job.id, kind=kind.value, error=f"{type(error).__name__}: {scrub(str(error))}")
            notes.append(f"Could not be made for this result: {kind.value}.")
        else:
            drafts += [ObjectDraft(item, takers, images_of(analysis)) for item in made]
    return drafts, tuple(notes)


def make_rejections(job: ClaimedJob, analysis: Analysis, recipients: Recipients) -> list[ObjectDraft]:
    """Encode a rejection for each recipient that has stored objects of an earlier result of this model on this unit (IHE IOCM).

    Reports are not rejected: the new report names them as predecessors.
    """
    drafts = []
    for name in recipients.accepting:
        outdated = [item for item in job.outdated if item.destination == name and item.kind != ResultKind.REJECTION]
        if outdated and name in recipients.taking_rejections:
            made = rejection.encode(analysis, outdated, destination=name)
            drafts.append(ObjectDraft(made, (name,), tuple(item.sop_instance_uid for item in outdated)))
    return drafts


def within_limit(made: ResultObject, max_bytes: int) -> ResultObject:
    """Return ``made`` if it has at most ``max_bytes``.

    Raises
    ------
    EncodingError
        It is larger. Of an object beside the report the report says so; a report that is too large fails the job.
    """
    if len(made.content) > max_bytes:
        words = f"the object has {len(made.content)} bytes, and worker.max_object_bytes allows {max_bytes}"
        raise EncodingError(words, hint="allow more, then dicom-node jobs requeue")
    return made


def images_of(analysis: Analysis) -> tuple[str, ...]:
    """Return the SOP Instance UIDs of the images of the unit."""
    return tuple(image.sop_instance_uid for image in analysis.source.images)
