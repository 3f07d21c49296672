"""The bytes of one C-STORE as they come: hashed and written to a file beside the blobs, which becomes the blob.

pynetdicom would either keep a whole data set in memory several times over or write it, with a head that names its own
version, to the system's temporary folder.
"""

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from db.blobs import Blobs
from dicom_node import part10


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
    """

    def __init__(self, blobs: Blobs, command: "Command", *, max_bytes: int) -> None:
        self.size_bytes = 0
        self.error = ""
        self.command = command
        self._blobs = blobs
        self._max_bytes = max_bytes
        self._descriptor = -1
        self._path = ""
        self._digest = hashlib.sha256()

    def write(self, fragment: bytes | memoryview) -> None:
        """Take one fragment."""
        self.size_bytes += len(fragment)
        if self.error:
            return
        if self.size_bytes > self._max_bytes:
            self.fail("larger than receive.max_instance_bytes")
            return
        try:
            if self._descriptor < 0:
                self._begin()
            self._append(fragment)
        except OSError as error:
            self.fail(f"cannot be written: {error.strerror or 'input/output error'}")

    def _begin(self) -> None:
        self._descriptor, self._path = self._blobs.open_temporary()
        self._append(
            part10.head(
                sop_class_uid=self.command.sop_class_uid,
                sop_instance_uid=self.command.sop_instance_uid,
                transfer_syntax_uid=self.command.transfer_syntax_uid,
            )
        )

    def _append(self, content: bytes | memoryview) -> None:
        self._digest.update(content)  # while the bytes come: the sender sends the next ones meanwhile
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def fail(self, why: str) -> None:
        """Give up the bytes, and keep why."""
        self.discard()
        self.error = why

    @property
    def sha256(self) -> str:
        """Of all bytes, head included."""
        return self._digest.hexdigest()

    def finish(self) -> Path:
        """The file of all bytes, which is the caller's now.

        Raises
        ------
        OSError
            It could not be made, or its last bytes not be written.
        """
        if self._descriptor < 0:
            self._begin()
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)
        path, self._path = self._path, ""
        return Path(path)

    def discard(self) -> None:
        """Remove what there is."""
        descriptor, self._descriptor = self._descriptor, -1
        path, self._path = self._path, ""
        if descriptor >= 0:
            with suppress(OSError):  # the bytes are given up in any case
                os.close(descriptor)
        if path:
            with suppress(OSError):  # it is swept later
                os.unlink(path)
