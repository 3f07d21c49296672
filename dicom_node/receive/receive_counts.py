"""What was answered to C-STORE requests, gathered in memory and counted once a second: no cost in the path of an instance.

A listener that is killed loses the counts of its last second, never an instance.
"""

import threading
from collections import Counter

from core.errors import StorageError
from db import counters
from db.engine import Database
from dicom_node.statuses import SUCCESS


def kind_of(status: int) -> str:
    """The class of a status (PS3.4 Annex B.2.3), as the metrics name it."""
    if status == SUCCESS:
        return "stored"
    if status & 0xF000 == 0xC000:
        return "not_understood"
    return {0xA700: "out_of_resources", 0xA900: "mismatch"}.get(status & 0xFF00, "refused")


class ReceivedCounts:
    """Of one listener process, from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._bytes = 0

    def add(self, status: int, size_bytes: int) -> None:
        """One answer; the bytes count where they were stored."""
        with self._lock:
            self._counts[kind_of(status)] += 1
            self._bytes += size_bytes if status == SUCCESS else 0

    def flush(self) -> None:
        """Count in the database what has gathered; it is kept where that cannot be.

        Raises
        ------
        StorageError
            The database is out of reach.
        """
        with self._lock:
            counts, self._counts = self._counts, Counter()
            size, self._bytes = self._bytes, 0
        if not counts:
            return
        changes = [("received", (kind,), float(count)) for kind, count in sorted(counts.items())]
        try:
            with self._database.begin() as connection:
                counters.add(connection, [*changes, ("received_bytes", (), float(size))])
        except StorageError:
            with self._lock:
                self._counts += counts
                self._bytes += size
            raise
