"""Tells the children of a worker that it stops, through a pipe that they inherit: no shared memory, nothing to clean up."""

import os
import select


class DrainFlag:
    """A flag that the parent process sets once and every child reads; it is also set for a child whose parent has died.

    The parent writes one byte that is never read, so that the pipe stays readable for all children. When the parent dies, the last
    writing end is closed, and the pipe is readable (end of file) as well.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        self._closed = False

    def set(self) -> None:
        """Tell the children to claim no further jobs."""
        if not self._closed:
            os.write(self._write, b"!")

    def close_writing_end(self) -> None:
        """Close a child's copy of the writing end: called once in each child after the fork."""
        if not self._closed:
            os.close(self._write)
            self._closed = True

    def is_set(self) -> bool:
        """Return whether the worker stops, or the parent process has died."""
        return bool(select.select([self._read], [], [], 0)[0])
