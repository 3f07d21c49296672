"""Reports that a job was not analysed, and why, when its attempts are used up, because a missing report may be read as a negative result.

No network is loaded and no pixel is decoded. The first such attempt reads the header of the first input's file, with the parser's
limits; later ones use only what the database has stored of that header, so that a file that ended a worker is not read again.
"""

from datetime import datetime
from pathlib import Path

import structlog
from pydicom.dataset import Dataset

from core.errors import CannotUnderstand, EncodingError, StorageError
from core.logs import scrub
from core.records import InstanceHeader, ModelIdentity, Prediction, UnitInput
from core.states import JobState, ModelStatus, Outcome
from db.jobs import not_analysed
from db.jobs.finish import commit_result
from db.jobs.job_records import ClaimedJob, Timings
from db.operations import model_registry as model_rows
from models import installed
from models.card import ModelCard
from models.card import identity as card_identity
from workers.attempt.inputs import located_inputs, verify
from workers.attempt.lease import Lease
from workers.child.memory_limit import MemoryWatch
from workers.child.runtime import ChildRuntime
from workers.encode.source_images.source import ImageReference, ResultSource, read_source, source_from_dataset
from workers.results.new_analysis import new_analysis
from workers.results.pipeline import store_result_objects
from workers.results.recipients import select_recipients

MAX_REASON_LENGTH = 400

log = structlog.get_logger()


def report_not_analysed(runtime: ChildRuntime, job: ClaimedJob, lease: Lease, watch: MemoryWatch) -> None:
    """Report that the unit was not analysed, and why. The job keeps its state (failed, quarantined).

    Raises
    ------
    LeaseLost
        Another worker has the job; nothing was written.
    NodeError
        The report could not be made in this attempt.
    """
    started_at = runtime.database.now()
    identity, limits = describe_model(runtime, job)
    recipients = select_recipients(runtime.settings, job.destinations, identity.status)
    prediction = Prediction(Outcome.NOT_ANALYSED, reason=describe_reason(job))
    analysis = new_analysis(
        job,
        runtime.settings,
        runtime.database.installation_id(),
        identity=identity,
        prediction=prediction,
        source=describe_source(runtime, job),
        started_at=started_at,
        limits=limits,
    )
    lease.check(job)
    objects = store_result_objects(job, analysis, recipients, runtime.blobs)
    watch.check()
    lease.check(job)
    commit_result(
        runtime.database,
        job,
        prediction=prediction,
        identity=identity,
        objects=objects,
        profiles=recipients.profiles,
        timings=_timings(runtime, started_at),
    )
    log.warning("job_not_analysed", job=job.id, model=job.model, state=job.failure_state, count=len(recipients.accepting))


def describe_reason(job: ClaimedJob) -> str:
    """Return the sentence of the report, for a reader who does not know this node."""
    if job.attempt == 0:
        return f"No analysis was begun; nothing is said about the images. {scrub(job.reason)}"[:MAX_REASON_LENGTH]
    tries = f"{job.attempt} attempt{'s' if job.attempt != 1 else ''}"
    kind = "cannot succeed" if job.failure_state is JobState.FAILED else "was given up"
    ending = f"The last one ended so: {scrub(job.reason)}"
    return f"The analysis {kind} after {tries}; nothing is said about the images. {ending}"[:MAX_REASON_LENGTH]


def describe_model(runtime: ChildRuntime, job: ClaimedJob) -> tuple[ModelIdentity, tuple[str, ...]]:
    """Return the identity and the known limits of the job's model, without loading it.

    They are taken from its card; else from the registry's row, which has no limits; else only what the job says is known.
    """
    card = _find_card(runtime, job)
    if card is not None:
        return card_identity(card, job.pipeline_digest), card.limits
    for row in model_rows.list_models(runtime.database):
        if row["digest"] == job.pipeline_digest:
            names = ("name", "version", "digest", "title", "manufacturer", "status", "not_for")
            return ModelIdentity(*(str(row[name]) for name in names)), ()
    not_for = "It gave no answer: nothing can be concluded from this report."
    # The status is not known: research is the one that fewer destinations take.
    return ModelIdentity(job.model, job.model_version, job.pipeline_digest, job.model, "dicom-node", ModelStatus.RESEARCH, not_for), ()


def _find_card(runtime: ChildRuntime, job: ClaimedJob) -> ModelCard | None:
    """Return the card of the job's pipeline, if it is on this worker."""
    versions = installed.readable_versions(job.model, runtime.settings.node.data_dir / installed.FOLDER)
    return next((version.card for version in versions if version.digest == job.pipeline_digest), None)


def describe_source(runtime: ChildRuntime, job: ClaimedJob) -> ResultSource:
    """Return patient, study and references of the unit: from the first input's file, or from its header as the database has it.

    Raises
    ------
    EncodingError
        The job has no inputs.
    """
    if job.not_analysed_attempts <= 1 and job.inputs:
        try:
            entries = located_inputs(runtime.blobs, job)
            verify(Path(entries[0].path), entries[0].sha256)
            return read_source(entries)
        except (CannotUnderstand, StorageError) as error:
            log.warning("input_unreadable", job=job.id, exception=type(error).__name__, hint="its header is taken from the database")
    header = not_analysed.first_input_header(runtime.database, job.id)
    if header is None:
        raise EncodingError("a job without inputs has no report")
    return source_from_dataset(dataset_of(header), tuple(_reference(entry) for entry in job.inputs))


def _reference(entry: UnitInput) -> ImageReference:
    return ImageReference(entry.sop_class_uid, entry.sop_instance_uid)


def dataset_of(header: InstanceHeader) -> Dataset:
    """Return the attributes that reports take over from the source, as far as the stored header has them."""
    dataset = Dataset()
    for keyword, value in (
        ("PatientName", header.patient_name),
        ("PatientID", header.patient_id),
        ("IssuerOfPatientID", header.issuer_of_patient_id),
        ("PatientBirthDate", header.patient_birth_date),
        ("PatientSex", header.patient_sex),
        ("StudyInstanceUID", header.study_instance_uid),
        ("SeriesInstanceUID", header.series_instance_uid),
        ("StudyDate", header.study_date),
        ("StudyTime", header.study_time),
        ("StudyID", header.study_id),
        ("AccessionNumber", header.accession_number),
        ("StudyDescription", header.study_description),
        ("Modality", header.modality),
        ("BodyPartExamined", header.body_part_examined),
        ("TimezoneOffsetFromUTC", header.timezone_offset),
        ("SpecificCharacterSet", list(header.character_set)),
    ):
        if value:
            setattr(dataset, keyword, value)
    return dataset


def _timings(runtime: ChildRuntime, started_at: datetime) -> Timings:
    now = runtime.database.now()
    return Timings(started_at, now, 0.0, 0.0, (now - started_at).total_seconds())
