"""Decides when a node that starts is ready, or that it will not become ready."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from core.errors import ConfigurationError, StorageError
from core.settings.settings import Settings
from db.engine import Database
from db.roles.heartbeats import alive_processes
from deploy.local.child_process import SupervisedRole
from deploy.local.ports import accepts_connections

NEEDED = ("listen", "conduct", "relay", "worker", "send")  # a node without its console still receives and delivers
READY_TIMEOUT_S = 900.0  # a start takes 8 s on a quiet machine, and 6 minutes on one with a load of 20 on 2 cores
REPORT_EVERY_S = 10.0  # how often the log says what the start waits for
MAXIMUM_FAILURES = 5  # how often a role may be killed, or the console end, before the node is ready
LAST_LINE, TAIL_BYTES = "dicom-node: ", 8 << 10  # of the log file of a role that has ended
USAGE = 2  # exit status of a role whose configuration is wrong

log = structlog.get_logger()


class Readiness:
    """Checks whether every needed role has written a heartbeat since the start, and the DICOM port accepts connections.

    Parameters
    ----------
    database
        Where the heartbeats are.
    roles
        The processes of the roles; they may be started after this object is made.
    logs
        Folder of their log files; None where they write to standard error.
    """

    def __init__(self, settings: Settings, database: Database, roles: Sequence[SupervisedRole], dicom_port: int, logs: Path | None) -> None:
        self._node, self._database, self._port, self._logs = settings.node, database, dicom_port, logs
        self._roles = roles  # the supervisor adds to them
        self._started_at, self._began = database.now(), time.monotonic()
        self._report_at = self._began + REPORT_EVERY_S

    def is_ready(self) -> bool:
        """Whether the node is ready now.

        Raises
        ------
        ConfigurationError
            A role refuses the configuration.
        StorageError
            A needed role has ended with an error, a role keeps ending, or the node is not ready within `READY_TIMEOUT_S`.
        """
        self._check_ended_roles()
        beating = {beat.role for beat in alive_processes(self._database, READY_TIMEOUT_S) if beat.at >= self._started_at}
        missing = [role for role in NEEDED if role not in beating]
        if not missing and accepts_connections(self._node.host, self._port):
            return True
        waiting = ", ".join(missing) or f"port {self._port}"
        if self.seconds > READY_TIMEOUT_S:
            raise StorageError(f"not ready after {READY_TIMEOUT_S:.0f} s: waiting for {waiting}", hint=self._where_to_look())
        if time.monotonic() >= self._report_at:
            self._report_at = time.monotonic() + REPORT_EVERY_S
            log.info("waiting_for_roles", name=waiting, seconds=round(self.seconds), limit=READY_TIMEOUT_S)
        return False

    def _check_ended_roles(self) -> None:
        """A role that was killed by a signal (a negative status) is started again: that is no fault of its own."""
        for role in self._roles:
            status = role.last_status
            if status == USAGE:
                message = f"role {role.role} refuses to start with this configuration{_last_words(role)}"
                raise ConfigurationError(message, hint=self._where_to_look(role))
            if status is not None and status > 0 and role.role in NEEDED:
                raise StorageError(f"role {role.role} has ended with status {status}{_last_words(role)}", hint=self._where_to_look(role))
            if role.failures >= MAXIMUM_FAILURES:
                raise StorageError(f"role {role.role} keeps ending with status {status}", hint=self._where_to_look(role))

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def _where_to_look(self, role: SupervisedRole | None = None) -> str:
        if self._logs is None:
            return f"the reason is in {'its' if role is not None else 'their'} lines on standard error"
        return f"see {role.log_file if role is not None else self._logs}"


def _last_words(role: SupervisedRole) -> str:
    """The line with which a command ends, from the role's log file; "" without one."""
    if role.log_file is None or not role.log_file.exists():
        return ""
    with role.log_file.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = stream.read().decode(errors="replace").splitlines()
    last = next((line for line in reversed(lines) if line.startswith(LAST_LINE)), "")
    return f": {last.removeprefix(LAST_LINE)}" if last else ""
