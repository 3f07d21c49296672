"""Further listener processes on the same port (SO_REUSEPORT): one Python process serves one core."""

import multiprocessing
import signal
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

import structlog

from core import process_memory
from core.logs import configure
from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.engine import Database

STOP_S = 28.0
RESPAWN_S = 2.0


class Siblings:
    """``node.processes - 1`` child processes that serve the same port; one that dies is started again."""

    def __init__(self, settings: Settings, port: int, database: Database, blobs: Blobs) -> None:
        self._node = settings.model_copy(update={"node": settings.node.model_copy(update={"port": port})})
        self._url = database.engine.url.render_as_string(hide_password=False)
        self._root = blobs.root
        self._context = multiprocessing.get_context("spawn")
        self._children: list[tuple[SpawnProcess, Connection[bytes, bytes]]] = []
        self._log = structlog.get_logger()

    def __enter__(self) -> "Siblings":
        for _ in range(self._node.node.processes - 1):
            self._children.append(self._start())
        return self

    def _start(self) -> tuple[SpawnProcess, "Connection[bytes, bytes]"]:
        ours: Connection[bytes, bytes]
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=serve, args=(self._node, self._url, self._root, theirs), name="listen-sibling")
        process.start()
        theirs.close()
        return process, ours

    def tend(self) -> None:
        """Start again what has died."""
        for place, (process, pipe) in enumerate(self._children):
            if process.is_alive():
                continue
            self._log.error("a listener process died and is started again", pid=process.pid, status=process.exitcode)
            pipe.close()
            self._children[place] = self._start()

    def ask_to_stop(self) -> None:
        """Ask all to drain; leaving the block waits for them."""
        for _, pipe in self._children:
            pipe.close()

    def __exit__(self, *_: object) -> None:
        self.ask_to_stop()
        for process, _pipe in self._children:
            process.join(STOP_S)
            if process.is_alive():
                process.kill()
                process.join()


def serve(settings: Settings, url: str, blobs_root: Path, parent: "Connection[bytes, bytes]") -> None:
    """The main function of a sibling: serves until the parent closes its end of the pipe, or dies."""
    from dicom_node.receive.listener import DRAIN_S, Listener  # the listener starts siblings: imported late
    from dicom_node.role import Beating

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent says when
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    configure(level=settings.logs.level, style=settings.logs.format, role="listen")
    database = Database.open(url)
    process_memory.give_back_large()
    process_memory.settle()
    with (
        Listener(settings, database, Blobs(blobs_root), reuse_port=True) as listener,
        Beating(database, "listen", listener.details),
    ):
        with suppress(EOFError, OSError):  # the parent closed its end, which is the order to stop
            parent.recv()
        listener.drain(DRAIN_S)
    database.dispose()
