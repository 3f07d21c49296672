"""The Celery task, which handles a wake-up, and the start and stop of the child process that executes it.

The parent process imports this module. Everything that imports torch is imported in functions that only run in the child, after the
fork: a CUDA context does not survive a fork.
"""

import os
import threading
import time
from typing import Any

import structlog
from celery import Celery

from core import process_memory
from core.logs import scrub
from core.settings.settings import Settings
from workers.child.drain_flag import DrainFlag
from workers.child.start_failures import StartFailures
from workers.queue.queue_names import PRIORITY_OF_QUEUE, TASK, URGENT

RESTART_PAUSE_S = 5.0
STOP_S = 10.0
ROUTINE_NICENESS = 10  # of nice(2): a child that serves no urgent jobs leaves the processor to those that do

_child: Any = None  # workers.child.runtime.ChildRuntime of this child process
_stopping = threading.Event()
_assessments: Any = None  # the thread that makes assessments (`workers.attempt.assessment`)

log = structlog.get_logger()


def register(app: Celery) -> None:
    """Register the task with ``app``. ``job_id`` names the job that caused the wake-up; the most urgent due job is claimed."""

    @app.task(name=TASK)  # type: ignore[untyped-decorator, no-untyped-call]
    def infer(job_id: int) -> None:
        if _child is None:
            raise RuntimeError(f"the wake-up for job {job_id} reached a process that is not a worker child")
        from workers.attempt.wake_up import handle_wake_up

        handle_wake_up(_child)


def start_child(settings: Settings, queues: tuple[str, ...], drain_flag: DrainFlag, failures: StartFailures) -> None:
    """Open the stores, load the models and warm them up, in the child and before its first job.

    A child that cannot start exits after a pause, and the pool starts another: it must not take messages that it cannot handle. After some
    in a row the worker ends with the reason.
    """
    global _child, _assessments
    try:
        from workers.child.orphaned_children import die_with_parent, end_leases_of_dead_children

        die_with_parent()
        end_leases_of_dead_children(settings)
        import workers.attempt.wake_up  # noqa: F401  (loads decoders and encoders before the first job)
        from workers.attempt.assessment import start_assessments
        from workers.child.runtime import ChildRuntime

        _child = ChildRuntime.start(settings, tuple(PRIORITY_OF_QUEUE[queue] for queue in queues), drain_flag)
        process_memory.freeze_garbage_collector()
        _assessments = start_assessments(settings, _child.database, _child.blobs, _stopping)
        if URGENT not in queues:
            os.nice(ROUTINE_NICENESS)
        failures.reset()
    except Exception as error:
        reason = f"{type(error).__name__}: {scrub(str(error))}"
        log.error("child_start_failed", error=reason, seconds=RESTART_PAUSE_S)
        time.sleep(RESTART_PAUSE_S)
        failures.add(error, reason)
        os._exit(1)


def stop_child() -> None:
    """End the thread for assessments, remove the child's heartbeat and close its stores."""
    global _child
    _stopping.set()
    if _child is not None:
        _assessments.join(STOP_S)
        _child.stop()
        _child = None
