"""Carries jobs of one pipeline through prepare, predict and finish.

::

    inputs verified -> volume or photographs -> one pass through the model -> for each unit: result objects -> commit

Several photographs share a pass, and nothing else: each has its own outcome, lease, limits and commit. What fails for one of them, or
for the pass, does not end the attempts of the others.
"""

import time
from collections.abc import Sequence

from core.failpoints import failpoint
from core.records import Prediction
from db.jobs.job_records import ClaimedJob
from models.runtime import Model
from workers.attempt.failures import failures_recorded
from workers.attempt.finish import PassTimes, finish_job
from workers.attempt.lease import Lease
from workers.attempt.predict import predict_units
from workers.attempt.prefetch import Prefetch
from workers.attempt.prepare import PreparedUnit, prepare_units
from workers.child.memory_limit import MemoryWatch
from workers.child.runtime import ChildRuntime


def analyse_jobs(runtime: ChildRuntime, jobs: Sequence[ClaimedJob], lease: Lease, prefetch: Prefetch, watch: MemoryWatch) -> None:
    """Analyse ``jobs``, in as many passes as their pixels need. Every attempt has ended when this returns."""
    waiting = list(jobs)
    while waiting:
        del waiting[: _run_pass(runtime, waiting, lease, prefetch, watch)]


def _run_pass(runtime: ChildRuntime, waiting: Sequence[ClaimedJob], lease: Lease, prefetch: Prefetch, watch: MemoryWatch) -> int:
    """Run one pass for the first of ``waiting`` and return how many attempts have ended (all, where no model or unit could be read)."""
    model = None
    with failures_recorded(runtime, lease, *waiting):
        started_at = runtime.database.now()
        model = runtime.models.load(waiting[0].model, waiting[0].pipeline_digest)
    if model is None:
        return len(waiting)
    prepared = _prepare(runtime, model, waiting, lease, prefetch)
    if prepared is None:
        return len(waiting)
    units = _without_errors(runtime, prepared, lease)
    predictions: list[Prediction | Exception] = []
    with failures_recorded(runtime, lease, *(unit.job for unit in units)):
        if units:
            prefetch.start(units[0].job)
        began = time.monotonic()
        predictions = predict_units(model, units)
        seconds = (time.monotonic() - began) / max(1, sum(unit.item is not None for unit in units))
        times = PassTimes(started_at, runtime.database.now(), seconds)
    for unit, prediction in zip(units, predictions, strict=False):  # no predictions: the attempts have ended above
        with failures_recorded(runtime, lease, unit.job):
            failpoint("worker.predicted", unit.job.study_instance_uid)
            if isinstance(prediction, Exception):
                raise prediction
            finish_job(runtime, model, unit, prediction, times, lease, watch)
    return len(prepared)


def _prepare(
    runtime: ChildRuntime, model: Model, waiting: Sequence[ClaimedJob], lease: Lease, prefetch: Prefetch
) -> list[PreparedUnit] | None:
    """Return the prefetched unit, or prepare the first of ``waiting``; None where the time limit has ended all attempts.

    After the time limit a thread may still hang in a file. It cannot be ended, so the process is.
    """
    with failures_recorded(runtime, lease, *waiting):
        prefetched = prefetch.prepared(waiting[0])
        return prepare_units(runtime, waiting, model.card) if prefetched is None else [prefetched]
    if (len(waiting) > 1 or prefetch.decoding) and runtime.end_process is not None:
        runtime.end_process()
    return None


def _without_errors(runtime: ChildRuntime, prepared: Sequence[PreparedUnit], lease: Lease) -> list[PreparedUnit]:
    """End the attempts of units that could not be prepared, and return the others."""
    units = []
    for unit in prepared:
        with failures_recorded(runtime, lease, unit.job):
            failpoint("worker.prepared", unit.job.study_instance_uid)
            if unit.error is not None:
                raise unit.error
            lease.check(unit.job)
            units.append(unit)
    return units
