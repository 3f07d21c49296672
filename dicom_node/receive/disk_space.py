"""Check for free disk space before each instance, without a system call for each."""

from time import monotonic

from db.blobs.store import Blobs

MAX_AGE_S = 0.25


class DiskSpace:
    """Estimates free space: the last measurement, less what was written since.

    Used from several threads without a lock: a lost update makes the estimate wrong by one instance, for a quarter of a second.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._measured_at = float("-inf")
        self._free_bytes = 0

    def has(self, size_bytes: int) -> bool:
        """Whether so much is free. Measures again where the estimate is too low or older than 0.25 s.

        Raises
        ------
        StorageError
            The disk cannot be measured.
        """
        if self._free_bytes < size_bytes or monotonic() - self._measured_at > MAX_AGE_S:
            self._free_bytes, self._measured_at = self._blobs.free_bytes(), monotonic()
        return self._free_bytes >= size_bytes

    def subtract(self, size_bytes: int) -> None:
        """Count bytes that were written."""
        self._free_bytes -= size_bytes
