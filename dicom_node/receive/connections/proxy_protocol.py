"""The PROXY protocol, versions 1 and 2: a load balancer says from whom a connection comes.

Source: https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt. The header comes before anything else, TLS included. It is read to its
last byte and not further: what follows belongs to the association.
"""

import socket
import struct
import time
from ipaddress import ip_address

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V1_BEGIN, V1_MAX_BYTES = b"PROXY ", 107
V2_MAX_BYTES = 1 << 12  # addresses of IPv6 take 36 bytes; the rest are TLV, which nobody needs here
LOCAL, PROXY = 0x20, 0x21
TCP4, TCP6 = 0x11, 0x21
TIMEOUT_S = 5.0


class ProxyHeaderError(ValueError):
    """The connection of a load balancer does not begin with a valid header."""


def read_client_address(connection: socket.socket, timeout_s: float = TIMEOUT_S) -> tuple[str, int] | None:
    """Read the header from a new connection; return address and port of the client.

    None: the load balancer itself has connected, as its health checks do (version 2 LOCAL, version 1 UNKNOWN), or has closed it again.

    Raises
    ------
    ProxyHeaderError
        There is no header, or not within ``timeout_s``.
    OSError
        The connection broke.
    """
    deadline = time.monotonic() + timeout_s
    begin = _receive(connection, len(SIGNATURE), deadline)
    if not begin:
        return None
    if begin == SIGNATURE:
        return _read_v2(connection, deadline)
    if begin.startswith(V1_BEGIN):
        return _read_v1(connection, begin, deadline)
    raise ProxyHeaderError("it begins with something else")


def _read_v1(connection: socket.socket, begin: bytes, deadline: float) -> tuple[str, int] | None:
    line = begin
    while not line.endswith(b"\r\n"):
        if len(line) >= V1_MAX_BYTES:
            raise ProxyHeaderError("the line of version 1 does not end")
        more = _receive(connection, 1, deadline)
        if not more:
            raise ProxyHeaderError("the connection ended in the header")
        line += more
    fields = line.decode("ascii", "replace").split()
    if fields[1:2] == ["UNKNOWN"]:
        return None
    if len(fields) != 6 or fields[1] not in ("TCP4", "TCP6") or not fields[4].isdigit():
        raise ProxyHeaderError("the line of version 1 is malformed")
    return _client(fields[2], int(fields[4]), version=4 if fields[1] == "TCP4" else 6)


def _read_v2(connection: socket.socket, deadline: float) -> tuple[str, int] | None:
    head = _receive(connection, 4, deadline)
    if len(head) < 4:
        raise ProxyHeaderError("the connection ended in the header")
    command, family, length = struct.unpack("!BBH", head)
    if command not in (LOCAL, PROXY) or length > V2_MAX_BYTES:
        raise ProxyHeaderError("the header of version 2 is malformed")
    block = _receive(connection, length, deadline)
    if len(block) < length:
        raise ProxyHeaderError("the connection ended in the header")
    if command == LOCAL:
        return None
    if family == TCP4 and length >= 12:
        return _client(socket.inet_ntop(socket.AF_INET, block[:4]), struct.unpack("!H", block[8:10])[0], version=4)
    if family == TCP6 and length >= 36:
        return _client(socket.inet_ntop(socket.AF_INET6, block[:16]), struct.unpack("!H", block[32:34])[0], version=6)
    raise ProxyHeaderError("the header of version 2 has no address of TCP")


def _client(address: str, port: int, *, version: int) -> tuple[str, int]:
    try:
        parsed = ip_address(address)
    except ValueError as error:
        raise ProxyHeaderError("the header has no IP address") from error
    if parsed.version != version or not 0 <= port <= 65535 or "%" in address:
        raise ProxyHeaderError("address or port of the header is invalid")
    return str(parsed), port


def _receive(connection: socket.socket, size: int, deadline: float) -> bytes:
    """Receive exactly ``size`` bytes; fewer where the connection ends before.

    After ``deadline`` it takes what has arrived already: a listener on a busy machine may come to it late.
    """
    received = b""
    while len(received) < size:
        connection.settimeout(max(0.0, deadline - time.monotonic()))
        try:
            part = connection.recv(size - len(received))
        except (TimeoutError, BlockingIOError) as error:
            raise ProxyHeaderError("it does not come in time") from error
        if not part:
            break
        received += part
    return received
