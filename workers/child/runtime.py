"""The state of a worker's child process: settings, stores and loaded models. Built after the fork."""

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
from workers.child import device as child_device
from workers.child import memory_limit
from workers.child.drain_flag import DrainFlag
from workers.encode.warm_up import warm

ROLE = "worker"

log = structlog.get_logger()


@dataclass(slots=True)
class ChildRuntime:
    """What the attempts of one child process share.

    Attributes
    ----------
    models
        Loaded and warmed models, by pipeline digest. ``places``: the folder of each. ``registered``: digests in the registry's table.
    failed
        Why a model that a route names could not be loaded, by name.
    current_jobs
        Ids of the jobs in work, for the heartbeat; "" while there are none.
    memory_limit_mib
        How much memory the process may hold.
    peak_mib
        The most memory that the process has held before the attempt in progress, its start included.
    end_process
        Ends the process when its jobs were given back; None in tests.
    """

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
    current_jobs: str = ""
    heartbeat: RoleHeartbeat | None = None
    places: dict[str, Place] = field(default_factory=dict)
    registered: set[str] = field(default_factory=set)
    memory_limit_mib: int = 1 << 40
    peak_mib: int = 0
    end_process: Callable[[], None] | None = None

    @classmethod
    def start(cls, settings: Settings, priorities: tuple[Priority, ...], draining: DrainFlag) -> Self:
        """Start a child: device and threads, stores, models of the routes, encoders, heartbeat.

        A model that cannot be loaded is logged and named in the heartbeat; its jobs fail with the reason.
        """
        began = time.monotonic()
        threads = child_device.threads_of_child(settings.worker.threads, settings.worker.children, child_device.available_cores())
        gpu = child_device.claim_share(_child_index(), threads)
        runtime = cls(
            settings=settings,
            database=Database.open(settings.database.url, pool_size=3),
            blobs=Blobs(settings.blobs_dir),
            draining=draining,
            priorities=priorities,
            name=process_name(),
            threads=threads,
            memory_limit_mib=memory_limit.memory_of_child(
                settings.worker.memory_limit_mib, settings.worker.children, memory_limit.available_mib()
            ),
            device=f"cuda:{gpu}" if gpu and settings.worker.device != "cpu" else "cpu",
        )
        if runtime.device != "cpu":
            model_runtime.limit_gpu(settings.worker.gpu_memory_share)
        for name in dict.fromkeys(route.model for route in settings.routes):
            try:
                runtime.serving_model(name)
            except NodeError as error:
                runtime.failed[name] = error
                log.error("model_load_failed", model=name, error=str(error))
        warm(kind for destination in settings.destinations for kind in destination.objects)
        if (held := child_device.resident_mib()) > runtime.memory_limit_mib:
            log.error("models_exceed_memory_limit", held=held, limit=runtime.memory_limit_mib, hint="every job will fail")
        runtime.heartbeat = RoleHeartbeat(runtime.database, ROLE, runtime.details)
        runtime.heartbeat.start()
        runtime.end_process = runtime._end_process
        log.info("child_ready", pid=os.getpid(), device=runtime.device, threads=threads, seconds=round(time.monotonic() - began, 2))
        return runtime

    def serving_model(self, name: str) -> model_runtime.Model:
        """Return the version of a model that new jobs are for, loaded and warmed.

        Raises
        ------
        ModelError
            There is none, or its weights are not those of its card.
        StorageError
            The registry cannot be read.
        """
        return self._loaded(installed.serving(name, model_rows.known(self.database, name), self._folder))

    def model_of(self, name: str, digest: str) -> model_runtime.Model:
        """Return the model with the pipeline digest that a job asks for; it is loaded now if it is not yet.

        Raises
        ------
        ModelError
            It is not on this worker, or its weights are not those of its card.
        """
        if digest not in self.models:
            place = next((place for place in installed.places(name, self._folder) if place.digest == digest), None)
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
        """Write each loaded model into the registry's table once; the registry says which versions are active or retired.

        Raises
        ------
        StorageError
            The database does not respond.
        """
        for digest, model in list(self.models.items()):
            if digest not in self.registered:
                name = model.card.name
                present = {place.digest for place in installed.places(name, self._folder)}
                place = self.places.get(digest)
                model_rows.register(self.database, model.identity, origin=place.origin if place else ModelOrigin.PACKAGE, here=present)
                self.registered.add(digest)

    def details(self) -> dict[str, str]:
        """Return what the heartbeat says about this child; models that were loaded since the last heartbeat are registered first."""
        self.register_models()
        return {
            "device": ",".join(sorted({model.device for model in self.models.values()})) or self.device,
            "threads": str(self.threads),
            "models": ",".join(sorted({model.card.name for model in list(self.models.values())})),
            "failed": ",".join(sorted(self.failed)),
            "queues": ",".join(priority.value for priority in self.priorities),
            "job": self.current_jobs,
            "memory_mib": str(child_device.resident_mib()),
        }

    def _end_process(self) -> None:
        """End the child at once: its jobs were given back, and the worker must not wait for their computation."""
        self.stop()
        os._exit(0)

    def stop(self) -> None:
        """Delete the heartbeat and close the stores."""
        if self.heartbeat is not None:
            self.heartbeat.stop()
        self.database.dispose()


def _child_index() -> int:
    """Return the number of this child in Celery's pool, from 0."""
    return int(getattr(current_process(), "index", 0) or 0)  # type: ignore[no-untyped-call]
