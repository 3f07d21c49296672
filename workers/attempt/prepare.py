"""The units of an attempt as their model takes them: verified and decoded, each with an ending of its own."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from core.errors import CannotUnderstand, GeometryError, NotAnalysable, PixelError
from core.states import UnitKind
from db.records import ClaimedJob
from imaging.photograph.read import Photograph, read_photograph
from imaging.volume.volume import Volume, read_volume
from models.card import ModelCard
from workers.attempt.child_runtime import Runtime
from workers.attempt.inputs import verified

UNIT_OF_CARD = {UnitKind.SERIES: "series", UnitKind.IMAGE: "image"}
MOST_BYTES = 256 << 20  # decoded photographs in one pass: what comes after waits for the next


@dataclass(frozen=True, slots=True)
class Prepared:
    """``item`` None: ``reason`` says why the unit cannot be analysed, or ``error`` what ended the attempt."""

    job: ClaimedJob
    item: Volume | Photograph | None = None
    reason: str = ""
    error: Exception | None = None
    seconds: float = 0.0


def some(runtime: Runtime, waiting: Sequence[ClaimedJob], card: ModelCard) -> list[Prepared]:
    """The first of ``waiting``, in order: all of them, or fewer where their pixels are many. A lone one in this thread.

    A thread that is stuck in a file cannot be ended: then the time limit is raised here, and the process is of no more use.
    """
    if len(waiting) == 1:
        return [one(runtime, waiting[0], card)]
    ready: list[Prepared] = []
    pool = ThreadPoolExecutor(max(1, runtime.threads), thread_name_prefix="photographs")
    try:
        while len(ready) < len(waiting) and sum(map(size_of, ready)) < MOST_BYTES:
            following = waiting[len(ready) : len(ready) + runtime.threads]
            ready += pool.map(lambda job: one(runtime, job, card), following)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return ready


def size_of(prepared: Prepared) -> int:
    """Bytes of its pixels."""
    if prepared.item is None:
        return 0
    return int((prepared.item.hu if isinstance(prepared.item, Volume) else prepared.item.rgb).nbytes)


def one(runtime: Runtime, job: ClaimedJob, card: ModelCard) -> Prepared:
    """One unit. Raises nothing."""
    began = time.monotonic()
    try:
        return Prepared(job, prepare(runtime, job, card), seconds=time.monotonic() - began)
    except (GeometryError, PixelError, NotAnalysable, CannotUnderstand) as error:
        return Prepared(job, reason=str(error), seconds=time.monotonic() - began)
    except Exception as error:  # it ends this attempt alone
        return Prepared(job, error=error, seconds=time.monotonic() - began)


def prepare(runtime: Runtime, job: ClaimedJob, card: ModelCard) -> Volume | Photograph:
    """The unit as the model takes it, from blobs whose hashes were verified.

    Raises
    ------
    GeometryError, PixelError, CannotUnderstand, NotAnalysable
        The unit cannot be analysed; the message goes into the report.
    ImagesDeleted
        Retention has removed images of it.
    StorageError
        A blob is missing or altered.
    """
    if UNIT_OF_CARD[job.unit_kind] not in card.units:
        raise NotAnalysable(f"model {card.name} takes one {card.unit}, and the route gave it one {UNIT_OF_CARD[job.unit_kind]}")
    paths = verified(runtime.database, runtime.blobs, job)
    if job.unit_kind is UnitKind.SERIES:
        return read_volume(paths, threads=runtime.threads, tilted=card.tilt == "resample", derived=card.derived == "note")
    if len(paths) != 1:
        raise NotAnalysable(f"a photograph is one instance, this unit has {len(paths)}")
    return read_photograph(paths[0])
