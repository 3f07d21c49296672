"""DIMSE provider of an accepted association: serves C-STORE in the thread that read its last byte, and leaves other messages to pynetdicom.

One thread serves a C-STORE from the socket to the answer. Waking pynetdicom's other threads and building its objects for each command
takes longer than writing to the disk (docs/measurements.md).
"""

import queue
import struct
import time
from collections.abc import Callable
from typing import Any, Protocol

from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from dicom_node.receive.spool import DataSetIdentity, SpoolFile
from dicom_node.receive.store_command import StoreCommand, encode_store_response, read_store_request
from dicom_node.receive.wakeable_queue import WakeableQueue
from dicom_node.statuses import CANNOT_UNDERSTAND, StoreAnswer
from imaging.wire.command_set import has_data_set, read_command_set

MAX_COMMAND_BYTES = 64 << 10
RELEASE_CHECK_INTERVAL_S = 0.1  # while a request of ours waits for its answer
MAX_WAITING_MESSAGES = 4  # without asynchronous operations (PS3.7 D.3.3.3) there is at most one
MAX_IDENTIFIER_BYTES = 8 << 20  # data sets of other messages than C-STORE: a storage commitment request of 50,000 instances
IS_COMMAND, IS_LAST = 1, 2  # bits of the message control header (PS3.8 E.2)
PDV_HEADER_BYTES = 6  # item length (4 bytes), presentation context ID, message control header (PS3.8 9.3.5.1)

StoreHandler = Callable[[Any, Any, SpoolFile], StoreAnswer]
"""(association, presentation context, data set) -> status and error comment. Never raises."""


class CommandSender(Protocol):
    """Sends a command set on the connection that the calling thread reads (`dul.NodeDul`)."""

    def send_command(self, context_id: int, command_set: bytes) -> None:
        """Send a command set in a presentation context."""


class NodeDimse(DIMSEServiceProvider):
    """Assembles messages from presentation data values (PS3.7 6.3, PS3.8 Annex E)."""

    def __init__(self, assoc: Any, new_spool_file: Callable[[DataSetIdentity], SpoolFile], store: StoreHandler) -> None:
        super().__init__(assoc)
        self.msg_queue = WakeableQueue(assoc.wake)
        self._is_release_pending: Callable[[], bool] = assoc.is_release_pending
        self._new_spool_file = new_spool_file
        self._store = store
        self._command = bytearray()
        self._command_context = 0
        self._incoming: tuple[int, StoreCommand, SpoolFile] | None = None

    def get_msg(self, block: bool = False) -> Any:
        """Return the next message like pynetdicom, but do not wait once the peer has requested the release: it sends nothing any more."""
        deadline = time.monotonic() + (self.dimse_timeout if self.dimse_timeout is not None else float("inf"))
        while True:
            try:
                return self.msg_queue.get(block=block, timeout=RELEASE_CHECK_INTERVAL_S)
            except queue.Empty:
                if not block or time.monotonic() > deadline or self._is_release_pending():
                    return None, None

    def receive_pdvs(self, values: memoryview, sender: CommandSender) -> None:
        """Process the body of one P-DATA-TF PDU (PS3.8 9.3.5); it may hold parts of a command and of a data set (Annex E).

        Raises
        ------
        ValueError
            The body is malformed or out of sequence: the association is to be aborted.
        """
        at, end = 0, len(values)
        while at < end:
            if at + PDV_HEADER_BYTES > end:
                raise ValueError("a presentation data value without its header")
            length, context_id, control = struct.unpack_from(">LBB", values, at)
            if length < 2 or at + 4 + length > end:
                raise ValueError("a presentation data value longer than its PDU")
            self._receive(context_id, control, values[at + PDV_HEADER_BYTES : at + 4 + length], sender)
            at += 4 + length

    def _receive(self, context_id: int, control: int, fragment: memoryview, sender: CommandSender) -> None:
        if self._incoming is not None:
            if control & IS_COMMAND:
                raise ValueError("a command within a data set")
            if context_id != self._incoming[0]:  # PS3.8 E.1: they may be of another transfer syntax
                raise ValueError("a data set in another presentation context than its command")
            self._incoming[2].write(fragment)
            if control & IS_LAST:
                self._answer_store(sender)
        elif self.message is not None:
            self._pass_to_pynetdicom(context_id, bytes([control]) + fragment)
        elif not control & IS_COMMAND:
            raise ValueError("a data set without its command")
        else:
            if self._command and context_id != self._command_context:
                raise ValueError("a command set in several presentation contexts")
            self._command_context = context_id
            self._command += fragment
            if len(self._command) > MAX_COMMAND_BYTES:
                raise ValueError("a command set longer than any that PS3.7 defines")
            if control & IS_LAST:
                command_set = bytes(self._command)
                self._command.clear()
                self._begin_message(context_id, command_set, sender)

    def _begin_message(self, context_id: int, command_set: bytes, sender: CommandSender) -> None:
        elements = read_command_set(command_set)
        request = read_store_request(elements)
        if request is None:
            self._pass_to_pynetdicom(context_id, bytes([IS_COMMAND | IS_LAST]) + command_set)
            return
        context = self.assoc._accepted_cx.get(context_id)
        if context is None:
            raise ValueError("a C-STORE in a presentation context that was not accepted")
        identity = DataSetIdentity(request.sop_class_uid, request.sop_instance_uid, str(context.transfer_syntax[0]))
        self._incoming = context_id, request, self._new_spool_file(identity)
        if not has_data_set(elements):
            self._answer_store(sender)

    def _answer_store(self, sender: CommandSender) -> None:
        assert self._incoming is not None
        (context_id, request, spool), self._incoming = self._incoming, None
        try:
            if request.complete:
                answer = self._store(self.assoc, self.assoc._accepted_cx[context_id], spool)
            else:
                answer = StoreAnswer(CANNOT_UNDERSTAND, "the command lacks a required element")
            sender.send_command(context_id, encode_store_response(request, answer.status, answer.comment))
        finally:
            spool.discard()  # after the answer: removing the temporary name takes as long as linking it, and nobody waits for it

    def _pass_to_pynetdicom(self, context_id: int, value: bytes) -> None:
        """Give one value of another message to pynetdicom. Reading pauses while a peer sends requests faster than they are served."""
        single = P_DATA()
        single.presentation_data_value_list.append((context_id, value))
        self.receive_primitive(single)
        if self.message is not None and self.message.data_set is not None and self.message.data_set.tell() > MAX_IDENTIFIER_BYTES:
            raise ValueError("a data set longer than any list of instances")
        while self.msg_queue.qsize() > MAX_WAITING_MESSAGES and not self.assoc._kill:
            time.sleep(0.005)

    @property
    def has_unwritten(self) -> bool:
        """Whether so much of a C-STORE has arrived that it is worth writing while the thread waits for the rest."""
        return self._incoming is not None and self._incoming[2].has_unwritten

    def write_out(self) -> None:
        """Write what has arrived of a C-STORE."""
        if self._incoming is not None:
            self._incoming[2].write_out()

    def discard(self) -> None:
        """Remove the spool file of a C-STORE that was in progress when the connection ended."""
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            incoming[2].discard()
