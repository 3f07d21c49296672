"""Peers that do not keep to the pace: they open and say nothing, say it byte by byte, go in the middle, or come all at once."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fuzz.seeds import seed_of
from tests.fuzz.streams import whole
from tests.fuzz.target import ACSE_TIMEOUT_S, MAX_ASSOCIATIONS, NETWORK_TIMEOUT_S, Target, flat, listening
from tests.fuzz.wire import AC, DATA, RELEASE, RELEASE_RP, Peer, associate_rq, context, pdu, store, value
from tests.support.series import CT, encoded, image
from tests.support.storage_scu import send

COUNT = int(os.environ.get("FUZZ_INPUTS", "400")) // 4
SLACK_S = 6.0  # on a busy machine
EXPLICIT = "1.2.840.10008.1.2.1"
RQ = associate_rq([context(1, CT.encode(), [EXPLICIT.encode()])])


@pytest.fixture(scope="module")
def target(fuzz_folder: Path, fuzz_database_url: str) -> Iterator[Target]:
    with listening(fuzz_folder, fuzz_database_url) as running:
        assert send(running.port, image(number=1)) == [0x0000]
        yield running


def data_set(number: int) -> tuple[str, bytes]:
    seed = seed_of("tiny", encoded(image(number=number, side=2)))
    return seed.sop_instance, seed.data_set


def test_half_open_connections_take_nobodys_place(target: Target) -> None:
    before = target.vitals()
    with ExitStack() as stack:
        silent = [stack.enter_context(Peer(target.port)) for _ in range(MAX_ASSOCIATIONS)]
        assert send(target.port, image(number=2)) == [0x0000]
        began = time.monotonic()
        assert {peer.outlast(ACSE_TIMEOUT_S + SLACK_S).closed for peer in silent} == {True}
        assert time.monotonic() - began < ACSE_TIMEOUT_S + SLACK_S
    flat(before, target.vitals())


def test_those_that_are_sent_away_before_an_association_take_no_threads(fuzz_folder: Path, fuzz_database_url: str) -> None:
    """They are over when their connection is, and not only after ``acse_timeout_s``, which is longer here than anybody waits."""
    with listening(fuzz_folder, fuzz_database_url, acse_timeout_s=300.0) as target:
        assert send(target.port, image(number=1)) == [0x0000]
        before = target.vitals()
        for first in (pdu(0xFF, b"x" * 20), pdu(DATA, bytes(4)), pdu(AC, bytes(4)), b"GET / HTTP/1.1\r\n\r\n", b"", bytes(1000)) * 3:
            with Peer(target.port) as peer:
                peer.send(first)
        flat(before, target.vitals())


@pytest.mark.parametrize("first", [b"", RQ], ids=["before the association", "within a message"])
def test_a_slow_loris_is_let_go(target: Target, first: bytes) -> None:
    """Bytes that come one by one keep no connection open: a PDU has its time, not each of its bytes."""
    slow = RQ if not first else pdu(DATA, value(1, 0, b"x" * 60_000))
    limit = (NETWORK_TIMEOUT_S if first else ACSE_TIMEOUT_S) + SLACK_S
    before = target.vitals()
    with Peer(target.port) as peer:
        assert not first or (peer.send(first) and peer.hear(5.0) and peer.ending.pdus == [AC])
        began = time.monotonic()
        for byte in slow:
            if not peer.send(bytes((byte,))) or not peer.hear(0.25):
                break
            assert time.monotonic() - began < limit, "still served"
        assert peer.ending.closed
    flat(before, target.vitals())


def test_a_flood_of_associations_is_answered_and_over(target: Target) -> None:
    """Far more at once than are admitted: each is taken, put off, or refused its connection; none hangs, none is left."""
    before = target.vitals()
    number = 20 * MAX_ASSOCIATIONS

    def come(_: int) -> str:
        try:
            with Peer(target.port) as peer:
                if peer.send(RQ) and peer.hear(20.0):
                    time.sleep(0.05)
                return peer.finish().words
        except OSError as error:
            return type(error).__name__

    with ThreadPoolExecutor(4 * MAX_ASSOCIATIONS) as pool:
        endings = Counter(pool.map(come, range(number)))
    assert sum(endings.values()) == number
    assert "hung" not in endings, endings
    assert endings["accepted, then closed"] + endings["aborted"] > 0, endings
    assert send(target.port, image(number=3)) == [0x0000]
    flat(before, target.vitals())


def test_senders_that_go_in_the_middle_leave_nothing(target: Target) -> None:
    before = target.vitals()
    parts = whole(seed_of("whole", encoded(image(number=4, side=64))))
    for cut in range(1, len(parts[1]), len(parts[1]) // 40):
        with Peer(target.port) as peer:
            assert peer.send(parts[0])
            assert peer.hear(10.0)
            peer.send(parts[1][:cut])
    flat(before, target.vitals())
    assert [path for path in target.blobs.rglob("*") if path.is_file() and len(path.name) != 64] == []


@pytest.mark.timeout(7200)
def test_very_many_tiny_instances(target: Target) -> None:
    """On one association; memory does not grow with their number."""
    with Peer(target.port) as peer:
        assert peer.send(RQ)
        assert peer.hear(10.0)
        vitals = []
        for number in range(COUNT):
            if number in (COUNT // 2, COUNT - 1):
                vitals.append(target.vitals())
            uid, content = data_set(1000 + number)
            assert peer.send(store(1, CT.encode(), uid.encode(), content))
            assert peer.hear(20.0)
        assert peer.ending.statuses == [0x0000] * COUNT
        assert peer.send(RELEASE)
        peer.hear(10.0)
        assert peer.ending.pdus[-1] == RELEASE_RP
    flat(*vitals)
