"""The one task, thin: a wake-up. Everything heavy is imported in the child, after the fork."""

import os
import time
from typing import Any

import structlog
from celery import Celery

from core import process_memory
from core.logs import scrub
from core.settings.schema import Settings
from workers.queue.celery_app import TASK, URGENT
from workers.queue.drain_flag import DrainFlag

START_AGAIN_S = 5.0
GIVES_WAY = 10  # of nice(2): a child that takes no urgent work leaves the processor to those who do

_child: Any = None  # workers.attempt.child_runtime.Runtime of this child process

log = structlog.get_logger()


def register(app: Celery) -> None:
    """Give ``app`` its task. ``job_id`` says what woke us; what is done is what is most urgent."""

    @app.task(name=TASK)  # type: ignore[untyped-decorator, no-untyped-call]
    def infer(job_id: int) -> None:
        if _child is None:
            raise RuntimeError(f"the wake-up for job {job_id} reached a process that is no worker child")
        from workers.attempt.claim import wake

        wake(_child)


def start_child(settings: Settings, queues: tuple[str, ...], draining: DrainFlag) -> None:
    """Open the stores, load and warm the models: before the first job, in the child.

    A child that cannot start ends, after a pause, and another takes its place: it must not take messages that it can do nothing about.
    """
    global _child
    try:
        from workers.queue.orphaned_children import die_with_parent, disown

        die_with_parent()
        disown(settings)
        import workers.attempt.claim  # noqa: F401  (decoders and encoders too are loaded before the first job)
        from workers.attempt.child_runtime import Runtime

        _child = Runtime.start(settings, queues, draining)
        process_memory.settle()
        if URGENT not in queues:
            os.nice(GIVES_WAY)
    except Exception as error:
        log.error("a worker child cannot start; another tries", error=f"{type(error).__name__}: {scrub(str(error))}", seconds=START_AGAIN_S)
        time.sleep(START_AGAIN_S)
        os._exit(1)


def stop_child() -> None:
    """The child ends in order."""
    global _child
    if _child is not None:
        _child.stop()
        _child = None
