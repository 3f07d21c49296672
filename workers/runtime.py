"""What a worker child holds: settings, stores, warm models. Built after the fork; beats while the child lives."""

import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import structlog
from billiard.process import current_process

from core.errors import NodeError, StorageError
from core.settings import Settings
from core.states import Priority
from db import heartbeats
from db import models as model_rows
from db.base import Database
from db.blobs import Blobs
from models import runtime as model_runtime
from workers import gpu
from workers.app import ROUTINE, URGENT
from workers.drain import DrainFlag

BEAT_S = 3.0
ROLE = "worker"
_PR_SET_PDEATHSIG = 1
_OF_QUEUE = {URGENT: Priority.URGENT, ROUTINE: Priority.ROUTINE}

log = structlog.get_logger()


@dataclass(slots=True)
class Runtime:
    """One child. ``models`` are warm; ``failed`` says why others are not there."""

    settings: Settings
    database: Database
    blobs: Blobs
    draining: DrainFlag
    priorities: tuple[Priority, ...]
    name: str
    threads: int
    device: str
    models: dict[str, model_runtime.Model] = field(default_factory=dict)
    failed: dict[str, NodeError] = field(default_factory=dict)
    busy: str = ""
    stopping: threading.Event = field(default_factory=threading.Event)
    registered: set[str] = field(default_factory=set)
    leave: Callable[[], None] | None = None  # what ends this process when its work was given back

    @classmethod
    def start(cls, settings: Settings, queues: tuple[str, ...], draining: DrainFlag) -> Self:
        """Take a share of the machine, open the stores, warm the models that the routes name, start to beat."""
        began = time.monotonic()
        threads = gpu.threads_of_child(settings.worker.threads, settings.worker.children, gpu.cores())
        card = gpu.claim_share(_index(), threads)
        runtime = cls(
            settings=settings,
            database=Database.open(settings.database.url, pool_size=3),
            blobs=Blobs(settings.blobs_dir),
            draining=draining,
            priorities=tuple(_OF_QUEUE[queue] for queue in queues),
            name=f"{socket.gethostname()}:{os.getpid()}",
            threads=threads,
            device=f"cuda:{card}" if card and settings.worker.device != "cpu" else "cpu",
        )
        for name in dict.fromkeys(route.model for route in settings.routes):
            try:
                runtime.model(name)
            except NodeError as error:
                log.error("a model is not served", model=name, error=str(error))
        threading.Thread(target=runtime._beat, name="heartbeat", daemon=True).start()
        runtime.leave = runtime._leave
        log.info("child ready", pid=os.getpid(), device=runtime.device, threads=threads, seconds=round(time.monotonic() - began, 2))
        return runtime

    def model(self, name: str) -> model_runtime.Model:
        """The model, warm; loaded now if no route named it.

        Raises
        ------
        ModelError
            Unknown, or its weights are not those of its card. Said again at every asking: a repaired model needs a new child.
        """
        if name in self.failed:
            raise self.failed[name]
        if name not in self.models:
            try:
                loaded = model_runtime.load(name, device=self.settings.worker.device)
                loaded.warm()
            except NodeError as error:
                self.failed[name] = error
                raise
            self.models[name] = loaded
        return self.models[name]

    def register_models(self) -> None:
        """Write the served models into the registry's table, each once; retirement is read from there."""
        for name, model in list(self.models.items()):
            if name not in self.registered:
                model_rows.register(self.database, model.identity, "active")
                self.registered.add(name)

    def details(self) -> dict[str, str]:
        return {
            "device": ",".join(sorted({model.device for model in self.models.values()})) or self.device,
            "threads": str(self.threads),
            "models": ",".join(sorted(self.models)),
            "failed": ",".join(sorted(self.failed)),
            "queues": ",".join(priority.value for priority in self.priorities),
            "job": self.busy,
            "memory_mib": str(gpu.resident_mib()),
        }

    def _beat(self) -> None:
        down = False
        while not self.stopping.is_set():
            try:
                self.register_models()
                heartbeats.beat(self.database, ROLE, self.name, self.details())
                down = False
            except StorageError as error:
                if not down:
                    log.warning("no heartbeat: the database is out of reach", error=str(error))
                down = True
            self.stopping.wait(BEAT_S)

    def _leave(self) -> None:
        """End the child at once: its job was given back, and the worker waits for nothing else."""
        self.stop()
        os._exit(0)

    def stop(self) -> None:
        """Say goodbye and close the stores."""
        self.stopping.set()
        try:
            heartbeats.gone(self.database, ROLE, self.name)
        except StorageError as error:
            log.warning("the heartbeat stays until it is old", error=str(error))
        self.database.dispose()


def _index() -> int:
    """Which of the pool's children this is, from 0."""
    return int(getattr(current_process(), "index", 0) or 0)  # type: ignore[no-untyped-call]


def die_with_parent() -> None:
    """A worker that is killed leaves no child behind that computes for nobody (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
