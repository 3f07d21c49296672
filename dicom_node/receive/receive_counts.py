"""Counters of the answers to C-STORE requests: collected in memory, and written to the database once a second.

Writing them with each instance would cost receiving speed. A listener that is killed loses the counts of its last second, and no instance.
"""

import threading
from collections import Counter

from core.errors import StorageError
from db import counters
from db.engine import Database
from dicom_node.statuses import SUCCESS

WRITE_INTERVAL_S = 1.0


def status_class(status: int) -> str:
    """Return the class of a C-STORE status (PS3.4 Annex B.2.3) as the metrics name it."""
    if status == SUCCESS:
        return "stored"
    if status & 0xF000 == 0xC000:
        return "not_understood"
    return {0xA700: "out_of_resources", 0xA900: "mismatch"}.get(status & 0xFF00, "refused")


class ReceiveCounts:
    """Counts the answers of one listener process. May be used from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._stored_bytes = 0

    def add(self, status: int, size_bytes: int) -> None:
        """Count one answer, and the size of the data set where it was stored."""
        with self._lock:
            self._counts[status_class(status)] += 1
            self._stored_bytes += size_bytes if status == SUCCESS else 0

    def write(self) -> float:
        """Add the counts to those in the database. Returns the seconds until the next call.

        Raises
        ------
        StorageError
            The database is unavailable; the counts are kept for the next call.
        """
        with self._lock:
            counts, self._counts = self._counts, Counter()
            stored_bytes, self._stored_bytes = self._stored_bytes, 0
        if not counts:
            return WRITE_INTERVAL_S
        changes = [("received", (name,), float(count)) for name, count in sorted(counts.items())]
        try:
            with self._database.begin() as connection:
                counters.add(connection, [*changes, ("received_bytes", (), float(stored_bytes))])
        except StorageError:
            with self._lock:
                self._counts += counts
                self._stored_bytes += stored_bytes
            raise
        return WRITE_INTERVAL_S
