"""The role ``listen``: one listener in this process, and more in child processes on the same port (SO_REUSEPORT).

One Python process uses one core; ``node.processes`` says how many share the port.
"""

import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

import structlog

from core import process_memory
from core.counted import counted
from core.errors import ConfigurationError, IntakeError
from core.logs import configure_logging
from core.settings.settings import Settings
from db.blobs.open_blobs import open_blobs
from db.blobs.store import Blobs
from db.bulk.arguments import quarantine_selection
from db.bulk.turns import TURN_S, BatchResult, BulkWork, work_in_turns
from db.engine import Database
from db.listings.quarantine import QuarantinedItem, select_quarantined
from db.operations.command_kinds import CommandKind
from db.roles.command_runner import CommandRunner, Handler, Unfinished, require_number
from db.roles.commands import ClaimedCommand
from db.roles.role_heartbeat import RoleHeartbeat
from db.uploads import shared_folder
from dicom_node.blob_service.service import BlobService
from dicom_node.receive.intake import Intake
from dicom_node.receive.listener import Listener
from dicom_node.upload.upload_receiver import UploadReceiver

DRAIN_TIMEOUT_S = 20.0
CHILD_STOP_TIMEOUT_S = 28.0  # longer than it drains
CHECK_INTERVAL_S = 0.5
TEMPORARY_FILE_MAX_AGE_S = 24 * 3600.0
# Each instance is handed from thread to thread several times, and a thread that reads a large header keeps the interpreter for this long
# before another continues. With Python's 5 ms other senders wait longer; at 0.3 ms one association stores a tenth more.
SWITCH_INTERVAL_S = 0.0003


def run(
    settings: Settings,
    database: Database,
    blobs: Blobs,
    stop: threading.Event,
    on_ready: Callable[[str, int], None] = lambda _host, _port: None,
    take_change: Callable[[], Settings | None] = lambda: None,
) -> None:
    """Accept associations until ``stop`` is set, then drain: associations in progress may finish within 20 s.

    Parameters
    ----------
    on_ready
        Called with host and port once associations are accepted (``node.port = 0`` takes a free port).
    take_change
        Called again and again: returns settings that are to be used from now on, None where nothing has changed.

    Raises
    ------
    ConfigurationError
        The address cannot be bound, or the TLS files cannot be used.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    blobs.sweep(TEMPORARY_FILE_MAX_AGE_S)
    several = settings.node.processes > 1
    uploads = shared_folder.folder_name(settings.uploads_dir)
    with (
        Listener(settings, database, blobs, reuse_port=several) as listener,
        ChildListeners(settings, listener.port, database) as children,
        CommandRunner("listen", database, command_handlers(settings, database, blobs), stop),
        UploadReceiver(settings, database, blobs, lambda: listener.pause_reason),
        BlobService(settings, blobs),
        RoleHeartbeat(database, "listen", lambda: {**listener.details(), shared_folder.DETAIL: uploads}),
    ):
        on_ready(settings.node.host, listener.port)
        while not stop.wait(CHECK_INTERVAL_S):
            children.restart_dead()
            changed = take_change()
            if changed is not None:
                listener.apply(changed)
                children.apply(changed)
        children.request_stop()  # they drain at the same time as this process
        listener.drain(DRAIN_TIMEOUT_S)


def command_handlers(settings: Settings, database: Database, blobs: Blobs, turn_s: float = TURN_S) -> Mapping[str, Handler]:
    """Return the handlers of the kinds that the role ``listen`` owns."""
    intake = Intake(settings, database, blobs)

    def receive_again(command: ClaimedCommand) -> str:
        id = require_number(command)
        return f"item {id} is received: {intake.readmit(id, actor=command.actor).result.value}"

    def readmit(rows: Sequence[QuarantinedItem], actor: str) -> BatchResult:
        (item,) = rows
        try:
            intake.readmit(item.id, actor=actor)
        except IntakeError as error:
            return BatchResult(refused=[f"refused again, {error}"])
        except ConfigurationError:  # received meanwhile, or dropped by the limit of the quarantine
            return BatchResult()
        return BatchResult(1)

    def receive_many_again(command: ClaimedCommand) -> str | Unfinished:
        selection = quarantine_selection(command.args)
        work: BulkWork[QuarantinedItem] = BulkWork(
            plan=lambda part: select_quarantined(database, selection, part),
            number=lambda item: item.id,
            act=partial(readmit, actor=command.actor),
            in_words=lambda count: f"{counted(count, 'data set is', 'data sets are')} received",
        )
        return work_in_turns(command, work, turn_s=turn_s)

    return {CommandKind.QUARANTINE_REQUEUE: receive_again, CommandKind.QUARANTINE_REQUEUE_MANY: receive_many_again}


class ChildListeners:
    """``node.processes - 1`` child processes that listen on the same port. One that dies is started again."""

    def __init__(self, settings: Settings, port: int, database: Database) -> None:
        self._settings = settings.model_copy(update={"node": settings.node.model_copy(update={"port": port})})
        self._url = database.engine.url.render_as_string(hide_password=False)
        self._context = multiprocessing.get_context("spawn")
        self._children: list[tuple[SpawnProcess, Connection[Settings, Settings]]] = []
        self._log = structlog.get_logger()

    def __enter__(self) -> "ChildListeners":
        for _ in range(self._settings.node.processes - 1):
            self._children.append(self._start())
        return self

    def _start(self) -> tuple[SpawnProcess, "Connection[Settings, Settings]"]:
        pipe: Connection[Settings, Settings]
        pipe, child_pipe = self._context.Pipe()
        arguments = (self._settings, self._url, child_pipe)
        process = self._context.Process(target=run_child, args=arguments, name="listen-child")
        process.start()
        child_pipe.close()
        return process, pipe

    def restart_dead(self) -> None:
        """Start every child again that has died."""
        for index, (process, pipe) in enumerate(self._children):
            if process.is_alive():
                continue
            self._log.error("listener_process_restarted", pid=process.pid, status=process.exitcode)
            pipe.close()
            self._children[index] = self._start()

    def apply(self, settings: Settings) -> None:
        """Send changed settings to all children."""
        node = settings.node.model_copy(update={"port": self._settings.node.port})
        self._settings = settings.model_copy(update={"node": node})
        for _, pipe in self._children:
            with suppress(OSError):  # a child that has died is started again, with the new settings
                pipe.send(self._settings)

    def request_stop(self) -> None:
        """Tell all children to drain. Leaving the ``with`` block waits for them."""
        for _, pipe in self._children:
            pipe.close()

    def __exit__(self, *_: object) -> None:
        self.request_stop()
        for process, _pipe in self._children:
            process.join(CHILD_STOP_TIMEOUT_S)
            if process.is_alive():
                process.kill()
                process.join()


def run_child(settings: Settings, url: str, parent: "Connection[Settings, Settings]") -> None:
    """Run a listener in a child process until the parent closes its end of the pipe, or dies. Changed settings come through the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the parent decides when its children stop
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    configure_logging(level=settings.logs.level, style=settings.logs.format, role="listen")
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    process_memory.return_large_blocks()
    process_memory.freeze_garbage_collector()
    with (
        Database.open(url) as database,
        Listener(settings, database, open_blobs(settings), reuse_port=True) as listener,
        RoleHeartbeat(database, "listen", listener.details),
    ):
        with suppress(EOFError, OSError):  # raised when the parent has closed its end
            while True:
                listener.apply(parent.recv())
        listener.drain(DRAIN_TIMEOUT_S)
