"""Two contents of one SOP Instance UID: the same image in another encoding, or another image?

Decided off the receive path and in a child process with bounds: it decodes pixels that a stranger sent.
"""

import subprocess
import sys
import threading
from pathlib import Path

import structlog

from core.errors import NodeError
from db.blobs.store import Blobs
from db.complete import units
from db.engine import Database
from db.records import UndecidedInstance
from dicom_node.conduct.comparison_process import OTHER, SAME
from dicom_node.role import Backoff

TIMEOUT_S = 120.0
IDLE_S = 1.0


def same_content(one: Path, other: Path, *, timeout_s: float = TIMEOUT_S) -> bool:
    """Whether both files hold the same attributes and pixels; what cannot be compared counts as different."""
    command = [sys.executable, "-m", "dicom_node.conduct.comparison_process", str(one), str(other)]
    try:
        status = subprocess.run(command, timeout=timeout_s, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode
    except subprocess.TimeoutExpired:
        return False
    if status not in (SAME, OTHER):
        structlog.get_logger().warning("two contents could not be compared and count as different", status=status)
    return status == SAME


class Comparing(threading.Thread):
    """Settles undecided instances, one after the other, until stopped."""

    def __init__(self, database: Database, blobs: Blobs, stop: threading.Event) -> None:
        super().__init__(name="comparing", daemon=True)
        self._database = database
        self._blobs = blobs
        self._stop_event = stop

    def run(self) -> None:
        backoff = Backoff(self._stop_event)
        while not self._stop_event.is_set():
            try:
                waiting = units.undecided(self._database, limit=10)
                for instance in waiting:
                    if self._stop_event.is_set():
                        return
                    self._settle(instance)
                backoff.worked()
            except NodeError as error:
                backoff.failed("undecided contents wait", error)
                continue
            if not waiting:
                self._stop_event.wait(IDLE_S)

    def _settle(self, instance: UndecidedInstance) -> None:
        same = same_content(self._blobs.path(instance.current_sha256), self._blobs.path(instance.sha256))
        units.settle(self._database, instance.id, same=same)
        words = "the same content in another encoding" if same else "other content: a new revision"
        structlog.get_logger().info("a second content was compared", unit=instance.unit_id, outcome=words)
