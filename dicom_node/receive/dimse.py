"""Presentation data values to messages: a C-STORE is served at once, in the thread that read its last byte; all else is pynetdicom's.

One thread from socket to answer: the wake-ups between pynetdicom's threads and the objects it makes of a command cost more than
the disk (docs/measurements.md).
"""

import queue
import struct
import time
from collections.abc import Callable
from typing import Any, Protocol

from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from dicom_node.receive.spool import Command, Spool
from dicom_node.receive.store_command import StoreCommand, read_store_request, store_response
from dicom_node.receive.wakeable_queue import Ringing
from dicom_node.statuses import CANNOT_UNDERSTAND, Answer
from imaging.wire.command_set import has_data_set, read_command_set

MAX_COMMAND_BYTES = 64 << 10
LOOK_S = 0.1  # who waits for an answer looks so often whether the peer wants to go
MAX_WAITING = 4  # messages that wait to be served; without asynchronous operations there is one
MAX_IDENTIFIER_BYTES = 8 << 20  # data sets of other messages than C-STORE: storage commitment, 50,000 instances of it
_IS_COMMAND, _IS_LAST = 1, 2  # bits of the message control header (PS3.8 E.2)
_PDV_HEAD = 6  # item length (4), context ID, message control header

Store = Callable[[Any, Any, Spool], Answer]
"""(association, presentation context, bytes) -> status and error comment; never raises."""


class Sender(Protocol):
    """What sends a command set on the connection that this thread reads (`upper.NodeDul`)."""

    def send_command(self, context_id: int, command_set: bytes) -> None: ...


class NodeDimse(DIMSEServiceProvider):
    """The DIMSE provider of an accepted association."""

    def __init__(self, assoc: Any, make_spool: Callable[[Command], Spool], store: Store) -> None:
        super().__init__(assoc)
        self.msg_queue = Ringing(assoc.wake)
        self._release_waits: Callable[[], bool] = assoc.release_waits
        self._make_spool = make_spool
        self._store = store
        self._command = bytearray()
        self._coming: tuple[int, StoreCommand, Spool] | None = None

    def get_msg(self, block: bool = False) -> Any:
        """As pynetdicom's, but that nobody waits for the answer of a peer that asks to release: none will come, and it waits for us."""
        until = time.monotonic() + (self.dimse_timeout if self.dimse_timeout is not None else float("inf"))
        while True:
            try:
                return self.msg_queue.get(block=block, timeout=LOOK_S)
            except queue.Empty:
                if not block or time.monotonic() > until or self._release_waits():
                    return None, None

    def receive_pdvs(self, values: memoryview, sender: Sender) -> None:
        """The body of one P-DATA-TF PDU (PS3.8 9.3.5): command and data set may share it (Annex E).

        Raises
        ------
        ValueError
            It is not formed as the standard says, or out of turn: the association is to be aborted.
        """
        at, end = 0, len(values)
        while at < end:
            if at + _PDV_HEAD > end:
                raise ValueError("a presentation data value without its head")
            length, context_id, control = struct.unpack_from(">LBB", values, at)
            if length < 2 or at + 4 + length > end:
                raise ValueError("a presentation data value longer than its PDU")
            self._receive(context_id, control, values[at + _PDV_HEAD : at + 4 + length], sender)
            at += 4 + length

    def _receive(self, context_id: int, control: int, fragment: memoryview, sender: Sender) -> None:
        if self._coming is not None:
            if control & _IS_COMMAND:
                raise ValueError("a command within a data set")
            self._coming[2].write(fragment)
            if control & _IS_LAST:
                self._serve_store(sender)
        elif self.message is not None:
            self._pass_on(context_id, bytes([control]) + fragment)
        elif not control & _IS_COMMAND:
            raise ValueError("a data set without its command")
        else:
            self._command += fragment
            if len(self._command) > MAX_COMMAND_BYTES:
                raise ValueError("a command set longer than any that PS3.7 knows")
            if control & _IS_LAST:
                command_set = bytes(self._command)
                self._command.clear()
                self._begin(context_id, command_set, sender)

    def _begin(self, context_id: int, command_set: bytes, sender: Sender) -> None:
        elements = read_command_set(command_set)
        request = read_store_request(elements)
        if request is None:
            self._pass_on(context_id, b"\x03" + command_set)
            return
        context = self.assoc._accepted_cx.get(context_id)
        if context is None:
            raise ValueError("a C-STORE in a presentation context that was not accepted")
        command = Command(request.sop_class_uid, request.sop_instance_uid, str(context.transfer_syntax[0]))
        self._coming = context_id, request, self._make_spool(command)
        if not has_data_set(elements):
            self._serve_store(sender)

    def _serve_store(self, sender: Sender) -> None:
        assert self._coming is not None
        (context_id, request, spool), self._coming = self._coming, None
        try:
            if request.complete:
                answer = self._store(self.assoc, self.assoc._accepted_cx[context_id], spool)
            else:
                answer = Answer(CANNOT_UNDERSTAND, "the command lacks a required element")
        finally:
            spool.discard()
        sender.send_command(context_id, store_response(request, answer.status, answer.comment))

    def _pass_on(self, context_id: int, value: bytes) -> None:
        """One value of another message. A peer that does not wait for answers is not read from for now."""
        single = P_DATA()
        single.presentation_data_value_list.append((context_id, value))
        self.receive_primitive(single)
        if self.message is not None and self.message.data_set is not None and self.message.data_set.tell() > MAX_IDENTIFIER_BYTES:
            raise ValueError("a data set longer than any list of instances")
        while self.msg_queue.qsize() > MAX_WAITING and not self.assoc._kill:
            time.sleep(0.005)

    def discard(self) -> None:
        """The connection is over: remove what was still coming."""
        coming, self._coming = self._coming, None
        if coming is not None:
            coming[2].discard()
