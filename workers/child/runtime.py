"""The state of a worker's child process: settings, stores and loaded models. Built after the fork."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import structlog
from billiard.process import current_process

from core.errors import NodeError
from core.settings.settings import Settings
from core.states import Priority
from db.blobs.open_blobs import open_blobs
from db.blobs.store import Blobs
from db.engine import Database
from db.roles.process_name import process_name
from db.roles.role_heartbeat import RoleHeartbeat
from models import runtime as model_runtime
from workers.child import device as child_device
from workers.child import memory_limit
from workers.child.drain_flag import DrainFlag
from workers.child.loaded_models import LoadedModels
from workers.encode.warm_up import warm_up_encoders

ROLE = "worker"

log = structlog.get_logger()


@dataclass(slots=True)
class ChildRuntime:
    """What the attempts of one child process share.

    Attributes
    ----------
    models
        The models that were loaded, and those that could not be.
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
    models: LoadedModels = field(init=False)
    current_jobs: str = ""
    heartbeat: RoleHeartbeat | None = None
    memory_limit_mib: int = 1 << 40
    peak_mib: int = 0
    end_process: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        self.models = LoadedModels(self.settings, self.database)

    @classmethod
    def start(cls, settings: Settings, priorities: tuple[Priority, ...], draining: DrainFlag) -> Self:
        """Start a child: device and threads, stores, models of the routes, encoders, heartbeat.

        A model that cannot be loaded is logged, and named in the heartbeat with the reason; its jobs fail with it.
        """
        began = time.monotonic()
        threads = child_device.threads_of_child(settings.worker.threads, settings.worker.children, child_device.available_cores())
        gpu = child_device.claim_share(_child_index(), threads)
        runtime = cls(
            settings=settings,
            database=Database.open(settings.database.url, pool_size=4),
            blobs=open_blobs(settings),
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
            model_runtime.limit_gpu_memory(settings.worker.gpu_memory_share)
        for name in dict.fromkeys(route.model for route in settings.routes):
            try:
                runtime.models.load_serving(name)
            except NodeError as error:
                runtime.models.failed[name] = error
                log.error("model_load_failed", model=name, error=str(error))
        warm_up_encoders(kind for destination in settings.destinations for kind in destination.objects)
        if (held := child_device.resident_mib()) > runtime.memory_limit_mib:
            log.error("models_exceed_memory_limit", held=held, limit=runtime.memory_limit_mib, hint="every job will fail")
        runtime.heartbeat = RoleHeartbeat(runtime.database, ROLE, runtime.details)
        runtime.heartbeat.start()
        runtime.end_process = runtime._end_process
        log.info("child_ready", pid=os.getpid(), device=runtime.device, threads=threads, seconds=round(time.monotonic() - began, 2))
        return runtime

    def details(self) -> dict[str, str]:
        """Return what the heartbeat says about this child; models that were loaded since the last heartbeat are registered first."""
        self.models.register()
        return {
            "device": ",".join(sorted({model.device for model in list(self.models.by_digest.values())})) or self.device,
            "threads": str(self.threads),
            "models": ",".join(sorted({model.card.name for model in list(self.models.by_digest.values())})),
            "failed_models": "; ".join(f"{name}: {error}" for name, error in sorted(self.models.failed.items())),
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
