"""Makes assessments: encodes the verdicts of clinicians as structured reports, which are delivered like the other objects of a result.

One thread of each worker child does it beside the analyses: a report takes some milliseconds of pydicom. Rows of the database say what is
due, so that nothing depends on a message, and a worker that is killed loses nothing: UIDs are derived, and rows are written once.
"""

import threading
from collections.abc import Mapping
from dataclasses import replace

import structlog
from pydicom import config
from pydicom.uid import UID

from core.errors import CannotUnderstand, EncodingError, LeaseLost, NodeError, StorageError, StoreUnavailable
from core.failpoints import failpoint
from core.logs import scrub
from core.records import Prediction
from core.settings.settings import Settings
from core.states import Outcome, ResultKind
from db.blobs.store import Blobs
from db.engine import Database
from db.jobs import not_analysed
from db.roles.supervised_loop import SupervisedLoop
from db.verdicts.assessment_claim import claim_assessment
from db.verdicts.assessment_records import AssessedReport, ClaimedAssessment, StoredAssessment
from db.verdicts.assessment_results import commit_assessment, record_failed_assessment
from workers.attempt.inputs import locate
from workers.attempt.not_analysed import dataset_of
from workers.encode.analysis import Analysis, Predecessor
from workers.encode.source_images.source import ImageReference, ResultSource, read_source, source_from_dataset
from workers.encode.sr.assessment import encode_assessment
from workers.encode.sr.stored_identifiers import read_tracking
from workers.encode.validate.validator import validate
from workers.results.recipients import select_recipients

LEASE_S = 120.0
POLL_INTERVAL_S = 2.0
RETRY_S = 30.0
MAX_ATTEMPTS = 5

log = structlog.get_logger()


def start_assessments(settings: Settings, database: Database, blobs: Blobs, stop: threading.Event) -> SupervisedLoop:
    """Start the thread that makes assessments until ``stop`` is set."""

    def step() -> float:
        return 0.0 if make_next_assessment(settings, database, blobs) else POLL_INTERVAL_S

    loop = SupervisedLoop("assessments", step, stop)
    loop.start()
    return loop


def make_next_assessment(settings: Settings, database: Database, blobs: Blobs) -> bool:
    """Make the next assessment that is due; return whether there was one. A failure is recorded, and tried again a few times.

    Raises
    ------
    StorageError
        The database does not respond.
    """
    claimed = claim_assessment(database, lease_s=LEASE_S)
    if claimed is None:
        return False
    failpoint("assessment.claimed", claimed.study_instance_uid)
    try:
        objects = _make(settings, database, blobs, claimed)
        failpoint("assessment.encoded", claimed.study_instance_uid)
        commit_assessment(database, claimed, objects)
        log.info("assessment_reported", job=claimed.job_id, number=claimed.number, held=sum(bool(item.problems) for item in objects))
    except LeaseLost as error:
        log.warning("assessment_lease_lost", job=claimed.job_id, error=str(error))
    except Exception as error:  # of one result; others must not wait for it
        words = scrub(str(error)) if isinstance(error, NodeError) else type(error).__name__
        repeated = isinstance(error, StoreUnavailable)  # until the store answers again
        final = not repeated and (claimed.attempt >= MAX_ATTEMPTS or isinstance(error, EncodingError))
        log.error("assessment_failed", job=claimed.job_id, error=words, final=final)
        record_failed_assessment(database, claimed, error=words, retry_in_s=None if final else RETRY_S * claimed.attempt)
    return True


def _make(settings: Settings, database: Database, blobs: Blobs, claimed: ClaimedAssessment) -> tuple[StoredAssessment, ...]:
    """Encode, check and store one assessment for each report that its recipients have, and for each predecessor."""
    recipients = select_recipients(settings, claimed.destinations, claimed.identity.status)
    takers = recipients.takers_of(ResultKind.ASSESSMENT)
    if not claimed.reports:
        raise EncodingError("the result has no valid report to which an assessment can refer", hint="run the job again")
    analysis = _analysis(settings, database, blobs, claimed)
    made = []
    for report in claimed.reports:
        receiving = [name for name in takers if name in report.destinations]
        groups: dict[tuple[str, str, str] | None, tuple[str, ...]] = {}
        for name in receiving:
            before = claimed.predecessors.get(name)
            groups[before] = (*groups.get(before, ()), name)
        made += [_one(blobs, claimed, analysis, report, before, names) for before, names in groups.items()]
    # Kept for the console where no destination takes it: the last report is the one that names no other object.
    return tuple(made) or (_one(blobs, claimed, analysis, claimed.reports[-1], None, ()),)


def _one(
    blobs: Blobs, claimed: ClaimedAssessment, analysis: Analysis, report: AssessedReport, before: tuple[str, str, str] | None,
    names: tuple[str, ...],
) -> StoredAssessment:  # fmt: skip
    profile = f"assessment.{claimed.number}:{report.profile}" + (f"/{before[1][-12:]}" if before else "")
    succeeding = replace(analysis, predecessors=(Predecessor(*before),) if before else ())
    encoded = encode_assessment(succeeding, claimed.judged, report, _tracking(blobs, report), profile=profile)
    allowed = (*(image.sop_instance_uid for image in analysis.source.images), report.uids[1])
    return StoredAssessment(encoded, blobs.put(encoded.content), names, validate(encoded.content, within=allowed))


def _tracking(blobs: Blobs, report: AssessedReport) -> Mapping[int, tuple[str, str]]:
    """Return the tracking identifiers of the report; empty, so that they are derived, where retention has deleted its file."""
    try:
        return read_tracking(blobs.read(report.sha256))
    except StorageError:
        return {}


def _analysis(settings: Settings, database: Database, blobs: Blobs, claimed: ClaimedAssessment) -> Analysis:
    """Return what the encoder needs of the result. Its time is that of the last verdict, so that a repetition gives the same bytes."""
    if not claimed.judged:
        raise EncodingError("there is no verdict to report", hint="this is a defect of the node")
    shared = claimed.frame_of_reference_uid
    return Analysis(
        installation=database.installation_id(),
        key=claimed.key,
        revision=claimed.revision,
        run=claimed.run,
        identity=claimed.identity,
        prediction=Prediction(Outcome.FINDINGS),
        source=_source(database, blobs, claimed),
        started_at=max(judged.at for judged in claimed.judged),
        frame_of_reference_uid=shared if UID(shared, config.IGNORE).is_valid else "",
        time_zone=settings.node.timezone,
        max_object_bytes=settings.worker.max_object_bytes,
    )


def _source(database: Database, blobs: Blobs, claimed: ClaimedAssessment) -> ResultSource:
    """Return patient, study and references of the unit: from the files, or from the database where retention has deleted these."""
    marked = {judged.finding.sop_instance_uid for judged in claimed.judged if judged.finding is not None}
    try:
        return read_source(locate(blobs, claimed.inputs), referenced=marked)
    except StoreUnavailable:
        raise
    except (CannotUnderstand, StorageError, OSError) as error:
        log.warning("input_unreadable", job=claimed.job_id, exception=type(error).__name__, hint="its header is taken from the database")
    header = not_analysed.first_input_header(database, claimed.job_id)
    if header is None:
        raise EncodingError("a result without images has no assessment", hint="run the job again")
    references = tuple(ImageReference(each.sop_class_uid, each.sop_instance_uid) for each in claimed.inputs)
    return source_from_dataset(dataset_of(header), references)
