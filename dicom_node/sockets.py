"""pynetdicom's sockets with three corrections: they are always closed, they do not delay small packets, and a PDU has a maximum length."""

import select
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.transport import AddressInformation, AssociationSocket, RequestHandler, ThreadedAssociationServer

from dicom_node.requested_association import RequestedAssociation

PDU_HEADER_BYTES = 6
# The largest PDU that the node accepts: 5 to 22 % faster than pynetdicom's default of 16382; a larger one gained nothing more.
MAX_PDU_BYTES = 131072
PDU_TYPES = range(1, 8)  # PS3.8 9.3.1
READ_AHEAD_BYTES = 512 << 10
REQUEST_BUFFER_BYTES = 4 << 10  # until the association is established: any peer can open connections


def set_kernel_timeout(connection: socket.socket, seconds: float | None) -> None:
    """Limit how long a read or write may block, like ``settimeout``, but in the kernel (SO_RCVTIMEO, SO_SNDTIMEO).

    Python's own time-out costs an extra system call before every read. Not for TLS, which reads again after a partial record.
    """
    whole, part = divmod(seconds or 0.0, 1.0)  # 0: no limit
    value = struct.pack("@ll", int(whole), int(part * 1e6))
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)


class NodeSocket(AssociationSocket):
    """pynetdicom's socket, which is always closed and sends small packets at once.

    pynetdicom leaves a socket open that the peer has closed first: its ``shutdown`` fails, and the ``close`` behind it is skipped.
    """

    def _shutdown_socket(self) -> None:
        connection = self.socket
        if connection is None:
            return
        with suppress(OSError):  # the peer has closed the connection already
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    def _create_socket(self, address: AddressInformation) -> socket.socket:
        made = super()._create_socket(address)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # Nagle's algorithm costs a factor of 50 on C-STORE
        return made


class WaitingWork(Protocol):
    """Work that can be done at any time, and costs nothing while the thread waits for the peer (`receive.dimse.NodeDimse`)."""

    @property
    def has_unwritten(self) -> bool:
        """Whether there is enough to do."""

    def write_out(self) -> None:
        """Do it."""


class AcceptedSocket(NodeSocket):
    """The socket of an accepted association: reads ahead into one buffer, and refuses a PDU longer than the negotiated maximum (PS3.8 D.1).

    Reading ahead is faster because each system call releases Python's interpreter lock and has to acquire it again: several PDUs
    come with one call.

    Attributes
    ----------
    waiting_work
        Done before the thread waits for more bytes.
    """

    max_pdu_bytes = 1 << 20
    _unknown_pdu_type = False  # such a PDU is answered with an A-ABORT, and nothing after it is read
    _start = _end = 0  # the part of the buffer that was received and not yet returned

    waiting_work: WaitingWork | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._buffer = memoryview(bytearray(REQUEST_BUFFER_BYTES))
        self._readable = select.poll()
        super().__init__(*args, **kwargs)

    @property
    def has_pdu_header(self) -> bool:
        """Whether the header of the next PDU is in the buffer already."""
        return self._end - self._start >= PDU_HEADER_BYTES and not self._unknown_pdu_type

    def recv(self, nr_bytes: int) -> memoryview:  # type: ignore[override]
        """Return ``nr_bytes`` bytes, valid until the next call; fewer when the peer closes the connection.

        The header and the body of a PDU have one time limit each, so that a peer that sends single bytes does not occupy an
        association for long. (A peer that sends nothing meets the socket's own time-out.)

        Raises
        ------
        OSError
            The PDU is too long, of an unknown type or too slow. pynetdicom handles it like a lost connection.
        """
        if self._unknown_pdu_type or nr_bytes > self.max_pdu_bytes:
            self._shutdown_socket()
            raise OSError("no DICOM PDU" if self._unknown_pdu_type else "a PDU longer than the maximum that was negotiated")
        if self._end - self._start < nr_bytes:
            self._fill(nr_bytes)
        taken = self._buffer[self._start : min(self._start + nr_bytes, self._end)]
        self._start += len(taken)
        self._unknown_pdu_type = nr_bytes == PDU_HEADER_BYTES == len(taken) and taken[0] not in PDU_TYPES
        return taken

    def work_before_waiting(self) -> None:
        """Do `waiting_work` if nothing has arrived that could be read instead."""
        if self.waiting_work is not None and self.waiting_work.has_unwritten:
            self._readable.register(self.socket, select.POLLIN)  # type: ignore[arg-type]
            if not self._readable.poll(0):
                self.waiting_work.write_out()

    def _fill(self, need: int) -> None:
        """Read until ``need`` bytes are in the buffer, or the peer has closed the connection."""
        if self.assoc.is_established and len(self._buffer) < READ_AHEAD_BYTES:
            self._use(memoryview(bytearray(READ_AHEAD_BYTES)))
        elif self._start + need > len(self._buffer):
            self._use(self._buffer)
        connection: Any = self.socket
        deadline: float | None = None
        while self._end - self._start < need:
            if self._end == len(self._buffer):  # a PDU longer than the buffer, which grows with what arrives, not with what is announced
                self._use(memoryview(bytearray(2 * len(self._buffer))))
            self.work_before_waiting()
            count = connection.recv_into(self._buffer[self._end :])
            if not count:
                return
            self._end += count
            if deadline is None:
                deadline = time.monotonic() + self._pdu_timeout_s()
            elif time.monotonic() > deadline:
                self._shutdown_socket()
                raise OSError("a PDU was not complete within the time-out")

    def _use(self, buffer: memoryview) -> None:
        """Go on with this buffer, or with the same one from its beginning."""
        rest = self._buffer[self._start : self._end]
        buffer[: len(rest)] = rest
        self._buffer, self._start, self._end = buffer, 0, len(rest)

    def _pdu_timeout_s(self) -> float:
        """The time limit for one PDU: the ACSE time-out before the association is established, the network time-out after that."""
        limit = self.assoc.network_timeout if self.assoc.is_established else self.assoc.acse_timeout
        return float("inf") if limit is None else limit


class RequestorSocket(NodeSocket):
    """The socket of an association that the node requests.

    pynetdicom only logs why a connection failed: this socket passes the reason to ``report_failure``.
    """

    report_failure: Callable[[str], None]

    def _shutdown_socket(self) -> None:
        error = sys.exc_info()[1]  # pynetdicom closes within its `except OSError` where connecting failed
        if isinstance(error, OSError) and not self._is_connected:
            self.report_failure(_connection_failure(error))
        super()._shutdown_socket()


def _connection_failure(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS: {(error.reason or type(error).__name__).lower().replace('_', ' ')}"
    return (error.strerror or "no answer in time").lower()


class NodeRequestHandler(RequestHandler):
    """Gives accepted connections a `NodeSocket` where pynetdicom's own server is used (the PACS of the demo, tests)."""

    def _create_association(self) -> Association:
        association = super()._create_association()
        # pynetdicom names the class of its socket, and a second socket object would open the connection twice.
        association.dul.socket.__class__ = NodeSocket
        return association


class NodeEntity(AE):
    """An application entity whose associations use the sockets of this module.

    Attributes
    ----------
    failure
        Why the last requested association has no connection.
    """

    failure = ""

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[ssl.SSLContext, str] | None
    ) -> AssociationSocket:
        RequestedAssociation.prepare(assoc)
        made = RequestorSocket(assoc, address=address)
        made.report_failure = self._keep_failure
        made.tls_args = tls_args
        return made

    def make_server(self, *args: Any, **kwargs: Any) -> ThreadedAssociationServer:
        """Make pynetdicom's server with `NodeRequestHandler`."""
        return super().make_server(*args, request_handler=NodeRequestHandler, **kwargs)

    def _keep_failure(self, reason: str) -> None:
        self.failure = reason
