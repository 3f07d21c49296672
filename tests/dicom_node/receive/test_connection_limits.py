"""Connections that request nothing do not take the places of sources, and a malformed request costs nothing (PS3.8 9.3.2)."""

import logging
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from core.settings.settings import Settings
from dicom_node.receive import server
from dicom_node.receive.connections.association_request import MalformedRequest, check_request
from dicom_node.receive.connections.connection_limits import UNKNOWN_PER_ADDRESS, ConnectionLimits
from tests.dicom_node.conftest import MakeSettings, Running
from tests.fuzz.raw_association import ABORT, AC, RawConnection, associate_rq, context, item
from tests.support.send_role import wait_for
from tests.support.series import CT, image
from tests.support.storage_scu import send

LITTLE = b"1.2.840.10008.1.2"
SOURCE, OTHER, STRANGER = "10.0.0.1", "10.0.0.2", "192.0.2.7"


def one(number: int) -> bytes:
    return context(number, CT.encode(), [LITTLE])


MALFORMED = {
    "15,000 contexts": [one(number * 2 + 1) for number in range(15_000)],
    "an even id": [one(2)],
    "the same id twice": [one(1), one(1)],
    "a context without an id": [item(0x20, b"\1")],
    "an item longer than the request": [item(0x20, b"\1\0\0\0", 65_000)],
    "257 transfer syntaxes": [context(1, CT.encode(), [LITTLE] * 257)],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_refused_before_anything_is_built(name: str) -> None:
    body = memoryview(associate_rq(MALFORMED[name]))[6:]
    with pytest.raises(MalformedRequest):
        check_request(body)


def test_the_largest_regular_request_is_taken() -> None:
    check_request(memoryview(associate_rq([one(number) for number in range(1, 256, 2)]))[6:])


def test_a_malformed_request_is_aborted_and_logged(node: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "dicom_node.server"), RawConnection(node.port) as peer:
        peer.send(associate_rq(MALFORMED["15,000 contexts"]))
        assert peer.wait_for_close(60.0).closed
        assert AC not in peer.response.pdus
        assert ABORT in peer.response.pdus
    assert "the same id" in caplog.text
    assert send(node.port, image()) == [0x0000]


def test_a_source_connects_while_300_connections_are_silent(
    start: Callable[[Settings], Running], make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come from the address of the source itself, and its connections take their places long before theirs time out."""
    monkeypatch.setattr(server, "REQUEST_TIMEOUT_S", 3600.0)
    node = start(make_settings(receive={"max_associations": 4, "acse_timeout_s": 3600.0}))
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", node.port))) for _ in range(300)]
        assert send(node.port, image()) == [0x0000]
        for connection in silent[:200]:  # the last ones still have the places
            connection.settimeout(240)
            try:
                assert connection.recv(1) == b""
            except ConnectionResetError:
                continue


def test_a_connection_without_a_thread_is_closed_and_the_next_one_is_served(
    node: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(server.NodeServer, "process_request", no_thread)
        with RawConnection(node.port) as peer:
            peer.send(associate_rq([one(1)]))
            assert peer.wait_for_close(60.0).closed
    assert "could not be served" in caplog.text
    assert send(node.port, image()) == [0x0000]


def test_silent_connections_take_no_threads(
    start: Callable[[Settings], Running], make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread, an association and its buffers are made for a connection when its first byte has arrived."""
    monkeypatch.setattr(server, "REQUEST_TIMEOUT_S", 3600.0)
    node = start(make_settings(receive={"max_associations": 100, "acse_timeout_s": 3600.0}))
    assert send(node.port, image()) == [0x0000]
    before = threading.active_count()
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", node.port))) for _ in range(100)]
        assert send(node.port, image(number=2)) == [0x0000]  # they were accepted before this one
        wait_for(lambda: node.listener.details()["associations"] == "0")
        assert threading.active_count() <= before + 3  # those of the last association may be ending
        tracemalloc.start()
        for connection in silent:  # the head of a request of 1 MB, which does not come
            connection.sendall(b"\1\0\0\x0f\xff\xff\0")
        wait_for(lambda: threading.active_count() >= before + 150)
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert grown < 16 << 20


@contextmanager
def connected() -> Iterator[Callable[[], tuple[socket.socket, socket.socket]]]:
    """Makes pairs of connected sockets, which are closed at the end."""
    with ExitStack() as stack:

        def make() -> tuple[socket.socket, socket.socket]:
            ours, theirs = socket.socketpair()
            return stack.enter_context(ours), stack.enter_context(theirs)

        yield make


def limits(places: int = 40, per_source: int = 10) -> ConnectionLimits:
    return ConnectionLimits(places, per_source, lambda address: address.startswith("10."))


def test_an_address_of_no_source_has_few_places() -> None:
    with connected() as make:
        of_all = limits()
        assert [of_all.admit(make()[0], STRANGER) for _ in range(UNKNOWN_PER_ADDRESS + 1)] == [True] * UNKNOWN_PER_ADDRESS + [False]
        assert [of_all.admit(make()[0], f"192.0.2.{n}") for n in range(3)] == [True, True, False]  # a quarter of all places
        assert of_all.admit(make()[0], SOURCE)


def test_a_closed_connection_frees_its_place() -> None:
    with connected() as make:
        of_all = limits()
        pairs = [make() for _ in range(UNKNOWN_PER_ADDRESS)]
        assert all(of_all.admit(ours, STRANGER) for ours, _ in pairs)
        pairs[0][0].close()
        assert of_all.admit(make()[0], STRANGER)


def test_a_source_takes_the_place_of_its_oldest_silent_connection() -> None:
    with connected() as make:
        of_all = limits()
        pairs = [make() for _ in range(10)]
        assert all(of_all.admit(ours, SOURCE) for ours, _ in pairs)
        of_all.mark_requested(pairs[0][0])
        assert of_all.admit(make()[0], SOURCE)
        assert pairs[1][1].recv(1) == b""  # closed; the first one has requested an association and stays
        for ours, _ in pairs[2:]:
            of_all.mark_requested(ours)
        assert of_all.admit(make()[0], SOURCE)
        assert of_all.admit(make()[0], OTHER)


def test_an_address_whose_connections_all_have_associations_gets_no_more() -> None:
    with connected() as make:
        of_all = limits()
        pairs = [make() for _ in range(10)]
        for ours, _ in pairs:
            assert of_all.admit(ours, SOURCE)
            of_all.mark_requested(ours)
        assert not of_all.admit(make()[0], SOURCE)
