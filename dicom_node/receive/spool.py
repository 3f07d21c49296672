"""The bytes of one C-STORE as they come: gathered, hashed and written to a file beside the blobs, which becomes the blob.

pynetdicom would either keep a whole data set in memory several times over or write it, with a head that names its own
version, to the system's temporary folder. Gathered, because every hash and every write lets another thread have the interpreter,
and waits to have it back: most instances are hashed once and written once.
"""

import hashlib
from collections import deque
from dataclasses import dataclass

from db.blobs.store import Blobs
from db.blobs.temporary_file import Temporary
from imaging.headers.instance_header import BEGINNING_BYTES
from imaging.wire import part10

GATHERED_BYTES = 1 << 20
_free: deque[memoryview] = deque(maxlen=16)  # buffers that wait for the next instance; a new one is zeroed by the kernel, page by page


@dataclass(frozen=True, slots=True)
class Command:
    """What a C-STORE command says of its data set: text as it came, without padding, whatever it is."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str  # of the accepted presentation context


class Spool:
    """A Part 10 file in the making. Errors are kept and told at the end, so that the association goes on.

    Attributes
    ----------
    size_bytes
        Of the data set, head not counted; grows on when the limit is passed, while nothing more is kept.
    error
        Why the bytes are not whole: "" while they are.
    beginning
        The first 64 KiB of the file, once it is finished.
    """

    def __init__(self, blobs: Blobs, command: Command, *, max_bytes: int) -> None:
        self.size_bytes = 0
        self.error = ""
        self.beginning = b""
        self.command = command
        self._blobs = blobs
        self._max_bytes = max_bytes
        self._file: Temporary | None = None
        self._digest = hashlib.sha256()
        self._buffer: memoryview | None = None
        self._gathered = 0

    def write(self, fragment: bytes | memoryview) -> None:
        """Take one fragment."""
        self.size_bytes += len(fragment)
        if self.error:
            return
        if self.size_bytes > self._max_bytes:
            self.fail("larger than receive.max_instance_bytes")
            return
        try:
            if self._buffer is None:
                self._begin()
            self._gather(fragment)
        except OSError as error:
            self.fail(f"cannot be written: {error.strerror or 'input/output error'}")

    def _begin(self) -> None:
        self._buffer = _free.pop() if _free else memoryview(bytearray(GATHERED_BYTES))
        self._gather(
            part10.encode_head(
                sop_class_uid=self.command.sop_class_uid,
                sop_instance_uid=self.command.sop_instance_uid,
                transfer_syntax_uid=self.command.transfer_syntax_uid,
            )
        )

    def _gather(self, content: bytes | memoryview) -> None:
        assert self._buffer is not None
        while content:
            part = content[: GATHERED_BYTES - self._gathered]
            self._buffer[self._gathered : self._gathered + len(part)] = part
            self._gathered += len(part)
            content = content[len(part) :]
            if self._gathered == GATHERED_BYTES:
                self._flush()

    def _flush(self) -> None:
        assert self._buffer is not None
        gathered, self._gathered = self._buffer[: self._gathered], 0
        if self._file is None:
            self.beginning = bytes(gathered[:BEGINNING_BYTES])
            self._file = self._blobs.temporary()
        self._digest.update(gathered)
        self._file.write(gathered)

    def fail(self, why: str) -> None:
        """Give up the bytes, and keep why."""
        self.discard()
        self.error = why

    @property
    def sha256(self) -> str:
        """Of all bytes, head included."""
        return self._digest.hexdigest()

    def finish(self) -> Temporary:
        """The file of all bytes, which is the caller's now.

        Raises
        ------
        OSError
            It could not be made, or its last bytes not be written.
        """
        if self._buffer is None:
            self._begin()
        if self._gathered:
            self._flush()
        file, self._file = self._file, None
        assert file is not None  # the head alone makes one
        self._give_back()
        return file

    def discard(self) -> None:
        """Remove what there is. Harmless twice."""
        file, self._file = self._file, None
        if file is not None:
            file.discard()
        self._give_back()

    def _give_back(self) -> None:
        buffer, self._buffer = self._buffer, None
        self._gathered = 0
        if buffer is not None:
            _free.append(buffer)
