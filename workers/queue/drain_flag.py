"""Tells children that the worker stops, through a pipe that they inherit: no shared memory, nothing to clean up."""

import os
import select


class DrainFlag:
    """Set once by the parent, seen by every child; also set for a child whose parent has died."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        self._closed = False

    def set(self) -> None:
        """Stop taking new work. The byte is never read, so everyone sees it."""
        if not self._closed:
            os.write(self._write, b"!")

    def in_child(self) -> None:
        """Give up the writing end: when the parent dies the pipe has none left, and reads as set."""
        if not self._closed:
            os.close(self._write)
            self._closed = True

    def is_set(self) -> bool:
        return bool(select.select([self._read], [], [], 0)[0])
