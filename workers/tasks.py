"""The one task, thin: a wake-up. Everything heavy is imported in the child, after the fork."""

from typing import Any

import structlog
from celery import Celery

from core.settings import Settings
from workers.app import TASK
from workers.drain import DrainFlag

_child: Any = None  # workers.runtime.Runtime of this child process

log = structlog.get_logger()


def register(app: Celery) -> None:
    """Give ``app`` its task. ``job_id`` says what woke us; what is done is what is most urgent."""

    @app.task(name=TASK)  # type: ignore[untyped-decorator, no-untyped-call]
    def infer(job_id: int) -> None:
        if _child is None:
            raise RuntimeError(f"the wake-up for job {job_id} reached a process that is no worker child")
        from workers.infer import wake

        wake(_child)


def start_child(settings: Settings, queues: tuple[str, ...], draining: DrainFlag) -> None:
    """Open the stores, load and warm the models: before the first job, in the child."""
    global _child
    import workers.infer  # noqa: F401  (decoders and encoders too are loaded before the first job)
    from workers.runtime import Runtime, die_with_parent

    die_with_parent()
    _child = Runtime.start(settings, queues, draining)


def stop_child() -> None:
    """The child ends in order."""
    global _child
    if _child is not None:
        _child.stop()
        _child = None
