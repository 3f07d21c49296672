"""The attempt that says why there is no answer: a job's attempts are used up, and silence would read as a negative.

It loads no network and decodes no pixel: the first time it reads the headers of the first input's file, with the parser's limits;
from the second time on only what the database kept of it when it came in, so that nothing that killed a worker is read again.
"""

from datetime import datetime
from pathlib import Path

import structlog
from pydicom.dataset import Dataset

from core.errors import CannotUnderstand, EncodingError, ModelError, StorageError
from core.logs import scrub
from core.records import InstanceHeader, ModelIdentity, Prediction, UnitInput
from core.states import JobState, ModelStatus, Outcome
from db.jobs import job_leases
from db.jobs import not_analysed as kept
from db.operations import model_registry as model_rows
from db.records import ClaimedJob, Timings
from imaging.wire.notes import WARNING_LOCK
from models import installed
from models.card import ModelCard, identity
from workers.attempt.child_runtime import Runtime
from workers.attempt.inputs import at_their_place, verify
from workers.attempt.lease import Lease
from workers.attempt.limits import MemoryWatch
from workers.encode.analysis import Analysis
from workers.encode.source import ImageReference, Source, read_source, source_of
from workers.results import objects as results_objects
from workers.results.rejections import rejections

MAX_REASON = 400

log = structlog.get_logger()


def explain(runtime: Runtime, job: ClaimedJob, lease: Lease, watch: MemoryWatch) -> None:
    """Report that the unit was not analysed, and why; the job stays as it stands (failed, quarantined).

    Raises
    ------
    LeaseLost
        The job is another's; nothing was written.
    NodeError
        No report can be made this time.
    """
    started_at = runtime.database.now()
    speaker, limits = who(runtime, job)
    takers = results_objects.recipients(runtime.settings, job.destinations, speaker.status).takers
    analysis = Analysis(
        installation=runtime.database.installation_id(),
        key=job.key,
        revision=job.revision,
        run=job.run,
        identity=speaker,
        prediction=Prediction(Outcome.NOT_ANALYSED, reason=in_words(job)),
        source=source(runtime, job),
        started_at=started_at,
        time_zone=runtime.settings.node.timezone,
        limits=limits,
        max_object_bytes=runtime.settings.worker.max_object_bytes,
    )
    lease.check(job)
    profiles = runtime.settings.result_profiles
    with WARNING_LOCK:  # as in `reporting`
        objects = results_objects.objects(job, analysis, runtime.blobs, takers, profiles)
        objects += rejections(job, analysis, runtime.settings, runtime.blobs, takers)
    watch.look()
    lease.check(job)
    timings = _timings(runtime, started_at)
    job_leases.finish(
        runtime.database, job, prediction=analysis.prediction, identity=speaker, objects=objects, profiles=profiles, timings=timings
    )
    log.warning("not analysed, and reported so", job=job.id, model=job.model, state=job.failure_state, count=len(takers))


def in_words(job: ClaimedJob) -> str:
    """The sentence of the report, for a reader who knows nothing of this node."""
    if job.attempt == 0:
        return f"No analysis was begun; nothing is said about the images. {scrub(job.reason)}"[:MAX_REASON]
    tries = f"{job.attempt} attempt{'s' if job.attempt != 1 else ''}"
    kind = "cannot succeed" if job.failure_state is JobState.FAILED else "was given up"
    ending = f"The last one ended so: {scrub(job.reason)}"
    return f"The analysis {kind} after {tries}; nothing is said about the images. {ending}"[:MAX_REASON]


def who(runtime: Runtime, job: ClaimedJob) -> tuple[ModelIdentity, tuple[str, ...]]:
    """The model that should have answered and its known limits: by its card, by the registry's row, or by no more than the job says."""
    card = _card(runtime, job)
    if card is not None:
        return identity(card, job.pipeline_digest), card.limits
    for row in model_rows.listing(runtime.database):
        if row["digest"] == job.pipeline_digest:
            names = ("name", "version", "digest", "title", "manufacturer", "status", "not_for")
            return ModelIdentity(*(str(row[name]) for name in names)), ()
    nobody = "It gave no answer: nothing can be concluded from this report."
    # Of the two kinds of status the one that fewer destinations take.
    return ModelIdentity(job.model, job.model_version, job.pipeline_digest, job.model, "dicom-node", ModelStatus.RESEARCH, nobody), ()


def _card(runtime: Runtime, job: ClaimedJob) -> ModelCard | None:
    try:
        here = installed.places(job.model, runtime.settings.node.data_dir / installed.FOLDER)
    except ModelError:  # unknown, or a card that cannot be read: this may be why the job failed
        return None
    return next((place.card for place in here if place.digest == job.pipeline_digest), None)


def source(runtime: Runtime, job: ClaimedJob) -> Source:
    """Patient, study and references of the unit: from the first input's file, or from what was kept of its header.

    Raises
    ------
    EncodingError
        The job has no inputs.
    """
    entries = at_their_place(runtime.blobs, job)
    if job.not_analysed_attempts <= 1 and entries:
        try:
            verify(Path(entries[0].path), entries[0].sha256)
            return read_source(entries)
        except (CannotUnderstand, StorageError) as error:
            log.warning("an input cannot be read; its header as it was kept is used", job=job.id, exception=type(error).__name__)
    header = kept.kept_header(runtime.database, job.id)
    if header is None:
        raise EncodingError("a job without inputs has no report")
    return source_of(dataset_of(header), tuple(_image(entry) for entry in job.inputs))


def _image(entry: UnitInput) -> ImageReference:
    return ImageReference(entry.sop_class_uid, entry.sop_instance_uid)


def dataset_of(header: InstanceHeader) -> Dataset:
    """What reports take over of a header, as far as it is kept."""
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


def _timings(runtime: Runtime, started_at: datetime) -> Timings:
    now = runtime.database.now()
    return Timings(started_at, now, 0.0, 0.0, (now - started_at).total_seconds())
