"""The Celery application and all its settings, each with its reason.

A message is only a wake-up ("there may be work"). What is to be done, by which worker, and how often it was tried is stored in
PostgreSQL. A message may therefore be lost, delivered twice or arrive late without harm.
"""

from celery import Celery
from kombu.entity import Queue

from core.errors import ConfigurationError
from core.settings.settings import Settings
from workers.queue import redis_slots
from workers.queue.queue_names import QUEUES, ROUTINE

CHILD_START_S = 180.0


def make_app(settings: Settings) -> Celery:
    """Return a Celery application on the configured broker, without tasks.

    Raises
    ------
    ConfigurationError
        The broker URL is missing.
    """
    if not settings.broker.url:
        raise ConfigurationError("no broker: broker.url is empty", hint="`up` starts one; for single roles set broker.url")
    redis_slots.install()
    app = Celery("dicom_node", broker=settings.broker.url, set_as_current=False)  # type: ignore[no-untyped-call]
    worker = settings.worker
    app.conf.update(
        # Names
        task_default_queue=ROUTINE,
        task_queues=tuple(Queue(name) for name in QUEUES),  # type: ignore[no-untyped-call]
        task_create_missing_queues=False,  # a mistyped queue name must fail, not fill a queue that no worker reads
        # Messages: a job id in JSON. Nothing in a message is executed when it is read.
        task_serializer="json",
        accept_content=["json"],
        result_backend=None,  # results are rows in PostgreSQL; a second copy in the broker could only disagree with them
        task_ignore_result=True,
        # Acknowledgement
        task_acks_late=True,  # after the work, so that the message of a killed worker is delivered again
        task_reject_on_worker_lost=True,  # also when the child is killed; the lease makes the second delivery harmless
        worker_prefetch_multiplier=1,  # a worker must not hold wake-ups that another could handle
        broker_transport_options={
            # Redis delivers an unacknowledged message again after this time, also while its task still runs.
            "visibility_timeout": int(2 * worker.hard_time_limit_s) + 600,
            "queue_order_strategy": "priority",  # the urgent queue is read first
            "socket_keepalive": True,
            "socket_connect_timeout": 5,
            "health_check_interval": 25,
        },
        # Time limits: the soft one raises an exception in the task, the hard one kills the child. Only the prefork pool supports them.
        worker_pool="prefork",
        task_soft_time_limit=worker.soft_time_limit_s,
        task_time_limit=worker.hard_time_limit_s,
        worker_proc_alive_timeout=CHILD_START_S,  # loading models takes long; with a short limit children would be restarted for ever
        worker_max_tasks_per_child=None,  # a new child would have to load and warm its models again
        worker_cancel_long_running_tasks_on_connection_loss=False,  # the work goes on, because its result goes to PostgreSQL
        # The broker may start later, and may be restarted
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # A worker is reached through its queues only
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        task_send_sent_event=False,
        # Logging is configured by core.logs
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    return app


def make_publishing_app(settings: Settings) -> Celery:
    """Return an application for a process that only publishes: it must notice within seconds that the broker does not respond."""
    app = make_app(settings)
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, "socket_timeout": 10}
    return app
