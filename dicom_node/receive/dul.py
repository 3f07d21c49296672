"""DICOM upper layer (PS3.8) of an accepted association: pynetdicom's state machine, woken by events instead of polling."""

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

from dicom_node.receive.connections.association_request import MalformedRequest, check_request
from dicom_node.receive.dimse import IS_COMMAND, IS_LAST, PDV_HEADER_BYTES, NodeDimse
from dicom_node.receive.wakeable_queue import WakeableQueue
from dicom_node.sockets import PDU_HEADER_BYTES, PDU_TYPES

A_ASSOCIATE_RQ, P_DATA_TF = 0x01, 0x04
POLL_INTERVAL_S = 0.5  # events that wake no thread (a timer, a lost connection) are noticed within this time
CLOSING_POLL_INTERVAL_S = 0.005  # the same while there is no connection to wait for
_LOGGER = logging.getLogger("dicom_node.server")


class NodeDul(DULServiceProvider):
    """Reads PDUs and sends PDUs in one thread, in which a C-STORE is served as well (`dimse.NodeDimse`).

    Attributes
    ----------
    serving
        Whether a message is being served. This time does not count as time without a message of the peer.
    """

    def __init__(self, assoc: Any) -> None:
        super().__init__(assoc)
        self._wake_descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._closed = False
        self.to_provider_queue = WakeableQueue(self.wake)
        self.to_user_queue = WakeableQueue(assoc.wake)
        self.serving = False

    def wake(self) -> None:
        """Interrupt the wait for the peer: there is something to send, or the thread is to end."""
        if not self._closed:
            with suppress(OSError):  # closed by the other thread in this moment
                os.eventfd_write(self._wake_descriptor, 1)

    def kill_dul(self) -> None:
        """End the thread, as pynetdicom does; here it may have to be woken first."""
        super().kill_dul()
        self.wake()

    def stop_dul(self) -> bool:
        """Wait for the end of the thread. False while the state machine is not idle (Sta1): then it does not end yet."""
        if self.state_machine.current_state != "Sta1":
            return False
        self.kill_dul()
        while self.is_alive():
            time.sleep(0.001)
        return True

    def run_reactor(self) -> None:
        """Process events until the association is over."""
        self._idle_timer.start()
        self.assoc._dul_ready.set()
        try:
            while not self._kill_thread:
                self._process_event()
        except Exception as error:  # as pynetdicom does: the state machine is in no known state and is bypassed
            _LOGGER.error("association aborted: %s in the upper layer", type(error).__name__)
            self._abort()
        finally:
            if isinstance(self.assoc.dimse, NodeDimse):
                self.assoc.dimse.discard()
            self._closed = True
            os.close(self._wake_descriptor)
            self._report_missing_request()
            self.assoc.wake()  # type: ignore[attr-defined]

    def _report_missing_request(self) -> None:
        """Let the association's thread end at once where the peer left before its request; it would wait for ``acse_timeout_s``."""
        if self.assoc.requestor.primitive is None:
            self.to_user_queue.put(None)

    def _process_event(self) -> None:
        """Wait for one event (of a timer, of this side, of the peer), and give it to the state machine (PS3.8 9.2)."""
        if self.artim_timer.expired:
            self.event_queue.put("Evt18")
        if self.event_queue.empty() and not self._process_recv_primitive():
            if self.state_machine.current_state == "Sta13":
                self._is_transport_event()
            elif self.state_machine.current_state == "Sta1":
                self._report_missing_request()
                time.sleep(CLOSING_POLL_INTERVAL_S)  # the association is over, and its thread ends this one
            elif self._wait_for_peer():
                self._read_pdu_data()
                while self._may_read_next_pdu():
                    self._read_pdu_data()
                self._idle_timer.restart()
        with suppress(queue.Empty):
            self.state_machine.do_action(self.event_queue.get(block=False))

    def _may_read_next_pdu(self) -> bool:
        """Whether the next PDU is in the socket's buffer and this side has nothing to send before."""
        return self.socket.has_pdu_header and self.event_queue.empty() and self.to_provider_queue.empty()  # type: ignore[union-attr]

    def _wait_for_peer(self) -> bool:
        """Wait until the peer has sent something (True), `wake` was called or the time is over (False)."""
        wrapped: Any = self.socket
        connection = wrapped.socket if wrapped is not None else None
        if connection is None or connection.fileno() < 0:
            if connection is not None:
                self.event_queue.put("Evt17")  # it was closed from this side
            time.sleep(CLOSING_POLL_INTERVAL_S)
            return False
        if wrapped.has_pdu_header or getattr(connection, "pending", int)():  # this socket, or TLS, has read ahead
            return True
        wrapped.work_before_waiting()
        artim = self.artim_timer
        running = artim._start_time is not None and artim._end_time is None
        wait_s = max(0.0, min(POLL_INTERVAL_S, artim.remaining)) if running else POLL_INTERVAL_S
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        poll.register(self._wake_descriptor, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(wait_s * 1000)}
        if self._wake_descriptor in ready:
            with suppress(BlockingIOError):
                os.eventfd_read(self._wake_descriptor)
        return connection.fileno() in ready

    def _read_pdu_data(self) -> None:
        """Read one PDU and queue its event (PS3.8 9.2). P-DATA-TF of an established association goes straight to DIMSE."""
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
                self._pass_to_dimse(body)
                return
            if kind == A_ASSOCIATE_RQ:
                self._check_request(body)
            pdu, event = self._decode_pdu(bytearray(struct.pack(">BBL", kind, spare, length)) + body)
        except MalformedRequest as error:
            _LOGGER.warning("association aborted: its request has %s (PS3.8 9.3.2)", error)
            self.event_queue.put("Evt19")
            return
        except Exception as error:
            _LOGGER.error("association aborted: a PDU could not be decoded (%s)", type(error).__name__)
            self.event_queue.put("Evt19")
            return
        self.event_queue.put(event)
        self._recv_pdu.put(pdu)

    def _check_request(self, body: memoryview) -> None:
        check_request(body)
        on_request = self.assoc.on_request  # type: ignore[attr-defined]
        if on_request is not None:
            on_request()

    def _pass_to_dimse(self, values: memoryview) -> None:
        dimse = self.assoc.dimse
        assert isinstance(dimse, NodeDimse)
        self.serving = True
        try:
            dimse.receive_pdvs(values, self)
        finally:
            self._idle_timer.restart()
            self.serving = False

    def send_command(self, context_id: int, command_set: bytes) -> None:
        """Send a command set in P-DATA-TF PDUs of the length that the peer accepts (PS3.8 9.3.5, D.1). Only for this thread."""
        if self.assoc._kill or self.state_machine.current_state not in ("Sta6", "Sta8"):
            return
        max_pdu = self.assoc.requestor.maximum_length
        step = max_pdu - PDV_HEADER_BYTES if max_pdu and max_pdu > PDV_HEADER_BYTES else len(command_set)
        wrapped: Any = self.socket
        for at in range(0, len(command_set), step):
            part = command_set[at : at + step]
            control = IS_COMMAND | (IS_LAST if at + step >= len(command_set) else 0)
            wrapped.send(struct.pack(">BxLLBB", P_DATA_TF, len(part) + PDV_HEADER_BYTES, len(part) + 2, context_id, control) + part)

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
