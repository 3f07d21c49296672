"""From a prediction to the objects of its result: the evidence where somebody takes it, the analysis, its objects, who goes without."""

from dataclasses import replace
from datetime import datetime

import structlog
from celery.exceptions import SoftTimeLimitExceeded

from core.logs import scrub
from core.records import HeatMap, Prediction
from db import audit
from db.records import ClaimedJob, StoredObject
from imaging.photograph.read import Photograph
from imaging.volume.volume import Volume
from imaging.wire.notes import WARNING_LOCK
from models.card import ModelCard
from models.runtime import Model
from workers.attempt.child_runtime import Runtime
from workers.attempt.inputs import at_their_place
from workers.attempt.time_budget import OutOfTime, limited
from workers.encode.analysis import Analysis
from workers.encode.objects.by_kind import NEEDS_EVIDENCE
from workers.encode.source import read_source
from workers.encode.sr.content import referenced
from workers.results import objects as results_objects
from workers.results.rejections import rejections

log = structlog.get_logger()


def reported(
    runtime: Runtime, job: ClaimedJob, model: Model, item: Volume | Photograph | None, prediction: Prediction, started_at: datetime
) -> tuple[Prediction, tuple[StoredObject, ...]]:
    """The objects of a result, kept, and the prediction with a note where something or somebody goes without."""
    with WARNING_LOCK:  # encoders silence warnings, while another thread may read the next series
        return _reported(runtime, job, model, item, prediction, started_at)


def _reported(
    runtime: Runtime, job: ClaimedJob, model: Model, item: Volume | Photograph | None, prediction: Prediction, started_at: datetime
) -> tuple[Prediction, tuple[StoredObject, ...]]:
    who = results_objects.recipients(runtime.settings, job.destinations, model.identity.status)
    given = runtime.settings.result_profiles
    heat = None
    if item is not None and NEEDS_EVIDENCE & results_objects.wanted(given, who.takers):
        heat, prediction = _evidence(model, item, prediction, runtime.settings.worker.heat_map_budget_s)
    source = read_source(at_their_place(runtime.blobs, job), referenced=referenced(prediction.findings))
    analysis = Analysis(
        installation=runtime.database.installation_id(),
        key=job.key,
        revision=job.revision,
        run=job.run,
        identity=model.identity,
        prediction=prediction,
        source=source,
        started_at=started_at,
        frame_of_reference_uid=item.frame_of_reference_uid if isinstance(item, Volume) else "",
        time_zone=runtime.settings.node.timezone,
        limits=(*model.card.limits, tiers_in_words(model.card), *left_out(source.dropped)),
        advice={label.name: label.advice for label in model.card.labels},
        item=item,
        max_object_bytes=runtime.settings.worker.max_object_bytes,
        heat=heat,
    )
    objects = results_objects.objects(job, analysis, runtime.blobs, who.takers, given)
    objects += rejections(job, analysis, runtime.settings, runtime.blobs, who.takers)
    if who.refused:
        prediction = _refused(runtime, job, prediction, who.refused)
    return prediction, objects


def _evidence(model: Model, item: Volume | Photograph, prediction: Prediction, budget_s: float) -> tuple[HeatMap | None, Prediction]:
    """The map of evidence, or a note why the result goes without it: it is never worth the report."""
    try:
        with limited(budget_s):
            return model.evidence(item, prediction), prediction
    except SoftTimeLimitExceeded:
        raise
    except OutOfTime:
        why = f"it took longer than {budget_s:g} s"
    except Exception as error:
        log.error("no map of evidence", model=model.card.name, reason=f"{type(error).__name__}: {scrub(str(error))}")
        why = "making it failed"
    return None, replace(prediction, notes=(*prediction.notes, f"Without a map of the evidence: {why}."))


def tiers_in_words(card: ModelCard) -> str:
    """The limits of the confidence tiers, for the report."""
    high, review = card.tiers.high, card.tiers.review
    return f"Confidence tiers of this model: high above {high:g}, review from {review:g} to {high:g}, uncertain below {review:g}."


def left_out(keywords: tuple[str, ...]) -> tuple[str, ...]:
    """The sentence that names elements of the source that no valid object may hold; nothing where there are none."""
    return (f"Not taken over, because their values are not valid: {', '.join(keywords)}.",) if keywords else ()


def _refused(runtime: Runtime, job: ClaimedJob, prediction: Prediction, refused: tuple[str, ...]) -> Prediction:
    """Audit and note that some destinations do not get this result."""
    details = {"destinations": list(refused), "reason": "the model is for research and the destination has accept_research = false"}
    audit.record_now(runtime.database, actor=f"worker:{job.model}", action="delivery.refused", subject=f"job:{job.id}", details=details)
    note = f"Not delivered to {', '.join(refused)}: the model is for research and accept_research is false there."
    return replace(prediction, notes=(*prediction.notes, note))
