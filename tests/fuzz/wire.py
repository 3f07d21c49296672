"""The upper layer protocol by hand (PS3.8 9.3): bytes that no library would send, and what comes back."""

import socket
import struct
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
RQ, AC, RJ, DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
LITTLE = "1.2.840.10008.1.2"
PATIENCE_S = 120.0  # a listener that shares two cores with twenty others may take a fifth of that for one large request
PAUSE_S = 0.25  # how long an answer is waited for before the next part of a broken stream goes out


def pdu(kind: int, body: bytes, length: int | None = None) -> bytes:
    """One PDU; ``length`` where it lies."""
    return struct.pack(">BBL", kind, 0, len(body) if length is None else length) + body


def item(kind: int, body: bytes, length: int | None = None) -> bytes:
    return struct.pack(">BBH", kind, 0, (len(body) if length is None else length) & 0xFFFF) + body


def context(number: int, abstract: bytes, syntaxes: Iterable[bytes]) -> bytes:
    return item(0x20, bytes((number & 0xFF, 0, 0, 0)) + item(0x30, abstract) + b"".join(item(0x40, one) for one in syntaxes))


def associate_rq(
    contexts: Sequence[bytes], *, called: bytes = b"DICOMNODE", calling: bytes = b"PACS", version: int = 1, user: bytes | None = None
) -> bytes:
    information = item(0x51, struct.pack(">L", 131072)) + item(0x52, b"1.2.3.4") + item(0x55, b"FUZZ") if user is None else user
    head = struct.pack(">HH", version, 0) + called.ljust(16)[:16] + calling.ljust(16)[:16] + b"\0" * 32
    return pdu(RQ, head + item(0x10, APPLICATION_CONTEXT) + b"".join(contexts) + item(0x50, information))


def value(number: int, header: int, content: bytes, length: int | None = None) -> bytes:
    """One presentation data value. ``header``: 1 command, 2 last."""
    return struct.pack(">LBB", len(content) + 2 if length is None else length, number & 0xFF, header) + content


def element(tag: tuple[int, int], content: bytes, length: int | None = None) -> bytes:
    """Implicit VR Little Endian."""
    content += b"\0" * (len(content) % 2)
    return struct.pack("<HHL", *tag, len(content) if length is None else length) + content


def command(*elements: bytes, group_length: int | None = None) -> bytes:
    body = b"".join(elements)
    return element((0, 0), struct.pack("<L", len(body) if group_length is None else group_length)) + body


def store_rq(sop_class: bytes, sop_instance: bytes, *, field: int = 1, message: int = 1, data_set: int = 1) -> bytes:
    return command(
        element((0, 2), sop_class),
        element((0, 0x100), struct.pack("<H", field)),
        element((0, 0x110), struct.pack("<H", message)),
        element((0, 0x700), struct.pack("<H", 2)),
        element((0, 0x800), struct.pack("<H", data_set)),
        element((0, 0x1000), sop_instance),
    )


def store(number: int, sop_class: bytes, sop_instance: bytes, data_set: bytes, *, fragment: int = 65536) -> bytes:
    """A C-STORE: the PDU of the command, then those of the data set."""
    parts = [data_set[at : at + fragment] for at in range(0, len(data_set), fragment)] or [b""]
    pdus = [pdu(DATA, value(number, 3, store_rq(sop_class, sop_instance)))]
    pdus += [pdu(DATA, value(number, 2 if part is parts[-1] else 0, part)) for part in parts]
    return b"".join(pdus)


RELEASE = pdu(RELEASE_RQ, b"\0" * 4)


@dataclass(slots=True)
class Ending:
    """What came back: PDU types in order, DIMSE statuses, and whether the listener closed the connection in time."""

    pdus: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    closed: bool = False

    @property
    def words(self) -> str:
        """The ending in one word: the last status, else the last word of the listener; "hung" where it never let go."""
        if not self.closed:
            return "hung"
        if self.statuses:
            return f"status {self.statuses[-1]:04X}"
        names = {AC: "accepted, then closed", RJ: "rejected", RELEASE_RP: "released", ABORT: "aborted"}
        return names.get(self.pdus[-1], f"PDU {self.pdus[-1]}") if self.pdus else "closed"


class Peer:
    """One connection. Everything that the listener sends is taken apart as it comes."""

    def __init__(self, port: int) -> None:
        self.ending = Ending()
        self._buffer = bytearray()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, content: bytes) -> bool:
        """False where the listener has gone already."""
        try:
            self._socket.sendall(content)
        except OSError:
            self.ending.closed = True
        return not self.ending.closed

    def hear(self, timeout_s: float) -> bool:
        """Take what comes within the time, at least one PDU if there is one. Whether the connection is still open."""
        deadline, before = time.monotonic() + timeout_s, len(self.ending.pdus)
        while not self.ending.closed and len(self.ending.pdus) == before:
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
                self.ending.closed = True
            self._buffer += part
            self._take()
        self._socket.settimeout(PATIENCE_S)
        return not self.ending.closed

    def finish(self, patience_s: float = PATIENCE_S) -> Ending:
        """Nothing more comes from here: the listener has to say its last word and close."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.ending.closed = True
        return self.outlast(patience_s)

    def outlast(self, patience_s: float) -> Ending:
        """Say nothing, and wait for the listener to close."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline and self.hear(deadline - time.monotonic()):
            pass
        return self.ending

    def _take(self) -> None:
        while len(self._buffer) >= 6:
            length = int.from_bytes(self._buffer[2:6], "big")
            if len(self._buffer) < 6 + length:
                return
            body = bytes(self._buffer[6 : 6 + length])
            self.ending.pdus.append(self._buffer[0])
            if self._buffer[0] == DATA:
                at = body.find(struct.pack("<HHL", 0, 0x900, 2))
                if at >= 0:
                    self.ending.statuses.append(int.from_bytes(body[at + 8 : at + 10], "little"))
            del self._buffer[: 6 + length]


def converse(port: int, parts: Sequence[bytes], pause_s: float = PAUSE_S) -> Ending:
    """Send part after part, each once the one before is answered (or was given ``pause_s``); then wait for the end."""
    with Peer(port) as peer:
        for part in parts:
            if not peer.send(part) or not peer.hear(pause_s):
                break
        return peer.finish()
