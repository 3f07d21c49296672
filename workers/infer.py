"""Claim, prepare, infer, encode, keep: one job at a time, everything that is decided in PostgreSQL.

::

    wake-up -> claim (attempt committed) -> inputs verified -> volume or photograph -> model -> report -> validate -> blob
            -> finish: one short transaction behind the fence

No transaction spans the work. Whatever happens, the job ends in one of: reported, failed (with the reason), queued again.
"""

import time
from dataclasses import replace
from pathlib import Path

import structlog
from celery.exceptions import SoftTimeLimitExceeded

from core.errors import CannotUnderstand, GeometryError, LeaseLost, ModelError, NodeError, NotAnalysable, PixelError, StorageError
from core.logs import scrub
from core.profiles import profiles_of
from core.records import Prediction
from core.states import Outcome, UnitKind
from core.steps import step
from db import jobs
from db.records import ClaimedJob, StoredObject, Timings
from imaging.photograph import Photograph, read_photograph
from imaging.scanner import scanner_of
from imaging.volume import Volume, read_volume
from models.card import ModelCard
from models.observing import observe
from models.runtime import Model
from workers.explaining import explain
from workers.inputs import at_their_place, verified
from workers.lease import Lease
from workers.limits import MemoryWatch
from workers.reporting import reported
from workers.runtime import Runtime

MAX_JOBS_PER_WAKE_UP = 32
SHARE_OF_TIME_LIMIT = 0.1  # a wake-up starts no further job after this share: the limit is the task's, not the job's
MAX_ERROR = 500
UNIT_OF_CARD = {UnitKind.SERIES: "series", UnitKind.IMAGE: "image"}

log = structlog.get_logger()


def wake(runtime: Runtime) -> int:
    """Work off what is due, the most urgent first, until nothing is left or the wake-up's share of time is used. How many."""
    step("worker.woken")
    began, done = time.monotonic(), 0
    worker = runtime.settings.worker
    while done < MAX_JOBS_PER_WAKE_UP and not runtime.draining.is_set():
        if done and time.monotonic() - began > SHARE_OF_TIME_LIMIT * worker.soft_time_limit_s:
            break
        try:
            claimed = _claimed(runtime)
        except StorageError as error:
            log.warning("no claim: the database is out of reach; the wake-up comes again", error=str(error))
            break
        if not claimed:
            break
        run(runtime, claimed[0])
        done += 1
    return done


def _claimed(runtime: Runtime) -> list[ClaimedJob]:
    """The next job. What was given up comes first: it takes no time, and somebody waits for an answer that will not come."""
    database, name, lease_s = runtime.database, runtime.name, runtime.settings.worker.lease_s
    return jobs.claim_unexplained(database, worker=name, priorities=runtime.priorities, lease_s=lease_s) or jobs.claim(
        database, worker=name, priorities=runtime.priorities, models=None, lease_s=lease_s
    )


def run(runtime: Runtime, job: ClaimedJob) -> None:
    """One attempt, ended in order whatever happens."""
    runtime.busy = str(job.id)
    step("worker.claimed", job.study_instance_uid)
    try:
        with (
            Lease(runtime.database, job, runtime.settings.worker.lease_s, runtime.draining, given_back=runtime.leave) as lease,
            MemoryWatch(runtime.memory_mib, lambda held_mib: _too_much(runtime, job, held_mib)),
        ):
            _attempt(runtime, job, lease)
    finally:
        runtime.busy = ""


def _attempt(runtime: Runtime, job: ClaimedJob, lease: Lease) -> None:
    try:
        if job.gives_up is None:
            work(runtime, job, lease)
        else:
            explain(runtime, job, lease)
    except LeaseLost as error:
        log.warning("an attempt ended without result", job=job.id, attempt=job.attempt, reason=str(error))
    except SoftTimeLimitExceeded:
        _fail(runtime, job, f"took longer than worker.soft_time_limit_s ({runtime.settings.worker.soft_time_limit_s:g} s)", permanent=False)
    except NodeError as error:
        _fail(runtime, job, str(error), permanent=error.permanent)
    except Exception as error:
        # A defect, or a machine out of memory: said, counted, tried again; its text may hold values, so it is scrubbed.
        _fail(runtime, job, f"{type(error).__name__}: {scrub(str(error))}", permanent=False)


def _too_much(runtime: Runtime, job: ClaimedJob, held_mib: int) -> None:
    """The attempt ends with the reason, and this process with it: its memory would not come back, and another job is to have its own."""
    words = f"needed {held_mib} MiB of memory, and worker.memory_limit_mib allows {runtime.memory_mib} MiB"
    _fail(runtime, job, words, permanent=False)
    if runtime.leave is not None:
        runtime.leave()


def _fail(runtime: Runtime, job: ClaimedJob, error: str, *, permanent: bool) -> None:
    worker = runtime.settings.worker
    retry_in_s = worker.retry_base_s * 2 ** ((job.explanations or job.attempt) - 1)
    try:
        state = jobs.fail(
            runtime.database, job, error=error[:MAX_ERROR], permanent=permanent, retry_in_s=retry_in_s, max_attempts=worker.max_attempts
        )
        log.error("an attempt failed", job=job.id, attempt=job.attempt, model=job.model, state=state.value, error=error[:MAX_ERROR])
    except (LeaseLost, StorageError) as failure:  # the reaper ends the attempt when its lease has run out
        log.error("a failed attempt could not be recorded", job=job.id, error=error[:MAX_ERROR], reason=str(failure))


def work(runtime: Runtime, job: ClaimedJob, lease: Lease) -> None:
    """From the claimed job to its committed result.

    Raises
    ------
    LeaseLost
        The job is another's; nothing was written.
    NodeError
        What went wrong; ``permanent`` says whether to try again.
    """
    database = runtime.database
    started_at, began = database.now(), time.monotonic()
    model = runtime.model(job.model, job.pipeline_digest)
    item, prediction = None, None
    try:
        item = prepare(runtime, job, model.card)
    except (GeometryError, PixelError, NotAnalysable, CannotUnderstand) as error:
        prediction = Prediction(Outcome.NOT_ANALYSED, reason=str(error))
    step("worker.prepared", job.study_instance_uid)
    lease.check()
    prepared = time.monotonic()
    if item is not None:
        prediction = predict(model, item)
    if prediction is None:
        raise ModelError(f"model {job.model} gave no answer")
    step("worker.predicted", job.study_instance_uid)
    inferred_at, inferred = database.now(), time.monotonic()
    lease.check()
    objects: tuple[StoredObject, ...] = ()
    if not job.shadow:
        prediction, objects = reported(runtime, job, model, item, prediction, started_at)
    step("worker.encoded", job.study_instance_uid)
    timings = Timings(started_at, inferred_at, prepared - began, inferred - prepared, time.monotonic() - inferred)
    lease.check()
    runtime.register_models()
    jobs.finish(
        database,
        job,
        prediction=prediction,
        identity=model.identity,
        objects=objects,
        profiles=profiles_of(runtime.settings),
        timings=timings,
        observations=observe(item, prediction),
        scanner=scanner_of(Path(at_their_place(runtime.blobs, job)[0].path)) if job.inputs else "",
    )
    step("worker.finished", job.study_instance_uid)
    held = sum(bool(item.problems) for item in objects)
    seconds = round(time.monotonic() - began, 2)
    log.info(
        "compared" if job.shadow else "reported",
        job=job.id,
        model=job.model,
        outcome=prediction.outcome.value,
        count=len(prediction.findings),
        held=held,
        seconds=seconds,
    )


def prepare(runtime: Runtime, job: ClaimedJob, card: ModelCard) -> Volume | Photograph:
    """The unit as the model takes it, from blobs whose hashes were verified.

    Raises
    ------
    GeometryError, PixelError, CannotUnderstand, NotAnalysable
        The unit cannot be analysed; the message goes into the report.
    ImagesLetGo
        Retention has removed images of it.
    StorageError
        A blob is missing or altered.
    """
    if UNIT_OF_CARD[job.unit_kind] not in card.units:
        raise NotAnalysable(f"model {card.name} takes one {card.unit}, and the route gave it one {UNIT_OF_CARD[job.unit_kind]}")
    paths = verified(runtime.database, runtime.blobs, job)
    if job.unit_kind is UnitKind.SERIES:
        return read_volume(paths, threads=runtime.threads, tilted=card.tilt == "resample")
    if len(paths) != 1:
        raise NotAnalysable(f"a photograph is one instance, this unit has {len(paths)}")
    return read_photograph(paths[0])


def predict(model: Model, item: Volume | Photograph) -> Prediction:
    """The model's answer for one unit; what it declines becomes a report with the reason."""
    try:
        answers = model.predict([item])
    except (NotAnalysable, GeometryError, PixelError) as error:
        return Prediction(Outcome.NOT_ANALYSED, reason=str(error))
    notes = tuple(note for note in item.notes if note not in answers[0].notes)
    return replace(answers[0], notes=(*answers[0].notes, *notes))
