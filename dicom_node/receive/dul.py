"""The upper layer of an accepted association: pynetdicom's state machine, woken by what comes instead of looking every millisecond."""

import logging
import os
import queue
import select
import struct
import time
from contextlib import suppress
from typing import Any

from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import A_ABORT_RQ

from dicom_node.receive.dimse import NodeDimse
from dicom_node.receive.wakeable_queue import Ringing
from dicom_node.sockets import PDU_HEADER_BYTES, PDU_TYPES

P_DATA_TF = 0x04
LOOK_S = 0.5  # what nobody rings for (a timer, a lost connection) is seen within this
CLOSING_S = 0.005  # between looks while there is no connection to wait for
_LOGGER = logging.getLogger("dicom_node.server")


class NodeDul(DULServiceProvider):
    """Reads and sends in its own thread, in which a C-STORE is served as well (`messages.NodeDimse`)."""

    def __init__(self, assoc: Any) -> None:
        super().__init__(assoc)
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._closed = False
        self.to_provider_queue = Ringing(self.ring)
        self.to_user_queue = Ringing(assoc.wake)
        self.serving = False  # a message: its time is not the peer's silence

    def ring(self) -> None:
        """Something is to be sent, or the thread is to end."""
        if not self._closed:
            with suppress(OSError):  # it closed this moment
                os.eventfd_write(self._bell, 1)

    def kill_dul(self) -> None:
        super().kill_dul()
        self.ring()

    def stop_dul(self) -> bool:
        """As pynetdicom's: True once the thread has ended, False while the association is not closed."""
        if self.state_machine.current_state != "Sta1":
            return False
        self.kill_dul()
        while self.is_alive():
            time.sleep(0.001)
        return True

    def run_reactor(self) -> None:
        self._idle_timer.start()
        self.assoc._dul_ready.set()
        try:
            while not self._kill_thread:
                self._turn()
        except Exception as error:  # as pynetdicom does: past the state machine, which is in no known state
            _LOGGER.error("an association is aborted: %s in its upper layer", type(error).__name__)
            self._abort()
        finally:
            if isinstance(self.assoc.dimse, NodeDimse):
                self.assoc.dimse.discard()
            self._closed = True
            os.close(self._bell)
            self._tell_that_nobody_comes()
            self.assoc.wake()  # type: ignore[attr-defined]

    def _tell_that_nobody_comes(self) -> None:
        """It went, or was sent away, before it asked for an association: its thread need not wait until ``acse_timeout_s``."""
        if self.assoc.requestor.primitive is None:
            self.to_user_queue.put(None)

    def _turn(self) -> None:
        """One event: of a timer, of the state machine, of this side, of the peer."""
        if self.artim_timer.expired:
            self.event_queue.put("Evt18")
        if self.event_queue.empty() and not self._process_recv_primitive():
            if self.state_machine.current_state == "Sta13":
                self._is_transport_event()
            elif self.state_machine.current_state == "Sta1":
                self._tell_that_nobody_comes()
                time.sleep(CLOSING_S)  # it is over, and the association's thread ends this one
            elif self._readable():
                self._read_pdu_data()
                while self._more():
                    self._read_pdu_data()
                self._idle_timer.restart()
        with suppress(queue.Empty):
            self.state_machine.do_action(self.event_queue.get(block=False))

    def _more(self) -> bool:
        """Whether the next PDU may be read at once: it is here, and nobody on this side has anything to say before."""
        return self.socket.more and self.event_queue.empty() and self.to_provider_queue.empty()  # type: ignore[union-attr]

    def _readable(self) -> bool:
        """Wait until the peer has sent something (True), somebody rang, or time has passed."""
        wrapped: Any = self.socket
        connection = wrapped.socket if wrapped is not None else None
        if connection is None or connection.fileno() < 0:
            if connection is not None:
                self.event_queue.put("Evt17")  # it was closed from this side
            time.sleep(CLOSING_S)
            return False
        if wrapped.more or getattr(connection, "pending", int)():  # we, or TLS, have read ahead
            return True
        artim = self.artim_timer
        running = artim._start_time is not None and artim._end_time is None
        wait_s = max(0.0, min(LOOK_S, artim.remaining)) if running else LOOK_S
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        poll.register(self._bell, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(wait_s * 1000)}
        if self._bell in ready:
            with suppress(BlockingIOError):
                os.eventfd_read(self._bell)
        return connection.fileno() in ready

    def _read_pdu_data(self) -> None:
        """One PDU to its event (PS3.8 9.2); presentation data of an open association go straight to their messages."""
        wrapped: Any = self.socket
        try:
            head = wrapped.recv(PDU_HEADER_BYTES)
            if len(head) < PDU_HEADER_BYTES:
                self.event_queue.put("Evt17")
                return
            kind, spare, length = struct.unpack(">BBL", head)
            if kind not in PDU_TYPES:
                self.event_queue.put("Evt19")
                return
            body = wrapped.recv(length)
        except OSError:
            self.event_queue.put("Evt17")
            return
        if len(body) < length:
            self.event_queue.put("Evt17")
            return
        try:
            if kind == P_DATA_TF and self.state_machine.current_state == "Sta6":
                self._serve(body)
                return
            pdu, event = self._decode_pdu(bytearray(struct.pack(">BBL", kind, spare, length)) + body)
        except Exception as error:
            _LOGGER.error("an association is aborted: a PDU cannot be understood (%s)", type(error).__name__)
            self.event_queue.put("Evt19")
            return
        self.event_queue.put(event)
        self._recv_pdu.put(pdu)

    def _serve(self, values: memoryview) -> None:
        dimse = self.assoc.dimse
        assert isinstance(dimse, NodeDimse)
        self.serving = True
        try:
            dimse.receive_pdvs(values, self)
        finally:
            self._idle_timer.restart()
            self.serving = False

    def send_command(self, context_id: int, command_set: bytes) -> None:
        """A command set as P-DATA-TF PDUs that the peer takes (PS3.8 9.3.5, D.1). Called in this thread alone."""
        if self.assoc._kill or self.state_machine.current_state not in ("Sta6", "Sta8"):
            return
        most = self.assoc.requestor.maximum_length
        step = most - 6 if most and most > 6 else len(command_set)
        wrapped: Any = self.socket
        for at in range(0, len(command_set), step):
            part = command_set[at : at + step]
            last = 2 if at + step >= len(command_set) else 0
            wrapped.send(struct.pack(">BxLLBB", P_DATA_TF, len(part) + 6, len(part) + 2, context_id, 1 | last) + part)

    def _abort(self) -> None:
        abort = A_ABORT_RQ()
        abort.source, abort.reason_diagnostic = 0x02, 0x00  # the provider, no reason given (PS3.8 9.3.8)
        wrapped: Any = self.socket
        with suppress(Exception):
            wrapped.send(abort.encode())
        self.assoc.is_aborted = True
        self.assoc.is_established = False
        self.assoc._kill = True
        self._kill_thread = True
