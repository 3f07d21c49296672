"""What a worker child holds: settings, stores, warm models. Built after the fork; beats while the child lives."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import structlog
from billiard.process import current_process

from core.errors import ModelError, NodeError
from core.settings.settings import Settings
from core.states import ModelOrigin, Priority
from db.blobs.store import Blobs
from db.engine import Database
from db.operations import model_registry as model_rows
from db.roles.process_name import process_name
from db.roles.role_heartbeat import RoleHeartbeat
from models import installed
from models import runtime as model_runtime
from models.installed import Place
from workers.attempt import device as attempt_device
from workers.attempt import limits
from workers.attempt.drain_flag import DrainFlag
from workers.encode.warm_up import warm

ROLE = "worker"

log = structlog.get_logger()


@dataclass(slots=True)
class Runtime:
    """One child. ``models`` are warm, by pipeline digest; ``failed`` says why others, by name, are not there."""

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
    heartbeat: RoleHeartbeat | None = None
    places: dict[str, Place] = field(default_factory=dict)  # where each of ``models`` lies
    registered: set[str] = field(default_factory=set)
    memory_mib: int = 1 << 40  # that the process may hold: `start` says it
    most_mib: int = 0  # that it held until the attempt that runs was begun, start included
    leave: Callable[[], None] | None = None  # what ends this process when its work was given back

    @classmethod
    def start(cls, settings: Settings, priorities: tuple[Priority, ...], draining: DrainFlag) -> Self:
        """Take a share of the machine, open the stores, warm the models that the routes name and what makes the objects, start to beat."""
        began = time.monotonic()
        threads = attempt_device.threads_of_child(settings.worker.threads, settings.worker.children, attempt_device.cores())
        card = attempt_device.claim_share(_index(), threads)
        runtime = cls(
            settings=settings,
            database=Database.open(settings.database.url, pool_size=3),
            blobs=Blobs(settings.blobs_dir),
            draining=draining,
            priorities=priorities,
            name=process_name(),
            threads=threads,
            memory_mib=limits.memory_of_child(settings.worker.memory_limit_mib, settings.worker.children, limits.machine_mib()),
            device=f"cuda:{card}" if card and settings.worker.device != "cpu" else "cpu",
        )
        if runtime.device != "cpu":
            model_runtime.limit_gpu(settings.worker.gpu_memory_share)
        for name in dict.fromkeys(route.model for route in settings.routes):
            try:
                runtime.served(name)
            except NodeError as error:
                runtime.failed[name] = error
                log.error("a model is not served", model=name, error=str(error))
        warm(kind for destination in settings.destinations for kind in destination.objects)
        if (held := attempt_device.resident_mib()) > runtime.memory_mib:
            log.error("the models alone hold more memory than a job may: every job will fail", held=held, limit=runtime.memory_mib)
        runtime.heartbeat = RoleHeartbeat(runtime.database, ROLE, runtime.details)
        runtime.heartbeat.start()
        runtime.leave = runtime._leave
        log.info("child ready", pid=os.getpid(), device=runtime.device, threads=threads, seconds=round(time.monotonic() - began, 2))
        return runtime

    def served(self, name: str) -> model_runtime.Model:
        """The version that new jobs are for, warm.

        Raises
        ------
        ModelError
            There is none, or its weights are not those of its card.
        StorageError
            The registry is out of reach: the first job loads what it asks for.
        """
        return self._loaded(installed.serving(name, model_rows.known(self.database, name), self._folder))

    def model(self, name: str, digest: str) -> model_runtime.Model:
        """The pipeline that a job asks for, warm; loaded now where it is not yet.

        Raises
        ------
        ModelError
            It is not here, or its weights are not those of its card. Said again at every asking.
        """
        if digest not in self.models:
            place = next((one for one in installed.places(name, self._folder) if one.digest == digest), None)
            if place is None:
                raise ModelError(
                    f"pipeline {digest[:12]} of {name} is not on this worker",
                    hint="start conductor and worker from the same release, on the same node.data_dir/models, then requeue the job",
                )
            self._loaded(place)
        return self.models[digest]

    def _loaded(self, place: Place) -> model_runtime.Model:
        if place.digest not in self.models:
            loaded = model_runtime.load_folder(place.room, device=self.settings.worker.device, package=place.package)
            loaded.warm()
            self.models[place.digest] = loaded
            self.places[place.digest] = place
            self.failed.pop(place.card.name, None)
        return self.models[place.digest]

    @property
    def _folder(self) -> Path:
        return self.settings.node.data_dir / installed.FOLDER

    def register_models(self) -> None:
        """Write the served models into the registry's table, each once; what is active or retired is read from there."""
        for digest, model in list(self.models.items()):
            if digest not in self.registered:
                name = model.card.name
                here = {one.digest for one in installed.places(name, self._folder)}
                place = self.places.get(digest)
                model_rows.register(self.database, model.identity, origin=place.origin if place else ModelOrigin.PACKAGE, here=here)
                self.registered.add(digest)

    def details(self) -> dict[str, str]:
        """What the heartbeat says about this child. Registers models first that were loaded since the last one."""
        self.register_models()
        return {
            "device": ",".join(sorted({model.device for model in self.models.values()})) or self.device,
            "threads": str(self.threads),
            "models": ",".join(sorted({model.card.name for model in list(self.models.values())})),
            "failed": ",".join(sorted(self.failed)),
            "queues": ",".join(priority.value for priority in self.priorities),
            "job": self.busy,
            "memory_mib": str(attempt_device.resident_mib()),
        }

    def _leave(self) -> None:
        """End the child at once: its job was given back, and the worker waits for nothing else."""
        self.stop()
        os._exit(0)

    def stop(self) -> None:
        """Say goodbye and close the stores."""
        if self.heartbeat is not None:
            self.heartbeat.stop()
        self.database.dispose()


def _index() -> int:
    """Which of the pool's children this is, from 0."""
    return int(getattr(current_process(), "index", 0) or 0)  # type: ignore[no-untyped-call]
