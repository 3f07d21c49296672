"""The upper layer protocol encoded by hand (PS3.8 9.3), to send what no library would send and to read the response."""

import socket
import struct
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
RQ, AC, RJ, DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
LITTLE = "1.2.840.10008.1.2"
RESPONSE_TIMEOUT_S = 120.0  # one large request takes up to 25 s on a loaded machine
PAUSE_S = 0.25  # how long to wait for a response before the next part of an invalid stream is sent


def pdu(kind: int, body: bytes, length: int | None = None) -> bytes:
    """Encode a PDU; ``length`` instead of the true one."""
    return struct.pack(">BBL", kind, 0, len(body) if length is None else length) + body


def item(kind: int, body: bytes, length: int | None = None) -> bytes:
    """Encode an item of an A-ASSOCIATE-RQ."""
    return struct.pack(">BBH", kind, 0, (len(body) if length is None else length) & 0xFFFF) + body


def context(number: int, abstract: bytes, syntaxes: Iterable[bytes]) -> bytes:
    """Encode a presentation context item."""
    return item(0x20, bytes((number & 0xFF, 0, 0, 0)) + item(0x30, abstract) + b"".join(item(0x40, syntax) for syntax in syntaxes))


def associate_rq(
    contexts: Sequence[bytes], *, called: bytes = b"DICOMNODE", calling: bytes = b"PACS", version: int = 1, user: bytes | None = None
) -> bytes:
    """Encode an A-ASSOCIATE-RQ."""
    information = item(0x51, struct.pack(">L", 131072)) + item(0x52, b"1.2.3.4") + item(0x55, b"FUZZ") if user is None else user
    head = struct.pack(">HH", version, 0) + called.ljust(16)[:16] + calling.ljust(16)[:16] + b"\0" * 32
    return pdu(RQ, head + item(0x10, APPLICATION_CONTEXT) + b"".join(contexts) + item(0x50, information))


def value(number: int, header: int, content: bytes, length: int | None = None) -> bytes:
    """Encode a presentation data value. ``header``: 1 command, 2 last fragment."""
    return struct.pack(">LBB", len(content) + 2 if length is None else length, number & 0xFF, header) + content


def element(tag: tuple[int, int], content: bytes, length: int | None = None) -> bytes:
    """Encode an element as Implicit VR Little Endian."""
    content += b"\0" * (len(content) % 2)
    return struct.pack("<HHL", *tag, len(content) if length is None else length) + content


def command(*random_elements: bytes, group_length: int | None = None) -> bytes:
    """Encode a command set."""
    body = b"".join(random_elements)
    return element((0, 0), struct.pack("<L", len(body) if group_length is None else group_length)) + body


def store_rq(sop_class: bytes, sop_instance: bytes, *, field: int = 1, message: int = 1, data_set: int = 1) -> bytes:
    """Encode the command set of a C-STORE-RQ, or with another ``field`` of another request."""
    return command(
        element((0, 2), sop_class),
        element((0, 0x100), struct.pack("<H", field)),
        element((0, 0x110), struct.pack("<H", message)),
        element((0, 0x700), struct.pack("<H", 2)),
        element((0, 0x800), struct.pack("<H", data_set)),
        element((0, 0x1000), sop_instance),
    )


def store(number: int, sop_class: bytes, sop_instance: bytes, data_set: bytes, *, fragment: int = 65536) -> bytes:
    """Encode a C-STORE: the PDU of the command, then those of the data set."""
    parts = [data_set[at : at + fragment] for at in range(0, len(data_set), fragment)] or [b""]
    pdus = [pdu(DATA, value(number, 3, store_rq(sop_class, sop_instance)))]
    pdus += [pdu(DATA, value(number, 2 if part is parts[-1] else 0, part)) for part in parts]
    return b"".join(pdus)


RELEASE = pdu(RELEASE_RQ, b"\0" * 4)


@dataclass(slots=True)
class Response:
    """The response to one input: PDU types in order, DIMSE statuses, and whether the listener closed the connection in time."""

    pdus: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    closed: bool = False

    @property
    def words(self) -> str:
        """The response in words: the last status, else the last PDU; "hung" if the connection was not closed."""
        if not self.closed:
            return "hung"
        if self.statuses:
            return f"status {self.statuses[-1]:04X}"
        names = {AC: "accepted, then closed", RJ: "rejected", RELEASE_RP: "released", ABORT: "aborted"}
        return names.get(self.pdus[-1], f"PDU {self.pdus[-1]}") if self.pdus else "closed"


class RawConnection:
    """One TCP connection; what the listener sends is parsed as it arrives."""

    def __init__(self, port: int) -> None:
        self.response = Response()
        self._buffer = bytearray()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=RESPONSE_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "RawConnection":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, content: bytes) -> bool:
        """Send bytes. False: the listener has closed the connection."""
        try:
            self._socket.sendall(content)
        except OSError:
            self.response.closed = True
        return not self.response.closed

    def receive(self, timeout_s: float) -> bool:
        """Receive until a PDU is complete or the time is over. Return whether the connection is still open."""
        deadline, before = time.monotonic() + timeout_s, len(self.response.pdus)
        while not self.response.closed and len(self.response.pdus) == before:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            self._socket.settimeout(left)
            try:
                part = self._socket.recv(65536)
            except TimeoutError:
                break
            except OSError:
                part = b""
            if not part:
                self.response.closed = True
            self._buffer += part
            self._parse()
        self._socket.settimeout(RESPONSE_TIMEOUT_S)
        return not self.response.closed

    def finish(self, timeout_s: float = RESPONSE_TIMEOUT_S) -> Response:
        """Close the sending side and wait for the listener to close."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.response.closed = True
        return self.wait_for_close(timeout_s)

    def wait_for_close(self, timeout_s: float) -> Response:
        """Send nothing, and wait for the listener to close."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self.receive(deadline - time.monotonic()):
            pass
        return self.response

    def _parse(self) -> None:
        while len(self._buffer) >= 6:
            length = int.from_bytes(self._buffer[2:6], "big")
            if len(self._buffer) < 6 + length:
                return
            body = bytes(self._buffer[6 : 6 + length])
            self.response.pdus.append(self._buffer[0])
            if self._buffer[0] == DATA:
                at = body.find(struct.pack("<HHL", 0, 0x900, 2))
                if at >= 0:
                    self.response.statuses.append(int.from_bytes(body[at + 8 : at + 10], "little"))
            del self._buffer[: 6 + length]


def send_parts(port: int, parts: Sequence[bytes], pause_s: float = PAUSE_S) -> Response:
    """Send each part when the part before is answered or after ``pause_s``; then wait for the end."""
    with RawConnection(port) as peer:
        for part in parts:
            if not peer.send(part) or not peer.receive(pause_s):
                break
        return peer.finish()
