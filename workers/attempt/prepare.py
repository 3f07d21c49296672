"""Prepares units for their model: verifies the input files and decodes them to a volume or a photograph."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from core.errors import CannotUnderstand, GeometryError, NotAnalysable, PixelError
from core.states import UnitKind
from db.jobs.job_records import ClaimedJob
from imaging.decoded_unit import DecodedUnit
from imaging.photograph.read import Photograph, read_photograph
from imaging.volume.volume import Volume
from models.card import ModelCard
from models.series_reader import read_series
from workers.attempt.inputs import verified_paths
from workers.child.runtime import ChildRuntime

UNIT_OF_CARD = {UnitKind.SERIES: "series", UnitKind.IMAGE: "image"}
MAX_BATCH_BYTES = 256 << 20  # decoded photographs in one pass; the others follow in the next pass


@dataclass(frozen=True, slots=True)
class PreparedUnit:
    """A unit as its model takes it, or why there is none.

    Attributes
    ----------
    item
        None where the unit cannot be analysed (``reason`` says why), or where ``error`` ended the attempt.
    seconds
        How long it took.
    """

    job: ClaimedJob
    item: DecodedUnit | None = None
    reason: str = ""
    error: Exception | None = None
    seconds: float = 0.0


def prepare_units(runtime: ChildRuntime, jobs: Sequence[ClaimedJob], card: ModelCard) -> list[PreparedUnit]:
    """Prepare the first of ``jobs``, in their order: all of them, or fewer where their pixels exceed `MAX_BATCH_BYTES`.

    A single unit is prepared in this thread, several in a pool. A thread that hangs in a file cannot be ended: when the time limit is
    raised here, the process has to end (`workers.attempt.analyse`).
    """
    if len(jobs) == 1:
        return [prepare_unit(runtime, jobs[0], card)]
    prepared: list[PreparedUnit] = []
    pool = ThreadPoolExecutor(max(1, runtime.threads), thread_name_prefix="photographs")
    try:
        while len(prepared) < len(jobs) and sum(map(pixel_bytes, prepared)) < MAX_BATCH_BYTES:
            following = jobs[len(prepared) : len(prepared) + runtime.threads]
            prepared += pool.map(lambda job: prepare_unit(runtime, job, card), following)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return prepared


def pixel_bytes(unit: PreparedUnit) -> int:
    """Return the size of the decoded pixels; those of multi-frame images are decoded later, frame by frame."""
    if isinstance(unit.item, Volume):
        return int(unit.item.hu.nbytes)
    return int(unit.item.rgb.nbytes) if isinstance(unit.item, Photograph) else 0


def prepare_unit(runtime: ChildRuntime, job: ClaimedJob, card: ModelCard) -> PreparedUnit:
    """Prepare one unit. Errors are returned, not raised, so that they end no other attempt."""
    began = time.monotonic()
    try:
        return PreparedUnit(job, read_unit(runtime, job, card), seconds=time.monotonic() - began)
    except (GeometryError, PixelError, NotAnalysable, CannotUnderstand) as error:
        return PreparedUnit(job, reason=str(error), seconds=time.monotonic() - began)
    except Exception as error:
        return PreparedUnit(job, error=error, seconds=time.monotonic() - began)


def read_unit(runtime: ChildRuntime, job: ClaimedJob, card: ModelCard) -> DecodedUnit:
    """Return the unit as the model takes it, from blobs whose hashes were verified.

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
        given = UNIT_OF_CARD[job.unit_kind]
        hint = "let the conditions of the route select by Modality or SOPClassUID"
        raise NotAnalysable(f"model {card.name} takes one {card.unit}, and the route gave it one {given}", hint=hint)
    with runtime.blobs.pinned([entry.sha256 for entry in job.inputs]):
        paths = verified_paths(runtime.database, runtime.blobs, job)
        if job.unit_kind is UnitKind.SERIES:
            return read_series(paths, card, threads=runtime.threads)
        if len(paths) != 1:
            raise NotAnalysable(f"an image is one instance, this unit has {len(paths)}")
        return read_photograph(paths[0], grey=card.grey == "accept")
