"""Peers of the blob service that are slow, silent or many do not keep its connections from machines with a token."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from core.settings.settings import Settings
from db.blobs.store import Blobs
from dicom_node.blob_service import requests
from dicom_node.blob_service.connection_places import ConnectionPlaces
from dicom_node.blob_service.service import BlobService
from tests.support.node_process import wait_until

TOKEN, PLACES = "1" * 32, 8
AUTHORISED = f"Authorization: Bearer {TOKEN}\r\n"
CONTENT = b"content of a blob"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a service that waits 2 s where the product waits 10 or 60."""
    for limit in ("HEAD_S", "IDLE_S", "CHUNK_S"):
        monkeypatch.setattr(requests, limit, 2.0)
    store = {"tokens": TOKEN, "serve": {"port": 0, "max_connections": PLACES}}
    settings = Settings.model_validate({"store": store, "receive": {"max_instance_bytes": 1 << 20, "min_free_bytes": 0}})
    blobs = Blobs(tmp_path / "blobs")
    blobs.put(CONTENT)
    with BlobService(settings, blobs) as service:
        yield service.port


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=600)


def answer(connection: socket.socket) -> bytes:
    """Read until the service closes the connection."""
    parts = []
    try:
        while part := connection.recv(1 << 16):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def trickle(port: int, begin: bytes) -> tuple[bytes, int]:
    """Send ``begin``, then a byte ten times a second until the service ends the connection; return its answer and the number of bytes."""
    ended, sent = threading.Event(), 0
    with connect(port) as connection:
        connection.sendall(begin)
        answers: list[bytes] = []

        def read() -> None:
            answers.append(answer(connection))
            ended.set()

        thread = threading.Thread(target=read)
        thread.start()
        while not ended.wait(0.1):
            try:
                connection.sendall(b"x")
                sent += 1
            except OSError:  # closed in this moment
                break
        thread.join()
    return answers[0], sent


def test_a_peer_that_sends_a_byte_now_and_then_is_left(port: int) -> None:
    """The limit of each read alone would be met by every byte."""
    text, sent = trickle(port, b"GET /blobs/")
    assert text == b""
    assert sent < 200  # of the 65,536 that a head may have
    text, _ = trickle(port, f"PUT /blobs/{SHA256} HTTP/1.1\r\n{AUTHORISED}Content-Length: 1000000\r\n\r\n".encode())
    assert text.startswith(b"HTTP/1.1 408 ")


def test_silent_connections_leave_places_for_others(port: int) -> None:
    """Those of one address that has not shown a token yet have two of eight places."""
    request = f"GET /blobs/{SHA256} HTTP/1.1\r\n{AUTHORISED}Connection: close\r\n\r\n".encode()

    def fetched() -> bool:
        with connect(port) as connection, suppress(OSError):
            connection.sendall(request)
            return answer(connection).endswith(CONTENT)
        return False

    with ExitStack() as stack:
        silent = [stack.enter_context(connect(port)) for _ in range(PLACES * 2)]
        assert [answer(one) for one in silent[2:]] == [b""] * (PLACES * 2 - 2)
        assert [answer(one) for one in silent[:2]] == [b""] * 2  # they had a place, and said nothing
        wait_until("the blob", fetched, every_s=0.1)


def test_addresses_with_a_token_have_all_places() -> None:
    places = ConnectionPlaces(PLACES)
    assert [places.take("10.0.0.66") for _ in range(3)] == [True, True, False]
    assert [places.take(f"10.0.1.{number}") for number in range(3)] == [True, True, False]  # half of all places
    places.authorise("10.0.0.66")
    assert [places.take("10.0.0.66") for _ in range(5)] == [True] * 4 + [False]
    for _ in range(6):
        places.give_back("10.0.0.66")
    assert [places.take(f"10.0.2.{number}") for number in range(3)] == [True, True, False]
    assert places.take("10.0.0.66")
