"""Finishes an attempt: makes and stores the result objects, and commits the result in one short transaction."""

import time
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from core.concepts.measured_values import with_rounded_values
from core.failpoints import failpoint
from core.records import Prediction
from db.jobs.finish import commit_result
from db.jobs.job_records import ClaimedJob, StoredObject, StoredOverlays, Timings
from imaging.decoded_unit import DecodedUnit
from imaging.headers.scanner import read_scanner
from imaging.volume.volume import Volume
from models.drift_observation import observe
from models.runtime import Model
from workers.attempt.inputs import located_inputs
from workers.attempt.lease import Lease
from workers.attempt.prepare import PreparedUnit
from workers.child.memory_limit import MemoryWatch
from workers.child.runtime import ChildRuntime
from workers.encode.objects.by_kind import NEEDS_HEAT_MAP
from workers.encode.source_images.source import read_source
from workers.encode.sr.content_tree import referenced_images
from workers.results.comparison import compare_prediction
from workers.results.heat_map import make_heat_map
from workers.results.new_analysis import describe_result, new_analysis
from workers.results.pipeline import store_overlays, store_result_objects
from workers.results.recipients import record_exclusion, select_recipients

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PassTimes:
    """When the units of one pass were started and predicted (UTC), and the share of the pass that each of them took (s)."""

    started_at: datetime
    inferred_at: datetime
    infer_s: float


def finish_job(
    runtime: ChildRuntime, model: Model, unit: PreparedUnit, prediction: Prediction, times: PassTimes, lease: Lease, watch: MemoryWatch
) -> None:
    """Store the result objects of a prediction and commit the result. A shadow's result is committed without objects.

    Raises
    ------
    LeaseLost
        Another worker has the job; nothing was written.
    NodeError
        The attempt failed; ``permanent`` says whether it can be repeated.
    """
    job, began = unit.job, time.monotonic()
    prediction = with_rounded_values(prediction)
    lease.check(job)
    objects: tuple[StoredObject, ...] = ()
    overlays: StoredOverlays | None = None
    if not job.shadow:
        prediction, objects, overlays = _store_objects(runtime, job, model, unit.item, prediction, times.started_at)
    failpoint("worker.encoded", job.study_instance_uid)
    infer_s = 0.0 if unit.item is None else times.infer_s
    timings = Timings(times.started_at, times.inferred_at, unit.seconds, infer_s, time.monotonic() - began, watch.most_mib())
    watch.check()
    lease.check(job)
    runtime.models.register()
    commit_result(
        runtime.database,
        job,
        prediction=prediction,
        identity=model.identity,
        objects=objects,
        profiles=runtime.settings.result_profiles,
        timings=timings,
        observations=observe(unit.item, prediction),
        scanner=read_scanner(runtime.blobs.fetch(job.inputs[0].sha256)) if job.inputs else "",
        overlays=overlays,
    )
    lease.done(job)
    failpoint("worker.finished", job.study_instance_uid)
    log.info(
        "job_compared" if job.shadow else "job_reported",
        job=job.id,
        model=job.model,
        outcome=prediction.outcome.value,
        count=len(prediction.findings),
        held=sum(bool(item.problems) for item in objects),
        seconds=round(timings.prepare_s + timings.infer_s + time.monotonic() - began, 2),
    )


def _store_objects(
    runtime: ChildRuntime, job: ClaimedJob, model: Model, item: DecodedUnit | None, prediction: Prediction, started_at: datetime
) -> tuple[Prediction, tuple[StoredObject, ...], StoredOverlays | None]:
    """Return the prediction with comparisons and with notes on what is missing, the stored objects, and the overlays."""
    settings = runtime.settings
    prediction, earlier = compare_prediction(job, model.card, prediction)
    recipients = select_recipients(settings, job.destinations, model.identity.status)
    heat = None
    if item is not None and (settings.worker.keep_heat_maps or NEEDS_HEAT_MAP & recipients.kinds()):
        heat, prediction = make_heat_map(model, item, prediction, settings.worker.heat_map_budget_s)
    with runtime.blobs.pinned([entry.sha256 for entry in job.inputs]):
        analysed = item.sop_instance_uids if isinstance(item, Volume) else ()
        source = read_source(located_inputs(runtime.blobs, job), referenced=referenced_images(prediction.findings), analysed=analysed)
    analysis = new_analysis(
        job,
        settings,
        runtime.database.installation_id(),
        identity=model.identity,
        prediction=prediction,
        source=source,
        started_at=started_at,
        limits=tuple(model.card.limits),
        remarks=describe_result(model.card, source),
    )
    analysis = replace(
        analysis,
        frame_of_reference_uid=item.frame_of_reference_uid if isinstance(item, Volume) else "",
        advice={label.name: label.advice for label in model.card.labels},
        item=item,
        heat=heat,
        earlier=earlier,
    )
    objects = store_result_objects(job, analysis, recipients, runtime.blobs)
    overlays = store_overlays(analysis, runtime.blobs)
    if recipients.excluded:
        prediction = record_exclusion(runtime.database, job, prediction, recipients.excluded)
    return prediction, objects, overlays
