"""The work of an attempt: from claimed jobs of one pipeline to the committed result of each.

::

    inputs verified -> volume or photographs -> one pass of the model -> of each: report -> validate -> blob -> finish

Several photographs share a pass; nothing else is shared. Each has its own outcome, lease, limits and commit, and what goes wrong with
one, or with the pass, is tried again without the others.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from celery.exceptions import SoftTimeLimitExceeded

from core.errors import GeometryError, NotAnalysable, PixelError
from core.failpoints import failpoint
from core.records import Prediction
from core.states import Outcome
from db.jobs import job_leases
from db.records import ClaimedJob, StoredObject, Timings
from imaging.headers.scanner import read_scanner
from models.drift_observation import observe
from models.runtime import Model
from workers.attempt import prepare
from workers.attempt.child_runtime import Runtime
from workers.attempt.finish import ending
from workers.attempt.inputs import at_their_place
from workers.attempt.lease import Lease
from workers.attempt.limits import MemoryWatch
from workers.attempt.prefetch import Ahead
from workers.attempt.prepare import Prepared
from workers.results.report import reported

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pass:
    """When the units of one pass were begun and answered (UTC), and how long each of them took (s): its share of the pass."""

    started_at: datetime
    inferred_at: datetime
    infer_s: float


def work(runtime: Runtime, claimed: Sequence[ClaimedJob], lease: Lease, ahead: Ahead, watch: MemoryWatch) -> None:
    """All of them, in as many passes as their pixels ask for; each is ended here, whatever happens."""
    waiting = list(claimed)
    while waiting:
        del waiting[: _pass(runtime, waiting, lease, ahead, watch)]


def _pass(runtime: Runtime, waiting: Sequence[ClaimedJob], lease: Lease, ahead: Ahead, watch: MemoryWatch) -> int:
    """One pass for the first of ``waiting``; gives for how many. All of them, where nothing can be done for any."""
    model, ready = None, None
    with ending(runtime, lease, *waiting):
        started_at = runtime.database.now()
        model = runtime.model(waiting[0].model, waiting[0].pipeline_digest)
    if model is None:
        return len(waiting)
    with ending(runtime, lease, *waiting):
        read = ahead.prepared(waiting[0])
        ready = prepare.some(runtime, waiting, model.card) if read is None else [read]
    if ready is None:
        if (len(waiting) > 1 or ahead.reading) and runtime.leave is not None:
            runtime.leave()  # a thread may be stuck in a file: this process is of no more use
        return len(waiting)
    usable = []
    for one in ready:
        with ending(runtime, lease, one.job):
            failpoint("worker.prepared", one.job.study_instance_uid)
            if one.error is not None:
                raise one.error
            lease.check(one.job)
            usable.append(one)
    answers: list[Prediction | Exception] = []
    with ending(runtime, lease, *(one.job for one in usable)):
        if usable:
            ahead.begin(usable[0].job)
        began = time.monotonic()
        answers = _answers(model, usable)
        seconds = (time.monotonic() - began) / max(1, sum(one.item is not None for one in usable))
        when = Pass(started_at, runtime.database.now(), seconds)
    for one, answer in zip(usable, answers, strict=False):  # without answers all have ended
        with ending(runtime, lease, one.job):
            failpoint("worker.predicted", one.job.study_instance_uid)
            if isinstance(answer, Exception):
                raise answer
            _conclude(runtime, model, one, answer, when, lease, watch)
    return len(ready)


def _answers(model: Model, ready: Sequence[Prepared]) -> list[Prediction | Exception]:
    """One for each, in order: what cannot be analysed is not asked for."""
    items = [one.item for one in ready if one.item is not None]
    given = iter(in_parts(model, items))
    return [Prediction(Outcome.NOT_ANALYSED, reason=one.reason) if one.item is None else next(given) for one in ready]


def in_parts(model: Model, items: Sequence[Any]) -> list[Prediction | Exception]:
    """One pass for all ``items``; where it fails, or does not fit, one for each half, down to single ones: their errors are their own.

    What the model declines becomes an answer with the reason.
    """
    if not items:
        return []
    try:
        return [_noted(item, answer) for item, answer in zip(items, model.predict(items), strict=True)]
    except SoftTimeLimitExceeded:
        raise
    except (NotAnalysable, GeometryError, PixelError) as error:
        if len(items) == 1:
            return [Prediction(Outcome.NOT_ANALYSED, reason=str(error))]
    except Exception as error:
        if len(items) == 1:
            return [error]
        log.warning("a pass failed, and is tried in halves", count=len(items), exception=type(error).__name__)
    middle = len(items) // 2
    return [*in_parts(model, items[:middle]), *in_parts(model, items[middle:])]


def _noted(item: Any, answer: Prediction) -> Prediction:
    """With what was tolerated while the unit was read."""
    return replace(answer, notes=(*answer.notes, *(note for note in item.notes if note not in answer.notes)))


def _conclude(runtime: Runtime, model: Model, one: Prepared, prediction: Prediction, when: Pass, lease: Lease, watch: MemoryWatch) -> None:
    """From the answer to the committed result.

    Raises
    ------
    LeaseLost
        The job is another's; nothing was written.
    NodeError
        What went wrong; ``permanent`` says whether to try again.
    """
    job, began = one.job, time.monotonic()
    lease.check(job)
    objects: tuple[StoredObject, ...] = ()
    if not job.shadow:
        prediction, objects = reported(runtime, job, model, one.item, prediction, when.started_at)
    failpoint("worker.encoded", job.study_instance_uid)
    infer_s = 0.0 if one.item is None else when.infer_s
    timings = Timings(when.started_at, when.inferred_at, one.seconds, infer_s, time.monotonic() - began)
    watch.look()
    lease.check(job)
    runtime.register_models()
    job_leases.finish(
        runtime.database,
        job,
        prediction=prediction,
        identity=model.identity,
        objects=objects,
        profiles=runtime.settings.result_profiles,
        timings=timings,
        observations=observe(one.item, prediction),
        scanner=read_scanner(Path(at_their_place(runtime.blobs, job)[0].path)) if job.inputs else "",
    )
    lease.done(job)
    failpoint("worker.finished", job.study_instance_uid)
    log.info(
        "compared" if job.shadow else "reported",
        job=job.id,
        model=job.model,
        outcome=prediction.outcome.value,
        count=len(prediction.findings),
        held=sum(bool(item.problems) for item in objects),
        seconds=round(timings.prepare_s + timings.infer_s + time.monotonic() - began, 2),
    )
