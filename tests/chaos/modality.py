"""The senders: as a modality does, again and again until every instance is acknowledged; and as the worst of them do."""

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
from tests.chaos.studies import Instance, Study
from tests.chaos.ward import Ward

PATIENCE_S = 240.0
TITLES = ("MODALITY", "ARCHIVE")


def deliver(ward: Ward, instances: Sequence[Instance], *, title: str = TITLES[0]) -> None:
    """Until every one is acknowledged, over new associations."""
    waiting = list(instances)
    deadline = time.monotonic() + PATIENCE_S
    while waiting:
        assert time.monotonic() < deadline, f"{len(waiting)} instances were not taken within {PATIENCE_S:g} s"
        waiting = store(ward, waiting, title=title)
        time.sleep(0.3 if waiting else 0.0)


def store(
    ward: Ward, instances: Sequence[Instance], *, title: str = TITLES[0], port: int = 0, abort_after: int | None = None
) -> list[Instance]:
    """One association; what was not acknowledged on it. ``abort_after``: that many instances, then A-ABORT."""
    entity = NodeEntity(title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = 10
    pairs = sorted({(one.sop_class_uid, one.transfer_syntax_uid) for one in instances})
    entity.requested_contexts = [build_context(*pair) for pair in pairs]
    association = entity.associate("127.0.0.1", port or ward.node.port, ae_title="DICOMNODE")
    left = []
    for number, one in enumerate(instances):
        if number == abort_after and association.is_established:
            association.abort()
        status = _send(association, one)
        with ward.lock:
            if status.get("Status") == 0x0000:
                ward.acknowledged[one.sop_instance_uid] = one.sha256
            else:
                ward.refused += 1
                left.append(one)
    if association.is_established:
        association.release()
    return left


def _send(association: Association, one: Instance) -> Dataset:
    if not association.is_established:
        return Dataset()
    try:
        return association.send_c_store(one.path)
    except (RuntimeError, ValueError, OSError):  # the association ended under it
        return Dataset()


class Cut:
    """A connection to the node that breaks after so many bytes: orderly, or as if a cable were pulled."""

    def __init__(self, port: int, after_bytes: int, *, reset: bool) -> None:
        self._to, self._left, self._reset = port, after_bytes, reset
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.close()
        self._thread.join(15)

    def _run(self) -> None:
        with suppress(OSError):
            inner, _ = self._server.accept()
            with inner, socket.create_connection(("127.0.0.1", self._to), timeout=10) as outer:
                back = threading.Thread(target=_pour, args=(outer, inner), daemon=True)
                back.start()
                while self._left > 0 and (chunk := inner.recv(min(65536, self._left))):
                    outer.sendall(chunk)
                    self._left -= len(chunk)
                for end in (inner, outer):
                    if self._reset:  # closing then sends RST
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    else:
                        end.shutdown(socket.SHUT_RDWR)
            back.join(10)


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65536):
            target.sendall(chunk)


def plain(ward: Ward, study: Study, dice: random.Random) -> None:
    """As it should be."""
    deliver(ward, study.instances)


def cut(ward: Ward, study: Study, dice: random.Random) -> None:
    """The connection breaks at any byte, then the rest is sent."""
    size = sum(one.path.stat().st_size for one in study.instances) + 2000
    through = Cut(ward.node.port, dice.randrange(size), reset=dice.random() < 0.5)
    left = store(ward, study.instances, port=through.port)
    through.close()
    deliver(ward, left)


def aborted(ward: Ward, study: Study, dice: random.Random) -> None:
    """A-ABORT between two instances, then the rest is sent."""
    deliver(ward, store(ward, study.instances, abort_after=dice.randrange(len(study.instances))))


def twice_at_once(ward: Ward, study: Study, dice: random.Random) -> None:
    """The same from two places at the same time, in another order."""
    failed: list[BaseException] = []

    def other() -> None:
        try:
            deliver(ward, study.instances[::-1], title=TITLES[1])
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    deliver(ward, study.instances)
    thread.join()
    if failed:
        raise failed[0]


def all_again(ward: Ward, study: Study, dice: random.Random) -> None:
    """Everything, and everything once more."""
    deliver(ward, study.instances)
    deliver(ward, study.instances, title=dice.choice(TITLES))


def late(ward: Ward, study: Study, dice: random.Random) -> None:
    """Half, a pause in which it looks whole, then the rest: the result of the half is superseded."""
    middle = max(1, len(study.instances) // 2)
    deliver(ward, study.instances[:middle])
    time.sleep(dice.uniform(1.0, 4.0))
    deliver(ward, study.instances[middle:])


Manner = Callable[[Ward, Study, random.Random], None]
MANNERS: dict[str, tuple[Manner, int]] = {  # with its weight
    "plain": (plain, 60), "connection cut": (cut, 12), "A-ABORT": (aborted, 8), "from two places": (twice_at_once, 8),
    "all again": (all_again, 6), "late half": (late, 6),
}  # fmt: skip
