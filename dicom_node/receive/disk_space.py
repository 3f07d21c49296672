"""Whether the disk has room for one more instance, without asking it for each."""

from time import monotonic

from db.blobs.store import Blobs

EVERY_S = 0.25


class Room:
    """Free space as it was when the disk was asked last, less what was taken since. From any thread: a lost update is of one instance."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._asked_at = float("-inf")
        self._left = 0

    def holds(self, size_bytes: int) -> bool:
        """Whether so much is left; asked anew where that seems not so, or the answer is old. StorageError: it cannot be asked."""
        if self._left < size_bytes or monotonic() - self._asked_at > EVERY_S:
            self._left, self._asked_at = self._blobs.free_bytes(), monotonic()
        return self._left >= size_bytes

    def taken(self, size_bytes: int) -> None:
        """So much was written."""
        self._left -= size_bytes
