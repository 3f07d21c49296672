"""A STOW-RS service cannot hold its sender with a slow or a long answer; a slow upload that proceeds is not ended."""

import socket
import threading
from collections.abc import Callable

import pytest

from dicom_node.deliver.transport_types import OutgoingObject, SendResult
from dicom_node.deliver.transports import open_transport
from dicom_node.statuses import SendOutcome
from tests.dicom_node.conftest import MakeSettings
from tests.support.one_connection import answer_one_connection
from tests.support.series import CT, encoded, image

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\n"
TIMEOUT_S = 1.0


def send(make_settings: MakeSettings, port: int, side: int = 16, timeout_s: float = TIMEOUT_S) -> SendResult:
    destination = {"name": "web", "stow_url": f"http://127.0.0.1:{port}/dicom-web"}
    settings = make_settings(destinations=[destination], delivery={"timeout_s": timeout_s})
    made = image(side=side)
    outgoing = OutgoingObject(CT, str(made.SOPInstanceUID), encoded(made))
    with open_transport(settings, settings.destinations[0], [outgoing]) as transport:
        return transport.send(outgoing)


def receive(connection: socket.socket, pause_s: float = 0.0) -> None:
    """Read one request to its end; with a pause before each further MiB."""
    request, paused = b"", 0
    while b"\r\n\r\n" not in request or len(request) < _length(request):
        if len(request) >> 20 > paused:
            paused += 1
            threading.Event().wait(pause_s)
        request += connection.recv(1 << 16)


def _length(request: bytes) -> int:
    head, _, _ = request.partition(b"\r\n\r\n")
    (length,) = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    return len(head) + 4 + length


def byte_by_byte(connection: socket.socket) -> None:
    while True:  # until the client closes: every read of it succeeds long before its own limit
        connection.sendall(b"x")
        threading.Event().wait(0.05)


def slow_head(connection: socket.socket) -> None:
    receive(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Header: ")
    byte_by_byte(connection)


def slow_body(connection: socket.socket) -> None:
    receive(connection)
    connection.sendall(HEAD + b"\r\n")
    byte_by_byte(connection)


def endless_body(connection: socket.socket) -> None:
    receive(connection)
    connection.sendall(HEAD + b"\r\n")
    while True:
        connection.sendall(bytes(65536))


@pytest.mark.parametrize("answer", [slow_head, slow_body])
def test_the_answer_is_bounded_in_seconds(make_settings: MakeSettings, answer: Callable[[socket.socket], None]) -> None:
    with answer_one_connection(answer) as (port, _):
        result = send(make_settings, port)
    assert (result.outcome, result.reason, result.connection_lost) == (SendOutcome.TRANSIENT, "no answer in time", True)


def test_the_answer_is_bounded_in_bytes(make_settings: MakeSettings) -> None:
    with answer_one_connection(endless_body) as (port, _):
        result = send(make_settings, port, timeout_s=60.0)
    assert (result.outcome, result.connection_lost) == (SendOutcome.TRANSIENT, True)
    assert "more than 1048576 bytes" in result.reason


def test_an_upload_that_proceeds_may_take_longer_than_the_time_out(make_settings: MakeSettings) -> None:
    """The service reads 8 MiB with a pause before each: four times the time-out."""

    def read_slowly(connection: socket.socket) -> None:
        receive(connection, pause_s=TIMEOUT_S / 2)
        connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n{}")

    with answer_one_connection(read_slowly) as (port, _):
        result = send(make_settings, port, side=2048)
    assert "the answer does not say that the object is stored" in result.reason
