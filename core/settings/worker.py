"""``[worker]``: the processes that run models."""

from typing import Literal, Self

from pydantic import Field, model_validator

from core.settings.section import Seconds, Section


class WorkerSection(Section):
    """``[worker]``: devices, attempts, time limits and memory of the processes that run models."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="`auto`: CUDA where there is a GPU, else the CPU. `cuda`: an error where there is no GPU."
    )
    children: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Worker processes: one for each GPU. On a CPU, two analyse photographs a third faster than one and need twice the "
        "memory for models.",
    )
    threads: int = Field(
        default=0, ge=0, le=256, description="Threads of torch in each process. `0`: all cores, divided among the processes."
    )
    lease_s: Seconds = Field(
        default=60.0,
        description="A claimed job belongs to its worker for this many seconds after it renewed the lease last. Then it is claimed anew.",
    )
    max_attempts: int = Field(
        default=3,
        ge=1,
        le=20,
        description="Attempts before a job is quarantined, so that an input that ends every process does not block the queue. "
        "`dicom-node jobs requeue` starts it again.",
    )
    retry_base_s: Seconds = Field(default=15.0, description="Seconds before the second attempt; each further wait is twice as long.")
    soft_time_limit_s: Seconds = Field(
        default=840.0, description="An attempt that takes longer than this many seconds is ended and counts as failed."
    )
    hard_time_limit_s: Seconds = Field(
        default=900.0,
        description="The process is killed after this many seconds, if the soft limit had no effect. Must be above the soft limit.",
    )
    republish_after_s: Seconds = Field(
        default=30.0, description="A queued job that no worker has claimed for this many seconds is announced to the broker again."
    )
    memory_limit_mib: int = Field(
        default=0,
        ge=0,
        description="Memory that a worker process may use, in MiB. Above it the attempt fails with that reason and the process starts "
        "anew. `0`: nine tenths of the memory of the machine or container, divided among the processes.",
    )
    gpu_memory_share: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Share of the GPU's memory that a worker process may use: `0.45` where two processes share a GPU.",
    )
    loaded_versions: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Versions of models that a worker process keeps in memory. For a further one, the version that was used longest ago is "
        "dropped, and loaded again when a job needs it. `0`: two for each model that a route names, at least four.",
    )
    max_object_bytes: int = Field(
        default=1 << 30,
        ge=1 << 16,
        description="Largest result object, in bytes. A larger segmentation, map or page is left out and the report says so; a larger "
        "report fails the job.",
    )
    heat_map_budget_s: Seconds = Field(
        default=10.0,
        description="Longest computation of a heat map, in seconds. Above it the result has none and says so.",
    )
    keep_heat_maps: bool = Field(
        default=True,
        description="Compute the heat map of every result for the console's viewer. `false`: only where a destination receives `heatmap`, "
        "`parametric_map` or `pdf`.",
    )

    @model_validator(mode="after")
    def _check_order_of_limits(self) -> Self:
        if self.soft_time_limit_s >= self.hard_time_limit_s:
            raise ValueError("worker.soft_time_limit_s must be below worker.hard_time_limit_s")
        return self
