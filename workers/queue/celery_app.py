"""The Celery application: the only broker settings there are, each with its reason.

A message is nothing but a wake-up ("there may be work"). What is to be done, by whom, and how often it was tried, stands
in PostgreSQL; so a message may be lost, doubled or late without harm. The parent process imports neither torch nor the
models and opens no database: children do, after the fork.
"""

import os
import socket
import warnings
from collections.abc import Sequence
from typing import Any

from celery import Celery, signals
from celery.exceptions import SecurityWarning
from kombu.entity import Queue

from core.errors import ConfigurationError
from core.settings.schema import Settings
from workers.queue import redis_slots
from workers.queue.drain_flag import DrainFlag

URGENT, ROUTINE = "infer.urgent", "infer.routine"
QUEUES = (URGENT, ROUTINE)
TASK = "infer"
CHILD_START_S = 180.0


def make_app(settings: Settings) -> Celery:
    """An application on the configured broker, without tasks.

    Raises
    ------
    ConfigurationError
        There is no broker URL.
    """
    if not settings.broker.url:
        raise ConfigurationError("no broker: broker.url is empty", hint="`up` starts one; for single roles set broker.url")
    redis_slots.mend()
    app = Celery("dicom_node", broker=settings.broker.url, set_as_current=False)  # type: ignore[no-untyped-call]
    worker = settings.worker
    app.conf.update(
        # Names
        task_default_queue=ROUTINE,
        task_queues=tuple(Queue(name) for name in QUEUES),  # type: ignore[no-untyped-call]
        task_create_missing_queues=False,  # a mistyped queue name must fail, not fill a queue that nobody reads
        # What travels: a number. Nothing that is executed when it is read.
        task_serializer="json",
        accept_content=["json"],
        result_backend=None,  # results are rows; a second truth in the broker would only be able to disagree
        task_ignore_result=True,
        # When a message is done
        task_acks_late=True,  # after the work: a killed worker's message comes back
        task_reject_on_worker_lost=True,  # also when the child is killed from outside; the lease makes the repeat harmless
        worker_prefetch_multiplier=1,  # nobody holds wake-ups that another could act on
        broker_transport_options={
            # Redis hands an unacknowledged message out again after this time, also while its task still runs.
            "visibility_timeout": int(2 * worker.hard_time_limit_s) + 600,
            "queue_order_strategy": "priority",  # urgent is asked for first
            "socket_keepalive": True,
            "socket_connect_timeout": 5,
            "health_check_interval": 25,
        },
        # Limits: the soft one ends an attempt in order, the hard one kills the child. Only prefork obeys them.
        worker_pool="prefork",
        task_soft_time_limit=worker.soft_time_limit_s,
        task_time_limit=worker.hard_time_limit_s,
        worker_proc_alive_timeout=CHILD_START_S,  # the first models take long; a short limit respawns children for ever
        worker_max_tasks_per_child=None,  # a new child would load and warm its models again
        worker_cancel_long_running_tasks_on_connection_loss=False,  # the work goes on: its result goes to PostgreSQL
        # The broker may come later, go and come back
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # Who may talk to a worker: nobody but through the queues
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        task_send_sent_event=False,
        # Logs are core.logs' business
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    return app


def publisher(settings: Settings) -> Celery:
    """As `make_app`, for who only publishes: it must notice within seconds that the broker is gone."""
    app = make_app(settings)
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, "socket_timeout": 10}
    return app


def run_worker(settings: Settings, queues: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM (what runs is finished first) and give the exit status. Blocks; call it from the main thread.

    Raises
    ------
    ConfigurationError
        An unknown queue, or no broker or database URL.
    """
    names = tuple(queues) if queues is not None else QUEUES
    unknown = sorted(set(names) - set(QUEUES))
    if unknown or not names:
        raise ConfigurationError(
            f"queues are {', '.join(QUEUES)}, not {', '.join(unknown) or 'none'}", hint="give --queues one of them, or none"
        )
    if not settings.database.url:
        raise ConfigurationError("no database: database.url is empty", hint="`up` starts one; for single roles set database.url")
    from workers.queue import tasks  # here, so that the relay imports no task

    # Root matters to Celery because of pickle, which is not accepted here.
    warnings.filterwarnings("ignore", message="You're running the worker with superuser", category=SecurityWarning)
    app = make_app(settings)
    draining = DrainFlag()
    tasks.register(app)

    # Handlers are held weakly by Celery: these names keep them alive as long as the worker runs.
    def configure_logging(**_: Any) -> None:
        """That somebody listens keeps Celery from setting up logging of its own."""

    def child_starts(**_: Any) -> None:
        draining.in_child()
        tasks.start_child(settings, names, draining)

    def child_stops(**_: Any) -> None:
        tasks.stop_child()

    def shutting_down(**_: Any) -> None:
        draining.set()

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
        quiet=True,  # no banner: one line an event
        without_gossip=True,  # workers need not know of each other: they meet in PostgreSQL
        without_mingle=True,
        without_heartbeat=True,  # heartbeats are rows
    )
    controller.start()
    return int(controller.exitcode or 0)
