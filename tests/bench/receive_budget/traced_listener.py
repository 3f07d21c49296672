"""The role ``listen`` with a time stamp at each step of an instance: at the failpoints, at system calls and at hand-offs to PostgreSQL.

    python -m tests.bench.receive_budget.traced_listener TRACE listen --config FILE

At its end it writes one line of JSON per instance into ``TRACE``: for each step in order its name, the milliseconds by the clock, and
those of the thread's processor time. A step is named by what it ends with. The stamps take about 0.03 ms per instance.
"""

import atexit
import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.failpoints import set_watcher
from db.receive.async_connection import AdmissionConnection
from dicom_node.receive.dul import NodeDul
from dicom_node.receive.spool import SpoolFile
from dicom_node.sockets import AcceptedSocket

Stamp = tuple[str, int, int]  # step that ends here, clock and processor time of the thread, ns
_stamps = threading.local()
_instances: list[list[Stamp]] = []


def stamp(name: str) -> None:
    """Note that a step of this thread ends now."""
    if not hasattr(_stamps, "now"):
        _stamps.now = []
    _stamps.now.append((name, time.perf_counter_ns(), time.thread_time_ns()))


def _end_instance() -> None:
    """Keep what was stamped since the last answer of this thread, the end of that one included."""
    stamp("answer: sent")
    if any(name == "receive.kept" for name, _, _ in _stamps.now):
        _instances.append(_stamps.now)
    _stamps.now = [_stamps.now[-1]]


def _around(owner: Any, name: str, before: str, after: str) -> None:
    """Stamp before and after each call of a method."""
    wrapped: Callable[..., Any] = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        stamp(before)
        try:
            return wrapped(*args, **kwargs)
        finally:
            stamp(after)

    setattr(owner, name, call)


def install() -> None:
    """Put the stamps into the listener of this process."""
    set_watcher(lambda name, _subject: stamp(name))
    _around(NodeDul, "_wait_for_peer", "receive: PDUs passed on", "peer: waited for")
    _around(AcceptedSocket, "_fill", "receive: PDUs passed on", "receive: read from the socket")
    _around(SpoolFile, "_flush", "receive: PDUs passed on", "spool: hashed and written")
    _around(SpoolFile, "discard", "receive: PDUs passed on", "after the answer: file closed")
    _around(AdmissionConnection, "begin", "admission: grouped", "admission: rows encoded and sent")
    _around(AdmissionConnection, "_wait", "admission: before the answer of PostgreSQL", "admission: answer of PostgreSQL")
    _around(os, "fsync", "file: before fsync", "file: fsync")
    answer = NodeDul.send_command

    def send_command(self: NodeDul, context_id: int, command_set: bytes) -> None:
        stamp("answer: encoded")
        answer(self, context_id, command_set)
        _end_instance()

    NodeDul.send_command = send_command  # type: ignore[method-assign]


def write(path: Path) -> None:
    """Write the steps of every instance, in milliseconds."""
    with path.open("w") as stream:
        for stamps in _instances:
            pairs = itertools.pairwise(stamps)
            steps = [(name, (clock - last[1]) / 1e6, (used - last[2]) / 1e6) for last, (name, clock, used) in pairs]
            stream.write(json.dumps(steps) + "\n")


if __name__ == "__main__":
    from deploy.cli.main import main

    install()
    atexit.register(write, Path(sys.argv.pop(1)))
    main()
