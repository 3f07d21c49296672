"""Sends studies as modalities do: until every instance is acknowledged, over connections that are cut, twice, or in halves."""

import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from dicom_node.sockets import NodeEntity
from tests.chaos.node_under_test import NodeUnderTest
from tests.chaos.study_generator import SentInstance, Study

SEND_TIMEOUT_S = 900.0
TITLES = ("MODALITY", "ARCHIVE")


def deliver(target: NodeUnderTest, instances: Sequence[SentInstance], *, title: str = TITLES[0]) -> None:
    """Send instances over new associations until every one is acknowledged."""
    remaining = list(instances)
    deadline = time.monotonic() + SEND_TIMEOUT_S
    while remaining:
        assert time.monotonic() < deadline, f"{len(remaining)} instances were not acknowledged within {SEND_TIMEOUT_S:g} s"
        remaining = store(target, remaining, title=title)
        time.sleep(0.3 if remaining else 0.0)


def store(
    target: NodeUnderTest, instances: Sequence[SentInstance], *, title: str = TITLES[0], address: tuple[str, int] | None = None,
    before: Callable[[int, Association], None] | None = None,
) -> list[SentInstance]:  # fmt: skip
    """Send instances over one association; return those that were not acknowledged.

    ``before`` is called with the number of each instance before it is sent, while the association is established.
    """
    entity = NodeEntity(title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = 10
    pairs = sorted({(item.sop_class_uid, item.transfer_syntax_uid) for item in instances})
    entity.requested_contexts = [build_context(*pair) for pair in pairs]
    association = entity.associate(*(address or target.node.address), ae_title="DICOMNODE")
    refused = []
    for number, item in enumerate(instances):
        if before is not None and association.is_established:
            before(number, association)
        status = _send(association, item)
        with target.lock:
            if status.get("Status") == 0x0000:
                target.acknowledged[item.sop_instance_uid] = item.sha256
                target.last_acknowledged = time.monotonic()
            else:
                target.refused += 1
                refused.append(item)
    if association.is_established:
        association.release()
    return refused


def _send(association: Association, instance: SentInstance) -> Dataset:
    if not association.is_established:
        return Dataset()
    try:
        return association.send_c_store(instance.path)
    except (RuntimeError, ValueError, OSError):  # the association has ended
        return Dataset()


class CuttingProxy:
    """A TCP proxy in front of the node that ends the connection after a number of bytes, by FIN or by RST."""

    def __init__(self, node: tuple[str, int], after_bytes: int, *, reset: bool) -> None:
        self._to, self._left, self._reset = node, after_bytes, reset
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = ("127.0.0.1", int(self._server.getsockname()[1]))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop to listen."""
        self._server.close()
        self._thread.join(600)

    def _run(self) -> None:
        with suppress(OSError):
            inner, _ = self._server.accept()
            with inner, socket.create_connection(self._to, timeout=600) as outer:
                back = threading.Thread(target=_forward, args=(outer, inner), daemon=True)
                back.start()
                while self._left > 0 and (chunk := inner.recv(min(65536, self._left))):
                    outer.sendall(chunk)
                    self._left -= len(chunk)
                for end in (inner, outer):
                    if self._reset:  # closing then sends RST
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    # It wakes the other thread: a connection that a thread still reads from is not closed by closing its descriptor.
                    end.shutdown(socket.SHUT_RD if self._reset else socket.SHUT_RDWR)
                back.join(600)


def _forward(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65536):
            target.sendall(chunk)


def send_plainly(target: NodeUnderTest, study: Study, rng: random.Random) -> None:
    """Send the study once."""
    deliver(target, study.instances)


def send_over_cut_connection(target: NodeUnderTest, study: Study, rng: random.Random) -> None:
    """Cut the connection after a random byte, then send the rest."""
    size = sum(item.path.stat().st_size for item in study.instances) + 2000
    proxy = CuttingProxy(target.node.address, rng.randrange(size), reset=rng.random() < 0.5)
    refused = store(target, study.instances, address=proxy.address)
    proxy.close()
    deliver(target, refused)


def send_with_abort(target: NodeUnderTest, study: Study, rng: random.Random) -> None:
    """Send A-ABORT between two instances, then send the rest."""
    last = rng.randrange(len(study.instances))
    deliver(target, store(target, study.instances, before=lambda number, association: association.abort() if number == last else None))


def send_from_two_senders(target: NodeUnderTest, study: Study, rng: random.Random) -> None:
    """Send the study from two senders at the same time, in opposite order."""
    errors: list[BaseException] = []

    def send_from_second() -> None:
        try:
            deliver(target, study.instances[::-1], title=TITLES[1])
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=send_from_second)
    thread.start()
    deliver(target, study.instances)
    thread.join()
    if errors:
        raise errors[0]


def send_twice(target: NodeUnderTest, study: Study, rng: random.Random) -> None:
    """Send the study twice."""
    deliver(target, study.instances)
    deliver(target, study.instances, title=rng.choice(TITLES))


def send_in_halves(target: NodeUnderTest, study: Study, rng: random.Random) -> None:
    """Send half, wait until it looks complete, then send the rest: the result of the half is superseded."""
    middle = max(1, len(study.instances) // 2)
    deliver(target, study.instances[:middle])
    time.sleep(rng.uniform(1.0, 4.0))
    deliver(target, study.instances[middle:])


Behaviour = Callable[[NodeUnderTest, Study, random.Random], None]
BEHAVIOURS: dict[str, tuple[Behaviour, int]] = {  # with its weight
    "plain": (send_plainly, 60), "connection cut": (send_over_cut_connection, 12), "A-ABORT": (send_with_abort, 8),
    "two senders": (send_from_two_senders, 8), "twice": (send_twice, 6), "in halves": (send_in_halves, 6),
}  # fmt: skip
