"""pynetdicom's sockets, closed for good, without Nagle's delay, and with a bound on what a PDU may claim."""

import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.transport import AddressInformation, AssociationSocket, RequestHandler, ThreadedAssociationServer

PDU_HEADER_BYTES = 6
# Largest PDU that we accept. 5 to 22 % faster than pynetdicom's default of 16382; a larger one gained nothing more.
MAX_PDU_BYTES = 131072
PDU_TYPES = range(1, 8)  # PS3.8 9.3.1
READ_AHEAD_BYTES = 512 << 10


def limit(connection: socket.socket, seconds: float | None) -> None:
    """As ``settimeout``, kept by the kernel: Python's own asks before every call whether it would wait. Not for TLS, which tries again."""
    whole, part = divmod(seconds or 0.0, 1.0)  # 0: no limit
    value = struct.pack("@ll", int(whole), int(part * 1e6))
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)


class TidySocket(AssociationSocket):
    """pynetdicom leaves a socket open that the peer has closed first (its shutdown fails, and the close behind it is skipped)."""

    def _shutdown_socket(self) -> None:
        connection = self.socket
        if connection is None:
            return
        with suppress(OSError):  # the peer was first
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    def _create_socket(self, address: AddressInformation) -> socket.socket:
        made = super()._create_socket(address)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # Nagle costs a factor of 50 on C-STORE
        return made


class BoundedSocket(TidySocket):
    """Reads ahead into one buffer, and takes no PDU that is longer than we said we take (PS3.8 D.1).

    Each call into the kernel lets another thread have the interpreter, and waits to have it back: several PDUs come with one.
    """

    max_pdu_bytes = 1 << 20
    _strange = False  # the last PDU was of no known type: it is answered with an A-ABORT, and nothing after it is read
    _at = _end = 0  # what is read and not taken yet

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._buffer = memoryview(bytearray(READ_AHEAD_BYTES))
        super().__init__(*args, **kwargs)

    @property
    def more(self) -> bool:
        """Whether the next PDU's header is here already."""
        return self._end - self._at >= PDU_HEADER_BYTES and not self._strange

    def recv(self, nr_bytes: int) -> memoryview:  # type: ignore[override]
        """``nr_bytes`` bytes, valid until the next call; fewer when the peer closes. OSError: what pynetdicom takes for a lost connection.

        A PDU's header and its body have a time limit each, so that bytes that trickle in keep nobody's place. (A peer that falls
        silent meets the socket's own limit.)
        """
        if self._strange or nr_bytes > self.max_pdu_bytes:
            self._shutdown_socket()
            raise OSError("no DICOM PDU" if self._strange else "a PDU longer than the maximum that was negotiated")
        if self._end - self._at < nr_bytes:
            self._fill(nr_bytes)
        taken = self._buffer[self._at : min(self._at + nr_bytes, self._end)]
        self._at += len(taken)
        self._strange = nr_bytes == PDU_HEADER_BYTES == len(taken) and taken[0] not in PDU_TYPES
        return taken

    def _fill(self, need: int) -> None:
        """Read until ``need`` bytes are here, or the peer has closed."""
        rest = self._buffer[self._at : self._end]
        if self._at + need > len(self._buffer):
            self._buffer = memoryview(bytearray(need)) if need > len(self._buffer) else self._buffer
            self._buffer[: len(rest)] = rest
            self._at, self._end = 0, len(rest)
        connection: Any = self.socket
        until: float | None = None
        while self._end - self._at < need:
            count = connection.recv_into(self._buffer[self._end :])
            if not count:
                return
            self._end += count
            if until is None:
                until = time.monotonic() + self._patience_s()
            elif time.monotonic() > until:
                self._shutdown_socket()
                raise OSError("a PDU that does not come to its end in time")

    def _patience_s(self) -> float:
        """For one PDU: less before there is an association."""
        limit = self.assoc.network_timeout if self.assoc.is_established else self.assoc.acse_timeout
        return float("inf") if limit is None else limit


class Dialled(TidySocket):
    """A connection that we open. pynetdicom only logs why there is none: ``tell`` is told."""

    tell: Callable[[str], None]

    def _shutdown_socket(self) -> None:
        error = sys.exc_info()[1]  # pynetdicom closes within its `except OSError` where connecting failed
        if isinstance(error, OSError) and not self._is_connected:
            self.tell(_why(error))
        super()._shutdown_socket()


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS: {(error.reason or type(error).__name__).lower().replace('_', ' ')}"
    return (error.strerror or "no answer in time").lower()


class TidyHandler(RequestHandler):
    """A connection that was opened to us, where pynetdicom's own server is enough (the demo's PACS, tests)."""

    def _create_association(self) -> Association:
        association = super()._create_association()
        association.dul.socket.__class__ = TidySocket  # pynetdicom names its class, and a second socket would open the connection twice
        return association


class Entity(AE):
    """An application entity whose associations use a `Dialled` or `TidySocket`. ``failure``: why the last one has no connection."""

    failure = ""

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[ssl.SSLContext, str] | None
    ) -> AssociationSocket:
        made = Dialled(assoc, address=address)
        made.tell = self._failed
        made.tls_args = tls_args
        return made

    def make_server(self, *args: Any, **kwargs: Any) -> ThreadedAssociationServer:
        """As pynetdicom's, with `TidyHandler`."""
        return super().make_server(*args, request_handler=TidyHandler, **kwargs)

    def _failed(self, why: str) -> None:
        self.failure = why
