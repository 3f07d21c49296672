"""The worker process: starts Celery's prefork pool on the chosen queues and serves until SIGTERM.

The parent process imports neither torch nor the models and opens no database: a CUDA context does not survive a fork. Each child opens
its own after the fork (``workers.queue.tasks.start_child``).
"""

import os
import socket
import warnings
from collections.abc import Sequence
from typing import Any

from celery import signals
from celery.exceptions import SecurityWarning

from core.errors import ConfigurationError, NodeError
from core.settings.settings import Settings
from workers.child.drain_flag import DrainFlag
from workers.child.start_failures import StartFailures
from workers.queue import tasks
from workers.queue.celery_app import make_app
from workers.queue.expected_end import hide_expected_end
from workers.queue.queue_names import QUEUES


def run_worker(settings: Settings, queues: Sequence[str] | None = None) -> int:
    """Serve the queues (default: all) until SIGTERM, finish the running task, and return the exit status.

    Blocks. Must be called from the main thread, because it installs signal handlers.

    Raises
    ------
    ConfigurationError
        A queue is unknown, or the URL of the broker or of the database is missing.
    NodeError
        Its children cannot start, one after the other, with the reason of the last one.
    """
    names = tuple(queues) if queues is not None else QUEUES
    unknown = sorted(set(names) - set(QUEUES))
    if unknown or not names:
        raise ConfigurationError(
            f"queues are {', '.join(QUEUES)}, not {', '.join(unknown) or 'none'}", hint="give --queues one of them, or none"
        )
    if not settings.database.url:
        raise ConfigurationError("no database: database.url is empty", hint="`up` starts one; for single roles set database.url")
    # Celery warns of root because of pickle, which is not accepted here.
    warnings.filterwarnings("ignore", message="You're running the worker with superuser", category=SecurityWarning)
    app = make_app(settings)
    drain_flag, failures = DrainFlag(), StartFailures()
    tasks.register(app)
    hide_expected_end(drain_flag.is_set)

    # Celery holds handlers by weak references: these local names keep them alive as long as the worker runs.
    def configure_logging(**_: Any) -> None:
        """Keep Celery from configuring logging: it does so only where nothing is connected to this signal."""

    def child_starts(**_: Any) -> None:
        drain_flag.close_writing_end()
        tasks.start_child(settings, names, drain_flag, failures)

    def child_stops(**_: Any) -> None:
        tasks.stop_child()

    def shutting_down(**_: Any) -> None:
        drain_flag.set()

    signals.setup_logging.connect(configure_logging)  # type: ignore[no-untyped-call]
    signals.worker_process_init.connect(child_starts)  # type: ignore[no-untyped-call]
    signals.worker_process_shutdown.connect(child_stops)  # type: ignore[no-untyped-call]
    signals.worker_shutting_down.connect(shutting_down)  # type: ignore[no-untyped-call]
    controller = app.Worker(
        hostname=f"worker-{os.getpid()}@{socket.gethostname()}",
        pool="prefork",
        concurrency=settings.worker.children,
        queues=list(names),
        loglevel=settings.logs.level.upper(),
        quiet=True,  # no banner: it is not in the format of the logs
        without_gossip=True,  # workers do not talk to each other: what they share is in PostgreSQL
        without_mingle=True,
        without_heartbeat=True,  # heartbeats are rows
    )
    controller.start()
    if failures.reason:
        raise NodeError(f"the worker ends, because its children cannot start: {failures.reason}")
    return int(controller.exitcode or 0)
