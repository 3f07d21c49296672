"""The file into which the bytes of a C-STORE in progress are written; it becomes the blob without being copied.

pynetdicom would either keep a whole data set in memory several times over, or write it to the system's temporary folder with a file head
that names its own version. The bytes are collected in a buffer first: each hash update and each write releases Python's interpreter lock
and has to acquire it again. So they are hashed and written when the thread has to wait for more (`write_out`), and at the end.
"""

import hashlib
import time
from collections import deque
from dataclasses import dataclass

from db.blobs.store import Blobs
from db.blobs.temporary_file import TemporaryFile
from imaging.headers.instance_header import BEGINNING_BYTES
from imaging.wire import part10

BUFFER_BYTES = 1 << 20
WRITE_OUT_BYTES = 128 << 10  # less is not worth the system calls
WRITE_OUT_AFTER_S = 30.0  # but a file that is not written for minutes would be swept (`conduct.conductor`)
# Buffers for the next instances: the kernel zeroes the pages of a new one.
_free_buffers: deque[memoryview] = deque(maxlen=16)


@dataclass(frozen=True, slots=True)
class DataSetIdentity:
    """What the command of a C-STORE says about its data set: text as received, without padding, whether it is valid or not.

    ``transfer_syntax_uid`` is that of the accepted presentation context.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


class SpoolFile:
    """A Part 10 file in progress. An error is kept and reported at the end, so that the association goes on.

    Attributes
    ----------
    began
        When the command of the C-STORE was read, on the monotonic clock (s).
    size_bytes
        Length of the data set that was received, without the file head; also counts what was not kept after an error.
    error
        Why the file is not complete; "" while it is.
    beginning
        The first 64 KiB of the file, once it is finished.
    """

    def __init__(self, blobs: Blobs, identity: DataSetIdentity, *, max_bytes: int) -> None:
        self.began = time.monotonic()
        self.size_bytes = 0
        self.error = ""
        self.beginning = b""
        self.identity = identity
        self._blobs = blobs
        self._max_bytes = max_bytes
        self._file: TemporaryFile | None = None
        self._digest = hashlib.sha256()
        self._buffer: memoryview | None = None
        self._buffered = 0
        self._flushed_at = 0.0

    def write(self, fragment: bytes | memoryview) -> None:
        """Append a fragment of the data set."""
        self.size_bytes += len(fragment)
        if self.error:
            return
        if self.size_bytes > self._max_bytes:
            self.fail("larger than receive.max_instance_bytes")
            return
        try:
            if self._buffer is None:
                self._begin()
            self._append(fragment)
        except OSError as error:
            self.fail(f"cannot be written: {error.strerror or 'input/output error'}")

    def _begin(self) -> None:
        self._buffer = _free_buffers.pop() if _free_buffers else memoryview(bytearray(BUFFER_BYTES))
        self._append(
            part10.encode_head(
                sop_class_uid=self.identity.sop_class_uid,
                sop_instance_uid=self.identity.sop_instance_uid,
                transfer_syntax_uid=self.identity.transfer_syntax_uid,
            )
        )

    def _append(self, content: bytes | memoryview) -> None:
        assert self._buffer is not None
        while content:
            part = content[: BUFFER_BYTES - self._buffered]
            self._buffer[self._buffered : self._buffered + len(part)] = part
            self._buffered += len(part)
            content = content[len(part) :]
            if self._buffered == BUFFER_BYTES:
                self._flush()

    @property
    def has_unwritten(self) -> bool:
        """Whether it is worth writing what has arrived: enough, or too long after what was written before."""
        if self._file is None or self._buffered >= WRITE_OUT_BYTES:
            return self._buffered >= WRITE_OUT_BYTES
        return self._buffered > 0 and time.monotonic() - self._flushed_at > WRITE_OUT_AFTER_S

    def write_out(self) -> None:
        """Write and hash what has arrived, and let the disk begin with it."""
        try:
            self._flush()
        except OSError as error:
            self.fail(f"cannot be written: {error.strerror or 'input/output error'}")

    def _flush(self) -> None:
        assert self._buffer is not None
        content, self._buffered = self._buffer[: self._buffered], 0
        if self._file is None:
            self.beginning = bytes(content[:BEGINNING_BYTES])
            self._file = self._blobs.temporary()
        self._file.write(content)
        self._flushed_at = time.monotonic()
        self._file.begin_writeback()  # the disk works while the bytes are hashed and their header is read
        self._digest.update(content)

    def fail(self, reason: str) -> None:
        """Remove the bytes, and keep the reason for the answer."""
        self.discard()
        self.error = reason

    @property
    def sha256(self) -> str:
        """Hash of the whole file, head included."""
        return self._digest.hexdigest()

    def finish(self) -> TemporaryFile:
        """Write the last bytes, and return the file, which `discard` removes.

        Raises
        ------
        OSError
            The file cannot be created or written.
        """
        if self._buffer is None:
            self._begin()
        if self._buffered:
            self._flush()
        assert self._file is not None  # the head is never empty
        self._release_buffer()
        return self._file

    def discard(self) -> None:
        """Close the file and remove its temporary name; the name of a blob remains. May be called again."""
        file, self._file = self._file, None
        if file is not None:
            file.discard()
        self._release_buffer()

    def _release_buffer(self) -> None:
        buffer, self._buffer = self._buffer, None
        self._buffered = 0
        if buffer is not None:
            _free_buffers.append(buffer)
