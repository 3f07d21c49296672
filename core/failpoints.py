"""The labelled steps of the pipeline: the instants at which a fault must do no harm.

Each label stands once in the program, at the call ``step("name")``, which does nothing: `tests/chaos` sets a watcher from outside
and kills the process there, or lets the disk be full. No setting and no environment variable of ours reaches it (decision 0023).
"""

from collections.abc import Callable
from types import MappingProxyType

Watcher = Callable[[str, str], None]

STEPS = MappingProxyType(
    {
        # listen: each before Success, so that the sender keeps what is lost here
        "receive.whole": "an instance's bytes are all here, nothing is kept",
        "receive.grouped": "blobs have their names, neither they nor the rows of a group are written for good",
        "receive.synced": "blobs are safe, the rows of a group are written, not committed",
        "receive.committed": "the rows of a group are committed, those who wait are not told",
        "receive.kept": "its row is committed, Success is not sent",
        # whoever writes a blob
        "blob.written": "in a temporary file, not fsynced",
        "blob.linked": "under its name too, not fsynced: no row names it",
        "blob.fsynced": "safe, the temporary file is still there",
        # conduct
        "complete.decided": "a unit is complete, nothing is written",
        "complete.written": "its jobs are written, not committed",
        "complete.committed": "its jobs are committed, nobody is rung",
        # relay
        "relay.read": "wake-ups are read, not published",
        "relay.sent": "the broker has them, the database does not know",
        "relay.published": "both know",
        "reap.written": "an abandoned job is queued again, not committed",
        "chain.written": "audit events are linked, not committed",
        # worker
        "worker.woken": "a message came, nothing is claimed",
        "claim.written": "job and attempt are written, not committed",
        "worker.claimed": "the attempt is committed, no work is done",
        "worker.prepared": "the input is verified and decoded",
        "worker.predicted": "the model has answered",
        "worker.encoded": "the result's objects are blobs, no row names them",
        "finish.written": "result and deliveries are written, not committed",
        "worker.finished": "the result is committed, the message is not acknowledged",
        # send
        "send.claimed": "deliveries are claimed, the destination is not dialled",
        "send.connected": "the association is open, nothing is sent",
        "send.taken": "the destination has the object, the database does not know",
        "settle.written": "the delivery's end is written, not committed",
        "send.settled": "the delivery's end is committed",
        "commit.asked": "the destination took a storage commitment request, the database does not know",
        "commit.reported": "its answer is written, not committed",
    }
)

_watcher: Watcher | None = None


def step(name: str, subject: str = "") -> None:
    """A labelled instant. ``subject``: what is worked on (a Study Instance UID), for a fault that strikes one input alone."""
    if _watcher is not None:
        _watcher(name, subject)


def watch(watcher: Watcher | None) -> None:
    """Call ``watcher`` at every step; None: nobody. Called by tests alone, and a test sees to that."""
    global _watcher
    _watcher = watcher
