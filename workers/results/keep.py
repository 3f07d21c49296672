"""Stores a result object: the third step of ``make -> check -> keep``."""

from db.blobs.store import Blobs
from db.jobs.job_records import StoredObject
from workers.results.make import ObjectDraft


def keep(draft: ObjectDraft, problems: tuple[str, ...], blobs: Blobs) -> StoredObject:
    """Write the object as a blob. Its row and its deliveries are committed with the result (``db.jobs.finish``).

    Raises
    ------
    StorageError
        The blob could not be written.
    """
    return StoredObject(report=draft.encoded, blob=blobs.put(draft.encoded.content), destinations=draft.destinations, problems=problems)
