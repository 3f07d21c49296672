"""A file in ``tmp`` that has no blob's name yet, open from its first byte to its fsync."""

import errno
import os
import threading
from contextlib import suppress

from db.blobs.write_threads import WriteThreads
from db.blobs.writeback import begin_writeback


class TemporaryFile:
    """A file that is being written. Its owner discards it at the end; after a crash ``Blobs.sweep`` removes it.

    Attributes
    ----------
    size_bytes
        Length of what was given to `write` and `write_beside`.
    """

    __slots__ = ("_begun_bytes", "_error", "_lock", "_pieces", "_threads", "_written", "_written_bytes", "descriptor", "path", "size_bytes")

    def __init__(self, descriptor: int, path: str, threads: WriteThreads) -> None:
        self.descriptor = descriptor
        self.path = path
        self.size_bytes = 0
        self._threads = threads
        self._written_bytes = self._begun_bytes = 0
        self._error: OSError | None = None
        self._pieces: list[memoryview] | None = None  # what a thread is to write next; None: no thread writes
        self._lock = threading.Lock()
        self._written = threading.Lock()  # held while a thread writes

    def write(self, content: bytes | memoryview) -> None:
        """Write all of ``content``. Raises OSError."""
        self.wait_written()
        self.size_bytes += len(content)
        self._write(memoryview(content))

    def write_beside(self, content: memoryview) -> bool:
        """Have a thread write ``content``, which must not change before `wait_written` returns. False where none is idle: use `write`."""
        with self._lock:
            begin = self._pieces is None
            if self._pieces is None:
                self._pieces = []
                self._written.acquire()
            self._pieces.append(content)
        if begin and not self._threads.start(self._write_pieces):
            self._pieces = None
            self._written.release()
            return False
        self.size_bytes += len(content)
        return True

    def wait_written(self) -> None:
        """Wait until everything given to `write` and `write_beside` is written. Raises OSError where it could not be."""
        with self._written:
            if self._error is not None:
                raise self._error
            if self._written_bytes != self.size_bytes:
                raise OSError(errno.EIO, "fewer bytes were written than received")

    def begin_writeback(self) -> None:
        """Let the disk begin with what was written since the last call; nothing is waited for, and nothing is promised."""
        begin_writeback(self.descriptor, self._begun_bytes, self._written_bytes - self._begun_bytes)
        self._begun_bytes = self._written_bytes

    def discard(self) -> None:
        """Close the file and remove its name in ``tmp``; the name of a blob remains. Calling it again has no effect."""
        with self._written:
            descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):  # the bytes are on disk already, or not wanted
                os.close(descriptor)
            with suppress(OSError):  # the name was replaced by the blob's, or is swept later
                os.unlink(self.path)

    def _write(self, rest: memoryview) -> None:
        while rest:
            count = os.write(self.descriptor, rest)
            self._written_bytes += count
            rest = rest[count:]

    def _write_pieces(self) -> None:
        """Write, in another thread, until no piece is left."""
        try:
            while True:
                with self._lock:
                    pieces, self._pieces = self._pieces, []
                    if not pieces and self._begun_bytes == self._written_bytes:
                        self._pieces = None
                        return
                for piece in pieces or ():
                    self._write(piece)
                if not pieces:  # all that has arrived is written
                    self.begin_writeback()
        except Exception as error:  # the thread goes on with other files
            self._error = error if isinstance(error, OSError) else OSError(errno.EIO, type(error).__name__)
            with self._lock:
                self._pieces = None
        finally:
            self._written.release()
