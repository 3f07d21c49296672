"""The bytes of one C-STORE as they come: small ones in memory, larger ones in a file beside the blobs.

pynetdicom would either keep a whole data set in memory several times over or write it, with a head that names its own
version, to the system's temporary folder.
"""

import hashlib
import io
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dicom_node import part10

MEMORY_BYTES = 2 << 20  # a CT slice stays in memory; a multi-frame object does not


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

    def __init__(self, folder: Path, command: "Command", *, max_bytes: int) -> None:
        self.size_bytes = 0
        self.error = ""
        self.command = command
        self._folder = folder
        self._max_bytes = max_bytes
        self._stream: BinaryIO = io.BytesIO()
        self._path: Path | None = None
        head = part10.head(
            sop_class_uid=command.sop_class_uid,
            sop_instance_uid=command.sop_instance_uid,
            transfer_syntax_uid=command.transfer_syntax_uid,
        )
        self._stream.write(head)
        self._digest = hashlib.sha256(head)  # while the bytes come: the sender sends the next ones meanwhile

    def write(self, fragment: bytes | memoryview) -> None:
        """Take one fragment."""
        self.size_bytes += len(fragment)
        if self.error:
            return
        if self.size_bytes > self._max_bytes:
            self.fail("larger than receive.max_instance_bytes")
            return
        try:
            if self._path is None and self.size_bytes > MEMORY_BYTES:
                self._to_disk()
            self._stream.write(fragment)
            self._digest.update(fragment)
        except OSError as error:
            self.fail(f"cannot be written: {error.strerror or 'input/output error'}")

    def _to_disk(self) -> None:
        file = tempfile.NamedTemporaryFile(dir=self._folder, suffix=".dcm", delete=False)  # noqa: SIM115 - outlives this call
        self._path = Path(file.name)
        file.write(self._stream.getvalue())  # type: ignore[attr-defined]
        self._stream = file  # type: ignore[assignment]

    def fail(self, why: str) -> None:
        """Give up the bytes, and keep why."""
        self.discard()
        self.error = why

    @property
    def sha256(self) -> str:
        """Of all bytes, head included."""
        return self._digest.hexdigest()

    def finish(self) -> Path | bytes:
        """All bytes: the path of a file that the caller now owns, or the content itself.

        Raises
        ------
        OSError
            The last bytes could not be written.
        """
        if self._path is None:
            return self._stream.getvalue()  # type: ignore[attr-defined, no-any-return]
        self._stream.close()
        path, self._path = self._path, None
        return path

    def discard(self) -> None:
        """Remove what there is."""
        path, self._path = self._path, None
        with suppress(OSError):  # closing flushes, which fails on a full disk: the bytes are given up in any case
            self._stream.close()
        if path is not None:
            path.unlink(missing_ok=True)
