"""Compares two contents of one SOP Instance UID: the same image in another encoding, or another image.

Not in the receiving path, and in a child process with limits: it decodes pixel data that any configured source may send.
"""

import subprocess
import sys
import threading
from pathlib import Path

import structlog

from core.errors import StorageError, StoreUnavailable
from db.blobs.store import Blobs
from db.complete.content_conflicts import UndecidedInstance, list_undecided, settle_conflict, take_lone_contents
from db.engine import Database
from db.roles.supervised_loop import SupervisedLoop
from dicom_node.conduct.comparison_process import DIFFERENT, SAME

TIMEOUT_S = 120.0
BATCH = 10
POLL_INTERVAL_S = 1.0


def same_content(first: Path, second: Path, *, timeout_s: float = TIMEOUT_S) -> bool:
    """Whether two files hold the same attributes and pixels. Files that cannot be compared count as different."""
    command = [sys.executable, "-m", "dicom_node.conduct.comparison_process", str(first), str(second)]
    try:
        status = subprocess.run(command, timeout=timeout_s, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode
    except subprocess.TimeoutExpired:
        return False
    if status not in (SAME, DIFFERENT):
        structlog.get_logger().warning("content_comparison_failed", status=status, outcome="counts as different")
    return status == SAME


class ContentComparer:
    """Decides undecided instances, one after the other (``loop``)."""

    def __init__(self, database: Database, blobs: Blobs, stop: threading.Event) -> None:
        self._database = database
        self._blobs = blobs
        self._stop = stop
        self.loop = SupervisedLoop("content-comparison", self._compare_batch, stop)

    def _compare_batch(self) -> float:
        take_lone_contents(self._database, BATCH)
        undecided = list_undecided(self._database, limit=BATCH)
        for instance in undecided:
            if self._stop.is_set():
                break
            self._compare(instance)
        return 0.0 if undecided else POLL_INTERVAL_S

    def _compare(self, instance: UndecidedInstance) -> None:
        hashes = (instance.current_sha256, instance.sha256)
        with self._blobs.pinned(hashes):
            try:
                same = same_content(*self._blobs.fetch_all(hashes))
            except StorageError as error:
                missing = isinstance(error.__cause__, FileNotFoundError)
                if isinstance(error, StoreUnavailable) or (isinstance(error.__cause__, OSError) and not missing):
                    raise  # the store does not answer, or the disk of this machine failed: it can be compared later
                structlog.get_logger().warning("content_comparison_failed", error=str(error), outcome="counts as different")
                same = False
        settle_conflict(self._database, instance.id, same=same, current_sha256=instance.current_sha256)
        outcome = "the same content in another encoding" if same else "other content: a new revision"
        structlog.get_logger().info("contents_compared", unit=instance.unit_id, outcome=outcome)
