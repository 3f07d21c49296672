"""Failpoints: labelled steps of the pipeline at which tests inject faults.

Each label stands at one place of the program, in a call ``failpoint("label")`` that does nothing. The tests in ``tests/chaos`` install a
watcher from outside that kills the process there or makes the disk appear full. No setting and no environment variable of the product
enables it (docs/faults.md).
"""

from collections.abc import Callable
from types import MappingProxyType

FailpointWatcher = Callable[[str, str], None]

FAILPOINTS = MappingProxyType(
    {
        # listen: each before Success, so that the sender still has what is lost here
        "receive.whole": "all bytes of an instance have arrived, none is stored durably",
        "receive.grouped": "a group is formed; no row of it is sent, and blobs may have no name yet",
        "receive.synced": "blobs are durable; the rows of the group are written, not committed",
        "receive.committed": "the rows of the group are committed; the waiting associations do not know it yet",
        "receive.kept": "the row of the instance is committed; Success is not sent",
        # every process that writes a blob
        "blob.written": "the content is in a temporary file, not fsynced",
        "blob.linked": "the blob has its name too, not fsynced; no row names it",
        "blob.fsynced": "the blob is durable on disk; the temporary file still exists",
        "store.written": "the content is in a temporary file; the S3 bucket or the other node does not have it",
        "store.confirmed": "the S3 bucket or the other node has confirmed the blob; the temporary file still exists",
        # conduct
        "complete.decided": "the unit is complete; nothing is written",
        "complete.written": "its jobs are written, not committed",
        "complete.committed": "its jobs are committed; no process is notified",
        # relay
        "relay.read": "wake-ups are read, not published",
        "relay.sent": "the broker has the wake-ups; the database does not know",
        "relay.published": "broker and database know",
        "reap.written": "an abandoned job is queued again, not committed",
        "chain.written": "audit events are chained, not committed",
        # worker
        "worker.woken": "a wake-up has arrived; no job is claimed",
        "claim.written": "job and attempt are written, not committed",
        "worker.claimed": "the attempt is committed; no work is done",
        "worker.prepared": "the input is verified and decoded",
        "worker.predicted": "the model has answered",
        "worker.encoded": "the result objects are blobs; no row names them",
        "finish.written": "result and deliveries are written, not committed",
        "worker.finished": "the result is committed; the wake-up is not acknowledged",
        "assessment.claimed": "an assessment is claimed; nothing is encoded",
        "assessment.encoded": "its objects are blobs; no row names them",
        "assessment.written": "its objects and deliveries are written, not committed",
        # send
        "anchor.written": "the head of the audit chain is in the anchor file; the database does not know",
        "send.claimed": "deliveries are claimed; no connection is open",
        "send.connected": "the association is open; nothing is sent",
        "send.taken": "the destination has the object; the database does not know",
        "settle.written": "the outcome of the delivery is written, not committed",
        "send.settled": "the outcome of the delivery is committed",
        "commit.asked": "the destination has accepted a storage commitment request; the database does not know",
        "commit.reported": "its report is written, not committed",
        # patients erase
        "erase.begun": "the erasure is recorded; nothing is deleted",
        "erase.written": "some rows of a unit are deleted, not committed",
        "erase.committed": "some rows of a unit are deleted; their files are there",
        "erase.emptied": "every row is deleted; the files are there",
        "erase.removed": "all rows and files are deleted; the erasure is not marked as ended",
    }
)

_watcher: FailpointWatcher | None = None


def failpoint(name: str, subject: str = "") -> None:
    """Mark a step. ``subject``: the Study Instance UID of the input in work, for faults that concern one input only."""
    if _watcher is not None:
        _watcher(name, subject)


def set_watcher(watcher: FailpointWatcher | None) -> None:
    """Call ``watcher(name, subject)`` at every failpoint; None removes it. Only tests call this (`tests/core/test_failpoints.py`)."""
    global _watcher
    _watcher = watcher
