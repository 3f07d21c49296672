"""Stores a result object: the third step of ``make -> check -> keep``."""

from functools import partial

from db.blobs.store import Blobs
from db.jobs.job_records import StoredObject, StoredOverlays
from imaging.overlays import pack_overlays
from workers.encode.analysis import Analysis
from workers.results.make import ObjectDraft


def keep(draft: ObjectDraft, problems: tuple[str, ...], blobs: Blobs) -> StoredObject:
    """Write the object as a blob. Its row and its deliveries are committed with the result (``db.jobs.finish``).

    Raises
    ------
    StorageError
        The blob could not be written.
    """
    return StoredObject(report=draft.encoded, blob=blobs.put(draft.encoded.content), destinations=draft.destinations, problems=problems)


def keep_overlays(analysis: Analysis, blobs: Blobs) -> StoredOverlays | None:
    """Store outlines and heat map for the console's viewer; None where the result has neither.

    Raises
    ------
    StorageError
        The blob could not be written.
    """
    content = pack_overlays(analysis.prediction.findings, analysis.heat)
    return StoredOverlays(blobs.put(content), partial(blobs.put, content)) if content else None
