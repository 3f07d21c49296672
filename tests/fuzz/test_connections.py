"""Senders that send nothing, send byte by byte, disconnect in the middle, or connect all at once."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fuzz.hostile_streams import regular_stream
from tests.fuzz.listener_process import (
    ACSE_TIMEOUT_S,
    MAX_ASSOCIATIONS,
    NETWORK_TIMEOUT_S,
    RSS_MIB,
    ListenerProcess,
    assert_no_growth,
    running_listener,
)
from tests.fuzz.raw_association import (
    AC,
    DATA,
    RELEASE,
    RELEASE_RP,
    RESPONSE_TIMEOUT_S,
    RawConnection,
    associate_rq,
    context,
    pdu,
    store,
    value,
)
from tests.fuzz.seed_files import read_seed
from tests.support.series import CT, encoded, image
from tests.support.storage_scu import send

COUNT = int(os.environ.get("FUZZ_INPUTS", "240")) // 4
SLACK_S = 60.0  # on a busy machine
EXPLICIT = "1.2.840.10008.1.2.1"
RQ = associate_rq([context(1, CT.encode(), [EXPLICIT.encode()])])


@pytest.fixture(scope="module")
def target(fuzz_folder: Path, fuzz_database_url: str) -> Iterator[ListenerProcess]:
    with running_listener(fuzz_folder, fuzz_database_url) as running:
        assert send(running.port, image(number=1)) == [0x0000]
        yield running


def data_set(number: int) -> tuple[str, bytes]:
    seed = read_seed("tiny", encoded(image(number=number, side=2)))
    return seed.sop_instance, seed.data_set


def test_silent_connections_do_not_use_up_the_associations(target: ListenerProcess) -> None:
    before = target.resource_use()
    with ExitStack() as stack:
        silent = [stack.enter_context(RawConnection(target.port)) for _ in range(MAX_ASSOCIATIONS)]
        assert send(target.port, image(number=2)) == [0x0000]
        began = time.monotonic()
        assert {peer.wait_for_close(ACSE_TIMEOUT_S + SLACK_S).closed for peer in silent} == {True}
        assert time.monotonic() - began < ACSE_TIMEOUT_S + SLACK_S
    assert_no_growth(before, target.resource_use(before.rss_mib + RSS_MIB))


def test_connections_closed_before_an_association_leave_no_threads(fuzz_folder: Path, fuzz_database_url: str) -> None:
    """Their threads end with the connection, not only after ``acse_timeout_s``, which is long here."""
    with running_listener(fuzz_folder, fuzz_database_url, acse_timeout_s=300.0) as target:
        assert send(target.port, image(number=1)) == [0x0000]
        before = target.resource_use()
        for first in (pdu(0xFF, b"x" * 20), pdu(DATA, bytes(4)), pdu(AC, bytes(4)), b"GET / HTTP/1.1\r\n\r\n", b"", bytes(1000)) * 3:
            with RawConnection(target.port) as peer:
                peer.send(first)
        assert_no_growth(before, target.resource_use(before.rss_mib + RSS_MIB))


@pytest.mark.parametrize("first", [b"", RQ], ids=["before the association", "within a message"])
def test_a_slow_sender_is_disconnected(target: ListenerProcess, first: bytes) -> None:
    """The time limit is that of a PDU, so that single bytes do not keep a connection open."""
    slow = RQ if not first else pdu(DATA, value(1, 0, b"x" * 60_000))
    limit = (NETWORK_TIMEOUT_S if first else ACSE_TIMEOUT_S) + SLACK_S
    before = target.resource_use()
    with RawConnection(target.port) as peer:
        assert not first or (peer.send(first) and peer.receive(RESPONSE_TIMEOUT_S) and peer.response.pdus == [AC])
        began = time.monotonic()
        for byte in slow:
            if not peer.send(bytes((byte,))) or not peer.receive(0.25):
                break
            assert time.monotonic() - began < limit, "still served"
        assert peer.response.closed
    assert_no_growth(before, target.resource_use(before.rss_mib + RSS_MIB))


def test_many_associations_at_once_are_all_answered(target: ListenerProcess) -> None:
    """Far more at once than are accepted: each is accepted, rejected or refused; none hangs, and none remains."""
    before = target.resource_use()
    number = 20 * MAX_ASSOCIATIONS

    def connect(_: int) -> str:
        try:
            with RawConnection(target.port) as peer:
                if peer.send(RQ) and peer.receive(RESPONSE_TIMEOUT_S):
                    time.sleep(0.05)
                return peer.finish().words
        except OSError as error:
            return type(error).__name__

    with ThreadPoolExecutor(4 * MAX_ASSOCIATIONS) as pool:
        responses = Counter(pool.map(connect, range(number)))
    assert sum(responses.values()) == number
    assert "hung" not in responses, responses
    assert responses["accepted, then closed"] + responses["aborted"] > 0, responses
    assert send(target.port, image(number=3)) == [0x0000]
    assert_no_growth(before, target.resource_use(before.rss_mib + RSS_MIB))


def test_senders_that_disconnect_leave_nothing(target: ListenerProcess) -> None:
    before = target.resource_use()
    parts = regular_stream(read_seed("whole", encoded(image(number=4, side=64))))
    for cut in range(1, len(parts[1]), len(parts[1]) // 40):
        with RawConnection(target.port) as peer:
            assert peer.send(parts[0])
            assert peer.receive(RESPONSE_TIMEOUT_S)
            peer.send(parts[1][:cut])
    assert_no_growth(before, target.resource_use(before.rss_mib + RSS_MIB))
    assert [path for path in target.blobs.rglob("*") if path.is_file() and len(path.name) != 64] == []


@pytest.mark.timeout(7200)
def test_very_many_tiny_instances(target: ListenerProcess) -> None:
    """On one association; memory does not grow with their number."""
    with RawConnection(target.port) as peer:
        assert peer.send(RQ)
        assert peer.receive(RESPONSE_TIMEOUT_S)
        resource_use = []
        for number in range(COUNT):
            if number in (COUNT // 2, COUNT - 1):
                resource_use.append(target.resource_use())
            uid, content = data_set(1000 + number)
            assert peer.send(store(1, CT.encode(), uid.encode(), content))
            assert peer.receive(RESPONSE_TIMEOUT_S)
        assert peer.response.statuses == [0x0000] * COUNT
        assert peer.send(RELEASE)
        peer.receive(RESPONSE_TIMEOUT_S)
        assert peer.response.pdus[-1] == RELEASE_RP
    assert_no_growth(*resource_use)
