"""Which instances of a storage commitment request are stored safely here."""

from dataclasses import dataclass

from db.blobs.store import Blobs
from db.commitment import source_requests
from db.commitment.source_requests import SourceRequest
from db.engine import Database
from dicom_node.commitment.datasets import CLASS_CONFLICT, NO_SUCH_INSTANCE, PROCESSING_FAILURE


@dataclass(frozen=True, slots=True)
class InstanceCheck:
    """Instances of a request. ``held``: (SOP Class UID, SOP Instance UID); ``failed``: the same with the Failure Reason."""

    held: tuple[tuple[str, str], ...]
    failed: tuple[tuple[str, str, int], ...]


def check_instances(database: Database, blobs: Blobs, request: SourceRequest) -> InstanceCheck:
    """Check each instance of a request: it is held if its row is committed and its bytes exist, under the SOP class that the source names.

    Raises
    ------
    StorageError
        The database is unavailable.
    """
    known = source_requests.indexed_contents(database, [uid for _, uid in request.instances])
    held, failed = [], []
    for sop_class, uid in request.instances:
        contents = known.get(uid, [])
        of_class = [content for content in contents if content.sop_class_uid == sop_class]
        if any(blobs.has(content.sha256) for content in of_class):
            held.append((sop_class, uid))
        else:
            reason = NO_SUCH_INSTANCE if not contents else CLASS_CONFLICT if not of_class else PROCESSING_FAILURE
            failed.append((sop_class, uid, reason))
    return InstanceCheck(tuple(held), tuple(failed))
