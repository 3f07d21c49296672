"""The bytes of one C-STORE as they come: small ones in memory, larger ones in a file beside the blobs.

pynetdicom would either keep a whole data set in memory several times over or write it, with a head that names its own
version, to the system's temporary folder. This DIMSE provider hands it a file of ours instead, for each association
by itself, so that nothing global is switched.
"""

import io
import re
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.pdu_primitives import P_DATA

from dicom_node import part10

MEMORY_BYTES = 2 << 20  # a CT slice stays in memory; a multi-frame object does not
MAX_COMMAND_BYTES = 64 << 10
MAX_WAITING = 4  # messages that wait to be served; without asynchronous operations there is one
MAX_IDENTIFIER_BYTES = 8 << 20  # data sets of other messages than C-STORE: storage commitment, 50,000 instances of it

# What is left of the command set: the rest (who moved it, for example) is optional, and nothing here looks at it.
_KEPT = frozenset({0x00000000, 0x00000002, 0x00000100, 0x00000110, 0x00000700, 0x00000800, 0x00001000})
_UID = re.compile(r"(?=.{1,64}$)(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")
_STAND_IN = b"0.0"  # for a malformed UID within pynetdicom, which would end the association over it


@dataclass(frozen=True, slots=True)
class Command:
    """What a C-STORE command says of its data set: text as it came, without padding, whatever it is."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str  # of the accepted presentation context

    @property
    def malformed(self) -> bool:
        """Whether a UID is not formed as PS3.5 9.1 says. Some are taken all the same; see `dicom_node.intake`."""
        return not (_UID.fullmatch(self.sop_class_uid) and _UID.fullmatch(self.sop_instance_uid))


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
        self.name = ""  # pynetdicom removes the file of this name at the end: we do that ourselves
        self.file = self  # pynetdicom flushes ``.file`` after every fragment: once at the end is enough
        self._folder = folder
        self._max_bytes = max_bytes
        self._stream: BinaryIO = io.BytesIO()
        self._path: Path | None = None
        self._stream.write(
            part10.head(
                sop_class_uid=command.sop_class_uid,
                sop_instance_uid=command.sop_instance_uid,
                transfer_syntax_uid=command.transfer_syntax_uid,
            )
        )

    def write(self, fragment: bytes) -> None:
        """Take one fragment (called by pynetdicom)."""
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

    def flush(self) -> None:
        """Nothing: see ``file``."""

    def close(self) -> None:
        """Nothing: pynetdicom closes what it thinks is its file; the owner calls `discard`."""

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


class SpoolingDimse(DIMSEServiceProvider):
    """A DIMSE provider that receives the data set of a C-STORE into a `Spool`, and bounds everything else."""

    def __init__(self, assoc: Any, make_spool: Callable[[Command], Spool]) -> None:
        super().__init__(assoc)
        self._make_spool = make_spool

    def receive_primitive(self, primitive: P_DATA) -> None:
        """One presentation data value at a time: command and data set may share a PDU (PS3.8 Annex E)."""
        for value in primitive.presentation_data_value_list:
            single = P_DATA()
            single.presentation_data_value_list.append(value)
            super().receive_primitive(single)
            self._prepare(value[0])
        while self.msg_queue.qsize() > MAX_WAITING and not self.assoc._kill:
            time.sleep(0.005)  # a peer that does not wait for answers: nothing more is read from it for now

    def _prepare(self, context_id: int) -> None:
        """Once the command is whole and before the first byte of its data set: set where that goes."""
        message = self.message
        if message is None:
            return
        if message.encoded_command_set.tell() > MAX_COMMAND_BYTES:
            raise ValueError("a command set longer than any that PS3.7 knows")
        if message.data_set is not None and message.data_set.tell() > MAX_IDENTIFIER_BYTES:
            raise ValueError("a data set longer than any list of instances")
        if not isinstance(message, C_STORE_RQ) or message._data_set_file is not None:
            return
        values = message.command_set
        for tag in [tag for tag in values.keys() if int(tag) not in _KEPT]:  # noqa: SIM118 - iterating would decode the values
            del values[tag]
        context = self.assoc._accepted_cx.get(context_id)
        command = Command(
            sop_class_uid=_take_uid(values, 0x00000002),
            sop_instance_uid=_take_uid(values, 0x00001000),
            transfer_syntax_uid=str(context.transfer_syntax[0]) if context is not None else "",
        )
        message._data_set_file = cast(Any, self._make_spool(command))

    def discard(self) -> None:
        """The association is over: remove what was still coming and what nobody took."""
        waiting = [item[1] for item in list(self.msg_queue.queue)]
        for holder in (getattr(self.message, "_data_set_file", None), *(getattr(m, "_dataset_file", None) for m in waiting)):
            if isinstance(holder, Spool):
                holder.discard()


def _take_uid(values: Dataset, tag: int) -> str:
    """The text of a UID of the command set; in its place goes a stand-in where it is malformed."""
    raw = values.get_item(tag)
    if not isinstance(raw, RawDataElement) or not raw.value:
        return ""
    text = raw.value.decode("ascii", "replace").rstrip("\0 ")
    if not _UID.fullmatch(text):
        values[tag] = raw._replace(value=_STAND_IN)
    return text
