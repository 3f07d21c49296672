"""The heartbeat of one process of a role, written beside its work."""

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import structlog

from db import audit
from db.engine import Database
from db.roles import dead_processes, heartbeats
from db.roles.process_name import host_name, process_name
from db.roles.supervised_loop import SupervisedLoop

HEARTBEAT_INTERVAL_S = 3.0
FILE_VARIABLE = "DICOM_NODE_HEARTBEAT_FILE"
STOP_TIMEOUT_S = 3.0  # for the write that is under way


class RoleHeartbeat:
    """``with RoleHeartbeat(database, "conduct", details): ...`` writes the process's row every 3 s, and deletes it at the end.

    A process that is killed leaves its row, whose age shows that it is missing; another process of the role on the same host deletes it.
    Start and regular end are audit events.
    Build this after a fork: it starts a thread.
    Where the environment names a file (`FILE_VARIABLE`), it is touched with each row, so that the health check of a container is a look at
    its age: neither a connection nor a new interpreter is needed.

    Parameters
    ----------
    details
        Called before each write, from the heartbeat's thread: what the row says about the process. A `NodeError` that it raises is logged,
        and the row is not written.
    """

    def __init__(self, database: Database, role: str, details: Callable[[], Mapping[str, str]]) -> None:
        self._database = database
        self._role = role
        self._details = details
        self._name = process_name()
        self._file = os.environ.get(FILE_VARIABLE)
        self._stop = threading.Event()
        self._started = False
        self._loop = SupervisedLoop(f"{role}-heartbeat", self._write, self._stop)

    def start(self) -> None:
        """Write the first heartbeat, and go on in a thread."""
        self._loop.start()

    def stop(self) -> None:
        """Write no more, and delete the row: a process that ends in order is not missing."""
        self._stop.set()
        self._loop.join(STOP_TIMEOUT_S)
        try:
            heartbeats.delete_heartbeat(self._database, self._role, self._name)
            if self._started:
                self._record("role.stopped")
        except Exception as error:  # also where the schema is missing: the process is ending, and a stale row does no harm
            structlog.get_logger().warning("heartbeat_row_not_deleted", action=self._role, exception=type(error).__name__)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _record(self, action: str) -> None:
        audit.record_now(self._database, actor=self._role, action=action, subject=f"role:{self._role}", details={"process": self._name})

    def _write(self) -> float:
        heartbeats.record_heartbeat(self._database, self._role, self._name, dict(self._details()))
        dead_processes.delete_replaced_heartbeats(self._database, host_name(), self._role, self._name)
        if self._file:
            Path(self._file).touch()
        if not self._started:
            self._record("role.started")
            self._started = True
        return HEARTBEAT_INTERVAL_S
